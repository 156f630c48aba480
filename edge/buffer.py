"""The gateway's durable store-and-forward queue: one SQLite file.

Rows are open (samples committed, not yet in a batch), sealed (signed bytes that never change again) or acknowledged (a hub receipt was
verified: evictable, kept as a ring so that a hub restored from a backup can be fed again; such batches wait as "again"). Refused batches
stay as evidence. The parts: `edge.bufferopen`, `edge.bufferbatches`, `edge.buffergaps`, `edge.buffercap`, `edge.bufferfile`.

Rules kept here: a frame counts as collected after `append` has returned; cutting a batch, numbering it and deleting its open rows is one
transaction; nothing but `acknowledge` makes a batch evictable; every drop leaves a gap that the next batch carries, signed.
Not for: threads (one at a time uses it), waiting, or talking to the hub.
"""

import logging
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from edge.bufferbatches import Backlog as Backlog  # noqa: PLC0414 - part of what this module offers
from edge.bufferbatches import Batches, Span
from edge.bufferbatches import Sealed as Sealed  # noqa: PLC0414
from edge.buffercap import Cap, disk_missing
from edge.bufferfile import SCHEMA_VERSION as SCHEMA_VERSION  # noqa: PLC0414
from edge.bufferfile import BufferTrouble as BufferTrouble  # noqa: PLC0414
from edge.bufferfile import Reading, connect, is_environment, quarantine, read_cleared, write_cleared
from edge.buffergaps import GAP_JOIN_US as GAP_JOIN_US  # noqa: PLC0414
from edge.buffergaps import Drop, Gaps
from edge.bufferkey import Vault, check_key
from edge.bufferopen import OpenRow, OpenRows, event_row, size_of
from edge.clockwatch import clock_record
from edge.config import Policies
from edge.ringage import RingAge
from protocols.batch import columns, statement
from protocols.batch.columns import Gap, GapReason
from protocols.batch.errors import BatchError
from protocols.devicemap import TagTable
from protocols.event import Event
from protocols.frame import Block, Frame, Priority
from protocols.signing import Signer

DEFAULT_POLICIES: Final = Policies()
LIVE: Final = "live"
BACKFILL: Final = "backfill"
EVENT: Final = "event"
RESUME_BATCHES: Final = 16
PLAIN_AT_ONCE: Final = 64
KEEP_WRITTEN_US: Final = 30 * 86_400_000_000

log = logging.getLogger("qenergyz.edge")


class BufferFull(BufferTrouble):
    """The disk or the byte cap is full and the policy forbids dropping older data. refused: the frames that were not committed."""

    def __init__(self, message: str, refused: Sequence[Frame] = ()) -> None:
        super().__init__(message)
        self.refused = tuple(refused)


class Buffer:
    """Open with `Buffer.open`; a file that SQLite finds corrupt is set aside, a new one is begun and the loss is recorded as a gap."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, max_bytes: int, policies: Policies, vault: Vault) -> None:
        self.path = path
        self._db = connection
        self._max_bytes = max_bytes
        self._open, self._batches, self._gaps = OpenRows(connection, vault), Batches(connection, vault), Gaps(connection)
        self._cap = Cap(connection, self._batches, self._gaps, policies)
        self._table_id = 0
        self._boot = _boot_id()
        self._ring = RingAge(self._meta("ring") or b"")
        self._plain_after = 0
        self._plain_until: int | None = None
        if vault.locks and not self._meta("all_closed"):
            self._plain_until = self._db.execute("SELECT coalesce(max(id), 0) FROM batch").fetchone()[0]
        self.epoch = int.from_bytes(self._meta("epoch") or b"", "big")

    @classmethod
    def open(
        cls,
        path: Path,
        now_us: int,
        *,
        max_bytes: int,
        policies: Policies = DEFAULT_POLICIES,
        vault: Vault | None = None,
        damaged: bool = False,
    ) -> "Buffer":
        """damaged: the file was found corrupt while in use. Raises BufferTrouble for what a new file would not mend."""
        path.parent.mkdir(parents=True, exist_ok=True)
        cleared = path.with_suffix(".cleared")
        existed = path.exists()
        lost_from_us = None
        vault = vault or Vault()
        check = partial(_checked, vault, path)
        try:
            if damaged:
                raise sqlite3.DatabaseError("found damaged while in use")
            connection = connect(path, check)
        except sqlite3.DatabaseError as error:
            if not existed or is_environment(error):
                raise BufferTrouble(f"{path}: cannot be opened: {error}") from error
            lost_from_us = read_cleared(cleared)
            quarantine(path, now_us)
            connection = connect(path, check)
        buffer = cls(path, connection, max_bytes=max_bytes, policies=policies, vault=vault)
        with connection:
            buffer._cap.begin()
            if not buffer.epoch:
                buffer.epoch = (now_us // 1_000_000) << 16 | secrets.randbits(16)
                buffer._set_meta("epoch", buffer.epoch.to_bytes(8, "big"))
            if lost_from_us is not None:
                buffer._gaps.declare(lost_from_us - GAP_JOIN_US, now_us, GapReason.BUFFER_QUARANTINED)
            elif existed:
                buffer._note_downtime(now_us)
        return buffer

    def close(self, kept_until_us: int) -> None:
        """Orderly end: the next start then knows that the agent was stopped, not killed, and declares the time since `kept_until_us`."""
        with self._db:
            self._set_meta("stopped_us", max(0, kept_until_us).to_bytes(8, "big"))
        self._db.close()

    def abandon(self) -> None:
        """Let go of a damaged file as it is."""
        self._db.close()

    # -- open rows

    def use_table(self, table: TagTable, signer: Signer, gateway: str) -> None:
        """Frames appended from now on refer to this tag table."""
        row = self._db.execute("SELECT id, statement FROM tag_table WHERE digest = ?", (table.digest,)).fetchone()
        if row is None or not _is_table(row[1], table):
            signed = statement.sign_tag_table(table.text, gateway, signer)
            with self._change():
                self._db.execute("UPDATE tag_table SET statement = ? WHERE digest = ?", (signed, table.digest))
        if row is None:
            with self._change():
                row = (self._db.execute("INSERT INTO tag_table (digest, statement) VALUES (?, ?)", (table.digest, signed)).lastrowid,)
        self._table_id = int(row[0] or 0)
        self._cap.sign_with(gateway, signer, self.epoch)

    def append(self, frames: Sequence[Frame]) -> int:
        """Commit frames; returns the number of samples that now count as collected. Raises BufferFull, which names those that were not committed."""
        try:
            with self._change():
                taken = self._with_room(frames)
                self._open.add(self._open.pack(taken, self._table_id))
                self._open.add_events([event_row(event) for frame in taken for event in frame.events])
                self._open.add_messages(taken)
                self._gaps.declare_late(taken)
        except sqlite3.OperationalError as error:
            raise self._full(error, frames) from error
        if len(taken) < len(frames):
            kept = set(map(id, taken))
            raise BufferFull(self._why_full(), [frame for frame in frames if id(frame) not in kept])
        return sum(frame.samples for frame in taken)

    def record_gaps(self, gaps: Iterable[Gap]) -> None:
        """Raises BufferFull."""
        try:
            with self._change():
                for gap in gaps:
                    self._gaps.add(gap)
        except sqlite3.OperationalError as error:
            raise self._full(error) from error

    # -- writes to devices

    def written(self, key: str) -> tuple[str, str, str] | None:
        """Digest, outcome and cause of the write with that key."""
        found: tuple[str, str, str] | None = self._db.execute("SELECT digest, outcome, cause FROM written WHERE key = ?", (key,)).fetchone()
        return found

    def record_write(self, key: str, digest: str, outcome: str, cause: str, event: Event) -> None:
        """Commit what came of a write, with its event; without a key only the event. Raises BufferFull: then nothing may be written."""
        try:
            with self._change():
                if key:
                    self._db.execute(
                        "INSERT OR REPLACE INTO written (key, digest, outcome, cause, at_us) VALUES (?, ?, ?, ?, ?)",
                        (key, digest, outcome, cause, event.gateway_us),
                    )
                self._db.execute("DELETE FROM written WHERE at_us < ?", (event.gateway_us - KEEP_WRITTEN_US,))
                self._open.add_events([event_row(event)])
        except sqlite3.OperationalError as error:
            raise self._full(error) from error

    # -- batches

    def seal(self, gateway: str, signer: Signer, stream: str, now_us: int) -> tuple[int, int]:
        """Cut all open rows into batches of `stream`; returns (batches, samples). Pending gaps ride on the first batch."""
        batches = samples = 0
        while True:
            rows, gaps = self._open.cut(), self._gaps.waiting(stream)
            if not rows and not gaps:
                return batches, samples
            more_batches, more_samples = self._seal_or_split(rows, gaps, gateway, signer, stream, now_us)
            batches += more_batches
            samples += more_samples

    def seal_events(self, gateway: str, signer: Signer, now_us: int) -> int:
        """Cut all open events into batches of the stream `event`; returns how many batches."""
        batches = 0
        while rows := self._open.cut_events():
            gaps = self._gaps.waiting(EVENT, times=False)
            events = tuple(event for event in map(self._open.event, rows) if event is not None)
            payload = self._payload(self._table_id, (), tuple(gap for _, gap in gaps), events)
            signed, seq = self._batches.sign(payload, gateway, signer, EVENT, self.epoch)
            with self._change():
                self._batches.store(
                    signed, EVENT, self.epoch, seq, Span(self._table_id, rows[0][1], rows[-1][1], 0, Priority.EVENT), now_us
                )
                self._gaps.told(gaps)
                self._open.delete_events(rows)
                if len(events) < len(rows):
                    lost = len(rows) - len(events)
                    self._gaps.add(Gap(rows[0][1], rows[-1][1], GapReason.BUFFER_QUARANTINED, lost, Priority.EVENT))
            batches += 1
        return batches

    def _seal_or_split(
        self, rows: Sequence[OpenRow], gaps: Sequence[tuple[int, Gap]], gateway: str, signer: Signer, stream: str, now_us: int
    ) -> tuple[int, int]:
        """Rows that do not fit one batch are halved; a single row that cannot be encoded at all is set aside, so that it never blocks the rest."""
        try:
            return 1, self._seal_rows(rows, gaps, gateway, signer, stream, now_us)
        except (ValueError, BatchError) as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                first = self._seal_or_split(rows[:middle], gaps, gateway, signer, stream, now_us)
                second = self._seal_or_split(rows[middle:], (), gateway, signer, stream, now_us)
                return first[0] + second[0], first[1] + second[1]
            if not rows:
                raise
            self._set_aside(rows[0], str(error))
            return 0, 0

    def _set_aside(self, row: OpenRow, cause: str) -> None:
        log.error("row_set_aside gateway_us=%d samples=%d cause=%s", row.gateway_us, row.samples, cause)
        with self._change():
            self._open.set_aside(row, cause)
            self._gaps.add(Gap(row.gateway_us - GAP_JOIN_US, row.gateway_us, GapReason.BUFFER_QUARANTINED, row.samples, row.priority))

    def _seal_rows(
        self, rows: Sequence[OpenRow], gaps: Sequence[tuple[int, Gap]], gateway: str, signer: Signer, stream: str, now_us: int
    ) -> int:
        table_id = rows[0].table_id if rows else self._table_id
        groups = columns.gather(self._open.blocks(rows))
        payload = self._payload(table_id, groups, tuple(gap for _, gap in gaps), ())
        signed, seq = self._batches.sign(payload, gateway, signer, stream, self.epoch)
        first_us, last_us = (rows[0].gateway_us, rows[-1].gateway_us) if rows else (now_us, now_us)
        samples = sum(row.samples for row in rows)
        with self._change():
            self._batches.store(
                signed,
                stream,
                self.epoch,
                seq,
                Span(table_id, first_us, last_us, samples, rows[0].priority if rows else Priority.NORMAL),
                now_us,
            )
            self._open.delete(rows)
            self._gaps.told(gaps)
        return samples

    def _payload(
        self, table_id: int, groups: tuple[columns.Group, ...], gaps: tuple[Gap, ...], events: tuple[dict[Any, Any], ...]
    ) -> statement.Payload:
        digest = self._db.execute("SELECT digest FROM tag_table WHERE id = ?", (table_id,)).fetchone()[0]
        clock = clock_record(self._boot)
        return statement.Payload(table_digest=digest, groups=groups, gaps=gaps, clock=clock, events=events)

    def waiting(self, stream: str, *, max_batches: int, max_bytes: int) -> list[Sealed]:
        """The oldest sealed batches of a stream, at least one if any waits."""
        return self._batches.select("b.state = 'sealed' AND b.stream = ?", (stream, max_batches), max_bytes)

    def waiting_again(self, *, max_batches: int, max_bytes: int) -> list[Sealed]:
        """The oldest batches of any stream that a hub restored from a backup has to be fed again."""
        return self._batches.select("b.state = 'again'", (max_batches,), max_bytes)

    def offer(self, batches: Iterable[Sealed]) -> list[int]:
        """Before they are sent: what the hub may have is never thinned. Returns those that had never been offered."""
        with self._change():
            return self._cap.offer(batches)

    def not_offered(self, batch_ids: Sequence[int]) -> None:
        """No connection came about."""
        if batch_ids:
            with self._change():
                self._cap.not_offered(batch_ids)

    def dropped(self) -> tuple[Drop, ...]:
        """Samples that gap records tell of, by reason and class, since this file was begun."""
        return self._gaps.dropped()

    def acknowledge(self, receipts: Iterable[tuple[int, bytes]], checkpoint: str) -> None:
        """Receipts (batch id, bytes) and the checkpoint they belong to, all verified by the caller: these batches are now evictable."""
        with self._change():
            self._batches.acknowledge(receipts)
            self._set_meta("checkpoint", checkpoint.encode())

    def refuse(self, batch_id: int, cause: str) -> None:
        """The hub will never take this batch: set it aside with the reason, keep its bytes as evidence."""
        with self._change():
            self._batches.refuse(batch_id, cause)

    def set_damaged_aside(self, batch: Sealed) -> None:
        """The bytes are not the ones that were signed: the file was damaged. Their time is a gap; whatever they still say is kept, not sent."""
        with self._change():
            first_us, last_us = self._db.execute("SELECT first_us, last_us FROM batch WHERE id = ?", (batch.id,)).fetchone()
            self._batches.refuse(batch.id, "damaged in the buffer file", ("sealed", "again", "acknowledged", "refused"))
            self._gaps.add(Gap(batch.seq, batch.seq, GapReason.SEALED_DROPPED), batch.stream)
            self._gaps.add(Gap(first_us - GAP_JOIN_US, last_us, GapReason.BUFFER_QUARANTINED, batch.samples, batch.priority))

    def receipts(self, below_id: int, limit: int) -> list[tuple[int, bytes]]:
        """(batch id, receipt) of acknowledged batches with a smaller id, newest first."""
        return self._batches.receipts(below_id, limit)

    def acknowledged(self, batch_id: int) -> Sealed | None:
        """An acknowledged batch, as it was sent; None when it was evicted."""
        return next(iter(self._batches.select("b.state = 'acknowledged' AND b.id = ?", (batch_id, 1), 0)), None)

    def feed_again(self, batch_ids: Iterable[int], checkpoint: str, event: Event) -> None:
        """The hub's log went back: its receipts for these batches are void, and this is the checkpoint that is trusted from now on."""
        with self._change():
            self._batches.again(batch_ids)
            self._set_meta("checkpoint", checkpoint.encode())
            self._open.add_events([event_row(event)])

    def checkpoint(self) -> str | None:
        """Text of the last verified checkpoint of the tenant's log."""
        value = self._meta("checkpoint")
        return value.decode() if value else None

    def tag_tables(self, digests: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """(digest, signed statement) of those tables that the hub has not accepted yet."""
        return [
            row
            for digest in set(digests)
            for row in self._db.execute("SELECT digest, statement FROM tag_table WHERE digest = ? AND accepted = 0", (digest,))
        ]

    def table_accepted(self, digest: bytes, accepted: bool = True) -> None:
        with self._change():
            self._db.execute("UPDATE tag_table SET accepted = ? WHERE digest = ?", (int(accepted), digest))

    def delivered(self, device: str) -> frozenset[bytes]:
        """Identities of the broker messages of the device's newest frames (`Frame.messages`)."""
        return self._open.delivered(device)

    def last_blocks(self) -> list[Block]:
        """The newest samples under the present tag table, oldest first: open rows, and before them up to RESUME_BATCHES batches."""
        groups = [group for payload in self._batches.newest(RESUME_BATCHES, self._table_id) for group in payload.groups]
        blocks = [Block(group.tags, group.times_us, group.values, group.quality) for group in groups if group.samples]
        return blocks + self._open.readable("WHERE table_id = ? ORDER BY id", (self._table_id,))

    def backlog(self) -> Backlog:
        return self._batches.backlog(self._open.samples(), self._bytes)

    def evict(self, now_us: int) -> int:
        """Forget acknowledged batches older than a week of running and give their pages back; returns how many went. Notes how far all is cleared."""
        with self._change():
            newest = self._db.execute("SELECT coalesce(max(id), 0) FROM batch").fetchone()[0]
            if self._ring.seen(now_us, newest):
                self._set_meta("ring", self._ring.to_bytes())
            count = self._batches.delete(
                "SELECT id, bytes FROM batch WHERE state = 'acknowledged' AND id <= ? ORDER BY id LIMIT 1000",
                (self._ring.old,),
            )
            self._open.forget_messages()
            self._close_plain()
        self._db.execute("PRAGMA incremental_vacuum(256)").fetchall()
        oldest = self._db.execute(
            "SELECT min(m) FROM (SELECT min(first_us) AS m FROM batch WHERE state IN ('sealed', 'again') UNION ALL SELECT min(gateway_us) FROM open)"
        ).fetchone()[0]
        write_cleared(self.path.with_suffix(".cleared"), oldest if oldest is not None else now_us)
        return count

    # -- inside

    def _close_plain(self) -> None:
        """Batches from before there was a key are encrypted little by little, once."""
        if self._plain_until is None:
            return
        reached = self._batches.close_plain(self._plain_after, self._plain_until, PLAIN_AT_ONCE)
        if reached is None:
            self._set_meta("all_closed", b"\1")
            self._plain_until = None
        else:
            self._plain_after = reached

    def _full(self, error: sqlite3.OperationalError, refused: Sequence[Frame] = ()) -> Exception:
        """BufferFull for what SQLite says of a full disk, else the error itself."""
        return BufferFull(f"{self.path}: {error}; free disk space or lower [buffer] max_size", refused) if "full" in str(error) else error

    @property
    def _bytes(self) -> int:
        return self._open.bytes + self._batches.bytes

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A transaction; what is remembered of the file follows it when it is rolled back."""
        try:
            with self._db:
                yield
        except BaseException:
            for part in (self._open, self._batches, self._gaps):
                part.refresh()
            raise

    def _missing(self, needed: int, priority: Priority = Priority.EVENT) -> int:
        return max(self._bytes + needed - self._cap.limit(self._max_bytes, priority), disk_missing(self.path.parent, self._db, needed))

    def _with_room(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Those that there is room for, or for which it can be made: the highest class first; of a class that does not fit, the oldest."""
        classes = {_class_of(frame) for frame in frames}
        total = sum(map(size_of, frames))
        if all(self._missing(total, priority) <= 0 for priority in classes):
            return frames
        taken: list[Frame] = []
        for priority in sorted(classes, reverse=True):
            same = [frame for frame in frames if _class_of(frame) is priority]
            needed = sum(map(size_of, (*taken, *same)))
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            self._db.execute("SAVEPOINT room")
            if self._cap.make_room(partial(self._missing, needed, priority), priority):
                taken += same
            else:
                self._db.execute("ROLLBACK TO room")
                self._batches.refresh()
                taken += self._fitting(same, sum(map(size_of, taken)), priority)
            self._db.execute("RELEASE room")
        return taken

    def _fitting(self, frames: Sequence[Frame], needed: int, priority: Priority) -> list[Frame]:
        """The oldest of them that there is room for as it is."""
        found: list[Frame] = []
        room = -self._missing(needed, priority)
        for frame in frames:
            room -= size_of(frame)
            if room < 0:
                break
            found.append(frame)
        return found

    def _why_full(self) -> str:
        if self._missing(0) <= 0 or self._bytes > self._max_bytes // 2:
            return f"{self.path}: {self._bytes} bytes stored, at most {self._max_bytes} allowed by [buffer] max_size"
        return f"{self.path}: the disk is full; free disk space or lower [buffer] max_size"

    def _note_downtime(self, now_us: int) -> None:
        stopped = self._meta("stopped_us")
        last = self._db.execute(
            "SELECT max(m) FROM (SELECT max(gateway_us) AS m FROM open UNION ALL SELECT max(gateway_us) FROM event UNION ALL SELECT max(last_us) FROM batch)"
        ).fetchone()[0]
        self._db.execute("DELETE FROM meta WHERE key = 'stopped_us'")
        if stopped is not None:
            self._gaps.declare(int.from_bytes(stopped, "big"), now_us, GapReason.AGENT_STOPPED)
        elif last is not None:  # what was on its way when the agent was killed had been measured a moment before the last row
            self._gaps.declare(
                (last if last <= now_us else self._newest_source_us(now_us, last)) - GAP_JOIN_US, now_us, GapReason.AGENT_DOWN
            )

    def _newest_source_us(self, now_us: int, otherwise_us: int) -> int:
        """By the clocks of the devices, when the gateway's own was ahead while it ran and is not any more."""
        blocks = self._open.readable("ORDER BY id DESC LIMIT 16")
        newest = [int(block.times_us.max()) for block in blocks]
        newest += [int(group.times_us.max()) for payload in self._batches.newest(1) for group in payload.groups if group.samples]
        return max((one for one in newest if one <= now_us), default=otherwise_us)

    def _meta(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set_meta(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _checked(vault: Vault, path: Path, connection: sqlite3.Connection) -> Reading:
    check_key(connection, vault, path)
    return Batches(connection, vault).read


def _class_of(frame: Frame) -> Priority:
    return Priority.EVENT if frame.events else frame.priority


def _is_table(signed: bytes, table: TagTable) -> bool:
    """False when the file was damaged there: then it is signed anew."""
    try:
        return statement.parse_tag_table(signed).text == table.text
    except BatchError:
        return False


def _boot_id() -> bytes:
    """Tells one run of the operating system from the next; zeros where the kernel does not say."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
