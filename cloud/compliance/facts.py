"""What the rules need to know, one frozen value per area: deals, portfolios, positions, outages, companies, flaring, Sharia contracts.

Not read from anywhere here: the callers fill them. None means the fact is not known, and a rule that asks for it answers
INDETERMINATE. Rules kept here: a negative amount or count, an instant before another it must follow, or a share above 100 is a
FactsError that names the field. Names carry units; instants are microseconds (`_us`), days are dates.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

Days = frozenset[date]


class FactsError(ValueError):
    """A fact that cannot be: the field, what was found, what was expected."""


class Party(StrEnum):
    FC = "FC"
    NFC_PLUS = "NFC+"
    NFC_MINUS = "NFC-"


class Venue(StrEnum):
    SEF_OR_DCM = "SEF/DCM"
    OFF_FACILITY = "off-facility"


class Reporter(StrEnum):
    SD = "SD"
    MSP = "MSP"
    DCO = "DCO"
    OTHER = "non-SD/MSP/DCO"


def checked(facts: object, least: tuple[str, ...] = (), shares: tuple[str, ...] = (), after: tuple[tuple[str, str], ...] = ()) -> None:
    for name in (*least, *shares):
        value = getattr(facts, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Decimal) and not one.is_finite():
                raise FactsError(f"{name}: expected a finite number, found {one}")
            if one is not None and one < 0:
                raise FactsError(f"{name}: expected nothing negative, found {one}")
            if one is not None and name in shares and one > 100:
                raise FactsError(f"{name}: expected at most 100 percent, found {one}")
    for early, late in after:
        first, second = getattr(facts, early), getattr(facts, late)
        if first is not None and second is not None and second < first:
            raise FactsError(f"{late}: {second} is before {early} {first}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivative:
    """A derivative deal as EMIR sees it. `checked_on` is the day up to which the hub knows what happened."""

    checked_on: date
    holidays: Days = frozenset()
    is_derivative: bool | None = None
    otc: bool | None = None
    cleared: bool | None = None
    party: Party | None = None
    executed_on: date | None = None
    reported_on: date | None = None
    confirmed_on: date | None = None
    valued_on: date | None = None
    ended_on: date | None = None
    keep_until: date | None = None
    action: str | None = None
    leis: tuple[str, ...] | None = None
    uti: str | None = None
    utis_used: frozenset[str] | None = None
    upi: str | None = None
    intragroup: bool | None = None
    exemption_claimed: bool | None = None
    exemption_notified: bool | None = None
    consolidated: bool | None = None

    def __post_init__(self) -> None:
        after = (
            ("executed_on", "reported_on"),
            ("executed_on", "confirmed_on"),
            ("executed_on", "ended_on"),
            ("executed_on", "checked_on"),
        )
        checked(self, after=after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """All uncleared OTC contracts with one counterparty."""

    checked_on: date
    holidays: Days = frozenset()
    party: Party | None = None
    contracts: int | None = None
    reconciled_on: date | None = None
    compression_analysed_on: date | None = None
    disputed_eur: Decimal | None = None
    disputed_since: date | None = None
    dispute_reported: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("contracts", "disputed_eur"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthEndPositions:
    """OTC commodity derivatives at the last twelve month ends, hedging left out. `uncleared_eur`: the part that is not cleared."""

    party: Party | None = None
    total_eur: tuple[Decimal, ...] | None = None
    uncleared_eur: tuple[Decimal, ...] | None = None
    notified: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("total_eur", "uncleared_eur"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    employees: int | None = None
    turnover_eur: Decimal | None = None
    third_country: bool | None = None
    eu_turnover_two_years_eur: tuple[Decimal, ...] | None = None
    large_eu_subsidiary_or_branch: bool | None = None
    reports_sustainability: bool | None = None
    limited_assurance: bool | None = None
    boundary_recorded: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("employees", "turnover_eur", "eu_turnover_two_years_eur"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """A net position in one contract, lots. `limit_lots` is what the venue has set."""

    critical_or_significant: bool | None = None
    agricultural: bool | None = None
    net_lots: Decimal | None = None
    limit_lots: Decimal | None = None
    hedge_exempt: bool | None = None
    exemption_on_file: bool | None = None
    risk_reducing: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("limit_lots",))


@dataclass(frozen=True, slots=True, kw_only=True)
class AncillaryActivity:
    own_account_executing_clients: bool | None = None
    high_frequency: bool | None = None
    net_cash_settled_eur: Decimal | None = None
    trading_share_pct: Decimal | None = None
    capital_share_pct: Decimal | None = None
    market_share_pct: tuple[tuple[str, Decimal], ...] | None = None
    main_business_share_pct: Decimal | None = None
    relies_on_exemption: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("net_cash_settled_eur",), ("trading_share_pct", "capital_share_pct", "main_business_share_pct"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """A transaction on a trading venue by a firm under MiFID, and the clock that timed it."""

    investment_firm: bool | None = None
    holidays: Days = frozenset()
    executed_on: date | None = None
    reported_on: date | None = None
    checked_on: date | None = None
    trading: str | None = None
    clock_divergence_us: int | None = None
    keep_until: date | None = None

    def __post_init__(self) -> None:
        checked(self, ("clock_divergence_us",), after=(("executed_on", "reported_on"), ("executed_on", "keep_until")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    algorithmic: bool | None = None
    kill_switch: bool | None = None
    price_collar: bool | None = None
    max_value: bool | None = None
    max_messages: bool | None = None
    assessed_on: date | None = None
    notified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholesaleDeal:
    """A deal in wholesale energy as REMIT sees it."""

    checked_on: date
    holidays: Days = frozenset()
    wholesale_energy: bool | None = None
    standard: bool | None = None
    organised_market: bool | None = None
    concluded_on: date | None = None
    reported_on: date | None = None
    simple_terms: bool | None = None
    framework: bool | None = None
    table: int | None = None
    keep_until: date | None = None

    def __post_init__(self) -> None:
        checked(self, after=(("concluded_on", "reported_on"), ("concluded_on", "checked_on"), ("concluded_on", "keep_until")))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketParticipant:
    trades_wholesale_energy: bool | None = None
    acer_code: str | None = None
    consumption_gwh_per_year: Decimal | None = None
    registered_as_consumer: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("consumption_gwh_per_year",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Loss of capacity of one asset and what was done about it. `known_us`: when somebody of ours confirmed it."""

    checked_us: int
    asset_in_scope: bool | None = None
    planned: bool | None = None
    installed_mw: Decimal | None = None
    lost_mw: Decimal | None = None
    known_us: int | None = None
    published_us: int | None = None
    own_orders_us: tuple[int, ...] | None = None
    cover_only: bool | None = None
    cover_notified: bool | None = None
    delayed: bool | None = None
    delay_legitimate: bool | None = None
    delay_confidential: bool | None = None
    delay_notified: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("installed_mw", "lost_mw"))
        if self.installed_mw is not None and self.lost_mw is not None and self.lost_mw > self.installed_mw:
            raise FactsError(f"lost_mw: {self.lost_mw} is above installed_mw {self.installed_mw}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    net_lots: Decimal
    owned_pct: Decimal | None
    controlled: bool | None

    def __post_init__(self) -> None:
        checked(self, shares=("owned_pct",))


@dataclass(frozen=True, slots=True, kw_only=True)
class FuturesPosition:
    """`contract`: CL, NG, HO or RB. `days_to_expiry`: business days left, for a level that steps down. Sides of one contract month."""

    contract: str | None = None
    spot_month: bool | None = None
    accounts: tuple[Account, ...] | None = None
    limit_lots: Decimal | None = None
    aggregate_lots: Decimal | None = None
    hedge_lots: Decimal | None = None
    hedge_recorded: bool | None = None
    long_lots: Decimal | None = None
    short_lots: Decimal | None = None
    reported: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("limit_lots", "hedge_lots", "long_lots", "short_lots"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A swap under the US rules. Days are in the time zone of the reporting counterparty."""

    checked_on: date
    holidays: Days = frozenset()
    us_swap: bool | None = None
    venue: Venue | None = None
    reporter: Reporter | None = None
    executed_on: date | None = None
    reported_on: date | None = None
    uti: str | None = None
    leis: tuple[str, ...] | None = None
    ended_on: date | None = None
    keep_until: date | None = None

    def __post_init__(self) -> None:
        checked(self, after=(("executed_on", "reported_on"), ("executed_on", "checked_on"), ("executed_on", "ended_on")))


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapDealing:
    deals_in_swaps: bool | None = None
    monthly_notional_usd: tuple[Decimal, ...] | None = None
    registered: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("monthly_notional_usd",))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCompany:
    claims_local: bool | None = None
    voting_pct: Decimal | None = None
    senior_pct: Decimal | None = None
    other_posts_pct: Decimal | None = None
    certificate_from: date | None = None
    certificate_until: date | None = None
    contracted_on: date | None = None

    def __post_init__(self) -> None:
        checked(self, shares=("voting_pct", "senior_pct", "other_posts_pct"), after=(("certificate_from", "certificate_until"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSpend:
    service: str | None = None
    share_pct: Decimal | None = None

    def __post_init__(self) -> None:
        checked(self, shares=("share_pct",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaring:
    """One flaring event at a permitted plant in Guyana. `reason`: commissioning, start-up, emergency, maintenance, restart or another."""

    permitted_plant: bool | None = None
    reason: str | None = None
    started_us: int | None = None
    expected_days: Decimal | None = None
    applied_us: int | None = None
    checked_us: int | None = None
    approval_expires_on: date | None = None
    payment_calculated_on: date | None = None
    co2e_t: Decimal | None = None
    paid_usd: Decimal | None = None

    def __post_init__(self) -> None:
        checked(self, ("expected_days", "co2e_t", "paid_usd"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Figures of a company for screening, in one currency."""

    interest_debt: Decimal | None = None
    interest_deposits: Decimal | None = None
    market_cap: Decimal | None = None
    impermissible_income: Decimal | None = None
    income: Decimal | None = None

    def __post_init__(self) -> None:
        checked(self, ("interest_debt", "interest_deposits", "market_cap", "impermissible_income", "income"))


@dataclass(frozen=True, slots=True, kw_only=True)
class IslamicContract:
    """`form`: salam, murabaha or another. `place`, `delivery_on` None: not agreed, when `terms_complete`; else not known."""

    form: str
    terms_complete: bool = True
    paid_pct: Decimal | None = None
    money: bool | None = None
    specified: bool | None = None
    place: str | None = None
    delivery_on: date | None = None
    physical: bool | None = None
    cost: Decimal | None = None
    markup_pct: Decimal | None = None
    owned_us: int | None = None
    sold_us: int | None = None
    late_charge_pct: Decimal | None = None
    late_beneficiary: str | None = None
    interest: bool | None = None
    ruling_until: date | None = None
    ruling_withdrawn: bool = False

    def __post_init__(self) -> None:
        checked(self, ("cost", "markup_pct", "late_charge_pct"), ("paid_pct",))
