"""Tag tables looked up once: a table is named by its digest and never changes, so the most recent ones are kept."""

from collections import OrderedDict
from contextlib import nullcontext

from cloud.db import Connection, Database
from cloud.telemetry import store
from cloud.telemetry.tags import TagMap
from protocols.devicemap import TagTable


class TagTables:
    """Bounded cache of tag maps by (tenant, gateway, digest)."""

    def __init__(self, db: Database, size: int) -> None:
        self._db, self._size = db, size
        self._known: OrderedDict[tuple[int, int, bytes], TagMap] = OrderedDict()

    async def get(self, tenant_id: int, gateway_id: int, digest: bytes, connection: Connection | None = None) -> TagMap | None:
        """`connection`: the caller's, if it has one, so that it never waits for a second while it holds the first."""
        key = (tenant_id, gateway_id, digest)
        found = self._known.get(key)
        if found is None:
            async with nullcontext(connection) if connection else self._db.tenant(tenant_id) as open_one:
                text = await store.tag_table_text(open_one, tenant_id, gateway_id, digest)
                if text is None:
                    return None
                names = await store.tag_ids(open_one, tenant_id, gateway_id)
            found = TagMap(TagTable.parse(text), names)
            self._known[key] = found
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found
