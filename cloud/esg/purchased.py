"""Scope 2 by location and by market, and freight. GHG Protocol Scope 2 Guidance; ISO 14083.

Not for own generation (`combustion`). Both scope 2 figures are reported and never added to each other.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import date

from cloud.esg import EsgError, finite
from cloud.esg.estimates import Estimate
from cloud.esg.factors import Factor, FactorBook
from cloud.esg.gases import Masses
from cloud.esg.units import Quantity, Unit


@dataclass(frozen=True, slots=True)
class Rate:
    """Kilograms of each gas per MWh or tkm, with its source; gases a publisher folds into CO2e are None, not zero."""

    masses: Masses
    reference: str
    factors: tuple[Factor, ...] = ()


def grid_rate(grid: str, day: date, book: FactorBook, scenarios: Set[str] = frozenset()) -> Rate:
    """The published rate of a grid such as "us.camx". Raises Indeterminate unless each gas is confirmed or its scenario named."""
    co2, ch4, n2o = (book.at(f"grid.{grid}.{gas}", day, scenarios) for gas in ("co2", "ch4", "n2o"))
    kilograms = (Quantity(each.value, Unit.named(each.unit.removesuffix("/MWh"))).to(Unit.KG) for each in (co2, ch4, n2o))
    return Rate(Masses(*kilograms), co2.reference, (co2, ch4, n2o))


@dataclass(frozen=True, slots=True)
class Certificates:
    """Contractual instruments (guarantees of origin, RECs, contracts) and what their energy emits."""

    energy: Quantity
    rate: Rate


@dataclass(frozen=True, slots=True)
class Purchased:
    """Both figures; `unused_mwh` is what certificates exceeded the consumption by: it reduces nothing."""

    location: Estimate
    market: Estimate
    unused_mwh: float


def power(consumed: Quantity, grid: Rate, residual_mix: Rate, certificates: tuple[Certificates, ...] = ()) -> Purchased:
    """Location = MWh x grid; market = certified MWh x their rate + the rest x residual mix.

    Certificates count in the order given, up to the consumption.
    """
    mwh = consumed.to(Unit.MWH)
    market, left, unused = Masses(), mwh, 0.0
    for each in certificates:
        used = min(each.energy.to(Unit.MWH), left)
        market, left, unused = market + each.rate.masses * used, left - used, unused + each.energy.to(Unit.MWH) - used
    market = market + residual_mix.masses * left if left else market
    notes = (
        (f"grid: {grid.reference}",),
        (f"residual mix: {residual_mix.reference}", *(f"certificates: {c.rate.reference}" for c in certificates)),
    )
    location = Estimate(grid.masses * mwh, consumed, "power-grid", grid.factors, notes[0])
    factors = (residual_mix.factors if left else ()) + tuple(factor for each in certificates for factor in each.rate.factors)
    return Purchased(location, Estimate(market, consumed, "power-grid", factors, notes[1]), unused)


def power_by_hour(consumed_mwh: tuple[float, ...], certified_mwh: tuple[float, ...], residual_mix: Rate, certified: Rate) -> Masses:
    """The market figure with certificates matched hour by hour: what one hour has too much does not cover another."""
    if len(consumed_mwh) != len(certified_mwh):
        raise EsgError(f"hours: {len(consumed_mwh)} of consumption, {len(certified_mwh)} of certificates")
    pairs = [
        (finite("consumed_mwh", used, low=0.0), finite("certified_mwh", covered, low=0.0))
        for used, covered in zip(consumed_mwh, certified_mwh, strict=True)
    ]
    matched = sum(min(used, covered) for used, covered in pairs)
    return certified.masses * matched + residual_mix.masses * (sum(used for used, _ in pairs) - matched)


def freight(work: Quantity, intensity: Rate) -> Estimate:
    """Freight in tkm x an intensity of its transport operation category."""
    return Estimate(intensity.masses * work.to(Unit.TONNE_KM), work, "freight", (), (f"intensity: {intensity.reference}",))
