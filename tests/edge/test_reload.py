"""Hot reload: only what changed is touched, an error changes nothing, a change that fails half way goes back, nothing is left behind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import agent as agent_module
from edge import config, reload, tagids
from edge.agent import Agent
from edge.buffer import Buffer
from edge.devices import compare
from edge.intake import Intake
from protocols import quality
from protocols.batch import statement
from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, TagTable, load_device_map
from protocols.frame import Block, Frame
from tests.edge.test_agent import until

HEAD = """[gateway]
name = "rig1"

[buffer]
commit_every = "2ms"
seal_every = "100ms"
"""
MAP = """device_map = "small"
maker = "Acme"
models = ["A1"]
modbus = { word_order = "ABCD" }
tags = [
  { name = "pressure", at = "holding:0", type = "int16", unit = "bar", scale = 0.1 },
  { name = "flow", at = "holding:1", type = "int16", unit = "m3/h" },
]
"""


def devices(*names: str, address: str = "127.0.0.1:1") -> str:
    return HEAD + "".join(f'\n[[device]]\nname = "{name}"\nmap = "small"\naddress = "{address}"\n' for name in names)


@dataclass
class Field:
    """What the drivers of a test did: sessions opened and closed by device."""

    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


class NumberedDriver:
    """Every frame carries the next number, for all tags of its device; holds a file while it is open."""

    def __init__(self, device: Device, field: Field) -> None:
        self._device, self._field = device, field
        self._number = 0
        self._file = -1

    async def open(self) -> None:
        self._file = os.open(os.devnull, os.O_RDONLY)
        self._field.opened.append(self._device.name)

    async def read(self) -> Frame:
        await asyncio.sleep(0.002)
        self._number += 1
        now_us = SystemClock().now_us()
        ids = self._device.ids
        block = Block(ids, np.array([now_us], np.int64), np.full((1, len(ids)), self._number % 30_000, np.int32))
        return Frame(self._device.name, now_us, [block])

    async def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._field.closed.append(self._device.name)
        self._file = -1


@dataclass
class Site:
    folder: Path
    agent: Agent
    field: Field

    def write(self, text: str, name: str = "gateway.toml") -> None:
        (self.folder / f"{name}.new").write_text(text)
        (self.folder / f"{name}.new").replace(self.folder / name)

    async def health(self, condition: Any = lambda found: True) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await until(self.folder, condition)

    async def changes(self, count: int) -> dict[str, Any]:
        return await self.health(lambda found: found["configuration"]["changes"] >= count)

    async def failed(self, words: str) -> dict[str, Any]:
        return await self.health(lambda found: found["configuration"]["state"] == "FAILED" and words in found["configuration"]["reason"])


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    async with running(tmp_path, monkeypatch) as made:
        yield made


@asynccontextmanager
async def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    if not (folder / "gateway.toml").exists():
        (folder / "small.toml").write_text(MAP)
        (folder / "gateway.toml").write_text(devices("a", "b"))
    field = Field()
    monkeypatch.setattr(agent_module, "open_driver", lambda device, *_: NumberedDriver(device, field))
    monkeypatch.setattr(reload, "LOOK_EVERY_US", 10_000)
    stop = asyncio.Event()
    agent = Agent(config.load(folder / "gateway.toml"), SystemClock())
    task = asyncio.create_task(agent.run(stop))
    try:
        async with asyncio.timeout(20):
            while not (folder / "rig1-data" / "agent.json").exists():
                await asyncio.sleep(0.01)
        made = Site(folder, agent, field)
        await made.health(lambda found: all(device["up"] for device in found["devices"]))
        yield made
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def kept(folder: Path) -> dict[str, list[tuple[int, float, int]]]:
    """(raw value, scale, quality) of every sample in the buffer by tag name, each read by the tag table that its batch names."""
    buffer = Buffer.open(folder / "rig1-data" / "buffer.db", 1, max_bytes=1_000_000_000)
    tables = {
        digest: TagTable.parse(statement.parse_tag_table(signed).text).by_id()
        for digest, signed in buffer._db.execute("SELECT digest, statement FROM tag_table")
    }
    found: dict[str, list[tuple[int, float, int]]] = {}
    for (signed,) in buffer._db.execute("SELECT statement FROM batch ORDER BY id").fetchall():
        payload = statement.parse(signed).open()
        for group in payload.groups:
            values = np.asarray(group.values).reshape(-1)
            codes = np.zeros(values.size, np.uint32) if group.quality is None else np.asarray(group.quality).reshape(-1)
            tags = np.broadcast_to(group.tags, np.asarray(group.values).shape).reshape(-1)
            for tag, value, code in zip(tags.tolist(), values.tolist(), codes.tolist(), strict=True):
                entry = tables[payload.table_digest][tag]
                found.setdefault(entry.name, []).append((value, float(entry.scale), code))
    buffer.abandon()
    return found


def holes(numbers: list[int]) -> list[tuple[int, int]]:
    """(expected, found) where 1, 2, 3 ... is left; the first ten."""
    return [(expected, found) for expected, found in enumerate(numbers, 1) if expected != found][:10]


async def test_added_device_is_read_and_the_others_are_not_touched(site: Site) -> None:
    site.write(devices("new", "b", "a"))
    found = await site.changes(1)
    assert [device["name"] for device in found["devices"]] == ["new", "b", "a"]
    await site.health(lambda found: found["devices"][0]["samples"] > 5)
    assert (site.field.opened, site.field.closed) == (["a", "b", "new"], [])
    assert found["configuration"]["state"] == "IN_SYNC"


async def test_no_value_is_lost_doubled_or_taken_for_another_across_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as site:
        for number, names in enumerate([("c", "a", "b"), ("b", "c"), ("b", "a", "c")], 1):
            site.write(devices(*names))
            await site.changes(number)
            await asyncio.sleep(0.05)
    found = kept(tmp_path)
    for tag in ("b.pressure", "b.flow"):  # read through every change: 1, 2, 3 ... without a hole
        assert {code for _, _, code in found[tag]} == {0}
        assert holes([raw for raw, _, _ in found[tag]]) == []
    stopped = [code for _, _, code in found["a.flow"]]
    assert stopped.count(quality.BAD_OUT_OF_SERVICE) == 1  # while it was away
    first = stopped.index(quality.BAD_OUT_OF_SERVICE)
    assert holes([raw for raw, _, _ in found["a.flow"][:first]]) == []


async def test_changed_map_restarts_its_devices_under_the_new_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as site:
        await site.health(lambda found: all(device["samples"] > 5 for device in found["devices"]))
        site.write(MAP.replace("scale = 0.1", "scale = 10.0"), "small.toml")
        await site.changes(1)
        await site.health(lambda found: all(device["samples"] > 5 for device in found["devices"]))
        assert sorted(site.field.closed) == ["a", "b"]
    for scale in (0.1, 10.0):
        numbers = [raw for raw, found, code in kept(tmp_path)["a.pressure"] if found == scale and code == 0]
        assert numbers
        assert holes(numbers) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (devices("a", "b") + "\n[[device]]\nname = 7\n", 'gateway.toml:19: "name"'),
        ("[gateway", "gateway.toml"),
        (devices("a", "b").replace('"small"', '"smell"'), 'did you mean "small"'),
        (devices("a", "b").replace("rig1", "rig2"), "another gateway"),
    ],
    ids=["wrong key", "no toml", "unknown map", "another gateway"],
)
async def test_file_with_an_error_changes_nothing_and_health_says_which(
    site: Site, caplog: pytest.LogCaptureFixture, text: str, words: str
) -> None:
    caplog.set_level("INFO", logger="qenergyz")
    site.write(text)
    found = await site.failed(words)
    assert found["state"] == "amber"
    before = found["collected"]
    await site.health(lambda found: found["collected"] > before)
    assert site.field.closed == []
    site.write(devices("a", "b"))
    assert (await site.health(lambda found: found["configuration"]["state"] == "IN_SYNC"))["state"] == "green"
    assert site.field.closed == []
    assert sum("configuration_refused" in record.message for record in caplog.records) == 1


async def test_touched_file_with_the_same_content_is_in_sync(site: Site) -> None:
    site.write(devices("a", "b"))
    await asyncio.sleep(0.1)
    site.write(devices("a", "b", "c"))
    assert (await site.changes(1))["configuration"]["changes"] == 1
    assert site.field.closed == []


async def test_settings_read_at_the_start_are_told_as_pending_and_devices_change_at_once(site: Site) -> None:
    site.write(devices("a").replace('seal_every = "100ms"', 'seal_every = "200ms"'))
    found = await site.changes(1)
    assert found["configuration"]["state"] == "PENDING"
    assert found["configuration"]["reason"] == "restart the agent for the change of [buffer]"
    await site.health(lambda found: [device["name"] for device in found["devices"]] == ["a"])


async def test_change_that_fails_half_way_goes_back_and_is_tried_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = Intake.use_table

    async def full(self: Intake, table: TagTable) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Intake, "use_table", full)
    monkeypatch.setattr(reload, "RETRY_US", 50_000)
    site.write(
        devices("a", "b", "c").replace(
            'name = "b"\nmap = "small"\naddress = "127.0.0.1:1"', 'name = "b"\nmap = "small"\naddress = "127.0.0.1:2"'
        )
    )
    found = await site.failed("disk full; the devices run as before")
    assert [(device["name"], device["address"]) for device in found["devices"]] == [("a", "127.0.0.1:1"), ("b", "127.0.0.1:1")]
    await site.health(lambda found: found["devices"][1]["samples"] > 5)
    assert "a" not in site.field.closed
    monkeypatch.setattr(Intake, "use_table", switch)
    found = await site.changes(1)
    assert [device["address"] for device in found["devices"]] == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:1"]


async def test_fifty_cycles_leave_no_task_and_no_open_file(site: Site) -> None:
    def left() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))

    site.write(devices("a"))
    await site.changes(1)
    before = left()
    for cycle in range(50):
        site.write(devices("a", "b"))
        await site.changes(2 + 2 * cycle)
        site.write(devices("a"))
        found = await site.changes(3 + 2 * cycle)
    await asyncio.sleep(0.05)
    assert left() == before
    assert site.field.opened.count("b") == site.field.closed.count("b") > 25  # one that lived for too short a time never opened
    assert "a" not in site.field.closed
    assert [task["name"] for task in found["tasks"]] == ["intake", "device a", "reload", "key", "fill"]
    assert all(task["restarts"] == 0 for task in found["tasks"])


async def test_hangup_looks_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "LOOK_EVERY_US", 3_600_000_000)
    await asyncio.sleep(0.05)
    site.write(devices("a"))
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await site.changes(1))["configuration"]["state"] == "IN_SYNC"


async def test_numbers_of_tags_stay_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as site:
        site.write(devices("new", "b"))
        await site.changes(1)
    loaded = config.load(tmp_path / "gateway.toml")
    assert {device.name: device.first_id for device in loaded.devices} == {"new": 4, "b": 2}


def test_only_what_differs_is_stopped_and_started(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(MAP)
    (tmp_path / "gateway.toml").write_text(devices("a", "b", "c"))
    before = config.load(tmp_path / "gateway.toml").devices
    (tmp_path / "rig1-data").mkdir()
    tagids.save(tmp_path / "rig1-data", tagids.ranges(before, {}))
    (tmp_path / "gateway.toml").write_text(devices("a", "c", "d").replace("127.0.0.1:1", "127.0.0.1:9", 1))
    change = compare(before, config.load(tmp_path / "gateway.toml").devices[:2])
    assert [[device.name for device in group] for group in (change.kept, change.stopped, change.started)] == [["c"], ["a", "b"], ["a"]]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_map_loaded_twice_is_the_same(path: Path) -> None:
    assert load_device_map(path) == load_device_map(path)
