"""EU methane, EPA, FERC, SEC and UK: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.plant_facts import (
    DelayedNews,
    FacilityYear,
    FlareConsent,
    FlareDesign,
    FlareMinutes,
    GasRelease,
    GasYear,
    ImportContract,
    InsiderEntry,
    Issuer,
    Leak,
    MethaneReport,
    QuarterlyReport,
    Shipment,
    StatusChange,
    UkAllowances,
    UkAncillary,
    UkDerivative,
    UkMonthEnds,
    UkVenuePosition,
    UkWholesale,
)
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, UNKNOWN, rows

D = Decimal
HOUR, DAY = 3_600_000_000, 86_400_000_000
LEAK = Leak(checked_us=40 * DAY, eu_plant=True, survey=1, ppm=D(7000), found_us=0, attempted_us=5 * DAY, repaired_us=30 * DAY)
RELEASE = GasRelease(checked_us=100 * HOUR, eu_plant=True, reason="emergency", hours=D(8), reached_us=0, notified_us=48 * HOUR)
DESIGN = FlareDesign(eu_plant=True, destruction_pct=D(99), ignition_monitored=True, days_since_inspection=7)
REPORT = MethaneReport(checked_on=date(2027, 6, 1), operated=True, submitted_on=date(2027, 2, 5))
IMPORT = ImportContract(imported=True, concluded_on=date(2024, 8, 4), delivered_on=date(2027, 1, 1), monitoring_equivalent=True)
FLARE = FlareMinutes(regulated=True, minutes=1440, lit_minutes=1440, visible_minutes=5, heating_btu_scf=D(300))
LEAN = {"heating_btu_scf": D("299.9"), "assisted": False, "hydrogen_pct": D(8), "diameter_in": D(3), "velocity_m_s": D("37.1")}
YEAR = FacilityYear(
    checked_on=date(2026, 11, 22), us_facility=True, year=2025, co2e_t=D(25000), reported_on=date(2026, 3, 31), methane_t=D(100),
    methane_allowed_t=D(60), charge_paid_usd=D(48000),
)  # fmt: skip
QUARTER = QuarterlyReport(
    checked_on=date(2026, 11, 22), public_utility=True, quarter_end=date(2026, 9, 30), submitted_on=date(2026, 10, 31)
)
GAS = GasYear(checked_on=date(2026, 11, 22), us_gas=True, year=2025, mmbtu=D(2_200_000), submitted_on=date(2026, 5, 1))
CHANGE = StatusChange(
    checked_on=date(2026, 11, 22), market_based_rates=True, added_mw=D(100), changed_on=date(2026, 1, 1), notified_on=date(2026, 1, 31)
)
TRADE = UkDerivative(checked_on=date(2026, 11, 22), uk_counterparty=True, executed_on=date(2026, 11, 16), reported_on=date(2026, 11, 17))
ENDS = UkMonthEnds(uk_nfc=True, total_eur=(D(3_000_000_012),) * 12, notified=True)
AT = UkMonthEnds(uk_nfc=True, total_eur=(D(3_000_000_000),) * 12, notified=True)
POSITION = UkVenuePosition(critical=True, net_lots=D(-100), limit_lots=D(100), exempt=False, exemption_from=date(2026, 7, 6))
ETS = UkAllowances(
    checked_on=date(2026, 11, 22), in_scheme=True, year=2025, reported_on=date(2026, 3, 31), verified=True, emitted_t=D(10),
    surrendered_t=D(10), surrendered_on=date(2026, 4, 30),
)  # fmt: skip
CONSENT = FlareConsent(uk_field=True, consented_t=D(500), metered_t=D(500))
INSIDER = InsiderEntry(
    inside_information=True, name="N", role="trader", reason="saw the outage", access_from_us=1, access_until_us=2, still_inside=False
)
NEWS = DelayedNews(issuer=True, delayed=True, legitimate=True, not_misleading=True, confidential=True, published=True, notified_after=True)
FIRST, SECOND = date(2025, 8, 5), date(2025, 12, 1)

CASES = [
    *rows("ME-01", REPORT, (PASS, {}), (PASS, {"submitted_on": date(2027, 2, 4)}), (FAIL, {"submitted_on": date(2027, 2, 6)}), (FAIL, {"submitted_on": None}),
          (NA, {"submitted_on": None, "checked_on": date(2027, 2, 5)}), (NA, {"operated": False}), scenarios=STATED),
    *rows("ME-01", REPORT, (PASS, {"submitted_on": date(2025, 8, 5)}), (FAIL, {"submitted_on": date(2025, 8, 6)}), as_of=FIRST, scenarios=STATED),
    *rows("ME-01", REPORT, (PASS, {"submitted_on": date(2026, 2, 5)}), (FAIL, {"submitted_on": date(2026, 2, 6)}), as_of=SECOND, scenarios=STATED),
    *rows("ME-01", REPORT, (UNKNOWN, {}), (UNKNOWN, {"operated": None})),
    *rows("ME-02", LEAK, (PASS, {}), (FAIL, {"repaired_us": 30 * DAY + 1}), (PASS, {"repaired_us": 30 * DAY - 1}), (FAIL, {"repaired_us": None}),
          (NA, {"repaired_us": None, "checked_us": 30 * DAY}), (FAIL, {"repaired_us": None, "checked_us": 30 * DAY + 1}), (NA, {"ppm": D(6999)}),
          (PASS, {"ppm": None, "grams_per_hour": D(17)}), (NA, {"ppm": None, "grams_per_hour": D("16.9")}), (PASS, {"survey": 2, "ppm": D(500)}),
          (NA, {"survey": 2, "ppm": D(499)}), (PASS, {"survey": 2, "ppm": None, "grams_per_hour": D(1)}),
          (NA, {"survey": 2, "ppm": None, "grams_per_hour": D("0.9")}), (UNKNOWN, {"ppm": None}), (UNKNOWN, {"survey": 3}), (NA, {"eu_plant": False}),
          scenarios=STATED),
    *rows("ME-02", LEAK, (UNKNOWN, {})),
    *rows("ME-03", LEAK, (PASS, {}), (FAIL, {"attempted_us": 5 * DAY + 1}), (FAIL, {"attempted_us": None}),
          (NA, {"attempted_us": None, "checked_us": 5 * DAY}), (NA, {"ppm": D(6999)}), (PASS, {"ppm": None, "grams_per_hour": D(17)}),
          (NA, {"ppm": None, "grams_per_hour": D("16.9")}), (PASS, {"survey": 2, "ppm": D(500)}), (NA, {"survey": 2, "ppm": D(499)}),
          (PASS, {"survey": 2, "ppm": None, "grams_per_hour": D(1)}), (UNKNOWN, {"found_us": None, "attempted_us": None, "repaired_us": None}), scenarios=STATED),
    *rows("ME-03", LEAK, (UNKNOWN, {})),
    *rows("ME-04", RELEASE, *((PASS, {"reason": one}) for one in ("emergency", "malfunction", "commissioning", "maintenance", "well-test")),
          (FAIL, {"reason": "routine"}), (NA, {"hours": D(0)}), (UNKNOWN, {"reason": None}), scenarios=STATED),
    *rows("ME-04", RELEASE, (UNKNOWN, {})),
    *rows("ME-05", RELEASE, (PASS, {}), (NA, {"hours": D("7.9")}), (PASS, {"hours": D("8.1")}), (FAIL, {"notified_us": 48 * HOUR + 1}), (FAIL, {"notified_us": None}),
          (NA, {"notified_us": None, "checked_us": 48 * HOUR}), (NA, {"eu_plant": False}), (UNKNOWN, {"reached_us": None, "notified_us": None}), scenarios=STATED),
    *rows("ME-05", RELEASE, (UNKNOWN, {})),
    *rows("ME-06", DESIGN, (PASS, {}), (FAIL, {"destruction_pct": D("98.9")}), (PASS, {"destruction_pct": D("99.1")}), (FAIL, {"ignition_monitored": False}),
          (FAIL, {"days_since_inspection": 8}), (PASS, {"days_since_inspection": 6}), (NA, {"eu_plant": False}), (UNKNOWN, {"destruction_pct": None}), scenarios=STATED),
    *rows("ME-06", DESIGN, (UNKNOWN, {})),
    *rows("ME-08", IMPORT, (PASS, {}), (FAIL, {"monitoring_equivalent": False}), (NA, {"delivered_on": date(2026, 12, 31)}),
          (NA, {"concluded_on": date(2024, 8, 3)}), (PASS, {"concluded_on": date(2024, 8, 5), "delivered_on": date(2027, 1, 2)}), (NA, {"imported": False}),
          (UNKNOWN, {"delivered_on": None}), scenarios=STATED),
    *rows("ME-08", IMPORT, (UNKNOWN, {})),
    *rows("P-01", YEAR, (PASS, {}), (NA, {"co2e_t": D("24999.9")}), (PASS, {"co2e_t": D("25000.1")}), (FAIL, {"reported_on": date(2026, 4, 1)}),
          (PASS, {"reported_on": date(2026, 3, 30)}), (FAIL, {"reported_on": None}), (NA, {"reported_on": None, "checked_on": date(2026, 3, 31)}),
          (NA, {"us_facility": False}), (UNKNOWN, {"co2e_t": None}), (UNKNOWN, {"year": None})),
    *rows("P-02", FLARE, (PASS, {}), (FAIL, {"lit_minutes": 1439}), (FAIL, {"visible_minutes": 6}), (PASS, {"visible_minutes": 4}),
          (PASS, {"heating_btu_scf": D("300.1")}), (PASS, LEAN), (FAIL, {**LEAN, "assisted": True}), (FAIL, {**LEAN, "hydrogen_pct": D("7.9")}),
          (FAIL, {**LEAN, "diameter_in": D("2.9")}), (FAIL, {**LEAN, "velocity_m_s": D("37.2")}), (FAIL, {**LEAN, "velocity_m_s": D("37.3")}),
          (UNKNOWN, {**LEAN, "hydrogen_pct": None}), (UNKNOWN, {"lit_minutes": None}), (NA, {"regulated": False}), (NA, {"minutes": 0, "lit_minutes": 0})),
    *rows("P-05", YEAR, (UNKNOWN, {"co2e_t": D(25001)})),
    *rows("P-05", YEAR, (PASS, {"co2e_t": D(25001)}), (FAIL, {"co2e_t": D(25001), "charge_paid_usd": D(47999)}), (NA, {}), (NA, {"co2e_t": D(25001), "methane_t": D(60)}),
          (UNKNOWN, {"co2e_t": D(25001), "methane_t": None}), (NA, {"us_facility": False}), scenarios=STATED),
    *rows("P-05", YEAR, (PASS, {"co2e_t": D(25001), "charge_paid_usd": D(36000)}), (FAIL, {"co2e_t": D(25001), "charge_paid_usd": D(35999)}), scenarios=STATED,
          as_of=date(2025, 12, 31)),
    *rows("F-01", QUARTER, (PASS, {}), (PASS, {"submitted_on": date(2026, 10, 30)}), (FAIL, {"submitted_on": date(2026, 11, 1)}), (FAIL, {"submitted_on": None}),
          (NA, {"submitted_on": None, "checked_on": date(2026, 10, 31)}), (NA, {"public_utility": False}), (UNKNOWN, {"quarter_end": None}), scenarios=STATED),
    *rows("F-01", QUARTER, (UNKNOWN, {})),
    *rows("F-04", GAS, (PASS, {}), (NA, {"mmbtu": D(2_199_999)}), (PASS, {"mmbtu": D(2_200_001)}), (FAIL, {"submitted_on": date(2026, 5, 2)}),
          (FAIL, {"submitted_on": None}), (NA, {"us_gas": False}), (UNKNOWN, {"mmbtu": None}), scenarios=STATED),
    *rows("F-04", GAS, (UNKNOWN, {}), (NA, {"mmbtu": D(2_199_999)})),
    *rows("F-06", Shipment(interstate=True, gas_owner="A", capacity_holder="A"), (PASS, {}), (FAIL, {"capacity_holder": "B"}), (NA, {"interstate": False}),
          (UNKNOWN, {"gas_owner": None})),
    *rows("F-07", CHANGE, (PASS, {}), (NA, {"added_mw": D("99.9")}), (PASS, {"added_mw": D("100.1")}), (FAIL, {"notified_on": date(2026, 2, 1)}),
          (FAIL, {"notified_on": None}), (NA, {"market_based_rates": False}), (UNKNOWN, {"added_mw": None}), scenarios=STATED),
    *rows("F-07", CHANGE, (UNKNOWN, {})),
    *rows("S-01", Issuer(public=True, climate_disclosed=True), (NA, {}), (NA, {"public": False}), scenarios=STATED),
    *rows("S-01", Issuer(public=True, climate_disclosed=True), (UNKNOWN, {})),
    *rows("S-01", Issuer(public=True, climate_disclosed=True), (PASS, {}), (FAIL, {"climate_disclosed": False}), scenarios=frozenset({"sec-climate"})),
    *rows("U-01", TRADE, (PASS, {}), (PASS, {"reported_on": date(2026, 11, 16)}), (FAIL, {"reported_on": date(2026, 11, 18)}), (FAIL, {"reported_on": None}),
          (NA, {"uk_counterparty": False}), (UNKNOWN, {"executed_on": None, "reported_on": None}), scenarios=STATED),
    *rows("U-01", TRADE, (UNKNOWN, {})),
    *rows("U-02", ENDS, (PASS, {}), (FAIL, {"notified": False}), (NA, {"uk_nfc": False}), (UNKNOWN, {"total_eur": None}), scenarios=STATED),
    *rows("U-02", AT, (NA, {}), (NA, {"total_eur": (D(2_999_999_999),) * 12}), scenarios=STATED),
    *rows("U-02", ENDS, (UNKNOWN, {})),
    *rows("U-03", POSITION, (PASS, {}), (FAIL, {"net_lots": D(-101)}), (PASS, {"net_lots": D(99)}), (FAIL, {"net_lots": D(101)}), (NA, {"critical": False}),
          (NA, {"exempt": True}), (UNKNOWN, {"limit_lots": None})),
    *rows("U-04", POSITION, (NA, {}), (PASS, {"exempt": True}), (FAIL, {"exempt": True, "exemption_from": date(2026, 7, 5)}),
          (PASS, {"exempt": True, "exemption_from": date(2026, 7, 7)}), (UNKNOWN, {"exempt": True, "exemption_from": None})),
    *rows("U-05", UkAncillary(relies_on_exemption=True, notified=True), (NA, {})),
    *rows("U-05", UkAncillary(relies_on_exemption=True, notified=True), (PASS, {}), (FAIL, {"notified": False}), (NA, {"relies_on_exemption": False}),
          (UNKNOWN, {"notified": None}), as_of=date(2024, 12, 31)),
    *rows("U-05", UkAncillary(relies_on_exemption=True, notified=False), (NA, {}), as_of=date(2025, 1, 1)),
    *rows("U-08", UkWholesale(wholesale_energy=True, reported=False), (NA, {}), (NA, {"wholesale_energy": False}), (UNKNOWN, {"wholesale_energy": None})),
    *rows("U-08", UkWholesale(wholesale_energy=True, reported=True), (PASS, {}), (FAIL, {"reported": False}), scenarios=frozenset({"uk-remit-reporting"})),
    *rows("U-12", CONSENT, (PASS, {}), (FAIL, {"metered_t": D("500.1")}), (PASS, {"metered_t": D("499.9")}), (NA, {"uk_field": False}), (UNKNOWN, {"metered_t": None})),
    *rows("U-13", ETS, (PASS, {}), (FAIL, {"reported_on": date(2026, 4, 1)}), (FAIL, {"verified": False}), (FAIL, {"surrendered_t": D("9.9")}),
          (NA, {"surrendered_t": D("9.9"), "checked_on": date(2026, 4, 30)}), (FAIL, {"surrendered_on": date(2026, 5, 1)}), (PASS, {"surrendered_t": D("10.1")}),
          (FAIL, {"reported_on": None}), (NA, {"in_scheme": False}), (UNKNOWN, {"emitted_t": None}), scenarios=STATED),
    *rows("U-13", ETS, (UNKNOWN, {})),
    *rows("A-10", INSIDER, (PASS, {}), (FAIL, {"reason": None}), (FAIL, {"access_until_us": None}), (PASS, {"access_until_us": None, "still_inside": True}),
          (NA, {"inside_information": False}), (UNKNOWN, {"still_inside": None})),
    *rows("A-12", NEWS, (PASS, {}), (FAIL, {"confidential": False}), (FAIL, {"notified_after": False}), (PASS, {"published": False, "notified_after": None}),
          (NA, {"delayed": False}), (UNKNOWN, {"legitimate": None})),
]  # fmt: skip
