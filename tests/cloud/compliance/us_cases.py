"""CFTC and CSRD: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Account, FuturesPosition, Reporter, Swap, SwapDealing, Undertaking, Venue
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, UNKNOWN, rows

LEI = "213800KUD8LAJWSQ9D15"


def accounts(*each: tuple[str, str, bool | None]) -> tuple[Account, ...]:
    return tuple(Account(net_lots=Decimal(net), owned_pct=Decimal(owned), controlled=controlled) for net, owned, controlled in each)


OWN = ("6000", "100", False)
LOTS = FuturesPosition(
    contract="CL", spot_month=True, accounts=accounts(OWN), limit_lots=Decimal(6000), hedge_lots=Decimal(100), hedge_recorded=True,
    long_lots=Decimal(350), short_lots=Decimal(0), reported=True, aggregate_lots=Decimal(6100),
)  # fmt: skip
TENTH = accounts(("3500", "100", False), ("2600", "10", False), ("1000", "9.9", False))
CONTROLLED = accounts(("3500", "100", False), ("1000", "0", True))
SHORT = accounts(("-6001", "100", False))
SWAP = Swap(
    checked_on=date(2026, 3, 31), us_swap=True, venue=Venue.OFF_FACILITY, reporter=Reporter.OTHER, executed_on=date(2026, 3, 6),
    reported_on=date(2026, 3, 10), uti=LEI + "QEN1", leis=(LEI,), ended_on=date(2026, 3, 20), keep_until=date(2031, 3, 20),
)  # fmt: skip
FACILITY = {"venue": Venue.SEF_OR_DCM}
NO = {"us_swap": False}
DEALING = SwapDealing(deals_in_swaps=True, monthly_notional_usd=(Decimal(0),) * 11 + (Decimal(8_000_000_000),), registered=False)
COMPANY = Undertaking(
    employees=1001, turnover_eur=Decimal(450_000_001), third_country=False, reports_sustainability=True, limited_assurance=True,
    boundary_recorded=True, eu_turnover_two_years_eur=(Decimal(450_000_001),) * 2, large_eu_subsidiary_or_branch=True,
)  # fmt: skip
SILENT = {"reports_sustainability": False}
ABROAD = {"third_country": True}
MILLIONS = Decimal(450_000_000)
STEP = {"NG": 200, "HO": 250, "RB": 150}

CASES = [
    *rows("C-T01", LOTS, (PASS, {}), (FAIL, {"accounts": accounts(("6001", "100", False))}), (PASS, {"accounts": accounts(("5999", "100", False))}),
          (FAIL, {"accounts": TENTH}), (FAIL, {"accounts": SHORT}), (PASS, {"accounts": CONTROLLED, "limit_lots": Decimal(4500)}),
          (FAIL, {"accounts": CONTROLLED, "limit_lots": Decimal(4499)}), (UNKNOWN, {"accounts": accounts(("1", "5", None))}),
          (NA, {"contract": "ZC"}), (UNKNOWN, {"contract": None}), (UNKNOWN, {"limit_lots": None}), (UNKNOWN, {"accounts": None})),
    *rows("C-T01", LOTS, (NA, {}), as_of=date(2021, 12, 31)),
    *rows("C-T01", LOTS, (PASS, {}), as_of=date(2022, 1, 1)),
    *rows("C-T02", LOTS, (PASS, {}), (FAIL, {"accounts": accounts(("6001", "100", False))}), (NA, {"spot_month": False}), (NA, {"contract": "ZC"}),
          (FAIL, {"accounts": TENTH}), (UNKNOWN, {"spot_month": None}), (UNKNOWN, {"contract": "NG"})),
    *(case for one in ("NG", "HO", "RB") for case in rows("C-T02", LOTS, (PASS, {"contract": one, "accounts": accounts(("2000", "100", False))}),
          (FAIL, {"contract": one, "accounts": accounts(("2001", "100", False))}), scenarios=STATED)),
    *rows("C-T03", LOTS, (NA, {}), (PASS, {"accounts": TENTH}), (FAIL, {"accounts": TENTH, "aggregate_lots": Decimal(7100)}),
          (UNKNOWN, {"accounts": TENTH, "aggregate_lots": None}), (UNKNOWN, {"accounts": None})),
    *rows("C-T04", LOTS, (NA, {}), (PASS, {"accounts": TENTH}), (FAIL, {"accounts": TENTH, "hedge_lots": Decimal(99)}),
          (FAIL, {"accounts": TENTH, "hedge_recorded": False}), (UNKNOWN, {"accounts": TENTH, "hedge_lots": None})),
    *rows("C-T05", LOTS, (PASS, {}), (FAIL, {"reported": False}), (NA, {"long_lots": Decimal(349)}), (FAIL, {"long_lots": Decimal(351), "reported": False}),
          (FAIL, {"long_lots": Decimal(0), "short_lots": Decimal(350), "reported": False}),
          (NA, {"long_lots": Decimal(200), "short_lots": Decimal(200)}), (UNKNOWN, {"short_lots": None}), (UNKNOWN, {"contract": "NG"}),
          (UNKNOWN, {"reported": None}), (NA, {"contract": "ZC"})),
    *(case for one, level in STEP.items() for case in rows("C-T05", LOTS, (FAIL, {"contract": one, "long_lots": Decimal(level), "reported": False}),
          (NA, {"contract": one, "long_lots": Decimal(level - 1)}), scenarios=STATED)),
    *rows("C-T06", SWAP, (NA, {}), (PASS, {**FACILITY, "reported_on": date(2026, 3, 9)}), (FAIL, FACILITY), (NA, NO), (UNKNOWN, {**FACILITY, "executed_on": None}),
          (FAIL, {**FACILITY, "reported_on": None}), (UNKNOWN, {"venue": None})),
    *rows("C-T07", SWAP, (PASS, {}), (FAIL, {"reported_on": date(2026, 3, 11)}), (FAIL, {"reporter": Reporter.SD}),
          (PASS, {"reporter": Reporter.SD, "reported_on": date(2026, 3, 9)}), (NA, FACILITY), (NA, NO), (UNKNOWN, {"reporter": None}),
          (NA, {"reported_on": None, "checked_on": date(2026, 3, 10)}), (FAIL, {"reported_on": None, "checked_on": date(2026, 3, 11)})),
    *rows("C-T08", SWAP, (UNKNOWN, {}), (NA, NO)),
    *rows("C-T08", SWAP, (PASS, {}), (FAIL, {"uti": "X"}), (FAIL, {"leis": (LEI[::-1],)}), (FAIL, {"uti": LEI + "A" * 33}), (UNKNOWN, {"leis": None}), scenarios=STATED),
    *rows("C-T10", DEALING, (PASS, {}), (FAIL, {"monthly_notional_usd": (Decimal(700_000_000),) * 12}),
          (FAIL, {"monthly_notional_usd": (*(Decimal(0),) * 11, Decimal(8_000_000_001))}),
          (PASS, {"monthly_notional_usd": (*(Decimal(0),) * 11, Decimal(7_999_999_999))}),
          (PASS, {"monthly_notional_usd": (Decimal(700_000_000),) * 12, "registered": True}),
          (NA, {"deals_in_swaps": False}), (UNKNOWN, {"monthly_notional_usd": (Decimal(1),) * 11}), (UNKNOWN, {"monthly_notional_usd": None})),
    *rows("C-T10", DEALING, (NA, {}), as_of=date(2018, 11, 12)),
    *rows("C-T14", SWAP, (PASS, {}), (FAIL, {"keep_until": date(2031, 3, 19)}), (NA, NO), (UNKNOWN, {"ended_on": None})),
    *rows("C-01", COMPANY, (PASS, {}), (FAIL, SILENT), (NA, {**SILENT, "employees": 1000}), (NA, {**SILENT, "turnover_eur": MILLIONS}), (NA, ABROAD),
          (UNKNOWN, {"employees": None}), (UNKNOWN, {"turnover_eur": None}), (UNKNOWN, {"reports_sustainability": None})),
    *rows("C-01", COMPANY, (NA, SILENT), as_of=date(2026, 3, 17)),
    *rows("C-01", COMPANY, (FAIL, SILENT), as_of=date(2026, 3, 18)),
    *rows("C-02", COMPANY, (NA, {}), (PASS, ABROAD), (FAIL, {**ABROAD, **SILENT}), (NA, {**ABROAD, **SILENT, "large_eu_subsidiary_or_branch": False}),
          (NA, {**ABROAD, **SILENT, "eu_turnover_two_years_eur": (MILLIONS, MILLIONS + 1)}),
          (UNKNOWN, {**ABROAD, "eu_turnover_two_years_eur": (MILLIONS + 1,)}), (UNKNOWN, {**ABROAD, "eu_turnover_two_years_eur": None})),
    *rows("C-04", COMPANY, (PASS, {}), (FAIL, {"limited_assurance": False}), (NA, SILENT), (UNKNOWN, {"limited_assurance": None})),
    *rows("C-05", COMPANY, (PASS, {}), (FAIL, {"boundary_recorded": False}), (NA, SILENT), (UNKNOWN, {"boundary_recorded": None})),
]  # fmt: skip
