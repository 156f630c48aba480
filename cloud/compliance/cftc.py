"""US commodity law, 17 CFR: position limits, large-trader reports, swap creation data, swap-dealer threshold, records.

Pure rules over facts.FuturesPosition, facts.Swap and facts.SwapDealing. Manipulation and spoofing are surveillance's.
"""

import re
from datetime import date
from decimal import Decimal

from cloud.compliance.deadlines import done_by, due_workdays, kept_until
from cloud.compliance.facts import FuturesPosition, Reporter, Swap, SwapDealing, Venue
from cloud.compliance.identifiers import lei_is_valid
from cloud.compliance.parameters import Undetermined
from cloud.compliance.rules import Verdict, held, not_applicable, passed, rule
from cloud.compliance.trace import Law, Trace

LIMITS = date(2022, 1, 1)
CORE = ("CL", "NG", "HO", "RB")


def aggregate(f: FuturesPosition, p: Law, t: Trace) -> Decimal:
    """Net lots of every account that is controlled, or owned from the share of 17 CFR 150.4 on."""
    least = p.number("us.cftc.aggregate_pct")
    together = Decimal(0)
    for number, one in enumerate(t.known("accounts", f.accounts), start=1):
        owned = t.known(f"account {number} owned percent", one.owned_pct)
        if owned >= least or t.known(f"account {number} controlled", one.controlled):
            together += one.net_lots
    return t.step("aggregate", "sum of accounts controlled, or owned by the least share or more", together)


@rule("C-T01", "Aggregated position does not exceed the limit", FuturesPosition, ("17 CFR 150.2", "17 CFR 150.4"), LIMITS,
      ("us.cftc.aggregate_pct",))  # fmt: skip
def position_limit(f: FuturesPosition, p: Law, t: Trace) -> Verdict:
    if f.contract is None or f.contract not in CORE:
        return not_applicable(f"{t.known('contract', f.contract)} is no core energy contract")
    net = abs(aggregate(f, p, t))
    limit = t.known("limit in lots", f.limit_lots)
    excess = t.step("excess", "long or short more than the limit; equal to it is no breach", max(net - limit, Decimal(0)))
    return held(not excess, f"{net} of {limit}", f"{net} exceeds {limit} by {excess}")


@rule("C-T02", "Spot-month limit of an energy contract", FuturesPosition, ("17 CFR 150.2", "17 CFR 150 App. E"), LIMITS,
      ("us.cftc.aggregate_pct", *(f"us.cftc.spot.{one}.far" for one in CORE)))  # fmt: skip
def spot_month(f: FuturesPosition, p: Law, t: Trace) -> Verdict:
    contract = t.known("contract", f.contract)
    if contract not in CORE:
        return not_applicable(f"{contract} is no core energy contract")
    if not t.known("spot month", f.spot_month):
        return not_applicable("energy contracts have a limit in the spot month only")
    net = abs(aggregate(f, p, t))
    limit = p.number(f"us.cftc.spot.{contract}.far")
    above = t.step("exceeded", "the aggregate is more than the level, hedging apart", net > limit)
    return held(not above, f"{net} of {limit}", f"{net} exceeds {limit}")


@rule("C-T03", "Accounts that belong together are aggregated", FuturesPosition, ("17 CFR 150.4",), LIMITS, ("us.cftc.aggregate_pct",))
def aggregated(f: FuturesPosition, p: Law, t: Trace) -> Verdict:
    if len(t.known("accounts", f.accounts)) < 2:
        return not_applicable("one account")
    net = aggregate(f, p, t)
    stated = t.known("aggregate reported, lots", f.aggregate_lots)
    return held(stated == net, f"{net} aggregated", f"{stated} was reported as the aggregate, {net} belongs together")


@rule("C-T04", "Bona fide hedge is on record and covers the excess", FuturesPosition, ("17 CFR 150.3", "17 CFR 150 App. B"), LIMITS,
      ("us.cftc.aggregate_pct",))  # fmt: skip
def hedge(f: FuturesPosition, p: Law, t: Trace) -> Verdict:
    excess = abs(aggregate(f, p, t)) - t.known("limit in lots", f.limit_lots)
    if excess <= 0:
        return not_applicable("no excess to be exempted")
    covered = t.step("covered", "hedge in lots is not less than the excess", t.known("hedge in lots", f.hedge_lots) >= excess)
    return held(covered and t.known("hedge recorded", f.hedge_recorded), "hedge on record", f"excess of {excess} lots is not covered")


@rule("C-T05", "Reportable position of a contract month is reported", FuturesPosition, ("17 CFR 15.00(p)", "17 CFR 15.03(b)", "17 CFR 17.00"),
      LIMITS, tuple(f"us.cftc.reportable.{one}" for one in CORE))  # fmt: skip
def large_trader(f: FuturesPosition, p: Law, t: Trace) -> Verdict:
    contract = t.known("contract", f.contract)
    if contract not in CORE:
        return not_applicable(f"{contract} is no core energy contract")
    if not is_reportable(f, p.number(f"us.cftc.reportable.{contract}"), t):
        return not_applicable("below the level on both sides")
    return held(t.known("reported", f.reported), "reported", "reportable and not reported")


def is_reportable(f: FuturesPosition, level: Decimal, t: Trace) -> bool:
    """Sides and months are never netted nor summed."""
    sides = t.known("long lots", f.long_lots), t.known("short lots", f.short_lots)
    return t.step("reportable", "one side equals or exceeds the level", max(sides) >= level)


def _swap(f: Swap, t: Trace) -> Verdict | None:
    return None if t.known("US swap", f.us_swap) else not_applicable("not a swap under US law")


@rule("C-T06", "Creation data of a swap on a facility", Swap, ("17 CFR 45.3(a)",), date(2022, 12, 5), ("us.cftc.creation.first_days",))
def on_facility(f: Swap, p: Law, t: Trace) -> Verdict:
    if (spared := _swap(f, t)) is not None:
        return spared
    if t.known("venue", f.venue) is not Venue.SEF_OR_DCM:
        return not_applicable("off a facility")
    return done_by(t, "reported", creation_due(f, p, t), f.reported_on, f.checked_on)


@rule("C-T07", "Creation data of a swap off a facility", Swap, ("17 CFR 45.3(b)",), date(2022, 12, 5),
      ("us.cftc.creation.first_days", "us.cftc.creation.other_days"))  # fmt: skip
def off_facility(f: Swap, p: Law, t: Trace) -> Verdict:
    if (spared := _swap(f, t)) is not None:
        return spared
    if t.known("venue", f.venue) is not Venue.OFF_FACILITY:
        return not_applicable("on a facility")
    return done_by(t, "reported", creation_due(f, p, t), f.reported_on, f.checked_on)


def creation_due(f: Swap, p: Law, t: Trace) -> date:
    other = t.known("venue", f.venue) is Venue.OFF_FACILITY and t.known("reporting counterparty", f.reporter) is Reporter.OTHER
    executed = t.known("executed on", f.executed_on)
    days = p.number("us.cftc.creation.other_days" if other else "us.cftc.creation.first_days", executed)
    return due_workdays(t, executed, days, f.holidays)


@rule("C-T08", "Identifiers of a swap", Swap, ("17 CFR 45.5", "17 CFR 45.6"), date(2022, 12, 5), ("us.cftc.uti_pattern",))
def identifiers(f: Swap, p: Law, t: Trace) -> Verdict:
    if (spared := _swap(f, t)) is not None:
        return spared
    uti, leis = t.known("UTI", f.uti), t.known("LEIs", f.leis or None)
    formed = re.fullmatch(p.text("us.cftc.uti_pattern"), uti) is not None and lei_is_valid(uti[:20])
    right = t.step("well formed", "UTI fits the pattern and begins with an LEI; LEIs check", formed and all(map(lei_is_valid, leis)))
    return held(right, "well formed", "UTI or LEI is not well formed")


@rule("C-T10", "Swap-dealer threshold", SwapDealing, ("17 CFR 1.3", "83 FR 56666"), date(2018, 11, 13), ("us.cftc.dealer.usd",))
def swap_dealer(f: SwapDealing, p: Law, t: Trace) -> Verdict:
    if not t.known("deals in swaps", f.deals_in_swaps):
        return not_applicable("no dealing in swaps")
    if not exceeds_de_minimis(f, p, t):
        return passed("not more than the threshold")
    return held(t.known("registered", f.registered), "above the threshold and registered", "above the threshold, not registered")


def exceeds_de_minimis(f: SwapDealing, p: Law, t: Trace) -> bool:
    months = t.known("dealing notional by month, USD", f.monthly_notional_usd)
    if len(months) != 12:
        raise Undetermined(f"expected twelve months, found {len(months)}")
    total = t.step("trailing twelve months", "sum", sum(months, Decimal(0)))
    return t.step("exceeded", "more than the threshold", total > p.number("us.cftc.dealer.usd"))


@rule("C-T14", "Records of a swap kept long enough", Swap, ("17 CFR 45.2", "17 CFR 1.31"), date(2012, 10, 14), ("us.cftc.keep_years",))
def kept(f: Swap, p: Law, t: Trace) -> Verdict:
    if (spared := _swap(f, t)) is not None:
        return spared
    return kept_until(t, t.known("ended on", f.ended_on), p.number("us.cftc.keep_years"), f.keep_until)


RULES = (position_limit, spot_month, aggregated, hedge, large_trader, on_facility, off_facility, identifiers, swap_dealer, kept)
