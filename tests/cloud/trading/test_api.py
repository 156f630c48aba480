"""Deals by version, calendars and positions through a real hub."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from cloud.trading.deals import ContractTerms, Deal, DeliveryCalendar, Kind, Quantity, Side, amended
from cloud.trading.documents import calendar_json, deal_json
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem
from tests.cloud.trading.agreements import CALENDARS, deal, leg

SCOPES = ("read", "write:deals")
DAY = date(2026, 3, 2)


async def put_calendars(hub: TestHub, tenant: str = "default", calendar: DeliveryCalendar | None = None) -> httpx.Response:
    documents = [calendar_json(*key, calendar or held) for key, held in CALENDARS.items()]
    return await hub.client.put("/v1/calendars", json=documents, headers=await hub.token(tenant, SCOPES))


async def book(hub: TestHub, *deals: Deal, tenant: str = "default") -> httpx.Response:
    body: Any = [deal_json(one) for one in deals]
    headers = await hub.token(tenant, SCOPES)
    return await hub.client.post("/v1/deals", json=body[0] if len(body) == 1 else body, headers=headers)


async def ask(hub: TestHub, path: str, tenant: str = "default", **query: Any) -> httpx.Response:
    return await hub.client.get(path, params=query, headers=await hub.token(tenant))


async def test_a_deal_is_stored_once_however_often_it_is_sent(hub: TestHub) -> None:
    changes: list[int] = []
    hub.hub.listeners.append(changes.append)
    await put_calendars(hub)
    first, again = await book(hub, deal()), await book(hub, deal())
    assert (first.status_code, again.status_code) == (201, 200)
    assert [first.json()["deals"][0]["stored"], again.json()["deals"][0]["stored"]] == [True, False]
    assert first.json()["deals"][0]["sha256"] == again.json()["deals"][0]["sha256"]
    assert hub.rows("SELECT count(*) FROM deal_version") == [(1,)]
    assert changes == [1, 1]


async def test_another_content_under_a_stored_version_is_a_conflict_naming_the_present_one(hub: TestHub) -> None:
    await put_calendars(hub)
    await book(hub, deal())
    reply = await book(hub, deal(book="south"))
    assert (reply.status_code, problem(reply), reply.json()["present_version"]) == (409, "version-conflict", 1)
    assert "send version 2" in reply.json()["detail"]


async def test_versions_follow_each_other_and_history_stays(hub: TestHub) -> None:
    await put_calendars(hub)
    one = deal()
    two = amended(one, 2_000, book="south")
    assert problem(await book(hub, replace(two, version=3))) == "version-conflict"
    assert (await book(hub, one, two)).status_code == 201
    assert problem(await book(hub, amended(two, 1_500 + 500, book="x"), replace(two, version=5))) == "version-conflict"
    assert problem(await book(hub, replace(two, version=3, known_us=1_999))) == "version-conflict"
    versions = (await ask(hub, "/v1/deals/D1/versions")).json()["versions"]
    assert [version["deal"] for version in versions] == [deal_json(one), deal_json(two)]
    assert (await ask(hub, "/v1/deals", known_us=1_999)).json()["deals"] == [deal_json(one)]
    assert (await ask(hub, "/v1/deals")).json()["deals"] == [deal_json(two)]
    assert problem(await ask(hub, "/v1/deals/D9/versions")) == "not-found"


async def test_a_cancelled_deal_is_left_out_though_its_calendar_has_gone(hub: TestHub) -> None:
    await put_calendars(hub)
    await book(hub, deal(), deal("D2"))
    await put_calendars(hub, calendar=DeliveryCalendar(date(2030, 1, 1), date(2030, 2, 1)))
    assert (await book(hub, amended(deal(), 2_000, cancelled=True))).status_code == 201
    assert [one["id"] for one in (await ask(hub, "/v1/deals")).json()["deals"]] == ["D2"]
    assert [one["id"] for one in (await ask(hub, "/v1/deals", known_us=1_000)).json()["deals"]] == ["D1", "D2"]


async def test_a_deal_outside_its_calendar_is_refused_with_the_cause_and_none_is_stored(hub: TestHub) -> None:
    await put_calendars(hub)
    outside = deal("D2", legs=(leg(last=date(2029, 3, 1)), leg(place="NBP")))
    reply = await book(hub, deal(), outside)
    assert (reply.status_code, problem(reply)) == (422, "wrong-deal")
    assert [(fault["deal"], fault["cause"]) for fault in reply.json()["faults"]] == [
        ("D2", "delivery outside the calendar"),
        ("D2", "no calendar for product and place"),
    ]
    assert hub.rows("SELECT count(*) FROM deal_version") == [(0,)]


async def test_a_malformed_deal_is_refused_by_path(hub: TestHub) -> None:
    table = deal_json(deal())
    table["legs"][0]["volume"]["value"] = 1000
    reply = await hub.client.post("/v1/deals", json=table, headers=await hub.token(scopes=SCOPES))
    assert (reply.status_code, problem(reply)) == (422, "invalid-request")
    assert reply.json()["faults"][0].startswith("deal.legs[0].volume.value: expected a number as text")
    assert problem(await hub.client.post("/v1/deals", content=b"\xff", headers=await hub.token(scopes=SCOPES))) == "invalid-request"


async def test_a_deal_known_later_than_now_is_refused(hub: TestHub) -> None:
    await put_calendars(hub)
    assert problem(await book(hub, deal(known_us=hub.hub.clock.now_us() + 10**9))) == "version-conflict"


async def test_positions_are_exact_and_skip_closed_days(hub: TestHub) -> None:
    await put_calendars(hub, calendar=DeliveryCalendar(date(2026, 1, 1), date(2027, 12, 31), frozenset({DAY})))
    sold = leg(volume=Quantity(Decimal("100"), "MWh"), first=date(2026, 3, 1), last=date(2026, 3, 3))
    bought = replace(sold, side=Side.BUY, volume=Quantity(Decimal("0.3"), "MWh"), first=date(2026, 3, 3))
    await book(hub, deal(legs=(sold,)), deal("D2", legs=(bought,), kind=Kind.SPOT), deal("D3", book="south", legs=(bought,)))
    rows = (await ask(hub, "/v1/positions", book="north", product="gas")).json()
    assert [row["net"] for row in rows["positions"]] == ["-50.000000", "0.000000", "-49.700000"]
    assert [row["bought"] for row in rows["positions"]] == ["0", "0", "0.300000"]
    assert rows["faults"] == []
    assert (await ask(hub, "/v1/positions", as_of_us=999)).json()["positions"] == []


async def test_a_deal_that_cannot_be_netted_is_listed_beside_the_rest(hub: TestHub) -> None:
    await put_calendars(hub)
    fee = deal().legs[0].price
    other = leg(volume=Quantity(Decimal(1), "therm"), price=replace(fee, price=replace(fee.price, unit="therm")))  # type: ignore[union-attr]
    await book(hub, deal(), deal("D2", legs=(other,)))
    body = (await ask(hub, "/v1/positions")).json()
    assert len(body["positions"]) == 31
    assert [(fault["deal"], fault["cause"]) for fault in body["faults"]] == [("D2", "units do not match")]


async def test_what_is_scheduled_beyond_the_contract_stands_beside_the_positions(hub: TestHub) -> None:
    await put_calendars(hub)
    short = leg(volume=Quantity(Decimal(100), "MWh"), last=date(2026, 3, 1))
    await book(hub, deal(legs=(short,), terms=ContractTerms(dcq=Quantity(Decimal("99.5"), "MWh"))))
    (excess,) = (await ask(hub, "/v1/positions")).json()["excesses"]
    assert excess == {
        "deal": "D1",
        "version": 1,
        "entitlement": "dcq",
        "side": "sell",
        "first": "2026-03-01",
        "last": "2026-03-01",
        "scheduled": "100.000000",
        "allowed": "99.5",
        "unit": "MWh",
    }


async def test_calendars_get_a_version_when_they_change(hub: TestHub) -> None:
    changes: list[int] = []
    hub.hub.listeners.append(changes.append)
    assert (await put_calendars(hub)).json() == {"calendars": [{"product": "gas", "place": "TTF", "version": 1}]}
    assert (await put_calendars(hub)).json()["calendars"][0]["version"] == 1
    changed = DeliveryCalendar(date(2026, 1, 1), date(2026, 12, 31))
    assert (await put_calendars(hub, calendar=changed)).json()["calendars"][0]["version"] == 2
    assert (await ask(hub, "/v1/calendars")).json() == {"calendars": [calendar_json("gas", "TTF", changed)]}
    assert changes == [1, 1]


async def test_tenants_see_their_own_deals_only(hub: TestHub) -> None:
    await put_calendars(hub)
    await book(hub, deal())
    assert (await ask(hub, "/v1/deals", "other")).json()["deals"] == []
    assert problem(await ask(hub, "/v1/deals/D1/versions", "other")) == "not-found"
    assert (await ask(hub, "/v1/positions", "other")).json()["positions"] == []
    assert problem(await book(hub, deal(), tenant="other")) == "wrong-deal"  # its calendars are not shared either


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/deals"), ("PUT", "/v1/calendars")])
async def test_booking_needs_its_scope(hub: TestHub, method: str, path: str) -> None:
    assert problem(await hub.client.request(method, path, json=[])) == "unauthorized"
    for scopes in (("read",), ("write:market",)):
        assert problem(await hub.client.request(method, path, json=[], headers=await hub.token(scopes=scopes))) == "forbidden"


async def test_what_was_booked_cannot_be_changed_by_the_application(hub: TestHub) -> None:
    await put_calendars(hub)
    await book(hub, deal())
    for table in ("deal_version", "delivery_calendar", "quote", "quoted", "price_history"):
        for change in (f"UPDATE {table} SET tenant_id = 1", f"DELETE FROM {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with hub.hub.db.tenant(1) as connection:
                    await connection.execute(change)  # type: ignore[arg-type]
