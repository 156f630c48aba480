"""Guyana: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Flaring, LocalCompany, LocalSpend
from cloud.compliance.plant_facts import BackgroundFlare, LocalPlan, PetroleumActivity
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, UNKNOWN, rows

HOUR = 3_600_000_000
COMPANY = LocalCompany(
    claims_local=True, voting_pct=Decimal(51), senior_pct=Decimal(75), other_posts_pct=Decimal(90), certificate_from=date(2026, 1, 1),
    certificate_until=date(2026, 12, 31), contracted_on=date(2026, 12, 31),
)  # fmt: skip
FLARE = Flaring(
    permitted_plant=True, reason="restart", started_us=0, expected_days=Decimal("14.1"), applied_us=96 * HOUR, checked_us=200 * HOUR,
    approval_expires_on=date(2022, 3, 21), payment_calculated_on=date(2022, 4, 18), co2e_t=Decimal(1152), paid_usd=Decimal(51840),
)  # fmt: skip
SEEN = {
    "office_space_rental": 90, "accommodation": 90, "janitorial_laundry": 90, "catering": 90, "pest_control": 95,
    "local_insurance_services": 100, "customs_brokerage": 100, "local_accounting_services": 90, "local_legal_services": 90,
    "food_supply": 75, "waste_management": 75, "manpower_crewing": 50, "building_construction_onshore": 50,
}  # fmt: skip
UNSEEN = [
    "equipment_rental",
    "surveying",
    "pipe_welding",
    "blasting_coating",
    "structural_fabrication",
    "storage",
    "laydown_yards",
    "administrative_support",
    "immigration_support",
    "export_packing",
    "cargo_management",
    "chandlery",
    "trucking",
    "metrology",
    "ventilation",
    "industrial_cleaning",
    "security",
    "ict",
    "medical",
    "marketing",
    "ground_transport",
    "dredging",
    "engineering_machining",
    "borehole_testing",
    "environmental_services",
    "aviation_support",
]
SPEND = LocalSpend(service="catering", share_pct=Decimal(90))
PLAN = LocalPlan(
    checked_on=date(2026, 11, 22), contractor=True, year=2026, submitted_on=date(2025, 11, 2), half_year_end=date(2026, 6, 30),
    reported_on=date(2026, 7, 30),
)  # fmt: skip
GLOW = BackgroundFlare(permitted_plant=True, mmscf_per_day=Decimal("1.1"), counted_as_payable=True)
WORK = PetroleumActivity(
    licensable=True, on=date(2026, 5, 1), licence_from=date(2026, 5, 1), licence_until=date(2027, 5, 1), ordered_bbl=Decimal(100),
    profit_oil_bbl=Decimal(100),
)  # fmt: skip
LIZA_1, BETWEEN, LIZA_2 = date(2021, 7, 31), (date(2021, 8, 1), date(2021, 9, 30)), date(2021, 10, 1)

CASES = [
    *rows("G-01", COMPANY, (PASS, {}), (FAIL, {"voting_pct": Decimal("50.9")}), (FAIL, {"senior_pct": Decimal("74.9")}),
          (FAIL, {"other_posts_pct": Decimal("89.9")}), (PASS, {"voting_pct": Decimal("51.1")}), (NA, {"claims_local": False}), (UNKNOWN, {"senior_pct": None})),
    *rows("G-02", COMPANY, (PASS, {}), (FAIL, {"contracted_on": date(2027, 1, 1)}), (FAIL, {"contracted_on": date(2025, 12, 31)}),
          (PASS, {"contracted_on": date(2026, 1, 1)}), (NA, {"claims_local": False}), (UNKNOWN, {"certificate_until": None})),
    *rows("G-09", SPEND, *((PASS, {"service": name, "share_pct": Decimal(least)}) for name, least in SEEN.items()),
          *((FAIL, {"service": name, "share_pct": least - Decimal("0.1")}) for name, least in SEEN.items()),
          *((UNKNOWN, {"service": name}) for name in UNSEEN), (NA, {"service": "juggling"}), (UNKNOWN, {"share_pct": None}), (UNKNOWN, {"service": None})),
    *rows("G-11", FLARE, *((PASS, {"reason": one}) for one in ("commissioning", "start-up", "emergency", "maintenance", "restart")),
          (FAIL, {"reason": "routine"}), (UNKNOWN, {"reason": None}), (NA, {"permitted_plant": False})),
    *rows("G-12", FLARE, (PASS, {}), (FAIL, {"applied_us": 96 * HOUR + 1}), (NA, {"expected_days": Decimal(14)}), (FAIL, {"applied_us": None}),
          (NA, {"applied_us": None, "checked_us": 96 * HOUR}), (FAIL, {"applied_us": None, "checked_us": 96 * HOUR + 1}),
          (UNKNOWN, {"started_us": None}), (UNKNOWN, {"expected_days": None})),
    *rows("G-13", FLARE, (PASS, {}), (FAIL, {"payment_calculated_on": date(2022, 4, 19)}), (PASS, {"payment_calculated_on": date(2022, 4, 17)}),
          (FAIL, {"paid_usd": Decimal("51839.99")}), (NA, {"co2e_t": Decimal(0)}), (UNKNOWN, {"co2e_t": None}), as_of=LIZA_2),
    *rows("G-13", FLARE, (PASS, {"paid_usd": Decimal(34560)}), (FAIL, {"paid_usd": Decimal(34559)}), as_of=LIZA_1),
    *(case for day in BETWEEN for case in rows("G-13", FLARE, (UNKNOWN, {}), as_of=day)),
    *(case for day in BETWEEN for case in rows("G-13", FLARE, (PASS, {}), (FAIL, {"paid_usd": Decimal("51839.99")}), as_of=day, scenarios=STATED)),
    *rows("G-13", FLARE, (UNKNOWN, {"paid_usd": Decimal(57600)}), as_of=date(2026, 1, 1)),
    *rows("G-13", FLARE, (PASS, {"paid_usd": Decimal(57600)}), (FAIL, {}), as_of=date(2026, 1, 1), scenarios=STATED),
    *rows("G-04", PLAN, (PASS, {}), (FAIL, {"submitted_on": date(2025, 11, 3)}), (PASS, {"submitted_on": date(2025, 11, 1)}), (FAIL, {"submitted_on": None}),
          (NA, {"submitted_on": None, "checked_on": date(2025, 11, 2)}), (NA, {"contractor": False}), (UNKNOWN, {"year": None}), scenarios=STATED),
    *rows("G-04", PLAN, (UNKNOWN, {})),
    *rows("G-05", PLAN, (PASS, {}), (FAIL, {"reported_on": date(2026, 7, 31)}), (PASS, {"reported_on": date(2026, 7, 29)}), (FAIL, {"reported_on": None}),
          (NA, {"contractor": False}), (UNKNOWN, {"half_year_end": None}), scenarios=STATED),
    *rows("G-05", PLAN, (UNKNOWN, {})),
    *rows("G-14", GLOW, (PASS, {}), (FAIL, {"counted_as_payable": False}), (NA, {"mmscf_per_day": Decimal(1)}), (NA, {"mmscf_per_day": Decimal("0.9")}),
          (NA, {"permitted_plant": False}), (UNKNOWN, {"mmscf_per_day": None})),
    *rows("G-15", WORK, (PASS, {}), (FAIL, {"on": date(2026, 4, 30)}), (PASS, {"on": date(2027, 5, 1)}), (FAIL, {"on": date(2027, 5, 2)}),
          (NA, {"licensable": False}), (UNKNOWN, {"licence_until": None})),
    *rows("G-16", WORK, (PASS, {}), (FAIL, {"ordered_bbl": Decimal("100.1")}), (PASS, {"ordered_bbl": Decimal("99.9")}), (NA, {"ordered_bbl": Decimal(0)}),
          (UNKNOWN, {"profit_oil_bbl": None})),
]  # fmt: skip
