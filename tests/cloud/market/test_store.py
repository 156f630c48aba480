"""Quotes and history in PostgreSQL: the newest of each, isolation, and a revision that grows with commits."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import numpy as np

from cloud.document import digest
from cloud.market import store
from cloud.market.documents import encode_quote
from cloud.market.history import History
from cloud.market.periods import DAY_US, months
from cloud.market.quotes import Profile, Quote
from tests.cloud.conftest import TestHub

NOW = months(2026, 2).start_us
MARCH = Quote("gas", "TTF", months(2026, 3), Decimal("30.50"), "EUR", "MWh", NOW)
ALWAYS = (1 << 63) - 1


async def add(hub: TestHub, *quotes: Quote, tenant: str = "default") -> store.Added:
    tenant_id = (await hub.tenant(tenant)).tenant_id
    async with hub.hub.db.tenant(tenant_id) as connection:
        return await store.add_quotes(connection, tenant_id, quotes, NOW)


async def latest(hub: TestHub, as_of_us: int, tenant: str = "default") -> tuple[Quote, ...]:
    tenant_id = (await hub.tenant(tenant)).tenant_id
    async with hub.hub.db.tenant(tenant_id) as connection:
        return await store.latest_quotes(connection, tenant_id, as_of_us)


async def revision(hub: TestHub, tenant_id: int = 1) -> int:
    async with hub.hub.db.tenant(tenant_id) as connection:
        return await store.revision(connection, tenant_id)


async def test_the_newest_quote_of_each_is_found_among_many(hub: TestHub) -> None:
    periods = [months(2026, 1 + number) for number in range(3)]
    ticks = [replace(MARCH, period=period, as_of_us=NOW + tick, price=Decimal(tick)) for period in periods for tick in range(300)]
    assert await add(hub, *ticks) == store.Added(900, 0, ())
    found = await latest(hub, NOW + 250)
    assert [(quote.period, quote.price) for quote in found] == [(period, Decimal(250)) for period in periods]
    assert await latest(hub, NOW - 1) == ()


async def test_profiles_and_places_are_kept_apart(hub: TestHub) -> None:
    given = {MARCH, replace(MARCH, profile=Profile.PEAK), replace(MARCH, place="NBP"), replace(MARCH, product="coal")}
    await add(hub, *given)
    assert set(await latest(hub, NOW)) == given


async def test_a_document_is_stored_in_its_canonical_form_with_its_digest(hub: TestHub) -> None:
    await add(hub, MARCH)
    document, stored, price = hub.rows("SELECT document, sha256, price FROM quote")[0]
    assert document.encode() == encode_quote(MARCH)
    assert stored == digest(encode_quote(MARCH))
    assert str(price) == "30.50"


async def test_conflicts_are_named_beside_what_is_the_same(hub: TestHub) -> None:
    await add(hub, MARCH)
    other = replace(MARCH, currency="USD")
    assert await add(hub, MARCH, other) == store.Added(0, 1, (other,))


async def test_another_tenant_has_its_own_quotes_and_revision(hub: TestHub) -> None:
    await add(hub, MARCH)
    other = (await hub.tenant("other")).tenant_id
    assert await latest(hub, NOW, "other") == ()
    assert await revision(hub, other) == 0
    await add(hub, replace(MARCH, price=Decimal(1)), tenant="other")
    assert await latest(hub, NOW) == (MARCH,)


async def test_revision_grows_with_each_commit_and_not_with_a_repetition(hub: TestHub) -> None:
    await add(hub, MARCH)
    first = await revision(hub)
    await add(hub, MARCH)
    assert await revision(hub) == first
    await add(hub, replace(MARCH, as_of_us=NOW + 1))
    assert await revision(hub) > first


async def test_a_reader_never_misses_a_writer_that_began_first_and_commits_last(hub: TestHub) -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with hub.hub.db.tenant(1) as connection:
            await store.add_quotes(connection, 1, [MARCH], NOW)
            inside.set()
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(slow())
        await inside.wait()
        second = group.create_task(add(hub, replace(MARCH, as_of_us=NOW + 1)))
        seen = await revision(hub)  # neither is committed, and the second waits for the first
        leave.set()
    assert second.result().new == 1
    assert seen == 0
    rows = hub.rows(f"SELECT as_of_us - {NOW} FROM quote ORDER BY change_id")
    assert rows == [(0,), (1,)]


async def history(hub: TestHub, as_of_us: int, received_us: int = ALWAYS) -> list[tuple[str, float]]:
    async with hub.hub.db.tenant(1) as connection:
        found = await store.history(connection, 1, "WTI", "Cushing", as_of_us, received_us)
    return [] if found is None else [(str(day), price) for day, price in zip(found.days, found.prices, strict=True)]


async def keep(hub: TestHub, prices: dict[str, str], received_us: int) -> int:
    booked = [Decimal(price) for price in prices.values()]
    made = History(
        "WTI",
        "Cushing",
        "USD",
        "bbl",
        np.array(list(prices), dtype="datetime64[D]"),
        np.array([float(price) for price in booked]),
        "a source",
    )
    async with hub.hub.db.tenant(1) as connection:
        return await store.add_history(connection, 1, made, booked, received_us)


async def test_history_keeps_corrections_and_shows_what_was_known(hub: TestHub) -> None:
    await hub.tenant()
    assert await keep(hub, {"2020-04-17": "18.31", "2020-04-20": "-36.98"}, 10) == 2
    assert await keep(hub, {"2020-04-17": "18.31", "2020-04-20": "-36.98"}, 20) == 0
    assert await keep(hub, {"2020-04-17": "18.27", "2020-04-21": "8.91"}, 30) == 2
    end = months(2020, 5).start_us
    assert await history(hub, end) == [("2020-04-17", 18.27), ("2020-04-20", -36.98), ("2020-04-21", 8.91)]
    assert await history(hub, end, received_us=20) == [("2020-04-17", 18.31), ("2020-04-20", -36.98)]
    known = months(2020, 4).start_us + 20 * DAY_US  # 2020-04-21, 00:00: the 20th is known, the 21st is not
    assert await history(hub, known) == [("2020-04-17", 18.27), ("2020-04-20", -36.98)]
    assert await history(hub, end, received_us=9) == []
