"""What goes when the buffer has reached its cap: acknowledged batches first; then, if the policy says so, the oldest that nobody has.

Every drop of data that no receipt covers becomes gap records: the batch's number and the times of its samples.
Not for: counting what is stored, or refusing frames (`edge.buffer`). Runs inside a transaction of the caller.
"""

import sqlite3
from collections.abc import Callable

from edge.bufferbatches import Batches, payload_of
from edge.buffergaps import Gaps
from protocols.batch.columns import Gap, GapReason


class Cap:
    def __init__(self, connection: sqlite3.Connection, batches: Batches, gaps: Gaps, *, drop_oldest: bool) -> None:
        self._db, self._batches, self._gaps, self._drop_oldest = connection, batches, gaps, drop_oldest

    def make_room(self, missing: Callable[[], int]) -> bool:
        """Until nothing is missing; False when that cannot be."""
        while missing() > 0 and self._batches.delete("SELECT id, bytes FROM batch WHERE state = 'acknowledged' ORDER BY id LIMIT 16", ()):
            pass
        while missing() > 0:
            if not self._drop_oldest or not self._drop():
                return False
        return True

    def _drop(self) -> bool:
        oldest = self._db.execute(
            "SELECT id, stream, seq, first_us, last_us, statement FROM batch WHERE state IN ('again', 'sealed') ORDER BY state, id LIMIT 1"
        ).fetchone()
        if oldest is None:
            return False
        number, stream, seq, first_us, last_us, signed = oldest
        self._batches.delete("SELECT id, bytes FROM batch WHERE id = ?", (number,))
        dropped = payload_of(signed)
        for gap in dropped.gaps:  # what the dropped batch said of earlier gaps must not go with it
            self._gaps.add(gap, stream)
        self._gaps.add(Gap(seq, seq, GapReason.SEALED_DROPPED), stream)
        times = [int(moment) for group in dropped.groups for moment in (group.times_us.min(), group.times_us.max())]
        self._gaps.add(Gap(min(times, default=first_us), max(times, default=last_us), GapReason.DROPPED_BY_CAP))
        return True
