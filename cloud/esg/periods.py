"""Periods over day rows: totals, restatements, the score, as evidence rows that name the days they rest on. What joins store and rules.

A period asked for twice while nothing changed gives the same row. Not for HTTP (`api`) or for making days (`days`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from cloud.db import Database
from cloud.errors import Problem
from cloud.esg import EsgError, measures, stages, store
from cloud.esg.again import asked_of
from cloud.esg.days import Days, Known
from cloud.esg.inventory import Emission
from cloud.esg.stages import INVENTORY, SEED, DayRow
from cloud.esg.standing import SCORE, failed_rules, standing
from cloud.evidence import store as evidence_store
from cloud.evidence.code import code
from protocols.batch import evidence
from protocols.batch.evidence import Inputs, Row
from protocols.clock import Clock

MOST_DAYS = 366
MOST_MEASURES = 5000


@dataclass(frozen=True, slots=True)
class Wanted:
    """known_at_us: None is now, and brings the days up to date."""

    first: date
    last: date
    site: str | None
    gwp: str
    scenario: str
    known_at_us: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A row that is kept, with its id."""

    digest: bytes
    row: Row


class Periods:
    """For the routes; one per process."""

    def __init__(self, db: Database, clock: Clock, days: Days, wake_log: Callable[[int], None]) -> None:
        self._db, self._clock, self._days, self._wake_log = db, clock, days, wake_log

    async def known(self, tenant_id: int) -> Known:
        found = await self._days.known(tenant_id)
        if found is None:
            raise Problem("not-found", "there is no inventory of sources yet; hand one in with PUT /v1/esg/inventory")
        return found

    async def rows(self, tenant_id: int, wanted: Wanted) -> tuple[list[DayRow], tuple[str, ...]]:
        """Day rows of the period as known at the time, and the days on which something ran and nothing was accounted for."""
        known = await self.known(tenant_id)
        sites = known.register.sites if wanted.site is None else (wanted.site,)
        if wanted.site is not None and wanted.site not in known.register.sites:
            raise Problem("not-found", f'the inventory has no site "{wanted.site}"; it has {", ".join(known.register.sites)}')
        if wanted.known_at_us is None:
            return await self._days.rows(tenant_id, sites, wanted.first, wanted.last), ()
        last = min(wanted.last, stages.today(self._clock.now_us()))
        subjects = [stages.day_subject(site, day) for site, day in self._days.running(known.register, sites, wanted.first, last)]
        async with self._db.tenant(tenant_id) as connection:
            found = await store.day_rows(connection, tenant_id, subjects, wanted.known_at_us)
        return found, tuple(sorted(set(subjects) - {row.subject for row in found}))

    async def totals(self, tenant_id: int, wanted: Wanted) -> Stored:
        found, missing = await self.rows(tenant_id, wanted)
        return await self._totals(tenant_id, wanted, found, missing, (await self.known(tenant_id)).register.reconciled)

    async def _totals(
        self, tenant_id: int, wanted: Wanted, found: Sequence[DayRow], missing: tuple[str, ...], reconciled: frozenset[str]
    ) -> Stored:
        if not found:
            raise Problem("not-found", f"nothing is accounted for between {wanted.first} and {wanted.last}")
        row = await asyncio.get_running_loop().run_in_executor(self._days.threads, inventory_row, found, wanted, missing, reconciled)
        async with self._db.tenant(tenant_id) as connection:
            digest = await evidence_store.append(connection, tenant_id, row, {}, self._clock.now_us())
        self._wake_log(tenant_id)
        return Stored(digest, evidence.decode(evidence.encode(row)))

    async def restated(self, tenant_id: int, wanted: Wanted, before_us: int, after_us: int) -> dict[str, Any]:
        """The same period as known at two times, and every record that says something else."""
        totals, records = [], []
        for known_at_us in (before_us, after_us):
            found, missing = await self.rows(tenant_id, Wanted(**{**asdict(wanted), "known_at_us": known_at_us}))
            reconciled = (await self.known(tenant_id)).register.reconciled
            totals.append(await self._totals(tenant_id, wanted, found, missing, reconciled) if found else None)
            records.append({(*one.key, one.start): one for row in found for one in row.emissions(wanted.scenario)})
        before, after = records
        changed = [
            {
                "source": key[0],
                "category": key[1].value[0],
                "day": key[2].isoformat(),
                "before": _told(before.get(key)),
                "after": _told(now),
            }
            for key in sorted(before.keys() | after.keys(), key=lambda key: (key[2], key[0], key[1].value[0]))
            if _told(before.get(key)) != _told(now := after.get(key))
        ]
        shown = [None if one is None else {"id": one.digest.hex(), **one.row.output} for one in totals]
        return {"before_us": before_us, "after_us": after_us, "before": shown[0], "after": shown[1], "restated": changed}

    async def score(self, tenant_id: int, wanted: Wanted) -> Stored:
        total, known = await self.totals(tenant_id, wanted), await self.known(tenant_id)
        known_at_us = self._clock.now_us() if wanted.known_at_us is None else wanted.known_at_us
        measured = await self.measures(tenant_id, wanted, known_at_us)
        async with self._db.tenant(tenant_id) as connection:
            findings = await store.newest_findings(connection, tenant_id, known_at_us)
        failed = {area: failed_rules(evidence.decode(document).output) for area, _, document in findings}
        rows = {"inventory": total.digest, **{f"finding {area}": digest for area, digest, _ in findings if failed[area]}}
        broken = sorted({rule for rules in failed.values() for rule in rules})
        written = measures.write([one for one, _, _ in measured])
        contents = {"inventory": known.text, "measures": written}
        output = standing(known.register, [one for one, _, _ in measured], total.row.output, broken)
        as_of_us = max([total.row.as_of_us, *(at_us for _, at_us, _ in measured)])
        inputs = Inputs(rows, {name: evidence.digest(content) for name, content in contents.items()})
        subject = f"{wanted.first}..{wanted.last}{'' if wanted.site is None else ' ' + wanted.site}"
        row = Row(SCORE, subject, as_of_us, inputs, {"gwp": wanted.gwp}, SEED, code("esg"), output)
        async with self._db.tenant(tenant_id) as connection:
            given = {evidence.digest(content): content for content in contents.values()}
            digest = await evidence_store.append(connection, tenant_id, row, given, self._clock.now_us())
        self._wake_log(tenant_id)
        return Stored(digest, evidence.decode(evidence.encode(row)))

    async def measures(self, tenant_id: int, wanted: Wanted, known_at_us: int) -> list[tuple[Any, int, str]]:
        """(measure, known_at_us, by) of the period's site or of all."""
        async with self._db.tenant(tenant_id) as connection:
            found = await store.measures(connection, tenant_id, wanted.first, wanted.last, known_at_us, MOST_MEASURES + 1)
        if len(found) > MOST_MEASURES:
            raise Problem("too-large", f"more than {MOST_MEASURES} measures are registered; ask for a shorter period")
        every = [(measures.read(b"[" + one.document.encode() + b"]")[0], one.known_at_us, one.by) for one in found]
        return [one for one in every if wanted.site is None or one[0].site == wanted.site]


def inventory_row(found: Sequence[DayRow], wanted: Wanted, missing: tuple[str, ...], reconciled: frozenset[str]) -> Row:
    """Pure: the row of a period, as of the newest day it rests on. Raises Problem for a scenario that nobody knows."""
    told = {
        "from": wanted.first.isoformat(),
        "to": wanted.last.isoformat(),
        "gwp": wanted.gwp,
        "scenario": wanted.scenario,
        "missing": list(missing),
        "reconciled": sorted(reconciled),
    }
    ordered = sorted(found, key=lambda row: row.subject)
    try:
        output = stages.inventory(ordered, asked_of(told), reconciled)
    except EsgError as error:
        raise Problem("invalid-request", str(error)) from error
    subject = f"{wanted.first}..{wanted.last} {wanted.gwp}{'' if wanted.site is None else ' ' + wanted.site}"
    rows = {row.subject: row.digest for row in ordered}
    return Row(INVENTORY, subject, max(row.as_of_us for row in ordered), Inputs(rows), told, SEED, code("esg"), output)


def _told(record: Emission | None) -> dict[str, Any] | None:
    """What a restatement compares: the figure and how it was found, not when or from which row."""
    if record is None:
        return None
    return {
        "gases_kg": dict(record.estimate.masses.items()),
        "activity": {"value": record.estimate.activity.value, "unit": record.estimate.activity.unit.symbol},
        "method": record.estimate.method,
        "quality": record.quality,
        "filled_hours": record.filled_hours,
        "missing_hours": record.missing_hours,
        "notes": list(record.estimate.notes),
    }
