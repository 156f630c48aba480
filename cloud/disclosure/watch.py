"""The watch over units: after every pass of the reaction it takes the newest health, and drafts what has to be told.

    newest health rows -> capacity of the units, a row where it moved -> detector -> events found, recovered or prolonged -> live results

One task for all tenants, woken by the reaction of the process that leads a tenant and by people's actions. Everything it remembers is in
the database, and a pass is one transaction under the tenant's lock: another process, or this one after a restart, goes on where it was.
Published messages are written as files as well; the database has their bytes, so a file that is missing is written again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import orjson

from cloud.assets import alarm_store
from cloud.compliance.trace import Law, day_of
from cloud.db import Connection, Database, Unavailable
from cloud.disclosure import capacity, declared, detector, publication, sight, stages, store, views
from cloud.disclosure.capacity import Available, PartState
from cloud.disclosure.detector import Turn, Watched
from cloud.disclosure.event import Action, Event
from cloud.disclosure.ledger import LAW, Ledger
from cloud.disclosure.setup import Setup, read_setup
from cloud.disclosure.sight import Due, Told
from cloud.disclosure.store import MOST_MESSAGES, Stored, Watching
from cloud.disclosure.times import moment
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.actor import HUB, Actor
from protocols import tasks
from protocols.batch.evidence import Row, digest
from protocols.clock import Clock

TICK_S: Final = 1.0  # without news, how often steps of other processes are looked for
RETRY_S: Final = 2.0
SLACK_US: Final = 60_000_000  # steps are told again rather than missed: their times come from several clocks
_logger = logging.getLogger("qenergyz.hub.disclosure")
Publish = Callable[[int, str, str, bytes], None]


@dataclass(slots=True)
class _Tenant:
    """What this process has seen of a tenant; only to see whether there is something new."""

    setup: Setup | None = None
    health: dict[str, bytes] = field(default_factory=dict)
    mark: tuple[int, int] = (-1, -1)
    files: int = 0
    told: set[str] = field(default_factory=set)
    due: dict[str, int] = field(default_factory=dict)  # when the time of a confirmed message ends


class Watch:
    """`async with Watch(...)`. publish: a live result of (tenant, kind, subject); folder: where files of messages go."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        ledger: Ledger,
        publish: Publish,
        wake_log: Callable[[int], None],
        tenants: Callable[[], Awaitable[Sequence[int]]],
        folder: Path,
    ) -> None:
        self._db, self._clock, self._ledger, self._publish, self._wake_log = db, clock, ledger, publish, wake_log
        self._all, self._folder = tenants, folder
        self._tenants: dict[int, _Tenant] = {}
        self._waiting: set[int] = set()
        self._awake = asyncio.Event()
        self._problems: dict[int, str] = {}

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._run(), name="outages")
        return self

    async def __aexit__(self, *_: object) -> None:
        await tasks.end(self._task)

    def wake(self, tenant_id: int) -> None:
        """Never blocks."""
        self._waiting.add(tenant_id)
        self._awake.set()

    @property
    def problem(self) -> str:
        return "; ".join(f"tenant {tenant_id}: {reason}" for tenant_id, reason in sorted(self._problems.items()))

    async def _run(self) -> None:
        """Whoever was woken at once, and everybody once in a while."""
        loop = asyncio.get_running_loop()
        round_s = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._awake.wait()
            self._awake.clear()
            waiting, self._waiting = self._waiting, set()
            everybody = loop.time() >= round_s
            for tenant_id in sorted({*waiting, *(await self._known() if everybody else ())}):
                await self._attend(tenant_id, woken=tenant_id in waiting)
            if everybody:
                round_s = loop.time() + TICK_S

    async def _known(self) -> Sequence[int]:
        try:
            return await self._all()
        except Unavailable as error:
            _logger.debug("outages_unavailable reason=%s", error)
            return ()

    async def _attend(self, tenant_id: int, *, woken: bool) -> None:
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        try:
            if woken and await self.look(tenant_id):
                self._wake_log(tenant_id)
            await self._show(tenant_id, tenant)
            await self._overdue(tenant_id, tenant)
        except Unavailable as error:
            _logger.debug("outages_unavailable reason=%s", error)
            self.wake(tenant_id)
            await asyncio.sleep(RETRY_S)
        except Exception as error:  # the supervising loop of a task
            reason = f"{type(error).__name__}: {error}"
            if self._problems.get(tenant_id) != reason:
                _logger.exception("outages_down tenant=%s", tenant_id)
            self._problems[tenant_id] = reason
            self._tenants.pop(tenant_id, None)
            await asyncio.sleep(RETRY_S)
        else:
            if self._problems.pop(tenant_id, None):
                _logger.warning("outages_up tenant=%s", tenant_id)

    async def look(self, tenant_id: int) -> bool:
        """One pass. Whether something was written."""
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        async with self._db.tenant(tenant_id) as connection:
            setup = await read_setup(connection, tenant_id, tenant.setup)
            if setup is None or setup.model is None:
                return False
            await store.lock(connection, tenant_id)
            health = {site: await evidence_store.newest(connection, tenant_id, "health", site) for site in setup.sites}
            rows = {site: found for site, found in health.items() if found is not None}
            now = {site: digest for site, (digest, _) in rows.items()}
            if setup is tenant.setup and now == tenant.health:
                return False
            written = await _Pass(self, connection, tenant_id, setup, rows).run()
        tenant.setup, tenant.health = setup, now
        return written

    def parts(self, tenant_id: int) -> tuple[Clock, Ledger, Callable[[str], None]]:
        """What a pass works with; the last is for what keeps an event from being followed, which is logged once."""

        def tell(reason: str) -> None:
            told = self._tenants.setdefault(tenant_id, _Tenant()).told
            if reason not in told:
                told.add(reason)
                _logger.warning("outage_not_followed tenant=%s reason=%s", tenant_id, reason)

        return self._clock, self._ledger, tell

    async def _show(self, tenant_id: int, tenant: _Tenant) -> None:
        """Live results of what has changed, and files of what was published, whoever did it."""
        async with self._db.tenant(tenant_id) as connection:
            mark = await store.mark(connection, tenant_id)
            if mark == tenant.mark:
                return
            changed = await store.changed(connection, tenant_id, max(0, tenant.mark[1] - SLACK_US) if tenant.mark[1] >= 0 else -1)
            published = await store.messages(connection, tenant_id, tenant.files)
            files = await evidence_store.contents(connection, tenant_id, [one.file for one in published])
            newest = await store.messages(connection, tenant_id, 0, MOST_MESSAGES, newest=True) if published else []
        now_us = self._clock.now_us()
        for one in changed:
            self._tell_live(tenant_id, tenant, one, now_us)
        for message in published:
            await asyncio.to_thread(_keep, self._folder / str(tenant_id), f"{message.message.id}.xml", files[message.file])
            tenant.files = message.id
        if newest:
            feed = publication.feed(moment(newest[-1].published_us), [one.message for one in reversed(newest)])
            await asyncio.to_thread(_keep, self._folder / str(tenant_id), "feed.atom", feed, anew=True)
        tenant.mark = mark

    def _tell_live(self, tenant_id: int, tenant: _Tenant, one: Stored, now_us: int) -> None:
        listed = views.listed(one, now_us)
        told = {"kind": "outage", "subject": one.event.id, "id": one.evidence.hex(), "as_of_us": one.changed_us, "made_us": now_us}
        self._publish(tenant_id, "outage", one.event.id, orjson.dumps(told | {"output": listed}))
        due_us = (listed["clock"] or {}).get("due_us")
        tenant.due.pop(one.event.id, None)
        if due_us is not None and now_us <= due_us:
            tenant.due[one.event.id] = due_us

    async def _overdue(self, tenant_id: int, tenant: _Tenant) -> None:
        """The rules again when the time has run out and nothing else has happened: once, by whoever comes first."""
        now_us = self._clock.now_us()
        for event, due_us in [(event, due_us) for event, due_us in tenant.due.items() if due_us < now_us]:
            async with self._db.tenant(tenant_id) as connection:
                await store.lock(connection, tenant_id)
                found, setup = await store.get(connection, tenant_id, event), await read_setup(connection, tenant_id, tenant.setup)
                judged = await evidence_store.newest(connection, tenant_id, "finding", f"outage/{event}")
                if found is not None and setup is not None and found.event.blocks and (judged is None or judged[1].as_of_us <= due_us):
                    await self._ledger.judge(connection, tenant_id, found.event, setup)
            if found is not None:
                self._tell_live(tenant_id, tenant, found, now_us)
            tenant.due.pop(event, None)
            self._wake_log(tenant_id)


def _keep(folder: Path, name: str, content: bytes, *, anew: bool = False) -> None:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path, unfinished = folder / name, folder / f".{name}.part"
    if anew or not path.exists():
        unfinished.write_bytes(content)
        unfinished.replace(path)


class _Pass:
    """One look at all units of a tenant, in one transaction."""

    def __init__(self, watch: Watch, connection: Connection, tenant_id: int, setup: Setup, health: dict[str, tuple[bytes, Row]]) -> None:
        self._clock, self._ledger, self._tell = watch.parts(tenant_id)
        self._connection, self._tenant_id, self._setup, self._health = connection, tenant_id, setup, health
        self._now_us = self._clock.now_us()
        self._actor = Actor(tenant_id, HUB)
        self._law = Law(LAW, day_of(self._now_us))
        self._numbers: dict[tuple[str, int], int] = {}
        self._open: list[Stored] = []
        self.written = False

    async def run(self) -> bool:
        seen = capacity.seen(self._health)
        watching = await store.watching(self._connection, self._tenant_id)
        self._open = await store.open_events(self._connection, self._tenant_id)
        for one in capacity.of_profile(self._setup.profile, seen, self._setup.failing):
            row = await self._kept(one)
            for part in one.parts:
                before = watching.get((one.unit.name, part.asset), Watching(Watched()))
                await self._part(one, part, before, row)
            await self._compare(one, watching.get((one.unit.name, declared.WHOLE), Watching(Watched())))
        return self.written

    async def _kept(self, found: Available) -> bytes:
        """The unit's capacity as a row: the newest one, unless it moved or the profile did."""
        known = await evidence_store.newest(self._connection, self._tenant_id, capacity.CAPACITY, found.unit.name)
        contents = stages.digests(self._setup.contents)
        if known is not None and dict(known[1].output) == found.output() and dict(known[1].inputs.contents) == contents:
            return known[0]
        sites = {site: one for site, (one, _) in self._health.items()}
        row = stages.capacity_row(found, sites, self._setup.contents, self._now_us)
        given = {digest(one): one for one in self._setup.contents.values()}
        self.written = True
        return await evidence_store.append(self._connection, self._tenant_id, row, given, self._now_us)

    async def _part(self, found: Available, part: PartState, before: Watching, row: bytes) -> None:
        unit = found.unit
        watched, turn = detector.step(before.watched, part.condition, part.at_us, part.row, unit.market_time_unit_us)
        if watched != before.watched:
            await store.watch(self._connection, self._tenant_id, unit.name, part.asset, replace(before, watched=watched))
            self.written = True
        event = sight.of_part((one.event for one in self._open), unit.name, part.asset)
        if event is not None:
            due = sight.follow_up(event, part, watched, self._setup, self._now_us)
        elif turn is Turn.FAILED:
            alarms = [
                (one.transition.name, one.transition.after) for one in await alarm_store.newest_of_each(self._connection, self._tenant_id)
            ]
            number = await self._number(part.asset, watched.since_us)
            due = sight.found(found, part, watched, self._setup, Told(number, self._now_us, self._law, row, alarms))
        else:
            return
        if due is not None:
            await self._take(due, event, unit.name)

    async def _compare(self, found: Available, before: Watching) -> None:
        """Whether what is declared of the unit is contradicted, and for how long; judged where that begins to count, and where it ends."""
        at_us, name = declared.newest_us(found), found.unit.name
        if at_us is None:
            return
        own = [one for one in self._open if one.event.unit == name]
        message = declared.in_force((one.event for one in own), at_us)
        condition = declared.compared(found, message, at_us, self._law)
        watched, turn = detector.step(before.watched, condition, at_us, b"", declared.lasting_us(self._law))
        if watched == before.watched:
            return
        await store.watch(self._connection, self._tenant_id, name, declared.WHOLE, declared.next_watching(watched, at_us))
        self.written = True
        for one in own:
            if turn is not Turn.NONE and one.event.published is not None:
                await self._ledger.judge(self._connection, self._tenant_id, one.event, self._setup)

    async def _number(self, asset: str, since_us: int) -> int:
        """One happening on several units has one number."""
        key = (asset, since_us)
        if key not in self._numbers:
            self._numbers[key] = await store.number_of(self._connection, self._tenant_id, asset, since_us)
        return self._numbers[key]

    async def _take(self, due: Due, event: Event | None, unit: str) -> None:
        before = next((one for one in self._open if event is not None and one.event.id == event.id), None)
        action = Action(due.deed, HUB, HUB, self._now_us, due.detail)
        try:
            made = await self._ledger.take(self._connection, self._actor, action, self._setup, before, due.rows, unit)
        except Problem as problem:  # nothing was written of it; the other units are not kept waiting
            self._tell(f"unit {unit}: {problem.detail}")
            return
        self._open = [*(one for one in self._open if one.event.id != made.event.id), made]
        self.written = True
