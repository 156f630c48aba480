"""What readers of the hub feel: the live stream under load, a chart of ten million samples, and the pages in a browser (web_pages).

    python -m benchmarks.web [--json FILE] [--only stream|chart|pages] [--seconds N]

A hub process with its embedded PostgreSQL; this process plays gateway and readers. CPU is the hub's own, from /proc; the floor of the stream is
the same bytes written to as many sockets by a bare loop, the floor of the chart is its one SQL statement asked directly.
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import psycopg

from benchmarks import report, web_pages
from benchmarks.hub import START_US, Gateway, Hub, S, compacted, enrol, loader, measure, plain, post, running_hub, send_all
from protocols.batch import statement
from protocols.batch.columns import Group
from protocols.batch.statement import Header, Payload

READERS: Final = 100
STALLED: Final = 10
TAGS: Final = 500
TICK_S: Final = 0.25
SAMPLES: Final = 10_000_000
WIDTH: Final = 1440
GOALS: Final = {
    "hub cores": 0.5,
    "frame p99 ms": 250.0,
    "frame p99 ms, beside stalled": 250.0,
    "chart p95 ms": 300.0,
    "chart points": 2.0 * WIDTH,
    "LCP ms": 1000.0,
    "first load kB gz": 120.0,
    "first load requests": 15.0,
    "row nodes of 100,000": 60.0,
}


class Reader(asyncio.Protocol):
    """Reads a stream as fast as it comes and notes when each frame of values was whole. keep: parse them too."""

    def __init__(self, request: bytes, keep: bool) -> None:
        self.frames: list[float] = []
        self.ages_ms: list[float] = []
        self.bytes = 0
        self._request, self._keep, self._rest = request, keep, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        self._rest += data
        *whole, self._rest = self._rest.split(b"\n\n")
        for frame in whole:
            if b"event: latest\n" in frame:
                self.frames.append(time.monotonic())
                if self._keep:
                    values = json.loads(frame.partition(b"data: ")[2])
                    self.ages_ms.append(time.time() * 1e3 - max(row[0] for row in values.values()) / 1e3)


def request_of(hub: Hub, token: str) -> tuple[str, int, bytes]:
    host, _, port = hub.url.removeprefix("http://").partition(":")
    return host, int(port), f"GET /v1/stream HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def resident_kb(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


async def feed(client: httpx.AsyncClient, gateway: Gateway, seconds: float, first: int) -> int:
    """A batch of one row of all tags every 250 ms; the number of the next batch."""
    rng, until = np.random.default_rng(1), time.monotonic() + seconds
    number = first
    while time.monotonic() < until:
        values = rng.integers(0, 16383, (1, gateway.tags), dtype=np.int32)
        group = Group(np.arange(gateway.tags, dtype=np.uint32), np.array([time.time_ns() // 1000], np.int64), values)
        prev = statement.START if number == 1 else statement.entry_hash(gateway.batches[-1])
        header = Header(f"urn:qz:gw:{gateway.name}", "live", 1, number, prev)
        gateway.batches.append(statement.seal(header, Payload(gateway.table.digest, (group,), ()), gateway.signer))
        number += 1
        began = time.monotonic()
        await post(client, gateway.batches[-1:])
        await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - began)))
    return number


def late_ms(readers: Sequence[Reader]) -> list[float]:
    """How long after its tick each frame was whole; all hubs and readers of a machine have the same ticks."""
    return [at % TICK_S * 1e3 for reader in readers for at in reader.frames[2:]]


def stream(seconds: float) -> dict[str, Any]:
    gateway = Gateway("rig1", TAGS)
    found: dict[str, Any] = {}
    with running_hub() as hub:
        host, port, request = request_of(hub, hub.command("token", "--name", "bench"))

        async def phase(client: httpx.AsyncClient, readers: int, stalled: int, first: int) -> tuple[list[Reader], int, float]:
            loop = asyncio.get_running_loop()
            made = [Reader(request, at == 0) for at in range(readers)]
            for reader in made:
                await loop.create_connection(lambda reader=reader: reader, host, port)  # type: ignore[misc]
            idle = [await asyncio.open_connection(host, port, limit=1024) for _ in range(stalled)]
            for _, writer in idle:
                writer.write(request)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
            before, began = hub.cpu_s()[0], time.monotonic()
            number = await feed(client, gateway, seconds, first)
            cores = (hub.cpu_s()[0] - before) / (time.monotonic() - began)
            for reader in made:
                reader.transport.close()
            for _, writer in idle:
                writer.transport.abort()
            return made, number, cores

        async def run() -> None:
            async with loader(hub) as client:
                await enrol(hub, client, [gateway])
                _, number, alone = await phase(client, 0, 0, 1)
                readers, number, cores = await phase(client, READERS, 0, number)
                rss = resident_kb(hub.process.pid)
                beside, _, both = await phase(client, READERS, STALLED, number)
                grown = resident_kb(hub.process.pid) - rss
            frames = sum(len(reader.frames) for reader in beside)
            size = sum(reader.bytes for reader in beside) / max(1, frames)
            p99 = statistics.quantiles(late_ms(readers), n=100)[98]
            found.update(
                {
                    "hub cores": both,
                    "hub cores without readers": alone,
                    "hub cores without the stalled": cores,
                    "floor: cores of a bare socket loop": floor(int(size), seconds=3.0),
                    "frames/s": frames / seconds,
                    "bytes of a frame": size,
                    "frame p99 ms": p99,
                    "frame p99 ms, beside stalled": statistics.quantiles(late_ms(beside), n=100)[98],
                    "sample to reader, median ms": statistics.median(beside[0].ages_ms[2:]),
                    "RSS growth MB": grown / 1024,
                }
            )

        asyncio.run(run())
    return found


def floor(size: int, seconds: float) -> float:
    """Cores of writing so many bytes to READERS sockets of the loopback four times a second."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = [socket.create_connection(server.getsockname()) for _ in range(READERS)]
        ours = [server.accept()[0] for _ in range(READERS)]
    data, spent, rounds = b"x" * size, 0.0, int(seconds / TICK_S)
    for _ in range(rounds):
        began = time.thread_time()
        for one in ours:
            one.sendall(data)
        spent += time.thread_time() - began
        for one in theirs:
            left = size
            while left:
                left -= len(one.recv(left))
    for one in (*ours, *theirs):
        one.close()
    return spent / seconds


def chart() -> dict[str, Any]:
    """One tag, a sample a second for 115 days; asked for as wide a chart as a desk has, over the whole and over most of it."""
    gateway = Gateway("rig1", 1)
    gateway.make(100, SAMPLES // 100)
    with running_hub() as hub:
        token = hub.command("token", "--name", "bench")

        async def load() -> None:
            async with loader(hub) as client:
                await enrol(hub, client, [gateway])
                await send_all(client, gateway, 8)

        asyncio.run(load())
        _, made_s, *_ = measure(hub, lambda: compacted(hub))
        taken, body = [], {}
        with httpx.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"authorization": f"Bearer {token}"}) as client:
            tag = client.get("/v1/tags").json()[0]["id"]
            for turn in range(40):
                window = {"from_us": START_US + turn * 7_919 * S, "to_us": START_US + SAMPLES * S, "points": 2 * WIDTH}
                began = time.monotonic()
                body = client.get(f"/v1/tags/{tag}/samples", params=window).raise_for_status().json()
                taken.append((time.monotonic() - began) * 1e3)
        with psycopg.connect(hub.database_url) as connection:
            query = "SELECT max(high), min(low) FROM rollup_minute WHERE minute_us >= %s GROUP BY floor((minute_us::float8 - %s) / 8e9) ORDER BY 1"
            began = time.monotonic()
            rows = connection.execute(query, (window["from_us"], window["from_us"])).fetchall()
            bare_ms = (time.monotonic() - began) * 1e3
    assert max(value for value in body["values"] if value is not None) >= max(row[0] for row in rows), "an extreme was lost"
    return {
        "chart p95 ms": statistics.quantiles(taken, n=20)[18],
        "chart median ms": statistics.median(taken),
        "floor: the SQL alone, ms": bare_ms,
        "chart points": len(body["times_us"]),
        "samples": body["samples"],
        "wait for compaction s": made_s,
    }


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description="What readers of the hub feel.")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase of the stream (default %(default)s)")
    parser.add_argument("--only", choices=("stream", "chart", "pages"), help="one part alone")
    options = parser.parse_args(argv)
    parts: dict[str, Callable[[], dict[str, Any]]] = {"stream": lambda: stream(options.seconds), "chart": chart, "pages": web_pages.pages}
    result: dict[str, Any] = {name: run() for name, run in parts.items() if options.only in (None, name)}
    for name, figures in result.items():
        rows = [
            (what, plain(value), f"<= {plain(GOALS[what])}" if what in GOALS else "") for what, value in figures.items() if what != "each"
        ]
        report.table(name, ("what", "found", "goal"), rows)
        if "each" in figures:
            report.table(
                "each page", ("page", "kB gz", "requests", "LCP ms"), [(one, *map(plain, row)) for one, row in figures["each"].items()]
            )
    report.write(options.json, {"goals": GOALS, **result})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
