"""The score: linear, so that it explains itself. Weights times metric scores, an interval, coverage, exact contributions, legal caps.

Not a rating and not the implied temperature rise, which stands beside it (`temperature`). A metric nobody measured is 0 to 100, never 50; a
breach of a legal rule caps its topic, measured or not, and is named. Sums are exact (fractions): contributions add up to the score less 50.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Final

from cloud.esg import EsgError, finite
from cloud.esg.gases import DATA
from protocols.tomlfile import TomlFile

MIDDLE: Final = Fraction(50)
FULL: Final = Fraction(100)
CAP: Final = Fraction(40)
LEAST_COVERAGE: Final = Fraction(7, 10)


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured figure between its `best` and `worst`, which hold `since` a day by a `reference`. `value` is None when nobody measured it."""

    name: str
    topic: str
    value: float | None
    u95_pct: float
    best: float
    worst: float
    since: date
    reference: str

    def __post_init__(self) -> None:
        if finite(f"{self.name}: best", self.best) == finite(f"{self.name}: worst", self.worst):
            raise EsgError(f"{self.name}: best and worst are both {self.best:g}")
        finite(f"{self.name}: u95_pct", self.u95_pct, low=0.0)
        if self.value is not None:
            finite(f"{self.name}: value", self.value)
        if not self.reference.strip():
            raise EsgError(f"{self.name}: best and worst need a reference")


@dataclass(frozen=True, slots=True)
class Breach:
    """A legal rule found FAIL, and the topic it caps."""

    rule: str
    topic: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """w (s - 50) of one topic; `points` is None where it counts for nothing: not measured, nothing broken."""

    topic: str
    weight: Fraction
    points: Fraction | None
    low: Fraction
    high: Fraction
    capped_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is None below 70 % coverage; it is over what was measured or broken, `low`..`high` over everything."""

    value: Fraction | None
    low: Fraction
    high: Fraction
    coverage: Fraction
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class _Topic:
    """`measured` share of its metrics; `counted` share of its weight in the single number: all of it where a rule is broken."""

    measured: Fraction
    counted: Fraction
    point: Fraction
    low: Fraction
    high: Fraction
    capped_by: tuple[str, ...]


def default_weights(path: Path = DATA / "score.toml") -> Mapping[str, int]:
    """Topic to weight, as shipped. Raises ConfigError unless they sum to 100."""
    root = TomlFile.read(path).root
    root.text("reference")
    weights = root.section("weights")
    found = {topic: weights.integer(topic, low=1, high=100) for topic in weights.keys}
    if sum(found.values()) != 100:
        raise root.error("weights", f"weights: expected a sum of 100, found {sum(found.values())}")
    root.done()
    return found


def score(metrics: Sequence[Metric], weights: Mapping[str, int | Fraction], breaches: Sequence[Breach] = ()) -> Score:
    """Topics weigh as told, metrics within a topic alike."""
    _check(metrics, weights, breaches)
    whole = sum((Fraction(weight) for weight in weights.values()), Fraction(0))
    shares = {topic: Fraction(weight) / whole for topic, weight in weights.items()}
    topics = {topic: _topic([m for m in metrics if m.topic == topic], [b.rule for b in breaches if b.topic == topic]) for topic in weights}
    coverage = sum((shares[name] * topic.measured for name, topic in topics.items()), Fraction(0))
    counted = sum((shares[name] * topic.counted for name, topic in topics.items()), Fraction(0))
    contributions = tuple(_contribution(name, shares[name], topic, counted) for name, topic in topics.items())
    value = MIDDLE + sum((each.points for each in contributions if each.points is not None), Fraction(0))
    low = sum((shares[name] * topic.low for name, topic in topics.items()), Fraction(0))
    high = sum((shares[name] * topic.high for name, topic in topics.items()), Fraction(0))
    return Score(value if coverage >= LEAST_COVERAGE else None, low, high, coverage, contributions)


def _check(metrics: Sequence[Metric], weights: Mapping[str, int | Fraction], breaches: Sequence[Breach]) -> None:
    if not weights or any(weight <= 0 for weight in weights.values()):
        raise EsgError("weights: expected at least one, all positive")
    names = [metric.name for metric in metrics]
    if len(set(names)) != len(names):
        raise EsgError(f"metrics: expected each once, found {', '.join(sorted(n for n in set(names) if names.count(n) > 1))} twice")
    strange = ({metric.topic for metric in metrics} | {breach.topic for breach in breaches}) - set(weights)
    if strange:
        raise EsgError(f"topic {', '.join(sorted(strange))}: has no weight")


def metric_score(metric: Metric, value: float) -> Fraction:
    """100 clip((worst - x) / (worst - best), 0, 1)."""
    best, worst = Fraction(metric.best), Fraction(metric.worst)
    return FULL * min(max((worst - Fraction(value)) / (worst - best), Fraction(0)), Fraction(1))


def _topic(metrics: Sequence[Metric], rules: Sequence[str]) -> _Topic:
    points, lows, highs = [], [], []
    for metric in metrics:
        if metric.value is None:
            lows.append(Fraction(0))
            highs.append(FULL)
            continue
        off = abs(metric.value) * metric.u95_pct / 100.0
        edges = metric_score(metric, metric.value - off), metric_score(metric, metric.value + off)
        points.append(metric_score(metric, metric.value))
        lows.append(min(edges))
        highs.append(max(edges))
    cap = CAP if rules else FULL
    measured = Fraction(len(points), len(metrics)) if metrics else Fraction(0)
    point = sum(points, Fraction(0)) / len(points) if points else cap
    low, high = (sum(edge, Fraction(0)) / len(edge) if edge else none for edge, none in ((lows, Fraction(0)), (highs, FULL)))
    return _Topic(measured, Fraction(1) if rules else measured, min(point, cap), min(low, cap), min(high, cap), tuple(rules))


def _contribution(name: str, weight: Fraction, topic: _Topic, counted: Fraction) -> Contribution:
    points = weight * topic.counted / counted * (topic.point - MIDDLE) if topic.counted else None
    return Contribution(name, weight, points, weight * (topic.low - MIDDLE), weight * (topic.high - MIDDLE), topic.capped_by)


@dataclass(frozen=True, slots=True)
class Stability:
    """How score and rank move when every weight may be a fifth more or less: per company lowest and highest of each."""

    scores: Mapping[str, tuple[Fraction, Fraction]]
    ranks: Mapping[str, tuple[int, int]]


def stability(companies: Mapping[str, Sequence[Metric]], weights: Mapping[str, int], breaches: Mapping[str, Sequence[Breach]]) -> Stability:
    """Every corner of +-20 % on each weight (2^topics) and the weights themselves, of companies that have a single number."""
    if len(weights) > 10:
        raise EsgError(f"weights: {len(weights)} topics have too many corners, expected at most 10")
    found: dict[str, list[Fraction]] = {name: [] for name in companies}
    ranks: dict[str, list[int]] = {name: [] for name in companies}
    for signs in (*itertools.product((-1, 1), repeat=len(weights)), (0,) * len(weights)):
        moved = {topic: Fraction(weight) * (5 + sign) / 5 for (topic, weight), sign in zip(weights.items(), signs, strict=True)}
        values = {name: score(metrics, moved, breaches.get(name, ())).value for name, metrics in companies.items()}
        known = {name: value for name, value in values.items() if value is not None}
        for name, value in known.items():
            found[name].append(value)
            ranks[name].append(1 + sum(other > value for other in known.values()))
    return Stability(
        {name: (min(values), max(values)) for name, values in found.items() if values},
        {name: (min(values), max(values)) for name, values in ranks.items() if values},
    )
