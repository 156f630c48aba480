from pathlib import Path

import pytest

from tests.reference.__main__ import main

CASES = Path(__file__).parents[2] / "cases" / "esg_compliance.json"


def test_every_esg_case_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(CASES), "--family", "ESG-"]) == 0
    assert capsys.readouterr().out.endswith("14 PASS, 0 FAIL, 0 UNSUPPORTED\n")
