"""From frames to durable rows to sealed batches: group commit and sealing around the buffer.

All buffer calls run in one worker thread, one after the other, so that the event loop never waits for the disk. Frames wait in memory for
at most `commit_every_us`; only after their commit are they counted as collected and acknowledged to the device (MQTT).
When the disk is full, frames wait up to MAX_PENDING_BYTES, then the oldest of the lowest class are dropped, counted, and recorded as a gap as
soon as possible.
"""

import asyncio
import base64
import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from sqlite3 import DatabaseError, OperationalError, ProgrammingError
from typing import Any, Final, TypeVar

from edge import enrolment
from edge.buffer import BACKFILL, GAP_JOIN_US, LIVE, Backlog, Buffer, BufferFull
from edge.buffergaps import Drop
from edge.bufferkey import read_vault
from edge.commands import Answer, Kept, Outcome
from edge.config import BufferConfig
from edge.onethread import OneThread
from edge.pending import Lost, Pending, gaps
from protocols.batch import statement
from protocols.batch.columns import GapReason
from protocols.batch.errors import BatchError
from protocols.clock import Clock
from protocols.devicemap import TagTable
from protocols.event import Event
from protocols.frame import Frame, Priority
from protocols.signing import Signer, Verifier, enrolled_verifier
from protocols.tracing import OFF, Tracing

log = logging.getLogger("qenergyz.edge")
MAX_PENDING_BYTES: Final = 64_000_000
SEAL_SAMPLES: Final = 100_000
LAG_LIMIT: Final = (
    3  # unacknowledged live batches of each class; beyond it new data goes to the backfill stream, so that live is never behind
)
EVICT_EVERY_US: Final = 5_000_000
T = TypeVar("T")


class Intake:
    """`open`, then `run` as a task; `append` from any task of the loop."""

    def __init__(
        self, path: Path, config: BufferConfig, gateway: str, table: TagTable, signer: Signer, clock: Clock, tracing: Tracing = OFF
    ) -> None:
        self._tracing = tracing
        self._path, self._config, self._gateway, self._table, self._signer, self._clock = path, config, gateway, table, signer, clock
        self._thread = OneThread()
        self._buffer: Buffer
        self._pending = Pending()
        self._classes: set[Priority] = set()
        self._arrived = asyncio.Event()
        self._unsealed = 0
        self._events_waiting = False
        self._live_waiting = 0
        self.collected = 0
        self.dropped = 0
        self.full_since_us: int | None = None
        self._lost: list[Lost] = []
        self._waker: Callable[[], None] = lambda: None
        self.former: dict[bytes, Verifier] = {}  # keys of this gateway before the present one, by id

    async def open(self) -> None:
        await self.call(self._open)

    def _open(self, *, damaged: bool = False) -> None:
        self._buffer = Buffer.open(
            self._path,
            self._clock.now_us(),
            max_bytes=self._config.max_bytes,
            policies=self._config.policies,
            vault=read_vault(self._config.key),
            damaged=damaged,
        )
        self._buffer.use_table(self._table, self._signer, self._gateway)
        backlog = self._buffer.backlog()
        self._unsealed = backlog.open_samples
        self._live_waiting = backlog.sealed_batches

    async def use_table(self, table: TagTable) -> None:
        """Frames committed from now on refer to `table`, also after a damaged file was replaced."""
        await self.call(self._buffer.use_table, table, self._signer, self._gateway)
        self._table = table

    def on_sealed(self, wake: Callable[[], None]) -> None:
        """`wake` is called after each sealing: the forwarder has something to send."""
        self._waker = wake

    async def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Run a buffer method (or anything that uses the buffer) in the buffer's thread.

        When the file is found damaged by it, a new one is begun and the error passed on: what was asked for was of the old one.
        """
        return await self._thread.call(functools.partial(self._watched, function, *arguments, **options))

    def _watched(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        try:
            return function(*arguments, **options)
        except DatabaseError as error:
            if type(error) is DatabaseError and hasattr(self, "_buffer"):  # its subclasses are about us or the disk, not about damage
                self._begin_anew(error)
            raise

    @property
    def buffer(self) -> Buffer:
        """Only for use inside `call`."""
        return self._buffer

    def append(self, frame: Frame, priority: Priority = Priority.NORMAL) -> None:
        """Take a frame; it is durable within `commit_every_us`. Drops waiting frames, counted, when the disk refuses for long."""
        self._pending.put(frame if frame.priority is priority else replace(frame, priority=priority))
        while self._pending.memory > MAX_PENDING_BYTES:
            self._lost.append(self._pending.shed())
            self.dropped += self._lost[-1].samples
        self._arrived.set()

    async def run(self) -> None:
        """Commit and seal until cancelled; a cancelled run leaves everything that was appended committed."""
        seal_due = evict_due = self._clock.monotonic_us()
        try:
            while True:
                await self._wait_for_work(seal_due)
                await self._commit()
                now = self._clock.monotonic_us()
                if now >= seal_due or self._unsealed >= SEAL_SAMPLES:
                    await self._seal()
                    seal_due = now + self._config.seal_every_us
                if now >= evict_due:
                    await self.call(self._guard, self._evict)
                    evict_due = now + EVICT_EVERY_US
        finally:
            await asyncio.shield(self._finish())

    async def _wait_for_work(self, seal_due: int) -> None:
        if not self._pending:
            timeout = max(0.0, (seal_due - self._clock.monotonic_us()) / 1e6)
            try:
                async with asyncio.timeout(timeout if self._unsealed or self._events_waiting else 1.0):
                    await self._arrived.wait()
            except TimeoutError:
                return
        await self._clock.sleep_us(self._config.commit_every_us)

    async def _commit(self) -> None:
        self._arrived.clear()
        if not self._pending:
            return
        frames, lost, self._lost = self._pending.take(), self._lost, []
        try:
            await self.call(self._guard, functools.partial(self._append, frames, lost))
        except BufferFull as error:
            refused = set(map(id, error.refused)) if error.refused else set(map(id, frames))
            self._put_back([frame for frame in frames if id(frame) in refused], lost)
            self._note_full(str(error))
            self._count([frame for frame in frames if id(frame) not in refused])
            return
        except Exception:  # nothing was committed; a cancelled call is not here: it still runs to its end
            self._put_back(frames, lost)
            raise
        if self.full_since_us is not None:
            log.warning(
                "buffer_accepts_again after_s=%.1f dropped_samples=%d", (self._clock.now_us() - self.full_since_us) / 1e6, self.dropped
            )
            self.full_since_us = None
        self._count(frames)

    def _put_back(self, frames: list[Frame], lost: list[Lost]) -> None:
        self._pending.put_back(frames)
        self._lost = lost + self._lost
        self._arrived.set()

    def _count(self, frames: list[Frame]) -> None:
        """These are committed."""
        samples = sum(frame.samples for frame in frames)
        self.collected += samples
        self._unsealed += samples
        self._events_waiting = self._events_waiting or any(frame.events for frame in frames)
        self._classes.update(frame.priority for frame in frames)
        for frame in frames:
            if frame.acknowledge is not None:
                frame.acknowledge()

    def _append(self, frames: list[Frame], lost: list[Lost]) -> None:
        if lost:
            self._buffer.record_gaps(gaps(lost))
            lost.clear()  # told: not again when the frames fail
        self._buffer.append(frames)

    def _guard(self, operation: Callable[[], T]) -> T:
        """A file found damaged while in use is set aside and the operation repeated on a new one; the loss is recorded as a gap."""
        try:
            return operation()
        except (OperationalError, ProgrammingError):  # a full disk, a lock, a file that was closed: nothing that a new file would mend
            raise
        except DatabaseError as error:
            self._begin_anew(error)
            return operation()

    def _begin_anew(self, error: DatabaseError) -> None:
        log.error("buffer_damaged path=%s error=%s action=quarantine", self._path, error)
        self._buffer.abandon()
        self._open(damaged=True)

    def is_ours(self, signed: bytes) -> bool:
        """Whether these are bytes that this gateway signed, and not what a damaged file made of them."""
        try:
            parsed = statement.parse(signed)
            former = self.former.get(parsed.key_id)
            parsed.verify(former or enrolled_verifier(self._signer.algorithm, self._signer.public))
        except BatchError:
            return False
        return True

    def vouch(self, statements: Sequence[bytes]) -> str:
        """The present key's word for those that a former key signed, as the header `Vouched`; "" when there are none. Inside `call` only."""
        old = [one for one in statements if self._signer.key_id not in one]
        return base64.b64encode(enrolment.vouch(self._gateway, old, self._signer)).decode() if old else ""

    def _note_full(self, message: str) -> None:
        if self.full_since_us is None:
            self.full_since_us = self._clock.now_us()
            log.error("buffer_full %s", message)

    async def _seal(self) -> None:
        stream = LIVE if self._live_waiting < LAG_LIMIT * max(1, len(self._classes)) else BACKFILL
        began_ns = self._tracing.now_ns()
        try:
            batches, told = await self.call(self._guard, functools.partial(self._seal_all, stream))
        except OperationalError as error:
            self._note_full(str(error))
            return
        self._unsealed = 0
        self._events_waiting = False
        if batches or told:
            self._tracing.past("seal", began_ns, stream=stream, batches=batches, event_batches=told)
            self._live_waiting += batches if stream == LIVE else 0
            self._waker()

    def _seal_all(self, stream: str) -> tuple[int, int]:
        """Batches of samples, and of events."""
        now_us = self._clock.now_us()
        batches, _ = self._buffer.seal(self._gateway, self._signer, stream, now_us)
        return batches, self._buffer.seal_events(self._gateway, self._signer, now_us)

    def _evict(self) -> None:
        self._buffer.evict(self._clock.now_us())

    def live_acknowledged(self, waiting: int) -> None:
        """The forwarder says how many live batches still wait for a receipt."""
        self._live_waiting = waiting

    async def find(self, key: str) -> Kept | None:
        """Of the journal of writes: see `edge.commands.Journal`."""
        found = await self.call(self._buffer.written, key)
        return None if found is None else Kept(found[0], Answer(Outcome(found[1]), found[2]))

    async def begin(self, key: str, digest: str, event: Event) -> None:
        await self.end(key, digest, Answer(Outcome.BEGUN), event)

    async def end(self, key: str, digest: str, answer: Answer, event: Event) -> None:
        await self.call(self._buffer.record_write, key, digest, answer.outcome.value, answer.cause, event)
        self._events_waiting = True

    async def dropped_by(self) -> tuple[Drop, ...]:
        """What is missing by reason and class: as the gap records say, and what was forced out of memory and waits to be recorded."""
        recorded = await self.call(self._recorded)
        waiting = [Drop(GapReason.NEVER_KEPT, Priority(gap.priority), gap.samples) for gap in gaps(self._lost)]
        return (*recorded, *waiting)

    def _recorded(self) -> tuple[Drop, ...]:
        """Of the buffer that there is when its turn comes."""
        return self._buffer.dropped()

    async def backlog(self) -> Backlog:
        return await self.call(self._backlog)

    def _backlog(self) -> Backlog:
        """Of the buffer that there is when its turn comes: a damaged one may have been replaced meanwhile."""
        return self._buffer.backlog()

    async def _finish(self) -> None:
        """Commit and seal what is left, so that a stop loses nothing and a start finds sealed batches."""
        await self._commit()
        await self._seal()

    async def close(self) -> None:
        """Where samples could not be committed, the stop counts from a second before the first of them: their devices saw them earlier."""
        lost = [one.gateway_us for one in self._lost] + [frame.gateway_us for frame in self._pending.waiting()]
        kept_until_us = max(0, min(lost) - GAP_JOIN_US) if lost else self._clock.now_us()
        if lost:
            log.error("samples_not_kept count=%d since_us=%d", self._pending.samples, kept_until_us)
        await self.call(lambda: self._buffer.close(kept_until_us))
        self._thread.stop()
