"""A small field and desk over the test gateway: two wells with two tags each on two rigs, one stream, one sale."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from protocols.batch.columns import Group
from protocols.batch.statement import Payload
from simulators import book
from simulators.book import Market
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway

MODEL = """
[[class]]
name = "well"
every = "1s"
stale = "100000d"
learn = 5

[class.failure]
threshold = 0.8
drift_per_day = 0.0003
diffusion_per_day = 0.008
worth = "180d"
clock_per_year = 0.3
repair_median = "9d"
repair_spread = 0.7
sensor_sd = 0.01
source = "assumed for tests"

[[class.role]]
name = "pressure"
unit = ""
resolution = 0.001
deviation = 0.5

[[class.role]]
name = "temperature"
unit = ""
resolution = 0.001
deviation = 0.5

[[site]]
name = "field"
[[site.asset]]
name = "A"
class = "well"
nameplate = 1000.0
unit = "bbl/d"
[[site.asset.tag]]
tag = "rig1/plc1.t0"
role = "pressure"
[[site.asset.tag]]
tag = "rig1/plc1.t1"
role = "temperature"
[[site.asset]]
name = "B"
class = "well"
nameplate = 1000.0
unit = "bbl/d"
[[site.asset.tag]]
tag = "rig2/plc1.t0"
role = "pressure"
[[site.asset.tag]]
tag = "rig2/plc1.t1"
role = "temperature"
[[site.node]]
name = "wells"
kind = "parallel"
parts = ["A", "B"]
[[site.stream]]
name = "crude"
topology = "wells"
product = "WTI"
place = "Cushing"
cost = 10.0
"""
MARKET = Market("WTI", "Cushing", "bbl", "wti", 75.0, -0.3)
SCOPES = ("read", "write:alarms", "write:assets", "write:deals", "write:market", "write:risk")
Result = dict[str, Any]


@dataclass
class Desk:
    hub: TestHub
    token: dict[str, str] = field(default_factory=dict)
    rigs: dict[str, Gateway] = field(default_factory=dict)
    second: int = 0

    async def open(self, model: str = MODEL, *, booked: bool = True) -> "Desk":
        self.token = await self.hub.token(scopes=SCOPES)
        for name in ("rig1", "rig2"):
            self.rigs[name] = await self.hub.gateway(name)
        assert (await self.put("/v1/assets", model)).status_code == 200
        if booked:
            await self.book()
        return self

    async def put(self, path: str, body: Any, method: str = "PUT") -> Any:
        content = body if isinstance(body, str) else json.dumps(body)
        kind = "application/toml" if isinstance(body, str) else "application/json"
        return await self.hub.client.request(method, path, content=content, headers={**self.token, "content-type": kind})

    async def book(self, deals: int = 0) -> None:
        for method, path, body in book.documents(MARKET, 2000.0, datetime.now(UTC), deals):
            smaller = {**body, "paths": 500, "days": 20} if path == "/v1/risk/settings" else body
            reply = await self.put(path, smaller, method)
            assert reply.status_code < 300, reply.text

    async def send(self, seconds: int = 5, offset: float = 0.0, *, rigs: tuple[str, ...] = ("rig1", "rig2")) -> None:
        """So many seconds of both tags; rig1 is moved by `offset` from where it was."""
        start_us = 1_000_000 * (1_000 + self.second)
        self.second += seconds
        for name in rigs:
            gateway = self.rigs[name]
            rng = np.random.default_rng([self.second, int(name[-1])])
            values = np.round(100 * (10.0 + 0.05 * rng.standard_normal((seconds, 2)) + (offset if name == "rig1" else 0.0)))
            times = start_us + 1_000_000 * np.arange(seconds, dtype=np.int64)
            group = Group(np.arange(2, dtype=np.uint32), times, values.astype(np.int32))
            await gateway.send(gateway.seal(Payload(gateway.table.digest, (group,), ())))

    async def result(self, kind: str, accept: Callable[[Result], bool] = lambda _: True) -> Result:
        """The newest result of a kind that is accepted, waited for."""
        results = self.hub.hub.results
        async with asyncio.timeout(20):
            while True:
                version, shown = results.since(1, lambda _: True)
                for one in map(json.loads, shown):
                    if one["kind"] == kind and accept(one):
                        return dict(one)
                await results.wait(1, version)

    async def settled(self) -> Result:
        """Both wells are known, and the newest risk rests on the newest forecast, that on the newest health. The risk."""
        await self.result("health", lambda found: {one["state"] for one in found["output"]["assets"].values()} == {"good"})
        async with asyncio.timeout(20):
            while True:
                newest = {one["kind"]: one for one in map(json.loads, self.hub.hub.results.since(1, lambda _: True)[1])}
                if {"health", "forecast", "risk"} <= newest.keys():
                    below = [(await self.row(newest[kind]["id"]))["inputs"]["rows"] for kind in ("risk", "forecast")]
                    if below[0]["crude"] == newest["forecast"]["id"] and below[1]["health"] == newest["health"]["id"]:
                        return dict(newest["risk"])
                await asyncio.sleep(0.02)

    async def row(self, digest: str) -> Result:
        reply = await self.hub.client.get(f"/v1/evidence/{digest}", headers=self.token)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    async def bundle(self, digest: str) -> bytes:
        reply = await self.hub.client.get(f"/v1/evidence/{digest}/bundle", headers=self.token)
        assert reply.status_code == 200, reply.text
        return bytes(reply.content)


def health_of(result: Result, asset: str) -> float:
    return float(result["output"]["assets"][asset]["index"])
