from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.esg import EsgError, Indeterminate
from cloud.esg import combustion as burning
from cloud.esg.estimates import Composition
from cloud.esg.factors import Status, factor_book
from cloud.esg.flares import Flared, Tier, flare, unlit_share
from cloud.esg.gases import Masses
from cloud.esg.purchased import Certificates, Rate, freight, grid_rate, power, power_by_hour
from cloud.esg.releases import Gas, Leak, SealMode, blowdown, by_count, leakers, seals, tank_flash, vent
from cloud.esg.units import NORMAL, US_STANDARD, Quantity, State, Unit

DAY = date(2025, 6, 30)
BOOK = factor_book()
METHANE = Composition.of({"CH4": 1.0})
GAS = Gas(0.85, 0.02)


def scf(value: float) -> Quantity:
    return Quantity(value, Unit.SCF)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_burning_two_volumes_is_burning_their_sum(one: float, other: float) -> None:
    parts = [burning.tier1("natural_gas", scf(volume), DAY, BOOK).masses.co2_kg or 0.0 for volume in (one, other)]
    assert burning.tier1("natural_gas", scf(one + other), DAY, BOOK).masses.co2_kg == pytest.approx(sum(parts))


def test_fuel_in_metric_units_gives_the_same() -> None:
    assert burning.tier1("crude", Quantity(1, Unit.BARREL), DAY, BOOK).masses.co2_kg == pytest.approx(432.0338, rel=1e-6)
    metric = Quantity(scf(1e6).to(Unit.SM3), Unit.SM3)
    assert burning.tier1("natural_gas", metric, DAY, BOOK).masses.co2_kg == pytest.approx(54439.56)


def test_fuel_in_the_wrong_dimension_and_an_unknown_fuel_are_refused() -> None:
    with pytest.raises(EsgError, match="asked for in scf"):
        burning.tier1("natural_gas", Quantity(1, Unit.GALLON), DAY, BOOK)
    with pytest.raises(EsgError, match="not known"):
        burning.tier1("wood", scf(1), DAY, BOOK)


def test_tier_3_of_pure_methane_agrees_with_its_moles() -> None:
    found = burning.tier3_gas(scf(836.62), 12.0 / 16.0, 16.0, DAY, BOOK, hhv_mmbtu_scf=1.01e-3)
    assert found.masses.co2_kg == pytest.approx(44.0, rel=1e-4)
    assert found.masses.ch4_kg == pytest.approx(836.62 * 1.01e-3 * 0.003)


def test_tier_3_without_analysis_is_indeterminate_and_without_heating_value_leaves_gases_unknown() -> None:
    with pytest.raises(Indeterminate, match="one is missing"):
        burning.tier3_gas(scf(1), None, 16.0, DAY, BOOK)
    assert burning.tier3_gas(scf(1), 0.75, 16.0, DAY, BOOK).masses.missing == ("ch4", "n2o")


def test_subpart_w_takes_no_default_methane_for_engines() -> None:
    found = burning.tier1("natural_gas", scf(1e6), DAY, BOOK)
    allowed = burning.for_burner(found, burning.Burner.ENGINE, burning.Regime.SUBPART_W)
    assert allowed.masses.missing == ("ch4",)
    assert burning.for_burner(found, burning.Burner.HEATER, burning.Regime.SUBPART_W) is found
    assert burning.for_burner(found, burning.Burner.ENGINE, burning.Regime.GENERAL) is found


def test_the_stack_monitor_uses_the_constant_of_equation_c6() -> None:
    assert burning.cems(scf(1e6), 0.01).masses.co2_kg == pytest.approx(1e6 * 5.18e-7 * 1000, rel=1e-3)
    with pytest.raises(EsgError, match="stack flow"):
        burning.cems(Quantity(1, Unit.SM3), 0.01)


def test_sold_products_are_net_of_own_processing() -> None:
    sold = Quantity(100, Unit.BARREL)
    found = burning.sold_product("crude", sold, Quantity(10, Unit.BARREL), DAY, BOOK)
    assert found.masses.co2_kg == pytest.approx(90 * 432.0338, rel=1e-6)
    with pytest.raises(EsgError, match="exceed what was sold"):
        burning.sold_product("crude", sold, Quantity(101, Unit.BARREL), DAY, BOOK)


@given(st.floats(0, 1), st.floats(0, 1))
def test_carbon_of_a_flare_is_conserved(efficiency: float, unlit: float) -> None:
    found = flare(Flared(scf(1e6), METHANE, unlit), DAY, BOOK, measured=efficiency).masses
    assert (found.co2_kg or 0) / 0.0526 + (found.ch4_kg or 0) / 0.0192 == pytest.approx(1e6)


@given(st.floats(0, 0.9))
def test_a_flare_that_is_out_longer_leaks_more_methane(unlit: float) -> None:
    less, more = (flare(Flared(scf(1e6), METHANE, each), DAY, BOOK).masses.ch4_kg or 0 for each in (unlit, unlit + 0.1))
    assert more > less


def test_efficiency_tiers_and_n2o_wait_for_their_scenario() -> None:
    gas = Flared(scf(1e6), METHANE, 0.0, heat_mmbtu=1010.0)
    with pytest.raises(Indeterminate, match="unconfirmed"):
        flare(gas, DAY, BOOK, tier=Tier.TIER_3)
    assert flare(gas, DAY, BOOK, tier=Tier.TIER_3, scenarios={"flare-tiers-2025"}).masses.ch4_kg == pytest.approx(1e6 * 0.08 * 0.0192)
    assert flare(gas, DAY, BOOK).masses.missing == ("n2o",)
    assert flare(gas, DAY, BOOK, scenarios={"flare-n2o"}).masses.n2o_kg == pytest.approx(0.101)


@pytest.mark.parametrize(("value", "doubted"), [(299.9, True), (300.0, False), (300.1, False), (None, True)])
def test_a_low_or_missing_heating_value_is_said(value: float | None, doubted: bool) -> None:
    notes = flare(Flared(scf(1), METHANE, 0.0, value), DAY, BOOK).notes
    assert any("net heating value" in note for note in notes) is doubted


def test_the_unlit_share_is_weighted_by_flow() -> None:
    lit = np.array([True, False, True, False])
    assert unlit_share(lit, [10.0, 30.0, 10.0, 0.0]) == pytest.approx(0.6)
    assert unlit_share(lit, np.zeros(4)) == 0.0
    with pytest.raises(EsgError, match="one length"):
        unlit_share(lit, [1.0])
    with pytest.raises(EsgError, match="not negative"):
        unlit_share(lit, [1.0, -1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("fractions", "message"),
    [({"CH4": 0.9}, "sum of 1"), ({"CH4": 0.9, "C9": 0.1}, '"C9" is not known'), ({"CH4": 1.1, "CO2": -0.1}, "CH4: expected 0 to 1")],
)
def test_an_analysis_that_cannot_be_is_refused(fractions: dict[str, float], message: str) -> None:
    with pytest.raises(EsgError, match=message):
        Composition.of(fractions)


@given(st.floats(0, 1e9))
def test_a_vent_keeps_its_volume_of_methane(volume: float) -> None:
    assert (vent(scf(volume), GAS, DAY, BOOK).masses.ch4_kg or 0) / 0.0192 == pytest.approx(volume * 0.85)


def test_a_blowdown_releases_the_difference_of_two_states() -> None:
    one = US_STANDARD.pressure_kpa
    before, after = (State(US_STANDARD.temperature_k, one * times) for times in (11, 1))
    found = blowdown(2.8316846592, before, after, GAS, DAY, BOOK)
    assert found.activity.value == pytest.approx(1000.0)
    with pytest.raises(EsgError, match="nothing was blown down"):
        blowdown(1.0, after, before, GAS, DAY, BOOK)
    assert blowdown(1.0, NORMAL, NORMAL, GAS, DAY, BOOK).masses.ch4_kg == 0.0


def test_counts_of_equipment_use_the_table_of_their_year() -> None:
    found = by_count({"leak.equipment.gas.wellhead": 10, "leak.equipment.gas.separator": 2}, 8760, GAS, DAY, BOOK)
    assert found.activity.value == pytest.approx((88.7 + 19.3) * 8760)
    with pytest.raises(Indeterminate, match="ended 2025"):
        by_count({"leak.component.east.valve": 1}, 8760, GAS, DAY, BOOK)


@pytest.mark.parametrize("hours", [-1.0, 8785.0, float("nan")])
def test_hours_that_no_year_has_are_refused(hours: float) -> None:
    with pytest.raises(EsgError, match="hours"):
        by_count({"pneumatic.low": 1}, hours, GAS, DAY, BOOK)


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(EsgError, match="no negative count"):
        by_count({"pneumatic.low": -1}, 1.0, GAS, DAY, BOOK)
    with pytest.raises(EsgError, match="expected scf/h"):
        by_count({"gas.density.ch4": 1}, 1.0, GAS, DAY, BOOK)
    with pytest.raises(EsgError, match="at most 1 together"):
        Gas(0.9, 0.2)


def test_leaks_and_seals_add_up_by_duration() -> None:
    found = leakers((Leak("valve 7", 10.0, 100.0), Leak("flange 2", 4.0, 50.0)), GAS, DAY, BOOK, measured=True)
    assert (found.activity.value, found.method) == (1200.0, "leak-measured")
    modes = (SealMode("running", 8000, 20.0), SealMode("standby", 760, 5.0))
    assert seals(modes, GAS, DAY, BOOK).activity.value == pytest.approx(163_800)
    with pytest.raises(EsgError, match="each once"):
        seals((modes[0], modes[0]), GAS, DAY, BOOK)
    with pytest.raises(EsgError, match="hours of all modes"):
        seals((modes[0], SealMode("standby", 800, 5.0)), GAS, DAY, BOOK)


def test_vapour_recovery_that_is_down_takes_nothing() -> None:
    oil = Quantity(1000, Unit.BARREL)
    up, half, down = (tank_flash(oil, 50, GAS, DAY, BOOK, recovery=0.95, recovery_uptime=t).masses.ch4_kg or 0 for t in (1.0, 0.5, 0.0))
    assert up == pytest.approx(down * 0.05)
    assert half == pytest.approx((up + down) / 2)


def test_certificates_count_up_to_the_consumption() -> None:
    grid, residual, green = (Rate(Masses(kg), "published") for kg in (400.0, 520.0, 0.0))
    found = power(Quantity(100, Unit.MWH), grid, residual, (Certificates(Quantity(120, Unit.MWH), green),))
    assert (found.location.masses.co2_kg, found.market.masses.co2_kg, found.unused_mwh) == (40_000.0, 0.0, 20.0)


def test_a_grid_of_unknown_vintage_waits_for_its_scenario_and_is_in_kilograms() -> None:
    with pytest.raises(Indeterminate, match="egrid-undated"):
        grid_rate("us.camx", DAY, BOOK)
    found = power(Quantity(1, Unit.MWH), *[grid_rate("us.camx", DAY, BOOK, {"egrid-undated"})] * 2)
    assert found.location.masses.co2_kg == pytest.approx(531.7 * 0.45359237)
    assert [factor.status for factor in found.location.factors] == [Status.UNCONFIRMED] * 3
    with pytest.raises(EsgError, match="not known"):
        grid_rate("us.nowhere", DAY, BOOK)


def test_hourly_matching_never_emits_less_than_yearly_matching() -> None:
    residual, green = Rate(Masses(520.0), "published"), Rate(Masses(0.0), "published")
    assert power_by_hour((10.0, 10.0), (20.0, 0.0), residual, green).co2_kg == 5200.0
    with pytest.raises(EsgError, match="2 of consumption, 1 of certificates"):
        power_by_hour((1.0, 1.0), (1.0,), residual, green)
    assert freight(Quantity(1000, Unit.TONNE_KM), Rate(Masses(0.01), "published")).masses.co2_kg == pytest.approx(10.0)
