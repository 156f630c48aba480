"""EU methane regulation (2024/1787): repair of leaks, venting and flaring, flare design, reports, imports.

Pure rules over plant_facts. Nearly every figure is unconfirmed and so INDETERMINATE outside the scenario `as-stated`. Not the measurement of
methane: cloud/esg has it.
"""

from datetime import date

from cloud.compliance.deadlines import done_by
from cloud.compliance.parameters import Undetermined
from cloud.compliance.plant_facts import FlareDesign, GasRelease, ImportContract, Leak, MethaneReport
from cloud.compliance.rules import Verdict, failed, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace

IN_FORCE = date(2024, 8, 4)
ACT = "Regulation (EU) 2024/1787"
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def by_then(t: Trace, what: str, due_us: int, done_us: int | None, checked_us: int) -> Verdict:
    """As deadlines.done_by, for instants."""
    t.step("due_us", f"last moment at which it may be {what}", due_us)
    if done_us is not None:
        kept = t.step("in time", f"{what} at or before it", t.known(f"{what}_us", done_us) <= due_us)
        return held(kept, f"{what} in time", f"{what} too late")
    if t.step("overdue", f"not {what} and the time is over", t.known("checked_us", checked_us) > due_us):
        return failed(f"not {what} in time")
    return not_applicable(f"to be {what}, the time is not over")


@rule("ME-01", "Report on the sources of an operated plant is in", MethaneReport, (f"{ACT} art. 12",), IN_FORCE, ("eu.methane.report.day",))
def source_report(f: MethaneReport, p: Law, t: Trace) -> Verdict:
    if not t.known("operated", f.operated):
        return not_applicable("not operated")
    return done_by(t, "submitted", date.fromisoformat(p.text("eu.methane.report.day")), f.submitted_on, f.checked_on)


def above_threshold(f: Leak, p: Law, t: Trace) -> bool:
    survey = t.known("type of survey", f.survey)
    if survey not in (1, 2):
        raise Undetermined(f"surveys are of type 1 or 2, found {survey}")
    if f.ppm is None and f.grams_per_hour is None:
        raise Undetermined("missing fact: a reading in ppm or in g/h")
    ppm = f.ppm is not None and t.known("reading ppm", f.ppm) >= p.number(f"eu.methane.leak.type_{survey}_ppm")
    mass = f.grams_per_hour is not None and t.known("reading g/h", f.grams_per_hour) >= p.number(f"eu.methane.leak.type_{survey}_g_h")
    return t.step("a leak", "a reading equals or exceeds its threshold", ppm or mass)


_THRESHOLDS = tuple(f"eu.methane.leak.type_{survey}_{unit}" for survey in (1, 2) for unit in ("ppm", "g_h"))


@rule("ME-02", "Repair of a leak is done in time", Leak, (f"{ACT} art. 14",), IN_FORCE, ("eu.methane.repair.done_days", *_THRESHOLDS))
def repaired(f: Leak, p: Law, t: Trace) -> Verdict:
    if not t.known("plant in the EU", f.eu_plant) or not above_threshold(f, p, t):
        return not_applicable("nothing to repair")
    due_us = t.known("found_us", f.found_us) + int(p.number("eu.methane.repair.done_days") * DAY_US)
    return by_then(t, "repaired", due_us, f.repaired_us, f.checked_us)


@rule("ME-03", "First attempt to repair a leak above the threshold is made in time", Leak, (f"{ACT} art. 14",), IN_FORCE,
      ("eu.methane.repair.attempt_days", *_THRESHOLDS))  # fmt: skip
def attempted(f: Leak, p: Law, t: Trace) -> Verdict:
    if not t.known("plant in the EU", f.eu_plant) or not above_threshold(f, p, t):
        return not_applicable("below the threshold")
    due_us = t.known("found_us", f.found_us) + int(p.number("eu.methane.repair.attempt_days") * DAY_US)
    return by_then(t, "attempted", due_us, f.attempted_us, f.checked_us)


@rule("ME-04", "No routine venting or flaring", GasRelease, (f"{ACT} art. 15",), IN_FORCE, ("eu.methane.release.reasons",))
def not_routine(f: GasRelease, p: Law, t: Trace) -> Verdict:
    if not t.known("plant in the EU", f.eu_plant) or not t.known("hours", f.hours):
        return not_applicable("nothing vented or flared")
    given = t.known("reason", f.reason)
    return held(given in p.texts("eu.methane.release.reasons"), f"{given} is an exception", f"{given} is no exception")


@rule("ME-05", "Long venting or flaring is notified", GasRelease, (f"{ACT} art. 16",), IN_FORCE,
      ("eu.methane.release.hours", "eu.methane.release.notice_hours"))  # fmt: skip
def notified(f: GasRelease, p: Law, t: Trace) -> Verdict:
    if not t.known("plant in the EU", f.eu_plant):
        return not_applicable("no plant in the EU")
    long = t.known("hours in 24", f.hours) >= p.number("eu.methane.release.hours")
    if not t.step("to be notified", "hours equal or exceed the threshold", long):
        return not_applicable("too short to be notified")
    due_us = t.known("reached_us", f.reached_us) + int(p.number("eu.methane.release.notice_hours") * HOUR_US)
    return by_then(t, "notified", due_us, f.notified_us, f.checked_us)


@rule("ME-06", "Flare destroys enough, its ignition is watched, it is inspected", FlareDesign, (f"{ACT} art. 17",), IN_FORCE,
      ("eu.methane.flare.destruction_pct", "eu.methane.flare.inspection_days"))  # fmt: skip
def flare_design(f: FlareDesign, p: Law, t: Trace) -> Verdict:
    if not t.known("plant in the EU", f.eu_plant):
        return not_applicable("no plant in the EU")
    met = (
        t.known("design destruction percent", f.destruction_pct) >= p.number("eu.methane.flare.destruction_pct"),
        t.known("ignition monitored continuously", f.ignition_monitored),
        t.known("days since inspection", f.days_since_inspection) <= p.number("eu.methane.flare.inspection_days"),
    )
    return held(t.step("kept", "all three conditions", all(met)), "all three conditions are met", "a condition is not met")


@rule("ME-08", "Import contract carries equivalent monitoring", ImportContract, (f"{ACT} art. 28",), IN_FORCE,
      ("eu.methane.import.contract_from", "eu.methane.import.equivalent_from"))  # fmt: skip
def equivalent(f: ImportContract, p: Law, t: Trace) -> Verdict:
    if not t.known("imported", f.imported):
        return not_applicable("no import")
    new = t.known("concluded on", f.concluded_on) >= date.fromisoformat(p.text("eu.methane.import.contract_from"))
    due = t.known("delivered on", f.delivered_on) >= date.fromisoformat(p.text("eu.methane.import.equivalent_from"))
    if not t.step("asked of it", "concluded and delivered on or after the days", new and due):
        return not_applicable("concluded or delivered before it is asked")
    return held(t.known("equivalent monitoring", f.monitoring_equivalent), "monitoring is equivalent", "no equivalent monitoring")


RULES = (source_report, repaired, attempted, not_routine, notified, flare_design, equivalent)
