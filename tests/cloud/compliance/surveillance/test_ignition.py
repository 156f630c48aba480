import pytest

from cloud.compliance.surveillance.columns import Executions, Ints, SurveillanceError, floats, ints
from cloud.compliance.surveillance.ignition import momentum_ignition
from tests.cloud.compliance.surveillance.figures import FIGURES, S

NO_NEWS = ints([]), ints([])
SIGMA = floats([0.1])


def executions(*rows: tuple[float, int, float]) -> Executions:
    """Rows of (second, side, price) of owner 0 in instrument 0."""
    none = ints(0 for _ in rows)
    return Executions(ints(round(row[0] * S) for row in rows), none, none, ints(row[1] for row in rows), floats(row[2] for row in rows))


def burst(count: int = 10, seconds: float = 5, move: float = 0.3, side: int = 1) -> list[tuple[float, int, float]]:
    return [(seconds * n / 9, side, 100 + side * round(move * n / 9, 9)) for n in range(count)]


def alerts(*rows: tuple[float, int, float], news: tuple[Ints, Ints] = NO_NEWS) -> int:
    return len(momentum_ignition(executions(*rows), SIGMA, news, FIGURES.ignition))


TURN = (100.0, -1, 100.4)


@pytest.mark.parametrize(
    ("rows", "is_alert"),
    [
        ([*burst(move=0.31), TURN], True),
        ([*burst(move=0.29), TURN], False),
        ([*burst(9, move=0.5), TURN], False),
        ([*burst(11, move=0.31), TURN], True),
        ([*burst(seconds=5.1, move=0.31), TURN], False),
        ([*burst(move=0.31), (305.0, -1, 100.4)], True),
        ([*burst(move=0.31), (305.1, -1, 100.4)], False),
        ([*burst(move=0.31), (100.0, -1, 100.0)], False),
        ([*burst(move=0.31), (100.0, 1, 100.4)], False),
        ([*burst(move=0.31), (3.0, -1, 100.4)], False),
        ([*burst(move=0.31, side=-1), (100.0, 1, 99.6)], True),
        (burst(move=0.31), False),
    ],
)
def test_a_burst_that_moves_the_price_and_is_turned_at_a_profit_is_an_alert(rows: list[tuple[float, int, float]], is_alert: bool) -> None:
    assert alerts(*rows) == is_alert


@pytest.mark.parametrize(
    ("second", "instrument", "is_alert"), [(0, 0, False), (40, 0, False), (39.9, 0, True), (101, 0, True), (50, 1, True)]
)
def test_a_burst_after_news_has_a_reason(second: float, instrument: int, is_alert: bool) -> None:
    rows = [(100 + t, side, price) for t, side, price in [*burst(move=0.31), TURN]]
    told = 100 if second == 0 else second
    assert alerts(*rows, news=(ints([instrument]), ints([round(told * S)]))) == is_alert


def test_a_long_burst_is_one_alert() -> None:
    assert alerts(*[(n * 0.1, 1, 100 + n * 0.05) for n in range(40)], (50.0, -1, 103.0)) == 1


def test_a_burst_that_moves_the_price_late_is_found_too() -> None:
    quiet = [(n * 0.1, 1, 100.0) for n in range(10)]
    assert alerts(*quiet, (50.0, -1, 103.0)) == 0
    assert alerts(*quiet, *[(1 + n * 0.1, 1, 100 + n * 0.05) for n in range(20)], (50.0, -1, 103.0)) == 1


def test_a_price_without_a_spread_is_refused() -> None:
    with pytest.raises(SurveillanceError, match="sigma"):
        momentum_ignition(executions(TURN), floats([]), NO_NEWS, FIGURES.ignition)
    with pytest.raises(SurveillanceError, match="sigma"):
        momentum_ignition(executions(TURN), floats([0.0]), NO_NEWS, FIGURES.ignition)


def test_no_executions_give_no_alerts() -> None:
    assert alerts() == 0
