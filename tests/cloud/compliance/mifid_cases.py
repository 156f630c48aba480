"""MiFID: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Algorithm, AncillaryActivity, VenuePosition, VenueTrade
from cloud.compliance.mifid import CLASSES
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, UNKNOWN, rows

LAST, AFTER = date(2022, 2, 27), date(2022, 2, 28)
BN = Decimal(10**9)
SHARES = {"oil": 3, "gas": 3, "power": 6, "coal": 10, "metals": 4, "agricultural": 4, "other": 15, "emission_allowances": 20}
FIRM = AncillaryActivity(
    own_account_executing_clients=False, high_frequency=False, net_cash_settled_eur=3 * BN, trading_share_pct=Decimal(60),
    capital_share_pct=Decimal(60), market_share_pct=tuple((name, Decimal(SHARES[name])) for name in CLASSES),
    main_business_share_pct=Decimal(10), relies_on_exemption=True,
)  # fmt: skip
LOTS = VenuePosition(
    critical_or_significant=True, agricultural=False, net_lots=Decimal(500), limit_lots=Decimal(500), hedge_exempt=False,
    exemption_on_file=True, risk_reducing=True,
)  # fmt: skip
PLAIN = {"critical_or_significant": False}
TRADE = VenueTrade(
    investment_firm=True, executed_on=date(2026, 11, 13), reported_on=date(2026, 11, 16), checked_on=date(2026, 11, 22),
    trading="electronic", clock_divergence_us=1000, keep_until=date(2031, 11, 13),
)  # fmt: skip
NO = {"investment_firm": False}
ALGO = Algorithm(
    algorithmic=True, kill_switch=True, price_collar=True, max_value=True, max_messages=True, assessed_on=date(2025, 11, 22), notified=True
)

CASES = [
    *rows("MF-01", FIRM, (PASS, {}), (FAIL, {"main_business_share_pct": Decimal("10.1")}), (PASS, {"main_business_share_pct": Decimal("9.9")}),
          *((FAIL, {"market_share_pct": ((name, SHARES[name] + Decimal("0.1")),)}) for name in CLASSES), (NA, {"relies_on_exemption": False}),
          (UNKNOWN, {"market_share_pct": (("water", Decimal(1)),)}), (UNKNOWN, {"market_share_pct": None}), (UNKNOWN, {"main_business_share_pct": None}),
          as_of=LAST),
    *rows("MF-01", FIRM, (NA, {}), as_of=AFTER),
    *rows("MF-02", FIRM, (UNKNOWN, {}), (NA, {"relies_on_exemption": False}), (FAIL, {"high_frequency": True}),
          (FAIL, {"own_account_executing_clients": True})),
    *rows("MF-02", FIRM, (FAIL, {}), (PASS, {"net_cash_settled_eur": 3 * BN - 1}), (PASS, {"trading_share_pct": Decimal(50)}),
          (FAIL, {"trading_share_pct": Decimal("50.1")}), (PASS, {"capital_share_pct": Decimal(50)}), (FAIL, {"capital_share_pct": Decimal("50.1")}),
          (UNKNOWN, {"net_cash_settled_eur": None}), (UNKNOWN, {"trading_share_pct": None}), (UNKNOWN, {"capital_share_pct": None}), scenarios=STATED),
    *rows("MF-02", FIRM, (NA, {}), scenarios=STATED, as_of=LAST),
    *rows("MF-03", LOTS, (PASS, {}), (FAIL, {"net_lots": Decimal(501)}), (FAIL, {"net_lots": Decimal(-501)}), (PASS, {"net_lots": Decimal(499)}),
          (NA, PLAIN), (PASS, {**PLAIN, "agricultural": True}), (NA, {"hedge_exempt": True}), (UNKNOWN, {"limit_lots": None}),
          (UNKNOWN, {"critical_or_significant": None})),
    *rows("MF-03", LOTS, (PASS, PLAIN), (FAIL, {**PLAIN, "net_lots": Decimal(501)}), as_of=LAST),
    *rows("MF-04", LOTS, (NA, {}), (PASS, {"hedge_exempt": True}), (FAIL, {"hedge_exempt": True, "exemption_on_file": False}),
          (FAIL, {"hedge_exempt": True, "risk_reducing": False}), (UNKNOWN, {"hedge_exempt": True, "risk_reducing": None})),
    *rows("MF-06", TRADE, (UNKNOWN, {}), (NA, NO)),
    *rows("MF-06", TRADE, (PASS, {}), (FAIL, {"reported_on": date(2026, 11, 17)}), (PASS, {"reported_on": date(2026, 11, 13)}),
          (FAIL, {"reported_on": None}), (NA, {"reported_on": None, "checked_on": date(2026, 11, 16)}), (UNKNOWN, {"executed_on": None}), scenarios=STATED),
    *rows("MF-07", TRADE, (UNKNOWN, {}), (NA, NO)),
    *(case for kind, most in (("high-frequency", 100), ("electronic", 1000), ("voice", 1_000_000)) for case in rows("MF-07", TRADE,
          (PASS, {"trading": kind, "clock_divergence_us": most}), (FAIL, {"trading": kind, "clock_divergence_us": most + 1}),
          (PASS, {"trading": kind, "clock_divergence_us": most - 1}), scenarios=STATED)),
    *rows("MF-07", TRADE, (UNKNOWN, {"trading": "telepathic"}), (UNKNOWN, {"clock_divergence_us": None}), scenarios=STATED),
    *rows("MF-08", ALGO, (UNKNOWN, {}), (NA, {"algorithmic": False})),
    *rows("MF-08", ALGO, (PASS, {}), (FAIL, {"assessed_on": date(2025, 11, 21)}), (FAIL, {"kill_switch": False}), (FAIL, {"price_collar": False}),
          (FAIL, {"max_value": False}), (FAIL, {"max_messages": False}), (UNKNOWN, {"kill_switch": None}), scenarios=STATED),
    *rows("MF-09", TRADE, (UNKNOWN, {}), (NA, NO)),
    *rows("MF-09", TRADE, (PASS, {}), (FAIL, {"keep_until": date(2031, 11, 12)}), (UNKNOWN, {"keep_until": None}), scenarios=STATED),
]  # fmt: skip
