import pytest

from cloud.compliance.surveillance.close import Closes, marking_the_close, volumes
from cloud.compliance.surveillance.columns import SurveillanceError, floats, ints
from tests.cloud.compliance.surveillance.figures import FIGURES, S, trades


def closes(bought: float, sold: float, settlement: float, linked: float, exempt: bool = False, volume: float = 1000) -> Closes:
    zero = ints([0])
    return Closes(
        ints([200 * S]), zero, zero, floats([volume]), floats([bought]), floats([sold]), floats([80]), floats([settlement]),
        floats([linked]), zero == (0 if exempt else 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "is_alert"),
    [
        (closes(420, 0, 80.6, 1), True),
        (closes(300, 0, 80.6, 1), True),
        (closes(299.9, 0, 80.6, 1), False),
        (closes(420, 0, 80.4, 1), True),
        (closes(420, 0, 80.39, 1), False),
        (closes(420, 0, 79.4, 1), False),
        (closes(0, 420, 79.4, -1), True),
        (closes(420, 0, 80.6, -1), False),
        (closes(420, 0, 80.6, 0), False),
        (closes(420, 420, 80.6, 1), False),
        (closes(420, 0, 80.6, 1, exempt=True), False),
    ],
)
def test_a_large_share_a_move_and_a_gain_together_are_an_alert(row: Closes, is_alert: bool) -> None:
    assert len(marking_the_close(row, FIGURES.close)) == is_alert


def test_the_alert_says_share_and_move_and_window() -> None:
    (alert,) = marking_the_close(closes(420, 0, 80.6, 1), FIGURES.close)
    assert (alert.first_us, alert.last_us) == (80 * S, 200 * S)
    assert dict(alert.measures) == pytest.approx({"share percent": 42, "move percent": 0.75})


def test_more_bought_than_was_traded_is_refused() -> None:
    with pytest.raises(SurveillanceError, match="bought, sold"):
        closes(1001, 0, 80, 0)
    with pytest.raises(SurveillanceError, match="window_volume"):
        closes(0, 0, 80, 0, volume=0)


def test_volumes_count_the_window_only_and_add_up() -> None:
    found = volumes(trades((80, 0, 1, 80, 5), (80.000001, 0, 1, 80, 7), (200, 2, 0, 80, 11), (200.1, 0, 1, 80, 13)), 200 * S, FIGURES.close)
    assert found.owner.tolist() == [0, 1, 2]
    assert found.bought.tolist() == [7, 0, 11]
    assert found.sold.tolist() == [11, 7, 0]
    assert found.window_volume.tolist() == [18, 18, 18]
    assert found.bought.sum() == found.sold.sum()
