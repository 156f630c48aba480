"""What `qenergyz hub completeness` says: of every tag of a gateway "all present", or its gaps with cause and duration, as text or JSON.

The decision is made in `completeness`, the reading in `window`; this only asks for every tag and writes it down.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cloud.db import Database
from cloud.telemetry import store
from cloud.telemetry.completeness import Missing
from cloud.telemetry.tables import TagTables
from cloud.telemetry.window import Windows
from protocols.tomlfile import nearest

TABLES: Final = 64
SHOWN: Final = 20  # gaps of a tag in text; JSON has all


@dataclass(frozen=True, slots=True)
class Stated:
    """Of one tag of the gateway."""

    tag: str
    gaps: tuple[Missing, ...]

    @property
    def complete(self) -> bool:
        return not self.gaps


async def of_gateway(db: Database, tenant_id: int, gateway: str, tag: str | None, from_us: int, to_us: int) -> tuple[Stated, ...]:
    """In the order of names. Raises LookupError with a sentence."""
    async with db.tenant(tenant_id) as connection:
        gateways = {row.name: row for row in await store.gateways(connection, tenant_id)}
        rows = [row for row in await store.tags(connection, tenant_id) if row.gateway == gateway]
    if gateway not in gateways:
        raise LookupError(f'there is no gateway "{gateway}"{nearest(gateway, gateways)}')
    wanted = [row for row in rows if tag in (None, row.name)]
    if not wanted:
        known = [row.name for row in rows]
        raise LookupError(
            f'gateway "{gateway}" has no tag "{tag}"{nearest(tag or "", known)}' if tag else f"gateway {gateway} has no tags yet"
        )
    with ThreadPoolExecutor(1, "completeness") as threads:
        windows = Windows(db, TagTables(db, TABLES), threads)
        return tuple([Stated(row.name, tuple(await windows.missing(tenant_id, row.gateway_id, row, from_us, to_us))) for row in wanted])


def as_json(gateway: str, from_us: int, to_us: int, found: Sequence[Stated]) -> Iterator[str]:
    tags = [{"tag": one.tag, "complete": one.complete, "gaps": [gap.document() for gap in one.gaps]} for one in found]
    complete = all(one.complete for one in found)
    yield json.dumps({"gateway": gateway, "from_us": from_us, "to_us": to_us, "complete": complete, "tags": tags})


def as_text(gateway: str, from_us: int, to_us: int, found: Sequence[Stated]) -> Iterator[str]:
    incomplete = [one for one in found if not one.complete]
    said = f"{len(incomplete)} of {len(found)} tags not all present" if incomplete else f"all present ({len(found)} tags)"
    yield f"{gateway}, {_moment(from_us)} to {_moment(to_us)}: {said}"
    for one in incomplete:
        yield f"  {one.tag}: {len(one.gaps)} gaps, {sum(gap.to_us - gap.from_us for gap in one.gaps) / 1e6:.3f} s"
        for gap in one.gaps[:SHOWN]:
            yield f"    {_moment(gap.from_us)} to {_moment(gap.to_us)}, {(gap.to_us - gap.from_us) / 1e6:.3f} s: {gap.cause}"
        if len(one.gaps) > SHOWN:
            yield f"    and {len(one.gaps) - SHOWN} more: --json has them all"


def moment_us(text: str) -> int:
    """Raises ValueError with a sentence."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'expected a time such as 2026-05-01T12:00:00Z, found "{text}"') from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1e6)


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
