"""The whole way with real processes: a hub per test process, and a fresh site (simulator and gateway) for whoever asks for one.

Sites share the hub and do not see each other: every gateway has a name of its own, and what a test reads of the hub is read by gateway.
"""

import contextlib
import functools
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from protocols.devicemap import SHIPPED
from simulators import demo
from simulators.comparison import Comparison, Series, compare, read_truth, series

_numbers = itertools.count(1)

MODBUS_DEVICE = """
[[device]]
name = "{name}"
map = "fast_well"
address = "127.0.0.1:0"
source = {{ replay = "2/WELL-00010_20171218200131", start_row = {row}, repeat = true }}
"""
OPCUA_DEVICE = """
[[device]]
name = "{name}"
map = "qenergyz_well_opcua"
address = "opc.tcp://127.0.0.1:0/qenergyz"
source = {{ replay = "6/WELL-00004_20171031181509", start_row = {row}, repeat = true }}
"""
MQTT_DEVICE = """
[[device]]
name = "{name}"
map = "qenergyz_well_mqtt"
address = "mqtt://127.0.0.1:0"
version = "3.1.1"
source = {{ replay = "2/WELL-00003_20180206182917", start_row = {row}, repeat = true }}
"""
IEC61850_DEVICE = """
[[device]]
name = "{name}"
map = "qenergyz_substation_iec61850"
address = "127.0.0.1:0"
source = {{ plant = "genset" }}
"""
DEVICES = {"modbus": MODBUS_DEVICE, "opcua": OPCUA_DEVICE, "mqtt": MQTT_DEVICE, "iec61850": IEC61850_DEVICE}


@functools.cache
def client() -> httpx.Client:
    """One for all: making one costs more than most requests."""
    return httpx.Client(timeout=30)


def now_us() -> int:
    return time.time_ns() // 1000


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """What `condition` gives as soon as it is true; an answer that cannot be had yet counts as not true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            if found := condition():
                return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


class HubProgram:
    """One `qenergyz hub serve` on a port of its own, which it keeps over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, demo.Programs(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.listen = f"127.0.0.1:{probe.getsockname()[1]}"
        self.reader = demo.start_hub(self.programs, folder, self.listen)

    @property
    def data(self) -> Path:
        return self.folder / "hub"

    def end(self, *, kill: bool = False) -> None:
        process = self.programs.forget("hub")
        process.kill() if kill else process.terminate()
        process.wait(20)
        (self.data / "hub.json").unlink(missing_ok=True)

    def start(self) -> None:
        self.programs.start("hub", "hub", "serve", "--data", str(self.data), "--listen", self.listen)
        self.programs.wait_file("hub", self.data / "hub.json")

    def health(self) -> dict[str, Any]:
        document: dict[str, Any] = client().get(f"{self.reader.url}/health").json()
        return document

    def get(self, path: str, **params: int) -> Any:
        """JSON of the API."""
        reply = client().get(f"{self.reader.url}{path}", params=params, headers={"authorization": f"Bearer {self.reader.token}"})
        reply.raise_for_status()
        return reply.json()

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Straight from the database, as its superuser."""
        with psycopg.connect(json.loads((self.data / "hub.json").read_text())["database_url"]) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]


class Site:
    """A simulator and a gateway of their own. The simulator shows its first step until it is told to `go`."""

    def __init__(self, hub: HubProgram, devices: str, *, rate: float = 10.0, buffer: str = "", data: Path | None = None) -> None:
        self.hub, self.programs, self.gateway = hub, hub.programs, f"gw{os.getpid()}-{next(_numbers)}"
        self.folder = hub.folder / self.gateway
        self.folder.mkdir()
        text = (SHIPPED / "qenergyz_well_modbus.toml").read_text()
        text = text.replace("qenergyz_well_modbus", "fast_well").replace("quality_at", 'every = "200ms"\nquality_at')
        (self.folder / "fast_well.toml").write_text(text)
        self._scenario = self.folder / "site.toml"
        self._scenario.write_text(f'scenario = "{self.gateway}"\nrate = {rate}\n{devices}')
        self.truth_file, self.config = self.folder / "truth.csv", self.folder / "gateway.toml"
        self.data = data or self.folder / f"{self.gateway}-data"
        self._start_simulator()
        self._write_config(buffer)
        voucher = demo.run("hub", "voucher", "--data", str(hub.data), "--gateway", self.gateway)
        demo.run("edge", "enrol", str(self.config), "--voucher", voucher)

    @property
    def simulator(self) -> str:
        return f"sim-{self.gateway}"

    def _start_simulator(self) -> None:
        ready = self.folder / "sim.json"
        arguments = ("sim", "run", str(self._scenario), "--truth", str(self.truth_file), "--ready", str(ready), "--wait")
        self.programs.start(self.simulator, *arguments, stdin=subprocess.PIPE)
        self.addresses = self.programs.wait_file(self.simulator, ready)

    def _write_config(self, buffer: str) -> None:
        text = demo.gateway_file(self.gateway, self.hub.reader.url, str(self._scenario), self.addresses)
        text = text.replace("[gateway]", f'[gateway]\ndata = "{self.data}"')
        if buffer:
            head, _, tail = text.partition("[buffer]")
            text = f"{head}[buffer]\n{buffer}\n{tail[tail.index('[[device]]') :]}"
        self.config.write_text(text)

    def start_agent(self) -> None:
        (self.data / "agent.json").unlink(missing_ok=True)
        self.programs.start(self.gateway, "edge", "run", str(self.config))
        wait_until(self.agent, f"the agent of {self.gateway} answers")

    def end_agent(self, *, kill: bool = False) -> float:
        """Returns the seconds that it took."""
        process = self.programs.forget(self.gateway)
        start = time.monotonic()
        process.kill() if kill else process.terminate()
        process.wait(30)
        return time.monotonic() - start

    def tell(self, line: str) -> None:
        self.programs.tell(self.simulator, line)

    def go(self) -> int:
        """Everything moves once every device is connected; returns when it began."""
        wait_until(lambda: all(device["connected"] for device in self.agent()["devices"]), "all devices are connected")
        since_us = now_us()
        self.tell("go")
        return since_us

    def hold(self) -> None:
        """Nothing new is served, and the last of it was read."""
        self.tell("hold")
        wait_until(self._stands, "collecting comes to its end", 20)

    def _stands(self) -> bool:
        """Half a second of standing still: more than two polls."""
        before = (self.agent()["collected"], self.truth_file.stat().st_size)
        time.sleep(0.6)
        return before == (self.agent()["collected"], self.truth_file.stat().st_size)

    def agent(self) -> dict[str, Any]:
        url = json.loads((self.data / "agent.json").read_text())["url"]
        document: dict[str, Any] = client().get(f"{url}/health").json()
        return document

    def device(self, name: str) -> dict[str, Any]:
        return next(device for device in self.agent()["devices"] if device["name"] == name)

    def backlog(self) -> int:
        backlog = self.agent()["backlog"]
        return int(backlog["open_samples"] + backlog["sealed_samples"])

    def drain(self, seconds: float = 30.0) -> None:
        wait_until(lambda: self.backlog() == 0, "every sample has its receipt", seconds)

    def truth(self) -> tuple[dict[str, Series], dict[str, str]]:
        with self.truth_file.open() as lines:
            return read_truth(lines)

    def tags(self) -> dict[str, int]:
        return {tag["name"]: tag["id"] for tag in self.hub.get("/v1/tags") if tag["gateway"] == self.gateway}

    def gateway_id(self) -> int:
        rows = self.hub.get("/v1/gateways")
        return int(next(row["id"] for row in rows if row["name"] == self.gateway))

    def stored(self) -> dict[str, Series]:
        found = {}
        for name, number in self.tags().items():
            body = self.hub.get(f"/v1/tags/{number}/samples", from_us=0, to_us=1 << 62)
            found[name] = series(body["times_us"], body["values"], body["quality"])
        return found

    def compared(self, since_us: int) -> Comparison:
        truth, protocols = self.truth()
        return compare(truth, self.stored(), protocols, since_us)

    def gaps(self, from_us: int, to_us: int, tag: str | None = None) -> list[dict[str, Any]]:
        """What completeness says is missing: of one tag, or of the gateway as a whole."""
        path = f"/v1/tags/{self.tags()[tag]}" if tag else f"/v1/gateways/{self.gateway_id()}"
        document = self.hub.get(f"{path}/completeness", from_us=from_us, to_us=to_us)
        assert document["complete"] == (not document["gaps"]) == (document["statement"] == "all present")
        gaps: list[dict[str, Any]] = document["gaps"]
        return gaps

    def end(self) -> None:
        for name in (self.gateway, self.simulator):
            with contextlib.suppress(KeyError):
                self.programs.stop(name)


@dataclass(frozen=True, slots=True)
class Missing:
    """An expected gap: the words of its cause, and how long it is."""

    cause: str
    at_least_s: float = 0.0
    at_most_s: float = 1e9

    def among(self, gaps: list[dict[str, Any]]) -> bool:
        return any(self.cause in gap["cause"] and self.at_least_s <= gap["duration_s"] <= self.at_most_s for gap in gaps)


@contextlib.contextmanager
def running_hub() -> Iterator[HubProgram]:
    folder = Path(tempfile.mkdtemp(prefix="qz-e2e-"))
    programs: HubProgram | None = None
    try:
        programs = HubProgram(folder)
        with programs.programs:
            yield programs
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def hub() -> Iterator[HubProgram]:
    with running_hub() as running:
        yield running


@pytest.fixture(scope="module")
def own_hub() -> Iterator[HubProgram]:
    """For tests that break it."""
    with running_hub() as running:
        yield running


def device_tables(counts: Mapping[str, int]) -> str:
    """Devices named modbus1, modbus2, opcua1 ... from protocol -> how many."""
    return "".join(
        DEVICES[protocol].format(name=f"{protocol}{number}", row=100 * number)
        for protocol, count in counts.items()
        for number in range(1, count + 1)
    )
