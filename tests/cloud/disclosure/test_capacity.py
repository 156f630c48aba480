"""Capacity with its interval, and when a loss is an outage: pure."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.compliance.parameters import AS_STATED
from cloud.compliance.profile import Unit, parse_profile
from cloud.compliance.trace import Law, day_of
from cloud.disclosure import detector
from cloud.disclosure.capacity import Condition, Seen, available
from cloud.disclosure.detector import Judgement, Phase, Turn, Watched
from cloud.disclosure.ledger import LAW
from tests.cloud.disclosure.field import PROFILE

FAILING = {"A": 0.8, "B": 0.8}
WELL, BAD = Seen(0.98, 0.96, 1.0, True, 1), Seen(0.05, 0.0, 0.1, True, 1)
AT_US = 1_767_225_600_000_000


def unit() -> Unit:
    return parse_profile(PROFILE).units[0]


def figures(**seen: Seen) -> tuple[int, int, int]:
    found = available(unit(), seen, FAILING)
    return int(found.low), int(found.point), int(found.high)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"A": WELL, "B": WELL}, (100, 100, 100)),
        ({"A": BAD, "B": WELL}, (40, 40, 40)),
        ({"A": BAD, "B": BAD}, (0, 0, 0)),
        ({"A": WELL}, (60, 60, 100)),
        ({"A": BAD}, (0, 0, 40)),
        ({}, (0, 0, 100)),
        ({"A": replace(WELL, evaluated=False), "B": WELL}, (40, 40, 100)),
        ({"A": Seen(0.25, 0.15, 0.35, True, 1), "B": WELL}, (40, 100, 100)),
        ({"A": Seen(0.19, 0.1, 0.28, True, 1), "B": WELL}, (40, 40, 100)),
    ],
    ids=["both well", "one down", "both down", "one unknown", "down and unknown", "nothing known", "not evaluated", "doubtful up", "doubtful down"],
)  # fmt: skip
def test_available_capacity_lies_in_its_interval(seen: dict[str, Seen], expected: tuple[int, int, int]) -> None:
    assert figures(**seen) == expected


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_what_is_not_seen_never_raises_the_figure(index: float, width: float, evaluated: bool) -> None:
    seen = Seen(index, max(0.0, index - width), min(1.0, index + width), evaluated, 1)
    with_it, without = available(unit(), {"A": seen, "B": WELL}, FAILING), available(unit(), {"B": WELL}, FAILING)
    assert with_it.low <= with_it.point <= with_it.high
    assert without.point <= with_it.point
    assert without.high - without.low >= with_it.high - with_it.low


SECOND = 1_000_000


def looks(*seen: tuple[Condition, int | None]) -> list[Turn]:
    watched, turns = Watched(), []
    for condition, at_s in seen:
        watched, turn = detector.step(watched, condition, None if at_s is None else at_s * SECOND, b"", 5 * SECOND)
        turns.append(turn)
    return turns


def test_a_loss_that_lasts_a_market_time_unit_is_an_outage_once() -> None:
    assert looks((Condition.DOWN, 10), (Condition.DOWN, 14), (Condition.DOWN, 15), (Condition.DOWN, 99)) == [
        Turn.NONE, Turn.NONE, Turn.FAILED, Turn.NONE,
    ]  # fmt: skip


def test_a_loss_that_flickers_is_none() -> None:
    assert set(looks(*[(Condition.DOWN if at % 4 else Condition.UP, at) for at in range(1, 40)])) == {Turn.NONE}


def test_what_cannot_be_seen_neither_fails_nor_recovers() -> None:
    assert set(looks((Condition.DOWN, 10), (Condition.UNKNOWN, 30), (Condition.DOWN, None))) == {Turn.NONE}
    down = looks((Condition.DOWN, 10), (Condition.DOWN, 20), (Condition.UNKNOWN, 40), (Condition.UP, None))
    assert down == [Turn.NONE, Turn.FAILED, Turn.NONE, Turn.NONE]


def test_recovery_lasts_as_well() -> None:
    found = looks(
        (Condition.DOWN, 10), (Condition.DOWN, 20), (Condition.UP, 21), (Condition.DOWN, 23), (Condition.UP, 24), (Condition.UP, 29)
    )
    assert found == [Turn.NONE, Turn.FAILED, Turn.NONE, Turn.NONE, Turn.NONE, Turn.RECOVERED]


def test_what_was_remembered_goes_on_where_it_was() -> None:
    remembered = Watched(Phase.FALLING, 10 * SECOND, b"row")
    found, turn = detector.step(remembered, Condition.DOWN, 15 * SECOND, b"later", 5 * SECOND)
    assert (found, turn) == (Watched(Phase.DOWN, 10 * SECOND, b"row"), Turn.FAILED)


@pytest.mark.parametrize(
    ("own", "lost", "stated", "judgement", "threshold"),
    [
        (None, 60, False, Judgement.REVIEW, None),
        (None, 99, True, Judgement.REVIEW, 100),
        (None, 100, True, Judgement.DISCLOSE, 100),
        (None, 101, True, Judgement.DISCLOSE, 100),
        (50, 49, False, Judgement.REVIEW, 50),
        (50, 50, False, Judgement.DISCLOSE, 50),
        (50, 60, True, Judgement.DISCLOSE, 50),
        (150, 120, True, Judgement.DISCLOSE, 100),
    ],
)
def test_a_loss_below_the_floor_is_reviewed_and_never_silent(
    own: int | None, lost: int, stated: bool, judgement: Judgement, threshold: int | None
) -> None:
    law = Law(LAW, day_of(AT_US), frozenset({AS_STATED} if stated else ()))
    found = detector.judge(replace(unit(), threshold_mw=None if own is None else Decimal(own)), Decimal(lost), law)
    assert (found.judgement, found.threshold_mw) == (judgement, threshold)
    assert found.why
