"""What raises an alarm of an asset, how urgent it is, and the transitions that follow from what a pass has seen.

    AssetHealth -> Observed, where there is something -> plan(present, observed, now) -> transitions, each with how the alarm stands after it

Two alarms for each asset: "health" (index below watch) and "stale tags" (a required tag is silent). Rules. Health that is not evaluated
neither raises nor clears. Health is smoothed already, so it raises at once; it clears a deadband above the limit and a minute later, so
that it does not chatter. While an alarm is active its priority never falls, and when it rises it is heard again. An alarm of an asset
that has left the model is cleared. Not for storing (`alarm_store`) and not for the life cycle itself (`alarms`).
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from cloud.assets import alarms
from cloud.assets.alarms import Alarm, Conditions, Event, Limits, State
from cloud.assets.assess import AssetHealth
from cloud.assets.health import LIMITS
from cloud.assets.model import Asset, Criticality, Model

HEALTH: Final = "health"
STALE: Final = "stale tags"
KINDS: Final = (HEALTH, STALE)
HUB: Final = "hub"  # who did what nobody asked for
NOT_EVALUATED: Final = "not evaluated"
GONE: Final = "the asset is no longer in the model"


class Priority(enum.StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


RANK: Final[Mapping[Priority, int]] = {priority: at for at, priority in enumerate(Priority)}


@dataclass(frozen=True, slots=True, order=True)
class Name:
    asset: str
    alarm: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition holds above `limit` and until the value is `deadband` below it for `off_delay_us`."""

    limit: float
    deadband: float
    off_delay_us: int


RULES: Final[Mapping[str, Rule]] = {HEALTH: Rule(1.0 - LIMITS[0], 0.05, 60_000_000), STALE: Rule(0.5, 0.0, 10_000_000)}


@dataclass(frozen=True, slots=True)
class Standing:
    """How an alarm stands. active_us: since when its condition holds, 0 when it does not; priority, cause and evidence (digest of a health
    row): of the last time the hub had something to say of it."""

    alarm: Alarm = field(default_factory=Alarm)
    priority: Priority = Priority.LOW
    active_us: int = 0
    cause: str = ""
    evidence: bytes = b""


Present = Mapping[Name, Standing]
Pending = Mapping[Name, int]


@dataclass(frozen=True, slots=True)
class Transition:
    """reason: as given by whom it was done. after: how the alarm stands since."""

    at_us: int
    name: Name
    event: Event
    by: str
    reason: str
    after: Standing

    @property
    def sounds(self) -> bool:
        """Whether an operator hears it."""
        return self.after.alarm.state is State.UNACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Observed:
    """What a pass has seen of one alarm: a value for its rule, the urgency it would have, and why."""

    name: Name
    value: float
    usable: bool
    priority: Priority
    cause: str
    evidence: bytes


def observe(model: Model, healths: Iterable[AssetHealth], evidence: bytes, present: Present) -> tuple[Observed, ...]:
    """Of what holds now, or is active in `present`, from the health row with this digest. The others, most of a fleet, have nothing to tell:
    no alarm is raised later than its condition holds."""
    assets = {asset.name: asset for asset in model.assets}
    found: list[Observed] = []
    for health in healths:
        asset = assets.get(health.asset)
        if asset is None:
            continue
        name = Name(asset.name, HEALTH)
        if health.index < LIMITS[0] or _active(present, name):
            found.append(_observe_health(asset, name, health, evidence))
        name = Name(asset.name, STALE)
        if health.stale or _active(present, name):
            found.append(_observe_stale(asset, name, health, evidence))
    return tuple(found)


def _active(present: Present, name: Name) -> bool:
    standing = present.get(name)
    return standing is not None and standing.alarm.active


def _observe_health(asset: Asset, name: Name, health: AssetHealth, evidence: bytes) -> Observed:
    tags = ", ".join(tag for reason in health.reasons[:2] for tag in reason.tags)
    cause = f"{health.state}: health {health.index:.2f}{f', seen by {tags}' if tags else ''}"
    urgency = _urgency(health.state, asset.criticality is Criticality.HIGH)
    return Observed(name, 1.0 - health.index, health.state != NOT_EVALUATED, urgency, cause, evidence)


def _observe_stale(asset: Asset, name: Name, health: AssetHealth, evidence: bytes) -> Observed:
    """By the tags that health needs: of one that is known to be dead nobody wants to hear."""
    required = {binding.tag for binding in asset.tags if binding.required}
    silent = [tag for tag in health.stale if tag in required]
    urgency = Priority.MEDIUM if asset.criticality is Criticality.HIGH else Priority.LOW
    cause = f"no good sample for too long: {', '.join(silent)}" if silent else ""
    return Observed(name, float(len(silent)), True, urgency, cause, evidence)


def _urgency(state: str, high: bool) -> Priority:
    """state: of AssetHealth; high: the asset's criticality."""
    if state == "critical" or (state == "warning" and high):
        return Priority.HIGH
    return Priority.MEDIUM if state == "warning" else Priority.LOW


def plan(
    present: Present, observed: Sequence[Observed], pending: Pending, now_us: int, assets: Collection[str]
) -> tuple[tuple[Transition, ...], dict[Name, int]]:
    """Transitions in their order, and since when values argue for the opposite of what stands, for the next call.

    observed: what is not active and not in it stays at rest; of what is active it may be left out, which changes nothing. assets: all that there are; alarms of others are cleared.
    """
    made: list[Transition] = []
    now = dict(present)

    def go(name: Name, event: Event, seen: Observed | None = None, reason: str = "") -> None:
        made.append(step(now.get(name, Standing()), name, event, now_us, HUB, reason=reason, seen=seen))
        now[name] = made[-1].after

    for name, standing in present.items():
        if standing.alarm.state is State.SHELVED and now_us >= standing.alarm.until_us:
            go(name, Event.UNSHELVE, reason="its time is over")
        if standing.alarm.active and name.asset not in assets:
            go(name, Event.CLEAR, reason=GONE)
    before = Conditions(
        np.array([now[one.name].alarm.active if one.name in now else False for one in observed], dtype=bool),
        np.array([pending.get(one.name, 0) for one in observed], dtype=np.int64),
    )
    values, usable = np.array([one.value for one in observed], dtype=np.float64), np.array([one.usable for one in observed], dtype=bool)
    after = alarms.watch(before, _limits(observed), values, usable, now_us)
    for at, event in alarms.events(before, after):
        go(observed[at].name, event, observed[at])
    for one in observed:
        standing = now.get(one.name, Standing())
        if standing.alarm.active and one.usable and RANK[one.priority] > RANK[standing.priority]:
            go(one.name, Event.REALARM, one)
    seen = {one.name for one in observed}
    left = {name: since for name, since in pending.items() if name not in seen and name.asset in assets}
    return tuple(made), left | {one.name: int(after.pending_us[at]) for at, one in enumerate(observed) if after.pending_us[at]}


def _limits(observed: Sequence[Observed]) -> Limits:
    rules = [RULES[one.name.alarm] for one in observed]
    return Limits(
        np.array([rule.limit for rule in rules], dtype=np.float64),
        np.array([rule.deadband for rule in rules], dtype=np.float64),
        np.zeros(len(rules), np.int64),
        np.array([rule.off_delay_us for rule in rules], dtype=np.int64),
    )


def step(
    standing: Standing,
    name: Name,
    event: Event,
    now_us: int,
    by: str,
    *,
    reason: str = "",
    until_us: int = 0,
    once: bool = False,
    seen: Observed | None = None,
) -> Transition:
    """One transition. seen: what the hub has to say of the condition. Raises AssetError for what the state or the rules do not allow."""
    alarm = alarms.step(standing.alarm, event, now_us, reason=reason, until_us=until_us, once=once)
    after = replace(standing, alarm=alarm)
    if seen is not None and event is not Event.CLEAR:
        after = replace(after, priority=seen.priority, cause=seen.cause)
    if seen is not None:
        after = replace(after, evidence=seen.evidence)
    if alarm.active != standing.alarm.active:
        after = replace(after, active_us=now_us if alarm.active else 0)
    return Transition(now_us, name, event, by, reason, after)
