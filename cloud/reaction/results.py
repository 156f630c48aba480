"""The newest result of every kind and subject, in memory, for those who read them live. The rows in the database are the truth.

Conflated like latest values: a reader that falls behind is told the newest, never the ones between.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from cloud.evidence.api import plain
from cloud.telemetry.live import Frame
from protocols.batch.evidence import Row


@dataclass(slots=True)
class _Tenant:
    version: int = 0
    newest: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


def document(digest: bytes, row: Row, made_us: int, sensed_us: tuple[int, int] | None) -> bytes:
    """A result as JSON. sensed_us: source times of the first and just after the last new sample that led to it, None when none did."""
    members: Mapping[str, Any] = {
        "kind": row.kind,
        "subject": row.subject,
        "id": digest.hex(),
        "as_of_us": row.as_of_us,
        "made_us": made_us,
        "sensed_us": sensed_us,
        "output": plain(row.output),
    }
    return orjson.dumps(members)


class Results:
    def __init__(self) -> None:
        self._tenants: dict[int, _Tenant] = {}

    def publish(self, tenant_id: int, kind: str, subject: str, shown: bytes) -> None:
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        tenant.version += 1
        tenant.newest[kind, subject] = (tenant.version, shown)
        tenant.changed.set()
        tenant.changed = asyncio.Event()

    def since(self, tenant_id: int, sees: Callable[[str], bool], version: int = 0) -> tuple[int, list[bytes]]:
        """(newest version, results after `version` in the order they came). sees: whether a kind is for whoever asks."""
        tenant = self._tenants.get(tenant_id) or _Tenant()
        found = sorted(entry for (kind, _), entry in tenant.newest.items() if entry[0] > version and sees(kind))
        return tenant.version, [shown for _, shown in found]

    def version(self, tenant_id: int) -> int:
        tenant = self._tenants.get(tenant_id)
        return tenant.version if tenant else 0

    async def wait(self, tenant_id: int, version: int) -> None:
        """Return when there is something newer than `version`."""
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        while tenant.version <= version:
            await tenant.changed.wait()


class ResultFeed:
    """Results as one reader of the live stream sees them."""

    def __init__(self, results: Results, tenant_id: int, sees: Callable[[str], bool]) -> None:
        self._results, self._tenant_id, self._sees, self._version = results, tenant_id, sees, 0

    async def news(self) -> list[Frame]:
        self._version, found = self._results.since(self._tenant_id, self._sees, self._version)
        return [Frame("result", shown) for shown in found]
