"""SQL of quotes and daily price history: rows are added, nothing is changed. Every function works inside the caller's tenant transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from cloud.db import Connection
from cloud.document import digest
from cloud.market import documents
from cloud.market.history import History
from cloud.market.quotes import Quote

_LOCK: Final = 0x6D6B74  # first part of the advisory lock; the second is the tenant
_ALWAYS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Added:
    """`conflicts` are quotes sent where another price, currency or unit is stored for the same identity and time."""

    new: int
    same: int
    conflicts: tuple[Quote, ...]


async def lock(connection: Connection, tenant_id: int) -> None:
    """One writer of a tenant's market at a time, to the end of the transaction: so `revision` grows in the order of commits."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def add_quotes(connection: Connection, tenant_id: int, quotes: Sequence[Quote], received_us: int) -> Added:
    """Quotes that are stored already change nothing. With conflicts the caller should give up the transaction."""
    if not quotes:
        return Added(0, 0, ())
    await lock(connection, tenant_id)
    encoded = [documents.encode_quote(quote) for quote in quotes]
    columns = _columns(quotes)
    identity = [columns[name] for name in ("product", "place", "start_us", "end_us", "profile")]
    await connection.execute(
        "INSERT INTO quoted (tenant_id, product, place, start_us, end_us, profile)"
        " SELECT DISTINCT %s::integer, product, place, start_us, end_us, profile"
        " FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS new (product, place, start_us, end_us, profile)"
        " ON CONFLICT DO NOTHING",
        (tenant_id, *identity),
    )
    cursor = await connection.execute(
        "INSERT INTO quote (tenant_id, received_us, product, place, start_us, end_us, profile, as_of_us, price, currency, unit, sha256,"
        " document) SELECT %s, %s, new.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[],"
        " %s::numeric[], %s::text[], %s::text[], %s::bytea[], %s::text[]) AS new ON CONFLICT DO NOTHING",
        (
            tenant_id,
            received_us,
            *identity,
            *(columns[name] for name in ("as_of_us", "price", "currency", "unit")),
            [digest(data) for data in encoded],
            [data.decode() for data in encoded],
        ),
    )
    new = cursor.rowcount
    if new == len(quotes):
        return Added(new, 0, ())
    stored = await _digests(connection, tenant_id, [*identity, columns["as_of_us"]])
    conflicts = tuple(quote for quote, data in zip(quotes, encoded, strict=True) if stored[_identity(quote)] != digest(data))
    return Added(new, len(quotes) - new - len(conflicts), conflicts)


def _columns(quotes: Sequence[Quote]) -> Mapping[str, list[Any]]:
    return {
        "product": [quote.product for quote in quotes],
        "place": [quote.place for quote in quotes],
        "start_us": [quote.period.start_us for quote in quotes],
        "end_us": [quote.period.end_us for quote in quotes],
        "profile": [quote.profile.value for quote in quotes],
        "as_of_us": [quote.as_of_us for quote in quotes],
        "price": [quote.price for quote in quotes],
        "currency": [quote.currency for quote in quotes],
        "unit": [quote.unit for quote in quotes],
    }


def _identity(quote: Quote) -> tuple[object, ...]:
    return (quote.product, quote.place, quote.period.start_us, quote.period.end_us, quote.profile.value, quote.as_of_us)


async def _digests(connection: Connection, tenant_id: int, identity: Sequence[list[Any]]) -> Mapping[tuple[object, ...], bytes]:
    cursor = await connection.execute(
        "SELECT product, place, start_us, end_us, profile, as_of_us, sha256 FROM quote JOIN unnest(%s::text[], %s::text[], %s::bigint[],"
        " %s::bigint[], %s::text[], %s::bigint[]) AS sent (product, place, start_us, end_us, profile, as_of_us)"
        " USING (product, place, start_us, end_us, profile, as_of_us) WHERE tenant_id = %s",
        (*identity, tenant_id),
        binary=True,
    )
    return {tuple(row[:6]): bytes(row[6]) for row in await _rows(cursor)}


async def latest_quotes(
    connection: Connection, tenant_id: int, as_of_us: int, product: str | None = None, place: str | None = None
) -> tuple[Quote, ...]:
    """The newest quote of each product, place, period and profile that was observed not after as_of; of one product or place if named."""
    cursor = await connection.execute(
        "SELECT newest.document FROM quoted CROSS JOIN LATERAL (SELECT document FROM quote WHERE quote.tenant_id = quoted.tenant_id"
        " AND quote.product = quoted.product AND quote.place = quoted.place AND quote.start_us = quoted.start_us"
        " AND quote.end_us = quoted.end_us AND quote.profile = quoted.profile AND quote.as_of_us <= %s"
        " ORDER BY quote.as_of_us DESC LIMIT 1) AS newest"
        " WHERE quoted.tenant_id = %s AND (%s::text IS NULL OR quoted.product = %s) AND (%s::text IS NULL OR quoted.place = %s)"
        ' ORDER BY quoted.product COLLATE "C", quoted.place COLLATE "C", quoted.start_us, quoted.end_us, quoted.profile COLLATE "C"',
        (as_of_us, tenant_id, product, product, place, place),
    )
    return tuple(documents.decode_quote(row[0]) for row in await _rows(cursor))


async def add_history(connection: Connection, tenant_id: int, history: History, prices: Sequence[Decimal], received_us: int) -> int:
    """Days added or corrected. prices: the history's, as booked. What is stored and unchanged is left as it is."""
    await lock(connection, tenant_id)
    cursor = await connection.execute(
        "INSERT INTO price_history (tenant_id, product, place, day, received_us, price, currency, unit, source)"
        " SELECT %s, %s, %s, new.day, %s, new.price, %s, %s, %s FROM unnest(%s::date[], %s::numeric[]) AS new (day, price)"
        " LEFT JOIN LATERAL (SELECT price, currency, unit FROM price_history AS old WHERE old.tenant_id = %s AND old.product = %s"
        " AND old.place = %s AND old.day = new.day ORDER BY received_us DESC LIMIT 1) AS old ON true"
        " WHERE (old.price, old.currency, old.unit) IS DISTINCT FROM (new.price, %s, %s)",
        (
            *(tenant_id, history.product, history.place, received_us, history.currency, history.unit, history.source),
            *([day.astype(object) for day in history.days], list(prices)),
            *(tenant_id, history.product, history.place, history.currency, history.unit),
        ),
    )
    return cursor.rowcount


async def history(
    connection: Connection, tenant_id: int, product: str, place: str, as_of_us: int, received_us: int = _ALWAYS
) -> History | None:
    """What was known at as_of, one unit and currency throughout (the newest row's); None when there is nothing. received_us: as far as the
    hub knew by then."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (day) day, price, currency, unit, source FROM price_history WHERE tenant_id = %s AND product = %s AND place = %s"
        " AND received_us <= %s ORDER BY day, received_us DESC",
        (tenant_id, product, place, received_us),
    )
    rows = await _rows(cursor)
    if not rows:
        return None
    _, _, currency, unit, source = rows[-1]
    rows = [row for row in rows if row[2:4] == (currency, unit)]
    days = np.array([row[0] for row in rows], dtype="datetime64[D]")
    return History(product, place, currency, unit, days, np.array([float(row[1]) for row in rows]), source).cut(as_of_us)


async def revision(connection: Connection, tenant_id: int) -> int:
    """Grows with every committed change of quotes or history."""
    cursor = await connection.execute(
        "SELECT (SELECT coalesce(max(change_id), 0) FROM quote WHERE tenant_id = %s)"
        " + (SELECT coalesce(max(change_id), 0) FROM price_history WHERE tenant_id = %s)",
        (tenant_id, tenant_id),
    )
    return int((await _rows(cursor))[0][0])


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
