"""The rules in force, as one literal table. A rule that is not here does not run; what is missing, and why, stands in `unbuilt`."""

from typing import Any, Final

from cloud.compliance import availability, cftc, csrd, emir, guyana, mar, methane, mifid, remit, sharia, uk, us_plants
from cloud.compliance.rules import Rule

RULES: Final[tuple[Rule[Any], ...]] = (
    *emir.RULES, *mifid.RULES, *mar.RULES, *remit.RULES, *availability.RULES, *methane.RULES, *csrd.RULES, *cftc.RULES, *us_plants.RULES, *uk.RULES,
    *guyana.RULES, *sharia.RULES,
)  # fmt: skip
BY_ID: Final[dict[str, Rule[Any]]] = {one.id: one for one in RULES}
