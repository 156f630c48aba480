"""US rules about plants and physical energy: EPA (40 CFR 98, 60.18), FERC reports and pipelines, disclosure of issuers.

Pure rules over plant_facts. Not derivatives (cftc), not the tonnes themselves (cloud/esg).
"""

from calendar import monthrange
from datetime import date
from decimal import Decimal

from cloud.compliance.deadlines import done_by, whole
from cloud.compliance.plant_facts import FacilityYear, FlareMinutes, GasYear, Issuer, QuarterlyReport, Shipment, StatusChange
from cloud.compliance.rules import Verdict, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace, state
from cloud.compliance.workdays import add_days, add_months


def day_after_year(year: int, text: str) -> date:
    """The day "MM-DD" of the year that follows."""
    return date.fromisoformat(f"{year + 1}-{text}")


def reportable(f: FacilityYear, p: Law, t: Trace) -> bool:
    emitted = t.known("t CO2e", f.co2e_t)
    return t.step("reportable", "emissions equal or exceed the threshold", emitted >= p.number("us.epa.ghg.threshold_t"))


@rule("P-01", "Facility above the threshold reports its greenhouse gases", FacilityYear, ("40 CFR 98.2", "40 CFR 98.3"), date(2010, 1, 1),
      ("us.epa.ghg.threshold_t", "us.epa.ghg.due_day"))  # fmt: skip
def greenhouse_report(f: FacilityYear, p: Law, t: Trace) -> Verdict:
    if not t.known("facility in the US", f.us_facility) or not reportable(f, p, t):
        return not_applicable("below the threshold")
    due = t.step("due", "day of the following year", day_after_year(t.known("year", f.year), p.text("us.epa.ghg.due_day")))
    return done_by(t, "reported", due, f.reported_on, f.checked_on)


def burns_well(f: FlareMinutes, p: Law, t: Trace) -> bool:
    """The heating value, or else the alternative for hydrogen-rich gas of an unassisted flare."""
    if t.known("heating value Btu/scf", f.heating_btu_scf) >= p.number("us.epa.flare.heating_btu_scf"):
        return t.step("burns well", "heating value is not below the least one", True)
    if t.known("assisted", f.assisted):
        return t.step("burns well", "heating value is below the least one, and an assisted flare has no alternative", False)
    rich = t.known("hydrogen percent", f.hydrogen_pct) >= p.number("us.epa.flare.hydrogen_pct")
    wide = t.known("diameter in", f.diameter_in) >= p.number("us.epa.flare.diameter_in")
    slow = t.known("velocity m/s", f.velocity_m_s) < p.number("us.epa.flare.velocity_m_s")
    return t.step("burns well", "hydrogen AND diameter not below their least values AND velocity below its limit", rich and wide and slow)


@rule("P-02", "Flare is lit, smokeless and fed with gas that burns", FlareMinutes, ("40 CFR 60.18", "40 CFR 65.147"), date(1986, 1, 21),
      ("us.epa.flare.visible_minutes", "us.epa.flare.heating_btu_scf", "us.epa.flare.hydrogen_pct", "us.epa.flare.diameter_in",
       "us.epa.flare.velocity_m_s"))  # fmt: skip
def flare(f: FlareMinutes, p: Law, t: Trace) -> Verdict:
    if not t.known("regulated", f.regulated) or not t.known("minutes", f.minutes):
        return not_applicable("no flare under the rule")
    lit = t.step("lit", "a flame in every minute", t.known("lit minutes", f.lit_minutes) == f.minutes)
    clear = t.known("visible minutes in two hours", f.visible_minutes) <= p.number("us.epa.flare.visible_minutes")
    burning = burns_well(f, p, t)
    kept = t.step("kept", "lit, visible no longer than allowed, and burning well", lit and clear and burning)
    return held(kept, "all three conditions are met", f"lit {f.lit_minutes} of {f.minutes} minutes; smokeless: {clear}; burns: {burning}")


@rule("P-05", "Waste emissions charge is paid", FacilityYear, ("Clean Air Act s. 136",), date(2024, 11, 18),
      ("us.epa.wec.threshold_t", "us.epa.wec.usd_per_t"))  # fmt: skip
def charge(f: FacilityYear, p: Law, t: Trace) -> Verdict:
    if not t.known("facility in the US", f.us_facility) or t.known("t CO2e", f.co2e_t) <= p.number("us.epa.wec.threshold_t"):
        return not_applicable("not above the threshold")
    over = t.known("methane t", f.methane_t) - t.known("methane allowed t", f.methane_allowed_t)
    owed = t.step("owed USD", "methane above what is allowed x rate", max(over, Decimal(0)) * p.number("us.epa.wec.usd_per_t"))
    if not owed:
        return not_applicable("no methane above what is allowed")
    return held(t.known("paid USD", f.charge_paid_usd) >= owed, f"USD {owed}", f"USD {f.charge_paid_usd} paid of {owed}")


@rule("F-01", "Electric quarterly report is in", QuarterlyReport, ("18 CFR 35.10b",), date(2002, 7, 1), ("us.ferc.eqr.months",))
def quarterly(f: QuarterlyReport, p: Law, t: Trace) -> Verdict:
    if not t.known("public utility", f.public_utility):
        return not_applicable("no public utility")
    end = t.known("quarter end", f.quarter_end)
    month = add_months(end.replace(day=1), whole(p.number("us.ferc.eqr.months")))
    due = t.step("due", "last day of the month so many months after the quarter", month.replace(day=monthrange(month.year, month.month)[1]))
    return done_by(t, "submitted", due, f.submitted_on, f.checked_on)


@rule("F-04", "Large physical gas trader files Form 552", GasYear, ("18 CFR 260.401",), date(2008, 1, 1),
      ("us.ferc.form_552.mmbtu", "us.ferc.form_552.due_day"))  # fmt: skip
def form_552(f: GasYear, p: Law, t: Trace) -> Verdict:
    large = t.known("US gas", f.us_gas) and t.known("MMBtu", f.mmbtu) >= p.number("us.ferc.form_552.mmbtu")
    if not t.step("to be filed", "physical gas equals or exceeds the threshold", large):
        return not_applicable("below the threshold")
    due = t.step("due", "day of the following year", day_after_year(t.known("year", f.year), p.text("us.ferc.form_552.due_day")))
    return done_by(t, "submitted", due, f.submitted_on, f.checked_on)


@rule("F-06", "Shipper has title to the gas", Shipment, ("FERC shipper-must-have-title policy", "18 CFR 284"), date(1992, 4, 8))
def title(f: Shipment, _: Law, t: Trace) -> Verdict:
    if not t.known("interstate", f.interstate):
        return not_applicable("no interstate pipeline")
    same = t.known("owner of the gas", f.gas_owner) == t.known("holder of the capacity", f.capacity_holder)
    return held(same, "owner of the gas holds the capacity", f"{f.capacity_holder} holds the capacity for gas of {f.gas_owner}")


@rule(
    "F-07", "Change in status is notified", StatusChange, ("18 CFR 35.42",), date(2005, 3, 21), ("us.ferc.status.mw", "us.ferc.status.days")
)
def status(f: StatusChange, p: Law, t: Trace) -> Verdict:
    if not t.known("market-based rates", f.market_based_rates) or t.known("added MW", f.added_mw) < p.number("us.ferc.status.mw"):
        return not_applicable("no change that is notified")
    due = add_days(t.known("changed on", f.changed_on), whole(p.number("us.ferc.status.days")))
    return done_by(t, "notified", t.step("due", "days after the change", due), f.notified_on, f.checked_on)


@rule(
    "S-01",
    "Climate disclosure of a registrant",
    Issuer,
    ("Regulation S-K items 1500 to 1508",),
    date(2024, 3, 6),
    ("us.sec.climate.state",),
)
def climate(f: Issuer, p: Law, t: Trace) -> Verdict:
    if not t.known("public", f.public):
        return not_applicable("no public issuer")
    if state(p.text("us.sec.climate.state"), "in force", "stayed") == "stayed":
        return not_applicable("the rule is stayed: a shadow disclosure may be kept")
    return held(t.known("climate disclosed", f.climate_disclosed), "disclosed", "not disclosed")


RULES = (greenhouse_report, flare, charge, quarterly, form_552, title, status, climate)
