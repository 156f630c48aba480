"""The rules as documents for people and pages: what each asks, where it stands, its figures on a day, who answers for it. Pure."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from cloud.compliance.kinds import area_of
from cloud.compliance.owners import owner_of
from cloud.compliance.parameters import Parameter, ParameterSet, Undetermined, plain
from cloud.compliance.rules import Rule
from cloud.compliance.table import RULES
from cloud.compliance.unbuilt import UNBUILT, WATCHED
from cloud.compliance.workdays import add_months

REVIEW_MONTHS: Final = 12  # a figure that nobody looked at for longer is flagged


def rules_json(law: ParameterSet, as_of: date, scenarios: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {
        "as_of": as_of.isoformat(),
        "scenarios": sorted(scenarios),
        "known_scenarios": sorted(law.known_scenarios()),
        "parameters": law.digest,
        "rules": [rule_json(one, law, as_of, scenarios) for one in RULES],
        "unbuilt": [{"id": name, "owner": owner_of(name), "reason": reason} for name, reason in sorted(UNBUILT.items())],
        "watched": [{"id": name, "owner": owner_of(name), "pattern": pattern.value} for name, pattern in sorted(WATCHED.items())],
    }


def rule_json(rule: Rule[Any], law: ParameterSet, as_of: date, scenarios: frozenset[str] = frozenset()) -> dict[str, Any]:
    parameters = [law.parameters[name] for name in rule.params]
    return {
        "id": rule.id,
        "title": rule.title,
        "area": area_of(rule),
        "citations": list(rule.cites),
        "owner": rule.owner,
        "severity": rule.severity.value,
        "applies_from": rule.applies_from.isoformat(),
        "in_force": rule.applies_from <= as_of,
        "judges": rule.about.__name__,
        "version": rule.version,
        "review_due": any(review_is_due(one, as_of) for one in parameters),
        "parameters": [parameter_json(one, law, as_of, scenarios) for one in parameters],
    }


def parameter_json(one: Parameter, law: ParameterSet, as_of: date, scenarios: frozenset[str]) -> dict[str, Any]:
    """`value` null: none that applies, and `undetermined` says why."""
    found: dict[str, Any] = {
        "id": one.id,
        "description": one.description,
        "unit": one.unit,
        "last_reviewed": one.last_reviewed.isoformat(),
        "reviewer": one.reviewer,
        "review_due": review_is_due(one, as_of),
        "value": None,
        "from": None,
        "reference": None,
        "status": None,
        "undetermined": None,
    }
    dated = one.at(as_of, scenarios)
    if dated is not None:
        found |= {"from": dated.start.isoformat(), "reference": dated.reference, "status": dated.status.value}
    try:
        found["value"] = plain(law.used(one.id, as_of, scenarios).value)
    except Undetermined as error:
        found["undetermined"] = str(error)
    return found


def review_is_due(one: Parameter, as_of: date) -> bool:
    return add_months(one.last_reviewed, REVIEW_MONTHS) < as_of


def text(document: dict[str, Any]) -> str:
    """The list as lines, for a terminal."""
    lines: list[str] = [f"law as of {document['as_of']}"]
    for one in document["rules"]:
        lines.append(f"{one['id']:6} {one['title']}  ({one['owner']}; {'; '.join(one['citations'])})")
        lines += [f"         {line}" for line in _figures(one["parameters"])]
    lines += [f"{one['id']:6} does not run: {one['reason']}" for one in document["unbuilt"]]
    lines += [f"{one['id']:6} is watched for: {one['pattern']}" for one in document["watched"]]
    return "\n".join(lines)


def _figures(parameters: Iterable[dict[str, Any]]) -> Iterable[str]:
    for one in parameters:
        late = f"; last reviewed {one['last_reviewed']}: REVIEW IT" if one["review_due"] else ""
        if one["value"] is None:
            yield f"{one['undetermined']}{late}"
        else:
            value = ", ".join(one["value"]) if isinstance(one["value"], list) else one["value"]
            yield f"{one['id']} is {value} {one['unit']} from {one['from']} ({one['status']}; {one['reference']}){late}"
