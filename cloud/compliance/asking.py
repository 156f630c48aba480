"""What the routes of rules are asked by, and how it is read: days of law, moments of knowledge, scenarios, subjects, kinds of facts."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query

from cloud.bookings import NO_NUL
from cloud.compliance.kinds import KINDS
from cloud.compliance.knowledge import Filed, no_filings
from cloud.compliance.parameters import ParameterSet
from cloud.compliance.rules import Rule, Terms
from cloud.compliance.table import BY_ID
from cloud.compliance.trace import day_of
from cloud.compliance.unbuilt import UNBUILT, WATCHED
from cloud.db import Database
from cloud.document import TEXT_LENGTH
from cloud.errors import Problem
from cloud.identity.actor import Record
from protocols.clock import Clock
from protocols.tomlfile import ConfigError

T = TypeVar("T")
_FIRST, _LAST = date(1900, 1, 1), date(2199, 12, 31)
Day = Annotated[date | None, Query(description="day of law, such as 2026-11-22; default the day of known_us", ge=_FIRST, le=_LAST)]
Scenario = Annotated[list[str], Query(description="what is supposed, such as as-stated; may be given several times", max_length=10)]
Subject = Annotated[str, Path(min_length=1, max_length=TEXT_LENGTH, pattern=NO_NUL, description='such as "deal/D-2026-017"')]
Id = Annotated[str, Path(min_length=1, max_length=20, pattern=NO_NUL, description="such as E-01")]
KindName = Annotated[str, Path(min_length=1, max_length=100, pattern=NO_NUL, description="such as Derivative")]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the routes work with. changed: called with the tenant after rows were stored, so that the log takes them up.
    filed: what filings say of deals."""

    db: Database
    clock: Clock
    threads: Executor
    law: ParameterSet
    record: Record
    changed: Callable[[int], None]
    filed: Filed = no_filings

    def today(self) -> date:
        return day_of(self.clock.now_us())

    def supposed(self, scenarios: list[str] | tuple[str, ...]) -> frozenset[str]:
        """Raises Problem for a scenario that no parameter has."""
        found = frozenset(scenarios)
        try:
            Terms(self.law, _FIRST, found).check()
        except ValueError as error:
            raise Problem("invalid-request", str(error)[:500]) from error
        return found


def rule_of(id: str) -> Rule[Any]:
    """Raises Problem, with the reason why it does not run where there is one."""
    if id in BY_ID:
        return BY_ID[id]
    if id in UNBUILT:
        raise Problem("not-found", f"{id} does not run: {UNBUILT[id]}")
    if id in WATCHED:
        raise Problem("not-found", f"{id} is watched for in orders and trades ({WATCHED[id].value}) and is no rule over facts")
    raise Problem("not-found", f"there is no rule {id}; GET /v1/rules lists them")


def kind_of(name: str) -> type:
    """Raises Problem."""
    if name not in KINDS:
        raise Problem("not-found", f"no rule judges facts of the kind {name!a:.60}; there are {', '.join(KINDS)}")
    return KINDS[name]


def check_subject(subject: str) -> None:
    """Raises Problem for a subject that cannot be read or sorted."""
    if not subject.isprintable() or subject != subject.strip():
        raise Problem("invalid-request", "subject: expected printable characters without spaces around")


async def off_loop(rules: Rules, work: Callable[[], T]) -> T:
    """What takes long. Raises Problem for a profile that cannot be read and for what cannot be judged."""
    try:
        return await asyncio.get_running_loop().run_in_executor(rules.threads, work)
    except ConfigError as error:
        raise Problem("conflict", f"the profile cannot be read: {error}") from error
    except ValueError as error:
        raise Problem("invalid-request", str(error)[:500]) from error
