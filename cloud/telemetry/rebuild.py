"""Latest values rebuilt at the start of a hub, from the newest batches of each gateway."""

from typing import Final

from cloud.db import Database
from cloud.telemetry import store
from cloud.telemetry.latest import Latest
from cloud.telemetry.store import StoredBatch
from cloud.telemetry.tables import TagTables
from cloud.telemetry.tags import TagMap
from protocols.batch import statement
from protocols.batch.columns import Group

REBUILD_BATCHES: Final = 200


async def rebuild_latest(db: Database, tables: TagTables, latest: Latest, tenant_id: int) -> None:
    """At the start, from the newest batches of each gateway."""
    async with db.tenant(tenant_id) as connection:
        stored = [
            batch
            for gateway in await store.gateways(connection, tenant_id)
            for batch in await store.newest_batches(connection, tenant_id, gateway.id, REBUILD_BATCHES)
        ]
    for one in stored:
        table, groups = await _decode(tables, tenant_id, one)
        latest.update(tenant_id, table, groups, [table.positions(group) for group in groups])


async def _decode(tables: TagTables, tenant_id: int, one: StoredBatch) -> tuple[TagMap, tuple[Group, ...]]:
    """Of a batch that was verified when it was stored."""
    payload = statement.parse(one.statement).open()
    table = await tables.get(tenant_id, one.gateway_id, payload.table_digest)
    if table is None:
        raise LookupError(f"tag table {payload.table_digest.hex()} of a stored batch is missing")
    return table, payload.groups
