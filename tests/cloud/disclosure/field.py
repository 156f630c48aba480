"""A field with a unit over it, and the people who tell the market of it: the small desk of the reaction with a compliance profile."""

import asyncio
from dataclasses import dataclass
from typing import Any

from cloud.identity.roles import SCOPES, Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import Browser, team
from tests.cloud.reaction.desk import Desk

UNITS = """
[participant]
name = "Example Energy"
lei = "213800KUD8LAJWSQ9D15"
acer_code = "T1241247G.EU"
party = "NFC-"
"""
UNIT = """
[[unit]]
name = "Block 1"
eic = "22WEXAMPLE-1---P"
zone = "10YFR-RTE------C"
event_type = "Production unavailability"
commodity = "electricity"
unit = "MW"
installed = 100
fuel = "Fossil Gas"
books = ["main"]
market_time_unit = "2s"
threshold_mw = 10
"""
PARTS = """
[[unit.part]]
asset = "A"
capacity = 60
[[unit.part]]
asset = "B"
capacity = 40
"""
PROFILE = UNITS + UNIT + PARTS
SECOND = UNIT.replace("Block 1", "Block 2").replace("22WEXAMPLE-1---P", "22WEXAMPLE-2---K")
EVENT = "1-22WEXAMPLE-1---P"
Document = dict[str, Any]


@dataclass
class Field:
    """A desk with its profile; olga operates, carl publishes, tom trades."""

    desk: Desk
    token: dict[str, str]
    olga: Browser
    carl: Browser
    tom: Browser

    @property
    def hub(self) -> TestHub:
        return self.desk.hub

    def move(self, hub: TestHub) -> None:
        """To the hub that was started on the same data."""
        self.desk.hub = hub
        for gateway in self.desk.rigs.values():
            gateway.client = hub.client
        for browser in (self.olga, self.carl, self.tom):
            browser.client = hub.client

    async def get(self, path: str) -> Any:
        reply = await self.hub.client.get(path, headers=self.token)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def hand_in(self, profile: str) -> None:
        reply = await self.hub.client.put(
            "/v1/compliance/profile", content=profile, headers={**self.token, "content-type": "application/toml"}
        )
        assert reply.status_code == 200, reply.text

    async def learn(self) -> None:
        """Both wells are known to be well."""
        await self.desk.send(20)
        await self.desk.settled()

    async def fail(self, seconds: int = 4) -> None:
        """The first well leaves its range, and stays there."""
        for _ in range(2):
            await self.desk.send(seconds, 400.0)
            await self.seen()

    async def seen(self) -> None:
        """All that was sent stands in the newest health row, and the watch has seen it."""
        sent_us = 1_000_000 * (1_000 + self.desk.second) - 1_000_000 + 1
        await self.desk.result("health", lambda one: one["sensed_us"] is not None and one["sensed_us"][1] >= sent_us)

    async def events(self, state: str | None = None) -> list[Document]:
        found = await self.get("/v1/outages" + (f"?state={state}" if state else ""))
        return list(found["outages"])

    async def event(self, state: str, name: str = EVENT) -> Document:
        """Waited for."""
        async with asyncio.timeout(20):
            while True:
                for one in await self.events():
                    if one["event"] == name and one["state"] == state:
                        return one
                await asyncio.sleep(0.02)

    async def draft(self) -> Document:
        """The first well has failed and its message is drafted."""
        await self.learn()
        await self.fail()
        return await self.event("draft")

    async def step(self, who: Browser, name: str, body: Document | None = None, event: str = EVENT) -> Any:
        return await who.ask("POST", f"/v1/outages/{event}/{name}", json={} if body is None else body)

    async def agree(self, who: Browser, approval: int, agree: bool = True) -> Any:
        return await who.ask("POST", f"/v1/approvals/{approval}/decision", json={"agree": agree, "reason": "read and checked"})

    async def publish(self, event: str = EVENT) -> None:
        """By the operator and the compliance officer."""
        assert (await self.step(self.olga, "confirmation", event=event)).status_code == 200
        asked = await self.step(self.olga, "publication", event=event)
        assert asked.status_code == 200, asked.text
        decided = await self.agree(self.carl, asked.json()["approval"])
        assert decided.status_code == 200, decided.text


async def open_field(hub: TestHub, profile: str = PROFILE) -> Field:
    desk = await Desk(hub).open()
    token = await hub.token(scopes=tuple(SCOPES))
    people = [
        await team(hub, name, role) for name, role in (("olga", Role.OPERATOR), ("carl", Role.COMPLIANCE_OFFICER), ("tom", Role.TRADER))
    ]
    field = Field(desk, token, *people)
    await field.hand_in(profile)
    return field
