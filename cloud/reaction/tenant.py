"""The reaction of one tenant: what changed is assessed, foreseen and valued, each once, and each result becomes an evidence row.

    log grew -> health of the sites whose gateways sent -> forecast of their streams, where health moved -> risk, where anything moved

Latest state wins: everything that has come since the last pass goes into one, and nothing is queued. A pass writes its rows and the
state it leaves in one transaction; a process that finds another one has been there first throws its own pass away.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from typing import Final

from cloud.assets import AssetError, assess
from cloud.assets.alarm_watch import AlarmWatch
from cloud.assets.assess import AssetHealth
from cloud.assets.state import SiteState
from cloud.db import Connection, Database
from cloud.evidence import store as evidence_store
from cloud.evidence.arrived import Arrived, log_size
from cloud.market.periods import DAY_US
from cloud.reaction import snapshot, stages, store
from cloud.reaction.snapshot import Booked, Setup
from cloud.reaction.stages import Foreseen
from cloud.reaction.store import SiteStanding
from cloud.risk.desk import Valued
from cloud.risk.errors import RiskError
from cloud.telemetry import store as telemetry_store
from protocols.batch import bundle, evidence, statement
from protocols.batch.evidence import Inputs, Row
from protocols.clock import Clock
from protocols.devicemap import TagTable

BATCHES: Final = 400  # of one pass; more wait for the next one, which follows at once
CHAIN: Final = 900  # health rows that follow from each other before one begins anew from its state
FIRST_LOOK: Final = 5_000  # log entries before the present that a site without a state begins with
SILENT_US: Final = 2_000_000  # after so long without samples, health is looked at for what has become stale
REVALUE_US: Final = 60_000_000  # a risk figure is never older while its inputs stand still
MOVED: Final = 0.002  # of index, interval and trust: less is no news to the desk
_logger = logging.getLogger("qenergyz.hub.reaction")


class Overtaken(Exception):
    """Another process has moved the site meanwhile."""


@dataclass(frozen=True, slots=True)
class Made:
    """A row that is stored, with what it showed."""

    digest: bytes
    row: Row
    made_us: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where a site stands in this process; `row` is its newest health row, `log_size` what it has seen."""

    row: bytes
    log_size: int
    model: bytes
    anchored: int
    state: SiteState
    healths: tuple[AssetHealth, ...]
    as_of_us: int


@dataclass(frozen=True, slots=True)
class Stream:
    row: bytes
    health: bytes
    basis: tuple[AssetHealth, ...]
    key: tuple[bytes, bytes, int]  # model, settings, day: what else it rests on
    foreseen: Foreseen


@dataclass(frozen=True, slots=True)
class Risk:
    row: bytes
    as_of_us: int
    basis: tuple[tuple[bytes, ...], bytes, tuple[int, int]]  # forecasts, settings, revision
    valued: Valued = field(repr=False)
    setup: Setup = field(repr=False)
    foreseen: Mapping[str, Foreseen] = field(repr=False)
    healths: Mapping[str, tuple[AssetHealth, ...]] = field(repr=False)


@dataclass(slots=True)
class _Pass:
    """Rows of one pass in the order of dependency, with the contents they bring."""

    as_of_us: int
    rows: list[Row] = field(default_factory=list)
    contents: list[dict[bytes, bytes]] = field(default_factory=list)
    sites: dict[str, Site] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    before: dict[str, bytes | None] = field(default_factory=dict)

    def add(self, row: Row, contents: Mapping[str, bytes]) -> bytes:
        self.rows.append(row)
        self.contents.append({row.inputs.contents[name]: content for name, content in contents.items()})
        return evidence.digest(evidence.encode(row))


class TenantReaction:
    """One tenant in this process. `react` once or as often as something may have changed; not at the same time twice."""

    def __init__(self, db: Database, clock: Clock, threads: Executor, slow: Executor, tenant_id: int, alarms: AlarmWatch) -> None:
        self._db, self._clock, self._threads, self._slow, self._tenant_id = db, clock, threads, slow, tenant_id
        self._alarms = alarms
        self._setup: Setup | None = None
        self._booked: Booked | None = None
        self._tables: dict[bytes, TagTable] = {}
        self._sites: dict[str, Site] = {}
        self._streams: dict[str, Stream] = {}
        self._stored: set[bytes] = set()  # contents known to be in the database
        self.risk: Risk | None = None
        self.problem = ""  # why there is no risk figure, for people
        self.behind = False  # more had come than one pass takes

    @property
    def idle(self) -> bool:
        """Nothing can be computed yet."""
        return self._setup is None

    def forget(self) -> None:
        """Read everything again: another process may have been at work."""
        self._setup, self._booked, self.risk = None, None, None
        self._alarms.forget()
        self._sites.clear()
        self._streams.clear()

    async def react(self) -> list[Made]:
        """One pass. The rows it stored; none when nothing had changed. Raises Overtaken, cloud.db.Unavailable."""
        found = _Pass(self._clock.now_us())
        loop = asyncio.get_running_loop()
        async with self._db.tenant(self._tenant_id) as connection:
            setup = await snapshot.read_setup(connection, self._tenant_id, self._setup)
            if setup is None:
                return []
            self._setup = setup
            size = await log_size(connection, self._tenant_id)
            now = await snapshot.revision(connection, self._tenant_id)
            changed = self._booked is None or now != self._booked.revision or self._booked.desk.settings != setup.settings
            if changed:
                self._booked = await snapshot.read_booked(connection, self._tenant_id, setup.settings, found.as_of_us, now, self._booked)
            arrived = {site.name: await self._arrived(connection, setup, site.name, size) for site in setup.model.sites}
            await self._alarms.refresh(connection)
        self.behind = any(len(batches) == BATCHES for _, batches in arrived.values())
        risk = await loop.run_in_executor(self._threads, self._compute, found, setup, self._booked, arrived, size)
        advanced = {name: (site.healths, site.row) for name, site in found.sites.items()}
        alarmed = self._alarms.due(setup.model, advanced, found.as_of_us)
        if not found.rows and not alarmed:
            return []
        made = await self._keep(found, alarmed=alarmed)
        self._sites |= found.sites
        self._streams |= found.streams
        if risk is not None:
            self.risk = risk
        return made

    async def _arrived(
        self, connection: Connection, setup: Setup, site: str, size: int
    ) -> tuple[SiteStanding | None, list[tuple[int, Arrived]]]:
        """What came for the site since its last pass. The standing is read where this process does not know it."""
        standing = None if site in self._sites else await store.standing(connection, self._tenant_id, site)
        known = self._sites[site].log_size if site in self._sites else standing.log_size if standing else max(0, size - FIRST_LOOK)
        gateways = sorted({tag.partition("/")[0] for tag in setup.model.tags_of(site)})
        found = await store.arrived(connection, self._tenant_id, gateways, known, size, BATCHES) if known < size and gateways else []
        for _, batch in found:
            if batch.table_digest not in self._tables:
                text = await telemetry_store.tag_table_text(connection, self._tenant_id, batch.gateway_id, batch.table_digest)
                if text is None:
                    raise LookupError(f"tag table {batch.table_digest.hex()} of a stored batch is missing")
                self._tables[batch.table_digest] = TagTable.parse(text)
        return standing, found

    def _compute(
        self,
        found: _Pass,
        setup: Setup,
        booked: Booked | None,
        arrived: Mapping[str, tuple[SiteStanding | None, list[tuple[int, Arrived]]]],
        size: int,
    ) -> Risk | None:
        """All stages, in a thread."""
        for site, (standing, batches) in arrived.items():
            self._assess(found, setup, site, standing, batches, size)
        for stream in setup.model.streams:
            self._foresee(found, setup, stream.name, stream.site)
        return None if booked is None else self._value(found, setup, booked)

    def _assess(
        self, found: _Pass, setup: Setup, site: str, standing: SiteStanding | None, batches: Sequence[tuple[int, Arrived]], size: int
    ) -> None:
        before = self._sites.get(site) or _resumed(standing)
        seen = batches[-1][0] + 1 if len(batches) == BATCHES else size
        if before is not None and not batches and not self._worth_looking(before, setup, found.as_of_us):
            if site in self._sites:
                self._sites[site] = _seen(before, seen)
            return
        state, rows, contents, parameters = _carried(setup, site, before)
        tags = setup.model.tags_of(site)
        opened = ((evidence.gateway_name(one.ref.gateway), statement.parse(one.statement).open()) for _, one in batches)
        columns = bundle.columns(opened, self._tables, frozenset(tags))
        after, healths, output = stages.health(setup.model, site, state, stages.site_samples(columns), found.as_of_us)
        if before is not None and not batches and not _moved(before.healths, healths) and before.model == setup.model_digest:
            self._sites[site] = _seen(before, seen)
            return
        contents["model"] = setup.model_text
        inputs = Inputs(rows, _digests(contents), tuple(one.ref for _, one in batches), _window(columns), tags)
        row = Row(stages.HEALTH, site, found.as_of_us, inputs, parameters, 0, stages.code(), output)
        anchored = before.anchored + 1 if before is not None and "previous" in rows else 0
        found.before[site] = None if before is None else before.row
        digest = found.add(row, contents)
        found.sites[site] = Site(digest, seen, setup.model_digest, anchored, after, healths, found.as_of_us)

    @staticmethod
    def _worth_looking(before: Site, setup: Setup, as_of_us: int) -> bool:
        return before.model != setup.model_digest or not before.healths or as_of_us - before.as_of_us >= SILENT_US

    def _foresee(self, found: _Pass, setup: Setup, name: str, site: str) -> None:
        standing = found.sites.get(site) or self._sites.get(site)
        if standing is None or not standing.healths:
            return
        key = (setup.model_digest, setup.settings_digest, found.as_of_us // DAY_US)
        known = self._streams.get(name)
        if known is not None and known.key == key and not _moved(known.basis, standing.healths):
            return
        try:
            foreseen, output = stages.forecast(setup.model, name, standing.healths, setup.settings, found.as_of_us)
        except AssetError as error:
            self._fail(f"stream {name}: {error}")
            return
        contents = {"model": setup.model_text, "settings": setup.settings_text}
        inputs = Inputs({"health": standing.row}, _digests(contents))
        row = Row(stages.FORECAST, name, found.as_of_us, inputs, {}, setup.settings.seed, stages.code(), output)
        found.streams[name] = Stream(found.add(row, contents), standing.row, standing.healths, key, foreseen)

    def _value(self, found: _Pass, setup: Setup, booked: Booked) -> Risk | None:
        names = {stream.name for stream in setup.model.streams}
        streams = {name: one for name, one in sorted((self._streams | found.streams).items()) if name in names}
        if not streams:
            return None
        basis = (tuple(one.row for one in streams.values()), setup.settings_digest, booked.revision)
        if self.risk is not None and self.risk.basis == basis and found.as_of_us - self.risk.as_of_us < REVALUE_US:
            return None
        try:
            paths = [stages.stream_paths(setup.model, one.foreseen) for one in streams.values()]
            valued, output = stages.risk(booked.desk, paths, found.as_of_us)
        except RiskError as error:
            self._fail(str(error))
            return None
        self.problem = ""
        contents = {"model": setup.model_text, "settings": setup.settings_text, **asdict(booked.contents)}
        inputs = Inputs({name: one.row for name, one in streams.items()}, _digests(contents))
        row = Row(stages.RISK, setup.settings.book, found.as_of_us, inputs, {}, setup.settings.seed, stages.code(), output)
        healths = {site: one.healths for site, one in (self._sites | found.sites).items()}
        foreseen = {name: one.foreseen for name, one in streams.items()}
        return Risk(found.add(row, contents), found.as_of_us, basis, valued, setup, foreseen, healths)

    def _fail(self, reason: str) -> None:
        if reason != self.problem:
            _logger.warning("risk_not_valued tenant=%s reason=%s", self._tenant_id, reason)
        self.problem = reason

    async def detail(self, risk: Risk) -> Made:
        """The slower part for a result that has been stored. Raises RiskError."""
        loop = asyncio.get_running_loop()
        setup = risk.setup
        output = await loop.run_in_executor(
            self._slow, stages.detail, risk.valued, setup.model, risk.healths, risk.foreseen, setup.settings, risk.as_of_us
        )
        contents = {"model": setup.model_text, "settings": setup.settings_text}
        inputs = Inputs({"risk": risk.row}, _digests(contents))
        found = _Pass(risk.as_of_us)
        row = Row(stages.DETAIL, setup.settings.book, risk.as_of_us, inputs, {}, setup.settings.seed, stages.code(), output)
        found.add(row, contents)
        (made,) = await self._keep(found)
        return made

    async def _keep(self, found: _Pass, *, alarmed: bool = False) -> list[Made]:
        """Rows, standings and the alarms that follow, in one transaction."""
        made_us = self._clock.now_us()
        digests = []
        async with self._db.tenant(self._tenant_id) as connection:
            for site, before in found.before.items():
                standing = await store.standing(connection, self._tenant_id, site)
                if (None if standing is None else standing.evidence) != before:
                    raise Overtaken(site)
            for row, contents in zip(found.rows, found.contents, strict=True):
                new = {digest: content for digest, content in contents.items() if digest not in self._stored}
                digests.append(await evidence_store.append(connection, self._tenant_id, row, new, made_us))
            for site, one in found.sites.items():
                now = SiteStanding(one.row, one.log_size, one.model, one.anchored, one.state.to_bytes())
                await store.stand(connection, self._tenant_id, site, now)
            transitions = await self._alarms.write(connection, found.as_of_us) if alarmed else []
        if alarmed:
            self._alarms.wrote(transitions)
        self._remember(found)
        return [Made(digest, row, made_us) for digest, row in zip(digests, found.rows, strict=True)]

    def _remember(self, found: _Pass) -> None:
        if len(self._stored) > 10_000:
            self._stored.clear()
        self._stored.update(*(contents for contents in found.contents))


def _resumed(standing: SiteStanding | None) -> Site | None:
    """A site as the database has it; its healths come with the next row."""
    if standing is None:
        return None
    state = SiteState.from_bytes(standing.state)
    return Site(standing.evidence, standing.log_size, standing.model, standing.anchored, state, (), 0)


def _seen(site: Site, log_size: int) -> Site:
    return Site(site.row, log_size, site.model, site.anchored, site.state, site.healths, site.as_of_us)


def _carried(setup: Setup, site: str, before: Site | None) -> tuple[SiteState, dict[str, bytes], dict[str, bytes], dict[str, object]]:
    """The state to go on from, and how the row names it: as the row before, or as a content where a chain begins."""
    if before is None:
        return assess.start(setup.model, site), {}, {}, {}
    changed = before.model != setup.model_digest
    if not changed and before.anchored + 1 < CHAIN:
        return before.state, {"previous": before.row}, {}, {}
    carried = {"state": before.state.to_bytes()}
    told: dict[str, object] = {"continues": before.row.hex(), "model_changed": int(changed)}
    return (assess.start(setup.model, site, before.state) if changed else before.state), {}, carried, told


def _moved(before: Sequence[AssetHealth], now: Sequence[AssetHealth]) -> bool:
    """Whether the desk would see a difference."""
    if [one.asset for one in before] != [one.asset for one in now]:
        return True
    return any(
        one.state != two.state
        or one.stale != two.stale
        or max(abs(one.index - two.index), abs(one.low - two.low), abs(one.high - two.high), abs(one.trust - two.trust)) > MOVED
        for one, two in zip(before, now, strict=True)
    )


def _window(columns: Mapping[str, bundle.Samples]) -> tuple[int, int] | None:
    """Source times of what came: first, and just after the last."""
    times = [(int(found.times_us[0]), int(found.times_us[-1])) for found in columns.values() if found.times_us.size]
    return (min(first for first, _ in times), max(last for _, last in times) + 1) if times else None


def _digests(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: hashlib.sha256(content).digest() for name, content in contents.items()}
