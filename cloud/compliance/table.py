"""The rules in force, as one literal table. A rule that is not here does not run; what is missing, and why, stands in `unbuilt`."""

from typing import Any, Final

from cloud.compliance import cftc, csrd, emir, guyana, mifid, remit, sharia
from cloud.compliance.rules import Rule

RULES: Final[tuple[Rule[Any], ...]] = (*emir.RULES, *mifid.RULES, *remit.RULES, *csrd.RULES, *cftc.RULES, *guyana.RULES, *sharia.RULES)
BY_ID: Final[dict[str, Rule[Any]]] = {one.id: one for one in RULES}
