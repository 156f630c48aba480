"""Sharia: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Balance, IslamicContract
from cloud.compliance.plant_facts import Promise
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

BESIDE = Promise(
    exchange=False, value_dates=(date(2026, 1, 1),) * 2, optional_quantity_pct=Decimal(10), cash_settled=True, linked_to_physical=True,
    sold_back_to_seller=False, promises_cross_conditioned=False, deposit_forfeited=True, parallel_salam=True, depends_on_first=False,
    counterparty_sector="refining", made_to_order=True, specification_fixed=True,
)  # fmt: skip
SECTORS = ("alcohol", "pork", "tobacco", "gambling", "adult", "conventional-bank", "conventional-insurance", "weapons")

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
    *rows("SH-03", BESIDE, (PASS, {}), (FAIL, {"depends_on_first": True}), (NA, {"parallel_salam": False}), (UNKNOWN, {"depends_on_first": None})),
    *rows("SH-06", BESIDE, (PASS, {}), (FAIL, {"specification_fixed": False}), (NA, {"made_to_order": False}), (UNKNOWN, {"made_to_order": None})),
    *rows("SH-08", BESIDE, (NA, {}), (PASS, {"exchange": True}), (FAIL, {"exchange": True, "value_dates": (date(2026, 1, 1), date(2026, 1, 2))}),
          (UNKNOWN, {"exchange": True, "value_dates": None})),
    *rows("SH-09", BESIDE, (PASS, {}), (PASS, {"optional_quantity_pct": Decimal("9.9")}), (FAIL, {"optional_quantity_pct": Decimal("10.1")}),
          (NA, {"optional_quantity_pct": Decimal(0)}), (UNKNOWN, {"optional_quantity_pct": None}), scenarios=STATED),
    *rows("SH-09", BESIDE, (UNKNOWN, {})),
    *rows("SH-10", BESIDE, (PASS, {}), (FAIL, {"linked_to_physical": False}), (NA, {"cash_settled": False}), (UNKNOWN, {"cash_settled": None})),
    *rows("SH-11", BESIDE, (NA, {}), (PASS, {"cash_settled": False}), (FAIL, {"cash_settled": False, "sold_back_to_seller": True}),
          (UNKNOWN, {"cash_settled": False, "sold_back_to_seller": None})),
    *rows("SH-12", BESIDE, (PASS, {}), (FAIL, {"promises_cross_conditioned": True}), (NA, {"exchange": True}), (UNKNOWN, {"promises_cross_conditioned": None})),
    *rows("SH-13", BESIDE, (FAIL, {}), (NA, {"deposit_forfeited": False}), (UNKNOWN, {"deposit_forfeited": None}), scenarios=STATED),
    *rows("SH-13", BESIDE, (UNKNOWN, {})),
    *rows("SH-13", BESIDE, (PASS, {}), scenarios=frozenset({"arbun-allowed"})),
    *rows("SH-15", BESIDE, (PASS, {}), *((FAIL, {"counterparty_sector": one}) for one in SECTORS), (NA, {"exchange": True}),
          (UNKNOWN, {"counterparty_sector": None})),
]  # fmt: skip
