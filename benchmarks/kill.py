"""kill -9 of agent, hub and PostgreSQL under load: nothing lost, nothing doubled.

Two wells on Modbus, one on OPC UA and one on MQTT are served at speed, one agent collects them, the hub stores them in a PostgreSQL that is
not its own. At random moments one of the three is killed (SIGKILL; of PostgreSQL the postmaster and all its children), or all three at once,
and started again as a service manager would; no other of the three is touched. Collected is what the buffer had committed, which must never
be less than what the agent's own counter said just before it died. At the end every collected sample must be in the hub exactly once with
the value that was served; on MQTT, whose broker keeps messages, every sample that was *served* must be.

After half of the kills the next one waits until receipts have come again: recovery is the time from the kill to the first new receipt.
The other half follow each other 0.2 to 1.6 s apart, recovered or not.
"""

import argparse
import os
import random
import shutil
import signal
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
import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks import report
from cloud.postgres import Cluster
from simulators import demo
from simulators.comparison import Comparison, compare, read_truth

GATEWAY = "rig1"
SCENARIO = "demo_rig"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


VICTIMS = ("agent", "hub", "postgres", "all three")


@dataclass(slots=True)
class Tally:
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in VICTIMS})
    lied: list[str] = field(default_factory=list)  # the counter said more than the file holds


class Field:
    """Hub, PostgreSQL, simulator and agent of one run, and how to kill them."""

    def __init__(self, programs: demo.Programs, folder: Path, rate: float) -> None:
        self.programs, self.folder = programs, folder
        self.cluster = Cluster(folder / "pg")
        self._database_url = self.cluster.start()
        self._listen = f"127.0.0.1:{free_port()}"
        url = self._start_hub()
        self.hub = demo.Hub(url, demo.token(folder, "kill", "read"))
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

    def strike(self, victim: str, tally: Tally) -> None:
        """Kill, and start again what was killed; of all three in the order in which they come up last."""
        tally.kills[victim] += 1
        chosen = VICTIMS[:3] if victim == "all three" else (victim,)
        said = self.counter() if "agent" in chosen else None
        if "agent" in chosen:
            self.kill(GATEWAY)
        if "hub" in chosen:
            self.kill("hub")
            (self.folder / "hub" / "hub.json").unlink(missing_ok=True)
        if "postgres" in chosen:
            self._kill_postgres()
        if "agent" in chosen:
            self._restart_agent(said, tally)
        if "hub" in chosen:
            self._launch_hub()
        if "postgres" in chosen:
            self.cluster.start()
        if "hub" in chosen:
            self.programs.wait_file("hub", self.folder / "hub" / "hub.json")

    def _restart_agent(self, said: int | None, tally: Tally) -> None:
        held = self.stored_by_agent() - self._at_start
        if said is not None and said > held:
            tally.lied.append(f"agent said {said} collected, its file holds {held}")
        self._at_start = self.stored_by_agent()
        (self.folder / f"{GATEWAY}-data" / "agent.json").unlink(missing_ok=True)
        self.programs.start(GATEWAY, "edge", "run", str(self.config))

    def _kill_postgres(self) -> None:
        """Nobody gets the chance to end in order: the postmaster stands still while its children die."""
        postmaster = psutil.Process(self.cluster.pid())
        postmaster.suspend()
        dying = [*postmaster.children(recursive=True), postmaster]
        for process in dying:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(dying, 10)

    def _launch_hub(self) -> None:
        where = ("--data", str(self.folder / "hub"), "--listen", self._listen, "--database-url", self._database_url)
        self.programs.start("hub", "hub", "serve", *where)

    def _start_hub(self) -> str:
        self._launch_hub()
        return str(self.programs.wait_file("hub", self.folder / "hub" / "hub.json")["url"])

    def receipts(self) -> int:
        """Verified by the agent that runs now; 0 where none answers."""
        with suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            return int(demo.health(self.folder, GATEWAY)["hub"]["receipts_verified"])
        return 0

    def wait_receipt(self, before: int) -> None:
        until = time.monotonic() + 60
        while self.receipts() <= before:
            if time.monotonic() > until:
                raise demo.DemoError(f"no receipt within 60 s of a kill; see {self.folder}")
            time.sleep(0.02)

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


def strike_all(field_: Field, kills: int, dice: random.Random) -> Tally:
    """Victims in turn, all three at once every tenth time; every second kill of each is followed to the end of its recovery."""
    tally = Tally()
    for number in range(kills):
        time.sleep(dice.uniform(0.2, 1.6))
        victim = VICTIMS[3] if number % 10 == 9 else VICTIMS[number % 3]
        followed = tally.kills[victim] % 2 == 0
        before = 0 if victim in ("agent", "all three") else field_.receipts()
        struck = time.monotonic()
        field_.strike(victim, tally)
        if followed:
            field_.wait_receipt(before)
            tally.recovery_s[victim].append(time.monotonic() - struck)
        print(f"\rkill {number + 1}/{kills}: {', '.join(f'{a} {b}' for a, b in tally.kills.items())}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return tally


def run(folder: Path, kills: int, seed: int, rate: float) -> dict[str, Any]:
    cluster = Cluster(folder / "pg")
    try:
        with demo.Programs(folder) as programs:
            return _run(Field(programs, folder, rate), kills, random.Random(seed))
    finally:
        cluster.stop()


def _run(field_: Field, kills: int, dice: random.Random) -> dict[str, Any]:
    field_.wait_flowing()
    since_us = time.time_ns() // 1000
    field_.programs.tell(f"sim-{GATEWAY}", "go")
    tally = strike_all(field_, kills, dice)
    field_.wait_flowing()
    field_.programs.tell(f"sim-{GATEWAY}", "hold")
    time.sleep(2.0)
    drain(field_)
    with (field_.folder / f"truth-{GATEWAY}.csv").open() as lines:
        truth, protocols = read_truth(lines)
    stored = field_.hub.stored()
    everything = compare(truth, stored, protocols, since_us)
    mqtt = {name for name, protocol in protocols.items() if protocol == "mqtt"}
    pushed = compare(*({name: series[name] for name in mqtt if name in series} for series in (truth, stored)), protocols, since_us)
    return result(tally, everything, pushed, field_.stored_by_agent(), field_.folder)


def result(tally: Tally, everything: Comparison, pushed: Comparison, committed: int, folder: Path) -> dict[str, Any]:
    return {
        "kills": tally.kills,
        "recovery_s": tally.recovery_s,
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


def recovery(seconds: Sequence[float]) -> tuple[int, str, str]:
    return (len(seconds), f"{np.median(seconds):.2f}", f"{max(seconds):.2f}") if seconds else (0, "-", "-")


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
    report.table(
        f"kill -9 under load, {options.rate:g} steps/s, seed {options.seed}",
        ("victim", "kills", "recoveries timed", "p50 s", "max s"),
        [(name, found["kills"][name], *recovery(found["recovery_s"][name])) for name in VICTIMS],
    )
    keys = ("collected", "stored", "lost", "doubled", "wrong")
    report.table("every sample that was collected, at the hub", keys, [[found[key] for key in keys]])
    for example in found["examples"]:
        print(f"  {example}")
    report.write(options.json, found)
    return 0 if found["lost"] == found["doubled"] == found["wrong"] == 0 and found["stored"] else 1


if __name__ == "__main__":
    sys.exit(main())
