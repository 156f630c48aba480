"""SQL of the reaction: batches by their place in the log, the state carried for each site.

Every function works inside the caller's tenant transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.db import Connection
from cloud.evidence.arrived import COLUMNS, Arrived, read
from protocols.batch import evidence
from protocols.batch.evidence import Row


@dataclass(frozen=True, slots=True)
class SiteStanding:
    """evidence: the site's newest health row. log_size: entries of the log it has seen. anchored: rows since its chain began."""

    evidence: bytes
    log_size: int
    model: bytes
    anchored: int
    state: bytes


async def arrived(
    connection: Connection, tenant_id: int, gateways: Sequence[str], from_size: int, to_size: int, limit: int
) -> list[tuple[int, Arrived]]:
    """(position, batch) of the gateways' live batches logged in [from_size, to_size), in the order of the log, at most `limit`."""
    cursor = await connection.execute(
        f"SELECT {COLUMNS} FROM log_entry JOIN batch ON batch.tenant_id = log_entry.tenant_id AND batch.log_id = log_entry.log_id"  # noqa: S608
        " JOIN gateway ON gateway.tenant_id = batch.tenant_id AND gateway.gateway_id = batch.gateway_id"
        " WHERE log_entry.tenant_id = %s AND log_entry.position >= %s AND log_entry.position < %s AND log_entry.kind = 'batch'"
        " AND batch.stream = 'live' AND gateway.name = ANY(%s) ORDER BY log_entry.position LIMIT %s",
        (tenant_id, from_size, to_size, list(gateways), limit),
        binary=True,
    )
    return read(await _rows(cursor))


async def standing(connection: Connection, tenant_id: int, site: str) -> SiteStanding | None:
    """Locked to the end of the transaction: one process at a time moves a site."""
    cursor = await connection.execute(
        "SELECT evidence, log_size, model, anchored, state FROM reaction_state WHERE tenant_id = %s AND site = %s FOR UPDATE",
        (tenant_id, site),
        binary=True,
    )
    rows = await _rows(cursor)
    return SiteStanding(bytes(rows[0][0]), rows[0][1], bytes(rows[0][2]), rows[0][3], bytes(rows[0][4])) if rows else None


async def stand(connection: Connection, tenant_id: int, site: str, now: SiteStanding) -> None:
    await connection.execute(
        "INSERT INTO reaction_state (tenant_id, site, evidence, log_size, model, anchored, state) VALUES (%s, %s, %b, %s, %b, %s, %b)"
        " ON CONFLICT (tenant_id, site) DO UPDATE SET evidence = excluded.evidence, log_size = excluded.log_size,"
        " model = excluded.model, anchored = excluded.anchored, state = excluded.state",
        (tenant_id, site, now.evidence, now.log_size, now.model, now.anchored, now.state),
    )


# Subjects by steps through the index, then the newest row of each: as fast after a year of rows as after a day.
_FORECASTS: Final = (
    "WITH RECURSIVE stream (name) AS ((SELECT subject FROM evidence WHERE tenant_id = %(tenant)s AND kind = 'forecast' ORDER BY subject LIMIT 1)"
    " UNION ALL SELECT (SELECT subject FROM evidence WHERE tenant_id = %(tenant)s AND kind = 'forecast' AND subject > stream.name"
    "  ORDER BY subject LIMIT 1) FROM stream WHERE stream.name IS NOT NULL)"
    " SELECT newest.document FROM stream CROSS JOIN LATERAL (SELECT document FROM evidence WHERE tenant_id = %(tenant)s"
    "  AND kind = 'forecast' AND subject = stream.name AND as_of_us <= %(as_of)s ORDER BY as_of_us DESC, evidence_id DESC LIMIT 1) AS newest"
)


async def forecasts(connection: Connection, tenant_id: int, as_of_us: int) -> list[Row]:
    """The newest forecast of every stream there ever was, as of then."""
    cursor = await connection.execute(_FORECASTS, {"tenant": tenant_id, "as_of": as_of_us}, binary=True)
    return [evidence.decode(bytes(row[0])) for row in await _rows(cursor)]


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
