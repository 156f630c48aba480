"""Rules run by themselves: the plain run of every tenant that this process leads, when what it depends on has changed or a day began.

    deals, facts, profile, answers to filings, the day -> moved? -> the run, at most every so often -> rows -> counts for whoever looks

What a run depends on is counted in the database, so that it does not matter who changed it, nor in which process. A run that finds the same
writes nothing. Every process tells its readers the newest counts per area, whoever made the rows. Not for the run itself (`runner`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from cloud.compliance import finding_store, knowledge, runner
from cloud.compliance.asking import Rules
from cloud.compliance.finding_store import OUTAGE, PART, FindingRow
from cloud.compliance.kinds import AREAS, OUTAGES
from cloud.compliance.rules import Outcome
from cloud.compliance.runner import PARTS, Asked
from cloud.compliance.runs import KIND
from cloud.db import Connection, Unavailable
from cloud.identity.actor import HUB, Actor
from protocols import tasks
from protocols.batch import evidence

TICK_S: Final = 2.0
RETRY_S: Final = 10.0
SLACK: Final = 500  # rows are looked at again rather than missed: the order of their numbers is not that of their commits
_logger = logging.getLogger("qenergyz.hub.judging")
Publish = Callable[[int, str, str, bytes], None]


@dataclass(frozen=True, slots=True)
class _Counted:
    """The newest row of one subject. parts: how many rows its area has."""

    row: FindingRow
    counts: Mapping[str, int]
    parts: int


@dataclass(slots=True)
class _Tenant:
    """mark: what the newest run depended on. due_s, retry_s: not before, by the loop's time."""

    due_s: float
    retry_s: float = 0.0
    mark: tuple[Any, ...] = ()
    seen: int = 0
    newest: dict[str, _Counted] = field(default_factory=dict)
    told: dict[str, bytes] = field(default_factory=dict)


class Judging:
    """`async with Judging(...)`. leads: whether this process runs the rules of a tenant; answered: moves with the answers to filings;
    every_s: between the beginnings of two runs of a tenant, and before the first."""

    def __init__(
        self,
        rules: Rules,
        tenants: Callable[[], Awaitable[Sequence[int]]],
        leads: Callable[[int], bool],
        answered: Callable[[Connection, int], Awaitable[int]],
        publish: Publish,
        every_s: float,
    ) -> None:
        self._rules, self._all, self._leads, self._answered = rules, tenants, leads, answered
        self._publish, self._every_s = publish, every_s
        self._threads = ThreadPoolExecutor(1, "judging")  # one, and its own: a long run delays no request
        self._tenants: dict[int, _Tenant] = {}
        self._problems: dict[int, str] = {}

    async def __aenter__(self) -> "Judging":
        self._task = asyncio.create_task(self._run(), name="judging")
        return self

    async def __aexit__(self, *_: object) -> None:
        await tasks.end(self._task)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def problem(self) -> str:
        return "; ".join(f"tenant {tenant_id}: {reason}" for tenant_id, reason in sorted(self._problems.items()))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(TICK_S, self._every_s))
            try:
                tenants = await self._all()
            except Unavailable as error:
                _logger.debug("judging_unavailable reason=%s", error)
                continue
            for tenant_id in tenants:
                await self._attend(tenant_id)

    async def _attend(self, tenant_id: int) -> None:
        now_s = asyncio.get_running_loop().time()
        tenant = self._tenants.setdefault(tenant_id, _Tenant(now_s + self._every_s))
        if now_s < tenant.retry_s:
            return
        try:
            if self._leads(tenant_id) and now_s >= tenant.due_s:
                await self._judge(tenant_id, tenant)
            await self._show(tenant_id, tenant)
        except Unavailable as error:
            _logger.debug("judging_unavailable reason=%s", error)
        except Exception as error:  # the supervising loop of a task
            reason = f"{type(error).__name__}: {error}"
            if self._problems.get(tenant_id) != reason:
                _logger.exception("judging_down tenant=%s", tenant_id)
            self._problems[tenant_id] = reason
            tenant.retry_s = now_s + min(RETRY_S, self._every_s)
        else:
            if self._problems.pop(tenant_id, None):
                _logger.warning("judging_up tenant=%s", tenant_id)

    async def _judge(self, tenant_id: int, tenant: _Tenant) -> None:
        rules, loop = self._rules, asyncio.get_running_loop()
        began_s, asked = loop.time(), Asked(rules.clock.now_us())
        async with rules.db.tenant(tenant_id) as connection:
            revision = await finding_store.revision(connection, tenant_id)
            mark = (rules.today(), *revision, await self._answered(connection, tenant_id))
            if mark == tenant.mark:
                return
            known = await knowledge.read(connection, tenant_id, asked.known_us, None, rules.filed)
        made, _ = await loop.run_in_executor(self._threads, runner.make, known, asked, rules.law)
        async with rules.db.tenant(tenant_id) as connection:
            stored = await runner.store(connection, tenant_id, made, rules.clock.now_us())
            if fresh := {one.area: one.digest.hex() for one in stored if one.fresh}:
                await rules.record(connection, Actor(tenant_id, HUB), "run-rules", "rules", {"rows": fresh, "known_us": asked.known_us})
        rules.changed(tenant_id)
        tenant.mark, tenant.due_s = mark, began_s + self._every_s

    async def _show(self, tenant_id: int, tenant: _Tenant) -> None:
        """Newest counts of the areas that have moved, as live results."""
        async with self._rules.db.tenant(tenant_id) as connection:
            newest = await finding_store.newest_id(connection, tenant_id)
            if newest <= tenant.seen:
                return
            found = await finding_store.plain(connection, tenant_id, AREAS, max(0, tenant.seen - SLACK))
        for one in await asyncio.get_running_loop().run_in_executor(self._threads, list, map(_counted, found)):
            before = tenant.newest.get(one.row.subject)
            if before is None or (before.row.as_of_us, before.row.id) < (one.row.as_of_us, one.row.id):
                tenant.newest[one.row.subject] = one
        for area in (*AREAS, OUTAGES):
            if shown := _shown(area, tenant.newest):
                if shown != tenant.told.get(area):
                    self._publish(tenant_id, KIND, area, shown)
                tenant.told[area] = shown
        tenant.seen = newest


def _counted(row: FindingRow) -> _Counted:
    told = evidence.decode(row.document)
    return _Counted(row, told.output["counts"], int(told.parameters.get(PARTS, 1)))


def _shown(area: str, newest: Mapping[str, _Counted]) -> bytes:
    """A live result like any other, but with counts alone; empty where the area has no row."""
    rows = _rows_of(area, newest)
    if not rows:
        return b""
    last = max(rows, key=lambda one: (one.row.as_of_us, one.row.id)).row
    counts = {outcome.value: sum(one.counts.get(outcome.value, 0) for one in rows) for outcome in Outcome}
    told = {"kind": KIND, "subject": area, "id": last.digest.hex(), "as_of_us": last.as_of_us, "made_us": last.made_us}
    return orjson.dumps(told | {"sensed_us": None, "output": {"counts": counts}})


def _rows_of(area: str, newest: Mapping[str, _Counted]) -> list[_Counted]:
    if area == OUTAGES:
        return [one for subject, one in newest.items() if subject.startswith(OUTAGE)]
    if (first := newest.get(area)) is None:
        return []
    others = (newest.get(f"{area}{PART}{number}") for number in range(2, first.parts + 1))
    return [first, *(one for one in others if one is not None)]
