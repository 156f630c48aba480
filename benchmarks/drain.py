"""A backlog of days drains while the live stream goes on: how fast, and what live samples notice of it.

A real agent reads 1,000 Modbus tags a second and sends to a real hub on PostgreSQL, first without a backlog, then with the one of an outage of
`--hours`, written into its buffer beforehand through the buffer's own interface: the same polls, sealed and signed every `--history-seal`
seconds. Latency is that of the oldest sample of each live batch, from the moment it was read (its commit follows within 100 ms) until its
verified receipt stands in the buffer file. Every batch of the backlog is then decoded from the hub's table and compared with what was written.

The floor of the same run: the same bytes, in requests of the same size, sent over loopback to a process that only writes them and calls fsync.
"""

import argparse
import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from benchmarks import drain_backlog, report
from benchmarks.edge import Case, cpu_s, served
from cloud.postgres import Cluster
from edge.forwarder import MAX_BATCHES, MAX_REQUEST_BYTES
from simulators import demo

GATEWAY: Final = "rig1"
CASE: Final = Case("drain", "modbus", 1000, "1s")
LOOK_S: Final = 0.025
GOALS: Final = {"x real time": 200.0, "live p95 s": 2.0}
FLOOR: Final = """
import os, socket, sys
with socket.create_server(("127.0.0.1", 0)) as server, open(sys.argv[1], "wb") as file:
    print(server.getsockname()[1], flush=True)
    link, _ = server.accept()
    while head := link.recv(8, socket.MSG_WAITALL):
        file.write(link.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
        file.flush()
        os.fsync(file.fileno())
        link.sendall(b"1")
"""


@dataclass(slots=True)
class Site:
    """The agent of the run: its files, and its process while it runs."""

    programs: demo.Programs
    folder: Path
    file: Path

    @property
    def data(self) -> Path:
        return self.folder / f"{GATEWAY}-data"

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.data / 'buffer.db'}?mode=ro", uri=True, timeout=10)

    @contextlib.contextmanager
    def agent(self) -> Iterator[int]:
        (self.data / "agent.json").unlink(missing_ok=True)
        process = self.programs.start(GATEWAY, "edge", "run", str(self.file))
        self.programs.wait_file(GATEWAY, self.data / "agent.json")
        yield process.pid
        self.programs.stop(GATEWAY)

    def wait_idle(self, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
                if demo.health(self.folder, GATEWAY)["backlog"]["sealed_batches"] == 0:
                    return
            time.sleep(0.1)
        raise demo.DemoError(f"live batches still wait after {seconds:g} s; see {self.folder}")


@dataclass(slots=True)
class Watch:
    """Looks into the agent's file: when has each live batch, those above `last_id`, had its receipt."""

    site: Site
    last_id: int
    latency_s: list[float] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        waiting: dict[int, int] = {}
        query = "SELECT id, first_us, state FROM batch WHERE id > ? AND samples > 0 AND stream != 'event' ORDER BY id"
        with contextlib.closing(self.site.connect()) as connection:
            below = self.last_id
            while not self._end.wait(LOOK_S):
                now_us = time.time_ns() // 1000
                for number, first_us, state in connection.execute(query, (below,)).fetchall():
                    if state == "acknowledged" and number in waiting:
                        self.latency_s.append((now_us - waiting.pop(number)) / 1e6)
                    elif state == "sealed":
                        waiting.setdefault(number, first_us)
                    below = max(below, number) if not waiting else min(waiting) - 1

    def quantiles(self) -> tuple[float, float, float]:
        if not self.latency_s:
            raise demo.DemoError("not one live batch was seen on its way: the run was too short")
        p50, p95 = np.percentile(self.latency_s, (50, 95))
        return float(p50), float(p95), max(self.latency_s)


def drained(site: Site, last_id: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    with contextlib.closing(site.connect()) as connection:
        query = "SELECT EXISTS (SELECT 1 FROM batch WHERE state != 'acknowledged' AND id <= ?)"
        while connection.execute(query, (last_id,)).fetchone()[0]:
            site.programs.check()
            if time.monotonic() > until:
                raise demo.DemoError(f"the backlog did not drain within {seconds:g} s; see {site.folder}")
            time.sleep(0.05)


def floor(site: Site, last_id: int) -> float:
    """Seconds for the bytes of the backlog, read from the same file."""
    command = [sys.executable, "-c", FLOOR, str(site.folder / "floor")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, contextlib.closing(site.connect()) as connection:
        assert server.stdout is not None
        with socket.create_connection(("127.0.0.1", int(server.stdout.readline()))) as link:
            begun, request, size = time.monotonic(), [], 0
            for (signed,) in connection.execute(
                "SELECT statement FROM batch WHERE stream = 'backfill' AND id <= ? ORDER BY id", (last_id,)
            ):
                if len(request) == MAX_BATCHES or size + len(signed) > MAX_REQUEST_BYTES:
                    _store(link, b"".join(request))
                    request, size = [], 0
                request.append(signed)
                size += len(signed)
            _store(link, b"".join(request))
            return time.monotonic() - begun


def _store(link: socket.socket, body: bytes) -> None:
    link.sendall(len(body).to_bytes(8, "big") + body)
    if link.recv(1) != b"1":
        raise demo.DemoError("the floor's process ended")


def prepare(programs: demo.Programs, folder: Path, hub: demo.Hub, device_map: Path, addresses: dict[str, str]) -> Site:
    file = folder / f"{GATEWAY}.toml"
    name, address = next(iter(addresses.items()))
    file.write_text(
        f'[gateway]\nname = "{GATEWAY}"\nhub = "{hub.url}"\n\n[buffer]\nmax_size = "20GB"\nseal_every = "1s"\n\n'
        f'[[device]]\nname = "{name}"\nmap = "{device_map.stem}"\naddress = "{address}"\n'
    )
    demo.run("edge", "enrol", str(file), "--voucher", demo.run("hub", "voucher", "--data", str(folder / "hub"), "--gateway", GATEWAY))
    return Site(programs, folder, file)


def run(folder: Path, hours: float, live_s: float, history_seal_s: int) -> dict[str, Any]:
    (folder / "devices").mkdir()
    with demo.Programs(folder) as programs:
        hub = demo.start_hub(programs, folder, "127.0.0.1:0")
        with served(folder, CASE, 0) as (device_map, said):
            site = prepare(programs, folder, hub, device_map, said["addresses"])
            return measure(site, round(hours * 3600), live_s, history_seal_s)


def measure(site: Site, seconds: int, live_s: float, history_seal_s: int) -> dict[str, Any]:
    hub_pid, database_pid = json.loads((site.folder / "hub" / "hub.json").read_text())["pid"], Cluster(site.folder / "hub" / "pg").pid()
    assert database_pid
    with site.agent():
        site.wait_idle()
        with Watch(site, 0) as without:
            time.sleep(live_s)
    begun = time.monotonic()
    truth = drain_backlog.write(site.file, seconds, history_seal_s, time.time_ns() // 1000)
    print(
        f"  {truth.samples:,} samples in {truth.batches:,} batches written in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True
    )
    used = [-cpu_s(pid) for pid in (hub_pid, database_pid)]
    begun = time.monotonic()
    with site.agent() as agent_pid, Watch(site, truth.last_id) as beside:
        drained(site, truth.last_id, 60 + seconds / 20)
        took_s, agent_s = time.monotonic() - begun, cpu_s(agent_pid)
        used = [before + cpu_s(pid) for before, pid in zip(used, (hub_pid, database_pid), strict=True)]
        time.sleep(3)
    floor_s = floor(site, truth.last_id)
    with contextlib.closing(site.connect()) as connection:
        query = "SELECT sum(samples) FILTER (WHERE state = 'acknowledged'), sum(samples) FROM batch"
        proven, kept = (count - truth.samples for count in connection.execute(query).fetchone())
    verdict = drain_backlog.judge(Cluster(site.folder / "hub" / "pg").url(), truth, proven, kept)
    return {
        "hours": seconds / 3600,
        "samples": truth.samples,
        "batches": truth.batches,
        "bytes": truth.bytes,
        "drain s": took_s,
        "x real time": seconds / took_s,
        "live without": without.quantiles(),
        "live beside": beside.quantiles(),
        "live p95 s": beside.quantiles()[1],
        "cores": {"agent": agent_s / took_s, "hub": used[0] / took_s, "PostgreSQL": used[1] / took_s},
        "floor s": floor_s,
        "ratio": took_s / floor_s,
        "live samples": verdict.live,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "wrong": verdict.wrong,
    }


def show(found: dict[str, Any]) -> None:
    keys = ("samples", "batches", "bytes", "drain s", "x real time", "floor s", "ratio", "lost", "doubled", "wrong")
    report.table(
        f"a backlog of {found['hours']:g} h at 1,000 samples/s",
        keys,
        [[f"{found[k]:,.1f}" if isinstance(found[k], float) else f"{found[k]:,}" for k in keys]],
    )
    rows = [(name, *(f"{value:.2f}" for value in found[f"live {name}"])) for name in ("without", "beside")]
    report.table("live samples, read -> receipt, without and beside the drain", ("drain", "p50 s", "p95 s", "max s"), rows)
    report.table("cores used while it drains", list(found["cores"]), [[f"{value:.2f}" for value in found["cores"].values()]])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--hours", type=float, default=6.0, help="of the outage (default %(default)s)")
    parser.add_argument("--live-seconds", type=float, default=20.0, help="of the live stream alone (default %(default)s)")
    parser.add_argument(
        "--history-seal", type=int, default=5, help="seconds in a batch of the backlog (default %(default)s, the agent's own)"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-drain-"))
    try:
        found = run(folder, options.hours, options.live_seconds, options.history_seal)
    except demo.DemoError as error:
        print(f"drain benchmark failed: {error}", file=sys.stderr)
        return 1
    show(found)
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    report.write(options.json, {"goals": GOALS, **found})
    good = found["lost"] == found["doubled"] == found["wrong"] == 0 and found["live samples"]
    return 0 if good and found["x real time"] >= GOALS["x real time"] and found["live p95 s"] <= GOALS["live p95 s"] else 1


if __name__ == "__main__":
    sys.exit(main())
