"""The score of a period as an evidence row says it: metrics of the register, their figures, breaches that cap a topic. Pure.

Not for the arithmetic (`score`) or the figures (`measures`). A metric whose figure is not known is open, 0 to 100, and says why.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from cloud.esg import measures as registered
from cloud.esg.register import Register, Target
from cloud.esg.score import Breach, Contribution, Metric, metric_score, score, stability
from protocols.batch import evidence

SCORE: Final = "score"
FAIL: Final = "FAIL"
Output = dict[str, Any]


def failed_rules(finding: Mapping[str, Any]) -> tuple[str, ...]:
    """The rules that a stored run of compliance found broken."""
    rules, outcomes = finding["rules"], finding["outcomes"]
    pairs = zip(evidence.array(finding["rule"]).tolist(), evidence.array(finding["outcome"]).tolist(), strict=True)
    return tuple(sorted({rules[rule] for rule, outcome in pairs if outcomes[outcome] == FAIL}))


def standing(register: Register, measured: Sequence[Any], inventory: Mapping[str, Any], broken: Sequence[str]) -> Output:
    """broken: rules found FAIL; those that the register gives a topic cap it, the others are listed."""
    known = registered.figures(measured, inventory)
    metrics = [_metric(target, known.get(target.figure)) for target in register.targets]
    caps = [Breach(rule, register.caps[rule]) for rule in broken if rule in register.caps]
    found = score(metrics, register.weights, caps)
    moved = stability({"own": metrics}, register.weights, {"own": caps}).scores.get("own")
    return {
        "from": inventory["from"],
        "to": inventory["to"],
        "value": _number(found.value),
        "exact": None if found.value is None else str(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "coverage": float(found.coverage),
        "contributions": [_contribution(one) for one in found.contributions],
        "metrics": [_shown(target, metric, known.get(target.figure)) for target, metric in zip(register.targets, metrics, strict=True)],
        "broken": list(broken),
        "weights_moved": None if moved is None else {"low": float(moved[0]), "high": float(moved[1])},
    }


def _metric(target: Target, known: registered.Known | None) -> Metric:
    value = None if known is None else known.value
    return Metric(target.name, target.topic, value, target.u95_pct, target.best, target.worst, target.since, target.reference)


def _contribution(one: Contribution) -> Output:
    return {
        "topic": one.topic,
        "weight": float(one.weight),
        "points": _number(one.points),
        "exact": None if one.points is None else str(one.points),
        "low": float(one.low),
        "high": float(one.high),
        "capped_by": list(one.capped_by),
    }


def _shown(target: Target, metric: Metric, known: registered.Known | None) -> Output:
    return {
        "name": target.name,
        "topic": target.topic,
        "figure": target.figure,
        "value": metric.value,
        "unit": "" if known is None else known.unit,
        "why": f"no figure is called {target.figure}" if known is None else known.why,
        "score": None if metric.value is None else float(metric_score(metric, metric.value)),
        "best": target.best,
        "worst": target.worst,
        "since": target.since.isoformat(),
        "reference": target.reference,
        "u95_pct": target.u95_pct,
    }


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
