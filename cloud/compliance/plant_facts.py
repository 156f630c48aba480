"""What the rules about plants, emissions and the markets beside them need to know: leaks, venting, flares, permits, shippers, reports.

As in `facts`: None means not known, impossible values are a FactsError that names the field, instants are microseconds (`_us`).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Days, FactsError, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One leak found by a survey. survey: 1 or 2, the type of it. A reading in ppm or in g/h; the other may be missing."""

    checked_us: int
    eu_plant: bool | None = None
    survey: int | None = None
    ppm: Decimal | None = None
    grams_per_hour: Decimal | None = None
    found_us: int | None = None
    attempted_us: int | None = None
    repaired_us: int | None = None

    def __post_init__(self) -> None:
        checked(self, ("ppm", "grams_per_hour"), after=(("found_us", "attempted_us"), ("found_us", "repaired_us")))


@dataclass(frozen=True, slots=True, kw_only=True)
class GasRelease:
    """Venting or flaring at a plant in the EU within 24 h. `hours`: summed up over them."""

    checked_us: int
    eu_plant: bool | None = None
    reason: str | None = None
    hours: Decimal | None = None
    reached_us: int | None = None
    notified_us: int | None = None

    def __post_init__(self) -> None:
        checked(self, ("hours",), after=(("reached_us", "notified_us"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlareDesign:
    eu_plant: bool | None = None
    destruction_pct: Decimal | None = None
    ignition_monitored: bool | None = None
    days_since_inspection: int | None = None

    def __post_init__(self) -> None:
        checked(self, ("days_since_inspection",), ("destruction_pct",))


@dataclass(frozen=True, slots=True, kw_only=True)
class MethaneReport:
    """The report on the sources of one reporting year of an operated plant."""

    checked_on: date
    operated: bool | None = None
    submitted_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportContract:
    """Supply of crude oil, gas or coal into the EU."""

    imported: bool | None = None
    concluded_on: date | None = None
    delivered_on: date | None = None
    monitoring_equivalent: bool | None = None

    def __post_init__(self) -> None:
        checked(self, after=(("concluded_on", "delivered_on"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlareMinutes:
    """A flare under 40 CFR 60.18 over the period judged. `visible_minutes`: the most in any two hours that follow each other."""

    regulated: bool | None = None
    minutes: int | None = None
    lit_minutes: int | None = None
    visible_minutes: int | None = None
    heating_btu_scf: Decimal | None = None
    hydrogen_pct: Decimal | None = None
    diameter_in: Decimal | None = None
    velocity_m_s: Decimal | None = None
    assisted: bool | None = None

    def __post_init__(self) -> None:
        names = ("minutes", "lit_minutes", "visible_minutes", "heating_btu_scf", "diameter_in", "velocity_m_s")
        checked(self, names, ("hydrogen_pct",))
        if self.minutes is not None and self.lit_minutes is not None and self.lit_minutes > self.minutes:
            raise FactsError(f"lit_minutes: {self.lit_minutes} are more than the {self.minutes} minutes judged")


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityYear:
    """One reporting year of a facility in the US. `wec_*`: waste emissions charge, methane in t beside what its segment is allowed."""

    checked_on: date
    us_facility: bool | None = None
    year: int | None = None
    co2e_t: Decimal | None = None
    reported_on: date | None = None
    methane_t: Decimal | None = None
    methane_allowed_t: Decimal | None = None
    charge_paid_usd: Decimal | None = None

    def __post_init__(self) -> None:
        checked(self, ("year", "co2e_t", "methane_t", "methane_allowed_t", "charge_paid_usd"))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarterlyReport:
    """Sales of a public utility in one quarter; `quarter_end`: its last day."""

    checked_on: date
    public_utility: bool | None = None
    quarter_end: date | None = None
    submitted_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GasYear:
    """Physical gas of one calendar year in the US, purchases and sales together as Form 552 counts them."""

    checked_on: date
    us_gas: bool | None = None
    year: int | None = None
    mmbtu: Decimal | None = None
    submitted_on: date | None = None

    def __post_init__(self) -> None:
        checked(self, ("year", "mmbtu"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """Gas nominated on an interstate pipeline."""

    interstate: bool | None = None
    gas_owner: str | None = None
    capacity_holder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """Generation controlled by a seller with market-based rates, added since its last notice."""

    checked_on: date
    market_based_rates: bool | None = None
    added_mw: Decimal | None = None
    changed_on: date | None = None
    notified_on: date | None = None

    def __post_init__(self) -> None:
        checked(self, ("added_mw",), after=(("changed_on", "notified_on"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    public: bool | None = None
    climate_disclosed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UkDerivative:
    """A derivative of a counterparty in the UK."""

    checked_on: date
    holidays: Days = frozenset()
    uk_counterparty: bool | None = None
    executed_on: date | None = None
    reported_on: date | None = None

    def __post_init__(self) -> None:
        checked(self, after=(("executed_on", "reported_on"), ("executed_on", "checked_on")))


@dataclass(frozen=True, slots=True, kw_only=True)
class UkMonthEnds:
    """OTC commodity derivatives at the last twelve month ends in EUR, hedging left out, of a non-financial counterparty in the UK."""

    uk_nfc: bool | None = None
    total_eur: tuple[Decimal, ...] | None = None
    notified: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("total_eur",))


@dataclass(frozen=True, slots=True, kw_only=True)
class UkVenuePosition:
    """A net position in lots on a venue in the UK; the limit is the venue's own."""

    critical: bool | None = None
    net_lots: Decimal | None = None
    limit_lots: Decimal | None = None
    exempt: bool | None = None
    exemption_from: date | None = None

    def __post_init__(self) -> None:
        checked(self, ("limit_lots",))


@dataclass(frozen=True, slots=True, kw_only=True)
class UkAncillary:
    """The yearly notice that an activity is ancillary."""

    relies_on_exemption: bool | None = None
    notified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UkWholesale:
    """Transactions in wholesale energy in Great Britain."""

    wholesale_energy: bool | None = None
    reported: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlareConsent:
    """Gas flared and vented in the period of a consent of the North Sea Transition Authority, t."""

    uk_field: bool | None = None
    consented_t: Decimal | None = None
    metered_t: Decimal | None = None

    def __post_init__(self) -> None:
        checked(self, ("consented_t", "metered_t"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UkAllowances:
    """An installation under the UK emissions trading scheme, one scheme year."""

    checked_on: date
    in_scheme: bool | None = None
    year: int | None = None
    reported_on: date | None = None
    verified: bool | None = None
    emitted_t: Decimal | None = None
    surrendered_t: Decimal | None = None
    surrendered_on: date | None = None

    def __post_init__(self) -> None:
        checked(self, ("year", "emitted_t", "surrendered_t"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlan:
    """Annual local content plan of one calendar year, and the half-yearly report that follows."""

    checked_on: date
    contractor: bool | None = None
    year: int | None = None
    submitted_on: date | None = None
    half_year_end: date | None = None
    reported_on: date | None = None

    def __post_init__(self) -> None:
        checked(self, ("year",))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundFlare:
    """Mean flare rate of a permitted plant in Guyana outside of special circumstances."""

    permitted_plant: bool | None = None
    mmscf_per_day: Decimal | None = None
    counted_as_payable: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("mmscf_per_day",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PetroleumActivity:
    """An activity offshore Guyana on a day, the licence for it, and an order to supply the home market in barrels."""

    licensable: bool | None = None
    on: date | None = None
    licence_from: date | None = None
    licence_until: date | None = None
    ordered_bbl: Decimal | None = None
    profit_oil_bbl: Decimal | None = None

    def __post_init__(self) -> None:
        checked(self, ("ordered_bbl", "profit_oil_bbl"), after=(("licence_from", "licence_until"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class InsiderEntry:
    """One entry of an insider list."""

    inside_information: bool | None = None
    name: str | None = None
    role: str | None = None
    reason: str | None = None
    access_from_us: int | None = None
    access_until_us: int | None = None
    still_inside: bool | None = None

    def __post_init__(self) -> None:
        checked(self, after=(("access_from_us", "access_until_us"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedNews:
    """Inside information of an issuer whose publication was put off."""

    issuer: bool | None = None
    delayed: bool | None = None
    legitimate: bool | None = None
    not_misleading: bool | None = None
    confidential: bool | None = None
    published: bool | None = None
    notified_after: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Deals beside an Islamic contract: an exchange of money, a hedge, a promise, a deposit, a sale back."""

    exchange: bool | None = None
    value_dates: tuple[date, ...] | None = None
    optional_quantity_pct: Decimal | None = None
    cash_settled: bool | None = None
    linked_to_physical: bool | None = None
    sold_back_to_seller: bool | None = None
    promises_cross_conditioned: bool | None = None
    deposit_forfeited: bool | None = None
    parallel_salam: bool | None = None
    depends_on_first: bool | None = None
    counterparty_sector: str | None = None
    made_to_order: bool | None = None
    specification_fixed: bool | None = None

    def __post_init__(self) -> None:
        checked(self, (), ("optional_quantity_pct",))
