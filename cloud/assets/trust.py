"""The quality gate: which samples may shape a level, and how far each tag can be trusted (0-1).

Only a sample of good quality that is a number, in range, not faster than the tag can move, and not stuck while its neighbours move
is accepted; nothing else ever enters a level. Distrust widens the interval of an asset's health and never lowers the health itself.
State is O(1) per tag, arrays of shape (assets, tags) for all assets of a class.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats, numbers
from cloud.assets.features import ADAPT

GOOD_SHARE_S: Final = 600.0
STUCK_SAMPLES: Final = 20
STUCK_S: Final = 60.0
DROPOUT_POLLS: Final = 3

RANGE, RATE, STUCK, DROPOUT = 1, 2, 4, 8
# How much of a tag's trust a failed test takes.
WEIGHT: Final[dict[int, float]] = {RANGE: 0.5, RATE: 0.3, STUCK: 0.8, DROPOUT: 0.8}
_KEPT: Final = np.array([np.prod([1.0 - weight for bit, weight in WEIGHT.items() if flags & bit]) for flags in range(16)])


@dataclass(frozen=True, slots=True)
class TagRules:
    """What is plausible for the tags of a class, arrays of shape (tags,).

    low, high: range in the tag's unit; rate: most change per second; resolution: smallest change that counts as movement; least_deviation:
    of a baseline, None: the resolution; poll_s: time between samples; rests: may stand still (setpoints, positions); required: health needs it, may
    differ by asset, (assets, tags); learn: samples of an asset's baseline; adapt: weight
    per sample with which it follows afterwards, 0: it stands still until an overhaul.
    """

    low: Floats
    high: Floats
    rate: Floats
    resolution: Floats
    poll_s: Floats
    rests: Bools
    required: Bools
    learn: int = 300
    adapt: float = ADAPT
    least_deviation: Floats | None = None

    @property
    def deviation(self) -> Floats:
        """The least deviation of a baseline."""
        return self.resolution if self.least_deviation is None else self.least_deviation

    def checked(self) -> "TagRules":
        """Itself. Raises AssetError."""
        for name in ("low", "high", "rate"):
            numbers(name, getattr(self, name), infinite=True)
        numbers("resolution", self.resolution, low=1e-300)
        numbers("least_deviation", self.deviation, low=1e-300)
        numbers("poll_s", self.poll_s, low=1e-9)
        if (
            np.any(self.high <= self.low)
            or np.any(self.rate <= 0)
            or not self.required.any(axis=-1).all()
            or self.learn < 2
            or not 0 <= self.adapt <= 0.1
        ):
            raise AssetError("rules: expected low < high, rate > 0, learn >= 2, adapt from 0 to 0.1 and at least one required tag")
        return self


@dataclass(frozen=True, slots=True)
class TagState:
    """last: latest number that came; last_us, good_us: times of the latest sample and the latest good one; still, still_s: samples
    and seconds without movement while neighbours moved, gaps left out; good_share: share of time with good samples over ten minutes; taken:
    the latest sample was accepted."""

    last: Floats
    last_us: NDArray[np.int64]
    good_us: NDArray[np.int64]
    still: NDArray[np.int32]
    still_s: Floats
    good_share: Floats
    taken: Bools

    @classmethod
    def start(cls, assets: int, tags: int) -> "TagState":
        shape = (assets, tags)
        never = np.zeros(shape, dtype=np.int64)
        return cls(
            np.zeros(shape), never, never, np.zeros(shape, dtype=np.int32), np.zeros(shape), np.ones(shape), np.zeros(shape, dtype=bool)
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """accepted: the sample may shape levels; fresh: there is a new one; usable: the latest sample was accepted and is not stale;
    flags: RANGE | RATE | STUCK | DROPOUT; trust: 0-1; all (assets, tags)."""

    accepted: Bools
    fresh: Bools
    usable: Bools
    flags: NDArray[np.uint8]
    trust: Floats


def tick(
    state: TagState,
    rules: TagRules,
    values: Floats,
    quality: NDArray[np.uint32],
    times_us: NDArray[np.int64],
    now_us: int | NDArray[np.int64],
) -> tuple[TagState, Gate]:
    """One sample of each tag; values may hold NaN; times_us and now_us broadcast to (assets, tags). A tag without a new sample repeats its
    time or gives an earlier one, and then its value and quality mean nothing."""
    known = state.last_us > 0
    fresh = times_us > state.last_us
    real = np.isfinite(values)
    value = np.where(real, values, state.last)
    good = fresh & real & (quality < 0x4000_0000)
    seconds = np.where(known & fresh, (times_us - state.last_us) * 1e-6, 0.0)
    moved = np.abs(value - state.last)
    changed = good & (moved > rules.resolution)
    out = good & ((value < rules.low) | (value > rules.high))
    fast = good & known & (moved > np.minimum(rules.rate, 1e300) * seconds)
    heard = np.minimum(seconds, DROPOUT_POLLS * rules.poll_s)
    still, still_s = _standing_still(state, rules, fresh, changed, heard)
    stuck = (still >= STUCK_SAMPLES) & (still_s >= STUCK_S)
    good_us = np.where(good, times_us, state.good_us)
    late = (now_us - good_us) > DROPOUT_POLLS * 1e6 * rules.poll_s
    flags = (out * RANGE | fast * RATE | stuck * STUCK | late * DROPOUT).astype(np.uint8)
    silent = state.good_share * np.exp(-(seconds - heard) / GOOD_SHARE_S)  # a gap counts as bad samples would, never as a line across it
    share = silent + -np.expm1(-np.minimum(heard, GOOD_SHARE_S) / GOOD_SHARE_S) * (good - silent)
    last_us = np.where(fresh, times_us, state.last_us)
    accepted = good & ~(out | fast | stuck)
    taken = np.where(fresh, accepted, state.taken)
    after = TagState(np.where(good, value, state.last), last_us, good_us, still, still_s, share, taken)
    return after, Gate(accepted, fresh, taken & ~late, flags, share * _KEPT[flags])


def _standing_still(state: TagState, rules: TagRules, fresh: Bools, changed: Bools, seconds: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Counts go up only while another tag of the asset moves: an asset at rest has no stuck tags."""
    counts = fresh & ~changed & changed.any(axis=1, keepdims=True) & ~rules.rests
    still = np.where(changed, 0, state.still + counts).astype(np.int32)
    return still, np.where(changed, 0.0, state.still_s + np.where(counts, seconds, 0.0))
