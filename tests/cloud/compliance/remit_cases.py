"""REMIT: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.availability import DeclaredOutage
from cloud.compliance.facts import Algorithm, MarketParticipant, Outage, WholesaleDeal
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, UNKNOWN, rows

MINUTE = 60_000_000
FRIDAY = date(2015, 10, 9)
REFORM = frozenset({"remit-2026"})
WHO = MarketParticipant(
    trades_wholesale_energy=True, acer_code="T1241247G.EU", consumption_gwh_per_year=Decimal(600), registered_as_consumer=True
)
LOSS = Outage(
    checked_us=500 * MINUTE, asset_in_scope=True, planned=False, installed_mw=Decimal(450), lost_mw=Decimal(100), known_us=100 * MINUTE,
    published_us=160 * MINUTE, own_orders_us=(), cover_only=False, cover_notified=True, delayed=False, delay_legitimate=True,
    delay_confidential=True, delay_notified=True,
)  # fmt: skip
DEAL = WholesaleDeal(
    checked_on=date(2016, 1, 1), wholesale_energy=True, standard=True, organised_market=True, concluded_on=FRIDAY,
    reported_on=date(2015, 10, 12), simple_terms=True, framework=False, table=1, keep_until=date(2020, 10, 9),
)  # fmt: skip
LATER = {"keep_until": None, "checked_on": date(2026, 12, 24), "concluded_on": date(2026, 4, 29)}
ALGO = Algorithm(algorithmic=True, notified=True)

DECLARED = DeclaredOutage(
    declared=True, available_mw=Decimal(100), measured_mw=Decimal(250), above_us=61 * MINUTE, maintenance_permit=False
)  # fmt: skip

CASES = [
    *rows("A-09", DECLARED, (UNKNOWN, {}), (NA, {"declared": False}), (UNKNOWN, {"declared": None}), (NA, {"declared": False, "measured_mw": None})),
    *rows("A-09", DECLARED, (FAIL, {}), (PASS, {"above_us": 60 * MINUTE}), (FAIL, {"above_us": 60 * MINUTE + 1}), (PASS, {"above_us": 59 * MINUTE}),
          (PASS, {"measured_mw": Decimal(110)}), (FAIL, {"measured_mw": Decimal("110.1")}), (PASS, {"measured_mw": Decimal("109.9")}),
          (PASS, {"measured_mw": Decimal(90)}), (NA, {"maintenance_permit": True}), (UNKNOWN, {"maintenance_permit": None}),
          (UNKNOWN, {"measured_mw": None}), (UNKNOWN, {"available_mw": None}), (UNKNOWN, {"above_us": None}), scenarios=STATED),
    *rows("R-01", WHO, (PASS, {}), (FAIL, {"acer_code": "T1241247.EU"}), (FAIL, {"acer_code": "T1241247G.eu"}), (FAIL, {"acer_code": "T1241247GG.EU"}),
          (UNKNOWN, {"acer_code": None}), (NA, {"trades_wholesale_energy": False})),
    *rows("R-02", LOSS, (UNKNOWN, {}), (NA, {"asset_in_scope": False}), (NA, {"lost_mw": Decimal(0)}), (NA, {"delayed": True})),
    *rows("R-02", LOSS, (PASS, {}), (FAIL, {"published_us": 160 * MINUTE + 1}), (PASS, {"published_us": 160 * MINUTE - 1}),
          (FAIL, {"published_us": None}), (NA, {"published_us": None, "checked_us": 160 * MINUTE}),
          (FAIL, {"published_us": None, "checked_us": 160 * MINUTE + 1}), (UNKNOWN, {"lost_mw": Decimal("99.9")}),
          (PASS, {"lost_mw": Decimal("100.1")}), (UNKNOWN, {"known_us": None}), (UNKNOWN, {"lost_mw": None}),
          (UNKNOWN, {"delayed": None}), scenarios=STATED),
    *rows("R-03", LOSS, (PASS, {}), (PASS, {"own_orders_us": (100 * MINUTE - 1, 160 * MINUTE)}), (FAIL, {"own_orders_us": (100 * MINUTE,)}),
          (FAIL, {"own_orders_us": (160 * MINUTE - 1,)}), (FAIL, {"own_orders_us": (500 * MINUTE,), "published_us": None}),
          (NA, {"own_orders_us": (120 * MINUTE,), "cover_only": True}), (UNKNOWN, {"own_orders_us": (120 * MINUTE,), "cover_only": None}),
          (UNKNOWN, {"own_orders_us": None}), (UNKNOWN, {"known_us": None}), (NA, {"asset_in_scope": False})),
    *rows("R-04", LOSS, (NA, {}), (PASS, {"cover_only": True}), (FAIL, {"cover_only": True, "cover_notified": False}),
          (FAIL, {"cover_only": True, "planned": True}), (UNKNOWN, {"cover_only": True, "cover_notified": None})),
    *rows("R-05", LOSS, (NA, {}), (PASS, {"delayed": True}), (FAIL, {"delayed": True, "delay_confidential": False}),
          (FAIL, {"delayed": True, "delay_legitimate": False}), (FAIL, {"delayed": True, "delay_notified": False}),
          (FAIL, {"delayed": True, "own_orders_us": (101 * MINUTE,)}), (UNKNOWN, {"delayed": True, "delay_notified": None})),
    *rows("R-06", DEAL, (PASS, {}), (FAIL, {"reported_on": date(2015, 10, 13)}), (PASS, {"reported_on": FRIDAY}), (FAIL, {"reported_on": None}),
          (NA, {"reported_on": None, "checked_on": date(2015, 10, 12)}), (FAIL, {"reported_on": None, "checked_on": date(2015, 10, 13)}),
          (PASS, {"standard": False, "reported_on": date(2015, 11, 9)}), (FAIL, {"standard": False, "reported_on": date(2015, 11, 10)}),
          (PASS, {"standard": False, "concluded_on": date(2016, 1, 31), "checked_on": date(2016, 3, 9), "reported_on": date(2016, 2, 29)}),
          (FAIL, {"standard": False, "concluded_on": date(2016, 1, 31), "checked_on": date(2016, 3, 9), "reported_on": date(2016, 3, 1)}),
          (NA, {"wholesale_energy": False}), (UNKNOWN, {"standard": None}), (UNKNOWN, {"concluded_on": None}),
          (UNKNOWN, {"concluded_on": date(2015, 10, 6)}), (FAIL, {**LATER, "reported_on": date(2026, 5, 1)})),
    *rows("R-06", DEAL, (PASS, {**LATER, "reported_on": date(2026, 5, 1)}), (FAIL, {**LATER, "reported_on": date(2026, 5, 4)}),
          (PASS, {**LATER, "standard": False, "reported_on": date(2026, 5, 13)}), (FAIL, {**LATER, "standard": False, "reported_on": date(2026, 5, 14)}),
          (FAIL, {**LATER, "concluded_on": date(2026, 4, 28), "reported_on": date(2026, 4, 30)}), scenarios=REFORM),
    *rows("R-07", WHO, (PASS, {}), (FAIL, {"registered_as_consumer": False}), (NA, {"consumption_gwh_per_year": Decimal("599.9")}),
          (PASS, {"consumption_gwh_per_year": Decimal("600.1")}), (UNKNOWN, {"consumption_gwh_per_year": None}), (UNKNOWN, {"registered_as_consumer": None})),
    *rows("R-09", DEAL, (PASS, {}), (FAIL, {"table": 2}), (PASS, {"organised_market": False}), (PASS, {"organised_market": False, "framework": True, "table": 2}),
          (FAIL, {"organised_market": False, "simple_terms": False}), (UNKNOWN, {"table": None}), (UNKNOWN, {"organised_market": None}),
          (NA, {"wholesale_energy": False})),
    *rows("R-11", ALGO, (UNKNOWN, {}), (NA, {"algorithmic": False})),
    *rows("R-11", ALGO, (PASS, {}), (FAIL, {"notified": False}), (UNKNOWN, {"notified": None}), scenarios=STATED),
    *rows("R-14", DEAL, (UNKNOWN, {}), (NA, {"wholesale_energy": False})),
    *rows("R-14", DEAL, (PASS, {}), (FAIL, {"keep_until": date(2020, 10, 8)}), (UNKNOWN, {"keep_until": None}), scenarios=STATED),
]  # fmt: skip
