"""What goes when the buffer has reached its cap, or the disk has hardly room left: acknowledged batches first, then the lowest class.

Each class has a policy. `drop_oldest`: its oldest sealed batches go. `thin_out`: of its sealed history every second sample goes, the whole of
it before any part a second time, down to one in 64; then as drop_oldest. `stop_newest`: what it has stays, new samples are not taken. A class never
makes room at the cost of a higher one. Every drop of data that no receipt covers becomes gap records, counted.

A batch's bytes never change: thinned samples are sealed as a new batch of the stream `backfill` and the old numbers are declared dropped. What the
hub may have already, because it was offered, is never thinned: it would arrive twice.
Not for: counting what is stored, or refusing frames (`edge.buffer`). Runs inside a transaction of the caller.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bufferbatches import Batches, Sealed, Span, payload_of
from edge.buffergaps import Gaps
from edge.config import Policies, WhenFull
from protocols.batch import columns, statement
from protocols.batch.columns import Gap, GapReason, Group
from protocols.batch.errors import BatchError
from protocols.devicemap import TagTable, TagType
from protocols.frame import Block, Priority
from protocols.signing import Signer

log = logging.getLogger("qenergyz.edge")
DISK_RESERVE: Final = 4_000_000  # what a commit and its journal may need at once
SPARE_PAGES_BYTES: Final = 256_000
MOST_THINNED: Final = 6
MERGED: Final = 16
MERGED_SAMPLES: Final = 200_000
THINNED_STREAM: Final = "backfill"
Row = tuple[int, str, int, int, int, int, int, int, int, bytes, int]
_COLUMNS: Final = "id, stream, seq, table_id, first_us, last_us, sealed_us, samples, thinned, statement, epoch"


class Cap:
    """`sign_with` before anything can be thinned."""

    def __init__(self, connection: sqlite3.Connection, batches: Batches, gaps: Gaps, policies: Policies) -> None:
        self._db, self._batches, self._gaps, self._policies = connection, batches, gaps, policies
        self._signing: tuple[str, Signer, int] | None = None
        self._steps: dict[int, NDArray[np.uint32]] = {}

    def sign_with(self, gateway: str, signer: Signer, epoch: int) -> None:
        self._signing = gateway, signer, epoch

    def limit(self, max_bytes: int, priority: Priority) -> int:
        """A class that stops leaves a sixteenth to the others: else it would fill, for good, what they give up."""
        return max_bytes - max_bytes // 16 if self._policies.of(priority) is WhenFull.STOP_NEWEST else max_bytes

    def make_room(self, missing: Callable[[], int], priority: Priority) -> bool:
        """For data of that class, until nothing is missing; False when that cannot be."""
        while missing() > 0 and self._batches.delete("SELECT id, bytes FROM batch WHERE state = 'acknowledged' ORDER BY id LIMIT 16", ()):
            pass
        for lower in Priority:
            policy = self._policies.of(lower)
            if lower > priority or policy is WhenFull.STOP_NEWEST:
                continue
            while missing() > 0:
                if not (policy is WhenFull.THIN_OUT and self._thin(lower)) and not self._drop(lower):
                    break
        return missing() <= 0

    # -- what the hub may have

    def begin(self) -> None:
        """Of classes that are thinned only since this start, what waits may have been offered before."""
        thinned = bytes(one for one in Priority if self._policies.of(one) is WhenFull.THIN_OUT)
        row = self._db.execute("SELECT value FROM meta WHERE key = 'thinned_classes'").fetchone()
        for one in set(thinned) - set(row[0] if row else b""):
            self._db.execute("UPDATE batch SET offered = 1 WHERE priority = ?", (one,))
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('thinned_classes', ?)", (thinned,))

    def offer(self, batches: Iterable[Sealed]) -> list[int]:
        """These go to the hub now; returns which of them had never gone."""
        thinnable = [one.id for one in batches if self._policies.of(Priority(one.priority)) is WhenFull.THIN_OUT]
        return [
            number
            for number in thinnable
            if self._db.execute("UPDATE batch SET offered = 1 WHERE id = ? AND offered = 0", (number,)).rowcount
        ]

    def not_offered(self, numbers: Iterable[int]) -> None:
        """Not a byte of them went out."""
        self._db.executemany("UPDATE batch SET offered = 0 WHERE id = ?", [(number,) for number in numbers])

    # -- dropping

    def _drop(self, priority: Priority) -> bool:
        query = f"SELECT {_COLUMNS} FROM batch WHERE state IN ('again', 'sealed') AND priority = ? ORDER BY state, first_us, id LIMIT 1"  # noqa: S608
        oldest: Row | None = self._db.execute(query, (int(priority),)).fetchone()
        if oldest is None:
            return False
        dropped = self._take(oldest)
        first_us, last_us = _times(dropped, oldest[4], oldest[5])
        lost = max(oldest[7], sum(group.samples for group in dropped.groups)) + len(dropped.events)
        self._gaps.add(Gap(first_us, last_us, GapReason.DROPPED_BY_CAP, lost, priority))
        return True

    def _take(self, row: Row) -> statement.Payload:
        """Delete a batch and declare its number; what it said of earlier gaps must not go with it."""
        self._batches.delete("SELECT id, bytes FROM batch WHERE id = ?", (row[0],))
        payload = self._payload(row)
        for gap in payload.gaps:
            self._gaps.add(gap, row[1], counted=True)
        self._gaps.add(Gap(row[2], row[2], GapReason.SEALED_DROPPED), row[1])
        return payload

    def _payload(self, row: Row) -> statement.Payload:
        return payload_of(self._batches.read(row[1], row[10], row[2], row[9]))

    # -- thinning

    def _thin(self, priority: Priority) -> bool:
        """Halve the oldest of what was halved least; False when there is nothing left to halve."""
        rows = self._least_thinned(priority)
        if not rows or self._signing is None:
            return False
        payloads = [self._payload(row) for row in rows]
        blocks = [
            Block(group.tags, group.times_us, group.values, group.quality) for one in payloads for group in one.groups if group.samples
        ]
        try:
            before = columns.gather(blocks)
            after = tuple(halved(group, self._steps_of(rows[0][3])) for group in before)
            lost = sum(group.samples for group in before) - sum(group.samples for group in after)
            if not lost:
                raise ValueError("nothing in it can go")
            self._replace(rows, replace(payloads[-1], groups=after, gaps=(), events=()), priority)
        except (ValueError, BatchError) as error:
            log.warning("batch_not_thinned id=%d cause=%s", rows[0][0], error)
            self._db.executemany("UPDATE batch SET thinned = ? WHERE id = ?", [(MOST_THINNED, row[0]) for row in rows])
            return True
        times = [moment for row, one in zip(rows, payloads, strict=True) for moment in _times(one, row[4], row[5])]
        self._gaps.add(Gap(min(times), max(times), GapReason.THINNED_OUT, lost, priority))
        return True

    def _least_thinned(self, priority: Priority) -> Sequence[Row]:
        """Neighbours in time under one tag table, together no more than a batch may hold."""
        query = (
            f"SELECT {_COLUMNS} FROM batch WHERE state = 'sealed' AND priority = ? AND offered = 0 AND thinned < ? AND samples > 0"  # noqa: S608
            " ORDER BY thinned, first_us, id LIMIT ?"
        )
        found: list[Row] = self._db.execute(query, (int(priority), MOST_THINNED, MERGED)).fetchall()
        rows = found[:1]
        for row in found[1:]:
            if (row[3], row[8]) != (rows[0][3], rows[0][8]) or sum(one[7] for one in rows) + row[7] > MERGED_SAMPLES:
                break
            rows.append(row)
        return rows

    def _replace(self, rows: Sequence[Row], payload: statement.Payload, priority: Priority) -> None:
        assert self._signing is not None
        gateway, signer, epoch = self._signing
        signed, seq = self._batches.sign(payload, gateway, signer, THINNED_STREAM, epoch)
        for row in rows:
            self._take(row)
        first_us, last_us = min(row[4] for row in rows), max(row[5] for row in rows)
        span = Span(rows[0][3], first_us, last_us, payload.samples, priority, rows[0][8] + 1)
        self._batches.store(signed, THINNED_STREAM, epoch, seq, span, rows[0][6])

    def _steps_of(self, table_id: int) -> NDArray[np.uint32]:
        """Truth values and enumerations of a tag table: their changes are never thinned away."""
        if table_id not in self._steps:
            signed = self._db.execute("SELECT statement FROM tag_table WHERE id = ?", (table_id,)).fetchone()[0]
            entries = TagTable.parse(statement.parse_tag_table(signed).text).entries
            self._steps[table_id] = np.array([one.id for one in entries if one.type is TagType.BOOL or one.labels], np.uint32)
        return self._steps[table_id]


def halved(group: Group, steps: NDArray[np.uint32]) -> Group:
    """Every second row, the last, and each row where a quality or one of the tags `steps` changes."""
    rows = len(group.times_us)
    keep = np.zeros(rows, np.bool_)
    keep[::2] = keep[-1:] = True
    stepping = group.values[:, np.isin(group.tags, steps)]
    keep[1:] |= (stepping[1:] != stepping[:-1]).any(axis=1)
    if group.quality is not None:
        keep[1:] |= (group.quality[1:] != group.quality[:-1]).any(axis=1)
    return Group(group.tags, group.times_us[keep], group.values[keep], None if group.quality is None else group.quality[keep])


def disk_missing(folder: Path, connection: sqlite3.Connection, needed: int) -> int:
    """Bytes that must become free inside the file before it takes `needed` more, because the disk has no more to give; else 0 or less,
    by what there is to spare."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize - DISK_RESERVE
    if free >= needed:
        return needed - free
    spare = connection.execute("PRAGMA freelist_count").fetchone()[0] * connection.execute("PRAGMA page_size").fetchone()[0]
    return int(needed + SPARE_PAGES_BYTES - spare - max(0, free))


def _times(payload: statement.Payload, first_us: int, last_us: int) -> tuple[int, int]:
    """Of the samples; of the rows they were sealed from where the batch has none."""
    times = [int(moment) for group in payload.groups if group.samples for moment in (group.times_us.min(), group.times_us.max())]
    return min(times, default=first_us), max(times, default=last_us)
