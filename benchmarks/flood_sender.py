"""The flooder of `benchmarks.flood`, in a process of its own: sends one kind of flood from an address of its own, as fast as it can.

`python -m benchmarks.flood_sender KIND URL FOLDER SECONDS`: FOLDER holds `valid` (requests of whole, signed batches, each after eight bytes of
length) and `forged` (one batch under another gateway's key id, whose signature does not hold). Counts of answers go to standard output as JSON.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

ADDRESS: Final = "127.0.2.1"
AT_ONCE: Final = 16
SLOW_LINKS: Final = 300
OVERSIZE: Final = 33 << 20
HEADERS: Final = {"content-type": "application/cbor-seq"}


def requests(file: Path) -> list[bytes]:
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "big")
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def client(url: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=ADDRESS, limits=httpx.Limits(max_connections=AT_ONCE))
    return httpx.AsyncClient(base_url=url, transport=transport, timeout=60, trust_env=False)


async def send(link: httpx.AsyncClient, bodies: Iterator[bytes | AsyncIterator[bytes]], until: float, found: Counter[str]) -> None:
    while time.monotonic() < until:
        try:
            reply = await link.post("/v1/batches", content=next(bodies), headers=HEADERS)
        except httpx.TransportError:  # the hub does not read what it has refused
            found["cut off"] += 1
            continue
        found[str(reply.status_code)] += 1
        if reply.status_code == 429 and int(reply.headers["retry-after"]) < 1:
            found["429 without Retry-After"] += 1


async def hang(host: str, port: int, until: float, found: Counter[str]) -> None:
    """Half a body, then nothing; again as soon as the hub ends it."""
    head = b"POST /v1/batches HTTP/1.1\r\nHost: hub\r\nContent-Type: application/cbor-seq\r\nContent-Length: 100000\r\n\r\n"
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection(host, port, local_addr=(ADDRESS, 0))
        except OSError:
            found["cut off"] += 1
            await asyncio.sleep(0.1)
            continue
        writer.write(head + bytes(50_000))
        found["opened"] += 1
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + max(0.0, until - time.monotonic())):
                found[(await reader.readline()).decode().split()[1]] += 1
        except (TimeoutError, IndexError, OSError):
            found["held to the end"] += 1
        writer.close()


async def endless() -> AsyncIterator[bytes]:
    for _ in range(OVERSIZE >> 20):
        yield bytes(1 << 20)


async def settle(link: httpx.AsyncClient, bodies: list[bytes]) -> int:
    """What a gateway does: come again as told, until everything is stored. Requests that had to."""
    again = 0
    for body in bodies:
        while (reply := await link.post("/v1/batches", content=body, headers=HEADERS)).status_code == 429:
            again += 1
            await asyncio.sleep(float(reply.headers["retry-after"]))
        reply.raise_for_status()
    return again


async def flood(kind: str, url: str, folder: Path, seconds: float) -> Counter[str]:
    found, until = Counter[str](), time.monotonic() + seconds
    where = urlsplit(url)
    if kind == "slow":
        assert where.hostname
        assert where.port
        await asyncio.gather(*(hang(where.hostname, where.port, until, found) for _ in range(SLOW_LINKS)))
        return found
    valid = requests(folder / "valid") if kind == "valid" else []
    forged = (folder / "forged").read_bytes()
    bodies: dict[str, Iterator[bytes | AsyncIterator[bytes]]] = {
        "valid": itertools.cycle(valid),
        "garbage": itertools.cycle([forged * 64, os.urandom(1 << 20), forged]),
        "oversize": (bytes(OVERSIZE) if at % 2 else endless() for at in itertools.count()),
    }
    async with client(url) as link:
        await asyncio.gather(*(send(link, bodies[kind], until, found) for _ in range(AT_ONCE)))
        if kind == "valid":
            found["sent again when told"] = await settle(link, valid)
    return found


if __name__ == "__main__":
    kind_, url_, folder_, seconds_ = sys.argv[1:]
    print(json.dumps(asyncio.run(flood(kind_, url_, Path(folder_), float(seconds_)))))
