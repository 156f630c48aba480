"""The compliance profile: what it says, and that what cannot be meant is refused by line and name."""

import textwrap
from decimal import Decimal

import pytest

from cloud.compliance import profile
from cloud.compliance.facts import Party
from cloud.compliance.profile import Measure, Part, absent, parse_profile
from protocols.tomlfile import ConfigError

EXAMPLE = textwrap.dedent((profile.__doc__ or "").partition("against an asset model.\n")[2])


def test_the_profile_of_the_description_is_read() -> None:
    found = parse_profile(EXAMPLE)
    (unit,) = found.units
    assert (found.participant.name, found.participant.party) == ("Example Energy", Party.NFC_MINUS)
    assert (unit.installed, unit.threshold_mw, unit.market_time_unit_us) == (450, 50, 900_000_000)
    assert unit.parts == (Part("GT1", Decimal(450)),)
    assert found.units_of("power") == (unit,)
    assert found.units_of("gas") == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ('"213800KUD8LAJWSQ9D15"', '"213800KUD8LXJWSQ9D15"', 4, "213800KUD8LXJWSQ9D15"),
        ("T1241247G.EU", "T1241247G.eu", 5, "T1241247G.eu"),
        ("22WEXAMPLE-1---P", "22WEXAMPLE-1---X", 10, 'check character of "22WEXAMPLE-1---X"'),
        ("22WEXAMPLE-1---P", "22XWATTPLUS----G", 10, "W or T or Z"),
        ("10YFR-RTE------C", "10YFR-RTE------D", 11, "10YFR-RTE------D"),
        ("NFC-", "NFC", 6, "one of FC, NFC"),
        ("installed = 450", "installed = 451", 15, "what the parts have together, 450"),
        ("installed = 450", "installed = nan", 15, "a number above 0"),
        ("15min", "0s", 18, "more than 0"),
        ('["power"]', '["power", "power"]', 17, "each once"),
        ("threshold_mw = 50", "treshold_mw = 50", 19, 'unknown key "treshold_mw"'),
        ("threshold_mw = 50", "threshold_mw = -1", 19, "above 0"),
        ('"Production unavailability"', '"Failure"', 12, "expected one of"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_line_and_name(old: str, new: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError, match=r"profile\.toml") as refused:
        parse_profile(EXAMPLE.replace(old, new))
    assert refused.value.line == line
    assert told in refused.value.message


def test_two_units_do_not_share_a_name() -> None:
    with pytest.raises(ConfigError, match="described twice"):
        parse_profile(EXAMPLE + EXAMPLE[EXAMPLE.index("[[unit]]") :])


def test_an_asset_is_a_part_of_a_unit_once() -> None:
    with pytest.raises(ConfigError, match="a part of this unit already"):
        parse_profile(EXAMPLE + '\n[[unit.part]]\nasset = "GT1"\ncapacity = 1\n')


def test_a_unit_without_parts_is_declared_by_people() -> None:
    assert parse_profile(EXAMPLE[: EXAMPLE.index("[[unit.part]]")]).units[0].parts == ()


def test_parts_that_the_asset_model_does_not_have_are_named() -> None:
    found = parse_profile(EXAMPLE)
    assert absent(found, {"GT1"}) == ()
    assert absent(found, {"GT2"}) == ('unit "Block 1": part "GT1" is no asset of the asset model',)


def test_energy_per_day_is_power() -> None:
    unit = parse_profile(EXAMPLE.replace('"MW"', '"GWh/d"')).units[0]
    assert unit.measure is Measure.GWH_PER_DAY
    assert unit.mw(Decimal(24)) == 1000
