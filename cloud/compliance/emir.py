"""EMIR, Regulation (EU) 648/2012 with Refit: reporting, identifiers, clearing threshold, confirmation, reconciliation, disputes, records.

Pure rules over facts.Derivative, facts.Portfolio and facts.MonthEndPositions. Not the report itself, nor its schema.
"""

import re
from datetime import date
from decimal import Decimal

from cloud.compliance.deadlines import done_by, due_workdays, kept_until, whole
from cloud.compliance.facts import Derivative, MonthEndPositions, Party, Portfolio
from cloud.compliance.identifiers import lei_is_valid
from cloud.compliance.parameters import Undetermined
from cloud.compliance.rules import Verdict, failed, held, not_applicable, passed, rule
from cloud.compliance.trace import Law, Trace
from cloud.compliance.workdays import add_months, workdays_between

REFIT = date(2024, 4, 29)  # Regulation (EU) 2022/1855 applies


def _otc(f: Derivative, t: Trace) -> Verdict | None:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    return None if t.known("over the counter", f.otc) else not_applicable("not over the counter")


def _uncleared(f: Derivative, t: Trace) -> Verdict | None:
    return _otc(f, t) or (not_applicable("cleared") if t.known("cleared", f.cleared) else None)


@rule("E-01", "Derivative reported to a trade repository in time", Derivative, ("EMIR art. 9(1)", "Regulation (EU) 2022/1855"),
      date(2014, 2, 12), ("eu.emir.report.workdays",))  # fmt: skip
def reported(f: Derivative, p: Law, t: Trace) -> Verdict:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    executed = t.known("executed on", f.executed_on)
    due = due_workdays(t, executed, p.number("eu.emir.report.workdays", executed), f.holidays)
    return done_by(t, "reported", due, f.reported_on, f.checked_on)


@rule("E-02", "Action type is one of the list", Derivative, ("EMIR art. 9", "Regulation (EU) 2022/1860"), date(2023, 6, 21),
      ("eu.emir.action_types",))  # fmt: skip
def action_type(f: Derivative, p: Law, t: Trace) -> Verdict:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    action = t.known("action", f.action)
    listed = t.step("listed", "the action is in the code list", action in p.texts("eu.emir.action_types"))
    return held(listed, f"{action} is listed", f"{action} is not in the list")


@rule("E-03", "LEIs have the form and check digits of ISO 17442", Derivative, ("EMIR art. 9", "ISO 17442"), date(2014, 2, 12))
def lei(f: Derivative, _: Law, t: Trace) -> Verdict:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    leis = t.known("LEIs", f.leis or None)
    wrong = t.step("wrong", "18 letters and digits, 2 check digits, remainder 1 modulo 97", tuple(x for x in leis if not lei_is_valid(x)))
    return held(not wrong, "all LEIs are well formed", f"not an LEI: {', '.join(wrong)}")


@rule("E-04", "UTI is well formed, begins with the LEI of its generator and is new", Derivative, ("EMIR art. 9", "ISO 23897"),
      date(2020, 8, 1), ("eu.emir.uti_pattern",))  # fmt: skip
def uti(f: Derivative, p: Law, t: Trace) -> Verdict:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    found = t.known("UTI", f.uti)
    formed = t.step("form", "the UTI fits the pattern", re.fullmatch(p.text("eu.emir.uti_pattern"), found) is not None)
    generator = t.step("generator", "the first 20 characters are an LEI", lei_is_valid(found[:20]))
    if not (formed and generator):
        return failed(f"{found}: not of the form of a UTI" if not formed else f"{found[:20]} is not an LEI")
    again = t.step("used before", "the UTI is in the log of those used", found in t.known("UTIs used", f.utis_used))
    return held(not again, "well formed and new", f"{found} was used before")


@rule("E-05", "UPI has the form of ISO 4914", Derivative, ("EMIR art. 9", "ISO 4914"), REFIT, ("eu.emir.upi_pattern",))
def upi(f: Derivative, p: Law, t: Trace) -> Verdict:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    found = t.known("UPI", f.upi)
    formed = t.step("form", "the UPI fits the pattern", re.fullmatch(p.text("eu.emir.upi_pattern"), found) is not None)
    return held(formed, "well formed", f"{found}: not of the form of a UPI")


@rule("E-06", "Clearing threshold for commodity derivatives of a non-financial party", MonthEndPositions,
      ("EMIR art. 10(1)", "Delegated Regulation (EU) 149/2013 art. 11", "Regulation (EU) 2024/2987"), date(2012, 12, 24),
      ("eu.emir.ct.commodity_nfc_eur", "eu.emir.ct.counted"))  # fmt: skip
def clearing_threshold(f: MonthEndPositions, p: Law, t: Trace) -> Verdict:
    if t.known("party", f.party) is Party.FC:
        return not_applicable("a financial counterparty has another test")
    counted = p.text("eu.emir.ct.counted")
    if counted not in ("all", "uncleared"):
        raise Undetermined(f'"{counted}" positions count, which are no fact here')
    months = t.known(f"month ends, {counted}, EUR", f.total_eur if counted == "all" else f.uncleared_eur)
    if len(months) != 12:
        raise Undetermined(f"expected twelve month ends, found {len(months)}")
    average = t.step("average", "mean of twelve month ends, hedging left out", sum(months, Decimal(0)) / 12)
    above = t.step("exceeded", "the average is more than the threshold", average > p.number("eu.emir.ct.commodity_nfc_eur"))
    if not above:
        return passed(f"average EUR {average:.0f} does not exceed the threshold")
    return held(t.known("notified", f.notified), "exceeded and notified: clearing applies", f"average EUR {average:.0f}, not notified")


@rule("E-07", "Uncleared OTC derivative confirmed in time", Derivative, ("EMIR art. 11(1)(a)", "Delegated Regulation (EU) 149/2013 art. 12"),
      date(2014, 8, 31), ("eu.emir.confirm.fc_workdays", "eu.emir.confirm.nfc_workdays"))  # fmt: skip
def confirmed(f: Derivative, p: Law, t: Trace) -> Verdict:
    if (spared := _uncleared(f, t)) is not None:
        return spared
    small = t.known("party", f.party) is Party.NFC_MINUS
    executed = t.known("executed on", f.executed_on)
    days = p.number("eu.emir.confirm.nfc_workdays" if small else "eu.emir.confirm.fc_workdays", executed)
    return done_by(t, "confirmed", due_workdays(t, executed, days, f.holidays), f.confirmed_on, f.checked_on)


@rule("E-08", "Portfolio reconciled as often as its size asks", Portfolio, ("EMIR art. 11(1)(b)", "Delegated Regulation (EU) 149/2013 art. 13"),
      date(2013, 9, 15), ("eu.emir.reconcile.daily_from", "eu.emir.reconcile.weekly_from", "eu.emir.reconcile.nfc_quarterly_above"))  # fmt: skip
def reconciled(f: Portfolio, p: Law, t: Trace) -> Verdict:
    contracts = t.known("contracts", f.contracts)
    if not contracts:
        return not_applicable("no contracts")
    if t.known("party", f.party) is Party.NFC_MINUS:
        often = "quarter" if contracts > p.number("eu.emir.reconcile.nfc_quarterly_above") else "year"
    elif contracts >= p.number("eu.emir.reconcile.daily_from"):
        often = "day"
    else:
        often = "week" if contracts >= p.number("eu.emir.reconcile.weekly_from") else "quarter"
    t.step("how often", "by number of contracts and kind of party", f"every {often}")
    last = t.known("reconciled on", f.reconciled_on)
    if often == "day":
        late = workdays_between(last, f.checked_on, f.holidays) > 1
    elif often == "week":
        late = (f.checked_on - last).days > 7
    else:
        late = f.checked_on > add_months(last, 3 if often == "quarter" else 12)
    return held(not t.step("late", f"more than a {often} before {f.checked_on}", late), f"reconciled {last}", f"last reconciled {last}")


@rule("E-09", "Compression analysed for a large portfolio", Portfolio, ("Delegated Regulation (EU) 149/2013 art. 14",), date(2013, 9, 15),
      ("eu.emir.compress.from", "eu.emir.compress.months"))  # fmt: skip
def compressed(f: Portfolio, p: Law, t: Trace) -> Verdict:
    if t.known("contracts", f.contracts) < p.number("eu.emir.compress.from"):
        return not_applicable("too few contracts")
    last = t.known("compression analysed on", f.compression_analysed_on)
    due = t.step("due again", "months after the last analysis", add_months(last, whole(p.number("eu.emir.compress.months"))))
    return held(f.checked_on <= due, f"analysed {last}", f"analysis of {last} was to be repeated by {due}")


@rule("E-10", "Large and long dispute reported", Portfolio, ("Delegated Regulation (EU) 149/2013 art. 15",), date(2013, 9, 15),
      ("eu.emir.dispute.amount_eur", "eu.emir.dispute.workdays"))  # fmt: skip
def dispute(f: Portfolio, p: Law, t: Trace) -> Verdict:
    if t.known("party", f.party) is not Party.FC:
        return not_applicable("only a financial counterparty reports disputes")
    amount = t.known("disputed EUR", f.disputed_eur)
    if amount <= p.number("eu.emir.dispute.amount_eur"):
        return not_applicable("not above the amount")
    days = t.step("lasts", "working days since", workdays_between(t.known("disputed since", f.disputed_since), f.checked_on, f.holidays))
    if days <= p.number("eu.emir.dispute.workdays"):
        return not_applicable(f"lasts {days} working days only")
    return held(t.known("reported", f.dispute_reported), "reported", f"EUR {amount} in dispute for {days} working days, not reported")


@rule("E-11", "Outstanding derivative valued each working day", Derivative, ("EMIR art. 11(2)",), date(2013, 3, 15))
def valued(f: Derivative, _: Law, t: Trace) -> Verdict:
    if (spared := _uncleared(f, t)) is not None:
        return spared
    if t.known("party", f.party) is Party.NFC_MINUS:
        return not_applicable("NFC- need not value daily")
    if f.ended_on is not None and f.ended_on <= f.checked_on:
        return not_applicable("ended")
    last = t.known("valued on", f.valued_on)
    missed = t.step("days without", "working days after the last value, up to today", workdays_between(last, f.checked_on, f.holidays))
    return held(missed <= 1, f"valued {last}", f"no value for {missed} working days")


@rule("E-12", "Exemption of an intragroup deal is notified and both parties are consolidated", Derivative, ("EMIR art. 9(1)", "2019/834"),
      date(2019, 6, 17), ("eu.emir.intragroup.exempt",))  # fmt: skip
def intragroup(f: Derivative, p: Law, t: Trace) -> Verdict:
    if not (t.known("intragroup", f.intragroup) and t.known("exemption claimed", f.exemption_claimed)):
        return not_applicable("no exemption is claimed")
    wanted = p.text("eu.emir.intragroup.exempt")
    notified = "notified" not in wanted or t.known("notified", f.exemption_notified)
    consolidated = "consolidated" not in wanted or t.known("fully consolidated", f.consolidated)
    return held(t.step("exempt", wanted, notified and consolidated), "exempt", f"not {wanted}")


@rule("E-13", "Record of a derivative kept long enough", Derivative, ("EMIR art. 9(2)",), date(2012, 8, 16), ("eu.emir.keep_years",))
def kept(f: Derivative, p: Law, t: Trace) -> Verdict:
    if not t.known("is a derivative", f.is_derivative):
        return not_applicable("not a derivative")
    return kept_until(t, t.known("ended on", f.ended_on), p.number("eu.emir.keep_years"), f.keep_until)


RULES = (reported, action_type, lei, uti, upi, clearing_threshold, confirmed, reconciled, compressed, dispute, valued, intragroup, kept)
