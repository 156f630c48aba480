"""The latest sample of every tag, in memory, as columns: one set of arrays per tenant.

Latest means latest by source time; among equal times the one stored last. Updated after a commit, from the groups as decoded; rebuilt
at the start from the newest batches. Each update has a number, so that a stream can ask what changed since it last looked and
skips what it was too slow for.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cloud.telemetry.tags import TagMap
from protocols import quality
from protocols.batch.columns import Group

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class LatestColumns:
    """values are NaN where the quality is bad. version: ask for what changed after it."""

    version: int
    tag_ids: NDArray[np.int64]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


@dataclass(slots=True)
class _Tenant:
    slots: dict[int, int] = field(default_factory=dict)
    known: dict[int, NDArray[np.intp]] = field(default_factory=dict)  # id of a TagMap -> slot of each of its positions
    maps: list[TagMap] = field(default_factory=list)
    tag_ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    times_us: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    quality: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    versions: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    version: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def slots_of(self, table: TagMap) -> NDArray[np.intp]:
        found = self.known.get(id(table))
        if found is None:
            for tag_id in table.tag_ids.tolist():
                self.slots.setdefault(tag_id, len(self.slots))
            more = len(self.slots) - self.times_us.size
            self.tag_ids = np.fromiter(self.slots, np.int64, len(self.slots))
            self.times_us = np.concatenate((self.times_us, np.full(more, _NEVER)))
            self.values = np.concatenate((self.values, np.full(more, np.nan)))
            self.quality = np.concatenate((self.quality, np.full(more, quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)))
            self.versions = np.concatenate((self.versions, np.zeros(more, np.int64)))
            found = np.array([self.slots[tag_id] for tag_id in table.tag_ids.tolist()], dtype=np.intp)
            self.maps.append(table)  # keeps the id in use
            self.known[id(table)] = found
            if len(self.maps) > 256:
                del self.known[id(self.maps.pop(0))]
        return found


class Latest:
    def __init__(self) -> None:
        self._tenants: dict[int, _Tenant] = {}

    def update(self, tenant_id: int, table: TagMap, groups: Sequence[Group], positions: Sequence[NDArray[np.intp]]) -> None:
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        slots = tenant.slots_of(table)
        tenant.version += 1
        for group, where in zip(groups, positions, strict=True):
            if group.times_us.size and where.size:
                _update(tenant, slots[where], table, where, group)
        tenant.changed.set()
        tenant.changed = asyncio.Event()

    def since(self, tenant_id: int, version: int = 0) -> LatestColumns:
        """What changed after `version`; 0 gives everything that ever had a sample."""
        tenant = self._tenants.get(tenant_id) or _Tenant()
        chosen = tenant.versions > version
        return LatestColumns(tenant.version, tenant.tag_ids[chosen], tenant.times_us[chosen], tenant.values[chosen], tenant.quality[chosen])

    def version(self, tenant_id: int) -> int:
        """The number of the newest update."""
        tenant = self._tenants.get(tenant_id)
        return tenant.version if tenant else 0

    async def wait(self, tenant_id: int, version: int) -> None:
        """Return when there is something newer than `version`."""
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        while tenant.version <= version:
            await tenant.changed.wait()


def _update(tenant: _Tenant, slots: NDArray[np.intp], table: TagMap, where: NDArray[np.intp], group: Group) -> None:
    row = group.times_us.size - 1 - int(np.argmax(group.times_us[::-1]))
    at_us = int(group.times_us[row])
    newer = tenant.times_us[slots] <= at_us
    if not bool(newer.any()):
        return
    values = table.engineering(where, group.values[row : row + 1])[0]
    codes = np.zeros(slots.size, np.uint32) if group.quality is None else group.quality[row].astype(np.uint32)
    values = np.where(codes & np.uint32(quality.BAD) != 0, np.nan, values)
    chosen = slots[newer]
    tenant.times_us[chosen] = at_us
    tenant.values[chosen] = values[newer]
    tenant.quality[chosen] = codes[newer]
    tenant.versions[chosen] = tenant.version
