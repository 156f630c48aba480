"""One gateway floods the hub; what the others notice of it.

Ten gateways send live batches, each batch at its moment (open loop), and count the time to its receipt: first alone, then beside a flooder that
sends from an address of its own as fast as 16 connections can: valid batches, 64 in a request; garbage under the key id of one of the ten;
bodies above the limit, declared and not; 300 connections that stop in the middle of a body. Alone is measured before, between and after, once it is warm.
At the end the hub must hold every batch of the ten and of the flooder exactly once.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import psycopg

from benchmarks import report
from benchmarks.hub import START_US, Gateway, Hub, S, enrol, running_hub
from protocols.batch import cbor

KINDS: Final = ("valid", "garbage", "oversize", "slow")
QUIET: Final = "alone"
GATEWAYS: Final = 10
PER_SECOND: Final = 4  # batches of each gateway
FLOOD_REQUESTS: Final = 100
GOAL: Final = 2.0
HEADERS: Final = {"content-type": "application/cbor-seq"}


@dataclass(slots=True)
class Phase:
    kind: str
    receipts_s: list[float] = field(default_factory=list)
    pushed_back: int = 0  # answers 429 to the ten
    flooder: dict[str, int] = field(default_factory=dict)


async def one(client: httpx.AsyncClient, data: bytes, due: float, phase: Phase) -> None:
    await asyncio.sleep(due - time.monotonic())
    while True:
        reply = await client.post("/v1/batches", content=data, headers=HEADERS)
        if reply.status_code == 429:
            phase.pushed_back += 1
            await asyncio.sleep(float(reply.headers["retry-after"]))
        elif all(cbor.decode_strict(reply.raise_for_status().content)[3]):
            break
    phase.receipts_s.append(time.monotonic() - due)


async def play(clients: Sequence[httpx.AsyncClient], gateways: Sequence[Gateway], number: int, seconds: int, phase: Phase) -> None:
    begin, each = time.monotonic() + 0.2, seconds * PER_SECOND
    works = [
        one(client, gateway.batches[number * each + at], begin + (at + place / GATEWAYS) / PER_SECOND, phase)
        for place, (client, gateway) in enumerate(zip(clients, gateways, strict=True))
        for at in range(each)
    ]
    await asyncio.gather(*works)


async def phases(hub: Hub, gateways: Sequence[Gateway], folder: Path, seconds: int, kinds: Sequence[str]) -> list[Phase]:
    order = [QUIET, QUIET] + [kind for one in kinds for kind in (one, QUIET)]
    found = []
    clients = [
        httpx.AsyncClient(
            base_url=hub.url, timeout=60, trust_env=False, transport=httpx.AsyncHTTPTransport(local_address=f"127.0.1.{at + 1}")
        )
        for at in range(len(gateways))
    ]
    for number, kind in enumerate(order):
        phase = Phase(kind)
        command = [sys.executable, "-m", "benchmarks.flood_sender", kind, hub.url, str(folder), str(seconds + 1.0)]
        flooder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if kind != QUIET else None  # noqa: ASYNC220
        if flooder:
            await asyncio.sleep(1.0)
        await play(clients, gateways, number, seconds, phase)
        if flooder:
            phase.flooder = json.loads((await asyncio.to_thread(flooder.communicate))[0])
        found.append(phase)
        print(f"  {kind}: {len(phase.receipts_s)} receipts, flooder {phase.flooder}", file=sys.stderr, flush=True)
    for client in clients:
        await client.aclose()
    return found[1:]  # the first warms the hub up


def write_floods(folder: Path, flooder: Gateway, victim: Gateway) -> None:
    with (folder / "valid").open("wb") as file:
        for at in range(0, len(flooder.batches), 64):
            body = b"".join(flooder.batches[at : at + 64])
            file.write(len(body).to_bytes(8, "big") + body)
    forged = bytearray(victim.batches[-1])
    forged[-1] ^= 1
    (folder / "forged").write_bytes(forged)


def stored(hub: Hub, gateways: Sequence[Gateway]) -> tuple[int, int]:
    """(lost, doubled) batches of all of them."""
    with psycopg.connect(hub.database_url) as connection:
        rows = connection.execute(
            "SELECT name, count(*), count(DISTINCT entry) FROM batch JOIN gateway USING (tenant_id, gateway_id) GROUP BY name"
        ).fetchall()
    counts = {name: (rows, entries) for name, rows, entries in rows}
    lost = sum(len(one.batches) - counts.get(one.name, (0, 0))[1] for one in gateways)
    return lost, sum(rows - entries for rows, entries in counts.values())


def run(seconds: int, kinds: Sequence[str]) -> dict[str, Any]:
    gateways = [Gateway(f"rig{at}", 100) for at in range(GATEWAYS)]
    for gateway in gateways:
        gateway.make(seconds * PER_SECOND * (2 * len(kinds) + 2), 1, START_US, S // PER_SECOND)
    flooder = Gateway("flooder", 1000)
    flooder.make(64 * FLOOD_REQUESTS, 1)
    with tempfile.TemporaryDirectory(prefix="qz-flood-") as folder, running_hub() as hub:
        write_floods(Path(folder), flooder, gateways[0])

        async def all_of_it() -> list[Phase]:
            async with httpx.AsyncClient(base_url=hub.url, timeout=60, trust_env=False) as client:
                await enrol(hub, client, [*gateways, flooder])
            return await phases(hub, gateways, Path(folder), seconds, kinds)

        found = asyncio.run(all_of_it())
        lost, doubled = stored(hub, [*gateways, flooder])
    return {"lost": lost, "doubled": doubled, "phases": summed(found)}


def summed(found: Sequence[Phase]) -> list[dict[str, Any]]:
    """Each flood beside the quiet phase before it: the one after it may still bear its consequences."""
    rows = []
    for number, phase in enumerate(found):
        if phase.kind == QUIET:
            continue
        p50, p99 = (float(value) for value in np.percentile(phase.receipts_s, (50, 99)))
        alone = float(np.percentile(found[number - 1].receipts_s, 99))
        rows.append(
            {
                "flood": phase.kind,
                "p50 s": p50,
                "p99 s": p99,
                "p99 alone s": alone,
                "ratio": p99 / alone,
                "429 to others": phase.pushed_back,
                "flooder": phase.flooder,
            }
        )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, default=10, help="of each of the ten phases (default %(default)s)")
    parser.add_argument("--only", choices=KINDS, help="one kind of flood alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    found = run(options.seconds, (options.only,) if options.only else KINDS)
    header = ("flood", "p50 s", "p99 s", "p99 alone s", "ratio", "429 to others", "answers to the flooder")
    rows = [
        (*(f"{row[key]:.3f}" if isinstance(row[key], float) else row[key] for key in header[:-1]),
         ", ".join(f"{name}: {count}" for name, count in sorted(row["flooder"].items())))
        for row in found["phases"]
    ]  # fmt: skip
    report.table(f"receipts of {GATEWAYS} gateways, {GATEWAYS * PER_SECOND} batches/s, beside one that floods", header, rows)
    print(f"batches lost {found['lost']}, doubled {found['doubled']}")
    report.write(options.json, {"goal": GOAL, **found})
    good = found["lost"] == found["doubled"] == 0 and all(row["ratio"] <= GOAL and not row["429 to others"] for row in found["phases"])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
