"""The examples of docs/reference/api-trading.md are what the hub takes and gives."""

import json
import re
from pathlib import Path
from typing import Any

from tests.cloud.conftest import TestHub

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api-trading.md"


async def test_the_examples_of_the_page_are_taken(hub: TestHub) -> None:
    quotes, calendars, deal, positions = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))
    headers = await hub.token(scopes=("read", "write:market", "write:deals"))

    async def send(method: str, path: str, body: Any) -> int:
        return (await hub.client.request(method, path, json=body, headers=headers)).status_code

    assert await send("PUT", "/v1/quotes", quotes) == 200
    assert await send("PUT", "/v1/calendars", calendars) == 200
    assert await send("POST", "/v1/deals", deal) == 201
    shown = (await hub.client.get("/v1/positions", params={"as_of_us": positions["as_of_us"]}, headers=headers)).json()
    assert shown.keys() == positions.keys()
    assert shown["positions"][0] == positions["positions"][0]


async def test_every_route_has_its_own_name_and_says_what_it_takes(hub: TestHub) -> None:
    paths = (await hub.client.get("/openapi.json")).json()["paths"]
    names = [route["operationId"] for path in paths.values() for route in path.values()]
    assert len(names) == len(set(names))
    for path in ("/v1/quotes", "/v1/calendars", "/v1/history"):
        assert paths[path]["put"]["requestBody"]["content"]
    assert paths["/v1/deals"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
