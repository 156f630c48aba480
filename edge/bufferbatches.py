"""The sealed half of the buffer: batches, their chains and their states (sealed, again, acknowledged, refused).

A batch is signed, numbered and chained once; its bytes never change again, and nothing but `acknowledge` makes it evictable.
Not for: what goes into a batch (`edge.buffer`), what must go when there is no room (`edge.buffercap`), transactions: methods that write run
inside one of the caller.
"""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.bufferkey import Vault, batch_row, is_closed
from protocols.batch import statement
from protocols.batch.errors import BatchError
from protocols.frame import Priority
from protocols.signing import Signer

log = logging.getLogger("qenergyz.edge")


# From the index `batch_counts` alone: with days of batches in the file, looking at each would hold up every request of the forwarder.
COUNTS: Final = "SELECT state, count(*), sum(samples), sum(bytes), min(sealed_us) FROM batch GROUP BY state"


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
    priority: int = Priority.NORMAL


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


@dataclass(frozen=True, slots=True)
class Span:
    """What a batch holds: its tag table, the gateway's time of its first and last row, its samples, whose they are, how often they were halved."""

    table_id: int
    first_us: int
    last_us: int
    samples: int
    priority: int = Priority.NORMAL
    thinned: int = 0


class Batches:
    """bytes: of all statements. `refresh` after a transaction that was rolled back."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._db, self._vault = connection, vault
        self.bytes = 0
        self.refresh()

    def refresh(self) -> None:
        self.bytes = int(self._db.execute("SELECT coalesce(sum(bytes), 0) FROM batch").fetchone()[0])

    def read(self, stream: str, epoch: int, seq: int, stored: bytes) -> bytes:
        """The statement; what stands there when it does not open: whoever verifies it finds the damage."""
        try:
            return self._vault.open(batch_row(stream, epoch, seq), stored)
        except ValueError as error:
            log.error("batch_damaged stream=%s seq=%d cause=%s", stream, seq, error)
            return stored

    def close_plain(self, after_id: int, until_id: int, count: int) -> int | None:
        """Encrypt batches that were stored before there was a key; returns the last id that was looked at, None when there are no more."""
        query = "SELECT id, stream, epoch, seq, statement FROM batch WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
        rows = self._db.execute(query, (after_id, until_id, count)).fetchall()
        plain = [row for row in rows if not is_closed(row[4])]
        closed = [(self._vault.close(batch_row(*row[1:4]), row[4]), row[0]) for row in plain]
        self._db.executemany("UPDATE batch SET statement = ? WHERE id = ?", closed)
        return rows[-1][0] if rows else None

    def sign(self, payload: statement.Payload, gateway: str, signer: Signer, stream: str, epoch: int) -> tuple[bytes, int]:
        """The next batch of the stream's chain, and its number."""
        seq, prev = self._db.execute("SELECT seq, entry FROM chain WHERE stream = ?", (stream,)).fetchone() or (0, bytes(32))
        header = statement.Header(gateway=gateway, stream=stream, epoch=epoch, seq=seq + 1, prev=prev)
        return statement.seal(header, payload, signer), seq + 1

    def store(self, signed: bytes, stream: str, epoch: int, seq: int, span: Span, now_us: int) -> None:
        self._db.execute(
            "INSERT INTO batch (stream, epoch, seq, state, table_id, first_us, last_us, sealed_us, samples, bytes, priority, thinned, statement)"
            " VALUES (?, ?, ?, 'sealed', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                stream,
                epoch,
                seq,
                span.table_id,
                span.first_us,
                span.last_us,
                now_us,
                span.samples,
                len(signed),
                int(span.priority),
                span.thinned,
                self._vault.close(batch_row(stream, epoch, seq), signed),
            ),
        )
        self._db.execute("INSERT OR REPLACE INTO chain (stream, seq, entry) VALUES (?, ?, ?)", (stream, seq, statement.entry_hash(signed)))
        self.bytes += len(signed)

    def select(self, where: str, parameters: tuple[Any, ...], max_bytes: int) -> list[Sealed]:
        """The oldest first, at least one if there is any, and no more than max_bytes of them. The last parameter is the limit of their count."""
        found: list[Sealed] = []
        size = 0
        query = (
            "SELECT b.id, b.stream, b.epoch, b.seq, t.digest, b.samples, b.sealed_us, b.bytes, b.statement, b.priority FROM batch b JOIN tag_table t ON t.id = b.table_id"  # noqa: S608 - conditions are written here only
            f" WHERE {where} ORDER BY b.id LIMIT ?"
        )
        for number, name, epoch, seq, digest, samples, sealed_us, size_bytes, signed, priority in self._db.execute(query, parameters):
            size += size_bytes
            if found and size > max_bytes:
                break
            found.append(Sealed(number, name, epoch, seq, digest, samples, sealed_us, self.read(name, epoch, seq, signed), priority))
        return found

    def acknowledge(self, receipts: Iterable[tuple[int, bytes]]) -> None:
        self._db.executemany(
            "UPDATE batch SET state = 'acknowledged', receipt = ? WHERE id = ? AND state IN ('sealed', 'again')",
            [(r, i) for i, r in receipts],
        )

    def refuse(self, batch_id: int, cause: str, states: Sequence[str] = ("sealed", "again")) -> None:
        marks = ", ".join("?" * len(states))
        self._db.execute(f"UPDATE batch SET state = 'refused', cause = ? WHERE id = ? AND state IN ({marks})", (cause, batch_id, *states))  # noqa: S608

    def again(self, batch_ids: Iterable[int]) -> None:
        self._db.executemany("UPDATE batch SET state = 'again' WHERE id = ? AND state = 'acknowledged'", [(one,) for one in batch_ids])

    def receipts(self, below_id: int, limit: int) -> list[tuple[int, bytes]]:
        query = "SELECT id, receipt FROM batch WHERE state = 'acknowledged' AND id < ? ORDER BY id DESC LIMIT ?"
        return self._db.execute(query, (below_id, limit)).fetchall()

    def delete(self, query: str, parameters: tuple[Any, ...]) -> int:
        """Those that `query` names by id and bytes; returns how many."""
        rows = self._db.execute(query, parameters).fetchall()
        self._db.executemany(
            "UPDATE chain SET head_gone = 1 WHERE (stream, seq) = (SELECT stream, seq FROM batch WHERE id = ?)", [row[:1] for row in rows]
        )
        self._db.executemany("DELETE FROM batch WHERE id = ?", [row[:1] for row in rows])
        self.bytes -= sum(row[1] for row in rows)
        return len(rows)

    def newest(self, count: int, table_id: int | None = None) -> list[statement.Payload]:
        """Contents of the newest batches under a tag table, oldest first. What was thinned is numbered anew and old all the same."""
        query = "SELECT stream, epoch, seq, statement FROM batch WHERE ?1 IS NULL OR table_id = ?1 ORDER BY thinned > 0, id DESC LIMIT ?2"
        rows = self._db.execute(query, (table_id, count)).fetchall()
        return [payload_of(self.read(*row)) for row in reversed(rows)]

    def backlog(self, open_samples: int, total_bytes: int) -> Backlog:
        states = {row[0]: row[1:] for row in self._db.execute(COUNTS)}
        waits = [states[state] for state in ("sealed", "again") if state in states]
        return Backlog(
            open_samples=open_samples,
            sealed_batches=sum(one[0] for one in waits),
            sealed_samples=sum(one[1] for one in waits),
            sealed_bytes=sum(one[2] for one in waits),
            acknowledged_batches=states.get("acknowledged", (0,))[0],
            refused_batches=states.get("refused", (0,))[0],
            total_bytes=total_bytes,
            oldest_sealed_us=min((one[3] for one in waits), default=0),
        )


def payload_of(signed: bytes) -> statement.Payload:
    """Of a batch of ours; an empty one when the file was damaged there, so that one batch never stops the rest."""
    try:
        return statement.parse(signed).open()
    except BatchError as error:
        log.error("batch_damaged cause=%s", error)
        return statement.Payload(table_digest=bytes(32), groups=())
