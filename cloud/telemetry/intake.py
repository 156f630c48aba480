"""The way of a request with batches through the hub: verify, store, log, answer.

    body -> split -> keys -> verify and decode (threads) -> tag tables -> chain -> one transaction -> log -> receipts

What is stored was verified; what is answered with a receipt was committed. Refusals store a finding and nothing else, and leave what
stood before them in the request stored. Rules are in `ingest`, SQL in `store`.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from cloud.audit import store as log_store
from cloud.audit.log import Log, LogReply
from cloud.buckets import Buckets
from cloud.config import Limits
from cloud.db import Connection, Database
from cloud.errors import FINDING_SLUGS, Problem
from cloud.identity.keyring import GatewayKey, KeyRing
from cloud.identity.peer import Peer
from cloud.metrics import Metrics
from cloud.telemetry import epochs, ingest, store, vouching
from cloud.telemetry.admission import Admission
from cloud.telemetry.arrivals import Arrivals, BatchKey
from cloud.telemetry.contacts import Contact, Waiting
from cloud.telemetry.epochs import Held
from cloud.telemetry.ingest import Refusal, Verified
from cloud.telemetry.latest import Latest
from cloud.telemetry.tables import TagTables
from cloud.telemetry.vouching import Vouched
from protocols.batch import cbor
from protocols.batch.statement import Statement
from protocols.clock import Clock

_logger = logging.getLogger("qenergyz.hub.intake")
T = TypeVar("T")
FINDINGS_PER_SECOND = 10.0  # per gateway: anybody may send rubbish under a key id
FINDINGS_BURST = 1000.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """fresh: some of the entries were new."""

    entries: tuple[bytes, ...] = ()
    refusal: Refusal | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends, beside what the bodies prove. peer: by the TLS session; vouched: header by which the present key answers for an ended one."""

    address: str
    peer: Peer | None = None
    vouched: str | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """A body, taken apart: the statements before the first that is none, and what it costs."""

    statements: Sequence[Statement]
    refusal: Refusal | None
    address: str
    tokens: float
    at_us: int
    waiting: Waiting

    @property
    def key_id(self) -> bytes:
        """That it claims; empty where it has no statement at all."""
        return self.statements[0].key_id if self.statements else b""


class Intake:
    def __init__(
        self,
        db: Database,
        log: Log,
        keys: KeyRing,
        tables: TagTables,
        latest: Latest,
        arrivals: Arrivals,
        metrics: Metrics,
        clock: Clock,
        limits: Limits,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._db, self._log, self._keys, self._tables = db, log, keys, tables
        self._latest, self._arrivals, self._metrics = latest, arrivals, metrics
        self._clock, self._limits, self._threads = clock, limits, threads
        self._admission = Admission(limits, time.monotonic)
        self._findings = Buckets(FINDINGS_PER_SECOND, FINDINGS_BURST, limits.known_keys)
        self._last_unknown_s = 0.0
        self._in_hand = 0
        self.receipted: dict[tuple[int, int], Contact] = {}  # (tenant, gateway) -> the last; its receipt is written with the next one

    async def accept(self, body: bytes, old_size: int, waiting: Waiting, caller: Caller) -> bytes:
        """The reply of POST /v1/batches. Raises Problem."""
        self._in_hand += 1
        try:
            return await self._accept(body, old_size, waiting, caller)
        finally:
            self._in_hand -= 1

    @property
    def busy(self) -> bool:
        """Requests are in hand: what can wait, should."""
        return self._in_hand > 0

    async def _accept(self, body: bytes, old_size: int, waiting: Waiting, caller: Caller) -> bytes:
        started_s = time.perf_counter()
        at_us = self._clock.now_us()
        statements, refusal = await self._run(lambda: ingest.split(body, self._limits))
        request = _Request(statements, refusal, caller.address, self._admission.weigh(len(statements), len(body)), at_us, waiting)
        async with self._admitted(caller.address, request.key_id, request.tokens):
            keys = {kid: await self._keys.get(kid) for kid in {one.key_id for one in statements}}
            vouched = await self._known_caller(caller, keys.get(request.key_id), at_us)
            outcome = await self._store(request, keys, vouched)
        if outcome.refusal:
            self._admission.refuse(caller.address, request.key_id, request.tokens)
            raise outcome.refusal.problem()
        first = keys[request.key_id]
        assert first is not None
        reply = await self._receipts(first, outcome, old_size)
        self._metrics.receipt_seconds.observe(time.perf_counter() - started_s)
        return cbor.encode({0: 1, 1: reply.checkpoint, 2: list(reply.consistency), 3: list(reply.receipts)})

    async def accept_tag_table(self, digest_hex: str, body: bytes, caller: Caller) -> bool:
        """True when the table is new. Raises Problem."""
        at_us = self._clock.now_us()
        key: GatewayKey | None = None
        try:
            signed = ingest.parse_tag_table(body, self._limits)
            async with self._admitted(caller.address, signed.key_id, self._admission.weigh(1, len(body))):
                key = await self._keys.get(signed.key_id)
                vouched = await self._known_caller(caller, key, at_us)
                table = await self._run(lambda: ingest.open_tag_table(signed, digest_hex, key, at_us, vouched))
        except Refusal as refusal:
            await self._note(key, refusal, at_us)
            raise Problem(refusal.slug, refusal.detail) from refusal
        assert key is not None
        async with self._db.tenant(key.tenant_id) as connection:
            return await store.add_tag_table(connection, key, table, body, at_us)

    @asynccontextmanager
    async def _admitted(self, address: str, key_id: bytes, tokens: float) -> AsyncIterator[None]:
        """The turn of a request. Raises Problem."""
        try:
            async with self._admission.turn(self._admission.enter(address, key_id, tokens)):
                yield
        except Problem as error:
            if error.slug == "too-many-requests":
                self._metrics.refusals.labels(error.slug).inc()
                await self._admission.push_back()
            raise

    async def _known_caller(self, caller: Caller, key: GatewayKey | None, at_us: int) -> Vouched | None:
        """What the caller vouches for, after its certificate was found to be that of the key's gateway. Raises Problem."""
        if caller.peer and key:
            caller.peer.check(key.urn, key.tenant_id)
        return await vouching.read(caller.vouched, self._keys, at_us)

    async def _store(self, request: _Request, keys: dict[bytes, GatewayKey | None], vouched: Vouched | None) -> _Outcome:
        at_us, first = request.at_us, keys.get(request.key_id)
        opened, found = await self._run(lambda: ingest.open_all(request.statements, keys, at_us, vouched))
        refusal = found or request.refusal
        if opened and first:
            self._admission.prove(
                request.address, request.key_id, (first.tenant_id, first.gateway_id), request.tokens, first.batches_per_second
            )
        tables = {}
        if opened and first:
            digests = {one.payload.table_digest for one in opened}
            tables = {digest: await self._tables.get(first.tenant_id, first.gateway_id, digest) for digest in digests}
        verified, found = ingest.match_tables(opened, tables)
        refusal = found or refusal
        outcome = _Outcome()
        if verified and first:
            outcome = await self._commit(first, verified, at_us, request.waiting.batches, vouched)
            self._contact(first, verified[-1], request)
            refusal = outcome.refusal or refusal
        if refusal:
            await self._note(keys.get(refusal.known.key_id) if refusal.known else first, refusal, at_us)
        return replace(outcome, refusal=refusal)

    async def _commit(self, key: GatewayKey, verified: Sequence[Verified], at_us: int, backlog: int, vouched: Vouched | None) -> _Outcome:
        """One transaction for the request. The refusal is that of a broken chain or an equivocation."""
        span_us = max((one.opened.t_max_us or 0) - (one.opened.t_min_us or 0) for one in verified)
        async with self._db.tenant(key.tenant_id) as connection:
            last = self.receipted.get((key.tenant_id, key.gateway_id))
            held = await store.seen(connection, key, at_us, backlog, span_us, last.receipt_us if last else None)
            links = await store.links(connection, key, ingest.neighbours(verified))
            new, known, broken = ingest.judge_chain(verified, links)
            rival = await self._judge_epoch(connection, key, new[0], held, at_us) if new else None
            if rival:
                new, broken = [], None
            if new:
                await store.add_batches(connection, key, [one.opened for one in new], at_us)
            if new and vouched:
                digest = hashlib.sha256(vouched.statement).digest()
                await store.add_vouched(connection, key, digest, vouched.statement, at_us)
                await log_store.append(connection, key.tenant_id, vouching.LOG_KIND, digest)
            if broken and broken[1].slug == "equivocation":
                one = broken[0].opened
                stored = links.get(one.key)
                first = stored.entry if stored else next(other.opened.entry for other in new if other.opened.key == one.key)
                await store.add_equivocation(connection, key, one, first, at_us)
                await log_store.append(connection, key.tenant_id, "equivocation", one.entry)
        self._tell(key, new, len(known))
        if broken:
            self._log.wake(key.tenant_id)
        if rival:
            raise rival
        refusal = broken[1] if broken else None
        accepted = verified[: refusal.index] if refusal else verified
        return _Outcome(tuple(one.opened.entry for one in accepted), refusal, bool(new))

    async def _judge_epoch(self, connection: Connection, key: GatewayKey, one: Verified, held: Held, at_us: int) -> Problem | None:
        """What to answer instead of storing new batches, when another agent with the same key sends at the same time."""
        epoch = one.opened.key[1]
        if epoch == held.epoch and not held.rival_us and at_us - held.at_us < epochs.SILENT_US // 4:
            return None  # noted a moment ago: no need to write the row again
        other = held.epoch not in (0, epoch)
        judged = epochs.judge(held, epoch, at_us, seen_before=other and await store.has_epoch(connection, key, epoch))
        await store.hold_epoch(connection, key, judged.held)
        if judged.two_agents:
            detail = f"another agent signs with the key of {key.urn}: batches of two epochs come at the same time, this one is {epoch}"
            self._metrics.refusals.labels("two-agents").inc()
            _logger.error("two_agents gateway=%s epoch=%d", key.urn, epoch)
            await store.add_finding(connection, key, Refusal("two-agents", detail, 0, one.opened.statement), at_us)
        if not judged.wait_us:
            return None
        detail = f"another agent sends under this key, in epoch {held.epoch}: stop one of the two, or give it a key of its own; nothing was stored"
        return Problem("two-agents", detail, retry_after_s=1 + judged.wait_us // 1_000_000)

    def _tell(self, key: GatewayKey, new: Sequence[Verified], replays: int) -> None:
        """After the commit: sequencer, latest values, listeners, counters."""
        self._metrics.replays.inc(replays)
        if not new:
            return
        self._log.wake(key.tenant_id)
        for one in new:
            self._latest.update(key.tenant_id, one.table, one.opened.payload.groups, one.positions)
        self._arrivals.publish(key.tenant_id, (BatchKey(key.gateway_id, *one.opened.key) for one in new))
        self._metrics.batches.inc(len(new))
        self._metrics.samples.inc(sum(one.opened.payload.samples for one in new))
        self._metrics.bytes.inc(sum(len(one.opened.statement.data) for one in new))

    def _contact(self, key: GatewayKey, newest: Verified, request: _Request) -> None:
        """What its request tells of the gateway itself; a batch without a clock leaves what was known of it."""
        place = (key.tenant_id, key.gateway_id)
        last = self.receipted.get(place, Contact(0))
        clock = newest.opened.payload.clock or last.clock
        self.receipted[place] = Contact(request.at_us, request.waiting, clock, last.receipt_us)

    async def _receipts(self, key: GatewayKey, outcome: _Outcome, old_size: int) -> LogReply:
        reply = await self._log.receipts(key.tenant_id, outcome.entries, old_size, fresh=outcome.fresh, wait_s=self._limits.receipt_wait_s)
        if reply is None:
            raise Problem(
                "unavailable", "the batches are stored, the log has no checkpoint yet; send again", retry_after_s=self._limits.retry_after_s
            )
        if any(reply.receipts):
            last = self.receipted.get((key.tenant_id, key.gateway_id), Contact(0))
            self.receipted[key.tenant_id, key.gateway_id] = replace(last, receipt_us=self._clock.now_us())
        return reply

    async def _note(self, key: GatewayKey | None, refusal: Refusal, at_us: int) -> None:
        """A finding of the key's tenant. For keys nobody knows, and in a flood, a counter and, once a second at most, a line in the log."""
        self._metrics.refusals.labels(refusal.slug).inc()
        if refusal.slug == "equivocation":
            self._metrics.equivocations.inc()
            _logger.error("equivocation detail=%s", refusal.detail)
        if key and refusal.slug in FINDING_SLUGS and not self._findings.take(key.verifier.key_id, 1, time.monotonic()):
            async with self._db.tenant(key.tenant_id) as connection:
                await store.add_finding(connection, key, refusal, at_us)
        elif time.monotonic() - self._last_unknown_s > 1.0:
            self._last_unknown_s = time.monotonic()
            _logger.warning("batch_refused slug=%s", refusal.slug)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
