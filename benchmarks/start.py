"""How long an agent takes from its start to its first committed sample, and from SIGTERM to its end with everything sealed and the hub away.

Whole processes: `qenergyz edge run` beside a simulated Modbus device of 1,000 tags. The first sample counts when it stands in the buffer file,
committed, as another process reads it. For the flush the open group is filled first (about 90,000 samples in no batch yet, batches are sealed every
10 s only); the agent is enrolled at a hub whose port refuses. Afterwards the file must hold no open row: a fast end that loses is a failure.
"""

import argparse
import contextlib
import json
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import report
from protocols.batch.checkpoint import LogKey
from protocols.signing import Ed25519Signer

ROOT: Final = Path(__file__).resolve().parent.parent
TAGS: Final = 1000
FULL_SAMPLES: Final = 85_000
FIRST_GOAL_S: Final = 1.0
FLUSH_GOAL_S: Final = 5.0
LONGEST_S: Final = 60.0
LOOK_EVERY_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Run:
    """first_s: start to the first committed sample. open_samples: in no batch when SIGTERM came. flush_s: from then to the end of the process."""

    first_s: float
    open_samples: int
    flush_s: float
    left_open: int
    exit_code: int


def wait_until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError, sqlite3.Error, ValueError):
            if condition():
                return
        time.sleep(LOOK_EVERY_S)
    raise SystemExit(f"waited {LONGEST_S:g} s in vain for {what}")


def count(buffer: Path, query: str) -> int:
    with closing(sqlite3.connect(f"file:{buffer}?mode=ro", uri=True, timeout=1)) as connection:
        return int(connection.execute(query).fetchone()[0])


def open_samples(buffer: Path) -> int:
    return count(buffer, "SELECT coalesce(sum(samples), 0) FROM open")


def stored(buffer: Path) -> int:
    return count(buffer, "SELECT (SELECT count(*) FROM open) + (SELECT count(*) FROM batch)")


@contextmanager
def field(folder: Path) -> Iterator[str]:
    """A simulated device in a process of its own; gives its address."""
    rows = ",\n  ".join(f'{{ name = "n{number}", at = "holding:{number}", type = "uint16", every = "100ms" }}' for number in range(TAGS))
    path = folder / "devices" / "bench_start.toml"
    path.parent.mkdir()
    path.write_text(
        f'device_map = "bench_start"\nmaker = "Bench"\nmodels = ["bench"]\ntags = [\n  {rows},\n]\n\n[modbus]\nmax_words = 125\nword_order = "ABCD"\n'
    )
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "benchmarks.edge_field", "modbus", str(path), str(ready), "1", "10"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    try:
        wait_until(lambda: ready.exists() and json.loads(ready.read_text()), "the simulated device")
        (address,) = json.loads(ready.read_text())["addresses"].values()
        yield address
    finally:
        process.communicate(timeout=30)


def write_gateway(folder: Path, address: str) -> Path:
    """Enrolled at a hub that is away: port 9 refuses."""
    path = folder / "gateway.toml"
    path.write_text(
        '[gateway]\nname = "start"\nhub = "http://127.0.0.1:9"\n\n[buffer]\nseal_every = "10s"\n\n'
        f'[[device]]\nname = "plc"\nmap = "bench_start"\naddress = "{address}"\n'
    )
    data = folder / "start-data"
    data.mkdir()
    Ed25519Signer.generate().save(data / "gateway.key")
    return path


def enrol_by_hand(data: Path) -> None:
    """What an enrolment writes, with a key of a log that nobody has."""
    key = LogKey("bench/log", Ed25519Signer.generate().public)
    members = {"tenant": "bench", "gateway": "urn:qz:gw:start", "origin": "bench/log", "log_key": key.text}
    (data / "enrolment.json").write_text(json.dumps(members))


def measure(gateway: Path, data: Path, *, fill: bool) -> Run:
    buffer = data / "buffer.db"
    for path in data.glob("buffer.*"):
        path.unlink()
    began = time.monotonic()
    with (data / "agent.log").open("w") as log:
        agent = subprocess.Popen([sys.executable, "qenergyz.py", "edge", "run", str(gateway)], cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until(lambda: buffer.exists() and stored(buffer), f"the first sample; see {log.name}")
        first_s = time.monotonic() - began
        if fill:
            wait_until(lambda: open_samples(buffer) >= FULL_SAMPLES, "a full open group")
        waiting = open_samples(buffer)
        asked = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        code = agent.wait(LONGEST_S)
        return Run(first_s, waiting, time.monotonic() - asked, open_samples(buffer), code)
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.wait()


def verdicts(runs: Sequence[Run]) -> list[tuple[str, str, str, str]]:
    first, flush = max(run.first_s for run in runs), max(run.flush_s for run in runs)
    lost = sum(run.left_open for run in runs)
    return [
        ("start to first sample, worst", f"{first:.2f} s", f"{FIRST_GOAL_S:g} s", "met" if first <= FIRST_GOAL_S else "MISSED"),
        ("SIGTERM to end, worst", f"{flush:.2f} s", f"{FLUSH_GOAL_S:g} s", "met" if flush <= FLUSH_GOAL_S else "MISSED"),
        ("samples left in no batch", str(lost), "0", "met" if not lost and not any(run.exit_code for run in runs) else "MISSED"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true", help="do not fill the open group before SIGTERM")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-start-"))
    try:
        with field(folder) as address:
            gateway = write_gateway(folder, address)
            enrol_by_hand(folder / "start-data")
            runs = [measure(gateway, folder / "start-data", fill=not arguments.quick) for _ in range(arguments.runs)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [(number, f"{run.first_s:.2f}", run.open_samples, f"{run.flush_s:.2f}") for number, run in enumerate(runs, 1)]
    medians = (
        "median",
        f"{statistics.median(run.first_s for run in runs):.2f}",
        "",
        f"{statistics.median(run.flush_s for run in runs):.2f}",
    )
    report.table("An agent's start and end", ("run", "first sample s", "open samples", "SIGTERM to end s"), [*rows, medians])
    judged = verdicts(runs)
    report.table("Goals", ("what", "measured", "goal", "verdict"), judged)
    report.write(arguments.json, {"runs": [dict(zip(("first_s", "open_samples", "flush_s"), row[1:], strict=True)) for row in rows]})
    return int(any(verdict == "MISSED" for *_, verdict in judged))


if __name__ == "__main__":
    raise SystemExit(main())
