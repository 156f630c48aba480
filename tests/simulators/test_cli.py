"""`qenergyz sim run` as a process: ready file, commands, truth log, and an end without leftovers."""

import asyncio
import contextlib
import importlib.util
import json
import signal
import sys
from pathlib import Path

import pytest

from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, load_device_map
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.plan import Settings
from simulators.replay import find_recordings, read_recording

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = """
scenario = "one"
rate = 50
times = "recorded"
[[device]]
name = "well"
map = "qenergyz_well_opcua"
address = "opc.tcp://127.0.0.1:0/x"
source = { replay = "2/WELL-00009_20170313160804", start_row = 100 }
"""


@contextlib.asynccontextmanager
async def simulator(folder, *options, scenario=SCENARIO):
    (folder / "one.toml").write_text(scenario)
    command = [sys.executable, "-m", "simulators.cli", "run", str(folder / "one.toml"), "--ready", str(folder / "ready.json")]
    process = await asyncio.create_subprocess_exec(
        *command, "--truth", str(folder / "truth.csv"), *options, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            while not (folder / "ready.json").exists():
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield process, json.loads((folder / "ready.json").read_text())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


async def ended(process, seconds=2.0):
    async with asyncio.timeout(seconds):
        return await process.wait()


async def collected(driver, count):
    found = []
    async with asyncio.timeout(20):
        while len(found) < count:
            for block in (await driver.read()).blocks:
                codes = block.quality.tolist() if block.quality is not None else [0] * block.samples
                found += zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), codes, strict=True)
    return found


async def test_every_step_served_is_collected_and_in_the_truth_log(tmp_path):
    async with simulator(tmp_path, "--wait", "--steps", "40") as (process, addresses):
        device_map = load_device_map(SHIPPED / "qenergyz_well_opcua.toml")
        driver = OpcUaDriver(Device("well", device_map, addresses["well"], Settings()), SystemClock())
        await driver.open()
        first = await collected(driver, 8)
        process.stdin.write(b"step 30\ngo\n")
        found = first + await collected(driver, 40 * 8)
        process.stdin.write(b"stop\n")
        assert await ended(process) == 0
        await driver.close()
    names = [tag.name for tag in device_map.tags]
    truth = [line.split(",") for line in (tmp_path / "truth.csv").read_text().splitlines()]
    served = [(name, int(at), float(value), int(code)) for _, name, at, value, code in truth]
    assert sorted(served) == sorted((f"well.{names[tag]}", at, value, code) for tag, at, value, code in found)
    times = read_recording(find_recordings("2/WELL-00009_20170313160804")).times_us[100:141].tolist()
    assert [at for name, at, _, _ in served if name == "well.p_tpt"] == times


async def test_the_end_of_input_ends_a_steered_run_only(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with simulator(tmp_path / "a", "--wait") as (steered, _), simulator(tmp_path / "b") as (free, _):
        steered.stdin.close()
        free.stdin.close()
        assert await ended(steered) == 0
        assert free.returncode is None
        free.send_signal(signal.SIGTERM)
        assert await ended(free) == 0


@pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")
async def test_termination_leaves_no_child_process(tmp_path):
    text = (ROOT / "simulators/scenarios/demo_substation.toml").read_text()
    async with simulator(tmp_path, scenario=text) as (process, _):
        children = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert children
    assert not [child for child in children if is_alive(child)]


async def test_an_unusable_scenario_ends_with_a_sentence(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.cli", "run", "demo_rgi", cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, text = await process.communicate()
    assert process.returncode == 2
    assert b'did you mean "demo_rig"' in text


async def test_labels_are_written_where_they_change_with_the_time_of_their_step(tmp_path):
    scenario = SCENARIO.replace("start_row = 100", "start_row = 3521")
    async with simulator(tmp_path, "--labels", str(tmp_path / "labels.csv"), "--wait", scenario=scenario) as (process, _):
        process.stdin.write(b"step 25\n")
        await process.stdin.drain()
        async with asyncio.timeout(10):
            while b"step 25" not in await process.stderr.readline():
                pass
        process.stdin.write(b"stop\n")
        await ended(process, 5.0)
    found = [line.split(",") for line in (tmp_path / "labels.csv").read_text().splitlines()]
    recording = read_recording(find_recordings("2/WELL-00009_20170313160804"))
    assert [(device, int(label)) for device, _, label in found] == [("well", 0), ("well", -1), ("well", 102)]
    assert [int(time_us) for _, time_us, _ in found] == recording.times_us[[3521, 3523, 3543]].tolist()
