"""The agent as a whole: every task supervised, health with causes, useful without hub and devices, an orderly end."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import agent as agent_module
from edge import config
from edge.agent import Agent, AlreadyRunning
from edge.cli import main
from edge.enrolment import Enrolment
from edge.fill import Fill
from edge.health import CAUSES
from protocols import quality
from protocols.batch.checkpoint import verifier_key
from protocols.clock import SystemClock
from protocols.devicemap import Device
from protocols.driver import DeviceUnreachable
from protocols.frame import Block, Frame
from protocols.signing import Ed25519Signer
from protocols.tracing import OFF, Tracing
from tests.fakes import RecordedTracing

GATEWAY = """[gateway]
name = "rig1"
hub = "http://127.0.0.1:9"

[buffer]
commit_every = "5ms"
seal_every = "100ms"

[[device]]
name = "good"
map = "qenergyz_well_modbus"
address = "127.0.0.1:1"

[[device]]
name = "odd"
map = "qenergyz_well_modbus"
address = "127.0.0.1:1"
"""


class CountingDriver:
    """Gives a frame every few milliseconds; `trouble` is called before each."""

    def __init__(self, device: Device, trouble: Callable[[], None]) -> None:
        self._device, self._trouble = device, trouble
        self._number = 0

    async def open(self) -> None:
        self._trouble()

    async def read(self) -> Frame:
        await asyncio.sleep(0.005)
        self._trouble()
        self._number += 1
        now_us = SystemClock().now_us()
        block = Block(self._device.ids[:1], np.array([now_us], np.int64), np.array([[self._number]], np.int32))
        return Frame(self._device.name, now_us, [block])

    async def close(self) -> None:
        pass


@asynccontextmanager
async def running(
    folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[], None], tracing: Tracing = OFF
) -> AsyncIterator[Agent]:
    """An agent whose device "odd" does what `trouble` says; "good" always works."""
    (folder / "gateway.toml").write_text(GATEWAY)
    loaded = config.load(folder / "gateway.toml")
    monkeypatch.setattr(
        agent_module, "open_driver", lambda device, *_: CountingDriver(device, trouble if device.name == "odd" else lambda: None)
    )
    stop = asyncio.Event()
    made = Agent(loaded, SystemClock(), tracing)
    task = asyncio.create_task(made.run(stop))
    try:
        async with asyncio.timeout(20):
            while not (loaded.data / "agent.json").exists():
                await asyncio.sleep(0.01)
            yield made
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def page(folder: Path, path: str) -> tuple[int, str]:
    url = json.loads((folder / "rig1-data" / "agent.json").read_text())["url"]

    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url + path, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def until(folder: Path, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        document: dict[str, Any] = json.loads((await page(folder, "/health"))[1])
        if condition(document):
            return document
        await asyncio.sleep(0.02)


def device(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in document["devices"] if one["name"] == name)


async def test_agent_collects_without_a_hub_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, lambda: None):
        document = await until(tmp_path, lambda found: found["collected"] > 50 and device(found, "odd")["up"])
        assert document["state"] == "green"  # not enrolled: nothing is expected of the hub yet
        status, text = await page(tmp_path, "/metrics")
        assert status == 200
        assert 'qenergyz_edge_device_up{device="good",protocol="modbus"} 1' in text
        assert (await page(tmp_path, "/else"))[0] == 404


async def test_dead_device_leaves_its_neighbour_alone_and_names_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead() -> None:
        raise DeviceUnreachable("connection refused", quality.BAD_NO_COMMUNICATION)

    async with running(tmp_path, monkeypatch, dead):
        document = await until(tmp_path, lambda found: device(found, "good")["samples"] > 50)
        assert (document["state"], device(document, "odd")["up"]) == ("amber", False)
        assert {"state": "amber", "cause": 'device "odd": connection refused'} in document["causes"]


async def test_exception_in_a_task_is_logged_once_restarted_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="qenergyz")
    left = 4

    def failing() -> None:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("injected")

    async with running(tmp_path, monkeypatch, failing):
        document = await until(tmp_path, lambda found: device(found, "odd")["samples"] > 5)
    task = next(task for task in document["tasks"] if task["name"] == "device odd")
    assert task["restarts"] == 4
    assert document["state"] == "red"  # three failures in a minute
    assert [record.message for record in caplog.records].count("task_failed task=device odd") == 1


async def test_stop_seals_everything_and_says_that_it_was_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, lambda: None):
        await until(tmp_path, lambda found: found["collected"] > 20)
    async with running(tmp_path, monkeypatch, lambda: None):
        document = await until(tmp_path, lambda found: found["backlog"]["sealed_samples"] > 20)
    assert document["backlog"]["refused_batches"] == 0


async def test_second_agent_on_the_same_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, lambda: None) as first:
        second = Agent(config.load(tmp_path / "gateway.toml"), SystemClock())
        with pytest.raises(AlreadyRunning, match="another agent runs"):
            await second.run(asyncio.Event())
        before = (await first.report()).collected
        assert (await until(tmp_path, lambda found: found["collected"] > before))["state"] == "green"


async def test_status_command_asks_the_running_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path, monkeypatch, lambda: None):
        await until(tmp_path, lambda found: found["collected"] > 5)
        assert await asyncio.to_thread(main, ["status", str(tmp_path / "gateway.toml")]) == 0
        assert "good (modbus): up" in capsys.readouterr().out


def test_status_of_an_agent_that_does_not_run_says_how_to_start_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY)
    assert main(["status", str(tmp_path / "gateway.toml")]) == 1
    assert "qenergyz edge run" in capsys.readouterr().err


def test_enrolment_against_an_absent_hub_fails_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY)
    assert main(["enrol", str(tmp_path / "gateway.toml"), "--voucher", "nothing"]) == 1
    assert "not enrolled" in capsys.readouterr().err
    key = tmp_path / "rig1-data" / "gateway.key"
    assert key.stat().st_mode & 0o777 == 0o600


async def test_health_and_metrics_tell_drops_clock_and_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, lambda: None) as agent:
        document = await until(tmp_path, lambda found: found["collected"] > 5)
        assert document["drops"] == {**dict.fromkeys(CAUSES.values(), 0), "refused_batches": 0}
        assert document["full_in_s"] is None
        assert set(document["clock"]) == {"source", "offset_us", "error_us"}
        agent._fill = Fill()
        for number in range(4):
            agent._fill.seen(number * 10_000_000, number * 1_000_000)
        document = await until(tmp_path, lambda found: found["full_in_s"] is not None)
        assert any("the buffer will be full in" in one["cause"] for one in document["causes"])
        text = (await page(tmp_path, "/metrics"))[1]
        for name in ('drops_total{cause="never_kept_samples"} 0', "full_in_seconds", "clock_offset_seconds", "configuration_in_sync 1"):
            assert f"qenergyz_edge_{name}" in text


def test_counts_of_drivers_go_on_over_their_sessions() -> None:
    class Counting(CountingDriver):
        dropped = 0

    counted = agent_module.Counted()
    for found in (3, 4):
        driver = Counting(None, lambda: None)  # type: ignore[arg-type]
        counted.next(driver)
        driver.dropped = found
    assert counted.total() == {"dropped": 7}


async def test_secret_shows_in_no_log_health_or_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the real drivers, which fail to connect and tell so."""
    canary = "canary-51c0de"
    monkeypatch.setenv("CANARY", canary)
    (tmp_path / "password").write_text(canary)
    devices = "".join(
        f'\n[[device]]\nname = "{name}"\nmap = "{the_map}"\naddress = "{address}"\nusername = "u"\npassword_file = "{reference}"\n'
        for name, the_map, address, reference in (
            ("broker", "qenergyz_well_mqtt", "mqtt://127.0.0.1:1", "env:CANARY"),
            ("server", "qenergyz_well_opcua", "opc.tcp://127.0.0.1:1", "password"),
            ("absent", "qenergyz_well_mqtt", "mqtt://127.0.0.1:1", "credential:none"),
        )
    )
    head = '[gateway]\nname = "rig1"\nhub = "https://127.0.0.1:9"\n[hub]\nremote_configuration = true\nrotate_days = 1\n'
    hub = 'ca = "env:CANARY"\nclient_cert = "password"\nclient_key = "env:CANARY"\n'
    (tmp_path / "gateway.toml").write_text(head + hub + devices)
    enrolled = Enrolment("t", "urn:qz:gw:rig1", "hub/t", verifier_key("hub/t", Ed25519Signer.generate().public))
    (tmp_path / "rig1-data").mkdir()
    (tmp_path / "rig1-data" / "enrolment.json").write_text(json.dumps(asdict(enrolled)))
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="qenergyz")
    stop = asyncio.Event()
    task = asyncio.create_task(Agent(config.load(tmp_path / "gateway.toml"), SystemClock()).run(stop))
    try:
        async with asyncio.timeout(20):
            while not (tmp_path / "rig1-data" / "agent.json").exists():
                await asyncio.sleep(0.01)
            document = await until(
                tmp_path, lambda found: all(one["failures"] for one in found["devices"]) and "env:CANARY" in json.dumps(found["causes"])
            )
        shown = json.dumps(document) + (await page(tmp_path, "/metrics"))[1] + caplog.text
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)
    assert "CREDENTIALS_DIRECTORY" in shown
    assert canary not in shown + caplog.text


async def test_polls_and_seals_are_traced_by_device_and_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracing = RecordedTracing()
    async with running(tmp_path, monkeypatch, lambda: None, tracing):
        await until(tmp_path, lambda _: bool(tracing.named("seal")))
    assert {found["device"] for found in tracing.named("poll")} == {"good", "odd"}
    assert {found["samples"] for found in tracing.named("poll")} == {1}
    assert tracing.named("seal")[0]["stream"] == "live"
