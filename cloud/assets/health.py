"""Health of assets: an index 0-1 with an interval, a state, and the tags that explain it; all assets of a class in one pass.

    sample -> trust.tick -> features.tick -> chance of such a drift on a sound asset -> s = EWMA(-log10 p) -> index = 1 - max(0, s - 1) / 5

Rules: a tag without a usable sample (bad, refused or stale) can keep up what is known against the asset and can never add to it, so
bad data neither lower the index nor hide a fault that was seen before; they widen the interval, exactly as much as trust is missing.
An asset without any new sample stays as it is. With less than half of the required tags usable, nothing is claimed: NOT_EVALUATED,
interval 0-1. The number of tests in the multiplicity correction is that of the class, not of the tags present.
"""

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cloud.assets import Bools, Floats, features, numbers, trust
from cloud.assets.features import Features
from cloud.assets.trust import TagRules, TagState

SMOOTHING: Final = 0.2
SUSPECT_ABOVE: Final = 1.0
SPAN: Final = 5.0
NARROWEST: Final = 0.04
TOP: Final = 5
_LN10: Final = float(np.log(10.0))
_MOST: Final = 300.0  # of -log10 p


class HealthState(enum.IntEnum):
    GOOD = 0
    WATCH = 1
    WARNING = 2
    CRITICAL = 3
    NOT_EVALUATED = 4


LIMITS: Final = (0.80, 0.60, 0.40)  # below: watch, warning, critical


@dataclass(frozen=True, slots=True)
class AssetState:
    """All that is carried from tick to tick for the assets of a class; `evidence`: smoothed -log10 p, (assets,)."""

    tags: TagState
    features: Features
    evidence: Floats

    @classmethod
    def start(cls, assets: int, tags: int) -> "AssetState":
        return cls(TagState.start(assets, tags), Features.start(assets, tags), np.zeros(assets))


@dataclass(frozen=True, slots=True)
class Health:
    """index in [low, high], state: HealthState; all (assets,). trust, evidence: (assets, tags), the latter -log10 p of each tag alone.

    top: (assets, 5) tag positions with the most evidence first; their share of all evidence in `top_share` (0: explains nothing).
    """

    index: Floats
    low: Floats
    high: Floats
    state: NDArray[np.int8]
    trust: Floats
    flags: NDArray[np.uint8]
    evidence: Floats
    top: NDArray[np.intp]
    top_share: Floats


def tick(
    state: AssetState,
    rules: TagRules,
    values: Floats,
    quality: NDArray[np.uint32],
    times_us: NDArray[np.int64],
    now_us: int | NDArray[np.int64],
    detected: Floats | None = None,
) -> tuple[AssetState, Health]:
    """One sample of each tag of each asset, shapes (assets, tags); values may be NaN where quality is bad. Nothing returned is NaN.

    detected: (assets,), the larger of T2's and Q's -log10 p of a class that has a detector (`detect.score`); it counts as two more tests.
    """
    tags, gate = trust.tick(state.tags, rules, values, quality, times_us, now_us)
    suspect = state.evidence > SUSPECT_ABOVE
    seen = features.tick(state.features, values, gate.accepted, suspect, rules.deviation, rules.learn, rules.adapt)
    learned = seen.learned(rules.learn)
    usable = gate.usable & learned
    found = np.where(learned, surprise(seen.drift(rules.deviation)), 0.0)
    correction = np.log10(found.shape[1] + (0 if detected is None else 2))
    seen_now = np.where(usable, found, 0.0).max(axis=1)
    if detected is not None:
        seen_now = np.maximum(seen_now, numbers("detected", detected, low=0))
    known = np.where(usable, 0.0, found).max(axis=1)
    worst = np.maximum(seen_now - correction, np.minimum(np.maximum(known - correction, 0.0), state.evidence))
    moved = gate.fresh.any(axis=1)
    evidence = np.where(moved, state.evidence + SMOOTHING * (np.maximum(worst, 0.0) - state.evidence), state.evidence)
    return AssetState(tags, seen, evidence), assess(evidence, found, usable, gate, rules)


def surprise(drift: Floats) -> Floats:
    """-log10 of the two-sided normal tail probability of `drift`, at most 300."""
    return np.asarray(np.minimum(-(special.log_ndtr(-np.abs(drift)) + np.log(2.0)) / _LN10, _MOST))


def assess(evidence: Floats, found: Floats, usable: Bools, gate: trust.Gate, rules: TagRules) -> Health:
    """From smoothed evidence (assets,) and each tag's own (assets, tags) to the index, its interval and its reasons."""
    index = index_of(evidence)
    weight = rules.required / rules.required.sum(axis=-1, keepdims=True)
    missing = 1.0 - (np.where(usable, gate.trust, 0.0) * weight).sum(axis=1)
    evaluated = (usable * weight).sum(axis=1) >= 0.5 - 1e-9
    low, high = interval(index, np.where(evaluated, missing, 1.0))
    state = np.where(evaluated, np.digitize(-index, [-limit for limit in LIMITS], right=True), HealthState.NOT_EVALUATED).astype(np.int8)
    top, share = contributions(found)
    return Health(index, low, high, state, gate.trust, gate.flags, found, top, share)


def index_of(evidence: Floats) -> Floats:
    """1 - min(1, max(0, s - 1) / 5)."""
    return 1.0 - np.clip((evidence - SUSPECT_ABOVE) / SPAN, 0.0, 1.0)


def interval(index: Floats, missing: Floats) -> tuple[Floats, Floats]:
    """(low, high) around the index, inside 0-1, as wide as NARROWEST with nothing missing and 1 with everything missing.

    The width depends on the missing share alone, so it can only grow with it.
    """
    width = NARROWEST + (1.0 - NARROWEST) * np.clip(missing, 0.0, 1.0)
    low = np.clip(index - width / 2, 0.0, 1.0 - width)
    return low, low + width


def contributions(found: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The tags with the most evidence of each asset, most first, and their shares."""
    count = min(TOP, found.shape[1])
    some = np.argpartition(found, -count, axis=1)[:, -count:] if count < found.shape[1] else np.broadcast_to(np.arange(count), found.shape)
    own = np.take_along_axis(found, some, axis=1)
    order = np.argsort(-own, axis=1, kind="stable")
    total = found.sum(axis=1, keepdims=True)
    share = np.take_along_axis(own, order, axis=1) / np.where(total > 0, total, 1.0)
    return np.take_along_axis(some, order, axis=1), share
