"""The forecast of a full buffer is a straight line, and none while nothing grows."""

import pytest

from edge.fill import Fill, room


def filled(*sizes: int) -> Fill:
    fill = Fill()
    for number, size in enumerate(sizes):
        fill.seen(number * 10_000_000, size)
    return fill


def test_steady_growth_is_carried_on() -> None:
    assert filled(0, 1_000, 2_000, 3_000).full_in_s(50_000) == pytest.approx(500.0)


@pytest.mark.parametrize("sizes", [(), (5,), (0, 1_000), (7, 7, 7, 7), (9, 6, 3, 0)], ids=["nothing", "one", "two", "steady", "draining"])
def test_no_forecast_without_growth(sizes: tuple[int, ...]) -> None:
    assert filled(*sizes).full_in_s(1_000) is None


def test_no_room_is_full_now() -> None:
    assert filled(1, 2, 3).full_in_s(0) == 0.0


def test_only_the_last_minutes_count() -> None:
    assert filled(*range(0, 100_000, 1_000), *([99_000] * 60)).full_in_s(1_000) is None


def test_room_ends_at_the_cap_or_at_the_disk() -> None:
    assert room(10, 40, 100, 1_000) == 90
    assert room(10, 40, 100, 20) == 50
