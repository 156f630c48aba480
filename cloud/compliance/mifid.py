"""MiFID II and MiFIR: the ancillary-activity exemption, position limits and hedging, transaction reports, clocks, algorithms, records.

Pure rules over facts.AncillaryActivity, facts.VenuePosition, facts.VenueTrade and facts.Algorithm. Not the reports themselves.
"""

from datetime import date

from cloud.compliance.deadlines import done_by, due_workdays, kept_until, whole
from cloud.compliance.facts import Algorithm, AncillaryActivity, VenuePosition, VenueTrade
from cloud.compliance.parameters import Undetermined
from cloud.compliance.rules import Verdict, failed, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace
from cloud.compliance.workdays import add_months

MIFID_2 = date(2018, 1, 3)
QUICK_FIX = date(2022, 2, 28)
CLASSES = ("oil", "gas", "power", "coal", "metals", "agricultural", "other", "emission_allowances")
CLOCKS = ("high-frequency", "electronic", "voice")


@rule("MF-01", "Trading is ancillary by the tests until the quick fix", AncillaryActivity,
      ("MiFID II art. 2(1)(j)", "Delegated Regulation (EU) 2017/592"), MIFID_2,
      ("eu.mifid.ancillary.main_business_pct", *(f"eu.mifid.ancillary.market_share.{one}" for one in CLASSES)))  # fmt: skip
def ancillary_old(f: AncillaryActivity, p: Law, t: Trace) -> Verdict:
    if p.ended("eu.mifid.ancillary.main_business_pct"):
        return not_applicable("the test has ended, see MF-02")
    if not t.known("relies on the exemption", f.relies_on_exemption):
        return not_applicable("the exemption is not relied on")
    main = t.known("share of main business percent", f.main_business_share_pct) > p.number("eu.mifid.ancillary.main_business_pct")
    above = ["main business"] if main else []
    for name, share in t.known("market shares percent", f.market_share_pct):
        if name not in CLASSES:
            raise Undetermined(f'"{name}" is no class of commodity derivatives')
        if share > p.number(f"eu.mifid.ancillary.market_share.{name}"):
            above.append(name)
    exceeded = t.step("above", "main business or a market share is more than its threshold", tuple(above))
    return held(not exceeded, "ancillary", f"not ancillary: {', '.join(exceeded)}")


@rule("MF-02", "Trading is ancillary by one of three tests", AncillaryActivity,
      ("MiFID II art. 2(1)(j)", "Directive (EU) 2021/338", "Delegated Regulation (EU) 2021/1833"), QUICK_FIX,
      ("eu.mifid.ancillary.net_eur", "eu.mifid.ancillary.trading_pct", "eu.mifid.ancillary.capital_pct"))  # fmt: skip
def ancillary(f: AncillaryActivity, p: Law, t: Trace) -> Verdict:
    if not t.known("relies on the exemption", f.relies_on_exemption):
        return not_applicable("the exemption is not relied on")
    if t.known("high-frequency trading", f.high_frequency):
        return failed("not open to high-frequency trading")
    if t.known("own account when executing clients' orders", f.own_account_executing_clients):
        return failed("not open to own account when executing clients' orders")
    net, trading, capital = (p.number(f"eu.mifid.ancillary.{name}") for name in ("net_eur", "trading_pct", "capital_pct"))
    if f.net_cash_settled_eur is not None and t.known("net cash-settled EUR", f.net_cash_settled_eur) < net:
        return held(t.step("net", "below the threshold", True), "ancillary: below the net threshold", "")
    if f.trading_share_pct is not None and t.known("share of trading percent", f.trading_share_pct) <= trading:
        return held(t.step("trading", "not more than the share", True), "ancillary: share of trading", "")
    if t.known("share of capital percent", f.capital_share_pct) <= capital:
        return held(t.step("capital", "not more than the share", True), "ancillary: share of capital", "")
    t.known("net cash-settled EUR", f.net_cash_settled_eur)
    t.known("share of trading percent", f.trading_share_pct)
    return failed("none of the three tests is met")


@rule(
    "MF-03", "Position does not exceed the limit of the contract", VenuePosition, ("MiFID II art. 57",), MIFID_2, ("eu.mifid.limits.scope",)
)
def position_limit(f: VenuePosition, p: Law, t: Trace) -> Verdict:
    scope = p.text("eu.mifid.limits.scope")
    if scope not in ("all", "critical, significant or agricultural"):
        raise Undetermined(f'limits for "{scope}", which is no fact here')
    if scope != "all":
        significant = t.known("critical or significant", f.critical_or_significant)
        agricultural = t.known("agricultural", f.agricultural)
        if not (significant or agricultural):
            return not_applicable("no limit for this contract")
    if t.known("hedging exemption", f.hedge_exempt):
        return not_applicable("exempt, see MF-04")
    net, limit = abs(t.known("net lots", f.net_lots)), t.known("limit lots", f.limit_lots)
    return held(t.step("within", "long or short not more than the limit", net <= limit), f"{net} of {limit}", f"{net} exceeds {limit}")


@rule("MF-04", "Hedging exemption is on file and the position reduces risk", VenuePosition, ("MiFID II art. 57(1)",), MIFID_2)
def hedging(f: VenuePosition, _: Law, t: Trace) -> Verdict:
    if not t.known("hedging exemption", f.hedge_exempt):
        return not_applicable("no exemption")
    filed, reducing = t.known("exemption on file", f.exemption_on_file), t.known("reduces risk", f.risk_reducing)
    return held(t.step("both", "on file and objectively risk-reducing", filed and reducing), "exempt", "the exemption does not hold")


@rule("MF-06", "Transaction reported in time", VenueTrade, ("MiFIR art. 26", "Delegated Regulation (EU) 2017/590"), MIFID_2,
      ("eu.mifid.report.workdays",))  # fmt: skip
def reported(f: VenueTrade, p: Law, t: Trace) -> Verdict:
    if not t.known("investment firm", f.investment_firm):
        return not_applicable("no investment firm: the venue reports")
    executed = t.known("executed on", f.executed_on)
    due = due_workdays(t, executed, p.number("eu.mifid.report.workdays", executed), f.holidays)
    return done_by(t, "reported", due, f.reported_on, t.known("checked on", f.checked_on))


@rule("MF-07", "Clock close enough to UTC", VenueTrade, ("MiFID II art. 50", "Delegated Regulation (EU) 2017/574"), MIFID_2,
      tuple(f"eu.mifid.clock_us.{one}" for one in CLOCKS))  # fmt: skip
def clock(f: VenueTrade, p: Law, t: Trace) -> Verdict:
    if not t.known("investment firm", f.investment_firm):
        return not_applicable("no investment firm")
    if t.known("kind of trading", f.trading) not in CLOCKS:
        raise Undetermined(f'"{f.trading}" is no kind of trading')
    most = p.number(f"eu.mifid.clock_us.{f.trading}")
    close = t.step("close enough", "divergence not more than the figure", t.known("divergence in us", f.clock_divergence_us) <= most)
    return held(close, f"{f.clock_divergence_us} us of {most}", f"{f.clock_divergence_us} us, at most {most}")


@rule("MF-08", "Algorithms have their controls and a self-assessment", Algorithm, ("Delegated Regulation (EU) 2017/589",), MIFID_2,
      ("eu.mifid.algo.assess_months",))  # fmt: skip
def algorithm(f: Algorithm, p: Law, t: Trace) -> Verdict:
    if not t.known("algorithmic", f.algorithmic):
        return not_applicable("no algorithms")
    controls = {
        "kill switch": t.known("kill switch", f.kill_switch),
        "price collar": t.known("price collar", f.price_collar),
        "maximum value": t.known("maximum value", f.max_value),
        "maximum messages": t.known("maximum messages", f.max_messages),
    }
    due = add_months(t.known("assessed on", f.assessed_on), whole(p.number("eu.mifid.algo.assess_months")))
    controls["self-assessment"] = t.step("assessment due again", "months after the last one", due) >= p.as_of
    missing = t.step(
        "missing", "every control, and the assessment not over its time", tuple(name for name, is_there in controls.items() if not is_there)
    )
    return held(not missing, "all controls", f"missing: {', '.join(missing)}")


@rule("MF-09", "Orders and calls kept long enough", VenueTrade, ("MiFID II art. 16(7)",), MIFID_2, ("eu.mifid.keep_years",))
def kept(f: VenueTrade, p: Law, t: Trace) -> Verdict:
    if not t.known("investment firm", f.investment_firm):
        return not_applicable("no investment firm")
    return kept_until(t, t.known("executed on", f.executed_on), p.number("eu.mifid.keep_years"), f.keep_until)


RULES = (ancillary_old, ancillary, position_limit, hedging, reported, clock, algorithm, kept)
