"""The gates: what holds for every rule and every parameter, whatever they are about."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cloud.compliance.parameters import ParameterSet, Undetermined, Value, shipped
from cloud.compliance.rules import Outcome, evaluate
from cloud.compliance.table import BY_ID, RULES
from cloud.compliance.unbuilt import UNBUILT, WATCHED
from tests.cloud.compliance import emir_cases, guyana_cases, mifid_cases, plant_cases, remit_cases, sharia_cases, us_cases
from tests.cloud.compliance.rule_cases import RuleCase

LAW = shipped()
CASES: list[RuleCase] = [
    *emir_cases.CASES,
    *mifid_cases.CASES,
    *remit_cases.CASES,
    *us_cases.CASES,
    *guyana_cases.CASES,
    *sharia_cases.CASES,
    *plant_cases.CASES,
]


def outcome(case: RuleCase, law: ParameterSet = LAW) -> Outcome:
    return evaluate(BY_ID[case.rule], "case", case.facts, law, case.as_of, case.scenarios).outcome


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_decides_its_case(case: RuleCase) -> None:
    found = evaluate(BY_ID[case.rule], "case", case.facts, LAW, case.as_of, case.scenarios)
    assert found.outcome is case.outcome, found.text()
    assert found.why


def test_no_two_rules_share_an_id() -> None:
    assert len(BY_ID) == len(RULES)


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.id)
def test_every_rule_has_a_case_of_each_outcome_and_a_citation(one: Any) -> None:
    assert {case.outcome for case in CASES if case.rule == one.id} == set(Outcome)
    assert one.cites
    assert all(one.cites)


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.id)
def test_a_rule_uses_the_parameters_it_names_and_no_other(one: Any) -> None:
    seen: set[str] = set()

    class Watched(ParameterSet):
        def used(self, name: str, *rest: Any) -> Any:
            seen.add(name)
            return LAW.used(name, *rest)

    for case in CASES:
        if case.rule == one.id:
            outcome(case, Watched(LAW.parameters))
    assert seen == set(one.params)


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.id)
def test_a_rule_with_no_parameters_at_all_in_force_passes_nothing_that_needs_one(one: Any) -> None:
    class Empty(ParameterSet):
        def used(self, name: str, *rest: Any) -> Any:
            raise Undetermined(f"{name}: no value in force")

    found = {outcome(case, Empty(LAW.parameters)) for case in CASES if case.rule == one.id and case.outcome is Outcome.PASS}
    assert found <= ({Outcome.INDETERMINATE} if one.params else {Outcome.PASS})


def mutants(value: Value) -> Iterator[Value]:
    if isinstance(value, Decimal):
        yield from (value * 3 + 1, (value / 2).to_integral_value() - 1)
    elif isinstance(value, tuple):
        yield from (value[1:] or ("none",), value[:-1] or ("none",))
    else:
        yield "none"


@pytest.mark.parametrize("name", sorted({name for one in RULES for name in one.params}))
def test_changing_a_value_of_a_parameter_changes_a_case(name: str) -> None:
    parameter = LAW.parameters[name]
    concerned = [case for case in CASES if name in BY_ID[case.rule].params]
    for index, dated in enumerate(parameter.values):
        if dated.value is None:
            continue
        changed = []
        for value in mutants(dated.value):
            values = (*parameter.values[:index], replace(dated, value=value), *parameter.values[index + 1 :])
            law = ParameterSet({**LAW.parameters, name: replace(parameter, values=values)})
            changed.append(any(tried(case, law) is not case.outcome for case in concerned))
        assert any(changed), f"{name} from {dated.start}: no case notices a change"


def tried(case: RuleCase, law: ParameterSet) -> Outcome | None:
    """None where the changed value is none the rule can take at all."""
    try:
        return outcome(case, law)
    except ValueError:
        return None


def test_every_shipped_parameter_belongs_to_a_rule() -> None:
    assert set(LAW.parameters) == {name for one in RULES for name in one.params}


def test_what_ended_is_over_and_not_unknown() -> None:
    case = next(case for case in CASES if case.rule == "MF-01" and case.as_of == mifid_cases.LAST)
    assert outcome(case) is Outcome.PASS
    assert outcome(replace(case, as_of=mifid_cases.AFTER)) is Outcome.NOT_APPLICABLE


def test_every_rule_of_the_tables_is_built_or_said_not_to_be() -> None:
    tables = {
        "E": 13, "MF": 9, "A": 12, "R": 14, "ME": 10, "C": 5, "C-T": 14, "F": 9, "S": 5, "P": 5, "U": 13, "G": 16, "SH": 16,
    }  # fmt: skip
    named = {
        f"{prefix}{number:02}" if prefix == "C-T" else f"{prefix}-{number:02}"
        for prefix, most in tables.items()
        for number in range(1, most + 1)
    }
    assert set(UNBUILT) | set(BY_ID) | set(WATCHED) == named
    assert not set(UNBUILT) & set(BY_ID)
    assert not set(UNBUILT) & set(WATCHED)
    assert all(reason.strip() for reason in UNBUILT.values())
