"""A meter's samples of a period into amounts by the hour: what was measured, bridged, missing, excluded and why.

Not for gases (`accounts`). An hour that is over needs three quarters of its time known, and then stands for all of it; the hour that is not
over counts what is known of it and no more. Hours without enough samples are absent, never zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from cloud.esg import Bools, EsgError, Floats
from cloud.esg.meters import Cleaned, Columns, Excluded, Origin, Rules, clean
from cloud.esg.readings import Reads
from cloud.esg.register import Meter
from cloud.esg.spans import DAY_US, HOUR_US, Times, both, counted, extremes, integrals, spans
from cloud.esg.units import Quantity, Unit
from protocols import quality
from protocols.batch.bundle import Samples

LEAST_COVERED: Final = 0.75  # of an hour, to stand for all of it
HOUR_S: Final = 3600.0
BAR: Final = {Origin.MEASURED: "m", Origin.BRIDGED: "b", Origin.MODELLED: "d", Origin.MISSING: "x"}
NEVER_FROZEN: Final = Rules(frozen_hours=1_000_000)  # a counter that stands still says zero
Companion = tuple[Meter, Samples, float]  # another meter, its samples and its limit
NO_SAMPLES: Final = Samples(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint32))


@dataclass(frozen=True, slots=True)
class Metered:
    """amount: of all hours that have a value, bridged ones included. bar: a letter for each hour: m measured, b bridged, x missing, o open,
    . ahead. hourly: the amount of each. special: share of the amount that came while the companion was below its limit (a pilot: out)."""

    amount: float
    unit: Unit
    bar: str
    hourly: tuple[float, ...]
    excluded: Mapping[str, int]
    known_s: float
    special: float = 0.0

    @property
    def quantity(self) -> Quantity:
        return Quantity(max(self.amount, 0.0), self.unit)

    def hours(self, letter: str) -> int:
        return self.bar.count(letter)


@dataclass(frozen=True, slots=True)
class Period:
    """A UTC day, as it stood at as_of_us."""

    start_us: int
    as_of_us: int

    @property
    def end_us(self) -> int:
        return self.start_us + DAY_US

    @property
    def until_us(self) -> int:
        """What is over of it."""
        return min(max(self.as_of_us, self.start_us), self.end_us)

    @property
    def hours_over(self) -> int:
        return (self.until_us - self.start_us) // HOUR_US

    @property
    def hours(self) -> float:
        return (self.until_us - self.start_us) / HOUR_US

    @property
    def open(self) -> bool:
        return self.until_us < self.end_us


@dataclass(frozen=True, slots=True)
class _Hours:
    """Per whole hour and for the open one: what the meter's unit adds up to, seconds known, highest value, special share's amount."""

    amount: Floats
    known_s: Floats
    highest: Floats
    special: Floats


def of_day(meter: Meter, samples: Samples, period: Period, companion: Companion | None = None) -> Metered:
    """companion: another meter with its samples and a limit: where it is unknown, so is this one; below the limit is `special`."""
    edges = period.start_us + HOUR_US * np.arange(25, dtype=np.int64)
    edges = np.unique(np.minimum(edges, period.until_us))
    over = period.hours_over
    if edges.size < 2:
        return Metered(0.0, _unit(meter), "." * 24, (0.0,) * 24, {}, 0.0)
    found = _hours(meter, samples, edges, companion)
    cleaned = _cleaned(meter, found, over)
    amounts, factor = np.zeros(24), meter.reading.factor
    amounts[:over] = cleaned.values[0] * factor
    bar = "".join(BAR[Origin(code)] for code in cleaned.origin[0].tolist())
    reasons = {each.name.lower().replace("_", " "): int(cleaned.reasons(each)[0]) for each in Excluded if each is not Excluded.NO}
    if over < edges.size - 1:
        wrong = "negative" if found.amount[over] < 0.0 else "above range" if found.highest[over] > meter.high else ""
        amounts[over] = 0.0 if wrong else found.amount[over] * factor
        reasons[wrong] = reasons.get(wrong, 0) + 1 if wrong else 0
    bar = (bar + "o" * (edges.size - 1 - over)).ljust(24, ".")
    used = np.zeros(edges.size - 1, dtype=np.bool_)
    used[:over] = cleaned.origin[0] == Origin.MEASURED
    used[over:] = True
    return Metered(
        float(amounts.sum()),
        _unit(meter),
        bar,
        tuple(float(each) for each in amounts),
        {name: count for name, count in reasons.items() if count},
        float(found.known_s.sum()),
        _share(found, used),
    )


def of_interval(meter: Meter, samples: Samples, from_us: int, to_us: int, companion: Companion | None = None) -> Metered:
    """Exactly what is known of from_us <= time < to_us; nothing is bridged and nothing is scaled up. bar is empty.

    Samples above the range are as good as none; a sum below zero is not known.
    """
    samples, above = _within_range(meter, samples, from_us, to_us)
    found = _hours(meter, samples, np.array([from_us, to_us], dtype=np.int64), companion)
    reason = {"above range": above} if above else {}
    amount, known_s = float(found.amount[0]), float(found.known_s[0])
    if amount < 0.0:
        amount, known_s, reason = 0.0, 0.0, {**reason, "negative": 1}
    elif meter.reading.reads is Reads.TOTAL and amount * HOUR_S > meter.high * max(known_s, 1.0):
        amount, known_s, reason = 0.0, 0.0, {"above range": 1}
    return Metered(amount * meter.reading.factor, _unit(meter), "", (), reason, known_s, _share(found, np.ones(1, dtype=np.bool_)))


def _within_range(meter: Meter, samples: Samples, from_us: int, to_us: int) -> tuple[Samples, int]:
    """The samples of a rate with those above the range called bad, and how many those are within the stretch."""
    if meter.reading.reads is Reads.TOTAL:
        return samples, 0
    above = samples.values > meter.high
    codes = np.where(above, np.uint32(quality.BAD_OUT_OF_RANGE), samples.quality).astype(np.uint32)
    inside = above & (samples.times_us >= from_us) & (samples.times_us < to_us)
    return Samples(samples.times_us, samples.values, codes), int(np.count_nonzero(inside))


def _unit(meter: Meter) -> Unit:
    if meter.reading.unit is None:
        raise EsgError(f"{meter.name}: is a level, expected a meter of amounts")
    return meter.reading.unit


def _hours(meter: Meter, samples: Samples, edges: Times, companion: Companion | None) -> _Hours:
    """In units of the meter: of a rate per hour the hours are counted, of a total its advance."""
    if meter.reading.reads is Reads.TOTAL:
        ran, known_s = counted(samples, meter.hold_us, edges)
        return _Hours(ran, known_s, np.where(known_s > 0, ran, 0.0), np.zeros(ran.size))
    first, last = int(edges[0]), int(edges[-1])
    known = spans(samples, meter.hold_us, first, last)
    low_weight: Floats | None = None
    if companion is not None:
        other, their_samples, limit = companion
        known, theirs = both(known, spans(their_samples, other.hold_us, first, last))
        low_weight = (theirs <= limit).astype(np.float64)
    summed, known_s = integrals(known, edges)
    special = integrals(known, edges, low_weight)[0] if low_weight is not None else np.zeros(summed.size)
    lowest, highest = extremes(known, edges)
    steady = np.isfinite(lowest) & (lowest == highest)
    summed = np.where(steady, np.nan_to_num(lowest) * known_s, summed)  # so that a frozen meter shows the same number in every hour
    return _Hours(summed / HOUR_S, known_s, np.nan_to_num(highest, nan=0.0), special / HOUR_S)


def _cleaned(meter: Meter, found: _Hours, over: int) -> Cleaned:
    """Hours that are over. An hour in which the meter was above its range is shown at its highest, so that the rules see it."""
    present = found.known_s[:over] >= LEAST_COVERED * HOUR_S
    total = meter.reading.reads is Reads.TOTAL
    whole = found.amount[:over] if total else _steady_mean(found, over)
    values = np.where(found.highest[:over] > meter.high, found.highest[:over], whole)
    columns = Columns(np.where(present, values, 0.0)[None, :], present[None, :])
    return clean(columns, np.array([meter.high]), NEVER_FROZEN if total else Rules())


def _steady_mean(found: _Hours, over: int) -> Floats:
    """The mean over what is known, as a whole hour's amount. Rounded in the 13th digit, which how the known time was cut decides."""
    seconds = np.maximum(found.known_s[:over], 1e-9)
    mean = found.amount[:over] * HOUR_S / seconds
    return np.array([float(f"{each:.12g}") for each in mean.tolist()])


def _share(found: _Hours, used: Bools) -> float:
    whole, part = float(found.amount[used].sum()), float(found.special[used].sum())
    return min(max(part / whole, 0.0), 1.0) if whole > 0.0 else 0.0
