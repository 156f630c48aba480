"""The kinds of facts that rules judge, by the name of their class, and which of them are derived from deals."""

from collections.abc import Mapping
from typing import Any, Final

from cloud.compliance.facts import Derivative, Swap, VenueTrade, WholesaleDeal
from cloud.compliance.rules import Rule
from cloud.compliance.table import RULES

KINDS: Final[Mapping[str, type]] = {one.about.__name__: one.about for one in sorted(RULES, key=lambda one: one.about.__name__)}
OF_DEALS: Final = (Derivative, WholesaleDeal, Swap, VenueTrade)


def area_of(rule: Rule[Any]) -> str:
    """The body of law a rule belongs to: its module."""
    return rule.judge.__module__.rpartition(".")[2]


AREAS: Final[tuple[str, ...]] = tuple(dict.fromkeys(map(area_of, RULES)))
OUTAGES: Final = "outages"  # the area of findings that follow the steps of outages; they are not of a run
