"""From the samples of a site to the health of its assets, and to the state that is carried until more arrive.

    samples by tag -> ticks of each class's period -> health.tick over all its assets -> AssetHealth at `as_of_us`

Rules. A tick is a period of source time, the same for all calls; each tag counts in it with its newest sample. An asset's latest tick
stays open: its samples are carried, it counts in what is answered, and it is settled only when a later one of the asset begins. So the
state and the answer depend on the samples and on `as_of_us`, and not on how samples were split into calls, as long as every call
brings an asset's samples on from where the last one ended. A sample that is not newer than what its tag showed before changes
nothing; one that is newer but of a settled tick counts in the open one. `as_of_us` decides which tags are stale and is not carried.
A tag without a sample in a tick counts with its last one until that is stale. Not for what follows from health (`outlook`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from cloud.assets import AssetError, Bools, health
from cloud.assets.classes import DAY_US, AssetClass, Derived, Failure
from cloud.assets.hazard import WienerBelief
from cloud.assets.health import AssetState, Health, HealthState
from cloud.assets.model import Asset, Model
from cloud.assets.physics import FORMULAS
from cloud.assets.state import ClassState, Newest, SiteState, WearState
from cloud.assets.ticks import Samples, arrivals
from cloud.assets.trust import DROPOUT, DROPOUT_POLLS, TagRules
from protocols import quality

HOUR_US: Final = 3_600_000_000
# A level that moves by more than one state's width within an hour is an event, which the level itself tells; it is no wear to go on with.
MOST_WEAR: Final = 0.2


class Wear(NamedTuple):
    """What is believed of an asset's degradation per day: the numbers of hazard.WienerBelief."""

    mean: float
    time: float
    shape: float
    spread: float


@dataclass(frozen=True, slots=True)
class Reason:
    """`share` of an asset's evidence that stands in one role; tags: the tag that plays it, or those it is derived from."""

    role: str
    share: float
    tags: tuple[str, ...]

    @property
    def tag(self) -> str:
        return self.tags[0]


@dataclass(frozen=True, slots=True)
class AssetHealth:
    """index in [low, high] (0-1); state: "good", "watch", "warning", "critical" or "not evaluated"; trust: mean over required tags;
    evidence: smoothed -log10 p; reasons: most first; stale: tags without a good sample for too long; level: degradation, 1 - index, with
    standard deviation level_sd."""

    asset: str
    index: float
    low: float
    high: float
    state: str
    trust: float
    evidence: float
    reasons: tuple[Reason, ...]
    stale: tuple[str, ...]
    level: float
    level_sd: float
    wear: Wear


def start(model: Model, site: str, former: SiteState | None = None) -> SiteState:
    """The state before any sample. From `former`, of an older model, comes what belongs to classes whose assets and roles are the same."""
    model.site(site)
    classes = {}
    for kind, assets in _classes(model, site):
        old = former.classes.get(kind.name) if former is not None and former.site == site else None
        classes[kind.name] = (
            old if old is not None and _names(kind, assets) == (old.assets, old.roles, old.columns) else _start(kind, assets)
        )
    return SiteState(site, classes)


def advance(
    model: Model, site: str, state: SiteState, samples: Mapping[str, Samples], as_of_us: int
) -> tuple[SiteState, tuple[AssetHealth, ...]]:
    """The state after new `samples` by tag ("gateway/device.tag"), and the health of every asset with tags, in the model's order.

    Tags that no asset is bound to are left alone. Raises AssetError when the state belongs to another model (`start` again, with it as
    `former`) or the columns of a tag differ in length.
    """
    classes, found = {}, {}
    for kind, assets in _classes(model, site):
        before = state.classes.get(kind.name)
        if before is None or _names(kind, assets) != (before.assets, before.roles, before.columns):
            raise AssetError(f'the state does not fit class "{kind.name}" of site "{site}": start anew, with it as `former`')
        after, judged = _advance(kind, assets, before, samples, as_of_us)
        classes[kind.name] = after
        found.update({one.asset: one for one in judged})
    return SiteState(site, classes), tuple(found[asset.name] for asset in model.assets_of(site) if asset.name in found)


def _classes(model: Model, site: str) -> list[tuple[AssetClass, tuple[Asset, ...]]]:
    """Classes with roles and with assets on the site."""
    assets = model.assets_of(site)
    pairs = [(kind, tuple(asset for asset in assets if asset.class_name == kind.name)) for kind in model.classes if kind.roles]
    return [(kind, own) for kind, own in pairs if own]


def _names(kind: AssetClass, assets: tuple[Asset, ...]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return tuple(asset.name for asset in assets), tuple(role.name for role in kind.roles), tuple(role.name for role in kind.columns)


def _start(kind: AssetClass, assets: tuple[Asset, ...]) -> ClassState:
    names = _names(kind, assets)
    count, roles, columns = (len(listed) for listed in names)
    never, level = np.zeros(count, np.int64), np.zeros(count)
    belief = prior_wear(kind.failure)
    wear = WearState(WienerBelief(*(np.full(count, value) for value in belief)), level, never, level, never)
    return ClassState(
        names[0], names[1], names[2], AssetState.start(count, columns), Newest.none(count, roles), Newest.none(count, roles), wear
    )


def prior_wear(failure: Failure) -> Wear:
    """The class's own numbers as a belief worth its days, one increment a day: E[diffusion^2] is the class's."""
    shape = 1.0 + failure.worth / 2
    return Wear(failure.drift, failure.worth, shape, failure.diffusion**2 * (shape - 1.0))


def _advance(
    kind: AssetClass, assets: tuple[Asset, ...], before: ClassState, samples: Mapping[str, Samples], as_of_us: int
) -> tuple[ClassState, list[AssetHealth]]:
    rules = _rules(kind, assets)
    state, seen, wear, newest = before.health, before.seen, before.wear, before.open
    arrived = arrivals(assets, before, samples, kind.every_us)
    if arrived is not None:
        for begin, end in arrived.bounds():
            shown = arrived.newest(begin, end, seen.times_us.shape, settled=True)
            moved = np.asarray(shown.times_us.any(axis=1))
            if moved.any():
                now_us = int(arrived.tick[begin]) * kind.every_us
                state, judged = _tick(kind, rules, state, seen, shown, now_us)
                seen, wear = seen.under(shown), _worn(wear, judged, moved, now_us)
        left = arrived.newest(0, arrived.tick.size, seen.times_us.shape, settled=False)
        newest = newest.where(~arrived.touched[:, None], left)
    answered, judged = _tick(kind, rules, state, seen, newest, as_of_us)
    after = ClassState(before.assets, before.roles, before.columns, state, seen, newest, wear)
    return after, _told(kind, assets, answered, judged, wear, rules)


def _rules(kind: AssetClass, assets: tuple[Asset, ...]) -> TagRules:
    columns = kind.columns
    own = [{binding.role for binding in asset.tags if binding.required} for asset in assets]
    judged = np.array([[role.name in bound for role in columns] for bound in own], dtype=bool)
    for at, derived in enumerate(kind.derived, len(kind.watched)):
        judged[:, at] = derived.role.required
    low, high, rate, resolution, deviation = (
        np.array([getattr(role, name) for role in columns], dtype=np.float64) for name in ("low", "high", "rate", "resolution", "deviation")
    )
    poll = np.full(len(columns), kind.stale_us * 1e-6 / DROPOUT_POLLS)
    return TagRules(
        low, high, rate, resolution, poll, np.array([role.rests for role in columns]), judged, kind.learn, kind.adapt, deviation
    ).checked()


def _tick(kind: AssetClass, rules: TagRules, state: AssetState, seen: Newest, shown: Newest, now_us: int) -> tuple[AssetState, Health]:
    judged = shown.of(kind.watched)
    if kind.derived:
        judged = judged.beside([_derive(kind, derived, seen, shown, now_us) for derived in kind.derived])
    return health.tick(state, rules, judged.values, judged.quality, judged.times_us, now_us)


def _derive(kind: AssetClass, derived: Derived, seen: Newest, shown: Newest, now_us: int) -> Newest:
    """(assets, 1): as new as its newest input, as good as its worst; none where no input is new.

    An input outside its own range, or stale, makes it bad: no formula runs on what would not be believed by itself.
    """
    inputs, own = seen.under(shown).of(derived.of), [kind.roles[at] for at in derived.of]
    value, usable = FORMULAS[derived.formula].compute([inputs.values[:, at] for at in range(len(own))], derived.constant)
    for at, role in enumerate(own):
        usable = usable & (inputs.values[:, at] >= role.low) & (inputs.values[:, at] <= role.high)
    heard = ((now_us - inputs.times_us) <= kind.stale_us).all(axis=1)
    doubt = np.where(heard, np.where(usable, quality.GOOD, quality.BAD_OUT_OF_RANGE), quality.BAD_NO_COMMUNICATION)
    code = np.maximum(inputs.quality.max(axis=1), doubt).astype(np.uint32)
    fresh = (shown.of(derived.of).times_us > 0).any(axis=1)
    return Newest(np.where(fresh, inputs.times_us.max(axis=1), 0)[:, None], value[:, None], code[:, None])


def _worn(wear: WearState, judged: Health, moved: Bools, now_us: int) -> WearState:
    """Wear is learned from the change of the level between the ends of hours: within one the level is a filter's output, not wear."""
    counts = moved & (judged.state != HealthState.NOT_EVALUATED)
    ended = counts & (wear.last_us > 0) & (now_us // HOUR_US > wear.last_us // HOUR_US)
    belief, anchor, anchor_us = wear.belief, wear.anchor, wear.anchor_us
    if ended.any():
        rise = wear.last - anchor
        days = (wear.last_us - anchor_us) / DAY_US
        usable = ended & (anchor_us > 0) & (np.abs(rise) <= MOST_WEAR)
        belief = belief.updated(rise[:, None], days[:, None], usable[:, None])
        anchor, anchor_us = np.where(ended, wear.last, anchor), np.where(ended, wear.last_us, anchor_us)
    return WearState(belief, anchor, anchor_us, np.where(counts, 1.0 - judged.index, wear.last), np.where(counts, now_us, wear.last_us))


def _told(
    kind: AssetClass, assets: tuple[Asset, ...], state: AssetState, judged: Health, wear: WearState, rules: TagRules
) -> list[AssetHealth]:
    weight = rules.required / rules.required.sum(axis=1, keepdims=True)
    trusted = np.clip((judged.trust * weight).sum(axis=1), 0.0, 1.0)
    belief = (wear.belief.mean, wear.belief.time, wear.belief.shape, wear.belief.spread)
    found = []
    for row, asset in enumerate(assets):
        index, low, high = (float(column[row]) for column in (judged.index, judged.low, judged.high))
        found.append(
            AssetHealth(
                asset.name,
                index,
                low,
                high,
                HealthState(int(judged.state[row])).name.lower().replace("_", " "),
                float(trusted[row]),
                float(state.evidence[row]),
                _reasons(kind, asset, judged, row),
                _stale(kind, asset, judged, row),
                1.0 - index,
                (high - low) / 4,
                Wear(*(float(column[row]) for column in belief)),
            )
        )
    return found


def _reasons(kind: AssetClass, asset: Asset, judged: Health, row: int) -> tuple[Reason, ...]:
    bound = {binding.role: binding.tag for binding in asset.tags}
    found = []
    for at, share in zip(judged.top[row].tolist(), judged.top_share[row].tolist(), strict=True):
        if share > 0:
            tags = tuple(bound[role] for role in _inputs(kind, at) if role in bound)
            found.append(Reason(kind.columns[at].name, share, tags))
    return tuple(found)


def _stale(kind: AssetClass, asset: Asset, judged: Health, row: int) -> tuple[str, ...]:
    bound = {binding.role: binding.tag for binding in asset.tags}
    late = [at for at in range(len(kind.watched)) if judged.flags[row, at] & DROPOUT]
    return tuple(bound[role] for at in late for role in _inputs(kind, at) if role in bound)


def _inputs(kind: AssetClass, column: int) -> tuple[str, ...]:
    """Names of the roles behind a column of health."""
    if column < len(kind.watched):
        return (kind.roles[kind.watched[column]].name,)
    return tuple(kind.roles[at].name for at in kind.derived[column - len(kind.watched)].of)
