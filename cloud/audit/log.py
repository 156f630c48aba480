"""The tenants' logs: one sequencer per log, receipts, proofs.

    log.wake(tenant)                      something was appended and committed
    await log.receipts(tenant, entries)   inclusion receipts, all of one checkpoint, after a durable commit

An integration is one transaction under the log's lock: pending entries get positions, tiles grow, the checkpoint is signed. Nothing
leaves before that commit, so a crash at any moment leaves entries pending and no second root for a size. Only the right edge of
the tree is kept in memory, and it is read again whenever the stored checkpoint is not the one this process wrote last.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from cloud.audit import store, tiles
from cloud.audit.keys import LogKeys
from cloud.config import Limits
from cloud.db import Connection, Database, Unavailable
from protocols import tasks
from protocols.batch import checkpoint as notes
from protocols.batch import merkle, receipt
from protocols.clock import Clock
from protocols.tracing import OFF, Tracing

ENTRIES_PER_INTEGRATION: Final = 5000
KEPT_POSITIONS: Final = 20_000
KEPT_TILES: Final = 1_000
CHANNEL: Final = "qenergyz_log"  # tells other processes which tenant's log has grown
_logger = logging.getLogger("qenergyz.hub.log")
K = TypeVar("K")
V = TypeVar("V")


class LogDamaged(Exception):
    """The stored log contradicts itself: it is not continued, and a person has to look."""


@dataclass(frozen=True, slots=True)
class LogReply:
    """Checkpoint, consistency proof from the asked size, and one receipt or None per entry: all of one tree state."""

    size: int
    checkpoint: str
    consistency: tuple[bytes, ...]
    receipts: tuple[bytes | None, ...]


@dataclass(slots=True)
class _Log:
    """What this process knows of one log. `integrated` is replaced after each integration, so that everybody waiting wakes up."""

    tenant_id: int
    origin: str
    size: int = -1
    edge: dict[tiles.Key, bytes] = field(default_factory=dict)
    current: store.Stored | None = None  # the checkpoint that this process committed last
    placed: OrderedDict[bytes, int] = field(default_factory=OrderedDict)  # positions of recent entries, all below current.size
    full: OrderedDict[tiles.Key, bytes] = field(default_factory=OrderedDict)  # recent complete tiles; they never change
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    integrated: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    problem: str | None = None


class Log:
    """All logs of this hub. `async with Log(...)`; `tenants` lists (tenant_id, origin) for the sweep."""

    def __init__(
        self,
        db: Database,
        keys: LogKeys,
        clock: Clock,
        limits: Limits,
        tenants: Callable[[], Awaitable[Sequence[tuple[int, str]]]],
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._db, self._keys, self._clock, self._limits, self._tenants = db, keys, clock, limits, tenants
        self._logs: dict[int, _Log] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._on_integrated: Callable[[int, int], None] = lambda _tenant, _size: None

    def on_integrated(self, callback: Callable[[int, int], None]) -> None:
        """Called with (tenant, new size) after each integration; for metrics."""
        self._on_integrated = callback

    async def __aenter__(self) -> "Log":
        self._sweeper = asyncio.create_task(self._sweep(), name="log sweep")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sweeper:
            await tasks.end(self._sweeper)
        await tasks.end(*(log.task for log in self._logs.values() if log.task))

    @property
    def problems(self) -> list[str]:
        return [f"log {log.origin}: {log.problem}" for log in self._logs.values() if log.problem]

    def log_key(self, tenant_id: int, origin: str) -> str:
        return notes.verifier_key(origin, self._keys.signer(tenant_id).public)

    def wake(self, tenant_id: int) -> None:
        """Never blocks. A tenant not met yet is found by the sweep."""
        if log := self._logs.get(tenant_id):
            log.awake.set()

    def watch(self, tenant_id: int, origin: str) -> None:
        """Start the sequencer of a log in this process."""
        if tenant_id not in self._logs:
            log = self._logs[tenant_id] = _Log(tenant_id, origin)
            log.awake.set()
            log.task = asyncio.create_task(self._sequence(log), name=f"sequencer {origin}")

    async def receipts(
        self, tenant_id: int, entries: Sequence[bytes], old_size: int = 0, *, fresh: bool = False, wait_s: float = 0.0
    ) -> LogReply | None:
        """Wait until all entries are integrated or the time is over. None while the log has no checkpoint.

        fresh: some were appended just now, so that looking into the database before the next integration is idle.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            log = self._logs.get(tenant_id)
            changed = log.integrated if log else None
            if log and log.current and old_size <= log.current.size and all(entry in log.placed for entry in entries):
                return await self._reply(tenant_id, log.current, entries, log.placed, old_size)
            left_s = deadline - loop.time()
            if not fresh or left_s <= 0:
                current, placed = await self._stored(tenant_id, entries)
                if current and (left_s <= 0 or len(placed) == len(set(entries))):
                    return await self._reply(tenant_id, current, entries, placed, old_size)
                if left_s <= 0:
                    return None
            self.wake(tenant_id)
            try:
                async with asyncio.timeout(min(left_s, 0.5)):
                    await (changed.wait() if changed else asyncio.sleep(0.05))
            except TimeoutError:
                fresh = False  # another process may be the one that integrates

    async def _stored(self, tenant_id: int, entries: Sequence[bytes]) -> tuple[store.Stored | None, dict[bytes, int]]:
        """The latest checkpoint and the positions it covers."""
        async with self._db.tenant(tenant_id) as connection:
            current = await store.latest_checkpoint(connection, tenant_id)
            found = await store.positions(connection, tenant_id, entries) if current else {}
        # Positions are read after the checkpoint and may be ahead of it; those wait for the next one.
        return current, {entry: at for entry, at in found.items() if current and at < current.size}

    async def latest(self, tenant_id: int) -> store.Stored | None:
        async with self._db.tenant(tenant_id) as connection:
            return await store.latest_checkpoint(connection, tenant_id)

    async def consistency(self, tenant_id: int, old: int, new: int) -> list[bytes]:
        """Raises ValueError when the log never had these sizes in this order."""
        async with self._db.tenant(tenant_id) as connection:
            current = await store.latest_checkpoint(connection, tenant_id)
            if current is None or new > current.size:
                raise ValueError(f"the log has {current.size if current else 0} entries, not {new}")
        wanted = tiles.tiles_needed(lambda node: merkle.consistency_proof(old, new, node))
        reader = tiles.TileReader(await self._tiles(tenant_id, new, wanted))
        return merkle.consistency_proof(old, new, reader.node)

    async def tile(self, tenant_id: int, level: int, index: int, width: int) -> bytes | None:
        """Exactly `width` hashes, or None when the latest checkpoint does not cover them."""
        async with self._db.tenant(tenant_id) as connection:
            current = await store.latest_checkpoint(connection, tenant_id)
            available = (current.size >> tiles.HEIGHT * level) - index * tiles.WIDTH if current else 0
            if width > available:
                return None
            found = await store.read_tiles(connection, tenant_id, [(level, index)])
        return found[level, index][: width * tiles.HASH_BYTES]

    async def _reply(
        self, tenant_id: int, current: store.Stored, entries: Sequence[bytes], placed: Mapping[bytes, int], old_size: int
    ) -> LogReply:
        if old_size > current.size:
            old_size = 0  # this log was rewound; without a proof, and with this checkpoint, the gateway will see it
        at = [placed.get(entry) for entry in entries]
        wanted = tiles.tiles_needed(lambda node: merkle.consistency_proof(old_size, current.size, node))
        for index in at:
            if index is not None:
                wanted |= tiles.tiles_needed(partial(merkle.inclusion_proof, index, current.size))
        reader = tiles.TileReader(await self._tiles(tenant_id, current.size, wanted))
        signed = receipt.sign_root(
            current.size, current.root, _origin(current.text), current.at_us // 1_000_000, self._keys.signer(tenant_id)
        )
        receipts = tuple(
            None if index is None else receipt.issue(signed, index, merkle.inclusion_proof(index, current.size, reader.node))
            for index in at
        )
        return LogReply(current.size, current.text, tuple(merkle.consistency_proof(old_size, current.size, reader.node)), receipts)

    async def _tiles(self, tenant_id: int, size: int, wanted: set[tiles.Key]) -> dict[tiles.Key, bytes]:
        """From memory where they are; complete tiles that had to be read are kept. A tile may hold more than `size` asks for."""
        log = self._logs.get(tenant_id)
        known: dict[tiles.Key, bytes] = {}
        if log:
            for key in wanted:
                tile = log.full.get(key) or (log.edge.get(key) if log.size >= size else None)
                if tile:
                    known[key] = tile
        missing = wanted - known.keys()
        if missing:
            async with self._db.tenant(tenant_id) as connection:
                read = await store.read_tiles(connection, tenant_id, missing)
            known |= read
            if log:
                _keep(log.full, {key: tile for key, tile in read.items() if len(tile) == tiles.WIDTH * tiles.HASH_BYTES}, KEPT_TILES)
        return known

    async def _sweep(self) -> None:
        """Logs that another process appended to, and those that a crash left with pending entries."""
        while True:
            try:
                for tenant_id, origin in await self._tenants():
                    self.watch(tenant_id, origin)
                    self.wake(tenant_id)
            except Unavailable as error:
                _logger.debug("log_sweep_failed reason=%s", error)
            except Exception:
                _logger.exception("log_sweep_failed")
            await asyncio.sleep(self._limits.sweep_interval_s)

    async def _sequence(self, log: _Log) -> None:
        while True:
            await log.awake.wait()
            log.awake.clear()
            try:
                if await self._integrate(log):
                    log.awake.set()
                if log.problem:
                    _logger.warning("sequencer_up log=%s", log.origin)
                log.problem = None
            except Exception as error:
                log.size = -1
                if log.problem is None:
                    _logger.exception("sequencer_down log=%s", log.origin)
                log.problem = f"{type(error).__name__}: {error}"
                await asyncio.sleep(self._limits.sweep_interval_s)
                log.awake.set()
            await asyncio.sleep(self._limits.integrate_interval_s)

    async def _integrate(self, log: _Log) -> bool:
        """One transaction. True when more entries are waiting."""
        tenant_id, began_ns = log.tenant_id, self._tracing.now_ns()
        async with self._db.tenant(tenant_id) as connection:
            await store.lock(connection, tenant_id)
            waiting = await store.pending(connection, tenant_id, ENTRIES_PER_INTEGRATION)
            if not waiting:
                return False
            await self._catch_up(connection, log)
            changed = tiles.append(log.size, log.edge, [entry for _, entry in waiting])
            size = log.size + len(waiting)
            edge = {key: changed.get(key) or log.edge[key] for key in tiles.edge_tiles(size)}
            root = merkle.root(size, tiles.TileReader(edge).node)
            text = notes.Checkpoint(log.origin, size, root).sign(self._keys.signer(tenant_id))
            await store.write_tiles(connection, tenant_id, changed)
            await store.place(connection, tenant_id, [log_id for log_id, _ in waiting], log.size)
            current = store.Stored(size, root, text, self._clock.now_us())
            await store.write_checkpoint(connection, tenant_id, current)
            await store.notify(connection, tenant_id, CHANNEL)
        _keep(log.placed, {entry: log.size + at for at, (_, entry) in enumerate(waiting)}, KEPT_POSITIONS)
        _keep(log.full, {key: tile for key, tile in changed.items() if key not in edge}, KEPT_TILES)
        log.size, log.edge, log.current = size, edge, current
        waiters, log.integrated = log.integrated, asyncio.Event()
        waiters.set()
        self._on_integrated(tenant_id, size)
        self._tracing.past("seal", began_ns, tenant=tenant_id, entries=len(waiting), size=size)
        return len(waiting) == ENTRIES_PER_INTEGRATION

    async def _catch_up(self, connection: Connection, log: _Log) -> None:
        """Make size and edge those of the stored checkpoint, and refuse to continue a log whose tiles do not give its root."""
        current = await store.latest_checkpoint(connection, log.tenant_id)
        size = current.size if current else 0
        if log.size == size:
            return
        log.edge = await store.read_tiles(connection, log.tenant_id, tiles.edge_tiles(size))
        trimmed = {key: log.edge.get(key, b"") for key in tiles.edge_tiles(size)}
        if current and merkle.root(size, tiles.TileReader(trimmed).node) != current.root:
            raise LogDamaged(f"the tiles do not give the root of the checkpoint of size {size}")
        log.size, log.edge = size, trimmed


def _keep(kept: OrderedDict[K, V], more: Mapping[K, V], limit: int) -> None:
    kept.update(more)
    while len(kept) > limit:
        kept.popitem(last=False)


def _origin(checkpoint: str) -> str:
    return checkpoint.partition("\n")[0]
