"""Which alarms follow from health, how urgent they are, and when they are heard, over and forgotten."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError, alarm_rules
from cloud.assets.alarm_rules import HEALTH, HUB, STALE, Name, Observed, Present, Priority, Standing, Transition
from cloud.assets.alarms import Alarm, Event, State
from cloud.assets.assess import AssetHealth, Reason, Wear
from cloud.assets.health import LIMITS
from cloud.assets.model import Binding, Criticality, Model, parse_model
from tests.cloud.reaction.desk import MODEL

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
NOW = 1_717_200_000_000_000
ROW = bytes(32)
PUMP = Name("A", HEALTH)


def model(criticality: Criticality = Criticality.MEDIUM, *, required: bool = True) -> Model:
    found = parse_model(MODEL)
    tags = tuple(Binding(one.tag, one.role, required) for one in found.assets[0].tags)
    return replace(found, assets=(replace(found.assets[0], criticality=criticality, tags=tags), found.assets[1]))


def health(index: float, state: str = "", stale: tuple[str, ...] = ()) -> AssetHealth:
    word = state or ("good", "watch", "warning", "critical")[sum(index < limit for limit in LIMITS)]
    reasons = (Reason("pressure", 1.0, ("rig1/plc1.t0",)),)
    return AssetHealth("A", index, index, index, word, 1.0, 0.0, reasons, stale, 1 - index, 0.01, Wear(0.0, 1.0, 1.0, 1.0))


def observed(index: float, state: str = "", criticality: Criticality = Criticality.MEDIUM) -> Observed:
    """As of an alarm that is active, so that good health is told as well."""
    present = {PUMP: Standing(Alarm(State.ACKNOWLEDGED, active=True))}
    return alarm_rules.observe(model(criticality), [health(index, state)], ROW, present)[0]


class Room:
    """What stands, as passes move it."""

    def __init__(self) -> None:
        self.present: dict[Name, Standing] = {}
        self.pending: dict[Name, int] = {}
        self.now_us = NOW

    def see(self, *seen: Observed, after_us: int = 0, assets: tuple[str, ...] = ("A", "B")) -> list[tuple[Event, State]]:
        self.now_us += after_us
        made, self.pending = alarm_rules.plan(self.present, seen, self.pending, self.now_us, assets)
        return [self.take(one) for one in made]

    def act(self, event: Event, **told: object) -> tuple[Event, State]:
        return self.take(alarm_rules.step(self.present.get(PUMP, Standing()), PUMP, event, self.now_us, "me", **told))  # type: ignore[arg-type]

    def take(self, one: Transition) -> tuple[Event, State]:
        self.present[one.name] = one.after
        return one.event, one.after.alarm.state


@pytest.mark.parametrize(
    ("index", "criticality", "priority"),
    [
        (0.79, Criticality.HIGH, Priority.LOW),
        (0.59, Criticality.LOW, Priority.MEDIUM),
        (0.59, Criticality.MEDIUM, Priority.MEDIUM),
        (0.59, Criticality.HIGH, Priority.HIGH),
        (0.39, Criticality.LOW, Priority.HIGH),
    ],
)
def test_urgency_follows_from_state_and_criticality(index: float, criticality: Criticality, priority: Priority) -> None:
    assert observed(index, criticality=criticality).priority is priority


def test_a_raised_alarm_says_what_is_wrong_where_it_was_seen_and_since_when() -> None:
    room = Room()
    assert room.see(observed(0.35)) == [(Event.RAISE, State.UNACKNOWLEDGED)]
    standing = room.present[PUMP]
    assert standing.cause == "critical: health 0.35, seen by rig1/plc1.t0"
    assert (standing.evidence, standing.active_us, standing.alarm.since_us) == (ROW, NOW, NOW)


def test_good_health_and_the_very_limit_raise_nothing() -> None:
    assert Room().see(observed(1.0)) == []
    assert Room().see(observed(LIMITS[0])) == []


def test_of_an_asset_that_is_well_there_is_nothing_to_tell() -> None:
    assert alarm_rules.observe(model(), [health(LIMITS[0]), replace(health(0.1), asset="unknown")], ROW, {}) == ()


def test_health_that_is_not_evaluated_neither_raises_nor_clears() -> None:
    room = Room()
    assert room.see(observed(0.1, "not evaluated")) == []
    room.see(observed(0.7))
    assert room.see(observed(1.0, "not evaluated"), after_us=10 * MINUTE_US) == []
    assert room.present[PUMP].alarm.active


def test_an_alarm_clears_a_deadband_above_its_limit_and_a_minute_later() -> None:
    room = Room()
    room.see(observed(0.7))
    assert room.see(observed(0.84), after_us=10 * MINUTE_US) == []
    assert room.see(observed(0.86), after_us=MINUTE_US) == []
    assert room.see(observed(0.84), after_us=59 * SECOND_US) == []  # the delay begins anew
    assert room.see(observed(0.86), after_us=MINUTE_US) == []
    assert room.see(observed(0.9), after_us=MINUTE_US) == [(Event.CLEAR, State.RETURNED)]
    assert room.present[PUMP].active_us == 0


def test_a_condition_that_comes_and_goes_twice_a_second_sounds_once_in_ten_minutes() -> None:
    room = Room()
    told = [one for at in range(1_200) for one in room.see(observed((0.75, 0.9)[at % 2]), after_us=SECOND_US // 2)]
    assert told == [(Event.RAISE, State.UNACKNOWLEDGED)]


def test_what_gets_worse_is_heard_again_and_never_becomes_less_urgent_while_it_lasts() -> None:
    room = Room()
    room.see(observed(0.7))
    room.act(Event.ACKNOWLEDGE)
    assert room.see(observed(0.3)) == [(Event.REALARM, State.UNACKNOWLEDGED)]
    room.act(Event.ACKNOWLEDGE)
    assert room.see(observed(0.7)) == []
    assert room.present[PUMP].priority is Priority.HIGH
    room.see(observed(1.0))
    room.see(observed(1.0), after_us=MINUTE_US)
    assert room.see(observed(0.7)) == [(Event.RAISE, State.UNACKNOWLEDGED)]
    assert room.present[PUMP].priority is Priority.LOW


def test_a_shelved_alarm_is_silent_follows_its_condition_and_ends_by_itself() -> None:
    room = Room()
    room.act(Event.SHELVE, reason="probe", until_us=NOW + MINUTE_US)
    assert room.see(observed(0.3)) == [(Event.RAISE, State.SHELVED)]
    assert room.see(after_us=MINUTE_US - 1) == []
    assert room.see(after_us=1) == [(Event.UNSHELVE, State.UNACKNOWLEDGED)]
    assert room.present[PUMP].alarm.reason == ""


def test_an_alarm_shelved_once_is_back_when_its_condition_clears() -> None:
    room = Room()
    room.see(observed(0.3))
    room.act(Event.SHELVE, reason="known", until_us=NOW + 60 * MINUTE_US, once=True)
    room.see(observed(1.0))
    assert room.see(observed(1.0), after_us=MINUTE_US) == [(Event.CLEAR, State.NORMAL)]
    assert room.present[PUMP].alarm.once is False
    assert room.see(observed(0.3)) == [(Event.RAISE, State.UNACKNOWLEDGED)]


def test_alarms_of_an_asset_that_left_the_model_are_cleared() -> None:
    room = Room()
    room.see(observed(0.3))
    assert room.see(assets=("B",)) == [(Event.CLEAR, State.RETURNED)]
    assert room.see(assets=("B",)) == []


@pytest.mark.parametrize(
    ("required", "criticality", "told"),
    [(True, Criticality.MEDIUM, Priority.LOW), (True, Criticality.HIGH, Priority.MEDIUM), (False, Criticality.HIGH, None)],
    ids=["required", "required of a critical asset", "known to be dead"],
)
def test_silent_tags_that_health_needs_raise_an_alarm_of_their_own(required: bool, criticality: Criticality, told: Priority | None) -> None:
    room = Room()
    seen = alarm_rules.observe(model(criticality, required=required), [health(1.0, stale=("rig1/plc1.t1",))], ROW, {})
    room.see(*seen)
    found = room.present.get(Name("A", STALE))
    assert (found and found.priority) == told
    assert found is None or found.cause == "no good sample for too long: rig1/plc1.t1"


def test_what_a_state_does_not_allow_is_refused() -> None:
    with pytest.raises(AssetError, match="does not accept"):
        Room().act(Event.ACKNOWLEDGE)


STEPS = st.one_of(
    st.tuples(st.floats(0, 1), st.sampled_from(["", "not evaluated"]), st.integers(0, 3 * MINUTE_US)),
    st.sampled_from([Event.ACKNOWLEDGE, Event.SHELVE, Event.UNSHELVE]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_passes_and_operators_in_any_order_leave_what_a_second_look_would_not_change(steps: list[object]) -> None:
    room = Room()
    for step in steps:
        if isinstance(step, tuple):
            index, state, later = step
            seen = observed(index, state)
            room.see(seen, after_us=later)
            assert room.see(seen) == []
            if state == "" and index < LIMITS[0] - 1e-9:
                assert room.present[PUMP].alarm.active
        else:
            try:
                room.act(step, reason="why", until_us=room.now_us + MINUTE_US)  # type: ignore[arg-type]
            except AssetError:
                continue
    assert _consistent(room.present)


def _consistent(present: Present) -> bool:
    return all(
        one.alarm.active == (one.active_us > 0) and (one.alarm.until_us > 0) == (one.alarm.state is State.SHELVED)
        for one in present.values()
    )


def test_what_the_hub_does_is_signed_by_the_hub() -> None:
    made, _ = alarm_rules.plan({}, [observed(0.3)], {}, NOW, ["A"])
    assert [one.by for one in made] == [HUB]
