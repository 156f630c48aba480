"""UK rules beside their EU sisters: reporting and clearing, position limits of venues, energy data, flaring consents, allowances.

Pure rules over plant_facts. UK REMIT articles 3 to 5 are judged by R-02 to R-05, which they follow word for word.
"""

from datetime import date

from cloud.compliance.deadlines import done_by, due_workdays
from cloud.compliance.plant_facts import (
    FlareConsent,
    UkAllowances,
    UkAncillary,
    UkDerivative,
    UkMonthEnds,
    UkVenuePosition,
    UkWholesale,
)
from cloud.compliance.rules import Verdict, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace, state

POSITIONS = date(2026, 7, 6)


@rule("U-01", "Derivative is reported to a UK trade repository in time", UkDerivative, ("UK EMIR art. 9",), date(2014, 2, 12),
      ("uk.emir.report.workdays",))  # fmt: skip
def reported(f: UkDerivative, p: Law, t: Trace) -> Verdict:
    if not t.known("counterparty in the UK", f.uk_counterparty):
        return not_applicable("no counterparty in the UK")
    due = due_workdays(t, t.known("executed on", f.executed_on), p.number("uk.emir.report.workdays"), f.holidays)
    return done_by(t, "reported", due, f.reported_on, f.checked_on)


@rule(
    "U-02", "Clearing threshold is notified to the FCA", UkMonthEnds, ("UK EMIR art. 10",), date(2021, 1, 1), ("uk.emir.ct.commodity_eur",)
)
def clearing(f: UkMonthEnds, p: Law, t: Trace) -> Verdict:
    if not t.known("non-financial counterparty in the UK", f.uk_nfc):
        return not_applicable("no non-financial counterparty in the UK")
    months = t.known("month ends EUR", f.total_eur)
    mean = t.step("mean EUR", "sum of month ends / 12", sum(months) / 12)
    if not t.step("above", "the mean exceeds the threshold", mean > p.number("uk.emir.ct.commodity_eur")):
        return not_applicable("not above the threshold")
    return held(t.known("notified", f.notified), "above the threshold and notified", "above the threshold and not notified")


@rule("U-03", "Position in a critical contract is within the venue's limit", UkVenuePosition, ("FCA PS25/1", "MAR 10"), POSITIONS)
def within_limit(f: UkVenuePosition, _: Law, t: Trace) -> Verdict:
    if not t.known("critical contract", f.critical):
        return not_applicable("no critical contract")
    if f.exempt:
        return not_applicable("exempt, see U-04")
    inside = abs(t.known("net lots", f.net_lots)) <= t.known("limit lots", f.limit_lots)
    return held(t.step("within", "size of the net position does not exceed the limit", inside), "within the limit", "above the limit")


@rule(
    "U-04", "Exemption from limits is of the present regime", UkVenuePosition, ("FCA PS25/1",), POSITIONS, ("uk.positions.exemptions_from",)
)
def exemption(f: UkVenuePosition, p: Law, t: Trace) -> Verdict:
    if not t.known("exempt", f.exempt):
        return not_applicable("no exemption is claimed")
    granted = t.known("exemption from", f.exemption_from)
    valid = granted >= date.fromisoformat(p.text("uk.positions.exemptions_from"))
    return held(t.step("of the present regime", "granted on or after the day on which the older ones lapsed", valid),
                f"granted on {granted}", f"granted on {granted}: it has lapsed")  # fmt: skip


@rule(
    "U-05",
    "Ancillary activity is notified for the year",
    UkAncillary,
    ("UK MiFID RTS 20",),
    date(2018, 1, 3),
    ("uk.mifid.ancillary.notice",),
)
def ancillary(f: UkAncillary, p: Law, t: Trace) -> Verdict:
    if p.ended("uk.mifid.ancillary.notice"):
        return not_applicable("the yearly notice was abolished; the assessment is kept")
    if not t.known("relies on the exemption", f.relies_on_exemption):
        return not_applicable("the exemption is not used")
    wanted = p.text("uk.mifid.ancillary.notice") == "yearly"
    return held(t.known("notified", f.notified) == wanted, "notified", "not notified")


@rule("U-08", "Wholesale energy data are reported to Ofgem", UkWholesale, ("SI 2019/534 sched. 2 para 12",), date(2020, 12, 31),
      ("uk.remit.reporting",))  # fmt: skip
def energy_data(f: UkWholesale, p: Law, t: Trace) -> Verdict:
    if not t.known("wholesale energy", f.wholesale_energy):
        return not_applicable("no wholesale energy")
    if (
        t.step("state", "has the authority given notice of its system", state(p.text("uk.remit.reporting"), "ready", "no notice"))
        == "no notice"
    ):
        return not_applicable("the authority has given no notice that its system is ready")
    return held(t.known("reported", f.reported), "reported", "not reported")


@rule("U-12", "Flaring and venting stay within the consent", FlareConsent, ("Petroleum Act 1998, licence model clauses", "NSTA consents"),
      date(1998, 11, 1))  # fmt: skip
def consented(f: FlareConsent, _: Law, t: Trace) -> Verdict:
    if not t.known("field in the UK", f.uk_field):
        return not_applicable("no field in the UK")
    inside = t.known("metered t", f.metered_t) <= t.known("consented t", f.consented_t)
    return held(
        t.step("within", "metered does not exceed consented", inside), "within the consent", f"{f.metered_t} t of {f.consented_t} t"
    )


@rule("U-13", "Allowances cover the verified emissions of the year", UkAllowances, ("UK ETS Order 2020",), date(2021, 1, 1),
      ("uk.ets.report_day", "uk.ets.surrender_day"))  # fmt: skip
def allowances(f: UkAllowances, p: Law, t: Trace) -> Verdict:
    if not t.known("in the scheme", f.in_scheme):
        return not_applicable("not in the scheme")
    after = t.known("year", f.year) + 1
    report = t.step("report due", "day of the following year", date.fromisoformat(f"{after}-{p.text('uk.ets.report_day')}"))
    surrender = t.step("surrender due", "day of the following year", date.fromisoformat(f"{after}-{p.text('uk.ets.surrender_day')}"))
    filed = done_by(t, "reported", report, f.reported_on, f.checked_on)
    if f.reported_on is None or f.reported_on > report:
        return filed
    if not t.known("verified", f.verified):
        return held(False, "", "reported without verification")
    covered = t.known("surrendered t", f.surrendered_t) >= t.known("emitted t", f.emitted_t)
    if not t.step("covered", "surrendered is not less than emitted", covered) and f.checked_on > surrender:
        return held(False, "", f"{f.surrendered_t} t surrendered for {f.emitted_t} t")
    return done_by(t, "surrendered", surrender, f.surrendered_on if covered else None, f.checked_on)


RULES = (reported, clearing, within_limit, exemption, ancillary, energy_data, consented, allowances)
