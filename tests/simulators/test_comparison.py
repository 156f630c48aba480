"""The comparison that the demo, the kill and the endurance runs rely on finds every kind of difference."""

from collections.abc import Iterable

import pytest

from protocols import quality
from simulators.comparison import Comparison, Series, compare, read_truth, series

NAN = float("nan")
TRUTH = [(10, 1.5, 0), (20, 2.5, 0), (30, NAN, quality.BAD_SENSOR_FAILURE), (40, -0.0, quality.UNCERTAIN_LAST_USABLE)]


def made(rows: Iterable[tuple[int, float, int]]) -> Series:
    rows = list(rows)
    return series([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def against(stored: list[tuple[int, float, int]], since_us: int = 0) -> Comparison:
    return compare({"d.t": made(TRUTH)}, {"d.t": made(stored)}, {"d.t": "modbus"}, since_us)


def test_equal_series_are_equal_and_counted_by_protocol() -> None:
    found = against(TRUTH[::-1])
    assert found.equal
    assert (found.stored, found.protocols) == (4, {"modbus": 4})


@pytest.mark.parametrize(
    ("stored", "lost", "doubled", "wrong"),
    [
        (TRUTH[1:], 1, 0, 0),
        ([*TRUTH, TRUTH[0]], 0, 1, 0),
        ([*TRUTH, TRUTH[0], TRUTH[0]], 0, 2, 0),
        ([(10, 1.6, 0), *TRUTH[1:]], 0, 0, 1),
        ([(10, 1.5, quality.UNCERTAIN), *TRUTH[1:]], 0, 0, 1),
        ([(11, 1.5, 0), *TRUTH[1:]], 1, 0, 1),
        ([*TRUTH, (99, 1.0, 0)], 0, 0, 1),
        ([*TRUTH[:2], (30, 7.0, 0), TRUTH[3]], 0, 0, 1),
        ([*TRUTH[:2], (30, NAN, quality.BAD), TRUTH[3]], 0, 0, 1),
        ([], 4, 0, 0),
    ],
    ids=["missing", "twice", "three times", "value", "quality", "time", "never served", "good for bad", "other bad", "nothing"],
)
def test_difference_is_found(stored: list[tuple[int, float, int]], lost: int, doubled: int, wrong: int) -> None:
    found = against(stored)
    assert (found.lost, found.doubled, found.wrong) == (lost, doubled, wrong)
    assert not found.equal
    assert found.examples or doubled


def test_samples_of_a_tag_that_was_never_served_are_wrong() -> None:
    found = compare({}, {"d.x": made(TRUTH)}, {}, 0)
    assert found.wrong == 4


def test_bad_samples_that_the_agent_made_are_counted_apart() -> None:
    found = against([*TRUTH, (35, NAN, quality.BAD_NO_COMMUNICATION)])
    assert found.equal
    assert found.agent_made == 1


def test_what_was_served_before_the_start_may_be_missing_but_not_wrong() -> None:
    assert against(TRUTH[1:], since_us=15).equal
    assert not against([(10, 9.9, 0), *TRUTH[1:]], since_us=15).equal


def test_truth_is_read_and_a_torn_last_line_left_out() -> None:
    lines = ["mqtt,d.a,10,1.5,0\n", "mqtt,d.a,20,nan,2156658688\n", "modbus,d.b,10,-7.0,0\n", "modbus,d.b,2"]
    found, protocols = read_truth(lines)
    assert protocols == {"d.a": "mqtt", "d.b": "modbus"}
    assert found["d.a"].times_us.tolist() == [10, 20]
    assert found["d.b"].values.tolist() == [-7.0]
