"""From a command on the gateway to a register of a device, and from there to a signed event and a sample at the hub."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulators import demo
from tests.e2e.conftest import HubProgram, client, wait_until

MAP = """device_map = "pump_controller"
maker = "Example"
models = ["P1"]
source = "made for this test"
tags = [
  { name = "pressure", at = "holding:0", type = "uint16", unit = "bar", scale = 0.1, every = "200ms", deadband = 0.5 },
  { name = "speed_setpoint", at = "holding:1", type = "uint16", unit = "rpm", every = "200ms", write = { min = 0, max = 3000 } },
  { name = "enabled", at = "coil:0", type = "bool", every = "200ms", write = { min = 0, max = 1, arm = false } },
]
texts = [{ name = "serial_number", at = "holding:10", length = 16, every = "1s" }]
[modbus]
"""
GATEWAY = """[gateway]
name = "commands1"
hub = "{hub}"
data = "{folder}/data"
[buffer]
commit_every = "5ms"
seal_every = "200ms"
[[device]]
name = "pump1"
map = "pump_controller"
address = "{address}"
writable = ["speed_setpoint"]
"""


@dataclass
class Bench:
    hub: HubProgram
    config: Path

    def ask(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "qenergyz", "edge", arguments[0], str(self.config), *arguments[1:], "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, json.loads(done.stdout)

    def events(self, kind: str) -> list[dict[str, Any]]:
        reply = client().get(
            f"{self.hub.reader.url}/v1/events",
            params={"gateway": "commands1", "kind": kind},
            headers={"authorization": f"Bearer {self.hub.reader.token}"},
        )
        reply.raise_for_status()
        found: list[dict[str, Any]] = reply.json()["events"]
        return found

    def latest(self, name: str) -> Any:
        numbers = {tag["name"]: tag["id"] for tag in self.hub.get("/v1/tags") if tag["gateway"] == "commands1"}
        return self.hub.get("/v1/latest")[str(numbers[name])][1]


@pytest.fixture(scope="module")
def bench(hub: HubProgram) -> Iterator[Bench]:
    folder = hub.folder / "commands1"
    folder.mkdir()
    (folder / "pump_controller.toml").write_text(MAP)
    ready, programs = folder / "sim.json", hub.programs
    arguments = ("sim", "serve", str(folder / "pump_controller.toml"), "--ready", str(ready), "--rate", "0.001", "--wait")
    programs.start("sim-commands1", *arguments, stdin=subprocess.PIPE)
    address = programs.wait_file("sim-commands1", ready)["pump_controller"]
    config = folder / "gateway.toml"
    config.write_text(GATEWAY.format(hub=hub.reader.url, folder=folder, address=address))
    voucher = demo.run("hub", "voucher", "--data", str(hub.data), "--gateway", "commands1")
    demo.run("edge", "enrol", str(config), "--voucher", voucher)
    programs.start("commands1", "edge", "run", str(config))
    made = Bench(hub, config)
    wait_until(lambda: made.latest("pump1.speed_setpoint") is not None, "the hub has the setpoint")
    yield made
    for name in ("commands1", "sim-commands1"):
        programs.stop(name)


def test_armed_write_reaches_the_register_and_the_hub_with_its_signed_record(bench: Bench) -> None:
    before = bench.latest("pump1.speed_setpoint")
    assert before != 1450
    code, armed = bench.ask("arm", "pump1.speed_setpoint", "1450")
    assert (code, armed["ok"]) == (0, True)
    code, done = bench.ask("write", "pump1.speed_setpoint", "1450", "--arm", armed["arm"], "--expect", str(before), "--key", "k1")
    assert (code, done["outcome"]) == (0, "done"), done
    wait_until(lambda: bench.latest("pump1.speed_setpoint") == 1450, "the new setpoint is read back")
    found = wait_until(lambda: len(bench.events("write")) >= 2 and bench.events("write"), "the record is at the hub")
    assert [event["detail"]["outcome"] for event in found[:2]] == ["done", "begun"]
    assert found[0]["detail"]["key"] == "k1"
    assert (found[0]["device"], found[0]["source"], found[0]["detail"]["value"]) == ("pump1", "speed_setpoint", 1450.0)
    assert bench.ask("write", "pump1.speed_setpoint", "1450", "--key", "k1", "--expect", str(before))[1]["outcome"] == "done"
    assert len(bench.events("write")) == 2  # the repetition did nothing


def test_write_against_the_sites_rules_changes_nothing(bench: Bench) -> None:
    before = bench.latest("pump1.speed_setpoint")
    for arguments, said in (
        (("write", "pump1.speed_setpoint", "1000"), "not armed"),
        (("write", "pump1.enabled", "1"), "not writable"),
        (("write", "pump1.pressure", "1"), "not writable"),
    ):
        code, answer = bench.ask(*arguments)
        assert (code, answer["outcome"]) == (1, "refused")
        assert said in answer["cause"]
    code, armed = bench.ask("arm", "pump1.speed_setpoint", "2000")
    code, answer = bench.ask("write", "pump1.speed_setpoint", "2000", "--arm", armed["arm"], "--expect", str(before + 7))
    assert (code, answer["outcome"]) == (1, "refused"), "the device shows another value than expected"
    assert bench.latest("pump1.speed_setpoint") == before
    wait_until(lambda: sum(event["detail"]["outcome"] == "refused" for event in bench.events("write")) >= 4, "refusals are recorded")


def test_text_of_the_device_is_an_event_once(bench: Bench) -> None:
    found = wait_until(lambda: bench.events("text"), "the serial number is at the hub")
    assert [event["source"] for event in found] == ["serial_number"]
    assert found[0]["message"]
    assert found[0]["batch"]["stream"] == "event"


def test_steady_tag_is_thinned_and_its_neighbours_are_not(bench: Bench) -> None:
    counts = {row["name"]: row for row in bench.hub.get("/v1/tags") if row["gateway"] == "commands1"}

    def samples(name: str) -> int:
        return len(bench.hub.get(f"/v1/tags/{counts[name]['id']}/samples", from_us=0, to_us=1 << 62)["times_us"])

    wait_until(lambda: samples("pump1.enabled") > 15, "some seconds were read")
    assert samples("pump1.pressure") <= 2
