"""Sharia: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Balance, IslamicContract
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, TODAY, UNKNOWN, rows

SCREEN = Balance(
    interest_debt=Decimal(30), interest_deposits=Decimal(30), market_cap=Decimal(100), impermissible_income=Decimal(5), income=Decimal(100)
)
SALAM = IslamicContract(
    form="salam", paid_pct=Decimal(100), money=False, specified=True, place="FOB Georgetown", delivery_on=date(2027, 2, 15), physical=True,
    interest=False, late_charge_pct=Decimal(0), ruling_until=TODAY, owned_us=1, sold_us=2,
)  # fmt: skip
MURABAHA = IslamicContract(
    form="murabaha", cost=Decimal(5_000_000), markup_pct=Decimal("3.5"), owned_us=1, sold_us=2, late_charge_pct=Decimal(8),
    late_beneficiary="charity", interest=False, ruling_until=TODAY,
)  # fmt: skip
OTHER = {"form": "swap"}
LOOSE = frozenset({"screening-33"})

CASES = [
    *rows("SH-14", SCREEN, (PASS, {}), (FAIL, {"interest_debt": Decimal("30.1")}), (FAIL, {"interest_deposits": Decimal("30.1")}),
          (FAIL, {"impermissible_income": Decimal("5.1")}), (PASS, {"interest_debt": Decimal("29.9")}), (UNKNOWN, {"income": Decimal(0)}),
          (UNKNOWN, {"interest_debt": None}), (UNKNOWN, {"market_cap": None}), (NA, {"market_cap": Decimal(0)})),
    *rows("SH-14", SCREEN, (PASS, {"interest_debt": Decimal(33)}), (FAIL, {"interest_debt": Decimal("33.1")}),
          (PASS, {"interest_deposits": Decimal(33)}), (FAIL, {"interest_deposits": Decimal("33.1")}), scenarios=LOOSE),
    *rows("SH-01", MURABAHA, (UNKNOWN, {}), (FAIL, {"interest": True}), (UNKNOWN, {"interest": None}), (NA, OTHER)),
    *rows("SH-01", MURABAHA, (PASS, {}), (FAIL, {"late_beneficiary": "seller_income"}), (UNKNOWN, {"late_beneficiary": None}),
          (PASS, {"late_charge_pct": Decimal(0), "late_beneficiary": None}), scenarios=STATED),
    *rows("SH-02", SALAM, (PASS, {}), (FAIL, {"paid_pct": Decimal("99.9")}), (FAIL, {"money": True}), (FAIL, {"specified": False}),
          (FAIL, {"place": None}), (FAIL, {"delivery_on": None}), (FAIL, {"physical": False}), (UNKNOWN, {"place": None, "terms_complete": False}),
          (UNKNOWN, {"paid_pct": None}), (NA, OTHER)),
    *rows("SH-04", SALAM, (PASS, {}), (FAIL, {"owned_us": 2}), (FAIL, {"owned_us": 3}), (NA, {"sold_us": None}), (UNKNOWN, {"owned_us": None})),
    *rows("SH-05", MURABAHA, (UNKNOWN, {}), (FAIL, {"owned_us": 2}), (UNKNOWN, {"cost": None}), (NA, OTHER)),
    *rows("SH-05", MURABAHA, (PASS, {}), (FAIL, {"late_beneficiary": "seller_income"}), (UNKNOWN, {"late_beneficiary": None}), scenarios=STATED),
    *rows("SH-16", SALAM, (PASS, {}), (UNKNOWN, {"ruling_until": date(2026, 11, 21)}), (PASS, {"ruling_until": date(2026, 11, 23)}),
          (FAIL, {"ruling_withdrawn": True}), (UNKNOWN, {"ruling_until": None}), (NA, OTHER)),
]  # fmt: skip
