"""Cases of all rules, as rows: rule, outcome, facts, and where it matters the date of law and the scenario.

A family of rules has its rows in a module of its own; the gates in test_table.py look at all of them together.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cloud.compliance.rules import Outcome

PASS, FAIL, NA, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.NOT_APPLICABLE, Outcome.INDETERMINATE
TODAY = date(2026, 11, 22)
STATED = frozenset({"as-stated"})


@dataclass(frozen=True)
class RuleCase:
    rule: str
    outcome: Outcome
    facts: Any
    as_of: date = TODAY
    scenarios: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.rule} {self.outcome.value}"


def rows(
    rule: str, base: Any, *each: tuple[Outcome, dict[str, Any]], scenarios: frozenset[str] = frozenset(), as_of: date = TODAY
) -> list[RuleCase]:
    """The base facts with what differs in each row."""
    return [RuleCase(rule, outcome, replace(base, **changes), as_of, scenarios) for outcome, changes in each]
