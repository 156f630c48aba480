"""kill -9 of agent and hub under load: nothing lost, nothing doubled.

Two wells on Modbus, one on OPC UA and one on MQTT are served at speed, one agent collects them, the hub stores them. At random moments the
agent or the hub is killed (SIGKILL) and started again. Collected is what the buffer had committed, which must never be less than what the
agent's own counter said just before it died. At the end every collected sample must be in the hub exactly once with the value that was
served; on MQTT, whose broker keeps messages, every sample that was *served* must be.
"""

import argparse
import random
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks import report
from simulators import demo
from simulators.comparison import Comparison, compare, read_truth

GATEWAY = "rig1"
SCENARIO = "demo_rig"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Tally:
    agent: int = 0
    hub: int = 0
    lied: list[str] = field(default_factory=list)  # the counter said more than the file holds


class Field:
    """Hub, simulator and agent of one run, and how to kill them."""

    def __init__(self, programs: demo.Programs, folder: Path, rate: float) -> None:
        self.programs, self.folder = programs, folder
        self._listen = f"127.0.0.1:{free_port()}"
        self.hub = demo.start_hub(programs, folder, self._listen)
        self.config = demo.start_site(programs, folder, self.hub, GATEWAY, SCENARIO, ("--rate", str(rate)))
        self._at_start = 0

    def stored_by_agent(self) -> int:
        """Samples that the agent's file holds: committed, whatever their state; nothing is evicted during a run."""
        connection = sqlite3.connect(f"file:{self.folder / f'{GATEWAY}-data' / 'buffer.db'}?mode=ro", uri=True, timeout=10)
        try:
            query = "SELECT (SELECT coalesce(sum(samples), 0) FROM open) + (SELECT coalesce(sum(samples), 0) FROM batch)"
            return int(connection.execute(query).fetchone()[0])
        finally:
            connection.close()

    def counter(self) -> int | None:
        with suppress(OSError, ValueError, httpx.HTTPError):
            return int(demo.health(self.folder, GATEWAY)["collected"])
        return None

    def kill(self, name: str) -> None:
        process = self.programs.forget(name)
        process.kill()
        process.wait()

    def kill_agent(self, tally: Tally) -> None:
        said = self.counter()
        self.kill(GATEWAY)
        held = self.stored_by_agent() - self._at_start
        if said is not None and said > held:
            tally.lied.append(f"agent said {said} collected, its file holds {held}")
        self._at_start = self.stored_by_agent()
        self.programs.start(GATEWAY, "edge", "run", str(self.config))
        tally.agent += 1

    def kill_hub(self, tally: Tally) -> None:
        self.kill("hub")
        (self.folder / "hub" / "hub.json").unlink(missing_ok=True)
        self.programs.start("hub", "hub", "serve", "--data", str(self.folder / "hub"), "--listen", self._listen)
        self.programs.wait_file("hub", self.folder / "hub" / "hub.json")
        tally.hub += 1

    def wait_flowing(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError, ValueError, httpx.HTTPError):
                if all(device["connected"] for device in demo.health(self.folder, GATEWAY)["devices"]):
                    return
            time.sleep(0.1)
        raise demo.DemoError(f"devices did not come back within 60 s; see {self.folder}")


def drain(field_: Field) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(OSError, ValueError, httpx.HTTPError):
            backlog = demo.health(field_.folder, GATEWAY)["backlog"]
            if backlog["open_samples"] + backlog["sealed_samples"] == 0 and backlog["refused_batches"] == 0:
                return
        time.sleep(0.3)
    raise demo.DemoError(f"backlog did not drain within 120 s; see {field_.folder}")


def run(folder: Path, kills: int, seed: int, rate: float) -> dict[str, Any]:
    dice = random.Random(seed)
    tally = Tally()
    with demo.Programs(folder) as programs:
        field_ = Field(programs, folder, rate)
        field_.wait_flowing()
        since_us = time.time_ns() // 1000
        programs.tell(f"sim-{GATEWAY}", "go")
        for number in range(kills):
            time.sleep(dice.uniform(0.2, 1.6))
            if number % 2:
                field_.kill_hub(tally)
            else:
                field_.kill_agent(tally)
            print(f"\rkill {number + 1}/{kills}: agent {tally.agent}, hub {tally.hub}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        field_.wait_flowing()
        programs.tell(f"sim-{GATEWAY}", "hold")
        time.sleep(2.0)
        drain(field_)
        with (folder / f"truth-{GATEWAY}.csv").open() as lines:
            truth, protocols = read_truth(lines)
        stored = field_.hub.stored()
        everything = compare(truth, stored, protocols, since_us)
        mqtt = {name for name, protocol in protocols.items() if protocol == "mqtt"}
        pushed = compare(*({name: series[name] for name in mqtt if name in series} for series in (truth, stored)), protocols, since_us)
        return result(tally, everything, pushed, field_.stored_by_agent(), folder)


def result(tally: Tally, everything: Comparison, pushed: Comparison, committed: int, folder: Path) -> dict[str, Any]:
    return {
        "kills": {"agent": tally.agent, "hub": tally.hub},
        "collected": committed,
        "stored": everything.stored,
        "lost": max(0, committed - everything.stored) + pushed.lost + len(tally.lied),
        "doubled": everything.doubled + max(0, everything.stored - committed),
        "wrong": everything.wrong,
        "bad_while_down": everything.agent_made,
        "protocols": everything.protocols,
        "examples": tally.lied + pushed.examples + [text for text in everything.examples if "not stored" not in text],
        "folder": str(folder),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=25.0, help="steps per second of every simulated device")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-kill-"))
    try:
        found = run(folder, options.kills, options.seed, options.rate)
    except demo.DemoError as error:
        print(f"kill benchmark failed: {error}", file=sys.stderr)
        return 1
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    kills = found["kills"]
    report.table(
        f"kill -9 under load, {options.rate:g} steps/s, seed {options.seed}",
        ("kills agent", "kills hub", "collected", "stored", "lost", "doubled", "wrong"),
        [(kills["agent"], kills["hub"], found["collected"], found["stored"], found["lost"], found["doubled"], found["wrong"])],
    )
    for example in found["examples"]:
        print(f"  {example}")
    report.write(options.json, found)
    return 0 if found["lost"] == found["doubled"] == found["wrong"] == 0 and found["stored"] else 1


if __name__ == "__main__":
    sys.exit(main())
