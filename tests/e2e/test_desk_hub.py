"""The trader's page on a real hub: batches that a gateway signed move the VaR on the page, and lead from it to a proof that recomputes."""

import asyncio
import re
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from cloud.market.documents import quote_json
from cloud.trading.documents import calendar_json, deal_json
from protocols.batch.columns import Group
from protocols.batch.statement import Payload
from simulators import demo
from tests.cloud.gateway import Gateway
from tests.e2e import desk_story
from tests.e2e.browser import CHROMIUM, browsing
from tests.e2e.conftest import HubProgram, wait_until

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")

MODEL = """
[[class]]
name = "well"
every = "1s"
stale = "30s"
learn = 20
[class.failure]
threshold = 0.8
drift_per_day = 0.0005
diffusion_per_day = 0.01
worth = "90d"
clock_per_year = 0.5
repair_median = "6d"
repair_spread = 0.6
sensor_sd = 0.01
source = "a test"
[[class.role]]
name = "head"
unit = "bar"
low = 0.0
high = 10000.0
resolution = 0.01
[[class.role]]
name = "choke"
unit = "bar"
low = 0.0
high = 10000.0
resolution = 0.01
[[site]]
name = "field"
{assets}
[[site.node]]
name = "all"
kind = "parallel"
parts = ["W1", "W2"]
[[site.stream]]
name = "crude"
topology = "all"
product = "WTI"
place = "Cushing"
"""
ASSET = """
[[site.asset]]
name = "W{number}"
class = "well"
nameplate = 36000.0
unit = "bbl/d"
tag = [{{ tag = "rig1/plc1.t{head}", role = "head" }}, {{ tag = "rig1/plc1.t{choke}", role = "choke" }}]
"""
ASSETS = "".join(ASSET.format(number=number, head=2 * number - 2, choke=2 * number - 1) for number in (1, 2))


async def _book(hub: HubProgram, client: httpx.AsyncClient) -> None:
    """Model, settings, quotes, calendars and deals, as an operator hands them in."""
    story = desk_story.begin(time.time_ns() // 1000)
    scopes = ("read", "write:alarms", "write:assets", "write:deals", "write:market", "write:risk")
    headers = {"authorization": f"Bearer {demo.token(hub.folder, 'booking', *scopes)}"}
    calendars = [calendar_json(*key, calendar) for key, calendar in story.calendars.items()]
    replies = [
        await client.put("/v1/calendars", json=calendars, headers=headers),
        await client.post("/v1/deals", json=[deal_json(deal) for deal in story.deals], headers=headers),
        await client.put("/v1/quotes", json=[quote_json(quote) for quote in story.quotes], headers=headers),
        await client.put("/v1/risk/settings", content=desk_story.SETTINGS, headers=headers),
        await client.put("/v1/assets", content=MODEL.format(assets=ASSETS), headers=headers),
    ]
    assert [reply.status_code // 100 for reply in replies] == [2] * len(replies), [reply.text for reply in replies]


async def _send(gateway: Gateway, seconds: int, fallen: float = 0.0, ago_s: int = 0) -> None:
    """So many samples up to `ago_s` before now; the first well's pressures have fallen by `fallen` bar."""
    now_us = time.time_ns() // 1000 - 1_000_000 * ago_s
    rng = np.random.default_rng(seconds)
    bars = 200 + 0.5 * rng.standard_normal((seconds, 4)) - np.array([fallen, fallen, 0, 0])
    times = now_us - 1_000_000 * np.arange(seconds, dtype=np.int64)[::-1]
    group = Group(np.arange(4, dtype=np.uint32), times, np.round(100 * bars).astype(np.int32))
    await gateway.send(gateway.seal(Payload(gateway.table.digest, (group,))))


async def _feed(hub: HubProgram) -> Gateway:
    client = httpx.AsyncClient(base_url=hub.reader.url, timeout=30)
    await _book(hub, client)
    gateway = Gateway(client, "rig1", tags=4)
    assert (await gateway.enrol(demo.run("hub", "voucher", "--data", str(hub.data), "--gateway", "rig1"))).status_code == 201
    assert (await gateway.put_table()).status_code == 201
    await _send(gateway, 60, ago_s=15)
    return gateway


def _risk(hub: HubProgram) -> dict[str, object]:
    return next((one for one in hub.get("/v1/results") if one["kind"] == "risk"), {})


def test_signed_batches_move_the_page_and_prove_what_it_shows(own_hub: HubProgram, tmp_path: Path) -> None:
    with asyncio.Runner() as loop, browsing() as browser:
        gateway = loop.run(_feed(own_hub))
        before = wait_until(lambda: _risk(own_hub), "the first VaR")
        browser.shape(1400, 900, "light")
        browser.open(f"{own_hub.reader.url}/desk.html#token={own_hub.reader.token}")
        browser.wait_text("Risk of book main")
        loop.run(_send(gateway, 15, 40.0))
        browser.wait_text("■ critical")
        after = wait_until(lambda: (found := _risk(own_hub))["id"] != before["id"] and found, "the VaR that the event moved")
        assert after["output"]["var"] > before["output"]["var"]  # type: ignore[index]
        assert re.search(r"sensor to VaR \d+\.\d\d s;", browser.text())
        browser.click("td a", "W1")
        browser.click(".trail td a", "W1")
        browser.click(".trail td a", "rig1/plc1.t0")
        browser.wait("document.querySelector('.trail canvas') && true", "the chart of the tag")
        browser.click(".trail a", "Signed batches behind the VaR")
        browser.wait_text("entry hash")
        shown = browser.look("[...document.querySelector('.trail tbody').rows].map((row) => [...row.cells].map((cell) => cell.innerText))")
        stored = own_hub.rows("SELECT seq, encode(entry, 'hex') FROM batch ORDER BY seq")
        assert {(int(row[3]), row[4]) for row in shown} <= set(stored)
        assert {row[0] for row in shown} == {gateway.urn}
        figure = browser.look("new URLSearchParams(location.search).get('proof')")
        browser.keep_downloads(tmp_path)
        browser.click("button", "Download the proof of this VaR")
        kept = tmp_path / f"var-{figure[:16]}.qzb"
        wait_until(lambda: kept.exists() and kept.stat().st_size > 0, "the download")
        assert browser.faults == []
        said = demo.run("verify", "--recompute", str(kept))
        assert "EQUAL: " in said, said
