"""The hub under load through HTTP: samples verified and durable per core, receipt latency, one tag's day.

A hub process on its embedded PostgreSQL, this process as the loader; batches are made and signed beforehand. CPU is that of the hub and of every
PostgreSQL process, from /proc. The floor, in the same run on the same PostgreSQL: COPY of rows (tag_id, ts, value) into an unindexed table,
counting PostgreSQL's CPU alone. Compaction is held back with its own lock where it would blur a figure, and measured by itself.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import psycopg

from benchmarks import report
from cloud.postgres import Cluster
from protocols.batch import cbor, statement
from protocols.batch.columns import Group
from protocols.batch.statement import Header, Payload
from protocols.devicemap import TagTable
from protocols.enrolment import enrolment_proof
from protocols.signing import Ed25519Signer

S: Final = 1_000_000
START_US: Final = 1_717_200_000 * S
COMPACTION_LOCK: Final = 0x636D70
GOALS: Final = {
    "samples/s per core": 5e6,
    "receipt p50 s": 0.5,
    "receipt p99 s": 2.0,
    "query of a day ms": 150.0,
}
HUB: Final = (sys.executable, "-c", "import sys; from cloud.cli import main; sys.exit(main(sys.argv[1:]))")
TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Hub:
    """A hub process in a folder of its own."""

    data: Path
    process: subprocess.Popen[str]
    url: str
    database_url: str

    def command(self, *arguments: str) -> str:
        return subprocess.run([*HUB, *arguments, "--data", str(self.data)], capture_output=True, text=True, check=True).stdout.strip()

    def cpu_s(self) -> tuple[float, float]:
        """(hub, PostgreSQL) so far."""
        postmaster = Cluster(self.data / "pg").pid()
        assert postmaster
        children = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _stat(int(path.name))[0] == postmaster]
        database = sum(_stat(postmaster)[1:]) + sum(_stat(child)[1] for child in children)
        return _stat(self.process.pid)[1], database

    @contextmanager
    def no_compaction(self) -> Iterator[None]:
        """As if another hub were compacting."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s, 1)", (COMPACTION_LOCK,))
            yield

    def uncompacted(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM batch WHERE NOT compacted").fetchone()
            return int(row[0]) if row else 0


def _stat(pid: int) -> tuple[int, float, float]:
    """(parent, CPU seconds of its own, CPU seconds of children that have ended)."""
    try:
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0.0, 0.0
    user, system, children_user, children_system = map(int, rest[11:15])
    return int(rest[1]), (user + system) / TICK, (children_user + children_system) / TICK


@contextmanager
def running_hub() -> Iterator[Hub]:
    with tempfile.TemporaryDirectory(prefix="qz-bench-") as folder:
        data = Path(folder) / "data"
        Path(folder).chmod(0o755)
        command = [*HUB, "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout
            if not process.stdout.readline().startswith("qenergyz hub listens"):
                raise SystemExit("the hub did not start")
            state = json.loads((data / "hub.json").read_text())
            yield Hub(data, process, state["url"], state["database_url"])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                Cluster(data / "pg").stop()


@dataclass
class Gateway:
    """A key, a tag table, and batches of 14-bit counts in one chain, made in advance."""

    name: str
    tags: int
    signer: Ed25519Signer = field(default_factory=Ed25519Signer.generate)
    batches: list[bytes] = field(default_factory=list)
    samples: int = 0

    def __post_init__(self) -> None:
        rows = [
            {
                "id": at, "device": "plc", "tag": f"t{at}", "at": f"holding:{at}", "type": "int32", "unit": "bar", "scale": "0.01", "offset": "0",
                "asset": "pump", "protocol": "modbus", "range": None,
            }
            for at in range(self.tags)
        ]  # fmt: skip
        text = json.dumps({"gateway": self.name, "tags": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.table = TagTable.parse(text)
        self.levels = np.random.default_rng(len(self.name)).uniform(0.1, 0.9, self.tags)

    def make(self, count: int, rows: int, start_us: int = START_US, step_us: int = S) -> None:
        """Levels with noise of 0.05 % of the range, as in benchmarks.codec."""
        rng = np.random.default_rng(count)
        prev = statement.START
        for at in range(count):
            noise = rng.normal(0, 0.0005, (rows, self.tags))
            values = np.rint(np.clip(self.levels + noise, 0, 1) * 16383).astype(np.int32)
            times = start_us + step_us * (at * rows + np.arange(rows, dtype=np.int64))
            payload = Payload(self.table.digest, (Group(np.arange(self.tags, dtype=np.uint32), times, values),))
            data = statement.seal(Header(f"urn:qz:gw:{self.name}", "live", 1, at + 1, prev), payload, self.signer)
            prev = statement.entry_hash(data)
            self.batches.append(data)
            self.samples += values.size

    async def enrol(self, client: httpx.AsyncClient, voucher: str) -> None:
        public = self.signer.public
        proof = self.signer.sign(enrolment_proof(voucher, self.name, public)).hex()
        body = {"voucher": voucher, "gateway": self.name, "algorithm": self.signer.algorithm, "public_key": public.hex(), "proof": proof}
        (await client.post("/v1/enrolments", json=body)).raise_for_status()
        signed = statement.sign_tag_table(self.table.text, f"urn:qz:gw:{self.name}", self.signer)
        (await client.put(f"/v1/tag-tables/{self.table.digest.hex()}", content=signed)).raise_for_status()


async def enrol(hub: Hub, client: httpx.AsyncClient, gateways: Sequence[Gateway]) -> None:
    for gateway in gateways:
        await gateway.enrol(client, await asyncio.to_thread(hub.command, "voucher", "--gateway", gateway.name))


async def post(client: httpx.AsyncClient, batches: Sequence[bytes]) -> int:
    """Send until every batch has its receipt; the number of receipts."""
    while True:
        reply = await client.post("/v1/batches", content=b"".join(batches), headers={"content-type": "application/cbor-seq"})
        if reply.status_code == 429:
            await asyncio.sleep(float(reply.headers["retry-after"]))
            continue
        reply.raise_for_status()
        receipts = cbor.decode_strict(reply.content)[3]
        if all(receipts):
            return len(receipts)


def loader(hub: Hub) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=hub.url, timeout=60, trust_env=False)


async def send_all(client: httpx.AsyncClient, gateway: Gateway, per_request: int = 64) -> None:
    for at in range(0, len(gateway.batches), per_request):
        await post(client, gateway.batches[at : at + per_request])


def measure(hub: Hub, work: Callable[[], Any]) -> tuple[Any, float, float, float]:
    """(result, wall seconds, hub's CPU seconds, PostgreSQL's)."""
    before, began = hub.cpu_s(), time.monotonic()
    result = work()
    wall_s, after = time.monotonic() - began, hub.cpu_s()
    return result, wall_s, after[0] - before[0], after[1] - before[1]


def throughput(batches: int) -> dict[str, Any]:
    """Four gateways send batches of 10,000 samples, 64 in a request; then the floor on the same PostgreSQL."""
    gateways = [Gateway(f"rig{at}", 1000) for at in range(4)]
    for gateway in gateways:
        gateway.make(batches // 4, 10)
    with running_hub() as hub, hub.no_compaction():

        async def run() -> None:
            async with loader(hub) as client:
                await enrol(hub, client, gateways)

        async def load() -> None:
            async with loader(hub) as client:
                await asyncio.gather(*(send_all(client, gateway) for gateway in gateways))

        asyncio.run(run())
        _, wall_s, hub_s, database_s = measure(hub, lambda: asyncio.run(load()))
        samples, size = sum(gateway.samples for gateway in gateways), sum(len(data) for gateway in gateways for data in gateway.batches)
        with psycopg.connect(hub.database_url) as connection:
            stored = connection.execute("SELECT sum(samples) FROM batch").fetchone()
        assert stored == (samples,), f"{stored} stored, {samples} sent"
        rows_per_s = floor(hub)
    per_core = samples / (hub_s + database_s)
    return {
        "samples": samples,
        "bytes per sample": size / samples,
        "samples/s": samples / wall_s,
        "hub CPU s": hub_s,
        "PostgreSQL CPU s": database_s,
        "samples/s per core": per_core,
        "floor: COPY rows/s per core": rows_per_s,
        "ratio to floor": per_core / rows_per_s,
    }


def floor(hub: Hub, rows: int = 1_000_000) -> float:
    """Rows per second of PostgreSQL's CPU."""
    at = np.arange(rows)
    text = "\n".join(
        f"{a}\t{b}\t{c}" for a, b, c in zip((at % 1000).tolist(), (START_US + at).tolist(), (at % 16384 / 100).tolist(), strict=True)
    )
    chunks = [text.encode()[start : start + (1 << 20)] for start in range(0, len(text), 1 << 20)]
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_row (tag_id integer, ts bigint, value double precision)")

        def load() -> None:
            with connection.cursor().copy("COPY bench_row FROM STDIN") as copy:
                for chunk in chunks:
                    copy.write(chunk)

        _, _, _, database_s = measure(hub, load)
    return rows / database_s


def latency(seconds: int, gateways_count: int = 10, per_second: int = 10) -> dict[str, Any]:
    """Open loop: every batch has its moment, and its receipt is counted from then, whatever came before it."""
    gateways = [Gateway(f"rig{at}", 1000) for at in range(gateways_count)]
    for gateway in gateways:
        gateway.make(seconds * per_second, 10, step_us=S // 100)
    with running_hub() as hub:
        found: list[float] = []

        async def one(client: httpx.AsyncClient, data: bytes, due: float) -> None:
            await asyncio.sleep(due - time.monotonic())
            await post(client, [data])
            found.append(time.monotonic() - due)

        async def load() -> None:
            async with loader(hub) as client:
                begin = time.monotonic() + 0.5
                due = [
                    (gateway.batches[at], begin + (at + number / gateways_count) / per_second)
                    for number, gateway in enumerate(gateways)
                    for at in range(len(gateway.batches))
                ]
                await asyncio.gather(*(one(client, data, when) for data, when in due))

        async def prepare() -> None:
            async with loader(hub) as client:
                await enrol(hub, client, gateways)

        asyncio.run(prepare())
        _, wall_s, hub_s, database_s = measure(hub, lambda: asyncio.run(load()))
    p50, p90, p99 = (float(np.percentile(found, share)) for share in (50, 90, 99))
    return {
        "batches": len(found),
        "receipt p50 s": p50,
        "receipt p90 s": p90,
        "receipt p99 s": p99,
        "receipt max s": max(found),
        "cores used": (hub_s + database_s) / wall_s,
    }


def day(tags: int = 100, rows: int = 86_400) -> dict[str, Any]:
    """A day of 100 tags at 1 Hz; one of them is asked for before and after compaction, whole and as 800 points."""
    gateway = Gateway("rig1", tags)
    gateway.make(rows // 100, 100)
    with running_hub() as hub:
        token = hub.command("token", "--name", "bench")

        async def load() -> None:
            async with loader(hub) as client:
                await enrol(hub, client, [gateway])
                await send_all(client, gateway)

        with httpx.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"authorization": f"Bearer {token}"}) as client:
            with hub.no_compaction():
                asyncio.run(load())
                tag = client.get("/v1/tags").json()[7]["id"]
                before = {"before compaction": ask(client, tag, rows, None), "before, 800 points": ask(client, tag, rows, 800)}
                plain = answer(client, tag, rows)
            _, _, hub_s, database_s = measure(hub, lambda: compacted(hub))
            after = {"after compaction": ask(client, tag, rows, None), "after, 800 points": ask(client, tag, rows, 800)}
            assert answer(client, tag, rows) == plain, "compaction changed the answer"
    return {
        "queries": before | after,
        "query of a day ms": after["after compaction"]["median"],
        "compaction: samples/s per core": gateway.samples / (hub_s + database_s),
        "compaction: CPU s": hub_s + database_s,
    }


def compacted(hub: Hub) -> None:
    until = time.monotonic() + 120
    while hub.uncompacted():
        if time.monotonic() > until:
            raise SystemExit("compaction did not end within two minutes")
        time.sleep(0.25)


def answer(client: httpx.Client, tag: int, rows: int, points: int | None = None) -> bytes:
    window = {"from_us": START_US, "to_us": START_US + rows * S} | ({"points": points} if points else {})
    return client.get(f"/v1/tags/{tag}/samples", params=window).raise_for_status().content


def ask(client: httpx.Client, tag: int, rows: int, points: int | None) -> dict[str, float]:
    """Milliseconds of ten answers, received whole."""
    taken = []
    for _ in range(10):
        began = time.monotonic()
        body = answer(client, tag, rows, points)
        taken.append((time.monotonic() - began) * 1000)
    assert json.loads(body)["samples"] == rows
    return {"min": min(taken), "median": statistics.median(taken), "max": max(taken)}


def plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hub", description="The hub under load through HTTP.")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--batches", type=int, default=4096, help="of the throughput part, 10,000 samples each (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="of the latency part (default %(default)s)")
    parser.add_argument("--only", choices=("throughput", "latency", "day"), help="one part alone")
    options = parser.parse_args(argv)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "throughput": lambda: throughput(options.batches),
        "latency": lambda: latency(options.seconds),
        "day": day,
    }
    result: dict[str, Any] = {name: run() for name, run in parts.items() if options.only in (None, name)}
    for name, figures in result.items():
        report.table(
            name, ("what", "found", "goal"), [(what, plain(value), _goal(what)) for what, value in figures.items() if what != "queries"]
        )
    if "day" in result:
        queries = result["day"]["queries"]
        report.table(
            "query of 86,400 samples, ms",
            ("", "min", "median", "max"),
            [(name, *map(plain, row.values())) for name, row in queries.items()],
        )
    report.write(options.json, {"goals": GOALS, **result})
    return 0


def _goal(what: str) -> str:
    return f"{'>=' if what.endswith('core') else '<='} {plain(GOALS[what])}" if what in GOALS else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
