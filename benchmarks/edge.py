"""What the agent costs: CPU of the whole program per sample against the bare protocol library that only counts, memory, and start.

Agent and floor read the same simulated field, one after the other, several times; medians are quoted. The agent's figure holds everything it
does: reading, committing to SQLite with synchronous=FULL, sealing, signing, sending to a real hub and verifying its receipts. The CPU of field
and hub is not counted. CPU is what the kernel ran of the process (and its children), after a warm-up.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import report
from simulators import demo

WARM_UP_S: Final = 1.5
QUICK_S: Final = 2.0  # of the floor; the agent needs its 5 s from seal to seal
STARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Case:
    """rate: steps of the field per second (MQTT: messages). every: polling interval of each tag. seconds: a multiple of the 5 s between seals.

    goal: highest ratio agent : floor, or goal_us: highest CPU per sample. per: samples that cost is told for.
    """

    name: str
    kind: str
    tags: int
    every: str = "1s"
    rate: float = 10.0
    devices: int = 1
    seconds: float = 5.0
    goal: float | None = None
    goal_us: float | None = None
    goal_mib: float | None = None
    floor: bool = True
    per: int = 1

    @property
    def every_s(self) -> float:
        return float(self.every.removesuffix("us")) / 1e6 if self.every.endswith("us") else float(self.every.removesuffix("s"))


CASES: Final = (
    Case("modbus 1,000 tags x 10 Hz", "modbus", 1000, "0.1s", goal=1.5, goal_mib=60),
    Case("modbus 1,000 tags x 1 Hz", "modbus", 1000, "1s", goal_us=4.5),
    Case("modbus 10,000 tags x 1 Hz", "modbus", 10_000, "1s", goal_mib=114),
    Case("modbus saturated, 4 x 1,000 tags", "modbus", 1000, "1us", rate=200.0, devices=4, goal_us=0.667),
    Case("opcua 1,000 tags x 10 Hz", "opcua", 1000, rate=10.0, goal=1.25),
    Case("opcua 1,000 tags x 1 Hz", "opcua", 1000, rate=1.0),
    Case("opcua 10,000 tags x 1 Hz", "opcua", 10_000, rate=1.0),
    Case("opcua saturated, 1,000 tags", "opcua", 1000, rate=1000.0),
    Case("mqtt 1,000 tags x 10 Hz, messages of 8", "mqtt", 8, rate=1250.0, goal=1.25),
    Case("mqtt 1,000 tags x 1 Hz, messages of 8", "mqtt", 8, rate=125.0),
    Case("mqtt 10,000 tags x 1 Hz, messages of 100", "mqtt", 100, rate=100.0),
    Case("mqtt saturated, messages of 8", "mqtt", 8, rate=50_000.0),
    Case("iec61850 1,000 tags x 10 Hz", "iec61850", 1000, rate=10.0),
    Case("iec61850 1,000 tags x 1 Hz", "iec61850", 1000, rate=1.0),
    Case("iec61850 10,000 tags x 1 Hz, 10 IEDs", "iec61850", 1000, rate=1.0, devices=10, floor=False),
    Case("iec61850 saturated, 1,000 tags", "iec61850", 1000, rate=1000.0),
)


@dataclass(slots=True)
class Measured:
    """One side of one case. per_sample_us: CPU (per message on MQTT); rss_mib: at the end; samples_s: samples per second of wall time."""

    per_sample_us: list[float] = field(default_factory=list)
    samples_s: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)


def device_map(folder: Path, case: Case) -> Path:
    options = {
        "modbus": "[modbus]\nmax_words = 125",
        "opcua": '[opcua]\nnamespace = "urn:bench"',
        "mqtt": '[mqtt]\npayload = "json"\ntopic = "bench/{device}"\ntime = "$.t"',
        "iec61850": '[iec61850]\nied = "BENCH"\nld = "LD0"',
    }[case.kind]
    row = {
        "modbus": f'{{ name = "n%d", at = "holding:%d", type = "uint16", every = "{case.every}" }}',
        "opcua": '{ name = "n%d", at = "s=n%d", type = "float64" }',
        "mqtt": '{ name = "n%d", at = "$.v.n%d", type = "float64" }',
        "iec61850": '{ name = "n%d", at = "GGIO1.AnIn%d.mag.f[MX]", type = "float32" }',
    }[case.kind]
    name = f"bench_{case.kind}_{case.tags}_{case.every}".replace(".", "")
    path = folder / "devices" / f"{name}.toml"
    rows = ",\n  ".join(row % (number, number) for number in range(case.tags))
    path.write_text(f'device_map = "{name}"\nmaker = "Bench"\nmodels = ["bench"]\ntags = [\n  {rows},\n]\n\n{options}\n')
    return path


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its children, to the nanosecond where the kernel tells."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
        except FileNotFoundError:
            parts = (task / "stat").read_text().rpartition(")")[2].split()
            total += (int(parts[11]) + int(parts[12])) / 100
        total += sum(cpu_s(int(child)) for child in (task / "children").read_text().split())
    return total


def rss_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class AgentSide:
    """The agent of one case: enrolled once, started for every round with an empty buffer."""

    def __init__(self, programs: demo.Programs, folder: Path, hub: demo.Hub, number: int, chosen: Path, addresses: dict[str, str]) -> None:
        self._programs, self._name = programs, f"bench{number}"
        self._config, self._data = folder / f"{self._name}.toml", folder / f"{self._name}-data"
        devices = "\n".join(f'[[device]]\nname = "{name}"\nmap = "{chosen.stem}"\naddress = "{at}"\n' for name, at in addresses.items())
        self._config.write_text(f'[gateway]\nname = "{self._name}"\nhub = "{hub.url}"\n\n{devices}')
        voucher = demo.run("hub", "voucher", "--data", str(folder / "hub"), "--gateway", self._name)
        demo.run("edge", "enrol", str(self._config), "--voucher", voucher)

    @contextmanager
    def running(self) -> Iterator[int]:
        for path in self._data.glob("buffer.*"):
            path.unlink()
        (self._data / "agent.json").unlink(missing_ok=True)
        process = self._programs.start(self._name, "edge", "run", str(self._config))
        try:
            self._url = self._programs.wait_file(self._name, self._data / "agent.json")["url"]
            yield process.pid
        finally:
            self._programs.stop(self._name)

    def count(self) -> int:
        with urllib.request.urlopen(f"{self._url}/health", timeout=10) as reply:
            found = json.load(reply)
        if found["dropped"] or found["backlog"]["refused_batches"]:
            raise demo.DemoError(f"the agent dropped samples or had batches refused: {found['causes']}")
        return int(found["collected"])


class FloorSide:
    """The bare library on the same addresses."""

    def __init__(self, case: Case, addresses: dict[str, str]) -> None:
        self._arguments = [case.kind, str(case.tags), str(case.every_s), *addresses.values()]

    @contextmanager
    def running(self) -> Iterator[int]:
        command = [sys.executable, "-m", "benchmarks.edge_bare", *self._arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as self._process:
            try:
                yield self._process.pid
            finally:
                self._process.kill()

    def count(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def measure(side: AgentSide | FloorSide, seconds: float, per: int, into: Measured) -> None:
    with side.running() as pid:
        until = time.monotonic() + 20
        while side.count() == 0:
            if time.monotonic() > until:
                raise demo.DemoError(f"no sample within 20 s from {side}")
            time.sleep(0.05)
        time.sleep(WARM_UP_S)
        samples, begun, used = -side.count(), time.monotonic(), -cpu_s(pid)
        time.sleep(seconds)
        used, took = used + cpu_s(pid), time.monotonic() - begun
        samples += side.count()
        into.per_sample_us.append(1e6 * used * per / samples)
        into.samples_s.append(samples / took)
        into.cores.append(used / took)
        into.rss_mib.append(rss_mib(pid))


@contextmanager
def served(folder: Path, case: Case, number: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The field of a case: its map, and what it says of itself."""
    chosen, ready = device_map(folder, case), folder / f"field{number}.json"
    command = [sys.executable, "-m", "benchmarks.edge_field", case.kind, str(chosen), str(ready), str(case.devices), str(case.rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as field_:
        try:
            until = time.monotonic() + 120  # ten thousand OPC UA nodes take the simulator a minute
            while not ready.exists():
                if field_.poll() is not None or time.monotonic() > until:
                    raise demo.DemoError(f"the field of {case.name} did not come up")
                time.sleep(0.05)
            yield chosen, json.loads(ready.read_text())
        finally:
            assert field_.stdin is not None
            field_.stdin.close()
            field_.wait(15)


def run_case(programs: demo.Programs, folder: Path, hub: demo.Hub, case: Case, number: int, rounds: int, quick: bool) -> dict[str, Any]:
    agent, floor = Measured(), Measured()
    floor_s = QUICK_S if quick else case.seconds
    with served(folder, case, number) as (chosen, said):
        ours, bare = AgentSide(programs, folder, hub, number, chosen, said["addresses"]), FloorSide(case, said["addresses"])
        for _ in range(rounds):
            if case.floor:
                measure(bare, floor_s, case.per, floor)
            measure(ours, case.seconds, case.per, agent)
    found: dict[str, Any] = {
        "case": case.name,
        "field": said["by"],
        "goal_ratio": case.goal,
        "goal_us": case.goal_us,
        "goal_mib": case.goal_mib,
        "rounds": rounds,
    }
    for name, side in (("agent", agent), ("floor", floor)):
        if side.samples_s:
            found[name] = {
                "us_per_sample": round(median(side.per_sample_us), 3),
                "all_us_per_sample": [round(value, 3) for value in side.per_sample_us],
                "samples_per_s": round(median(side.samples_s)),
                "samples_per_cpu_s": round(1e6 * case.per / median(side.per_sample_us)),
                "cores": round(median(side.cores), 3),
                "rss_mib": round(median(side.rss_mib), 1),
            }
    found["ratio"] = round(found["agent"]["us_per_sample"] / found["floor"]["us_per_sample"], 2) if "floor" in found else None
    print(f"  {case.name}: {found['agent']['us_per_sample']} us, ratio {found['ratio']}", file=sys.stderr, flush=True)
    return found


def first_read_s(folder: Path, hub: demo.Hub) -> float:
    """From the start of the process to its first request on the wire, with a hub configured."""
    chosen = device_map(folder, CASES[0])
    path = folder / "start.toml"
    with socket.create_server(("127.0.0.1", 0)) as device:
        device.settimeout(20)
        address = f"127.0.0.1:{device.getsockname()[1]}"
        path.write_text(
            f'[gateway]\nname = "bench0"\nhub = "{hub.url}"\n\n[[device]]\nname = "d0"\nmap = "{chosen.stem}"\naddress = "{address}"\n'
        )
        begun = time.monotonic()
        process = subprocess.Popen(demo.command("edge", "run", str(path)), stderr=subprocess.DEVNULL)
        try:
            link, _ = device.accept()
            with link:
                link.settimeout(20)
                link.recv(64)
                return time.monotonic() - begun
        finally:
            process.kill()
            process.wait()


def run(folder: Path, rounds: int, cases: Sequence[Case], quick: bool) -> dict[str, Any]:
    (folder / "devices").mkdir()
    with demo.Programs(folder) as programs:
        hub = demo.start_hub(programs, folder, "127.0.0.1:0")
        found = [run_case(programs, folder, hub, case, number, rounds, quick) for number, case in enumerate(cases)]
        starts = [first_read_s(folder, hub) for _ in range(1 + (2 if quick else STARTS))][1:]  # the first fills the caches of the machine
    return {"cases": found, "first_read_s": round(median(starts), 3), "all_first_read_s": [round(value, 3) for value in starts]}


def show(found: dict[str, Any]) -> None:
    rows = []
    for case in found["cases"]:
        agent, floor = case["agent"], case.get("floor", {})
        goal = f"<= {case['goal_ratio']}x" if case["goal_ratio"] else f"<= {case['goal_us']} us" if case["goal_us"] else "-"
        rows.append(
            (
                case["case"],
                agent["us_per_sample"],
                floor.get("us_per_sample", "-"),
                case["ratio"] or "-",
                goal,
                agent["samples_per_s"],
                agent["samples_per_cpu_s"],
                agent["cores"],
                agent["rss_mib"],
            )
        )
    report.table(
        "the whole agent against the bare protocol library (CPU microseconds per sample, medians)",
        ("case", "agent us", "floor us", "ratio", "goal", "samples/s", "samples/CPU s", "cores", "RSS MiB"),
        rows,
    )
    memory = [
        (f"memory, {case['case']}", f"{case['agent']['rss_mib']} MiB", f"<= {case['goal_mib']:g} MiB")
        for case in found["cases"]
        if case["goal_mib"]
    ]
    report.table(
        "memory and start", ("what", "agent", "goal"), [*memory, ("start to first read", f"{found['first_read_s']} s", "<= 0.5 s")]
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one round per case, and fewer cases")
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-edge-"))
    try:
        chosen = [case for case in CASES if options.only in case.name and not (options.quick and case.tags > 1000)]
        found = run(folder, 1 if options.quick else options.rounds, chosen, options.quick)
    except demo.DemoError as error:
        print(f"edge benchmark failed: {error}; logs in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    show(found)
    report.write(options.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
