"""REMIT, Regulation (EU) 1227/2011: registration, reporting of deals, disclosure of inside information, trading on it, records.

Pure rules over facts.WholesaleDeal, facts.MarketParticipant, facts.Outage and facts.Algorithm. Not the messages nor the files.
"""

import re
from datetime import date
from decimal import Decimal

from cloud.compliance.deadlines import done_by, kept_until, whole
from cloud.compliance.facts import Algorithm, MarketParticipant, Outage, WholesaleDeal
from cloud.compliance.parameters import Undetermined
from cloud.compliance.rules import Verdict, failed, held, indeterminate, not_applicable, rule
from cloud.compliance.trace import Law, Trace
from cloud.compliance.workdays import add_months, add_workdays

IN_FORCE = date(2011, 12, 28)
REPORTING = date(2015, 10, 7)
MINUTE_US = 60_000_000


@rule(
    "R-01", "Market participant has an ACER code", MarketParticipant, ("REMIT art. 9",), date(2014, 3, 17), ("eu.remit.acer_code_pattern",)
)
def registered(f: MarketParticipant, p: Law, t: Trace) -> Verdict:
    if not t.known("trades wholesale energy", f.trades_wholesale_energy):
        return not_applicable("no wholesale energy")
    code = t.known("ACER code", f.acer_code)
    formed = t.step("form", "the code fits the pattern", re.fullmatch(p.text("eu.remit.acer_code_pattern"), code) is not None)
    return held(formed, "well formed", f"{code}: not of the form of an ACER code")


def is_disclosable(f: Outage, p: Law, t: Trace) -> bool:
    lost = t.known("lost MW", f.lost_mw)
    return t.step("over the floor", "the loss is not less than the floor", lost >= p.number("eu.remit.disclosure.floor_mw"))


@rule("R-02", "Inside information about own capacity disclosed in time", Outage, ("REMIT art. 4(1)",), IN_FORCE,
      ("eu.remit.disclosure.floor_mw", "eu.remit.disclosure.minutes"))  # fmt: skip
def disclosed(f: Outage, p: Law, t: Trace) -> Verdict:
    if not t.known("asset in scope", f.asset_in_scope) or not t.known("lost MW", f.lost_mw):
        return not_applicable("no capacity of ours is lost")
    if t.known("delayed", f.delayed):
        return not_applicable("disclosure is delayed, see R-05")
    if not is_disclosable(f, p, t):
        return indeterminate("below the floor, which art. 4 does not know: a person has to review it")
    known_us = t.known("known_us", f.known_us)
    due_us = t.step("due_us", "minutes after it was known", known_us + int(p.number("eu.remit.disclosure.minutes") * MINUTE_US))
    if f.published_us is None:
        return failed("not published in time") if f.checked_us > due_us else not_applicable("to be published, the time is not over")
    late = t.step("late", "published after the time was over", t.known("published_us", f.published_us) > due_us)
    return held(not late, "published in time", "published too late")


def blocked_orders(f: Outage, t: Trace) -> tuple[int, ...]:
    """Own orders between knowledge and publication; up to the present where nothing is published."""
    known_us = t.known("known_us", f.known_us)
    until_us = f.checked_us + 1 if f.published_us is None else t.known("published_us", f.published_us)
    orders = t.known("own orders_us", f.own_orders_us)
    return t.step("orders between_us", "knowledge <= order < publication", tuple(one for one in orders if known_us <= one < until_us))


@rule("R-03", "No own trading between knowledge and publication", Outage, ("REMIT art. 3(1)",), IN_FORCE)
def no_trading(f: Outage, _: Law, t: Trace) -> Verdict:
    if not t.known("asset in scope", f.asset_in_scope) or not t.known("lost MW", f.lost_mw):
        return not_applicable("no inside information")
    inside = blocked_orders(f, t)
    if len(inside) > 0 and t.known("cover only", f.cover_only):
        return not_applicable("cover trades, see R-04")
    return held(not inside, "no order in between", f"{len(inside)} orders placed after confirmation and before publication")


@rule("R-04", "Cover trades for an unplanned outage are notified", Outage, ("REMIT art. 3(4)(b)",), IN_FORCE)
def cover(f: Outage, _: Law, t: Trace) -> Verdict:
    if not t.known("asset in scope", f.asset_in_scope) or not t.known("cover only", f.cover_only):
        return not_applicable("no cover trades are claimed")
    if t.known("planned", f.planned):
        return failed("cover trades are for unplanned outages only")
    return held(t.known("notified", f.cover_notified), "notified", "cover trades not notified")


@rule("R-05", "Delayed disclosure keeps its conditions", Outage, ("REMIT art. 4(2)",), IN_FORCE)
def delay(f: Outage, _: Law, t: Trace) -> Verdict:
    if not t.known("delayed", f.delayed):
        return not_applicable("not delayed")
    met = (
        t.known("legitimate interest and not misleading", f.delay_legitimate),
        t.known("confidential", f.delay_confidential),
        t.known("notified", f.delay_notified),
        not blocked_orders(f, t),
    )
    return held(t.step("conditions met", "all of them, and no own trading", all(met)), "conditions met", "a condition of delay is not met")


def report_due(f: WholesaleDeal, p: Law, t: Trace) -> date:
    concluded = t.known("concluded on", f.concluded_on)
    if t.known("standard contract", f.standard):
        days, months = p.number("eu.remit.standard.workdays", concluded), Decimal(0)
    else:
        days, months = p.number("eu.remit.non_standard.workdays", concluded), p.number("eu.remit.non_standard.months", concluded)
    due = add_workdays(add_months(concluded, whole(months)), whole(days), f.holidays)
    return t.step("due", f"{months} months and {days} working days after conclusion", due)


def _wholesale(f: WholesaleDeal, t: Trace) -> Verdict | None:
    return None if t.known("wholesale energy", f.wholesale_energy) else not_applicable("not a wholesale energy product")


@rule("R-06", "Wholesale deal reported in time", WholesaleDeal, ("REMIT art. 8", "Implementing Regulation (EU) 1348/2014 art. 7"), REPORTING,
      ("eu.remit.standard.workdays", "eu.remit.non_standard.workdays", "eu.remit.non_standard.months"))  # fmt: skip
def reported(f: WholesaleDeal, p: Law, t: Trace) -> Verdict:
    if (spared := _wholesale(f, t)) is not None:
        return spared
    return done_by(t, "reported", report_due(f, p, t), f.reported_on, f.checked_on)


@rule("R-07", "Large consumption unit is registered", MarketParticipant, ("REMIT art. 3(1)(a)(vii)",), IN_FORCE, ("eu.remit.consumer_gwh",))
def consumer(f: MarketParticipant, p: Law, t: Trace) -> Verdict:
    capability = t.known("consumption GWh a year", f.consumption_gwh_per_year)
    if capability < p.number("eu.remit.consumer_gwh"):
        return not_applicable("below the threshold")
    return held(t.known("in the unit register", f.registered_as_consumer), "registered", "reportable and not in the register")


@rule("R-09", "Deal is reported in the right table", WholesaleDeal, ("ACER transaction reporting user manual",), REPORTING)
def right_table(f: WholesaleDeal, _: Law, t: Trace) -> Verdict:
    if (spared := _wholesale(f, t)) is not None:
        return spared
    simple = t.known("organised market", f.organised_market) or (
        not t.known("framework", f.framework) and t.known("simple fixed price and volume", f.simple_terms)
    )
    wanted = t.step("table", "1 for organised markets and simple terms, 2 for complex terms and frameworks", 1 if simple else 2)
    return held(t.known("table used", f.table) == wanted, f"table {wanted}", f"table {f.table} used, {wanted} expected")


@rule(
    "R-11", "Algorithmic trading is notified", Algorithm, ("Regulation (EU) 2024/1106",), date(2024, 5, 7), ("eu.remit.algo_notification",)
)
def algorithm(f: Algorithm, p: Law, t: Trace) -> Verdict:
    if not t.known("algorithmic", f.algorithmic):
        return not_applicable("no algorithms")
    if p.text("eu.remit.algo_notification") != "notified":
        raise Undetermined("the law asks for something else than a notification, which is no fact here")
    return held(t.known("notified", f.notified), "notified", "algorithmic trading not notified")


@rule("R-14", "Record of a wholesale deal kept long enough", WholesaleDeal, ("REMIT II",), date(2024, 5, 7), ("eu.remit.keep_years",))
def kept(f: WholesaleDeal, p: Law, t: Trace) -> Verdict:
    if (spared := _wholesale(f, t)) is not None:
        return spared
    return kept_until(t, t.known("concluded on", f.concluded_on), p.number("eu.remit.keep_years"), f.keep_until)


RULES = (registered, disclosed, no_trading, cover, delay, reported, consumer, right_table, algorithm, kept)
