import json
from pathlib import Path

import pytest

from tests.reference.__main__ import main, read
from tests.reference.cases import Case, Tolerance, check

CASES = Path(__file__).parent.parent / "cases"
TRUST = read(CASES / "trust.json")
RISK = read(CASES / "risk.json")
ESG_COMPLIANCE = read(CASES / "esg_compliance.json")


@pytest.mark.parametrize("case", TRUST, ids=lambda case: case.id)
def test_published_trust_case_gives_the_expected_answer(case: Case) -> None:
    assert check(case) == ("PASS", "")


@pytest.mark.parametrize("case", RISK, ids=lambda case: case.id)
def test_risk_case_gives_the_expected_answer_once_its_family_is_built(case: Case) -> None:
    verdict, detail = check(case)
    assert verdict != "FAIL", detail


@pytest.mark.parametrize("case", ESG_COMPLIANCE, ids=lambda case: case.id)
def test_esg_and_compliance_case_gives_the_expected_answer_once_its_family_is_built(case: Case) -> None:
    verdict, detail = check(case)
    assert verdict != "FAIL", detail


@pytest.mark.parametrize(("written", "covers"), [("rel 1e-2", 100.9), ("abs 0.5", 100.4), ("exact", 100.0)])
def test_a_tolerance_is_written_in_words_too(written: str, covers: float) -> None:
    assert Tolerance.of(written).covers(covers, 100.0)
    assert not Tolerance.of(written).covers(101.5, 100.0)


@pytest.mark.parametrize("family", ["B76", "GBS", "GRK", "KIRK", "MARG", "VAR", "DG", "KUP", "CHR", "TL"])
def test_pricing_and_measures_answer_all_their_cases(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(CASES / "risk.json"), "--family", family + "-"]) == 0
    assert capsys.readouterr().out.endswith(" PASS, 0 FAIL, 0 UNSUPPORTED\n")


def test_a_wrong_expectation_fails_and_an_unknown_family_is_said_to_be_unsupported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"id": "rfc6962-root-0", "inputs": {"leaves_hex": []}, "expected": {"root_hex": "00"}}
    strange = {"id": "no-such-family-1", "inputs": {}, "expected": {}}
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([wrong, strange]))
    assert main([str(file)]) == 1
    assert capsys.readouterr().out.endswith("0 PASS, 1 FAIL, 1 UNSUPPORTED\n")


def test_the_family_selects_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(CASES / "trust.json"), "--family", "rfc6238-"]) == 0
    assert capsys.readouterr().out.endswith("3 PASS, 0 FAIL, 0 UNSUPPORTED\n")


def test_a_file_that_is_missing_or_no_list_of_cases_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    assert main([str(tmp_path / "none.json")]) == 2
    assert main([str(tmp_path / "bad.json")]) == 2
