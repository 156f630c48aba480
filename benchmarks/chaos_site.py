"""One site of `benchmarks.chaos`: a simulator, an agent, and an unreliable link to a hub that others use too; and the verdict about it.

Judged sample by sample: everything that the simulator served since `go` is either stored at the hub, once and unaltered, or lies in a gap that
the gateway has declared in a signed batch. Anything else is lost.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.chaos_broker import Mosquitto
from benchmarks.chaos_link import Link
from benchmarks.endurance import Uplink
from edge import config, enrolment
from edge.buffer import BACKFILL, Buffer
from protocols import quality
from protocols.batch import statement
from protocols.devicemap import TagTable, TagType
from protocols.frame import Block, Frame
from simulators import demo
from simulators.comparison import Series, compare, read_truth, series

SCENARIO = "demo_rig"
DECLARED = (  # beginnings of the causes that a gateway signs
    "dropped by the gateway",
    "thinned out by the gateway",
    "not kept by the gateway",
    "the agent was not running",
    "the agent had been stopped",
    "the gateway's buffer file was damaged",
    "sealed batches were dropped",
    "declared by the gateway",
)


class ChaosError(demo.DemoError):
    """The run could not be judged; the message says what was waited for in vain."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            if condition():
                return
        time.sleep(0.05)
    raise ChaosError(f"waited {seconds:g} s in vain: {what}")


class Programs(demo.Programs):
    def adopt(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """A process that was started otherwise, to be ended with the rest."""
        self._running[name] = process


@dataclass(slots=True)
class Verdict:
    served: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    declared: int = 0  # served, not stored, and in a gap that the gateway has signed
    held: int = 0  # served, not stored, and in the buffer of a twin that the hub turned away
    gaps: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Twin:
    """What a second agent with the same key had at its end. kept: samples in its buffer, whatever became of them; times_us: of those by tag."""

    collected: int
    kept: int
    times_us: dict[str, NDArray[np.int64]]

    @classmethod
    def of(cls, buffer: Path, table: TagTable, collected: int) -> "Twin":
        with contextlib.closing(sqlite3.connect(f"file:{buffer}?mode=ro", uri=True, timeout=10)) as connection:
            rows = connection.execute("SELECT statement, samples FROM batch").fetchall()
        names = {entry.id: entry.name for entry in table.entries}
        times: dict[str, list[NDArray[np.int64]]] = {}
        for signed, _ in rows:
            for group in statement.parse(signed).open().groups:
                for tag in group.tags.tolist():
                    times.setdefault(names[tag], []).append(group.times_us)
        return cls(collected, sum(row[1] for row in rows), {name: np.concatenate(parts) for name, parts in times.items()})


class Hub:
    """The hub with its PostgreSQL, on a port that it keeps."""

    def __init__(self, programs: Programs, folder: Path, port: int) -> None:
        self.programs, self.folder, self.port = programs, folder, port
        self.reader = demo.start_hub(programs, folder, f"127.0.0.1:{port}")

    @property
    def data(self) -> Path:
        return self.folder / "hub"

    def end(self, *, kill: bool = False) -> None:
        process = self.programs.forget("hub")
        process.kill() if kill else process.terminate()
        process.wait(30)
        (self.data / "hub.json").unlink(missing_ok=True)

    def start(self) -> None:
        self.programs.start("hub", "hub", "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}")
        self.programs.wait_file("hub", self.data / "hub.json")

    def postgres(self) -> int:
        return int((self.data / "pg" / "postmaster.pid").read_text().split("\n", 1)[0])

    def findings(self, gateway: int) -> set[str]:
        import psycopg

        with psycopg.connect(json.loads((self.data / "hub.json").read_text())["database_url"]) as connection:
            rows = connection.execute("SELECT DISTINCT slug FROM finding WHERE gateway_id = %s", (gateway,)).fetchall()
        return {str(row[0]) for row in rows}


class Site:
    """`start`, `go`, break something, `recovered`, `judge`, `end`. data: where the agent keeps its files."""

    def __init__(
        self,
        hub: Hub,
        name: str,
        rate: float,
        *,
        buffer: str = "",
        data: Path | None = None,
        scenario: str = SCENARIO,
        mosquitto: bool = False,
    ) -> None:
        self.hub, self.name, self.folder = hub, name, hub.folder
        self.programs = hub.programs
        self.data = data or self.folder / f"{name}-data"
        self.link = Link(("127.0.0.1", hub.port))
        self.clock = self.folder / f"{name}-clock"
        self.clock.write_text("0")
        self.config = self.folder / f"{name}.toml"
        self.since_us = 0
        self.failing = self.folder / f"{name}-failing"
        self.twin: Twin | None = None
        self.mosquitto: Mosquitto | None = None
        self.notes: list[str] = []
        self._start_simulator(rate, scenario)
        if "well4" in self.addresses:
            self._front_broker(mosquitto)
        text = demo.gateway_file(name, self.link.url, scenario, self.addresses)
        text = text.replace("[gateway]", f'[gateway]\ndata = "{self.data}"')
        self.config.write_text(text.replace('max_size = "200MB"', buffer) if buffer else text)
        voucher = demo.run("hub", "voucher", "--data", str(hub.data), "--gateway", name)
        demo.run("edge", "enrol", str(self.config), "--voucher", voucher)

    def _start_simulator(self, rate: float, scenario: str) -> None:
        ready, self.truth_file = self.folder / f"{self.name}-sim.json", self.folder / f"{self.name}-truth.csv"
        files = ("--truth", str(self.truth_file), "--ready", str(ready))
        self.programs.start(self.simulator, "sim", "run", scenario, *files, "--wait", "--rate", str(rate), stdin=subprocess.PIPE)
        self.addresses = self.programs.wait_file(self.simulator, ready)

    def _front_broker(self, mosquitto: bool) -> None:
        """A relay that can be cut, or a broker that can be killed, between the simulator's broker and the agent."""
        host, _, port = self.addresses["well4"].rpartition(":")
        source = int(port.strip("/"))
        if mosquitto:
            self.mosquitto = Mosquitto(self.folder / f"{self.name}-mosquitto", source)
            self.mosquitto.start()
            self.addresses["well4"] = f"{host}:{self.mosquitto.port}"
        else:
            self.broker = Uplink(("127.0.0.1", source))
            self.addresses["well4"] = f"{host}:{self.broker.port}"

    @property
    def simulator(self) -> str:
        return f"sim-{self.name}"

    def start_agent(self, name: str = "", config: Path | None = None) -> None:
        """The agent of the site, or another one beside it."""
        log = (self.folder / f"{name or self.name}.log").open("ab")
        environment = {**os.environ, "QENERGYZ_CHAOS_CLOCK": str(self.clock), "QENERGYZ_CHAOS_FAILING": str(self.failing)}
        command = [sys.executable, "-m", "benchmarks.chaos_agent", str(config or self.config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment)
        log.close()
        self.programs.adopt(name or self.name, process)

    def kill_agent(self) -> None:
        process = self.programs.forget(self.name)
        process.kill()
        process.wait()
        (self.data / "agent.json").unlink(missing_ok=True)

    def health(self, data: Path | None = None) -> dict[str, Any]:
        """data: of another agent."""
        url = json.loads(((data or self.data) / "agent.json").read_text())["url"]
        document: dict[str, Any] = httpx.get(f"{url}/health", timeout=10).json()
        return document

    def go(self) -> None:
        self.start_agent()
        wait_until(self._flowing, "all devices are connected and receipts come")
        self.since_us = time.time_ns() // 1000
        self.programs.tell(self.simulator, "go")

    def _flowing(self) -> bool:
        state = self.health()
        return all(device["connected"] for device in state["devices"]) and state["hub"]["receipts_verified"] > 0

    def recovered(self, seconds: float = 90.0) -> float:
        """Seconds until all devices are connected and what the agent collects is receipted at once again."""
        start, before = time.monotonic(), -1
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            before = self.health()["hub"]["receipts_verified"]

        def well() -> bool:
            nonlocal before
            state = self.health()
            before = min(before, state["hub"]["receipts_verified"])  # a new agent counts from 0
            connected = state["hub"]["connected"] and all(device["connected"] for device in state["devices"])
            return bool(connected and state["hub"]["receipts_verified"] > before and state["backlog"]["sealed_batches"] <= 2)

        wait_until(well, f"{self.name} recovers", seconds)
        return time.monotonic() - start

    def drain(self) -> None:
        self.programs.tell(self.simulator, "hold")
        time.sleep(2.0)
        wait_until(self._drained, "the backlog drains", 120)

    def _drained(self) -> bool:
        backlog = self.health()["backlog"]
        return bool(backlog["open_samples"] + backlog["sealed_samples"] == 0)

    def gateway_id(self) -> int:
        return int(next(row["id"] for row in self.hub.reader.get("/v1/gateways").json() if row["name"] == self.name))

    def stored(self) -> dict[str, Series]:
        found = {}
        for tag in self.hub.reader.get("/v1/tags").json():
            if tag["gateway"] == self.name:
                body = self.hub.reader.get(f"/v1/tags/{tag['id']}/samples", from_us=0, to_us=1 << 62).json()
                found[tag["name"]] = series(body["times_us"], body["values"], body["quality"])
        return found

    def oldest_waiting(self) -> int:
        """Of which time the oldest batch without a receipt in the agent's file is: with the oldest times the cap begins."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'buffer.db'}?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute("SELECT coalesce(min(first_us), 0) FROM batch WHERE state = 'sealed'").fetchone()[0])

    def fill(self, size: int) -> None:
        """Give the agent's file the backlog of an old outage: about so many bytes of batches, bad samples that no simulator served."""
        gateway, now_us = config.load(self.config), time.time_ns() // 1000
        buffer = Buffer.open(self.data / "buffer.db", now_us, max_bytes=1 << 40)
        signer = enrolment.load_or_make_key(self.data)
        buffer.use_table(gateway.table, signer, gateway.urn)
        tag = next(entry for entry in gateway.table.entries if entry.type is TagType.FLOAT64)
        noise, last_us = np.random.default_rng(1), now_us - 7_200_000_000
        while buffer.backlog().total_bytes < size:
            times = last_us + np.arange(1, 2001, dtype=np.int64) * 1000
            last_us = int(times[-1])
            codes = np.full((2000, 1), quality.BAD_NO_COMMUNICATION, np.uint32)
            buffer.append([Frame(tag.device, last_us, [Block(np.array([tag.id], np.uint32), times, noise.normal(size=(2000, 1)), codes)])])
            buffer.seal(gateway.urn, signer, BACKFILL, last_us)
        buffer.close(now_us)

    def judge(self) -> Verdict:
        """Where there was a twin, what only it collected must be in its buffer."""
        with self.truth_file.open() as lines:
            truth, protocols = read_truth(lines)
        stored = self.stored()
        twin = self.twin.times_us if self.twin else {}
        found = compare(truth, stored, protocols, self.since_us)
        last_us = max(int(one.times_us.max()) for one in truth.values())
        document = self.hub.reader.get(f"/v1/gateways/{self.gateway_id()}/completeness", from_us=self.since_us, to_us=last_us + 1).json()
        gaps = [gap for gap in document["gaps"] if gap["cause"].startswith(DECLARED)]
        verdict = Verdict(stored=found.stored, doubled=found.doubled, wrong=found.wrong)
        verdict.gaps = sorted({f"{gap['cause']}: {gap['duration_s']:.1f} s" for gap in gaps})
        verdict.examples = [text for text in found.examples if "not stored" not in text]
        lost = []
        for name, one in truth.items():
            times = np.unique(one.times_us[one.times_us >= self.since_us])
            missing = times[~np.isin(times, stored[name].times_us)] if name in stored else times
            held = np.isin(missing, twin.get(name, ()))
            verdict.held += int(held.sum())
            missing = missing[~held]
            covered = np.zeros(len(missing), bool)
            for gap in (*gaps, *(self._silent(name, last_us) if missing.size else ())):
                covered |= (gap["from_us"] <= missing) & (missing <= gap["to_us"])
            verdict.served += len(times)
            verdict.declared += int(covered.sum())
            verdict.lost += int((~covered).sum())
            lost += [f"{name} at {moment}: served, not stored, not declared" for moment in missing[~covered][:2]]
        if self.twin:
            verdict.lost += max(0, self.twin.collected - self.twin.kept)
            verdict.lost += max(0, self.health()["collected"] - verdict.stored)
        verdict.examples = [*verdict.examples[:4], *lost[:4]]
        return verdict

    def _silent(self, name: str, last_us: int) -> list[dict[str, Any]]:
        """Times in which the agent has said, by signed samples, that it heard nothing of the tag's device."""
        tags = {tag["name"]: tag["id"] for tag in self.hub.reader.get("/v1/tags").json() if tag["gateway"] == self.name}
        window = {"from_us": self.since_us, "to_us": last_us + 1}
        found = self.hub.reader.get(f"/v1/tags/{tags[name]}/completeness", **window).json()["gaps"] if name in tags else []
        return [gap for gap in found if gap["cause"].startswith("device silent")]

    def end(self) -> None:
        for name in (self.name, f"{self.name}-twin", self.simulator):
            with contextlib.suppress(KeyError):
                self.programs.stop(name)
        if self.mosquitto:
            self.mosquitto.kill()
        self.link.close()

    def copy_hub(self, to: Path) -> None:
        """A backup of a hub that stands still."""
        shutil.rmtree(to, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.hub.data), str(to)], check=True)
