"""Where somebody should look: balances over the hours of day rows."""

from datetime import date

import numpy as np
import pytest

from cloud.esg.accounts import start_of
from cloud.esg.register_file import parse_register
from cloud.esg.spans import DAY_US
from cloud.esg.stages import DayRow, day_subject, emissions
from cloud.esg.triage import looked_at
from protocols.batch.bundle import Samples
from tests.cloud.esg.test_register import GAS, HEAD, SOURCE, U95

BALANCE = """
[[meter]]
name = "out"
tag = "rig1/plc1.t9"
unit = "MMscf/d"
high = 50
u95 = 5
[[balance]]
name = "gas handling"
site = "field"
in = ["gas"]
out = ["out"]
kg_per_scf = 0.024
"""
TEXT = HEAD + BALANCE + SOURCE + 'category = "pneumatic"\ncounts = { low = 3 }\n' + GAS + U95
REGISTER = parse_register(TEXT)
FIRST = date(2026, 11, 2)


def days(lost_from_day: int, lost: float, number: int = 5) -> list[DayRow]:
    rows = []
    for at in range(number):
        day = date.fromordinal(FIRST.toordinal() + at)
        rng = np.random.default_rng(at)
        times = start_of(day) + 60_000_000 * np.arange(1440, dtype=np.int64)
        flow = 10.0 + 0.3 * np.repeat(rng.standard_normal(24), 60)
        gone = lost if at >= lost_from_day else 0.0
        code = np.zeros(1440, np.uint32)
        columns = {
            "rig1/plc1.t0": Samples(times, flow + 0.001 * rng.standard_normal(1440), code),
            "rig1/plc1.t9": Samples(times, flow - gone + 0.02 * np.repeat(rng.standard_normal(24), 60), code),
        }
        output = emissions(REGISTER, "field", day, columns, start_of(day) + 2 * DAY_US, {})
        rows.append(DayRow(day_subject("field", day), bytes(32), start_of(day) + 2 * DAY_US, output))
    return rows


def test_a_balance_that_holds_asks_for_nobody() -> None:
    found = looked_at(REGISTER.sections[0], days(9, 0.0))
    assert found["probability"] < 0.5
    assert found["work_order"] is None
    assert found["hours"] == 120


def test_gas_that_is_lost_asks_for_somebody_with_where_and_how_much() -> None:
    found = looked_at(REGISTER.sections[0], days(2, 2.0))
    assert found["probability"] > 0.9
    assert found["kg_h"]["low"] < 2e6 / 24 * 0.024 < found["kg_h"]["high"]
    assert 40 <= found["since_hour"] <= 60
    assert "gas handling" in found["work_order"]
    assert "no entry of the inventory" in found["work_order"]


def test_too_few_hours_are_no_answer() -> None:
    assert "expected at least 24" in looked_at(REGISTER.sections[0], [])["why"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [('in = ["gas"]', "no meter is called"), ('out = ["out"]', "no meter is called")],
    ids=["meter that goes in", "meter that goes out"],
)
def test_a_balance_of_meters_that_are_not_there_is_refused(line: str, complaint: str) -> None:
    from protocols.tomlfile import ConfigError

    with pytest.raises(ConfigError, match=complaint):
        parse_register(TEXT.replace(line, line.replace('["', '["x ')))
