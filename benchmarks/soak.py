"""The hub is away half of the time, over and over: does memory, files, threads or tasks grow, is anything lost?

Two wells on Modbus, one on OPC UA and one on MQTT at speed, one agent, one hub. In the first half of the run each outage is a kill (SIGKILL) of
the hub, which is started again; in the second half the hub lives on and each outage is a stop (SIGSTOP): it takes connections and answers
nothing, longer than the agent waits for an answer. Memory, open files, threads and tasks (the agent's supervised ones, all of the hub's loop) of the agent are compared over the whole run, those of the hub
over the second half, in which it is one process, each from after the warm-up to the end, at the end of an up time. Memory is the median of
three looks, so that one batch on its way does not decide. At the end every sample that the agent kept must be in the hub exactly once.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx

from benchmarks import report
from benchmarks.edge import rss_mib
from benchmarks.kill import GATEWAY, SCENARIO, drain, free_port
from simulators import demo
from simulators.comparison import compare, read_truth

KILL_S: Final = 4.0  # away, and as long there
STOP_S: Final = 14.0  # longer than the agent's patience for an answer
SETTLE_S: Final = 2.0
WARM_UP: Final = 0.25  # of the looks at a program
GOAL_GROWTH: Final = 0.05


@dataclass(frozen=True, slots=True)
class Look:
    rss_mib: float
    files: int
    threads: int
    tasks: int


@dataclass(slots=True)
class Looks:
    """Of one program; `kept` are those after the warm-up."""

    all: list[Look] = field(default_factory=list)

    @property
    def kept(self) -> list[Look]:
        return self.all[int(len(self.all) * WARM_UP) :]

    def growth(self) -> float:
        """Of memory: the last third of the looks that count against the first third."""
        sizes = [look.rss_mib for look in self.kept]
        third = max(1, len(sizes) // 3)
        return median(sizes[-third:]) / median(sizes[:third]) - 1

    def span(self, of: Callable[[Look], int]) -> tuple[int, int]:
        """First and last third, as medians: what comes and goes with a connection is not growth."""
        counts = [of(look) for look in self.kept]
        third = max(1, len(counts) // 3)
        return int(median(counts[:third])), int(median(counts[-third:]))


def look(pid: int, tasks: int) -> Look:
    sizes = []
    for _ in range(3):
        sizes.append(rss_mib(pid))
        time.sleep(0.1)
    process = Path(f"/proc/{pid}")
    return Look(median(sizes), len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), tasks)


class Soak:
    def __init__(self, programs: demo.Programs, folder: Path, rate: float) -> None:
        self.programs, self.folder = programs, folder
        self.listen = f"127.0.0.1:{free_port()}"
        self.hub = demo.start_hub(programs, folder, self.listen)
        demo.start_site(programs, folder, self.hub, GATEWAY, SCENARIO, ("--rate", str(rate)))
        demo.wait_devices(programs, folder, {GATEWAY: SCENARIO})
        self.agent_pid = int(json.loads((folder / f"{GATEWAY}-data" / "agent.json").read_text())["pid"])
        self.agent, self.hub_looks, self.cycles, self.down_s, self.up_s = Looks(), Looks(), 0, 0.0, 0.0

    def hub_pid(self) -> int:
        return int(json.loads((self.folder / "hub" / "hub.json").read_text())["pid"])

    def hub_tasks(self) -> int:
        """Of its event loop."""
        text = httpx.get(f"{self.hub.url}/metrics", timeout=10).text
        return int(float(next(line.split()[1] for line in text.splitlines() if line.startswith("qenergyz_tasks "))))

    def kill_cycle(self) -> None:
        process = self.programs.forget("hub")
        process.kill()
        process.wait()
        (self.folder / "hub" / "hub.json").unlink(missing_ok=True)
        began = time.monotonic()
        time.sleep(KILL_S)
        self.programs.start("hub", "hub", "serve", "--data", str(self.folder / "hub"), "--listen", self.listen)
        self.programs.wait_file("hub", self.folder / "hub" / "hub.json")
        self._up(time.monotonic() - began, with_hub=False)

    def stop_cycle(self) -> None:
        pid, began = self.hub_pid(), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(STOP_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        self._up(time.monotonic() - began, with_hub=True)

    def _up(self, away_s: float, *, with_hub: bool) -> None:
        """As long there as it was away; then the looks."""
        self.cycles, self.down_s = self.cycles + 1, self.down_s + away_s
        began = time.monotonic()
        time.sleep(max(SETTLE_S, away_s - 0.6))
        self.agent.all.append(look(self.agent_pid, len(demo.health(self.folder, GATEWAY)["tasks"])))
        if with_hub:
            self.hub_looks.all.append(look(self.hub_pid(), self.hub_tasks()))
        self.up_s += time.monotonic() - began
        print(f"\r  {self.cycles} outages, agent {self.agent.all[-1].rss_mib:.1f} MiB", end="", file=sys.stderr, flush=True)

    def run(self, seconds: float) -> None:
        for cycle, share in ((self.kill_cycle, 0.5), (self.stop_cycle, 0.5)):
            until = time.monotonic() + seconds * share
            while time.monotonic() < until or (cycle == self.stop_cycle and len(self.hub_looks.all) < 3):
                cycle()
        print(file=sys.stderr)


def run(folder: Path, minutes: float, rate: float) -> dict[str, Any]:
    with demo.Programs(folder) as programs:
        soak = Soak(programs, folder, rate)
        since_us = time.time_ns() // 1000
        programs.tell(f"sim-{GATEWAY}", "go")
        soak.run(minutes * 60)
        programs.tell(f"sim-{GATEWAY}", "hold")
        time.sleep(SETTLE_S)
        drain(soak)
        restarts = sum(task["restarts"] for task in demo.health(folder, GATEWAY)["tasks"])
        with (folder / f"truth-{GATEWAY}.csv").open() as lines:
            truth, protocols = read_truth(lines)
        found = compare(truth, soak.hub.stored(), protocols, since_us)
        collected = int(demo.health(folder, GATEWAY)["collected"])
    return {
        "cycles": soak.cycles,
        "away": soak.down_s / (soak.down_s + soak.up_s),
        "collected": collected,
        "stored": found.stored,
        "lost": max(0, collected - found.stored),
        "doubled": found.doubled + max(0, found.stored - collected),
        "wrong": found.wrong,
        "restarts": restarts,
        "agent": figures(soak.agent),
        "hub": figures(soak.hub_looks),
        "examples": [text for text in found.examples if "not stored" not in text],
    }


def figures(looks: Looks) -> dict[str, Any]:
    return {
        "looks": len(looks.kept),
        "rss first MiB": looks.kept[0].rss_mib,
        "rss last MiB": looks.kept[-1].rss_mib,
        "growth": looks.growth(),
        "files": looks.span(lambda look: look.files),
        "threads": looks.span(lambda look: look.threads),
        "tasks": looks.span(lambda look: look.tasks),
    }


def steady(found: dict[str, Any]) -> bool:
    counts = (found[name] for name in ("files", "tasks"))  # pools start their threads when they first need them
    return bool(found["growth"] < GOAL_GROWTH and all(last <= first for first, last in counts))


def show(found: dict[str, Any]) -> None:
    keys = ("cycles", "collected", "stored", "lost", "doubled", "wrong", "restarts")
    report.table(f"hub away {found['away']:.0%} of the time", ("outages", *keys[1:-1], "tasks restarted"), [[found[key] for key in keys]])
    rows = [
        (
            name, one["looks"], f"{one['rss first MiB']:.1f}", f"{one['rss last MiB']:.1f}", f"{one['growth']:+.1%}",
            *(" -> ".join(map(str, one[what])) for what in ("files", "threads", "tasks")),
        )
        for name, one in (("agent", found["agent"]), ("hub", found["hub"]))
    ]  # fmt: skip
    report.table(
        "after the warm-up", ("program", "looks", "RSS first MiB", "RSS last MiB", "growth", "open files", "threads", "tasks"), rows
    )
    for example in found["examples"]:
        print(f"  {example}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=25.0, help="steps per second of every simulated device")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-soak-"))
    try:
        found = run(folder, options.minutes, options.rate)
    except demo.DemoError as error:
        print(f"soak benchmark failed: {error}", file=sys.stderr)
        return 1
    show(found)
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    report.write(options.json, {"goal growth": GOAL_GROWTH, **found})
    whole = found["lost"] == found["doubled"] == found["wrong"] == 0 and found["stored"]
    return 0 if whole and steady(found["agent"]) and steady(found["hub"]) else 1


if __name__ == "__main__":
    sys.exit(main())
