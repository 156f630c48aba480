"""Deals and calendars in PostgreSQL: the same book at the same past moment, all or none, apart by tenant."""

import asyncio
from dataclasses import replace
from datetime import date

from cloud.document import digest
from cloud.trading import store
from cloud.trading.capture import Capture
from cloud.trading.deals import Calendars, Deal, DeliveryCalendar, amended, as_of
from cloud.trading.documents import encode_deal
from tests.cloud.conftest import TestHub
from tests.cloud.trading.agreements import CALENDARS, deal, leg

NOW = 1_000_000


async def prepare(hub: TestHub, tenant: str = "default", calendars: Calendars = CALENDARS, received_us: int = 1) -> int:
    tenant_id = (await hub.tenant(tenant)).tenant_id
    async with hub.hub.db.tenant(tenant_id) as connection:
        await store.add_calendars(connection, tenant_id, list(calendars.items()), received_us)
    return tenant_id


async def add(hub: TestHub, *deals: Deal, tenant_id: int = 1, received_us: int = NOW) -> Capture:
    async with hub.hub.db.tenant(tenant_id) as connection:
        return await store.add_deals(connection, tenant_id, deals, received_us)


async def read(hub: TestHub, known_us: int, tenant_id: int = 1, received_us: int = NOW) -> tuple[Deal, ...]:
    async with hub.hub.db.tenant(tenant_id) as connection:
        return await store.deals(connection, tenant_id, known_us, received_us)


async def revision(hub: TestHub, tenant_id: int = 1) -> int:
    async with hub.hub.db.tenant(tenant_id) as connection:
        return await store.revision(connection, tenant_id)


async def test_the_book_of_any_past_moment_is_what_the_rule_says(hub: TestHub) -> None:
    await prepare(hub)
    chains: list[Deal] = []
    for number in range(4):
        first = deal(f"D{number}", known_us=1_000 + number)
        chains += [first, amended(first, 2_000 + number, book="south")]
        chains.append(amended(chains[-1], 3_000 + number, cancelled=number % 2 == 0))
    await add(hub, *chains)
    for moment in (999, 1_002, 2_001, 3_001, 9_000):
        assert await read(hub, moment) == as_of(chains, moment)


async def test_a_version_captured_late_does_not_change_what_the_hub_knew_before(hub: TestHub) -> None:
    await prepare(hub)
    await add(hub, deal(), received_us=5_000)
    before = await read(hub, 2_500, received_us=6_000)
    await add(hub, amended(deal(), 2_000, book="south"), received_us=7_000)
    assert await read(hub, 2_500, received_us=6_000) == before == (deal(),)
    assert (await read(hub, 2_500))[0].book == "south"


async def test_one_fault_keeps_all_from_being_stored(hub: TestHub) -> None:
    await prepare(hub)
    found = await add(hub, deal(), deal("D2", legs=(leg(place="NBP"),)))
    assert [fault.deal_id for fault in found.faults] == ["D2"]
    assert await read(hub, NOW) == ()


async def test_documents_are_stored_as_they_are_hashed(hub: TestHub) -> None:
    await prepare(hub)
    await add(hub, deal())
    document, stored = hub.rows("SELECT document, sha256 FROM deal_version")[0]
    assert document.encode() == encode_deal(deal())
    assert stored == digest(encode_deal(deal()))


async def test_of_two_next_versions_at_the_same_time_one_wins(hub: TestHub) -> None:
    await prepare(hub)
    await add(hub, deal())
    rivals = [amended(deal(), 2_000, book=name) for name in ("east", "west", "south")]
    found = await asyncio.gather(*(add(hub, rival) for rival in rivals))
    assert sorted(len(capture.new) for capture in found) == [0, 0, 1]
    assert sorted(len(capture.conflicts) for capture in found) == [0, 1, 1]
    assert hub.rows("SELECT max(version), count(*) FROM deal_version") == [(2, 2)]


async def test_tenants_have_their_own_deals_calendars_and_revisions(hub: TestHub) -> None:
    await prepare(hub)
    await add(hub, deal())
    seen = await revision(hub)
    other = await prepare(hub, "other")
    assert await read(hub, NOW, other) == ()
    await add(hub, deal(book="theirs"), tenant_id=other)
    assert [one.book for one in await read(hub, NOW, other)] == ["theirs"]
    assert await revision(hub) == seen


async def test_revision_grows_with_deals_and_with_calendars(hub: TestHub) -> None:
    await prepare(hub)
    seen = [await revision(hub)]
    await add(hub, deal())
    seen.append(await revision(hub))
    await add(hub, deal())
    assert await revision(hub) == seen[-1]
    await prepare(hub, calendars={("gas", "TTF"): DeliveryCalendar(date(2026, 1, 1), date(2026, 12, 31))})
    seen.append(await revision(hub))
    assert seen == sorted(set(seen))


async def test_calendars_are_shown_as_they_were_received(hub: TestHub) -> None:
    await prepare(hub)
    later = {("gas", "TTF"): replace(CALENDARS["gas", "TTF"], closed=frozenset({date(2026, 12, 25)}))}
    await prepare(hub, calendars=later, received_us=100)
    async with hub.hub.db.tenant(1) as connection:
        assert await store.calendars(connection, 1, 99) == CALENDARS
        assert await store.calendars(connection, 1) == later
