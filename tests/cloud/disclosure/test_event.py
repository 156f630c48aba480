"""Events as a state machine: whatever is done to one, in any order, these hold. Pure."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.compliance.profile import parse_profile
from cloud.disclosure import stages
from cloud.disclosure.documents import event_document, read_event
from cloud.disclosure.event import ALLOWED, OVER, UNPUBLISHED, Action, Deed, Event, EventError, State, StateError, advance
from cloud.reports import umm
from cloud.reports.umm import Outage, Status
from protocols.batch.evidence import Inputs, Row
from tests.cloud.disclosure.field import PROFILE

UNIT = parse_profile(PROFILE)
START_US, HOUR_US = 1_767_225_600_000_000, 3_600_000_000
FOUND = {
    "unit": "Block 1", "asset": "A", "number": 7, "start_us": START_US, "stop_us": START_US + 10 * HOUR_US, "planned": False,
    "reason": "health (high): critical", "remarks": "", "judgement": "disclose", "why": "60 MW lost",
}  # fmt: skip
DECLARED = {name: value for name, value in FOUND.items() if name != "asset"} | {"unavailable": "30", "planned": True}


def act(deed: Deed, at_us: int, detail: dict[str, Any], by: str = "person/1") -> Action:
    return Action(deed, by, "operator", at_us, detail)


def found() -> Event:
    return advance(None, act(Deed.FIND, START_US, FOUND, "hub"), UNIT)


DETAILS = {
    Deed.CHANGE: st.fixed_dictionaries({"stop_us": st.integers(START_US + 1, START_US + 99 * HOUR_US), "remarks": st.just("moved")}),
    Deed.CONFIRM: st.fixed_dictionaries({}, optional={"unavailable": st.integers(1, 100).map(str), "planned": st.booleans()}),
    Deed.ASK: st.fixed_dictionaries({"approval": st.integers(1, 9)}),
    Deed.PUBLISH: st.just({}),
    Deed.WITHDRAW: st.just({"reason": "no"}),
    Deed.DISMISS: st.just({"reason": "it was none"}),
}
STEPS = st.lists(
    st.sampled_from(list(DETAILS)).flatmap(lambda deed: st.tuples(st.just(deed), DETAILS[deed], st.integers(-5, 60))), max_size=12
)
OTHERS = st.lists(
    st.builds(
        lambda at, hours, lost: Outage(
            datetime.fromtimestamp(START_US // 10**6 + at * 3600, UTC), datetime.fromtimestamp(START_US // 10**6 + (at + hours) * 3600, UTC), lost
        ),
        st.integers(-9, 9), st.integers(1, 9), st.decimals(1, 100, places=1),
    ),
    max_size=3,
)  # fmt: skip


@given(STEPS, OTHERS)
def test_whatever_is_done_messages_count_up_and_what_is_published_stays(steps: list[Any], others: list[Outage]) -> None:
    event, at_us, out = found(), START_US, []
    for deed, detail, minutes in steps:
        at_us += minutes * 60_000_000
        try:
            after = advance(event, act(deed, at_us, detail), UNIT, others)
        except StateError:
            assert event.state not in ALLOWED[deed]
            continue
        except EventError:
            continue
        assert event.state in ALLOWED[deed]
        if deed is Deed.PUBLISH:
            out.append(after.published)
        else:
            assert after.published == event.published
        event = after
        assert event.blocks == (event.state in UNPUBLISHED)
        assert (event.draft is not None) or event.state not in UNPUBLISHED
        assert read_event(json.loads(json.dumps(event_document(event)))) == event
        assert event.draft is None or not umm.faults(event.draft)
    assert [one.version for one in out if one] == list(range(1, len(out) + 1))
    assert all(one.published is not None and one.published >= one.decided for one in out if one)
    assert (event.state is State.DISMISSED) == bool(out and out[-1] and out[-1].status is Status.DISMISSED)


@pytest.mark.parametrize("state", [State.WITHDRAWN, State.DISMISSED])
def test_nothing_follows_what_was_taken_back(state: State) -> None:
    over = replace(found(), state=state)
    for deed in ALLOWED:
        with pytest.raises(StateError):
            advance(over, act(deed, START_US, {}), UNIT)
    assert state in OVER


def test_what_a_program_declares_a_person_has_to_confirm() -> None:
    assert advance(None, act(Deed.DECLARE, START_US, DECLARED), UNIT).state is State.CONFIRMED
    said = advance(None, act(Deed.DECLARE, START_US, DECLARED, "token/scada"), UNIT)
    assert (said.state, said.confirmed_us) == (State.DRAFT, None)


def test_a_unit_that_the_profile_does_not_have_begins_nothing() -> None:
    with pytest.raises(EventError, match="no unit"):
        advance(None, act(Deed.FIND, START_US, FOUND | {"unit": "Block 9"}), UNIT)
    with pytest.raises(EventError, match="no part"):
        advance(None, act(Deed.FIND, START_US, FOUND | {"asset": "Z"}), UNIT)


def test_a_measured_time_counts_and_not_the_one_an_action_says() -> None:
    row = Row("health", "field", 1, Inputs(window=(START_US - 9, START_US + 1)), {}, 0, {}, {"assets": {}})
    moved = stages.as_measured(act(Deed.FIND, START_US, FOUND | {"start_us": 5}, "hub"), row)
    assert moved.detail["start_us"] == START_US
