"""What a unit declares to be unavailable, held against what is measured: capacity that is withheld, or told wrongly.

Pure rule over DeclaredOutage. Not for finding the facts: the hub measures what a unit has available at least, and knows since when.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cloud.compliance.facts import checked
from cloud.compliance.rules import Verdict, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace

IN_FORCE = date(2011, 12, 28)
MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredOutage:
    """A published unavailability that is not over. measured_mw: the least that the unit surely has available, by its telemetry.
    above_us: how long that has been above what is declared without a break, in the time of the samples; 0: it is not."""

    declared: bool | None = None
    available_mw: Decimal | None = None
    measured_mw: Decimal | None = None
    above_us: int | None = None
    maintenance_permit: bool | None = None

    def __post_init__(self) -> None:
        checked(self, ("available_mw", "measured_mw", "above_us"))


@rule("A-09", "Declared unavailability is not contradicted by telemetry", DeclaredOutage, ("REMIT art. 5", "REMIT art. 2(2)(b)"), IN_FORCE,
      ("eu.remit.availability.tolerance_mw", "eu.remit.availability.minutes"))  # fmt: skip
def declared_truly(f: DeclaredOutage, p: Law, t: Trace) -> Verdict:
    if not t.known("an unavailability is declared", f.declared):
        return not_applicable("nothing is declared to be unavailable")
    available, measured = t.known("declared available MW", f.available_mw), t.known("measured at least MW", f.measured_mw)
    above = t.step(
        "above", "measured less declared, beyond the tolerance", measured - available > p.number("eu.remit.availability.tolerance_mw")
    )
    if not above:
        return held(True, "what is measured agrees with what is declared", "")
    if t.known("maintenance permit", f.maintenance_permit):
        return not_applicable("a maintenance permit is in force: the unit may be able to run and not allowed to")
    minutes = t.step("minutes above", "time without a break", Decimal(t.known("above_for", f.above_us)) / MINUTE_US)
    lasts = t.step("lasts", "longer than the duration", minutes > p.number("eu.remit.availability.minutes"))
    why = f"{measured:f} MW are measured at least, {available:f} MW are declared, for {minutes:.0f} minutes"
    return held(not lasts, "not for long enough to say so", why)


RULES = (declared_truly,)
