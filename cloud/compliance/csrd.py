"""CSRD: who reports on sustainability after Directive (EU) 2026/470, under which assurance, with which boundary.

Pure rules over facts.Undertaking. Not the figures of a report: cloud/esg has them.
"""

from datetime import date

from cloud.compliance.facts import Undertaking
from cloud.compliance.parameters import Undetermined
from cloud.compliance.rules import Verdict, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace

OMNIBUS = date(2026, 3, 18)


def in_scope(f: Undertaking, p: Law, t: Trace) -> bool:
    many = t.known("employees", f.employees) > p.number("eu.csrd.employees")
    large = t.known("turnover EUR", f.turnover_eur) > p.number("eu.csrd.turnover_eur")
    return t.step("in scope", "more employees than the threshold AND more turnover than the threshold", many and large)


def third_country_in_scope(f: Undertaking, p: Law, t: Trace) -> bool:
    years = t.known("EU turnover of two years, EUR", f.eu_turnover_two_years_eur)
    if len(years) != 2:
        raise Undetermined(f"expected the turnover of two years, found {len(years)}")
    large = min(years) > p.number("eu.csrd.third_country_eur")
    present = t.known("large EU subsidiary or branch", f.large_eu_subsidiary_or_branch)
    return t.step("in scope", "EU turnover above the threshold in both years AND a large subsidiary or branch", large and present)


@rule("C-01", "Undertaking in scope reports on sustainability", Undertaking, ("Directive (EU) 2026/470",), OMNIBUS,
      ("eu.csrd.employees", "eu.csrd.turnover_eur"))  # fmt: skip
def reports(f: Undertaking, p: Law, t: Trace) -> Verdict:
    if t.known("third country", f.third_country) or not in_scope(f, p, t):
        return not_applicable("not in scope")
    return held(t.known("reports", f.reports_sustainability), "in scope and reports", "in scope and does not report")


@rule("C-02", "Third-country group in scope reports on sustainability", Undertaking, ("Directive (EU) 2026/470",), OMNIBUS,
      ("eu.csrd.third_country_eur",))  # fmt: skip
def third_country_reports(f: Undertaking, p: Law, t: Trace) -> Verdict:
    if not t.known("third country", f.third_country) or not third_country_in_scope(f, p, t):
        return not_applicable("not in scope")
    return held(t.known("reports", f.reports_sustainability), "in scope and reports", "in scope and does not report")


@rule("C-04", "Report has limited assurance", Undertaking, ("Directive (EU) 2026/470",), OMNIBUS, ("eu.csrd.assurance",))
def assured(f: Undertaking, p: Law, t: Trace) -> Verdict:
    if not t.known("reports", f.reports_sustainability):
        return not_applicable("no report")
    if t.step("asked for", "limited assurance", p.text("eu.csrd.assurance")) != "limited":
        raise Undetermined("another assurance than a limited one is asked for, which is no fact here")
    return held(t.known("limited assurance", f.limited_assurance), "limited assurance", "no assurance")


@rule("C-05", "Boundary and consolidation are on record", Undertaking, ("ESRS 1",), OMNIBUS)
def bounded(f: Undertaking, _: Law, t: Trace) -> Verdict:
    if not t.known("reports", f.reports_sustainability):
        return not_applicable("no report")
    return held(t.known("boundary recorded", f.boundary_recorded), "boundary on record", "no boundary on record")


RULES = (reports, third_country_reports, assured, bounded)
