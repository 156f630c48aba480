"""A flare, engines and a power meter on the test gateway, with an inventory that reads them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from cloud.esg.accounts import start_of
from protocols.batch.columns import Group
from protocols.batch.statement import Payload
from protocols.devicemap import TagTable
from tests.cloud.conftest import TestHub
from tests.cloud.esg.test_register import FLARE, GAS, HEAD, RATE, SOURCE, U95
from tests.cloud.gateway import Gateway

UNITS = ("MMscf/d", "degC", "MWh", "bbl/d")
PNEUMATICS = SOURCE.replace('"S"', '"P"') + 'category = "pneumatic"\ncounts = { low = 3 }\n' + GAS + U95
POWER = SOURCE.replace('"S"', '"W"') + (
    f'category = "purchased power"\nflow = "power"\ngrid = {RATE.replace("}", ", ch4 = 0.0, n2o = 0.0 }")}\n'
    f"residual = {RATE.replace('}', ', ch4 = 0.0, n2o = 0.0 }')}\n"
)
TEXT = HEAD + FLARE + PNEUMATICS + POWER
SCOPES = ("read", "write:esg")
MINUTE_US = 60_000_000


@dataclass
class Field:
    hub: TestHub
    token: dict[str, str] = field(default_factory=dict)
    gateway: Gateway = field(default_factory=lambda: Gateway(None, "rig1"))  # type: ignore[arg-type]

    async def open(self, text: str = TEXT, units: tuple[str, ...] = UNITS, *, inventory_first: bool = False) -> "Field":
        self.token = await self.hub.token(scopes=SCOPES)
        if inventory_first:
            assert (await self.put(text)).status_code == 200
        self.gateway = await self.hub.gateway("rig1", table=False)
        document = json.loads(self.gateway.table.text)
        document["tags"] = [
            {**tag, "unit": unit, "scale": "0.001", "range": None} for tag, unit in zip(document["tags"], units, strict=True)
        ]
        self.gateway.table = TagTable.parse(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        assert (await self.gateway.put_table()).status_code == 201
        if not inventory_first:
            reply = await self.put(text)
            assert reply.status_code == 200, reply.text
        return self

    async def put(self, text: str) -> Any:
        headers = {**self.token, "content-type": "application/toml"}
        return await self.hub.client.put("/v1/esg/inventory", content=text, headers=headers)

    async def get(self, path: str, **params: Any) -> Any:
        reply = await self.hub.client.get(
            f"/v1/esg/{path}", params={key.rstrip("_"): value for key, value in params.items()}, headers=self.token
        )
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def refused(self, path: str, **params: Any) -> str:
        reply = await self.hub.client.get(
            f"/v1/esg/{path}", params={key.rstrip("_"): value for key, value in params.items()}, headers=self.token
        )
        assert reply.status_code >= 400, reply.text
        return f"{reply.status_code} {reply.json()['detail']}"

    async def post(self, *measures: dict[str, Any]) -> Any:
        return await self.hub.client.post("/v1/esg/measures", json={"measures": list(measures)}, headers=self.token)

    async def send(
        self, start_us: int, minutes: int, *, flow: float = 2.4, pilot: float = 600.0, power: float = 100.0, stream: str = "live"
    ) -> None:
        """One sample a minute; the flow wavers so that the meter is not frozen, the power meter runs 0.05 MWh a minute."""
        at = np.arange(minutes)
        columns = np.column_stack(
            [flow + 0.01 * np.sin(at / 7.0 + start_us % 97), np.full(minutes, pilot), power + 0.05 * at, np.full(minutes, 1.0)]
        )
        times = start_us + MINUTE_US * at.astype(np.int64)
        group = Group(np.arange(4, dtype=np.uint32), times, np.round(columns * 1000).astype(np.int32))
        await self.gateway.send(self.gateway.seal(Payload(self.gateway.table.digest, (group,), ()), stream=stream))

    async def whole_day(self, day: date, parts: int = 4, leave_out: tuple[int, ...] = ()) -> None:
        minutes = 1440 // parts
        for part in range(parts):
            if part not in leave_out:
                await self.send(start_of(day) + part * minutes * MINUTE_US, minutes, power=100.0 + part * minutes * 0.05)


def yesterday(back: int = 1) -> date:
    return date.fromordinal(datetime.now(UTC).date().toordinal() - back)
