from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import document
from cloud.compliance import cftc, csrd, emir, remit
from cloud.compliance.facts import Derivative, FactsError
from cloud.compliance.parameters import shipped
from cloud.compliance.rules import Outcome, evaluate, evaluate_all, worst
from cloud.compliance.table import RULES
from tests.cloud.compliance import emir_cases, remit_cases, us_cases
from tests.cloud.compliance.rule_cases import TODAY

LAW = shipped()


def test_the_same_key_gives_the_same_bytes() -> None:
    one = evaluate(emir.reported, "deal-1", emir_cases.DEAL, LAW, TODAY)
    other = evaluate(emir.reported, "deal-1", replace(emir_cases.DEAL), shipped(), TODAY)
    assert one.key == other.key
    assert one.canonical() == other.canonical()
    assert document.parse(one.canonical())["outcome"] == "PASS"


def test_all_rules_over_one_deal_find_what_each_finds_alone() -> None:
    together = evaluate_all(RULES, "deal-1", emir_cases.DEAL, LAW, TODAY)
    alone = [evaluate(one, "deal-1", emir_cases.DEAL, LAW, TODAY) for one in RULES if one.about is Derivative]
    assert [one.canonical() for one in together] == [one.canonical() for one in alone]
    assert len(together) == 9


def test_each_part_of_the_key_changes_with_what_it_stands_for() -> None:
    key = evaluate(emir.clearing_threshold, "book", emir_cases.MONTHS, LAW, TODAY).key
    scenario = evaluate(emir.clearing_threshold, "book", emir_cases.MONTHS, LAW, TODAY, frozenset({"emir-3"})).key
    facts = evaluate(emir.clearing_threshold, "book", replace(emir_cases.MONTHS, notified=True), LAW, TODAY).key
    day = evaluate(emir.clearing_threshold, "book", emir_cases.MONTHS, LAW, date(2020, 1, 1)).key
    assert len({key, scenario, facts, day}) == 4
    assert key.rule_version != cftc.swap_dealer.version
    assert (key.facts, key.parameters) == (scenario.facts, scenario.parameters)


def test_a_lawyer_reads_the_facts_the_law_with_date_and_source_and_the_conclusion() -> None:
    text = evaluate(csrd.reports, "Example SE", us_cases.COMPANY, LAW, TODAY).text()
    assert text.startswith("C-01 Undertaking in scope reports on sustainability: PASS\n")
    assert "source: Directive (EU) 2026/470" in text
    assert "fact: employees is 1001" in text
    assert "law: eu.csrd.employees is 1000 employees from 2026-03-18 (confirmed; Directive (EU) 2026/470)" in text
    assert "in scope = yes" in text


def test_an_instant_is_told_as_a_time_in_the_trace() -> None:
    text = evaluate(remit.disclosed, "outage-1", remit_cases.LOSS, LAW, TODAY, frozenset({"as-stated"})).text()
    assert "fact: known at 1970-01-01T01:40:00+00:00" in text
    assert "due at 1970-01-01T02:40:00+00:00" in text


def test_orders_and_accounts_are_told_in_words() -> None:
    orders = evaluate(remit.no_trading, "outage-1", replace(remit_cases.LOSS, own_orders_us=(6_000_000_001,)), LAW, TODAY).text()
    assert "fact: own orders at [1970-01-01T01:40:00.000001+00:00]" in orders
    accounts = evaluate(cftc.aggregated, "CL", replace(us_cases.LOTS, accounts=us_cases.TENTH), LAW, TODAY).text()
    assert "(net lots 3500, owned pct 100, controlled no)" in accounts


def test_a_finding_says_which_scenario_it_supposes() -> None:
    found = evaluate(emir.upi, "deal-1", emir_cases.DEAL, LAW, TODAY, frozenset({"as-stated"}))
    assert found.outcome is Outcome.PASS
    assert "supposing as-stated" in found.text()
    assert "(unconfirmed; ISO 4914" in found.text()


def test_what_a_rule_asked_for_before_it_gave_up_is_in_the_trace() -> None:
    found = evaluate(emir.reported, "deal-1", replace(emir_cases.DEAL, executed_on=None), LAW, TODAY)
    assert found.why == "missing fact: executed on"
    assert "fact: is a derivative is yes" in found.text()


def test_an_unknown_scenario_or_foreign_facts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown scenario emir-4; known: .*as-stated, emir-3"):
        evaluate(emir.reported, "deal-1", emir_cases.DEAL, LAW, TODAY, frozenset({"emir-4"}))
    with pytest.raises(TypeError, match="E-01 judges Derivative, not Swap"):
        evaluate(emir.reported, "deal-1", us_cases.SWAP, LAW, TODAY)  # type: ignore[arg-type]


def test_facts_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(FactsError, match="reported_on: 2026-01-01 is before executed_on 2026-01-02"):
        Derivative(checked_on=TODAY, executed_on=date(2026, 1, 2), reported_on=date(2026, 1, 1))
    with pytest.raises(FactsError, match="employees: expected nothing negative, found -1"):
        replace(us_cases.COMPANY, employees=-1)
    with pytest.raises(FactsError, match="at most 100 percent"):
        us_cases.accounts(("1", "100.1", False))


@pytest.mark.parametrize("given_one", list(Outcome))
def test_worst_of_several_is_fail_then_indeterminate_then_pass(given_one: Outcome) -> None:
    assert worst([given_one, Outcome.FAIL]) is Outcome.FAIL
    assert worst([Outcome.PASS, Outcome.INDETERMINATE]) is Outcome.INDETERMINATE
    assert worst([Outcome.PASS, Outcome.NOT_APPLICABLE]) is Outcome.PASS
    assert worst([]) is Outcome.NOT_APPLICABLE


@given(st.lists(st.sampled_from(Outcome), min_size=1), st.sampled_from(Outcome))
def test_one_more_outcome_never_makes_it_better(outcomes: list[Outcome], more: Outcome) -> None:
    order = [Outcome.FAIL, Outcome.INDETERMINATE, Outcome.PASS, Outcome.NOT_APPLICABLE]
    assert order.index(worst([*outcomes, more])) <= order.index(worst(outcomes))
