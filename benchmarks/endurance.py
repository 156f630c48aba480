"""A day of a real well, replayed at speed with an hour of uplink cut: the hub must hold the recording value by value.

The 24 h recording of WELL-00010 (12 files, rows of one second, recorded times kept) goes over MQTT to one agent and on to the hub. After 10 of
the 24 recorded hours the uplink is cut for one recorded hour; the agent goes on collecting. At the end every row of the CSV files, read
here independently of the simulator, is compared with what the hub answers, and completeness must say "all present".
"""

import argparse
import csv
import gzip
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.kill import free_port
from protocols import quality
from simulators import demo
from simulators.comparison import Series, compare, series
from simulators.replay import RECORDINGS

GATEWAY = "rig1"
DEVICE = "well1"
COLUMNS = {
    "P-PDG": "p_pdg",
    "P-TPT": "p_tpt",
    "T-TPT": "t_tpt",
    "P-MON-CKP": "p_mon_ckp",
    "T-JUS-CKP": "t_jus_ckp",
    "P-JUS-CKGL": "p_jus_ckgl",
    "T-JUS-CKGL": "t_jus_ckgl",
    "QGL": "qgl",
}
RECORDING = "4/WELL-00010_*"
CUT_FROM_ROW, CUT_ROWS = 36_000, 3_600


class Uplink:
    """A TCP relay in front of the hub that can be cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._up = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            if not self._up:
                near.close()
                continue
            try:
                far = socket.create_connection(self._target, 5)
            except OSError:
                near.close()
                continue
            self._open |= {near, far}
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()
            self._open.discard(end)

    def cut(self) -> None:
        self._up = False
        for end in list(self._open):
            end.close()

    def join(self) -> None:
        self._up = True


def recorded(files: Sequence[Path]) -> dict[str, Series]:
    """The CSV files as they are: times taken as UTC, empty cells as NaN."""
    columns: dict[str, tuple[list[int], list[float], list[int]]] = {name: ([], [], []) for name in COLUMNS}
    for file in files:
        with gzip.open(file, "rt", newline="") as text:
            for row in csv.DictReader(text):
                moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
                time_us = int(moment.timestamp()) * 1_000_000 + moment.microsecond
                for name, (times, values, _) in columns.items():
                    times.append(time_us)
                    values.append(float(row[name]) if row[name] else float("nan"))
    return {f"{DEVICE}.{COLUMNS[name]}": series(times, values, [0] * len(times)) for name, (times, values, _) in columns.items()}


def scenario(folder: Path, rate: float) -> Path:
    path = folder / "endurance.toml"
    path.write_text(
        f'scenario = "endurance"\nseed = 1\nrate = {rate}\ntimes = "recorded"\n\n[[device]]\nname = "{DEVICE}"\nmap = "qenergyz_well_mqtt"\n'
        f'address = "mqtt://127.0.0.1:0"\nversion = "3.1.1"\nasset = "WELL-00010"\nsource = {{ replay = "{RECORDING}" }}\n'
    )
    return path


def run(folder: Path, rate: float) -> dict[str, Any]:
    files = sorted(RECORDINGS.glob(f"{RECORDING}.csv.gz"))
    expected = recorded(files)
    rows = len(next(iter(expected.values())).times_us)
    with demo.Programs(folder) as programs:
        port = free_port()
        hub = demo.start_hub(programs, folder, f"127.0.0.1:{port}")
        uplink = Uplink(("127.0.0.1", port))
        through = demo.Hub(f"http://127.0.0.1:{uplink.port}", hub.token)
        demo.start_site(programs, folder, through, GATEWAY, str(scenario(folder, rate)), ())
        wait(lambda: all(device["connected"] for device in demo.health(folder, GATEWAY)["devices"]), 60, "device")
        started = time.monotonic()
        programs.tell(f"sim-{GATEWAY}", "go")
        cut_s = watch(folder, uplink, rows)
        took_s = time.monotonic() - started
        wait(lambda: idle(folder), 300, "drain")
        stored = hub.stored()
        window = {
            "from_us": int(min(one.times_us[0] for one in expected.values())),
            "to_us": int(max(one.times_us[-1] for one in expected.values())) + 1,
        }
        tags = {tag["name"]: tag["id"] for tag in hub.get("/v1/tags").json()}
        answers = {name: hub.get(f"/v1/tags/{number}/completeness", **window).json() for name, number in tags.items()}
    return judge(
        expected,
        stored,
        answers,
        {"rows": rows, "seconds": round(took_s, 1), "uplink_cut_s": round(cut_s, 1), "speed": round(86_400 / took_s)},
    )


def idle(folder: Path) -> bool:
    backlog = demo.health(folder, GATEWAY)["backlog"]
    return bool(backlog["open_samples"] + backlog["sealed_samples"] == 0)


def wait(condition: Any, seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise demo.DemoError(f"{what} not done within {seconds:.0f} s")


def watch(folder: Path, uplink: Uplink, rows: int) -> float:
    """Follow the replay, cut the uplink for the 11th recorded hour; returns for how long it was cut, in seconds."""
    cut_at: float | None = None
    cut_s = 0.0
    samples = len(COLUMNS)
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        collected = demo.health(folder, GATEWAY)["collected"] // samples
        print(f"\r{collected}/{rows} rows", end="", file=sys.stderr, flush=True)
        if cut_at is None and not cut_s and collected >= CUT_FROM_ROW:
            uplink.cut()
            cut_at = time.monotonic()
        if cut_at is not None and collected >= CUT_FROM_ROW + CUT_ROWS:
            uplink.join()
            cut_s, cut_at = time.monotonic() - cut_at, None
        if collected >= rows - 1:
            print(file=sys.stderr)
            time.sleep(1.0)
            return cut_s
        time.sleep(0.1)
    raise demo.DemoError("the replay did not end within an hour")


def judge(expected: dict[str, Series], stored: dict[str, Series], answers: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Values to the bit; quality is checked for what the recording itself says: an empty cell is bad, a number is not."""
    plain = {}
    for name, one in stored.items():
        bad = one.quality & quality.BAD != 0
        plain[name] = Series(one.times_us, one.values, bad.astype("uint32"))
    for name, one in expected.items():
        expected[name] = Series(one.times_us, one.values, (one.values != one.values).astype("uint32"))
    found = compare(expected, plain, dict.fromkeys(expected, "mqtt"), 0)
    incomplete = {name: answer["gaps"] for name, answer in answers.items() if not answer["complete"]}
    return {
        **result,
        "samples": found.stored,
        "lost": found.lost,
        "doubled": found.doubled,
        "wrong": found.wrong,
        "completeness": incomplete or "all present",
        "examples": found.examples,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rate", type=float, default=800.0, help="recorded rows per second (default 800)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-endurance-"))
    try:
        result = run(folder, options.rate)
    except demo.DemoError as error:
        print(f"endurance failed: {error}; see {folder}", file=sys.stderr)
        return 1
    keys = ("rows", "samples", "seconds", "speed", "uplink_cut_s", "lost", "doubled", "wrong", "completeness")
    report.table("24 h of WELL-00010 with an hour of uplink cut", keys, [[result[key] for key in keys]])
    for example in result["examples"]:
        print(f"  {example}")
    report.write(options.json, result)
    good = result["lost"] == result["doubled"] == result["wrong"] == 0 and result["completeness"] == "all present" and result["samples"]
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
