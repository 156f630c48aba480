"""The hub, its database, its network and its mind fail while a gateway collects: the agent goes on, and what was collected arrives once."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cloud.postgres import Cluster
from simulators import demo
from tests.e2e.conftest import HubProgram, Site, device_tables, wait_until

WAKE_S = 3.0
FEW = device_tables({"modbus": 1, "mqtt": 1})
MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(own_hub: HubProgram) -> Iterator[MakeSite]:
    """Sites with an agent that is collecting."""
    made: list[Site] = []

    def make(devices: str = FEW, *, rate: float = 20.0, buffer: str = "", data: Path | None = None) -> Site:
        made.append(Site(own_hub, devices, rate=rate, buffer=buffer, data=data))
        return made[-1]

    yield make
    for site in made:
        site.end()


@pytest.fixture
def site(make_site: MakeSite) -> tuple[Site, int]:
    """One that is collecting, and since when."""
    made = make_site()
    made.start_agent()
    since_us = made.go()
    wait_until(lambda: made.agent()["hub"]["receipts_verified"] > 0, "a first receipt")
    return made, since_us


def assert_nothing_lost(site: Site, since_us: int) -> None:
    site.hold()
    site.drain()
    found = site.compared(since_us)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 0), found.examples
    assert found.stored > 0


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_agent_collects_without_its_hub_and_delivers_when_it_is_back(site: tuple[Site, int], own_hub: HubProgram, kill: bool) -> None:
    here, since_us = site
    own_hub.end(kill=kill)
    alone = here.agent()["collected"]
    wait_until(lambda: here.agent()["collected"] > alone + 300, "samples are collected without a hub")
    waiting = wait_until(lambda: not here.agent()["hub"]["connected"] and here.agent()["backlog"]["sealed_batches"], "a backlog")
    assert waiting >= 1
    assert here.agent()["state"] == "amber"
    own_hub.start()
    start = time.monotonic()
    wait_until(lambda: here.agent()["hub"]["connected"], "the agent finds its hub again", 10)
    assert time.monotonic() - start < WAKE_S
    assert_nothing_lost(here, since_us)
    assert here.gaps(since_us, since_us + 2_000_000) == []


def test_killed_database_comes_back_under_load(site: tuple[Site, int], own_hub: HubProgram) -> None:
    here, since_us = site
    process = Cluster(own_hub.data / "pg").pid()
    assert process
    os.kill(process, signal.SIGKILL)
    before = here.agent()["collected"]
    wait_until(lambda: here.agent()["collected"] > before + 100, "samples are collected without a database")
    wait_until(
        lambda: own_hub.health()["state"] == "up" and Cluster(own_hub.data / "pg").pid() not in (None, process), "a new database", 30
    )
    receipts = here.agent()["hub"]["receipts_verified"]
    wait_until(lambda: here.agent()["hub"]["receipts_verified"] > receipts, "receipts come again")
    assert_nothing_lost(here, since_us)


def test_revoked_gateway_says_so_and_goes_on_collecting(site: tuple[Site, int], own_hub: HubProgram) -> None:
    here, _ = site
    demo.run("hub", "revoke", "--data", str(own_hub.data), "--gateway", here.gateway)
    own_hub.end()  # a running hub would follow within a minute
    own_hub.start()
    state = wait_until(lambda: here.agent() if "revoked" in str(here.agent()["causes"]) else None, "health names the revocation")
    assert any("revoked" in cause["cause"] for cause in state["causes"])
    before = here.agent()["collected"]
    wait_until(lambda: here.agent()["collected"] > before + 100, "samples are still collected")
    assert here.agent()["backlog"]["refused_batches"] == 0  # they may be sent again once the key is good


def test_copied_gateway_is_found_out(site: tuple[Site, int], make_site: MakeSite, own_hub: HubProgram, tmp_path: Path) -> None:
    """Two agents sign with one key: the second to send a number is refused, both are kept, and a person is called."""
    here, _ = site
    here.end_agent()
    twin_data = tmp_path / "twin"
    shutil.copytree(here.data, twin_data)
    (twin_data / "agent.json").unlink(missing_ok=True)
    twin_config = here.folder / "twin.toml"
    twin_config.write_text(here.config.read_text().replace(str(here.data), str(twin_data)))
    here.start_agent()
    here.programs.start("twin", "edge", "run", str(twin_config))
    try:
        slugs = wait_until(lambda: _findings(own_hub, here), "the hub notes a finding")
        assert slugs & {"equivocation", "chain-broken"}
        rows = wait_until(
            lambda: own_hub.rows(
                "SELECT encode(entry, 'hex'), encode(stored, 'hex') FROM equivocation WHERE gateway_id = %s", here.gateway_id()
            ),
            "both batches of one number are kept",
        )
        first = own_hub.rows("SELECT encode(entry, 'hex') FROM batch WHERE gateway_id = %s", here.gateway_id())
        assert {stored for _, stored in rows} <= {entry for (entry,) in first}
        assert not {entry for entry, _ in rows} & {entry for (entry,) in first}
        wait_until(lambda: _state_of(here.data) == "red" or _state_of(twin_data) == "red", "the health of one agent is red")
    finally:
        here.programs.stop("twin")


def _findings(hub: HubProgram, site: Site) -> set[str]:
    return {slug for (slug,) in hub.rows("SELECT slug FROM finding WHERE gateway_id = %s", site.gateway_id())}


def _state_of(data: Path) -> str:
    url = json.loads((data / "agent.json").read_text())["url"]
    return str(httpx.get(f"{url}/health", timeout=10).json()["state"])
