"""More gates over all rules and parameters: first days, edges of thresholds, owners, reviews. A new rule without them fails here by itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cloud.compliance import rule_list
from cloud.compliance.kinds import AREAS, KINDS, area_of
from cloud.compliance.owners import OWNERS, owner_of
from cloud.compliance.parameters import DatedValue, ParameterSet, Status, shipped
from cloud.compliance.rules import Outcome, evaluate
from cloud.compliance.table import BY_ID, RULES
from cloud.compliance.unbuilt import UNBUILT, WATCHED
from tests.cloud.compliance.rule_cases import RuleCase
from tests.cloud.compliance.test_table import CASES

LAW = shipped()
DAY = timedelta(days=1)
NUMBERS = [
    (name, index)
    for name in sorted({name for one in RULES for name in one.params})
    for index, dated in enumerate(LAW.parameters[name].values)
    if isinstance(dated.value, Decimal)
]
VALUES = [(name, index) for name, one in sorted(LAW.parameters.items()) for index in range(len(one.values))]


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.id)
def test_a_rule_binds_from_its_first_day_and_not_the_day_before(one: Any) -> None:
    cases = [case for case in CASES if case.rule == one.id]
    for case in cases:
        before, first, after = (
            evaluate(one, "case", case.facts, LAW, one.applies_from + days * DAY, case.scenarios) for days in (-1, 0, 1)
        )
        assert (before.outcome, before.why) == (Outcome.NOT_APPLICABLE, f"in force from {one.applies_from} only")
        assert not first.why.startswith("in force from")
        assert not after.why.startswith("in force from")


@pytest.mark.parametrize(("name", "index"), VALUES)
def test_a_value_applies_from_its_first_day_and_not_the_day_before(name: str, index: int) -> None:
    parameter = LAW.parameters[name]
    dated = parameter.values[index]
    scenarios = frozenset({dated.scenario} - {None})
    assert parameter.at(dated.start, scenarios) is dated
    assert parameter.at(dated.start + DAY, scenarios) in (dated, _starting(parameter.values, dated.start + DAY))
    assert parameter.at(dated.start - DAY, scenarios) is not dated
    if dated.scenario is not None:
        assert parameter.at(dated.start, frozenset()) is not dated


def _starting(values: tuple[DatedValue, ...], day: date) -> DatedValue | None:
    return next((one for one in values if one.start == day), None)


def changed(name: str, index: int, value: Decimal) -> ParameterSet:
    parameter = LAW.parameters[name]
    dated = replace(parameter.values[index], value=value)
    values = (*parameter.values[:index], dated, *parameter.values[index + 1 :])
    return ParameterSet({**LAW.parameters, name: replace(parameter, values=values)})


def flipped(name: str, index: int, value: Decimal) -> Iterator[RuleCase]:
    """Cases that a change of the value decides otherwise."""
    law = changed(name, index, value)
    for case in CASES:
        if name in BY_ID[case.rule].params:
            found = evaluate(BY_ID[case.rule], "case", case.facts, law, case.as_of, case.scenarios)
            if found.outcome is not case.outcome:
                yield case


@pytest.mark.parametrize(("name", "index"), NUMBERS)
def test_some_case_stands_at_the_very_edge_of_a_figure(name: str, index: int) -> None:
    """One unit of its last digit up or down decides a case otherwise: the case is equal to the figure or next to it."""
    value = LAW.parameters[name].values[index].value
    assert isinstance(value, Decimal)
    step = Decimal(1).scaleb(min(0, int(value.as_tuple().exponent)))
    tried = [value + step, *([value - step] if value >= step else [])]
    assert any(next(flipped(name, index, one), None) for one in tried), f"{name}: add a case at {value}"


@pytest.mark.parametrize(("name", "index"), NUMBERS)
def test_cases_stand_on_either_side_of_a_figure(name: str, index: int) -> None:
    """A far larger figure decides a case otherwise, and so does a far smaller one."""
    value = LAW.parameters[name].values[index].value
    assert isinstance(value, Decimal)
    assert next(flipped(name, index, value * 3 + 1), None), f"{name}: add a case above {value}"
    lower = max((value / 2).to_integral_value() - 1, Decimal(0))
    assert not value or next(flipped(name, index, lower), None), f"{name}: add a case below {value}"


@pytest.mark.parametrize("name", [*BY_ID, *UNBUILT, *WATCHED])
def test_somebody_answers_for_every_rule(name: str) -> None:
    assert owner_of(name) in OWNERS


def test_a_rule_of_an_unknown_family_has_no_owner() -> None:
    with pytest.raises(KeyError):
        owner_of("XX-01")


def test_every_role_answers_for_some_rule() -> None:
    assert {one.owner for one in RULES} == set(OWNERS)


def test_ids_of_rules_and_parameters_are_unique_and_plain() -> None:
    names = [*BY_ID, *UNBUILT, *WATCHED]
    assert len(names) == len(set(names)) == len(RULES) + len(UNBUILT) + len(WATCHED)
    assert all(name.isascii() and name == name.strip() and " " not in name for name in (*names, *LAW.parameters))


def test_every_rule_belongs_to_an_area_and_judges_a_kind_that_can_be_handed_in() -> None:
    assert all(area_of(one) in AREAS and KINDS[one.about.__name__] is one.about for one in RULES)


@pytest.mark.parametrize("name", sorted(LAW.parameters))
def test_every_value_has_a_source_a_date_and_a_status_and_an_unconfirmed_one_decides_nothing(name: str) -> None:
    parameter = LAW.parameters[name]
    assert parameter.description
    assert parameter.unit
    assert all(one.reference.strip() and isinstance(one.start, date) and one.status in Status for one in parameter.values)
    doubtful = {one.start for one in parameter.values if one.status is Status.UNCONFIRMED}
    for rule in RULES:
        if name in rule.params:
            found = rule_list.parameter_json(parameter, LAW, max(doubtful, default=date(1900, 1, 1)), frozenset())
            assert not doubtful or found["value"] is None


def test_a_figure_nobody_looked_at_for_a_year_is_flagged_on_the_day_after() -> None:
    parameter = replace(LAW.parameters["eu.emir.report.workdays"], last_reviewed=date(2026, 2, 28))
    assert not rule_list.review_is_due(parameter, date(2027, 2, 28))
    assert rule_list.review_is_due(parameter, date(2027, 3, 1))


def test_no_shipped_figure_is_due_for_review_today() -> None:
    late = [name for name, one in LAW.parameters.items() if rule_list.review_is_due(one, date(2026, 11, 23))]
    assert late == []


def test_a_missing_fact_never_passes() -> None:
    """Facts of each kind of which nothing is known but what has to be said."""
    for case in CASES:
        known = {name: getattr(case.facts, name) for name in ("checked_on", "checked_us", "form") if hasattr(case.facts, name)}
        if None in known.values() or type(case.facts).__name__ == "Account":
            continue
        found = evaluate(BY_ID[case.rule], "case", type(case.facts)(**known), LAW, case.as_of, case.scenarios)
        assert found.outcome in (Outcome.INDETERMINATE, Outcome.NOT_APPLICABLE), found.text()
