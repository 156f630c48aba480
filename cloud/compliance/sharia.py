"""Sharia: whether a contract or a company conforms to a named methodology, never whether it is permissible.

Pure rules over facts.Balance and facts.IslamicContract. The methodology is the parameter set a tenant's board has chosen; the ratios
differ between boards and are switched by scenario. Not a ruling: those are made by people, and expire.
"""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Balance, IslamicContract
from cloud.compliance.parameters import Undetermined
from cloud.compliance.plant_facts import Promise
from cloud.compliance.rules import Verdict, failed, held, indeterminate, not_applicable, rule
from cloud.compliance.trace import Law, Trace, state

STANDARDS = date(2006, 1, 1)
SOURCES = ("AAOIFI Sharia standards, secondary sources",)


def ratio_pct(name: str, part: Decimal, whole: Decimal, t: Trace) -> Decimal:
    if not whole:
        raise Undetermined(f"{name}: the denominator is zero")
    return t.step(f"{name} percent", "100 x part / whole", 100 * part / whole)


@rule("SH-14", "Company conforms to the financial screen", Balance, ("AAOIFI Sharia standard 21, secondary sources",), STANDARDS,
      ("sharia.screen.debt_pct", "sharia.screen.deposits_pct", "sharia.screen.income_pct"))  # fmt: skip
def screening(f: Balance, p: Law, t: Trace) -> Verdict:
    if not t.known("market capitalisation", f.market_cap):
        return not_applicable("not listed")
    cap = t.known("market capitalisation", f.market_cap)
    kept = (
        ratio_pct("debt", t.known("interest debt", f.interest_debt), cap, t) <= p.number("sharia.screen.debt_pct"),
        ratio_pct("deposits", t.known("deposits", f.interest_deposits), cap, t) <= p.number("sharia.screen.deposits_pct"),
        ratio_pct("income", t.known("impermissible income", f.impermissible_income), t.known("income", f.income), t)
        <= p.number("sharia.screen.income_pct"),
    )
    return held(t.step("conforms", "no ratio exceeds its largest value", all(kept)), "conforms to the screen", "a ratio is exceeded")


@rule(
    "SH-01", "No interest, and no charge for late payment that is income", IslamicContract, SOURCES, STANDARDS, ("sharia.late.beneficiary",)
)
def no_interest(f: IslamicContract, p: Law, t: Trace) -> Verdict:
    if f.form not in ("salam", "murabaha", "istisnaa"):
        return not_applicable(f"{f.form} is no Islamic form")
    if t.known("interest", f.interest):
        return failed("a leg bears interest")
    permitted = p.text("sharia.late.beneficiary")
    if not t.known("late charge percent", f.late_charge_pct):
        return held(True, "no interest, no late charge", "")
    right = t.known("late charge goes to", f.late_beneficiary) == permitted
    return held(t.step("beneficiary", "the charge may not be income", right), "no interest", f"late charge goes to {f.late_beneficiary}")


@rule(
    "SH-02", "Salam: paid at once for a specified good that is delivered", IslamicContract, SOURCES, STANDARDS, ("sharia.salam.paid_pct",)
)
def salam(f: IslamicContract, p: Law, t: Trace) -> Verdict:
    if f.form != "salam":
        return not_applicable("no salam")
    agreed = f.terms_complete or (f.place is not None and f.delivery_on is not None)
    if not agreed:
        raise Undetermined("missing fact: terms of delivery")
    conditions = {
        "paid in full": t.known("paid percent", f.paid_pct) >= p.number("sharia.salam.paid_pct"),
        "not money": not t.known("object is money", f.money),
        "specified": t.known("object is specified", f.specified),
        "place fixed": f.place is not None,
        "time fixed": f.delivery_on is not None,
        "physical delivery": t.known("physical delivery", f.physical),
    }
    broken = t.step("broken", "all conditions of a salam hold", tuple(name for name, holds in conditions.items() if not holds))
    return held(not broken, "conforms", f"not kept: {', '.join(broken)}")


def sale_price(f: IslamicContract, t: Trace) -> Decimal:
    cost, markup = t.known("cost", f.cost), t.known("mark-up percent", f.markup_pct)
    return t.step("sale price", "cost x (1 + mark-up)", cost * (100 + markup) / 100)


@rule("SH-05", "Murabaha: cost and mark-up disclosed, owned before sold", IslamicContract, SOURCES, STANDARDS, ("sharia.late.beneficiary",))
def murabaha(f: IslamicContract, p: Law, t: Trace) -> Verdict:
    if f.form != "murabaha":
        return not_applicable("no murabaha")
    sale_price(f, t)
    owned = t.known("owned_us", f.owned_us) < t.known("sold_us", f.sold_us)
    if not t.step("owned first", "ownership before sale", owned):
        return failed("sold before it was owned")
    charged = t.known("late charge percent", f.late_charge_pct)
    right = not charged or t.known("late charge goes to", f.late_beneficiary) == p.text("sharia.late.beneficiary")
    return held(
        t.step("late charge", "none, or to the permitted beneficiary", right), "conforms", f"late charge goes to {f.late_beneficiary}"
    )


@rule("SH-04", "Owned before resold", IslamicContract, SOURCES, STANDARDS)
def possession(f: IslamicContract, _: Law, t: Trace) -> Verdict:
    if f.sold_us is None:
        return not_applicable("not sold on")
    owned = t.known("owned_us", f.owned_us) < t.known("sold_us", f.sold_us)
    return held(t.step("owned first", "possession before resale", owned), "owned before resold", "resold before possession")


@rule("SH-16", "Ruling of the board is in force", IslamicContract, SOURCES, STANDARDS)
def ruling(f: IslamicContract, p: Law, t: Trace) -> Verdict:
    if f.form not in ("salam", "murabaha", "istisnaa"):
        return not_applicable(f"{f.form} is no Islamic form")
    if f.ruling_withdrawn:
        return failed("the board has withdrawn the ruling")
    if p.as_of > t.known("ruling until", f.ruling_until):
        return indeterminate(f"the ruling expired on {f.ruling_until}")
    return held(True, "ruling in force", "")


@rule("SH-03", "Parallel salam stands on its own", Promise, SOURCES, STANDARDS)
def parallel(f: Promise, _: Law, t: Trace) -> Verdict:
    if not t.known("parallel salam", f.parallel_salam):
        return not_applicable("no parallel salam")
    return held(not t.known("depends on the first contract", f.depends_on_first), "independent", "conditional on the first contract")


@rule("SH-06", "Istisna'a: made to order, specification fixed", Promise, SOURCES, STANDARDS)
def manufacture(f: Promise, _: Law, t: Trace) -> Verdict:
    if not t.known("made to order", f.made_to_order):
        return not_applicable("nothing is made to order")
    return held(t.known("specification fixed", f.specification_fixed), "specification fixed", "specification left open")


@rule("SH-08", "Money is exchanged hand to hand", Promise, SOURCES, STANDARDS)
def exchange(f: Promise, _: Law, t: Trace) -> Verdict:
    if not t.known("exchange of money", f.exchange):
        return not_applicable("no exchange of money")
    dates = t.known("value dates of the legs", f.value_dates)
    return held(t.step("same day", "one value date for all legs", len(set(dates)) == 1), "same value date", "value dates differ")


@rule("SH-09", "Quantity is known within a tolerance", Promise, SOURCES, STANDARDS, ("sharia.gharar.tolerance_pct",))
def certain(f: Promise, p: Law, t: Trace) -> Verdict:
    optional = t.known("optional quantity percent", f.optional_quantity_pct)
    if not optional:
        return not_applicable("no optional quantity")
    inside = t.step("within", "optional quantity does not exceed the tolerance", optional <= p.number("sharia.gharar.tolerance_pct"))
    return held(inside, "within the tolerance", "optional quantity above the tolerance")


@rule("SH-10", "No difference in money without a link to goods", Promise, SOURCES, STANDARDS)
def linked(f: Promise, _: Law, t: Trace) -> Verdict:
    if not t.known("settled in money", f.cash_settled):
        return not_applicable("delivered, not settled in money")
    return held(t.known("linked to a physical position", f.linked_to_physical), "linked to a physical position", "no physical intent")


@rule("SH-11", "Not sold back to the seller", Promise, SOURCES, STANDARDS)
def sold_back(f: Promise, _: Law, t: Trace) -> Verdict:
    if f.cash_settled:
        return not_applicable("nothing is sold on")
    return held(not t.known("sold back to the seller", f.sold_back_to_seller), "not sold back", "bought back by the seller")


@rule("SH-12", "Promises do not depend on each other", Promise, SOURCES, STANDARDS)
def unilateral(f: Promise, _: Law, t: Trace) -> Verdict:
    if f.exchange:
        return not_applicable("a contract, no promise")
    crossed = t.known("promises depend on each other", f.promises_cross_conditioned)
    return held(not crossed, "unilateral", "two promises on the same goods and day depend on each other")


@rule("SH-13", "Deposit is kept only where the school allows it", Promise, SOURCES, STANDARDS, ("sharia.arbun.forfeit",))
def deposit(f: Promise, p: Law, t: Trace) -> Verdict:
    if not t.known("deposit forfeited", f.deposit_forfeited):
        return not_applicable("no deposit is kept")
    allowed = state(p.text("sharia.arbun.forfeit"), "allowed", "not allowed") == "allowed"
    return held(allowed, "allowed by the school", "not allowed by the school")


@rule("SH-15", "Counterparty's business is none of the list", Promise, SOURCES, STANDARDS, ("sharia.sectors",))
def sector(f: Promise, p: Law, t: Trace) -> Verdict:
    if f.exchange:
        return not_applicable("judged for goods and services, not for money")
    found = t.known("business of the counterparty", f.counterparty_sector)
    return held(found not in p.texts("sharia.sectors"), f"{found} is not on the list", f"{found} is on the list")


RULES = (
    no_interest,
    salam,
    possession,
    murabaha,
    screening,
    ruling,
    parallel,
    manufacture,
    exchange,
    certain,
    linked,
    sold_back,
    unilateral,
    deposit,
    sector,
)
