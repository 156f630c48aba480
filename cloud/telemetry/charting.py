"""What a chart of one tag needs: few points of a long window, every extreme kept. From minute rollups where a bucket is a minute or more.

The inside of the window comes from rollups, added up in the database; its rims and what is not compacted yet come from samples. Both are read
in one state of the database. Each bucket gives its lowest and its highest value, and a point without a value where minutes had none, so
that a line breaks there. Times of points inside are those of the minutes they lie in.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cloud.db import Connection
from cloud.telemetry import compactor, series, series_store
from cloud.telemetry.series import MINUTE_US, NOTHING, Samples
from cloud.telemetry.store import TagRow
from cloud.telemetry.window import Windows, decode
from protocols import quality

RIM_SHARE: Final = 4  # one part of so many is for points that come from samples
PER_BUCKET: Final = 3
UNCERTAIN: Final = 0x40000000
_EXTENT: Final = (
    "SELECT min(minute_us), max(minute_us) FROM rollup_minute WHERE tenant_id = %(tenant)s AND tag_id = %(tag)s"
    " AND minute_us > %(from)s AND minute_us < %(to)s"
)
_BUCKETS: Final = (
    "SELECT min(minute_us), max(minute_us), min(low), max(high), sum(count)::bigint, sum(good)::bigint, min(minute_us) FILTER (WHERE low IS NULL)"
    " FROM rollup_minute WHERE tenant_id = %(tenant)s AND tag_id = %(tag)s AND minute_us >= %(from)s AND minute_us < %(to)s"
    " GROUP BY floor((minute_us::float8 - %(from)s::float8) / %(bucket)s::float8) ORDER BY 1"
)


@dataclass(frozen=True, slots=True)
class Chart:
    """size: of the samples it stands for. bucket_us: 0 where the points are samples."""

    points: Samples
    size: int
    bucket_us: int


async def chart(windows: Windows, tenant_id: int, tag: TagRow, from_us: int, to_us: int, points: int) -> Chart:
    """At most `points` (8 or more). Raises Problem as `Windows.samples` does."""
    buckets = max(1, (points - points // RIM_SHARE) // PER_BUCKET)
    async with windows.db.tenant(tenant_id) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        first_us, last_us = await _extent(connection, tenant_id, tag.id, from_us, to_us)
        low_us, high_us = max(from_us, first_us), min(to_us, last_us + MINUTE_US)
        start_us, end_us = -(-low_us // MINUTE_US) * MINUTE_US, high_us // MINUTE_US * MINUTE_US
        minutes = max(0, end_us - start_us) // MINUTE_US
        if minutes > buckets:
            bucket_us = -(-minutes // buckets) * MINUTE_US
            window = {"tenant": tenant_id, "tag": tag.id, "from": start_us, "to": end_us, "bucket": bucket_us}
            cursor = await connection.execute(_BUCKETS, window, binary=True)
            inside, size = _points(await cursor.fetchall())
            rest = await _rest(windows, connection, tenant_id, tag, (from_us, start_us, end_us, to_us))
            thinned = series.decimate(rest, max(5, points // RIM_SHARE))
            return Chart(series.merge([inside, thinned]), size + rest.times_us.size, bucket_us)
    found = await windows.samples(tenant_id, tag, from_us, to_us)
    thinned = await asyncio.get_running_loop().run_in_executor(windows.threads, series.decimate, found, points)
    return Chart(thinned, found.times_us.size, 0)


async def _extent(connection: Connection, tenant_id: int, tag_id: int, from_us: int, to_us: int) -> tuple[int, int]:
    """The first and the last minute of the window that has samples; an empty span where none has."""
    window = {"tenant": tenant_id, "tag": tag_id, "from": max(from_us - MINUTE_US, -(1 << 63)), "to": to_us}
    cursor = await connection.execute(_EXTENT, window, binary=True)
    row: Any = await cursor.fetchone()
    return (0, -MINUTE_US) if row[0] is None else (row[0], row[1])


def _points(rows: list[Any]) -> tuple[Samples, int]:
    """(points, size) of what the database added up."""
    times: list[int] = []
    values: list[float] = []
    codes: list[int] = []
    for first_us, last_us, low, high, count, good, missing_us in rows:
        if low is not None:
            code = 0 if good == count else UNCERTAIN
            ends = [(first_us, low), (last_us + MINUTE_US // 2, high)] if low != high else [(first_us, low)]
            times += [at_us for at_us, _ in ends]
            values += [value for _, value in ends]
            codes += [code] * len(ends)
        if missing_us is not None:
            times.append(missing_us)
            values.append(np.nan)
            codes.append(quality.BAD)
    columns = Samples(np.array(times, np.int64), np.array(values, np.float64), np.array(codes, np.uint32))
    return series.merge([columns]), sum(row[4] for row in rows)


async def _rest(windows: Windows, connection: Connection, tenant_id: int, tag: TagRow, edges: tuple[int, int, int, int]) -> Samples:
    """Samples of the rims outside of whole minutes, and those of the whole window that are not compacted yet."""
    from_us, start_us, end_us, to_us = edges
    hours = await series_store.hours(connection, tenant_id, {(tag.id, series.hour_of(at_us)) for at_us in (start_us - 1, end_us)})
    tail = await series_store.tail_of(connection, tenant_id, tag.gateway_id, from_us, to_us)
    tables = await compactor.known_tables(windows.tables, tenant_id, tail, connection)

    def read() -> Samples:
        rims = [series.decode(row) for _, row in sorted(hours.items())]
        parts = [part.between(a, b) for part in rims for a, b in ((from_us, start_us), (end_us, to_us))]
        parts.append(decode(tail, tables, tag.id).between(from_us, to_us) if tail else NOTHING)
        return series.merge(parts)

    return await asyncio.get_running_loop().run_in_executor(windows.threads, read)
