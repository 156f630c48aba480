"""Adapters for the families of tests/cases/esg_compliance.json that cloud.compliance answers: deadlines, thresholds, dated values."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cloud.compliance import cftc, csrd, emir, guyana, remit, sharia
from cloud.compliance.facts import (
    Account,
    Balance,
    Derivative,
    Flaring,
    FuturesPosition,
    IslamicContract,
    LocalCompany,
    LocalSpend,
    MonthEndPositions,
    Outage,
    Party,
    Reporter,
    Swap,
    SwapDealing,
    Undertaking,
    Venue,
    WholesaleDeal,
)
from cloud.compliance.parameters import Undetermined, parse, shipped
from cloud.compliance.rules import Outcome, Rule, evaluate
from cloud.compliance.surveillance import close, columns, definitions
from cloud.compliance.surveillance import layering as layers
from cloud.compliance.surveillance import trades as pairs
from cloud.compliance.trace import Law, Trace

Members = Mapping[str, Any]
LAW = shipped()
TODAY = date(2026, 11, 22)
FIGURES = definitions.definitions(definitions.shipped(), TODAY)


def asked(as_of: date = TODAY, *scenarios: str) -> tuple[Law, Trace]:
    law = Law(LAW, as_of, frozenset(scenarios))
    return law, Trace(law)


def outcome(one: Rule[Any], facts: Any, *scenarios: str) -> Outcome:
    return evaluate(one, "case", facts, LAW, TODAY, frozenset(scenarios)).outcome


def decimals(values: Any, scale: int = 1) -> tuple[Decimal, ...]:
    return tuple(Decimal(str(value)) * scale for value in values)


def large_trader(inputs: Members, _: Any) -> Any:
    law, _trace = asked()
    assert law.number("us.cftc.reportable.CL") == inputs["level"]
    answers = []
    for case in inputs["cases"]:
        months = [case] if "long" in case else [{"long": lots} for lots in case.values()]
        facts = [
            FuturesPosition(contract="CL", long_lots=Decimal(m["long"]), short_lots=Decimal(m.get("short", 0)), reported=False)
            for m in months
        ]
        answers.append(any(outcome(cftc.large_trader, one) is Outcome.FAIL for one in facts))
    return {"reportable": answers}


def position_limit(inputs: Members, _: Any) -> Any:
    accounts = tuple(
        Account(net_lots=Decimal(a["net"]), owned_pct=Decimal(str(a["ownership_pct"])), controlled=a.get("controls", False))
        for a in inputs["accounts"]
    )
    facts = FuturesPosition(contract="CL", accounts=accounts, limit_lots=Decimal(inputs["limit"]))
    net = cftc.aggregate(facts, *asked())
    breach = outcome(cftc.position_limit, facts) is Outcome.FAIL
    return {"aggregate_net": int(net), "breach": breach, "excess": int(net) - inputs["limit"]}


def swap_creation_due(inputs: Members, _: Any) -> Any:
    executed, due = date.fromisoformat(inputs["execution"]), []
    for reporter in inputs["reporting_counterparty"]:
        facts = Swap(checked_on=TODAY, venue=Venue(inputs["venue"]), reporter=Reporter(reporter), executed_on=executed)
        due.append(str(cftc.creation_due(facts, *asked())))
    return {"due": due}


def swap_dealer(inputs: Members, _: Any) -> Any:
    months = decimals(inputs["monthly_dealing_notional_usd"])
    facts = SwapDealing(deals_in_swaps=True, monthly_notional_usd=months, registered=False)
    must = outcome(cftc.swap_dealer, facts) is Outcome.FAIL
    return {"trailing_12m": float(sum(months)), "exceeds": cftc.exceeds_de_minimis(facts, *asked()), "register": must}


def clearing_threshold(inputs: Members, _: Any) -> Any:
    months = decimals(inputs["month_end_eur_bn"], 10**9)
    facts = MonthEndPositions(party=Party.NFC_MINUS, total_eur=months, uncleared_eur=months, notified=False)
    now = outcome(emir.clearing_threshold, facts) is Outcome.FAIL
    reform = outcome(emir.clearing_threshold, facts, "emir-3") is Outcome.FAIL
    average = float(sum(months) / 12 / 10**9)
    return {"average_bn": average, "above": {"in_force_2026-11": now, "ESMA_final_report_2026-02-25": reform}}


def action_types(inputs: Members, _: Any) -> Any:
    facts = [Derivative(checked_on=TODAY, is_derivative=True, action=code) for code in inputs["codes"]]
    return {"accepted": [outcome(emir.action_type, one) is Outcome.PASS for one in facts]}


def csrd_scope(inputs: Members, _: Any) -> Any:
    facts = [Undertaking(employees=case["emp"], turnover_eur=Decimal(case["turnover_m"]) * 10**6) for case in inputs["cases"]]
    return {"in_scope": [csrd.in_scope(one, *asked()) for one in facts]}


def remit_due(inputs: Members, _: Any) -> Any:
    concluded = date.fromisoformat(inputs["concluded"])
    holidays = frozenset(map(date.fromisoformat, inputs["holidays"]))
    facts = [WholesaleDeal(checked_on=TODAY, holidays=holidays, standard=standard, concluded_on=concluded) for standard in (True, False)]
    standard, other = (str(remit.report_due(one, *asked())) for one in facts)
    return {"standard_due": standard, "non_standard_due": other}


def instant_us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def disclosure(inputs: Members, _: Any) -> Any:
    """The thresholds are not confirmed: the answer is that of the scenario in which they are taken as stated, and INDETERMINATE without."""
    facts = Outage(
        checked_us=instant_us(inputs["published"]), asset_in_scope=True, planned=False, delayed=False, cover_only=False,
        installed_mw=Decimal(inputs["asset"]["installed_MW"]), lost_mw=Decimal(inputs["loss_MW"]), known_us=instant_us(inputs["confirmed"]),
        published_us=instant_us(inputs["published"]), own_orders_us=(instant_us(inputs["own_order_at"]),),
    )  # fmt: skip
    assert outcome(remit.disclosed, facts) is Outcome.INDETERMINATE
    trading = evaluate(remit.no_trading, "case", facts, LAW, TODAY)
    return {
        "umm_required": remit.is_disclosable(facts, *asked(TODAY, "as-stated")),
        "published_within_deadline": outcome(remit.disclosed, facts, "as-stated") is Outcome.PASS,
        "own_order_blocked": trading.outcome is Outcome.FAIL,
        "reason": "order placed " + trading.why.partition("placed ")[2],
    }


def dated_value(inputs: Members, _: Any) -> Any:
    rows = "".join(
        f'  {{ from = {day}, value = {value}, reference = "case", status = "confirmed" }},\n' for day, value in inputs["values"].items()
    )
    text = f'["{inputs["param"]}"]\ndescription = "d"\nunit = "scf/h"\nlast_reviewed = 2026-11-22\nvalues = [\n{rows}]\n'
    found, values, first = parse(Path("case.toml"), text), [], ""
    for day in map(date.fromisoformat, inputs["as_of"]):
        try:
            value = found.used(inputs["param"], day).value
        except Undetermined as reason:
            first, value = first or f"INDETERMINATE ({str(reason).partition(': ')[2].partition(' on ')[0]})", None
        values.append(float(value) if isinstance(value, Decimal) else None)
    return {"value": values, "first_is": first}


def flaring_payment(inputs: Members, _: Any) -> Any:
    tonnes = Decimal(inputs["t_co2e_per_day"]) * inputs["days"]
    return {"payment_usd": int(guyana.payment_owed(Flaring(co2e_t=tonnes), *asked(date(2021, 5, 26))))}


def flaring_timers(inputs: Members, _: Any) -> Any:
    facts = Flaring(
        permitted_plant=True,
        started_us=instant_us(inputs["flare_start"]),
        expected_days=Decimal(inputs["expected_days"]),
        applied_us=instant_us(inputs["application_at"]),
        approval_expires_on=date.fromisoformat(inputs["approval_expires"]),
    )
    deadline = datetime.fromtimestamp(guyana.application_due_us(facts, *asked()) / 1_000_000, UTC)
    return {
        "approval_needed": guyana.approval_needed(facts, *asked()),
        "application_deadline": f"{deadline:%Y-%m-%dT%H:%MZ}",
        "on_time": outcome(guyana.approval, facts) is Outcome.PASS,
        "payment_calc_due": str(guyana.payment_due(facts, *asked())),
    }


def guyanese_company(inputs: Members, _: Any) -> Any:
    shares = [decimals((case["vote"], case["exec"], case["other"])) for case in inputs["cases"]]
    facts = [LocalCompany(claims_local=True, voting_pct=v, senior_pct=s, other_posts_pct=o) for v, s, o in shares]
    return {"guyanese_company": [outcome(guyana.guyanese_company, one) is Outcome.PASS for one in facts]}


def first_schedule(inputs: Members, _: Any) -> Any:
    law, _trace = asked()
    spend = {service: LocalSpend(service=service, share_pct=Decimal(str(share))) for service, share in inputs["spend_share"].items()}
    return {
        "minimum": {service: int(law.number(f"gy.lca.schedule.{service}")) for service in spend},
        "pass": {service: outcome(guyana.first_schedule, one) is Outcome.PASS for service, one in spend.items()},
    }


def screening(inputs: Members, _: Any) -> Any:
    ratios, verdicts = [], []
    for case in inputs["cases"]:
        debt, cap, deposits, impermissible, income = decimals(case[key] for key in ("debt", "mcap", "deposits", "imp", "income"))
        facts = Balance(interest_debt=debt, market_cap=cap, interest_deposits=deposits, impermissible_income=impermissible, income=income)
        ratios.append(float(sharia.ratio_pct("debt", debt, cap, asked()[1])))
        verdicts.append(outcome(sharia.screening, facts) is Outcome.PASS)
    return {"debt_ratio_pct": ratios, "pass": verdicts}


def salam(inputs: Members, _: Any) -> Any:
    """The rule takes it as a fact whether the object is money or specified; the words of the case say so."""
    facts = [
        IslamicContract(
            form="salam",
            paid_pct=Decimal(case["paid_pct"]),
            money=case["object"] == "USD",
            specified=case["object"] != "USD",
            place=case["delivery_place"],
            delivery_on=date.fromisoformat(case["delivery_date"]),
            physical=case["settlement"] == "physical",
        )
        for case in inputs["cases"]
    ]
    return {"pass": [outcome(sharia.salam, one) is Outcome.PASS for one in facts]}


def murabaha(inputs: Members, _: Any) -> Any:
    """Who may receive the charge is not confirmed: as stated in the scenario, INDETERMINATE without."""
    facts = [
        IslamicContract(
            form="murabaha",
            cost=Decimal(inputs["cost"]),
            markup_pct=Decimal(str(inputs["markup_pct"])),
            owned_us=instant_us(inputs["ownership_ts"]),
            sold_us=instant_us(inputs["sale_ts"]),
            late_charge_pct=Decimal(inputs["late_charge_pct_pa"]),
            late_beneficiary=beneficiary,
        )
        for beneficiary in inputs["late_charge_beneficiary"]
    ]
    assert {outcome(sharia.murabaha, one) for one in facts} == {Outcome.INDETERMINATE}
    kept = [outcome(sharia.murabaha, one, "as-stated") is Outcome.PASS for one in facts]
    return {"sale_price": float(sharia.sale_price(facts[0], asked()[1])), "pass": kept}


def wash_trades(inputs: Members, _: Any) -> Any:
    owner = columns.codes(inputs["owner"].values())
    trades = inputs["trades"]
    alerts = pairs.wash_trades(
        columns.Trades(
            columns.ints(trade["t"] * 1_000_000 for trade in trades),
            columns.ints(0 for _ in trades),
            columns.ints(owner[inputs["owner"][trade["buyer"]]] for trade in trades),
            columns.ints(owner[inputs["owner"][trade["seller"]]] for trade in trades),
            columns.floats(trade["px"] for trade in trades),
            columns.floats(trade["qty"] for trade in trades),
        ),
        FIGURES.wash,
    )
    return {"alerts": [trades[row]["id"] for alert in alerts for row in alert.members]}


def layering(inputs: Members, _: Any) -> Any:
    def times_us(name: str) -> columns.Ints:
        return columns.ints(round(order[name] * 1_000_000) if name in order else columns.UNKNOWN for order in inputs["orders"])

    orders = inputs["orders"]
    alerts = layers.layering(
        columns.Orders(
            times_us("t_new"),
            columns.ints(0 for _ in orders),
            columns.ints(0 for _ in orders),
            columns.ints(1 if order["side"] == "B" else -1 for order in orders),
            columns.floats(order["qty"] for order in orders),
            columns.floats(order["filled"] for order in orders),
            times_us("t_fill"),
            times_us("t_cancel"),
            columns.floats(0 for _ in orders),
        ),
        FIGURES.layering,
    )
    return {"alert": bool(alerts), "ratio": dict(alerts[0].measures)["ratio"] if alerts else None}


def marking_the_close(inputs: Members, _: Any) -> Any:
    def figure(value: float) -> columns.Floats:
        return columns.floats((value,))

    none = columns.ints((0,))
    closes = close.Closes(
        columns.ints((120_000_000,)), none, none, figure(inputs["window_volume"]), figure(inputs["own_buy_volume"]), figure(0),
        figure(inputs["price_before"]), figure(inputs["settle"]), figure(1 if inputs["open_long_swap_on_settlement"] else 0), none > 0,
    )  # fmt: skip
    share, move = float(close.share_pct(closes)[0]) / 100, float(close.move_pct(closes)[0])
    return {"share": share, "move_pct": move, "alert": bool(close.marking_the_close(closes, FIGURES.close))}
