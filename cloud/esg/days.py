"""Day rows of emissions as a tenant asks for them, and the open day's while samples come. One row per site and UTC day and state of knowledge.

A row names the batches that came since the row before it, and that row: a day of many batches is written once, and computed again from the
whole chain. Where the inventory reads other tags than before, the chain begins anew. Nothing is overwritten: a late batch or a new inventory
makes a new row, and a look that finds nothing new makes none. Not for gases (`stages`) or totals.
"""

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from cloud import texts
from cloud.db import Connection, Database, Unavailable
from cloud.errors import Problem
from cloud.esg import stages, store
from cloud.esg.accounts import start_of
from cloud.esg.register import Register
from cloud.esg.register_file import parse_register
from cloud.esg.spans import DAY_US
from cloud.esg.stages import EMISSIONS, DayRow
from cloud.evidence import store as evidence_store
from cloud.evidence.arrived import Arrived, log_size
from cloud.evidence.code import code
from cloud.telemetry import store as telemetry_store
from cloud.texts import StoredText, Text
from protocols import tasks
from protocols.batch import bundle, evidence, statement
from protocols.batch.bundle import Samples
from protocols.batch.evidence import Inputs, Row
from protocols.clock import Clock
from protocols.devicemap import TagTable

AT_ONCE: Final = 4000  # batches of one row; more make more rows
OPEN_US: Final = 60_000_000  # the open day's row is no older than this when it is asked for
FOLLOW_US: Final = 300_000_000  # nor than this while samples come, asked for or not: a month stays within one bundle's 10,000 rows
HELD_SAMPLES: Final = 8_000_000  # of the days kept in memory, 160 MB; what is not kept is read again from its batches
KNOWN_TABLES: Final = 1000
MOST_MADE: Final = 31  # day rows that one request makes
TICK_S: Final = 1.0
RETRY_US: Final = 10_000_000
Tables = Mapping[bytes, TagTable]
_logger = logging.getLogger("qenergyz.hub.esg")


@dataclass(frozen=True, slots=True)
class Known:
    """The newest inventory with the text that rows name."""

    stored: StoredText
    register: Register

    @property
    def text(self) -> bytes:
        return self.stored.text.encode()


@dataclass(slots=True)
class _Held:
    """A day in memory: its newest row, what it has seen of the log, and the samples of its chain."""

    row: DayRow | None = None
    seen: int = 0
    tags: tuple[str, ...] = ()
    inventory: bytes = b""
    refused: Mapping[str, str] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(one.times_us.size for one in self.samples.values())


@dataclass(slots=True)
class _Seen:
    """How far the log has been looked through, and the newest batch of each gateway and day (counted from 1970)."""

    size: int = 0
    days: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, touched: Sequence[tuple[str, int, int, int]], size: int) -> None:
        for gateway, first, last, position in touched:
            for day in range(first, min(last, first + 2) + 1):  # no batch is longer than a day
                self.days[gateway, day] = max(position, self.days.get((gateway, day), -1))
        self.size = size

    def newest(self, gateway: str, day: date) -> int:
        return self.days.get((gateway, start_of(day) // DAY_US), -1)


@dataclass(slots=True)
class _Look:
    """What one look at a day found."""

    known: Known
    site: str
    day: date
    now_us: int
    size: int
    held: _Held
    batches: list[tuple[int, Arrived]]
    tables: Tables
    more: bool


class Days:
    """`async with Days(...)`; `follow` is told of tenants whose samples came."""

    def __init__(self, db: Database, clock: Clock, wake_log: Callable[[int], None]) -> None:
        self._db, self._clock, self._wake_log = db, clock, wake_log
        self.threads = ThreadPoolExecutor(1, "emissions")  # one, and its own: a month in hand delays no receipt
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._held: OrderedDict[tuple[int, str], _Held] = OrderedDict()
        self._tables: dict[bytes, TagTable] = {}
        self._registers: dict[bytes, Register] = {}
        self._seen: dict[tuple[int, int], _Seen] = {}
        self._told: set[int] = set()  # tenants whose samples came
        self._due_us: dict[int, int] = {}  # tenant -> not before

    async def __aenter__(self) -> "Days":
        self._task = asyncio.create_task(self._run(), name="emissions")
        return self

    async def __aexit__(self, *_: object) -> None:
        await tasks.end(self._task)
        self.threads.shutdown(wait=False, cancel_futures=True)

    def follow(self, tenant_id: int) -> None:
        """Never blocks. The open day is accounted for soon, and again every few minutes while this is called."""
        self._told.add(tenant_id)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_us = self._clock.now_us()
            for tenant_id in [each for each in self._told if self._due_us.get(each, 0) <= now_us]:
                self._told.discard(tenant_id)
                self._due_us[tenant_id] = now_us + FOLLOW_US
                try:
                    await self._follow(tenant_id)
                except Unavailable as error:
                    _logger.debug("emissions_unavailable reason=%s", error)
                    self._due_us[tenant_id] = now_us + RETRY_US
                except Exception:  # the supervising loop of a task; the next samples try again
                    _logger.exception("emissions_failed tenant=%s", tenant_id)

    async def _follow(self, tenant_id: int) -> None:
        known = await self.known(tenant_id)
        if known is None:
            self._due_us.pop(tenant_id, None)
            return
        today = stages.today(self._clock.now_us())
        for site in known.register.sites:
            yesterday = date.fromordinal(today.toordinal() - 1)
            for day in (yesterday, today):
                if known.register.tags_of(site) and (day == today or await self._stands_open(tenant_id, site, day)):
                    await self.bring(tenant_id, site, day)

    async def _stands_open(self, tenant_id: int, site: str, day: date) -> bool:
        async with self._db.tenant(tenant_id) as connection:
            found = await store.day_rows(connection, tenant_id, [stages.day_subject(site, day)])
        return bool(found and found[0].output["open"])

    async def known(self, tenant_id: int) -> Known | None:
        async with self._db.tenant(tenant_id) as connection:
            return await self._known(connection, tenant_id)

    async def _known(self, connection: Connection, tenant_id: int) -> Known | None:
        stored = await texts.newest(connection, tenant_id, Text.INVENTORY)
        if stored is None:
            return None
        if stored.digest not in self._registers:
            if len(self._registers) > 50:
                self._registers.clear()
            loop = asyncio.get_running_loop()
            self._registers[stored.digest] = await loop.run_in_executor(self.threads, parse_register, stored.text)
        return Known(stored, self._registers[stored.digest])

    @staticmethod
    def running(register: Register, sites: Sequence[str], first: date, last: date) -> list[tuple[str, date]]:
        """The sites and days on which a source runs."""
        found: list[tuple[str, date]] = []
        for site in sites:
            sources = register.of(site)
            begun = max([first, min(source.start for source in sources)])
            found += [(site, day) for day in stages.days_between(begun, last) if any(source.runs_on(day) for source in sources)]
        return found

    async def rows(self, tenant_id: int, sites: Sequence[str], first: date, last: date) -> list[DayRow]:
        """Rows of the days up to today on which something runs, made where they are missing or no longer true. Raises Problem when more
        would have to be made than one request makes; those that were made are kept."""
        known = await self.known(tenant_id)
        if known is None:
            raise Problem("not-found", "there is no inventory of sources yet; hand one in with PUT /v1/esg/inventory")
        running = self.running(known.register, sites, first, min(last, stages.today(self._clock.now_us())))
        good = await self._unchanged(tenant_id, known, running)
        found: list[DayRow] = []
        made = 0
        for site, day in running:
            if (row := good.get(stages.day_subject(site, day))) is not None:
                found.append(row)
                continue
            if made >= MOST_MADE:
                reason = f"{made} days have been accounted for, more are to come after {found[-1].subject}: ask again"
                raise Problem("unavailable", reason, retry_after_s=1)
            row, new = await self.bring(tenant_id, site, day)
            made += new
            found.append(row)
        return found

    async def _unchanged(self, tenant_id: int, known: Known, running: Sequence[tuple[str, date]]) -> dict[str, DayRow]:
        """Rows of days that are over, of this inventory, since which nothing of the day came: a year needs no look at each of its days."""
        register = known.register
        margin_us = max((register.margin_us(site) for site in register.sites), default=0)
        async with self._locks[tenant_id]:
            seen = self._seen.setdefault((tenant_id, margin_us), _Seen())
            async with self._db.tenant(tenant_id) as connection:
                size = await log_size(connection, tenant_id)
                if size > seen.size:
                    seen.add(await store.touched(connection, tenant_id, (seen.size, size), margin_us), size)
                rows = await store.day_rows(connection, tenant_id, [stages.day_subject(site, day) for site, day in running])
        by_subject = {row.subject: row for row in rows if not row.output["open"] and row.inventory == known.stored.digest}
        good = {}
        for site, day in running:
            row = by_subject.get(stages.day_subject(site, day))
            gateways = {tag.partition("/")[0] for tag in register.tags_of(site)}
            if row is not None and all(seen.newest(gateway, day) < row.log_size for gateway in gateways):
                good[row.subject] = row
        return good

    async def bring(self, tenant_id: int, site: str, day: date) -> tuple[DayRow, bool]:
        """The day's newest row, and whether it had to be made."""
        async with self._locks[tenant_id]:
            new = False
            while True:
                look = await self._look(tenant_id, site, day)
                if not look.batches and self._holds(look) and look.held.row is not None:
                    return look.held.row, new
                row, contents, after = await asyncio.get_running_loop().run_in_executor(self.threads, self._compute, look)
                async with self._db.tenant(tenant_id) as connection:
                    digest = await evidence_store.append(connection, tenant_id, row, contents, self._clock.now_us())
                self._wake_log(tenant_id)
                stored = evidence.decode(evidence.encode(row))
                after.row = store.day_row(row.subject, digest, stored)
                self._keep(tenant_id, row.subject, after)
                new = True
                if not look.more:
                    return after.row, new

    @staticmethod
    def _holds(look: _Look) -> bool:
        """Whether the newest row still says what is known, when no batch came."""
        row = look.held.row
        if row is None or look.held.inventory != look.known.stored.digest:
            return False
        return row.as_of_us >= min(look.now_us - OPEN_US, start_of(look.day) + DAY_US)

    def _keep(self, tenant_id: int, subject: str, held: _Held) -> None:
        self._held[tenant_id, subject] = held
        self._held.move_to_end((tenant_id, subject))
        while len(self._held) > 1 and sum(one.size for one in self._held.values()) > HELD_SAMPLES:
            self._held.popitem(last=False)

    async def _look(self, tenant_id: int, site: str, day: date) -> _Look:
        subject = stages.day_subject(site, day)
        async with self._db.tenant(tenant_id) as connection:
            known = await self._known(connection, tenant_id)
            if known is None:
                raise Problem("not-found", "there is no inventory of sources yet; hand one in with PUT /v1/esg/inventory")
            size = await log_size(connection, tenant_id)
            newest = await evidence_store.newest(connection, tenant_id, EMISSIONS, subject)
            held = self._held.get((tenant_id, subject), _Held())
            if newest is not None and (held.row is None or held.row.digest != newest[0]):
                held = await self._load(connection, tenant_id, *newest)
            tags = known.register.tags_of(site)
            if held.tags != tags:
                held = _Held(row=held.row, tags=tags)
            gateways = sorted({tag.partition("/")[0] for tag in tags})
            window = _window(known.register, site, start_of(day), start_of(day) + DAY_US)
            now_us = self._clock.now_us()
            batches = (
                await store.arrived(connection, tenant_id, gateways, window, (held.seen, size), AT_ONCE)
                if gateways and held.seen < size and not _new_enough(held, known, now_us)
                else []
            )
            tables = await self._tables_of(connection, tenant_id, [one for _, one in batches])
        return _Look(known, site, day, now_us, size, held, batches, tables, len(batches) == AT_ONCE)

    async def _tables_of(self, connection: Connection, tenant_id: int, batches: Sequence[Arrived]) -> Tables:
        found = {}
        if len(self._tables) > KNOWN_TABLES:
            self._tables.clear()
        for gateway_id, digest in {(one.gateway_id, one.table_digest) for one in batches}:
            if digest not in self._tables:
                text = await telemetry_store.tag_table_text(connection, tenant_id, gateway_id, digest)
                if text is None:
                    raise LookupError(f"tag table {digest.hex()} of a stored batch is missing")
                self._tables[digest] = TagTable.parse(text)
            found[digest] = self._tables[digest]
        return found

    async def _load(self, connection: Connection, tenant_id: int, digest: bytes, row: Row) -> _Held:
        """A day as its chain of rows has it, read from the batches they name."""
        documents = await evidence_store.closure(connection, tenant_id, digest, 10_000)
        refs = [ref for document in documents for ref in evidence.decode(document).inputs.batches]
        tags, window = row.inputs.tags or (), row.inputs.window
        found = await evidence_store.batches(connection, tenant_id, refs)
        opened = [Arrived(ref, one.gateway_id, one.table_digest, one.statement) for ref, one in zip(refs, found, strict=True)]
        tables = await self._tables_of(connection, tenant_id, opened)
        samples = await asyncio.get_running_loop().run_in_executor(self.threads, _columns, opened, tables, tags, window)
        held = store.day_row(row.subject, digest, row)
        told = row.parameters
        return _Held(held, int(told["log_size"]), tuple(tags), row.inputs.contents["inventory"], dict(told["refused"]), samples)

    def _compute(self, look: _Look) -> tuple[Row, dict[bytes, bytes], _Held]:
        """The next row of a day, in a thread."""
        start = start_of(look.day)
        window = _window(look.known.register, look.site, start, start + DAY_US)
        batches = [one for _, one in look.batches]
        refused = {**look.held.refused, **_refused(look.known.register, look.site, batches, look.tables)}
        samples = stages.joined([look.held.samples, _columns(batches, look.tables, look.held.tags, window)])
        chained = bool(look.held.seen) and look.held.row is not None
        rows = {"previous": look.held.row.digest} if chained and look.held.row is not None else {}
        seen = look.batches[-1][0] + 1 if look.more else look.size
        output = stages.emissions(look.known.register, look.site, look.day, samples, look.now_us, refused)
        text = look.known.text
        inputs = Inputs(rows, {"inventory": look.known.stored.digest}, tuple(one.ref for one in batches), window, look.held.tags)
        parameters = {"log_size": seen, "refused": refused}
        row = Row(EMISSIONS, stages.day_subject(look.site, look.day), look.now_us, inputs, parameters, 0, code("esg"), output)
        after = _Held(None, seen, look.held.tags, look.known.stored.digest, refused, samples)
        return row, {look.known.stored.digest: text}, after

    async def interval(self, tenant_id: int, site: str, from_us: int, to_us: int) -> tuple[bytes, Row]:
        """Gases of exactly that stretch, as a row; the same stretch of the same batches gives the same row."""
        async with self._db.tenant(tenant_id) as connection:
            known = await self._known(connection, tenant_id)
            if known is None:
                raise Problem("not-found", "there is no inventory of sources yet; hand one in with PUT /v1/esg/inventory")
            tags = known.register.tags_of(site)
            gateways = sorted({tag.partition("/")[0] for tag in tags})
            size = await log_size(connection, tenant_id)
            window = _window(known.register, site, from_us, to_us)
            found = await store.arrived(connection, tenant_id, gateways, window, (0, size), AT_ONCE + 1)
            if len(found) > AT_ONCE:
                raise Problem("too-large", f"the interval has more than {AT_ONCE} batches; ask for a shorter one")
            batches = [one for _, one in found]
            tables = await self._tables_of(connection, tenant_id, batches)
        asked = (from_us, to_us)
        row = await asyncio.get_running_loop().run_in_executor(self.threads, _interval, known, site, asked, batches, tables)
        async with self._db.tenant(tenant_id) as connection:
            digest = await evidence_store.append(connection, tenant_id, row, {known.stored.digest: known.text}, self._clock.now_us())
        self._wake_log(tenant_id)
        return digest, evidence.decode(evidence.encode(row))


def _columns(batches: Sequence[Arrived], tables: Tables, tags: Sequence[str], window: tuple[int, int] | None) -> dict[str, Samples]:
    opened = ((evidence.gateway_name(one.ref.gateway), statement.parse(one.statement).open()) for one in batches)
    return bundle.columns(opened, tables, frozenset(tags), window)


def _refused(register: Register, site: str, batches: Sequence[Arrived], tables: Tables) -> dict[str, str]:
    """Tags that a gateway sends in another unit than the inventory reads them in."""
    found = {}
    wanted = {meter.tag: meter for meter in register.meters_of(site)}
    for gateway, digest in {(evidence.gateway_name(one.ref.gateway), one.table_digest) for one in batches}:
        for entry in tables[digest].entries:
            meter = wanted.get(f"{gateway}/{entry.name}")
            if meter is not None and entry.unit != meter.reading.symbol:
                found[meter.tag] = f"expected {meter.reading.symbol}, the gateway sends {entry.unit or 'no unit'}"
    return dict(sorted(found.items()))


def _interval(known: Known, site: str, asked: tuple[int, int], batches: Sequence[Arrived], tables: Tables) -> Row:
    register, tags = known.register, known.register.tags_of(site)
    refused, window = _refused(register, site, batches, tables), _window(register, site, *asked)
    output = stages.interval(register, site, *asked, _columns(batches, tables, tags, window), refused)
    inputs = Inputs({}, {"inventory": known.stored.digest}, tuple(one.ref for one in batches), window, tags)
    parameters = {"from_us": asked[0], "to_us": asked[1], "refused": refused}
    return Row(EMISSIONS, f"{site}/{asked[0]}-{asked[1]}", asked[1], inputs, parameters, 0, code("esg"), output)


def _new_enough(held: _Held, known: Known, now_us: int) -> bool:
    """Whether an open day need not be looked at again yet, whatever came."""
    row = held.row
    current = row is not None and held.inventory == known.stored.digest
    return current and row is not None and bool(row.output["open"]) and now_us - row.as_of_us < OPEN_US


def _window(register: Register, site: str, from_us: int, to_us: int) -> tuple[int, int]:
    """With the margin: what was said just before still holds, and a counter is read across the edge."""
    margin_us = register.margin_us(site)
    return from_us - margin_us, to_us + margin_us
