"""The market families of the reference cases, through the same adapters as `python -m tests.reference`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reference.market import ADAPTERS

DOCUMENT = json.loads((Path(__file__).parents[2] / "cases" / "risk.json").read_text(encoding="utf-8"))
CASES = [case for case in DOCUMENT["cases"] if case["id"].split("-")[0] in ADAPTERS]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_reference_case_is_met_within_its_tolerance(case: dict[str, Any]) -> None:
    answer = ADAPTERS[case["id"].split("-")[0]](case["inputs"], DOCUMENT["data"])
    assert answer == pytest.approx(case["expected"], abs=case["tolerance"]["value"])


def test_every_market_family_has_cases() -> None:
    assert {case["id"].split("-")[0] for case in CASES} == set(ADAPTERS)
