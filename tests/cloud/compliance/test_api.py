"""The path of rules through the hub: deals and registered facts in, findings as evidence out, each explained and proven."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloud import recompute, texts
from cloud.texts import Text
from cloud.trading.documents import deal_json
from tests.cloud.compliance.desk_deals import FRIDAY_US, OWN, PROFILE, booked, leg
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import problem

SCOPES = ("read", "write:deals", "write:compliance")
CALENDARS = [
    {"product": product, "place": place, "first": "2020-01-01", "last": "2040-12-31", "closed": []}
    for product, place in (("gas", "TTF"), ("power", "DE"), ("WTI", "Cushing"))
]


class Office:
    """A compliance officer's program with two deals: a financial forward on gas and one with delivery."""

    def __init__(self, hub: TestHub) -> None:
        self.hub, self.headers = hub, dict[str, str]()

    async def open(self) -> "Office":
        self.headers = await self.hub.token(scopes=SCOPES)
        await self.told("PUT", "/v1/calendars", CALENDARS)
        await self.book("D-1", leg(physical=False))
        await self.book("D-2", leg())
        await self.profile(PROFILE)
        return self

    async def book(self, name: str, *legs: Any) -> None:
        deal = deal_json(booked(first_us=FRIDAY_US - 300 * 86_400_000_000).deal) | deal_json(
            booked(legs=legs, id=name, known_us=FRIDAY_US - 300 * 86_400_000_000).deal
        )
        await self.told("POST", "/v1/deals", deal)

    async def profile(self, text: str) -> None:
        async with self.hub.hub.db.tenant(1) as connection:
            await texts.add(connection, 1, Text.PROFILE, text, self.hub.hub.clock.now_us())

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = None if body is None else json.dumps(body)
        kind = {"content-type": "application/json"} if body is not None else {}
        return await self.hub.client.request(method, path, content=content, headers={**self.headers, **kind, **headers})

    async def told(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.ask(method, path, body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    async def findings(self, query: str = "") -> dict[tuple[str, str], str]:
        found = await self.told("GET", f"/v1/findings?limit=1000{query}")
        return {(one["rule"], one["subject"]): one["outcome"] for one in found["findings"]}


@pytest.fixture
async def office(hub: TestHub) -> Office:
    return await Office(hub).open()


async def test_a_run_judges_every_deal_and_every_registered_fact(office: Office) -> None:
    await office.told("PUT", "/v1/facts/Undertaking/group", {"employees": 2000, "turnover_eur": "1e9", "third_country": False})
    run = await office.told("POST", "/v1/rules/run", {})
    found = await office.findings()
    assert found["E-01", "deal/D-1"] == "FAIL"
    assert found["E-01", "deal/D-2"] == "INDETERMINATE"
    assert found["R-06", "deal/D-2"] == "INDETERMINATE"
    assert found["C-01", "group"] == "INDETERMINATE"
    assert sum(sum(one["counts"].values()) for one in run["areas"]) == len(found)
    assert all(one["new"] for one in run["areas"])
