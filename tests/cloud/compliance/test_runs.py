from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from cloud.compliance import again, law_json, runs
from cloud.compliance.parameters import ParameterSet, shipped
from cloud.compliance.rules import Outcome, Terms
from cloud.compliance.runs import Run, Stated
from cloud.compliance.table import BY_ID, RULES
from cloud.evidence.again import Known
from protocols.batch import evidence
from protocols.batch.pedigree import Opened
from tests.cloud.compliance import emir_cases, us_cases
from tests.cloud.compliance.rule_cases import TODAY
from tests.cloud.compliance.test_table import CASES

LAW = shipped()
RUN = Run(Terms(LAW, TODAY), 1_795_000_000_000_000)
STATED = [Stated("deal/1", emir_cases.DEAL), Stated("deal/2", replace(emir_cases.DEAL, executed_on=None)), Stated("co", us_cases.COMPANY)]


def test_a_row_holds_a_finding_of_every_rule_that_judges_the_facts() -> None:
    row, _, findings = runs.finding_row("all", RULES, STATED, RUN)
    read = runs.read_output(evidence.decode(evidence.encode(row)).output)
    assert [(one.rule, one.subject, one.outcome, one.why, one.digest) for one in read] == [
        (one.rule.id, one.subject, one.outcome, one.why, one.digest) for one in findings
    ]
    assert Counter(one.subject for one in read) == {
        "deal/1": len([one for one in RULES if one.about is type(emir_cases.DEAL)]),
        "deal/2": len([one for one in RULES if one.about is type(emir_cases.DEAL)]),
        "co": len([one for one in RULES if one.about is type(us_cases.COMPANY)]),
    }
    assert row.output["counts"] == {one.value: sum(each.outcome is one for each in read) for one in Outcome}


def test_the_row_is_the_same_when_it_is_judged_again_from_its_contents() -> None:
    row, contents, _ = runs.finding_row("all", RULES, [Stated(f"case/{n}", case.facts) for n, case in enumerate(CASES) if _told(case)], RUN)
    stored = evidence.decode(evidence.encode(row))
    found = again.STAGES["finding"](Known(contents), Opened(b"", stored, {}))
    assert evidence.encode(replace(row, output=found)) == evidence.encode(row)


def _told(case: object) -> bool:
    """An empty text is no fact one can hand in."""
    return b'""' not in runs.write_facts([Stated("x", case.facts)])  # type: ignore[attr-defined]


def test_a_changed_fact_changes_what_is_judged_again() -> None:
    row, contents, _ = runs.finding_row("all", RULES, STATED, RUN)
    named = row.inputs.contents["facts"]
    forged = {**contents, named: contents[named].replace(b"2026-11-16", b"2026-11-19")}
    found = again.STAGES["finding"](Known(forged), Opened(b"", row, {}))
    assert evidence.encode(replace(row, output=found)) != evidence.encode(row)


def test_the_law_comes_back_from_its_content_to_the_bit() -> None:
    read = law_json.read(law_json.write(LAW))
    assert read == ParameterSet(dict(LAW.parameters))
    assert (read.digest, law_json.write(read)) == (LAW.digest, law_json.write(LAW))


def test_facts_come_back_from_their_content() -> None:
    assert runs.read_facts(runs.write_facts(STATED)) == tuple(STATED)


def test_each_finding_has_its_own_digest_and_keeps_it() -> None:
    _, _, findings = runs.finding_row("all", RULES, STATED, RUN)
    _, _, same = runs.finding_row("all", RULES, STATED, replace(RUN, known_us=1))
    assert len({one.digest for one in findings}) == len(findings)
    assert [one.digest for one in same] == [one.digest for one in findings]
    (other,) = runs.judge([BY_ID["E-06"]], [Stated("x", emir_cases.MONTHS)], Terms(LAW, TODAY, frozenset({"emir-3"})))
    (base,) = runs.judge([BY_ID["E-06"]], [Stated("x", emir_cases.MONTHS)], Terms(LAW, TODAY))
    (earlier,) = runs.judge([BY_ID["E-06"]], [Stated("x", emir_cases.MONTHS)], Terms(LAW, date(2020, 1, 1)))
    assert len({one.digest for one in (other, base, earlier)}) == 3


def test_a_trace_is_written_when_it_is_asked_for_and_ends_in_the_same_verdict() -> None:
    for one in runs.judge(RULES, STATED, RUN.terms):
        assert one.document()["outcome"] == one.outcome.value
        assert one.document()["trace"] == one.document()["trace"]


def test_more_findings_than_a_row_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_FINDINGS", 3)
    with pytest.raises(ValueError, match="at most 3 findings"):
        runs.finding_row("all", RULES, STATED, RUN)
