import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.esg import EsgError, Indeterminate
from cloud.esg.gases import DATA, Co2e, Masses, gwp_set, gwp_sets
from cloud.esg.units import METRIC_STANDARD, US_68F, Quantity, State, Unit, between, molar_volume_scf, standard_volume
from protocols.tomlfile import ConfigError

amount = st.floats(0.0, 1e12)
gas_units = st.sampled_from([Unit.SCF, Unit.SM3, Unit.NM3])


@given(amount, gas_units, gas_units)
def test_a_gas_volume_survives_the_way_to_another_state_and_back(value: float, one: Unit, other: Unit) -> None:
    assert Quantity(Quantity(value, one).to(other), other).to(one) == pytest.approx(value, rel=1e-12)


def test_molar_volumes_are_those_of_subpart_c() -> None:
    assert molar_volume_scf() == pytest.approx(836.6, abs=0.05)
    assert molar_volume_scf(US_68F) == pytest.approx(849.5, abs=0.05)


def test_a_normal_cubic_metre_is_larger_when_warmed_to_fifteen_degrees() -> None:
    assert Quantity(1.0, Unit.NM3).to(Unit.SM3) == pytest.approx(288.15 / 273.15)
    assert Quantity(1e6, Unit.SCF).to(Unit.SM3) == pytest.approx(28316.8 * 288.15 / 288.7056 * 101.32535 / 101.325, rel=1e-5)


def test_compressibility_below_one_holds_more_gas() -> None:
    at = State.of_celsius(15.0, 50.0, z=0.9)
    assert between(1.0, at, METRIC_STANDARD) == pytest.approx(5000 / 101.325 / 0.9, rel=1e-12)
    assert standard_volume(2.0, at, Unit.SM3).value == pytest.approx(2 * 5000 / 101.325 / 0.9, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "unit", "to", "message"),
    [
        (1.0, Unit.SCF, Unit.GALLON, "is a gas volume"),
        (1.0, Unit.KG, Unit.MWH, "is a mass"),
    ],
)
def test_a_quantity_does_not_change_dimension(value: float, unit: Unit, to: Unit, message: str) -> None:
    with pytest.raises(EsgError, match=message):
        Quantity(value, unit).to(to)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_negative_or_endless_quantity_is_refused(value: float) -> None:
    with pytest.raises(EsgError, match="quantity in kg"):
        Quantity(value, Unit.KG)


def test_an_unknown_unit_is_refused_by_name() -> None:
    with pytest.raises(EsgError, match='unit "mscf"'):
        Unit.named("mscf")


@pytest.mark.parametrize(("one", "other"), [(State, "pressure"), (State, "temperature")])
def test_a_gauge_pressure_of_zero_or_a_temperature_in_celsius_is_refused(one: type[State], other: str) -> None:
    with pytest.raises(EsgError, match=other):
        one(288.0, 0.0) if other == "pressure" else one(15.0, 101.3)


def test_two_sets_in_one_sum_are_an_error() -> None:
    with pytest.raises(EsgError, match="by AR5 and by AR4"):
        Co2e(1.0, "AR5") + Co2e(1.0, "AR4")


def test_a_gas_that_was_not_estimated_is_never_zero() -> None:
    masses = Masses(1.0, None) + Masses(2.0, 3.0)
    assert masses == Masses(3.0, None)
    with pytest.raises(Indeterminate, match="ch4"):
        gwp_set("AR5").co2e(masses)
    assert gwp_set("AR5").co2e_of_known(masses) == Co2e(3.0, "AR5")


@given(st.lists(st.tuples(amount, amount, amount), min_size=1, max_size=8))
def test_co2e_of_a_sum_is_the_sum_of_co2e(parts: list[tuple[float, float, float]]) -> None:
    gwp = gwp_set("AR6")
    whole = Masses()
    for part in parts:
        whole = whole + Masses(*part)
    assert gwp.co2e(whole).kg == pytest.approx(sum(gwp.co2e(Masses(*part)).kg for part in parts), rel=1e-9)


def test_the_sets_are_those_of_the_published_table() -> None:
    lines = [line for line in (DATA / "globalwarmingpotentials.csv").read_text().splitlines() if not line.startswith("#")]
    table = {row["Species"]: row for row in csv.DictReader(lines)}
    for name, column in (("AR4", "AR4GWP100"), ("AR5", "AR5GWP100"), ("AR6", "AR6GWP100"), ("AR6-20", "AR6GWP20")):
        found = gwp_sets()[name]
        assert (found.n2o, found.sf6) == (float(table["N2O"][column]), float(table["SF6"][column]))
    assert [gwp_sets()[name].ch4 for name in ("AR4", "AR5", "AR6", "AR6-20")] == [25, 28, 29.8, 82.5]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("published = 2014-11-02", 'published = "2014"', ":13: .*expected a date"),
        ("n2o = 265", "n2o = 265\nco = 1", "co"),
        ("ch4 = 28", "ch4 = -28", ":17: .*1 to 1,000,000"),
        ("[AR5]", "[AR4]", "not valid TOML"),
    ],
    ids=["wrong date", "unknown key", "negative", "set twice"],
)
def test_a_file_of_sets_that_is_wrong_names_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "gwp.toml"
    file.write_text((DATA / "gwp.toml").read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        gwp_sets(file)


def test_a_set_nobody_published_is_refused() -> None:
    with pytest.raises(EsgError, match=re.escape('"AR7": not known')):
        gwp_set("AR7")
