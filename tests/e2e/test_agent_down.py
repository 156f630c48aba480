"""The agent is stopped, killed or runs out of room: what was collected arrives once, and what could not be collected is declared.

Gaps are read where people read them: from the hub's completeness.
"""

import ctypes
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge import config, enrolment
from edge.buffer import BACKFILL, Buffer
from protocols.devicemap import TagType
from protocols.frame import Block, Frame
from tests.e2e.conftest import HubProgram, Missing, Site, device_tables, now_us, wait_until

STOP_S = 5.0
FEW = device_tables({"modbus": 1, "mqtt": 1})
MakeSite = Callable[..., Site]
HOUR_US = 3_600_000_000


@pytest.fixture
def make_site(hub: HubProgram) -> Iterator[MakeSite]:
    made: list[Site] = []

    def make(devices: str = FEW, *, rate: float = 20.0, buffer: str = "", data: Path | None = None) -> Site:
        made.append(Site(hub, devices, rate=rate, buffer=buffer, data=data))
        return made[-1]

    yield make
    for site in made:
        site.end()


def collecting(site: Site) -> int:
    """Start the agent and the simulator; returns since when."""
    site.start_agent()
    since_us = site.go()
    wait_until(lambda: site.agent()["hub"]["receipts_verified"] > 0, "a first receipt")
    return since_us


def committed(site: Site) -> int:
    """Samples that the agent's file holds, as an engineer would count them afterwards."""
    with sqlite3.connect(site.data / "buffer.db", timeout=10) as connection:
        query = "SELECT (SELECT coalesce(sum(samples), 0) FROM open) + (SELECT coalesce(sum(samples), 0) FROM batch)"
        return int(connection.execute(query).fetchone()[0])


def assert_all_committed_arrived(site: Site) -> None:
    site.hold()
    site.drain()
    found = site.compared(now_us())
    assert (found.doubled, found.wrong) == (0, 0), found.examples
    assert found.stored == committed(site) > 0


def test_stopped_agent_flushes_ends_soon_and_declares_its_absence(make_site: MakeSite) -> None:
    site = make_site()
    since_us = collecting(site)
    assert site.end_agent() < STOP_S
    stopped_us = now_us()
    wait_until(lambda: now_us() - stopped_us > 1_000_000, "a second without the agent")
    site.start_agent()
    wait_until(lambda: site.agent()["collected"] > 100, "the new agent collects")
    assert_all_committed_arrived(site)
    gaps = site.gaps(since_us, now_us())
    assert Missing("the agent had been stopped", 0.9, 5.0).among(gaps), gaps
    assert len(gaps) == 1


def test_killed_agent_declares_that_it_was_not_running(make_site: MakeSite) -> None:
    site = make_site()
    since_us = collecting(site)
    said = site.agent()["collected"]
    site.end_agent(kill=True)
    assert committed(site) >= said
    killed_us = now_us()
    wait_until(lambda: now_us() - killed_us > 1_000_000, "a second without the agent")
    site.start_agent()
    wait_until(lambda: site.agent()["collected"] > 100, "the new agent collects")
    assert_all_committed_arrived(site)
    gaps = site.gaps(since_us, now_us())
    assert Missing("the agent was not running", 0.9, 6.0).among(gaps), gaps
    assert len(gaps) == 1


def test_messages_of_a_broker_survive_the_kill_of_the_agent(make_site: MakeSite) -> None:
    """What the broker keeps for the session is not lost while nobody is there to take it."""
    site = make_site(device_tables({"mqtt": 1}))
    since_us = collecting(site)
    site.end_agent(kill=True)
    killed_us = now_us()
    wait_until(lambda: now_us() - killed_us > 1_000_000, "a second without the agent")
    site.start_agent()
    wait_until(lambda: site.agent()["collected"] > 100, "the new agent collects")
    site.hold()
    site.drain()
    found = site.compared(since_us)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 0), found.examples


def fill(site: Site, size: int, now: int) -> tuple[int, int]:
    """Give the agent's file the backlog of a long outage, about `size` bytes of sealed batches; returns its first and last time."""
    gateway = config.load(site.config)
    buffer = Buffer.open(site.data / "buffer.db", now - 2 * HOUR_US, max_bytes=1 << 40)
    signer = enrolment.load_or_make_key(site.data)
    buffer.use_table(gateway.table, signer, gateway.urn)
    tag = next(entry for entry in gateway.table.entries if entry.type is TagType.FLOAT64)
    noise, first_us = np.random.default_rng(1), now - 2 * HOUR_US
    last_us = first_us
    while buffer.backlog().total_bytes < size:
        frames = []
        for _ in range(20):
            times = last_us + np.arange(1, 101, dtype=np.int64) * 1000
            last_us = int(times[-1])
            frames.append(Frame(tag.device, last_us, [Block(np.array([tag.id], np.uint32), times, noise.normal(size=(100, 1)))]))
        buffer.append(frames)
        buffer.seal(gateway.urn, signer, BACKFILL, last_us)
    buffer.close(last_us)
    return first_us, last_us


def test_full_buffer_drops_the_oldest_and_declares_what_it_dropped(make_site: MakeSite, hub: HubProgram) -> None:
    site = make_site(buffer='max_size = "1MB"\nseal_every = "100ms"', rate=50)
    first_us, last_us = fill(site, 980_000, now_us())
    before = committed(site)
    site.config.write_text(site.config.read_text().replace(hub.reader.url, "http://127.0.0.1:9"))  # the hub is out of reach
    site.start_agent()
    site.go()
    wait_until(lambda: site.agent()["collected"] > 1000 and committed(site) < before, "the oldest batches make room")
    site.end_agent()
    site.config.write_text(site.config.read_text().replace("http://127.0.0.1:9", hub.reader.url))
    site.start_agent()
    wait_until(lambda: site.agent()["hub"]["receipts_verified"] > 0, "a first receipt")
    site.hold()
    site.drain()
    gaps = site.gaps(first_us, last_us)
    assert Missing("dropped by the gateway: its buffer was full", 0.5).among(gaps), gaps
    assert Missing("sealed batches were dropped by the gateway").among(gaps), gaps
    assert not Missing("not received").among(gaps), gaps
    assert sum(len(found.times_us) for found in site.stored().values()) == committed(site)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """16 MB of a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() or libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=16m"):
        pytest.skip("mounting a small disk needs root and a kernel that allows it")
    try:
        yield folder
    finally:
        libc.umount2(os.fsencode(folder), 2)


def filled(disk: Path) -> Path:
    """The file that takes up what was free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    return ballast


def test_full_disk_stops_nobody_and_loses_nothing_while_memory_lasts(make_site: MakeSite, small_disk: Path) -> None:
    site = make_site(data=small_disk / "data")
    since_us = collecting(site)
    ballast = filled(small_disk)
    wait_until(lambda: site.agent()["state"] == "red", "health says that the buffer is full")
    assert any("full" in cause["cause"] for cause in site.agent()["causes"])
    frames = site.device("mqtt1")["samples"]
    wait_until(lambda: site.device("mqtt1")["samples"] > frames + 100, "devices are still read")
    ballast.unlink()
    wait_until(lambda: site.agent()["state"] == "green", "the buffer takes samples again")
    site.hold()
    site.drain()
    found = site.compared(since_us)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 0), found.examples


def test_agent_stopped_with_a_full_disk_ends_and_declares_what_it_could_not_keep(make_site: MakeSite, small_disk: Path) -> None:
    site = make_site(data=small_disk / "data")
    since_us = collecting(site)
    ballast = filled(small_disk)
    wait_until(lambda: site.agent()["state"] == "red", "health says that the buffer is full")
    read = site.device("modbus1")["samples"]
    wait_until(lambda: site.device("modbus1")["samples"] > read + 40, "samples that only memory holds")
    assert site.end_agent() < 2 * STOP_S
    ballast.unlink()
    site.start_agent()
    wait_until(lambda: site.agent()["collected"] > 100, "the new agent collects")
    site.hold()
    site.drain()
    found = site.compared(since_us)
    assert (found.doubled, found.wrong) == (0, 0), found.examples
    gaps = site.gaps(since_us, now_us())
    truth, stored = site.truth()[0], site.stored()
    lost = np.unique(np.concatenate([np.setdiff1d(truth[name].times_us, stored[name].times_us) for name in truth]))
    assert lost.size
    undeclared = [moment for moment in lost.tolist() if not any(gap["from_us"] <= moment <= gap["to_us"] for gap in gaps)]
    assert undeclared == [moment for moment in undeclared if moment < since_us]
