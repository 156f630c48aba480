import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError, alarms
from cloud.assets.alarms import Alarm, Conditions, Event, Flood, Limits, State

HOUR_US = 3_600_000_000
NOW = 1_717_200_000_000_000
SILENT = {State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE}


def after(*events: Event) -> Alarm:
    alarm = Alarm()
    for event in events:
        alarm = alarms.step(alarm, event, NOW, reason="test", until_us=NOW + HOUR_US)
    return alarm


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((Event.RAISE,), State.UNACKNOWLEDGED),
        ((Event.RAISE, Event.ACKNOWLEDGE), State.ACKNOWLEDGED),
        ((Event.RAISE, Event.ACKNOWLEDGE, Event.CLEAR), State.NORMAL),
        ((Event.RAISE, Event.CLEAR), State.RETURNED),
        ((Event.RAISE, Event.CLEAR, Event.ACKNOWLEDGE), State.NORMAL),
        ((Event.RAISE, Event.CLEAR, Event.RAISE), State.UNACKNOWLEDGED),
        ((Event.RAISE, Event.SHELVE), State.SHELVED),
        ((Event.RAISE, Event.SHELVE, Event.UNSHELVE), State.UNACKNOWLEDGED),
        ((Event.RAISE, Event.SHELVE, Event.CLEAR, Event.UNSHELVE), State.NORMAL),
        ((Event.SUPPRESS, Event.RAISE), State.SUPPRESSED),
        ((Event.SUPPRESS, Event.RAISE, Event.UNSUPPRESS), State.UNACKNOWLEDGED),
        ((Event.REMOVE, Event.RESTORE), State.NORMAL),
    ],
    ids=lambda value: " > ".join(value) if isinstance(value, tuple) else "",
)
def test_life_cycle_of_isa_18_2(events: tuple[Event, ...], state: State) -> None:
    assert after(*events).state is state


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_event_outside_the_table_is_refused_and_all_others_lead_to_its_state(state: State, event: Event) -> None:
    alarm = Alarm(state)
    if (state, event) in alarms.TRANSITIONS:
        found = alarms.step(alarm, event, NOW, reason="why", until_us=NOW + 1)
        assert found.state is alarms.TRANSITIONS[state, event]
    else:
        with pytest.raises(AssetError, match="does not accept"):
            alarms.step(alarm, event, NOW)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(Event), max_size=30))
def test_any_sequence_keeps_state_and_condition_in_step(sequence: list[Event]) -> None:
    alarm, active = Alarm(), False
    for event in sequence:
        if (alarm.state, event) not in alarms.TRANSITIONS:
            continue
        alarm = alarms.step(alarm, event, NOW, reason="why", until_us=NOW + 1)
        active = {Event.RAISE: True, Event.CLEAR: False}.get(event, active)
        assert alarm.active is active
        assert alarm.state in SILENT or active == (alarm.state in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED))


@pytest.mark.parametrize(("reason", "ahead"), [("", HOUR_US), (" ", HOUR_US), ("why", 0), ("why", 9 * HOUR_US)])
def test_shelving_needs_a_reason_and_an_end_within_eight_hours(reason: str, ahead: int) -> None:
    with pytest.raises(AssetError, match="needs"):
        alarms.step(Alarm(), Event.SHELVE, NOW, reason=reason, until_us=NOW + ahead)


def test_shelving_ends_by_itself_and_an_active_alarm_sounds_again() -> None:
    shelved = after(Event.RAISE, Event.SHELVE)
    assert alarms.expire(shelved, NOW + HOUR_US - 1) is shelved
    ended = alarms.expire(shelved, NOW + HOUR_US)
    assert (ended.state, ended.until_us, ended.reason) == (State.UNACKNOWLEDGED, 0, "")


def conditions(values: list[float], limits: Limits) -> list[bool]:
    state, found = Conditions.start(1), []
    for second, value in enumerate(values):
        state = alarms.watch(state, limits, np.array([value]), np.array([np.isfinite(value)]), NOW + second * 1_000_000)
        found.append(bool(state.active[0]))
    return found


def limits(deadband: float = 0.0, on_s: int = 0, off_s: int = 0) -> Limits:
    return Limits(np.array([10.0]), np.array([deadband]), np.array([on_s * 1_000_000]), np.array([off_s * 1_000_000]))


def test_deadband_keeps_the_condition_until_the_value_is_well_below() -> None:
    assert conditions([9, 11, 9.5, 8.9, 9.5], limits(deadband=1.0)) == [False, True, True, False, False]


def test_delays_demand_that_the_value_stays() -> None:
    assert conditions([11, 9, 11, 11, 11, 9, 9, 9], limits(on_s=2, off_s=1)) == [False, False, False, False, True, True, False, False]


def test_value_that_is_not_there_neither_raises_nor_clears() -> None:
    nan = float("nan")
    assert conditions([11, nan, nan, 9, nan], limits()) == [True, True, True, False, False]


def test_chattering_around_the_limit_sounds_once_in_ten_minutes() -> None:
    found = conditions([10.0 + (0.5 if second % 2 else -0.5) for second in range(600)], limits(deadband=1.0))
    assert sum(now and not before for before, now in zip([False, *found], found, strict=False)) == 1


def test_changes_become_events() -> None:
    before = Conditions(np.array([False, True, True]), np.zeros(3, np.int64))
    later = Conditions(np.array([True, False, True]), np.zeros(3, np.int64))
    assert alarms.events(before, later) == ((0, Event.RAISE), (1, Event.CLEAR))


def test_flood_begins_above_ten_ends_below_five_and_keeps_the_first_on_top() -> None:
    flood = Flood()
    for index in range(11):
        flood = alarms.annunciate(flood, [f"alarm {index}"], NOW + index * 1_000_000)
    assert (flood.active, flood.first) == (True, "alarm 0")
    flood = alarms.annunciate(flood, ["late"], NOW + 606_000_000)
    assert (flood.active, flood.first, len(flood.recent)) == (True, "alarm 0", 5)
    assert not alarms.annunciate(flood, [], NOW + 1_000_000_000).active
