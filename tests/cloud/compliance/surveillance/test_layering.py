import pytest

from cloud.compliance.surveillance.columns import Grade, Orders, Pattern, floats, ints
from cloud.compliance.surveillance.layering import layering
from tests.cloud.compliance.surveillance.figures import FIGURES, S

Row = tuple[float, int, float, float, float, float, float]  # new, side, quantity, filled, fill, cancel, ticks; -1: never


def orders(*rows: Row) -> Orders:
    def times(place: int) -> list[int]:
        return [-1 if row[place] < 0 else round(row[place] * S) for row in rows]

    return Orders(
        ints(times(0)), ints(0 for _ in rows), ints(0 for _ in rows), ints(row[1] for row in rows), floats(row[2] for row in rows),
        floats(row[3] for row in rows), ints(times(4)), ints(times(5)), floats(row[6] for row in rows),
    )  # fmt: skip


GENUINE: Row = (1, -1, 50, 50, 2.8, -1, 0)


@pytest.mark.parametrize(
    ("large", "is_alert"),
    [
        ((0, 1, 250, 0, -1, 3.1, 0), True),
        ((0, 1, 249, 0, -1, 3.1, 0), False),
        ((0, 1, 251, 0, -1, 3.1, 0), True),
        ((0, 1, 500, 50, 0.5, 3.1, 0), True),
        ((0, 1, 500, 51, 0.5, 3.1, 0), False),
        ((0, 1, 500, 0, -1, 7.8, 0), True),
        ((0, 1, 500, 0, -1, 7.800001, 0), False),
        ((0, 1, 500, 0, -1, 2.7, 0), False),
        ((2.9, 1, 500, 0, -1, 3.1, 0), False),
        ((0, -1, 500, 0, -1, 3.1, 0), False),
        ((0, 1, 500, 0, -1, -1, 0), False),
        ((0, 1, 500, 0, -1, 3.1, 1.9), True),
        ((0, 1, 500, 0, -1, 3.1, 2), False),
    ],
)
def test_a_large_side_pulled_after_the_fill_is_an_alert(large: Row, is_alert: bool) -> None:
    assert len(layering(orders(large, GENUINE), FIGURES.layering)) == is_alert


def test_one_large_order_is_spoofing_and_several_are_layering() -> None:
    one: Row = (0, 1, 250, 0, -1, 3.1, 0)
    assert [alert.pattern for alert in layering(orders(one, GENUINE), FIGURES.layering)] == [Pattern.SPOOFING]
    several = layering(orders(one, one, GENUINE), FIGURES.layering)
    assert [(alert.pattern, alert.members, alert.measures) for alert in several] == [(Pattern.LAYERING, (2, 0, 1), (("ratio", 10.0),))]


@pytest.mark.parametrize(("times", "grade"), [(2, Grade.NORMAL), (3, Grade.HIGH), (4, Grade.HIGH)])
def test_repeats_on_a_day_make_it_grave(times: int, grade: Grade) -> None:
    rows: list[Row] = []
    for n in range(times):
        start = 100.0 * n
        rows += [(start, 1, 500, 0, -1, start + 3.1, 0), (start + 1, -1, 50, 50, start + 2.8, -1, 0)]
    assert [alert.grade for alert in layering(orders(*rows), FIGURES.layering)] == [grade] * times


def test_no_orders_give_no_alerts() -> None:
    assert layering(orders(), FIGURES.layering) == ()
