"""Batches in the order of the tenant's log, as the stages that read samples take them: how far the log has come, and a batch ready to open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.audit import store as audit_store
from cloud.db import Connection
from protocols.batch.evidence import BatchRef

# What `read` takes: of log_entry, gateway and batch joined.
COLUMNS: Final = (
    "log_entry.position, gateway.urn, batch.stream, batch.epoch, batch.seq, batch.entry, batch.gateway_id, batch.tag_table, batch.statement"
)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A batch with all that is needed to open it."""

    ref: BatchRef
    gateway_id: int
    table_digest: bytes
    statement: bytes


async def log_size(connection: Connection, tenant_id: int) -> int:
    """Of the newest checkpoint: every entry below it has its position for good."""
    newest = await audit_store.latest_checkpoint(connection, tenant_id)
    return newest.size if newest else 0


def read(rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, Arrived]]:
    """(position, batch) of rows of COLUMNS."""
    return [
        (row[0], Arrived(BatchRef(row[1], row[2], row[3], row[4], bytes(row[5])), row[6], bytes(row[7]), bytes(row[8]))) for row in rows
    ]
