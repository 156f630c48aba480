"""SQL of ESG: batches of a stretch of time by their place in the log, day rows as they were known, registered measures.

Every function works inside the caller's tenant transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from cloud.db import Connection
from cloud.esg.spans import DAY_US
from cloud.esg.stages import EMISSIONS, DayRow
from cloud.evidence.arrived import COLUMNS, Arrived, read
from protocols.batch import evidence
from protocols.batch.evidence import Row

STREAMS: Final = ("live", "backfill")
ALWAYS: Final = (1 << 63) - 1


async def arrived(
    connection: Connection, tenant_id: int, gateways: Sequence[str], time_us: tuple[int, int], log: tuple[int, int], limit: int
) -> list[tuple[int, Arrived]]:
    """(position, batch) of the gateways with samples in [from, to), logged in [from, to), in the order of the log, at most `limit`."""
    cursor = await connection.execute(
        f"SELECT {COLUMNS} FROM batch JOIN log_entry ON log_entry.tenant_id = batch.tenant_id AND log_entry.log_id = batch.log_id"  # noqa: S608
        " JOIN gateway ON gateway.tenant_id = batch.tenant_id AND gateway.gateway_id = batch.gateway_id"
        " WHERE batch.tenant_id = %(tenant)s AND gateway.name = ANY(%(gateways)s) AND batch.stream = ANY(%(streams)s)"
        " AND batch.t_min_us >= %(begun)s AND batch.t_min_us < %(to)s AND batch.t_max_us >= %(from)s"
        " AND log_entry.position >= %(low)s AND log_entry.position < %(high)s ORDER BY log_entry.position LIMIT %(limit)s",
        {
            "tenant": tenant_id,
            "gateways": list(gateways),
            "streams": list(STREAMS),
            "begun": time_us[0] - DAY_US,  # no batch is longer than a day; it lets the index skip what is older
            "from": time_us[0],
            "to": time_us[1],
            "low": log[0],
            "high": log[1],
            "limit": limit,
        },
        binary=True,
    )
    return read(await _rows(cursor))


async def day_rows(connection: Connection, tenant_id: int, subjects: Sequence[str], known_at_us: int = ALWAYS) -> list[DayRow]:
    """Of each day the row that was the newest at a time; days without one are left out."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (subject) subject, digest, as_of_us, document FROM evidence WHERE tenant_id = %s AND kind = %s"
        " AND subject = ANY(%s) AND as_of_us <= %s ORDER BY subject, as_of_us DESC, evidence_id DESC",
        (tenant_id, EMISSIONS, list(subjects), known_at_us),
        binary=True,
    )
    rows = [(row[0], bytes(row[1]), row[2], evidence.decode(bytes(row[3]))) for row in await _rows(cursor)]
    return [day_row(subject, digest, row) for subject, digest, _, row in rows]


def day_row(subject: str, digest: bytes, row: Row) -> DayRow:
    return DayRow(subject, digest, row.as_of_us, row.output, int(row.parameters["log_size"]), row.inputs.contents["inventory"])


async def touched(connection: Connection, tenant_id: int, log: tuple[int, int], margin_us: int) -> list[tuple[str, int, int, int]]:
    """(gateway, first day, last day, newest position) of the batches logged in [from, to); days count from 1970, with the margin beside."""
    cursor = await connection.execute(
        "SELECT gateway.name, (greatest(batch.t_min_us, -%(far)s) - %(margin)s) / %(day)s, (least(batch.t_max_us, %(far)s) + %(margin)s) / %(day)s,"
        " max(log_entry.position)"
        " FROM log_entry JOIN batch ON batch.tenant_id = log_entry.tenant_id AND batch.log_id = log_entry.log_id"
        " JOIN gateway ON gateway.tenant_id = batch.tenant_id AND gateway.gateway_id = batch.gateway_id"
        " WHERE log_entry.tenant_id = %(tenant)s AND log_entry.position >= %(low)s AND log_entry.position < %(high)s"
        " AND batch.stream = ANY(%(streams)s) AND batch.t_min_us IS NOT NULL GROUP BY 1, 2, 3",
        {"tenant": tenant_id, "low": log[0], "high": log[1], "margin": margin_us, "day": DAY_US, "far": 1 << 61, "streams": list(STREAMS)},
        binary=True,
    )
    return [(row[0], int(row[1]), int(row[2]), int(row[3])) for row in await _rows(cursor)]


@dataclass(frozen=True, slots=True)
class StoredMeasure:
    known_at_us: int
    by: str
    document: str


async def add_measures(connection: Connection, tenant_id: int, rows: Sequence[Mapping[str, Any]], known_at_us: int, by: str) -> None:
    """rows: kind, site, name, first, last, document."""
    columns = {name: [row[name] for row in rows] for name in ("kind", "site", "name", "first", "last", "document")}
    await connection.execute(
        "INSERT INTO esg_measure (tenant_id, kind, site, name, first_day, last_day, known_at_us, by, document)"
        " SELECT %(tenant)s, kind, site, name, first, last, %(known)s, %(by)s, document"
        " FROM unnest(%(kind)s::text[], %(site)s::text[], %(name)s::text[], %(first)s::date[], %(last)s::date[], %(document)s::text[])"
        " AS handed (kind, site, name, first, last, document)",
        {**columns, "tenant": tenant_id, "known": known_at_us, "by": by},
    )


async def measures(connection: Connection, tenant_id: int, first: date, last: date, known_at_us: int, limit: int) -> list[StoredMeasure]:
    """Of each kind, site, name and period within [first, last] what was the newest at a time."""
    cursor = await connection.execute(
        "SELECT known_at_us, by, document FROM (SELECT DISTINCT ON (kind, site, name, first_day, last_day) * FROM esg_measure"
        "  WHERE tenant_id = %s AND first_day >= %s AND last_day <= %s AND known_at_us <= %s"
        "  ORDER BY kind, site, name, first_day, last_day, known_at_us DESC, measure_id DESC) AS newest ORDER BY measure_id LIMIT %s",
        (tenant_id, first, last, known_at_us, limit),
        binary=True,
    )
    return [StoredMeasure(*row) for row in await _rows(cursor)]


async def newest_findings(connection: Connection, tenant_id: int, known_at_us: int) -> list[tuple[str, bytes, bytes]]:
    """(area, digest, document) of the newest plain run of compliance of each area."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (subject) subject, digest, document FROM evidence WHERE tenant_id = %s AND kind = 'finding'"
        " AND position(' ' in subject) = 0 AND as_of_us <= %s ORDER BY subject, as_of_us DESC, evidence_id DESC",
        (tenant_id, known_at_us),
        binary=True,
    )
    return [(row[0], bytes(row[1]), bytes(row[2])) for row in await _rows(cursor)]


async def tag_units(connection: Connection, tenant_id: int) -> dict[str, str]:
    """Unit by "gateway/device.tag" of the tags that gateways have told of so far."""
    cursor = await connection.execute(
        "SELECT gateway.name, tag.name, tag.unit FROM tag JOIN gateway ON gateway.tenant_id = tag.tenant_id"
        " AND gateway.gateway_id = tag.gateway_id WHERE tag.tenant_id = %s",
        (tenant_id,),
        binary=True,
    )
    return {f"{row[0]}/{row[1]}": row[2] for row in await _rows(cursor)}


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
