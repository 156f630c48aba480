"""The gateway's durable store-and-forward queue: one SQLite file.

Rows are open (samples committed, not yet in a batch), sealed (signed bytes that never change again) or acknowledged (a hub receipt was
verified: evictable, kept as a ring so that a hub restored from a backup can be fed again; such batches wait as "again"). Refused batches
stay as evidence.

Rules kept here: a frame counts as collected after `append` has returned; cutting a batch, numbering it and deleting its open rows is one
transaction; nothing but `acknowledge` makes a batch evictable; every drop leaves a gap that the next batch carries, signed.
Not for: threads (one at a time uses it), waiting, or talking to the hub.
"""

import logging
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.bufferfile import SCHEMA_VERSION as SCHEMA_VERSION  # noqa: PLC0414 - part of what this module offers
from edge.bufferfile import BufferTrouble as BufferTrouble  # noqa: PLC0414
from edge.bufferfile import connect, is_environment, quarantine, read_cleared, write_cleared
from edge.clockwatch import clock_record
from edge.rows import Rows
from protocols.batch import cbor, columns, statement
from protocols.batch.columns import Gap, GapReason, is_sequence
from protocols.batch.errors import BatchError
from protocols.devicemap import TagTable
from protocols.event import Event
from protocols.frame import Block, Frame
from protocols.signing import Signer

LIVE: Final = "live"
BACKFILL: Final = "backfill"
EVENT: Final = "event"
MAX_BATCH_SAMPLES: Final = 250_000
MAX_BATCH_EVENTS: Final = 2_000
RESUME_BATCHES: Final = 16
KEEP_MESSAGE_ROWS: Final = 4096  # frames whose messages a broker might still redeliver: far above any in-flight window
GAP_JOIN_US: Final = 1_000_000
KEEP_ACKNOWLEDGED_US: Final = 7 * 86_400_000_000
KEEP_WRITTEN_US: Final = 30 * 86_400_000_000

OpenRow = tuple[int, int, int, int, bytes]  # id, tag table, gateway_us, samples, blocks
log = logging.getLogger("qenergyz.edge")


class BufferFull(BufferTrouble):
    """The disk or the byte cap is full and the policy forbids dropping older data."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch as it travels. `statement` is what is sent, byte for byte, every time."""

    id: int
    stream: str
    epoch: int
    seq: int
    table_digest: bytes
    samples: int
    sealed_us: int
    statement: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits. Bytes are those of signed statements and open rows; times are gateway microseconds, 0 = nothing waits."""

    open_samples: int
    sealed_batches: int
    sealed_samples: int
    sealed_bytes: int
    acknowledged_batches: int
    refused_batches: int
    total_bytes: int
    oldest_sealed_us: int


class Buffer:
    """Open with `Buffer.open`; a file that SQLite finds corrupt is set aside, a new one is begun and the loss is recorded as a gap."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, max_bytes: int, drop_oldest: bool) -> None:
        self.path = path
        self._db = connection
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self._rows = Rows(connection)
        self._table_id = 0
        self._boot = _boot_id()
        self._undeclared = self._read_undeclared()
        self.epoch = int.from_bytes(self._meta("epoch") or b"", "big")
        self._bytes = self._stored_bytes()

    @classmethod
    def open(cls, path: Path, now_us: int, *, max_bytes: int, drop_oldest: bool = True, damaged: bool = False) -> "Buffer":
        """damaged: the file was found corrupt while in use. Raises BufferTrouble for what a new file would not mend."""
        path.parent.mkdir(parents=True, exist_ok=True)
        cleared = path.with_suffix(".cleared")
        existed = path.exists()
        lost_from_us = None
        try:
            if damaged:
                raise sqlite3.DatabaseError("found damaged while in use")
            connection = connect(path)
        except sqlite3.DatabaseError as error:
            if not existed or is_environment(error):
                raise BufferTrouble(f"{path}: cannot be opened: {error}") from error
            lost_from_us = read_cleared(cleared)
            quarantine(path, now_us)
            connection = connect(path)
        buffer = cls(path, connection, max_bytes=max_bytes, drop_oldest=drop_oldest)
        with connection:
            if not buffer.epoch:
                buffer.epoch = (now_us // 1_000_000) << 16 | secrets.randbits(16)
                buffer._set_meta("epoch", buffer.epoch.to_bytes(8, "big"))
            if lost_from_us is not None:
                buffer._declare(lost_from_us - GAP_JOIN_US, now_us, GapReason.BUFFER_QUARANTINED)
            elif existed:
                buffer._note_downtime(now_us)
        return buffer

    def close(self, kept_until_us: int) -> None:
        """Orderly end: the next start then knows that the agent was stopped, not killed, and declares the time since `kept_until_us`."""
        with self._db:
            self._set_meta("stopped_us", kept_until_us.to_bytes(8, "big"))
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
            with self._db:
                self._db.execute("UPDATE tag_table SET statement = ? WHERE digest = ?", (signed, table.digest))
        if row is None:
            with self._db:
                row = (self._db.execute("INSERT INTO tag_table (digest, statement) VALUES (?, ?)", (table.digest, signed)).lastrowid,)
        self._table_id = int(row[0] or 0)

    def append(self, frames: Sequence[Frame]) -> int:
        """Commit frames; returns the number of samples that now count as collected. Raises BufferFull and keeps nothing of `frames` then."""
        try:
            with self._db:
                rows = [
                    (self._table_id, frame.gateway_us, frame.samples, self._rows.pack(frame.blocks)) for frame in frames if frame.blocks
                ]
                events = [(event.gateway_us, cbor.encode(event.members())) for frame in frames for event in frame.events]
                size = sum(len(row[3]) for row in rows) + sum(len(row[1]) for row in events)
                if self._bytes + size > self._max_bytes:
                    self._make_room(size)
                self._db.executemany("INSERT INTO open (table_id, gateway_us, samples, blocks) VALUES (?, ?, ?, ?)", rows)
                if events:
                    self._db.executemany("INSERT INTO event (gateway_us, record) VALUES (?, ?)", events)
                if self._undeclared:
                    self._declare_late(frames)
                messages = [(frame.device, b"".join(frame.messages)) for frame in frames if frame.messages]
                if messages:
                    self._db.executemany("INSERT INTO message (device, identities) VALUES (?, ?)", messages)
        except (sqlite3.OperationalError, BufferFull) as error:
            self._forget_rolled_back()
            if isinstance(error, BufferFull):
                raise
            raise self._full(error) from error
        self._bytes += size
        return sum(row[2] for row in rows)

    def record_gap(self, gap: Gap) -> None:
        """Raises BufferFull."""
        try:
            with self._db:
                self._add_gap(gap)
        except sqlite3.OperationalError as error:
            raise self._full(error) from error

    # -- writes to devices

    def written(self, key: str) -> tuple[str, str, str] | None:
        """Digest, outcome and cause of the write with that key."""
        found: tuple[str, str, str] | None = self._db.execute("SELECT digest, outcome, cause FROM written WHERE key = ?", (key,)).fetchone()
        return found

    def record_write(self, key: str, digest: str, outcome: str, cause: str, event: Event) -> None:
        """Commit what came of a write, with its event; without a key only the event. Raises BufferFull: then nothing may be written."""
        record = cbor.encode(event.members())
        try:
            with self._db:
                if key:
                    self._db.execute(
                        "INSERT OR REPLACE INTO written (key, digest, outcome, cause, at_us) VALUES (?, ?, ?, ?, ?)",
                        (key, digest, outcome, cause, event.gateway_us),
                    )
                self._db.execute("DELETE FROM written WHERE at_us < ?", (event.gateway_us - KEEP_WRITTEN_US,))
                self._db.execute("INSERT INTO event (gateway_us, record) VALUES (?, ?)", (event.gateway_us, record))
        except sqlite3.OperationalError as error:
            raise self._full(error) from error
        self._bytes += len(record)

    # -- batches

    def seal(self, gateway: str, signer: Signer, stream: str, now_us: int) -> tuple[int, int]:
        """Cut all open rows into batches of `stream`; returns (batches, samples). Pending gaps ride on the first batch."""
        batches = samples = 0
        while True:
            rows = self._cut()
            gaps = self._db.execute(
                "SELECT id, start, end, reason FROM gap WHERE stream IN ('', ?) ORDER BY id LIMIT 1000", (stream,)
            ).fetchall()
            if not rows and not gaps:
                return batches, samples
            more_batches, more_samples = self._seal_or_split(rows, gaps, gateway, signer, stream, now_us)
            batches += more_batches
            samples += more_samples

    def seal_events(self, gateway: str, signer: Signer, now_us: int) -> int:
        """Cut all open events into batches of the stream `event`; returns how many batches."""
        batches = 0
        query = "SELECT id, gateway_us, record FROM event ORDER BY id LIMIT ?"
        while rows := self._db.execute(query, (MAX_BATCH_EVENTS,)).fetchall():
            payload = self._payload(self._table_id, (), (), tuple(cbor.decode_strict(record) for _, _, record in rows))
            signed, seq = self._sign(payload, gateway, signer, EVENT)
            with self._db:
                self._store(signed, EVENT, seq, self._table_id, rows[0][1], rows[-1][1], now_us, 0)
                self._db.execute("DELETE FROM event WHERE id <= ?", (rows[-1][0],))
            self._bytes += len(signed) - sum(len(record) for _, _, record in rows)
            batches += 1
        return batches

    def _cut(self) -> list[OpenRow]:
        """The oldest open rows of one tag table, up to MAX_BATCH_SAMPLES."""
        rows: list[OpenRow] = []
        total = 0
        for row in self._db.execute("SELECT id, table_id, gateway_us, samples, blocks FROM open ORDER BY id"):
            if rows and (row[1] != rows[0][1] or total + row[3] > MAX_BATCH_SAMPLES):
                break
            rows.append(row)
            total += row[3]
        return rows

    def _seal_or_split(
        self, rows: Sequence[OpenRow], gaps: Sequence[tuple[int, ...]], gateway: str, signer: Signer, stream: str, now_us: int
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
            number, _, gateway_us, samples, blocks = rows[0]
            log.error("row_set_aside gateway_us=%d samples=%d cause=%s", gateway_us, samples, error)
            with self._db:
                self._db.execute("INSERT INTO set_aside (gateway_us, cause, blocks) VALUES (?, ?, ?)", (gateway_us, str(error), blocks))
                self._db.execute("DELETE FROM open WHERE id = ?", (number,))
                self._add_gap(Gap(gateway_us - GAP_JOIN_US, gateway_us, GapReason.BUFFER_QUARANTINED))
            return 0, 0

    def _seal_rows(
        self,
        rows: Sequence[OpenRow],
        gaps: Sequence[tuple[int, ...]],
        gateway: str,
        signer: Signer,
        stream: str,
        now_us: int,
    ) -> int:
        table_id = rows[0][1] if rows else self._table_id
        groups = columns.gather([block for row in rows for block in self._rows.unpack(row[4])])
        told = tuple(Gap(start, end, GapReason(reason)) for _, start, end, reason in gaps)
        signed, seq = self._sign(self._payload(table_id, groups, told, ()), gateway, signer, stream)
        samples = sum(row[3] for row in rows)
        freed = sum(len(row[4]) for row in rows)
        first_us, last_us = (rows[0][2], rows[-1][2]) if rows else (now_us, now_us)
        with self._db:
            self._store(signed, stream, seq, table_id, first_us, last_us, now_us, samples)
            if rows:
                self._db.execute("DELETE FROM open WHERE id BETWEEN ? AND ?", (rows[0][0], rows[-1][0]))
            if gaps:
                self._db.executemany("DELETE FROM gap WHERE id = ?", [gap[:1] for gap in gaps])
        self._bytes += len(signed) - freed
        return samples

    def _payload(
        self, table_id: int, groups: tuple[columns.Group, ...], gaps: tuple[Gap, ...], events: tuple[dict[Any, Any], ...]
    ) -> statement.Payload:
        digest = self._db.execute("SELECT digest FROM tag_table WHERE id = ?", (table_id,)).fetchone()[0]
        clock = clock_record(self._boot)
        return statement.Payload(table_digest=digest, groups=groups, gaps=gaps, clock=clock, events=events)

    def _sign(self, payload: statement.Payload, gateway: str, signer: Signer, stream: str) -> tuple[bytes, int]:
        """The next batch of the stream's chain, and its number."""
        seq, prev = self._db.execute("SELECT seq, entry FROM chain WHERE stream = ?", (stream,)).fetchone() or (0, bytes(32))
        header = statement.Header(gateway=gateway, stream=stream, epoch=self.epoch, seq=seq + 1, prev=prev)
        return statement.seal(header, payload, signer), seq + 1

    def _store(self, signed: bytes, stream: str, seq: int, table_id: int, first_us: int, last_us: int, now_us: int, samples: int) -> None:
        """Within a transaction of the caller."""
        self._db.execute(
            "INSERT INTO batch (stream, epoch, seq, state, table_id, first_us, last_us, sealed_us, samples, bytes, statement)"
            " VALUES (?, ?, ?, 'sealed', ?, ?, ?, ?, ?, ?, ?)",
            (stream, self.epoch, seq, table_id, first_us, last_us, now_us, samples, len(signed), signed),
        )
        self._db.execute("INSERT OR REPLACE INTO chain VALUES (?, ?, ?)", (stream, seq, statement.entry_hash(signed)))

    def waiting(self, stream: str, *, max_batches: int, max_bytes: int) -> list[Sealed]:
        """The oldest sealed batches of a stream, at least one if any waits."""
        return self._select("b.state = 'sealed' AND b.stream = ?", (stream, max_batches), max_bytes)

    def waiting_again(self, *, max_batches: int, max_bytes: int) -> list[Sealed]:
        """The oldest batches of any stream that a hub restored from a backup has to be fed again."""
        return self._select("b.state = 'again'", (max_batches,), max_bytes)

    def _select(self, where: str, parameters: tuple[Any, ...], max_bytes: int) -> list[Sealed]:
        found: list[Sealed] = []
        size = 0
        query = (
            "SELECT b.id, b.stream, b.epoch, b.seq, t.digest, b.samples, b.sealed_us, b.bytes, b.statement FROM batch b JOIN tag_table t ON t.id = b.table_id"  # noqa: S608 - conditions are written here only
            f" WHERE {where} ORDER BY b.id LIMIT ?"
        )
        for number, name, epoch, seq, digest, samples, sealed_us, size_bytes, signed in self._db.execute(query, parameters):
            size += size_bytes
            if found and size > max_bytes:
                break
            found.append(Sealed(number, name, epoch, seq, digest, samples, sealed_us, signed))
        return found

    def acknowledge(self, receipts: Iterable[tuple[int, bytes]], checkpoint: str) -> None:
        """Receipts (batch id, bytes) and the checkpoint they belong to, all verified by the caller: these batches are now evictable."""
        with self._db:
            self._db.executemany(
                "UPDATE batch SET state = 'acknowledged', receipt = ? WHERE id = ? AND state IN ('sealed', 'again')",
                [(r, i) for i, r in receipts],
            )
            self._set_meta("checkpoint", checkpoint.encode())

    def refuse(self, batch_id: int, cause: str) -> None:
        """The hub will never take this batch: set it aside with the reason, keep its bytes as evidence."""
        with self._db:
            self._db.execute(
                "UPDATE batch SET state = 'refused', cause = ? WHERE id = ? AND state IN ('sealed', 'again')", (cause, batch_id)
            )

    def set_damaged_aside(self, batch: Sealed) -> None:
        """The bytes are not the ones that were signed: the file was damaged. Their time is a gap; whatever they still say is kept, not sent."""
        with self._db:
            first_us, last_us = self._db.execute("SELECT first_us, last_us FROM batch WHERE id = ?", (batch.id,)).fetchone()
            cause = "damaged in the buffer file"
            self._db.execute("UPDATE batch SET state = 'refused', cause = ? WHERE id = ?", (cause, batch.id))
            self._add_gap(Gap(batch.seq, batch.seq, GapReason.SEALED_DROPPED), batch.stream)
            self._add_gap(Gap(first_us - GAP_JOIN_US, last_us, GapReason.BUFFER_QUARANTINED))

    def receipts(self, below_id: int, limit: int) -> list[tuple[int, bytes]]:
        """(batch id, receipt) of acknowledged batches with a smaller id, newest first."""
        query = "SELECT id, receipt FROM batch WHERE state = 'acknowledged' AND id < ? ORDER BY id DESC LIMIT ?"
        return self._db.execute(query, (below_id, limit)).fetchall()

    def acknowledged(self, batch_id: int) -> Sealed | None:
        """An acknowledged batch, as it was sent; None when it was evicted."""
        return next(iter(self._select("b.state = 'acknowledged' AND b.id = ?", (batch_id, 1), 0)), None)

    def feed_again(self, batch_ids: Iterable[int], checkpoint: str, event: Event) -> None:
        """The hub's log went back: its receipts for these batches are void, and this is the checkpoint that is trusted from now on."""
        with self._db:
            self._db.executemany("UPDATE batch SET state = 'again' WHERE id = ? AND state = 'acknowledged'", [(one,) for one in batch_ids])
            self._set_meta("checkpoint", checkpoint.encode())
            self._db.execute("INSERT INTO event (gateway_us, record) VALUES (?, ?)", (event.gateway_us, cbor.encode(event.members())))

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
        with self._db:
            self._db.execute("UPDATE tag_table SET accepted = ? WHERE digest = ?", (int(accepted), digest))

    def delivered(self, device: str) -> frozenset[bytes]:
        """Identities of the broker messages of the device's newest frames (`Frame.messages`)."""
        rows = self._db.execute("SELECT identities FROM message WHERE device = ?", (device,)).fetchall()
        return frozenset(row[0][at : at + 16] for row in rows for at in range(0, len(row[0]), 16))

    def last_blocks(self) -> list[Block]:
        """The newest samples under the present tag table, oldest first: open rows, and before them up to RESUME_BATCHES batches."""
        query = "SELECT statement FROM batch WHERE table_id = ? ORDER BY id DESC LIMIT ?"
        statements = [row[0] for row in self._db.execute(query, (self._table_id, RESUME_BATCHES))]
        groups = [group for signed in reversed(statements) for group in _payload_of(signed).groups]
        blocks = [Block(group.tags, group.times_us, group.values, group.quality) for group in groups if group.samples]
        for row in self._db.execute("SELECT blocks FROM open WHERE table_id = ? ORDER BY id", (self._table_id,)):
            with suppress(ValueError):  # an altered row is set aside when it is sealed
                blocks += self._rows.unpack(row[0])
        return blocks

    def backlog(self) -> Backlog:
        states = {
            row[0]: row[1:]
            for row in self._db.execute(
                "SELECT CASE state WHEN 'again' THEN 'sealed' ELSE state END AS waits, count(*), sum(samples), sum(bytes), min(sealed_us) FROM batch"
                " GROUP BY waits"
            )
        }
        sealed = states.get("sealed", (0, 0, 0, 0))
        open_samples = self._db.execute("SELECT coalesce(sum(samples), 0) FROM open").fetchone()[0]
        return Backlog(
            open_samples=open_samples,
            sealed_batches=sealed[0],
            sealed_samples=sealed[1],
            sealed_bytes=sealed[2],
            acknowledged_batches=states.get("acknowledged", (0,))[0],
            refused_batches=states.get("refused", (0,))[0],
            total_bytes=self._bytes,
            oldest_sealed_us=sealed[3],
        )

    def evict(self, now_us: int) -> int:
        """Forget acknowledged batches older than a week and give their pages back; returns how many went. Notes how far all is cleared."""
        with self._db:
            count = self._delete_batches(
                "SELECT id, bytes FROM batch WHERE state = 'acknowledged' AND sealed_us < ? ORDER BY id LIMIT 1000",
                (now_us - KEEP_ACKNOWLEDGED_US,),
            )
            self._db.execute("DELETE FROM message WHERE id <= (SELECT max(id) FROM message) - ?", (KEEP_MESSAGE_ROWS,))
        self._db.execute("PRAGMA incremental_vacuum(256)").fetchall()
        oldest = self._db.execute(
            "SELECT min(m) FROM (SELECT min(first_us) AS m FROM batch WHERE state IN ('sealed', 'again') UNION ALL SELECT min(gateway_us) FROM open)"
        ).fetchone()[0]
        write_cleared(self.path.with_suffix(".cleared"), oldest if oldest is not None else now_us)
        return count

    # -- inside

    def _full(self, error: sqlite3.OperationalError) -> Exception:
        """BufferFull for what SQLite says of a full disk, else the error itself."""
        return BufferFull(f"{self.path}: {error}; free disk space or lower [buffer] max_size") if "full" in str(error) else error

    def _forget_rolled_back(self) -> None:
        self._rows.forget()
        self._bytes = self._stored_bytes()
        self._undeclared = self._read_undeclared()

    def _make_room(self, needed: int) -> None:
        """Oldest acknowledged first; then, if the policy says so, oldest sealed, each drop as a gap record. Raises BufferFull."""
        target = self._max_bytes - needed
        while self._bytes > target and self._delete_batches(
            "SELECT id, bytes FROM batch WHERE state = 'acknowledged' ORDER BY id LIMIT 16", ()
        ):
            pass
        while self._bytes > target:
            oldest = self._db.execute(
                "SELECT id, stream, seq, first_us, last_us, statement FROM batch WHERE state IN ('again', 'sealed') ORDER BY state, id LIMIT 1"
            ).fetchone()
            if oldest is None or not self._drop_oldest:
                raise BufferFull(f"{self.path}: {self._bytes} bytes stored, at most {self._max_bytes} allowed by [buffer] max_size")
            number, stream, seq, first_us, last_us, signed = oldest
            self._delete_batches("SELECT id, bytes FROM batch WHERE id = ?", (number,))
            dropped = _payload_of(signed)
            for gap in dropped.gaps:  # what the dropped batch said of earlier gaps must not go with it
                self._add_gap(gap, stream)
            self._add_gap(Gap(seq, seq, GapReason.SEALED_DROPPED), stream)
            times = [int(moment) for group in dropped.groups for moment in (group.times_us.min(), group.times_us.max())]
            self._add_gap(Gap(min(times, default=first_us), max(times, default=last_us), GapReason.DROPPED_BY_CAP))

    def _delete_batches(self, query: str, parameters: tuple[Any, ...]) -> int:
        rows = self._db.execute(query, parameters).fetchall()
        self._db.executemany("DELETE FROM batch WHERE id = ?", [row[:1] for row in rows])
        self._bytes -= sum(row[1] for row in rows)
        return len(rows)

    def _note_downtime(self, now_us: int) -> None:
        stopped = self._meta("stopped_us")
        last = self._db.execute(
            "SELECT max(m) FROM (SELECT max(gateway_us) AS m FROM open UNION ALL SELECT max(gateway_us) FROM event UNION ALL SELECT max(last_us) FROM batch)"
        ).fetchone()[0]
        self._db.execute("DELETE FROM meta WHERE key = 'stopped_us'")
        if stopped is not None:
            self._declare(int.from_bytes(stopped, "big"), now_us, GapReason.AGENT_STOPPED)
        elif last is not None:  # what was on its way when the agent was killed had been measured a moment before the last row
            self._declare((last if last <= now_us else self._newest_source_us(now_us, last)) - GAP_JOIN_US, now_us, GapReason.AGENT_DOWN)

    def _newest_source_us(self, now_us: int, otherwise_us: int) -> int:
        """By the clocks of the devices, when the gateway's own was ahead while it ran and is not any more."""
        blocks = [
            block
            for (packed,) in self._db.execute("SELECT blocks FROM open ORDER BY id DESC LIMIT 16")
            for block in self._rows.unpack(packed)
        ]
        newest = [int(block.times_us.max()) for block in blocks]
        for (signed,) in self._db.execute("SELECT statement FROM batch ORDER BY id DESC LIMIT 1"):
            newest += [int(group.times_us.max()) for group in _payload_of(signed).groups if group.samples]
        return max((one for one in newest if one <= now_us), default=otherwise_us)

    def _declare(self, since_us: int, now_us: int, reason: GapReason) -> None:
        """A gap up to now. While the clock says that now is earlier, it waits for a time that can be its end: see `_declare_late`."""
        if now_us > since_us:
            self._add_gap(Gap(since_us, now_us, reason))
            return
        if self._undeclared:
            since_us = min(since_us, self._undeclared[0])
        self._undeclared = (since_us, reason)
        self._set_meta("undeclared", since_us.to_bytes(8, "big") + bytes((reason,)))

    def _declare_late(self, frames: Iterable[Frame]) -> None:
        """The first sample after the loss ends it: by its device's clock, or by the gateway's once that was set right."""
        assert self._undeclared is not None
        since_us, reason = self._undeclared
        times = [int(block.times_us.max()) for frame in frames for block in frame.blocks if block.times_us.size]
        newest = max([*times, *(frame.gateway_us for frame in frames)], default=0)
        if newest > since_us:
            self._add_gap(Gap(since_us, newest, reason))
            self._db.execute("DELETE FROM meta WHERE key = 'undeclared'")
            self._undeclared = None

    def _read_undeclared(self) -> tuple[int, GapReason] | None:
        value = self._meta("undeclared")
        return (int.from_bytes(value[:8], "big"), GapReason(value[8])) if value else None

    def _add_gap(self, gap: Gap, stream: str = "") -> None:
        """Gaps of one reason that touch become one: times within GAP_JOIN_US (a record may claim a second too much, never too little), numbers
        that follow each other. A gap of numbers belongs to its stream and rides on a batch of it."""
        stream = stream if is_sequence(gap.reason) else ""
        reach = 1 if stream else GAP_JOIN_US
        joined = self._db.execute(
            "UPDATE gap SET start = min(start, ?), end = max(end, ?) WHERE reason = ? AND stream = ? AND start - ? <= ? AND ? - end <= ?",
            (gap.start, gap.end, int(gap.reason), stream, gap.end, reach, gap.start, reach),
        )
        if not joined.rowcount:
            self._db.execute(
                "INSERT INTO gap (stream, start, end, reason) VALUES (?, ?, ?, ?)", (stream, gap.start, gap.end, int(gap.reason))
            )

    def _meta(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set_meta(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _stored_bytes(self) -> int:
        query = (
            "SELECT (SELECT coalesce(sum(bytes), 0) FROM batch) + (SELECT coalesce(sum(length(blocks)), 0) FROM open)"
            " + (SELECT coalesce(sum(length(record)), 0) FROM event)"
        )
        return int(self._db.execute(query).fetchone()[0])


def _payload_of(signed: bytes) -> statement.Payload:
    """Of a batch of ours; an empty one when the file was damaged there, so that one batch never stops the rest."""
    try:
        return statement.parse(signed).open()
    except BatchError as error:
        log.error("batch_damaged cause=%s", error)
        return statement.Payload(table_digest=bytes(32), groups=())


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
