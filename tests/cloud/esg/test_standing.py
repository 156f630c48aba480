"""The score's row: figures that are not known stay open, breaches of compliance cap the topic the inventory gives them."""

import numpy as np
import pytest

from cloud.compliance.rules import Outcome
from cloud.esg.measures import Handed, Known, figures, read, write
from cloud.esg.register_file import parse_register
from cloud.esg.standing import failed_rules, standing
from protocols.batch import evidence
from tests.cloud.esg.test_register import EVERY, HEAD, SOURCE

METRIC = """
[caps]
"GY-FLARE-1" = "safety"
[[metric]]
name = "recordable cases"
topic = "safety"
figure = "trir"
best = 0.0
worst = 4.0
since = 2026-01-01
reference = "an example"
"""
REGISTER = parse_register(HEAD + SOURCE + EVERY["pneumatics"] + METRIC)
INVENTORY = {"from": "2026-10-01", "to": "2026-10-31", "sources": [], "scopes": {}, "flared": []}
PERIOD = {"site": "field", "first": "2026-10-01", "last": "2026-10-31"}
SAFE = {**PERIOD, "kind": "safety", "recordables": 0, "lost_time": 0, "near_misses": 1, "hours": 200_000.0}


def handed(*documents):  # type: ignore[no-untyped-def]
    return tuple(Handed.model_validate({"measures": list(documents)}).measures)


def finding(*outcomes: tuple[str, Outcome]) -> dict[str, object]:
    """As a run of compliance stores it."""
    rules = sorted({rule for rule, _ in outcomes})
    kinds = list(Outcome)
    output = {
        "rules": rules,
        "outcomes": [one.value for one in kinds],
        "rule": np.array([rules.index(rule) for rule, _ in outcomes], np.uint32),
        "outcome": np.array([kinds.index(outcome) for _, outcome in outcomes], np.int16),
    }
    row = evidence.Row("finding", "guyana", 1, evidence.Inputs(), {}, 0, {}, output)
    return dict(evidence.decode(evidence.encode(row)).output)


def test_rules_found_broken_are_read_from_a_run() -> None:
    found = finding(("GY-FLARE-1", Outcome.PASS), ("GY-FLARE-1", Outcome.FAIL), ("E-01", Outcome.INDETERMINATE))
    assert failed_rules(found) == ("GY-FLARE-1",)
    assert failed_rules(finding(("E-01", Outcome.PASS))) == ()


def test_a_breach_caps_its_topic_and_is_named() -> None:
    free, capped = (standing(REGISTER, handed(SAFE), INVENTORY, broken) for broken in ((), ("E-01", "GY-FLARE-1")))
    safety = {
        name: next(one for one in found["contributions"] if one["topic"] == "safety")
        for name, found in (("free", free), ("capped", capped))
    }
    assert safety["free"]["high"] == pytest.approx(0.15 * 50)
    assert safety["capped"]["high"] == pytest.approx(0.15 * (40 - 50))
    assert safety["capped"]["capped_by"] == ["GY-FLARE-1"]
    assert capped["broken"] == ["E-01", "GY-FLARE-1"]


def test_a_figure_that_is_not_known_says_why_and_is_never_zero() -> None:
    found = figures((), INVENTORY)
    assert {one.value for one in found.values()} == {None}
    assert all(one.why for one in found.values())
    shown = standing(REGISTER, (), INVENTORY, ())["metrics"][0]
    assert (shown["value"], shown["why"]) == (None, "no safety is registered for the period")


def test_a_figure_nobody_has_is_told_by_its_name() -> None:
    register = parse_register(HEAD + SOURCE + EVERY["pneumatics"] + METRIC.replace('"trir"', '"tirr"'))
    assert standing(register, handed(SAFE), INVENTORY, ())["metrics"][0]["why"] == "no figure is called tirr"


def test_measures_are_written_in_one_way_whatever_their_order() -> None:
    spill = {**PERIOD, "kind": "spill", "volume_bbl": 2.0, "recovered_bbl": 1.0}
    water = {
        **PERIOD,
        "kind": "water",
        "withdrawn_m3": 100.0,
        "returned_m3": 40.0,
        "stressed": True,
        "produced_m3": 50.0,
        "oil_discharged_kg": 1.0,
    }
    one, two = write(handed(SAFE, spill, water)), write(handed(water, SAFE, spill))
    assert one == two
    found = figures(read(one), INVENTORY)
    assert found["spilled_bbl"] == Known("spilled_bbl", 2.0, "bbl")
    assert (found["oil_in_water_mg_l"].value, found["water_consumed_m3"].value, found["spills"].value) == (20.0, 60.0, 1.0)
    assert read(write(())) == ()


def test_flaring_intensity_is_by_what_was_produced() -> None:
    made = handed({**PERIOD, "kind": "production", "oil_bbl": 1000.0, "gas_marketed_sm3": 0.0})
    inventory = {**INVENTORY, "flared": [{"purpose": "safety", "scf": 1e6}]}
    assert figures(made, inventory)["flaring_intensity"].value == pytest.approx(28.3, rel=0.01)
    missing = {**inventory, "sources": [{"category": "flare", "scope": "scope 3", "missing_hours": 2}]}
    assert "hours of a flare are missing" in figures(made, missing)["flaring_intensity"].why
