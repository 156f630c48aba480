"""The backlog of `benchmarks.drain`: an old outage written into a real buffer, and the hub's copy of it judged batch by batch.

Not for running the drain: see `benchmarks.drain`.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg

from edge import config, enrolment
from edge.buffer import BACKFILL, Buffer
from protocols.batch import statement
from protocols.frame import Block, Frame

S: Final = 1_000_000
COUNTS: Final = 1 << 14
NOISE_ROWS: Final = 997  # a prime: rows repeat with another wave under them, so no two seconds are equal
Digests = dict[int, bytes]


@dataclass(slots=True)
class Backlog:
    """What was written. digests: SHA-256 of the samples of a batch by the time of its first; times are those of polls, one a second."""

    samples: int = 0
    bytes: int = 0
    batches: int = 0
    last_id: int = 0
    digests: Digests = field(default_factory=dict)


def polls(tags: int) -> Iterator[np.ndarray[Any, np.dtype[np.int32]]]:
    """One row of 14-bit counts per second: a level and a slow wave per tag, noise of 0.05 % of the range."""
    dice = np.random.default_rng(1)
    level, phase = dice.uniform(0.2, 0.8, tags), dice.uniform(0, 2 * np.pi, tags)
    noise = dice.normal(0, 0.0005, (NOISE_ROWS, tags))
    second = 0
    while True:
        wave = 0.1 * np.sin(phase + second * (2 * np.pi / 3600))
        yield np.rint((level + wave + noise[second % NOISE_ROWS]) * (COUNTS - 1)).astype(np.int32)
        second += 1


def digest(times_us: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> bytes:
    return hashlib.sha256(times_us.astype("<i8").tobytes() + np.ascontiguousarray(values, "<i4").tobytes()).digest()


def write(file: Path, seconds: int, per_batch: int, until_us: int) -> Backlog:
    """Append and seal as an agent does that has been cut off: one poll a second, a batch every `per_batch` polls."""
    gateway = config.load(file)
    signer = enrolment.load_or_make_key(gateway.data)
    buffer = Buffer.open(gateway.data / "buffer.db", until_us, max_bytes=gateway.buffer.max_bytes)
    buffer.use_table(gateway.table, signer, gateway.urn)
    tags = np.array([entry.id for entry in gateway.table.entries], np.uint32)
    rows, found, first_us = polls(len(tags)), Backlog(), until_us - seconds * S
    before = buffer.backlog().total_bytes
    for start in range(0, seconds, per_batch):
        times = first_us + S * np.arange(start, min(start + per_batch, seconds), dtype=np.int64)
        values = np.stack([next(rows) for _ in times])
        frames = [Frame("d0", int(at), (Block(tags, times[i : i + 1], values[i : i + 1]),)) for i, at in enumerate(times)]
        buffer.append(frames)
        found.batches += buffer.seal(gateway.urn, signer, BACKFILL, int(times[-1]))[0]
        found.samples += values.size
        found.digests[int(times[0])] = digest(times, values)
    found.bytes = buffer.backlog().total_bytes - before
    buffer.close(until_us)
    with contextlib.closing(sqlite3.connect(gateway.data / "buffer.db")) as connection:
        found.last_id = connection.execute("SELECT max(id) FROM batch").fetchone()[0]
    return found


@dataclass(slots=True)
class Verdict:
    """Against the truth: of the backlog batch by batch, of the live stream by the agent's receipts."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    live: int = 0


def judge(database_url: str, truth: Backlog, proven: int, kept: int) -> Verdict:
    """proven, kept: live samples for which the agent holds a receipt, and that it has kept at all."""
    verdict, left, seen = Verdict(), dict(truth.digests), set[tuple[int, int]]()
    with psycopg.connect(database_url) as connection, connection.cursor("batches", binary=True) as cursor:
        cursor.itersize = 500
        for (signed,) in cursor.execute("SELECT statement FROM batch"):
            for group in statement.parse(bytes(signed)).open().groups:
                first = int(group.times_us.min())
                if first not in truth.digests:
                    times = {(int(group.tags[0]), moment) for moment in group.times_us.tolist()}
                    verdict.doubled += len(times & seen) * group.tags.size
                    seen |= times
                    verdict.live += group.samples
                elif left.pop(first, None) is None:
                    verdict.doubled += group.samples
                else:
                    verdict.wrong += group.samples * (digest(group.times_us, group.values) != truth.digests[first])
    per_batch = truth.samples / max(1, len(truth.digests))
    verdict.lost = round(len(left) * per_batch) + max(0, proven - verdict.live)
    verdict.doubled += max(0, verdict.live - kept)
    return verdict
