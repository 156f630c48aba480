"""Guyana: local content (Act 18 of 2021) and flaring under the environmental permit.

Pure rules over facts.LocalCompany, LocalSpend and Flaring, and plant_facts.LocalPlan, BackgroundFlare and PetroleumActivity. Not the measurement of what is flared: cloud/esg has it.
"""

from datetime import date
from decimal import Decimal

from cloud.compliance.deadlines import done_by, whole
from cloud.compliance.facts import Flaring, LocalCompany, LocalSpend
from cloud.compliance.plant_facts import BackgroundFlare, LocalPlan, PetroleumActivity
from cloud.compliance.rules import Verdict, failed, held, not_applicable, passed, rule
from cloud.compliance.trace import Law, Trace
from cloud.compliance.workdays import add_days

HOUR_US = 3_600_000_000
ACT = date(2021, 12, 31)
PERMIT = date(2021, 5, 13)
SERVICES = (
    "office_space_rental", "accommodation", "janitorial_laundry", "catering", "pest_control", "local_insurance_services",
    "customs_brokerage", "local_accounting_services", "local_legal_services", "food_supply", "waste_management",
    "manpower_crewing", "building_construction_onshore", "equipment_rental", "surveying", "pipe_welding", "blasting_coating",
    "structural_fabrication", "storage", "laydown_yards", "administrative_support", "immigration_support", "export_packing",
    "cargo_management", "chandlery", "trucking", "metrology", "ventilation", "industrial_cleaning", "security", "ict", "medical",
    "marketing", "ground_transport", "dredging", "engineering_machining", "borehole_testing", "environmental_services",
    "aviation_support",
)  # fmt: skip


@rule("G-01", "Claim to be a Guyanese company", LocalCompany, ("Local Content Act 2021 s. 2",), ACT,
      ("gy.lca.company.voting_pct", "gy.lca.company.senior_pct", "gy.lca.company.other_posts_pct"))  # fmt: skip
def guyanese_company(f: LocalCompany, p: Law, t: Trace) -> Verdict:
    if not t.known("claims to be Guyanese", f.claims_local):
        return not_applicable("no claim")
    voting = t.known("voting percent", f.voting_pct) >= p.number("gy.lca.company.voting_pct")
    senior = t.known("executive and senior percent", f.senior_pct) >= p.number("gy.lca.company.senior_pct")
    other = t.known("other posts percent", f.other_posts_pct) >= p.number("gy.lca.company.other_posts_pct")
    all_three = t.step("Guyanese company", "each of the three shares is not less than its minimum", voting and senior and other)
    return held(all_three, "all three shares are reached", "a share is below its minimum")


@rule("G-02", "Local content certificate in force on the day of contract", LocalCompany, ("Local Content Act 2021 s. 6",), ACT)
def certified(f: LocalCompany, _: Law, t: Trace) -> Verdict:
    if not t.known("claims to be Guyanese", f.claims_local):
        return not_applicable("no claim")
    first, last = t.known("certificate from", f.certificate_from), t.known("certificate until", f.certificate_until)
    day = t.known("contracted on", f.contracted_on)
    return held(first <= day <= last, "certificate in force", f"no certificate in force on {day}")


@rule("G-09", "Local share of spend reaches the minimum of the First Schedule", LocalSpend, ("Local Content Act 2021, First Schedule",),
      date(2022, 12, 31), tuple(f"gy.lca.schedule.{service}" for service in SERVICES))  # fmt: skip
def first_schedule(f: LocalSpend, p: Law, t: Trace) -> Verdict:
    service = t.known("service", f.service)
    if service not in SERVICES:
        return not_applicable(f"{service} is no service of the Schedule")
    least = p.number(f"gy.lca.schedule.{service}")
    reached = t.step("reached", "the share is not less than the minimum", t.known("local share percent", f.share_pct) >= least)
    return held(reached, f"at least {least} percent", f"{f.share_pct} percent, {least} expected")


def _flare(f: Flaring, t: Trace) -> Verdict | None:
    return None if t.known("permitted plant", f.permitted_plant) else not_applicable("no plant under the permit")


@rule("G-11", "Flaring for a reason the permit knows", Flaring, ("EPA permit Liza 2",), PERMIT, ("gy.epa.flare.reasons",))
def reason(f: Flaring, p: Law, t: Trace) -> Verdict:
    if (spared := _flare(f, t)) is not None:
        return spared
    given = t.known("reason", f.reason)
    return held(given in p.texts("gy.epa.flare.reasons"), f"{given} is allowed", f"{given} is not allowed: routine flaring is prohibited")


def approval_needed(f: Flaring, p: Law, t: Trace) -> bool:
    days = t.known("expected days", f.expected_days)
    return t.step("approval needed", "expected to last longer than the days", days > p.number("gy.epa.flare.approval_days"))


def application_due_us(f: Flaring, p: Law, t: Trace) -> int:
    started_us = t.known("started_us", f.started_us)
    return started_us + int(p.number("gy.epa.flare.apply_hours") * HOUR_US)


@rule("G-12", "Approval of long flaring applied for in time", Flaring, ("EPA permit Liza 2",), PERMIT,
      ("gy.epa.flare.approval_days", "gy.epa.flare.apply_hours"))  # fmt: skip
def approval(f: Flaring, p: Law, t: Trace) -> Verdict:
    if (spared := _flare(f, t)) is not None:
        return spared
    if not approval_needed(f, p, t):
        return not_applicable("short enough to need no approval")
    due_us = application_due_us(f, p, t)
    if f.applied_us is None:
        over = t.known("checked_us", f.checked_us) > due_us
        return failed("not applied for in time") if over else not_applicable("to be applied for, the time is not over")
    in_time = t.step("in time", "applied for within the hours after the start", t.known("applied_us", f.applied_us) <= due_us)
    return held(in_time, "applied for in time", "applied for too late")


def payment_due(f: Flaring, p: Law, t: Trace) -> date:
    return add_days(t.known("approval expires on", f.approval_expires_on), whole(p.number("gy.epa.flare.payment_days")))


@rule("G-13", "Flaring payment is calculated in time and at the rate of the day", Flaring, ("EPA permit Liza 1, Liza 2",), PERMIT,
      ("gy.epa.flare.payment_days", "gy.epa.flare.usd_per_t"))  # fmt: skip
def payment(f: Flaring, p: Law, t: Trace) -> Verdict:
    if (spared := _flare(f, t)) is not None:
        return spared
    owed = payment_owed(f, p, t)
    if not owed:
        return not_applicable("nothing to pay for")
    due = t.step("due", "days after the approval expires", payment_due(f, p, t))
    late = t.known("payment calculated on", f.payment_calculated_on) > due
    if t.step("late", "calculated after the due day", late):
        return failed(f"calculated on {f.payment_calculated_on}, due {due}")
    return passed(f"USD {owed}") if t.known("paid USD", f.paid_usd) >= owed else failed(f"USD {f.paid_usd} paid of {owed}")


def payment_owed(f: Flaring, p: Law, t: Trace) -> Decimal:
    return t.step("owed USD", "tonnes of CO2 equivalent x rate", t.known("t CO2e", f.co2e_t) * p.number("gy.epa.flare.usd_per_t"))


@rule("G-04", "Annual local content plan is in before its year", LocalPlan, ("Local Content Act 2021, annual plan",), ACT,
      ("gy.lca.plan.days_before",))  # fmt: skip
def annual_plan(f: LocalPlan, p: Law, t: Trace) -> Verdict:
    if not t.known("contractor or licensee", f.contractor):
        return not_applicable("no contractor, sub-contractor or licensee")
    due = add_days(date(t.known("year", f.year), 1, 1), -whole(p.number("gy.lca.plan.days_before")))
    return done_by(t, "submitted", t.step("due", "days before the year begins", due), f.submitted_on, f.checked_on)


@rule("G-05", "Half-yearly local content report is in", LocalPlan, ("Local Content Act 2021, half-yearly report",), ACT,
      ("gy.lca.report.days_after",))  # fmt: skip
def half_yearly(f: LocalPlan, p: Law, t: Trace) -> Verdict:
    if not t.known("contractor or licensee", f.contractor):
        return not_applicable("no contractor, sub-contractor or licensee")
    due = add_days(t.known("half-year end", f.half_year_end), whole(p.number("gy.lca.report.days_after")))
    return done_by(t, "reported", t.step("due", "days after the half-year", due), f.reported_on, f.checked_on)


@rule("G-14", "Background flare above the allowance is paid for", BackgroundFlare, ("EPA permit Liza 1, Liza 2",), PERMIT,
      ("gy.epa.flare.background_mmscf",))  # fmt: skip
def background(f: BackgroundFlare, p: Law, t: Trace) -> Verdict:
    if not t.known("permitted plant", f.permitted_plant):
        return not_applicable("no plant under the permit")
    if not t.step("payable", "rate exceeds the allowance", t.known("MMscf/d", f.mmscf_per_day) > p.number("gy.epa.flare.background_mmscf")):
        return not_applicable("not above the allowance")
    return held(t.known("counted as payable", f.counted_as_payable), "counted as payable", "above the allowance and not counted as payable")


@rule("G-15", "Activity is licensed", PetroleumActivity, ("Petroleum Activities Act 2023",), date(2023, 8, 16))
def licensed(f: PetroleumActivity, _: Law, t: Trace) -> Verdict:
    if not t.known("needs a licence", f.licensable):
        return not_applicable("needs no licence")
    day, first, last = t.known("on", f.on), t.known("licence from", f.licence_from), t.known("licence until", f.licence_until)
    return held(t.step("in force", "the day lies within the licence", first <= day <= last), "licensed", f"no licence in force on {day}")


@rule("G-16", "Order to supply the home market is within the profit oil", PetroleumActivity, ("Petroleum Activities Act 2023",),
      date(2023, 8, 16))  # fmt: skip
def home_supply(f: PetroleumActivity, _: Law, t: Trace) -> Verdict:
    ordered = t.known("ordered barrels", f.ordered_bbl)
    if not ordered:
        return not_applicable("no order")
    inside = ordered <= t.known("share of profit oil, barrels", f.profit_oil_bbl)
    return held(t.step("within", "the order does not exceed the share", inside), "within the share", "the order exceeds the share")


RULES = (
    guyanese_company,
    certified,
    first_schedule,
    reason,
    approval,
    payment,
    annual_plan,
    half_yearly,
    background,
    licensed,
    home_supply,
)
