"""While an outage is known and not published, nobody deals in the unit's books."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from cloud.trading.documents import calendar_json, deal_json
from tests.cloud.conftest import TestHub
from tests.cloud.disclosure.field import EVENT, Field, open_field
from tests.cloud.identity.people import slug
from tests.cloud.trading.agreements import CALENDARS, deal


def offer(name: str, **changes: Any) -> dict[str, Any]:
    return deal_json(deal(name, book="main")) | changes


async def book(field: Field, *deals: dict[str, Any]) -> httpx.Response:
    return await field.tom.ask("POST", "/v1/deals", json=list(deals))


async def ready(hub: TestHub) -> Field:
    field = await open_field(hub)
    await field.desk.put("/v1/calendars", [calendar_json(*key, held) for key, held in CALENDARS.items()])
    return field


async def test_orders_are_refused_as_a_whole_until_publication(hub: TestHub) -> None:
    field = await ready(hub)
    assert (await book(field, offer("before"))).status_code == 201
    await field.draft()
    both = await book(field, offer("other") | {"book": "elsewhere"}, offer("inside"))
    assert (both.status_code, slug(both)) == (409, "order-blocked")
    assert both.json()["blocks"][0]["event"] == EVENT
    assert "art. 3" in both.json()["detail"]
    assert (await book(field, offer("other") | {"book": "elsewhere"})).status_code == 201
    assert (await book(field, offer("before"))).status_code == 200
    cancelled = offer("before") | {"version": 2, "cancelled": True}
    assert (await book(field, cancelled)).status_code == 201
    assert [one["books"] for one in (await field.tom.ask("GET", "/v1/blocks")).json()["blocks"]] == [["main"]]
    await field.publish()
    assert (await book(field, offer("inside"))).status_code == 201
    assert (await field.tom.ask("GET", "/v1/blocks")).json()["blocks"] == []


async def test_an_amendment_does_not_carry_a_deal_out_of_a_blocked_book(hub: TestHub) -> None:
    field = await ready(hub)
    assert (await book(field, offer("before"))).status_code == 201
    await field.draft()
    assert slug(await book(field, offer("before") | {"version": 2, "book": "elsewhere"})) == "order-blocked"


async def test_a_refused_order_is_in_the_journal_and_counts_as_one(hub: TestHub) -> None:
    field = await ready(hub)
    await field.draft()
    assert (await field.step(field.olga, "confirmation")).status_code == 200
    assert slug(await book(field, offer("inside"))) == "order-blocked"
    journal = (await field.carl.ask("GET", "/v1/journal?name=refuse-orders")).json()
    entries = journal["actions"] if "actions" in journal else journal["journal"]
    assert entries[0]["subject"] == f"outage/{EVENT}"
    asked = await field.step(field.olga, "publication")
    assert (await field.agree(field.carl, asked.json()["approval"])).status_code == 200
    found = await field.get(f"/v1/outages/{EVENT}")
    assert {one["rule"]: one["outcome"] for one in found["findings"]}["R-03"] == "FAIL"
    assert len(found["refused_us"]) == 1


async def test_withdrawal_lifts_the_block(hub: TestHub) -> None:
    field = await ready(hub)
    await field.draft()
    gone = await field.step(field.olga, "dismissal", {"reason": "a sensor was wrong"})
    assert gone.json()["state"] == "withdrawn"
    assert (await book(field, offer("after"))).status_code == 201


def power(name: str, side: str, volume: str) -> dict[str, Any]:
    day = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    leg = {
        "side": side, "product": "power", "place": "FR", "volume": {"value": volume, "unit": "MWh"}, "first": day, "last": day,
        "price": {"fixed": {"value": "80", "currency": "EUR", "unit": "MWh"}}, "physical": True, "granularity": "day", "zone": "UTC",
    }  # fmt: skip
    return offer(name) | {"kind": "spot", "legs": [leg]}


async def test_cover_trades_pass_after_four_eyes_up_to_the_volume_lost(hub: TestHub) -> None:
    field = await ready(hub)
    year = datetime.now(UTC).year
    calendar = {"product": "power", "place": "FR", "first": f"{year}-01-01", "last": f"{year + 1}-12-31", "closed": []}
    assert (await field.desk.put("/v1/calendars", [calendar])).status_code == 200
    drafted = await field.draft()
    start = datetime.fromisoformat(drafted["message"]["start"])
    stop_us = int((start + timedelta(hours=10)).timestamp() * 1_000_000)
    assert (await field.step(field.olga, "confirmation", {"stop_us": stop_us})).status_code == 200
    assert slug(await field.step(field.olga, "cover", {"side": "sell"})) == "invalid-request"
    asked = await field.step(field.olga, "cover", {"side": "buy"})
    assert asked.json()["limit_mwh"] == "600.000"
    assert slug(await book(field, power("cover", "buy", "500"))) == "order-blocked"
    assert (await field.agree(field.carl, asked.json()["approval"])).status_code == 200
    assert slug(await book(field, power("wrong", "sell", "5"))) == "order-blocked"
    first = await book(field, power("cover", "buy", "500"))
    assert first.status_code == 201, first.text
    assert slug(await book(field, power("more", "buy", "101"))) == "order-blocked"
    assert (await book(field, power("rest", "buy", "100"))).status_code == 201
    told = await field.step(field.olga, "cover/notification", {"reference": "ACER 17"})
    assert (told.json()["left_mwh"], told.json()["reference"]) == ("0.000", "ACER 17")


async def test_a_planned_outage_has_no_cover(hub: TestHub) -> None:
    field = await ready(hub)
    await field.draft()
    assert (await field.step(field.olga, "confirmation", {"planned": True})).status_code == 200
    assert slug(await field.step(field.olga, "cover", {"side": "buy"})) == "outage-state"
