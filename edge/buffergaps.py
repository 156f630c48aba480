"""What the buffer has to tell of samples that are missing: gap records that wait for the next batch, and losses whose end is not known yet.

Gaps of one reason that touch become one, so that a long loss is one record. Every method runs inside a transaction of the caller.
Not for: deciding that something is dropped (`edge.buffercap`), or what a gap means (`protocols.batch.columns`).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.batch.columns import Gap, GapReason, is_sequence
from protocols.frame import Frame, Priority

GAP_JOIN_US: Final = 1_000_000
GAPS_OF_A_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Drop:
    """Samples that one class of devices lost for one reason."""

    reason: GapReason
    priority: Priority
    samples: int


class Gaps:
    """`refresh` after a transaction that was rolled back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._undeclared: tuple[int, GapReason] | None = None
        self.refresh()

    def refresh(self) -> None:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'undeclared'").fetchone()
        self._undeclared = (int.from_bytes(row[0][:8], "big"), GapReason(row[0][8])) if row else None

    def add(self, gap: Gap, stream: str = "", *, counted: bool = False) -> None:
        """counted: its samples have been told before and are in the totals. Times join within GAP_JOIN_US (a record may claim a second too much, never too little), numbers that follow each other. A gap of
        numbers belongs to its stream and rides on a batch of it."""
        stream = stream if is_sequence(gap.reason) else ""
        reach = 1 if stream else GAP_JOIN_US
        joined = self._db.execute(
            "UPDATE gap SET start = min(start, ?), end = max(end, ?), samples = samples + ? WHERE reason = ? AND stream = ? AND priority = ?"
            " AND start - ? <= ? AND ? - end <= ?",
            (gap.start, gap.end, gap.samples, int(gap.reason), stream, int(gap.priority), gap.end, reach, gap.start, reach),
        )
        if not joined.rowcount:
            self._db.execute(
                "INSERT INTO gap (stream, start, end, reason, samples, priority) VALUES (?, ?, ?, ?, ?, ?)",
                (stream, gap.start, gap.end, int(gap.reason), gap.samples, int(gap.priority)),
            )
        if gap.samples and not counted:
            self._db.execute(
                "INSERT INTO dropped (reason, priority, samples) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET samples = samples + excluded.samples",
                (int(gap.reason), int(gap.priority), gap.samples),
            )

    def dropped(self) -> tuple[Drop, ...]:
        """All that was ever dropped from this file, as its gap records say."""
        rows = self._db.execute("SELECT reason, priority, samples FROM dropped ORDER BY reason, priority")
        return tuple(Drop(GapReason(reason), Priority(priority), samples) for reason, priority, samples in rows)

    def waiting(self, stream: str, *, times: bool = True) -> list[tuple[int, Gap]]:
        """(row, gap) of what the next batch of the stream has to carry; gaps of numbers are its own, those of times ride on any that takes them."""
        rows = self._db.execute(
            "SELECT id, start, end, reason, samples, priority FROM gap WHERE stream IN (?, ?) ORDER BY id LIMIT ?",
            ("" if times else stream, stream, GAPS_OF_A_BATCH),
        ).fetchall()
        return [(row[0], Gap(row[1], row[2], GapReason(row[3]), row[4], row[5])) for row in rows]

    def told(self, gaps: Sequence[tuple[int, Gap]]) -> None:
        """A batch carries them now."""
        self._db.executemany("DELETE FROM gap WHERE id = ?", [(number,) for number, _ in gaps])

    def declare(self, since_us: int, now_us: int, reason: GapReason) -> None:
        """A gap up to now. While the clock says that now is earlier, it waits for a time that can be its end: see `declare_late`."""
        if now_us > since_us:
            self.add(Gap(since_us, now_us, reason))
            return
        if self._undeclared:
            since_us = min(since_us, self._undeclared[0])
        self._undeclared = (since_us, reason)
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('undeclared', ?)", (since_us.to_bytes(8, "big") + bytes((reason,)),))

    def declare_late(self, frames: Iterable[Frame]) -> None:
        """The first sample after the loss ends it: by its device's clock, or by the gateway's once that was set right."""
        if self._undeclared is None:
            return
        since_us, reason = self._undeclared
        times = [int(block.times_us.max()) for frame in frames for block in frame.blocks if block.times_us.size]
        newest = max([*times, *(frame.gateway_us for frame in frames)], default=0)
        if newest > since_us:
            self.add(Gap(since_us, newest, reason))
            self._db.execute("DELETE FROM meta WHERE key = 'undeclared'")
            self._undeclared = None
