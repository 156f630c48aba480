"""The open half of the buffer: samples and events that are committed and in no batch yet, and what a broker's redelivery is told by.

Not for: sealing them (`edge.buffer`), how the blocks of a row stand in it (`edge.rows`), transactions: methods that write run inside one of
the caller.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from edge import bufferkey
from edge.bufferkey import Vault
from edge.rows import Rows
from protocols.batch import cbor
from protocols.batch.errors import BatchError
from protocols.event import Event
from protocols.frame import Block, Frame

T = TypeVar("T")
log = logging.getLogger("qenergyz.edge")
MAX_BATCH_SAMPLES: Final = 250_000
MAX_BATCH_EVENTS: Final = 2_000
KEEP_MESSAGE_ROWS: Final = 4096  # frames whose messages a broker might still redeliver: far above any in-flight window


PackedRow = tuple[int, int, int, int, bytes]  # priority, tag table, gateway_us, samples, blocks


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One frame's samples as they stand in the file."""

    id: int
    table_id: int
    gateway_us: int
    samples: int
    blocks: bytes
    priority: int


class OpenRows:
    """bytes: of all rows, samples and events. `refresh` after a transaction that was rolled back."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._db, self._vault = connection, vault
        self.packing = Rows(connection)
        self.bytes = 0
        self._present: set[int] = set()
        self._last: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        self.packing.forget()
        query = "SELECT (SELECT coalesce(sum(length(blocks)), 0) FROM open) + (SELECT coalesce(sum(length(record)), 0) FROM event)"
        self.bytes = int(self._db.execute(query).fetchone()[0])
        self._last = dict(self._db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        self._present = {row[0] for row in self._db.execute("SELECT DISTINCT priority FROM open")}

    def pack(self, frames: Sequence[Frame], table_id: int) -> list[PackedRow]:
        return [
            (int(frame.priority), table_id, frame.gateway_us, frame.samples, self.packing.pack(frame.blocks))
            for frame in frames
            if frame.blocks
        ]

    def add(self, rows: Sequence[PackedRow]) -> None:
        numbered = [
            (number, *row[:4], self._vault.close(bufferkey.open_row(number, *row[:4]), row[4]))
            for number, row in self._number("open", rows)
        ]
        self._db.executemany("INSERT INTO open (id, priority, table_id, gateway_us, samples, blocks) VALUES (?, ?, ?, ?, ?, ?)", numbered)
        self._present.update(row[1] for row in numbered)
        self.bytes += sum(len(row[5]) for row in numbered)

    def _number(self, table: str, rows: Sequence[T]) -> Iterator[tuple[int, T]]:
        """Each with its row's number, which is part of what it is encrypted for."""
        last = self._last.get(table, 0)
        self._last[table] = last + len(rows)
        return enumerate(rows, last + 1)

    def add_events(self, events: Sequence[tuple[int, bytes]]) -> None:
        if events:
            numbered = [
                (number, at_us, self._vault.close(bufferkey.event_row(number, at_us), record))
                for number, (at_us, record) in self._number("event", events)
            ]
            self._db.executemany("INSERT INTO event (id, gateway_us, record) VALUES (?, ?, ?)", numbered)
            self.bytes += sum(len(record) for _, _, record in numbered)

    def add_messages(self, frames: Sequence[Frame]) -> None:
        messages = [(frame.device, b"".join(frame.messages)) for frame in frames if frame.messages]
        if messages:
            self._db.executemany("INSERT INTO message (device, identities) VALUES (?, ?)", messages)

    def cut(self) -> list[OpenRow]:
        """The oldest open rows of one tag table and the highest class, up to MAX_BATCH_SAMPLES."""
        for priority in sorted(self._present, reverse=True):
            if rows := self._cut(priority):
                return rows
            self._present.discard(priority)
        return []

    def _cut(self, priority: int) -> list[OpenRow]:
        rows: list[OpenRow] = []
        total = 0
        query = "SELECT id, table_id, gateway_us, samples, blocks, priority FROM open WHERE priority = ? ORDER BY id"
        for found in self._db.execute(query, (priority,)):
            row = OpenRow(*found)
            if rows and (row.table_id != rows[0].table_id or total + row.samples > MAX_BATCH_SAMPLES):
                break
            rows.append(row)
            total += row.samples
        return rows

    def blocks(self, rows: Sequence[OpenRow]) -> list[Block]:
        """Raises ValueError for a row that is not what was appended."""
        return [block for row in rows for block in self.packing.unpack(self._plain(row))]

    def _plain(self, row: OpenRow) -> bytes:
        return self._vault.open(bufferkey.open_row(row.id, row.priority, row.table_id, row.gateway_us, row.samples), row.blocks)

    def delete(self, rows: Sequence[OpenRow]) -> None:
        """Rows that `cut` gave, side by side."""
        if rows:
            self._db.execute("DELETE FROM open WHERE id BETWEEN ? AND ? AND priority = ?", (rows[0].id, rows[-1].id, rows[0].priority))
            self.bytes -= sum(len(row.blocks) for row in rows)

    def set_aside(self, row: OpenRow, cause: str) -> None:
        """Evidence: it can never be in a batch."""
        kept = row.blocks
        with suppress(ValueError):  # else as it stands there
            kept = self._vault.close(bufferkey.set_aside_row(row.gateway_us), self._plain(row))
        self._db.execute("INSERT INTO set_aside (gateway_us, cause, blocks) VALUES (?, ?, ?)", (row.gateway_us, cause, kept))
        self.delete((row,))

    def event(self, row: tuple[int, int, bytes]) -> dict[Any, Any] | None:
        """Members of an event; None when the row was altered in the file."""
        try:
            members = cbor.decode_strict(self._vault.open(bufferkey.event_row(row[0], row[1]), row[2]))
        except (ValueError, BatchError) as error:
            log.error("event_damaged gateway_us=%d cause=%s", row[1], error)
            return None
        return members if isinstance(members, dict) else None

    def cut_events(self) -> list[tuple[int, int, bytes]]:
        """(id, gateway_us, record) of the oldest."""
        return self._db.execute("SELECT id, gateway_us, record FROM event ORDER BY id LIMIT ?", (MAX_BATCH_EVENTS,)).fetchall()

    def delete_events(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        self._db.execute("DELETE FROM event WHERE id <= ?", (rows[-1][0],))
        self.bytes -= sum(len(record) for _, _, record in rows)

    def delivered(self, device: str) -> frozenset[bytes]:
        """Identities of the broker messages of the device's newest frames (`Frame.messages`)."""
        rows = self._db.execute("SELECT identities FROM message WHERE device = ?", (device,)).fetchall()
        return frozenset(row[0][at : at + 16] for row in rows for at in range(0, len(row[0]), 16))

    def forget_messages(self) -> None:
        self._db.execute("DELETE FROM message WHERE id <= (SELECT max(id) FROM message) - ?", (KEEP_MESSAGE_ROWS,))

    def readable(self, which: str, parameters: tuple[Any, ...] = ()) -> list[Block]:
        """Blocks of the rows that `which` selects; an altered one is passed over here and set aside when it is sealed."""
        found: list[Block] = []
        for row in self._db.execute(f"SELECT id, table_id, gateway_us, samples, blocks, priority FROM open {which}", parameters):  # noqa: S608
            with suppress(ValueError):
                found += self.blocks((OpenRow(*row),))
        return found

    def samples(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(samples), 0) FROM open").fetchone()[0])


def size_of(frame: Frame) -> int:
    """Bytes that its rows will take, or a little more, without packing it."""
    blocks = sum(
        32 + block.times_us.nbytes + block.values.nbytes + block.tags.nbytes + (0 if block.quality is None else block.quality.nbytes)
        for block in frame.blocks
    )
    return blocks + sum(len(event_row(event)[1]) for event in frame.events)


def event_row(event: Event) -> tuple[int, bytes]:
    return event.gateway_us, cbor.encode(event.members())
