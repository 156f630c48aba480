"""Bytes and CPU per sample of a batch: gathered, encoded, compressed and signed on the edge; verified, unpacked and decoded in the hub.

The floor, measured in the same run on the same values, is what most gateways send: a JSON row {n, t, v} per sample, zstd level 3,
not signed. 1,000 tags at 1 Hz in polls of 125 tags; noise of 0.05 % of the range unless said. CPU is process time, best of several.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from benchmarks import report
from protocols.batch import statement
from protocols.batch.columns import gather
from protocols.batch.statement import Header, Payload
from protocols.frame import Block
from protocols.signing import Ed25519Signer

TAGS: Final = 1000
TAGS_OF_A_POLL: Final = 125
START_US: Final = 1_717_200_000_000_000
GOALS: Final = {
    "bytes of 14 bit counts, n=10": 1.25,
    "bytes of mixed floats, n=10": 2.0,
    "edge ms per 10,000 counts": 0.5,
    "hub us per sample": 0.1,
}
SIGNER: Final = Ed25519Signer.from_seed(b"a key of the codec benchmark ...")
HEADER: Final = Header("urn:qz:gw:bench", "live", 1, 1, statement.START)


@dataclass(frozen=True, slots=True)
class Family:
    """What 1,000 tags give: each part holds values of one type, shape (rows, tags); the tags of all parts make 1,000."""

    name: str
    rows: int
    parts: tuple[NDArray[Any], ...]

    @property
    def samples(self) -> int:
        return self.rows * TAGS


def noisy(rng: np.random.Generator, rows: int, tags: int, spread: float) -> NDArray[np.float64]:
    """Levels between 10 and 90 % of the range 0..1, with white noise."""
    return np.clip(rng.uniform(0.1, 0.9, tags) + rng.normal(0, spread, (rows, tags)), 0, 1)


def counts(name: str, rows: int, bits: int, spread: float = 0.0005) -> Family:
    rng = np.random.default_rng(bits * 100 + rows)
    return Family(name, rows, (np.rint(noisy(rng, rows, TAGS, spread) * (2**bits - 1)).astype(np.int32),))


def decimal(rng: np.random.Generator, rows: int, tags: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.rint(noisy(rng, rows, tags, 0.0005) * 16383) / 10.0 ** rng.integers(1, 4, tags)
    return values


def binary(rng: np.random.Generator, rows: int, tags: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.rint(noisy(rng, rows, tags, 0.0005) * 16383) / 2.0 ** rng.integers(3, 9, tags)
    return values


def single(rng: np.random.Generator, rows: int, tags: int) -> NDArray[np.float32]:
    return (np.rint(noisy(rng, rows, tags, 0.0005) * 16383) * rng.uniform(0.001, 0.1, tags)).astype(np.float32)


def scaled(rng: np.random.Generator, rows: int, tags: int) -> NDArray[np.float64]:
    return np.rint(noisy(rng, rows, tags, 0.0005) * 16383) * rng.uniform(0.001, 0.1, tags) + rng.uniform(-40, 40, tags)


def families() -> tuple[Family, ...]:
    found = [counts(f"{bits} bit counts", rows, bits) for bits in (12, 14, 16) for rows in (10, 60)]
    found += [counts("16 bit counts, noise 0.2 %", rows, 16, 0.002) for rows in (10, 60)]
    rng = np.random.default_rng(7)
    for rows in (10, 60):
        for name, make in (
            ("float64 decimals", decimal),
            ("float64 k/2^m", binary),
            ("float32 scaled", single),
            ("float64 scaled at the edge", scaled),
        ):
            found.append(Family(name, rows, (make(rng, rows, TAGS),)))
        still = np.repeat(rng.uniform(0, 100, (1, 150)), rows, axis=0)
        mixed = (decimal(rng, rows, 300), single(rng, rows, 300), binary(rng, rows, 150), scaled(rng, rows, 100), still)
        found.append(Family("mixed floats", rows, mixed))
    return tuple(found)


def polls(family: Family) -> list[Block]:
    blocks: list[Block] = []
    for row in range(family.rows):
        first = 0
        for part in family.parts:
            for at in range(0, part.shape[1], TAGS_OF_A_POLL):
                values = part[row : row + 1, at : at + TAGS_OF_A_POLL]
                tags = np.arange(first + at, first + at + values.shape[1], dtype=np.uint32)
                blocks.append(Block(tags, np.array([START_US + row * 1_000_000]), values))
            first += part.shape[1]
    return blocks


def cpu_us(call: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time_ns()
        call()
        best = min(best, (time.process_time_ns() - begin) / 1000)
    return best


def ours(family: Family, repeats: int) -> tuple[float, float, float]:
    """Bytes, edge us and hub us per sample."""
    blocks = polls(family)
    verifier = SIGNER.verifier()

    def edge() -> bytes:
        return statement.seal(HEADER, Payload(bytes(32), gather(blocks)), SIGNER)

    def hub() -> Payload:
        parsed = statement.parse(sealed)
        parsed.verify(verifier)
        return parsed.open()

    sealed = edge()
    assert hub().samples == family.samples
    return len(sealed) / family.samples, cpu_us(edge, repeats) / family.samples, cpu_us(hub, repeats) / family.samples


def json_rows(family: Family, repeats: int) -> tuple[float, float, float]:
    names = [f"well{tag // 50}.tag{tag % 50}" for tag in range(TAGS)]
    columns = np.concatenate([part.astype(object) for part in family.parts], axis=1).tolist()
    compressor, decompressor = zstandard.ZstdCompressor(level=3), zstandard.ZstdDecompressor()

    def edge() -> bytes:
        rows = [{"n": n, "t": START_US + i * 1_000_000, "v": v} for i, row in enumerate(columns) for n, v in zip(names, row, strict=True)]
        return compressor.compress(json.dumps(rows, separators=(",", ":")).encode())

    def hub() -> object:
        return json.loads(decompressor.decompress(sent))

    sent = edge()
    return len(sent) / family.samples, cpu_us(edge, repeats) / family.samples, cpu_us(hub, repeats) / family.samples


def measure(family: Family) -> dict[str, Any]:
    size, edge, hub = ours(family, 30)
    floor_size, floor_edge, floor_hub = json_rows(family, 3)
    return {
        "family": family.name,
        "rows": family.rows,
        "bytes": round(size, 3),
        "edge_us": round(edge, 4),
        "hub_us": round(hub, 4),
        "json_bytes": round(floor_size, 3),
        "json_edge_us": round(floor_edge, 3),
        "json_hub_us": round(floor_hub, 3),
        "bytes_ratio": round(size / floor_size, 3),
        "edge_ratio": round(edge / floor_edge, 4),
        "hub_ratio": round(hub / floor_hub, 4),
    }


def goals(rows: Sequence[dict[str, Any]]) -> list[tuple[str, float, float, str]]:
    at = {(row["family"], row["rows"]): row for row in rows}
    reached = {
        "bytes of 14 bit counts, n=10": at["14 bit counts", 10]["bytes"],
        "bytes of mixed floats, n=10": at["mixed floats", 10]["bytes"],
        "edge ms per 10,000 counts": round(at["14 bit counts", 10]["edge_us"] * 10, 3),
        "hub us per sample": max(row["hub_us"] for row in rows),
    }
    return [(name, value, GOALS[name], "reached" if value <= GOALS[name] else "MISSED") for name, value in reached.items()]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codec", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    rows = [measure(family) for family in families()]
    header = ("1,000 tags", "n", "B", "edge us", "hub us", "JSON+zstd B", "edge us", "hub us", "B ratio", "edge ratio", "hub ratio")
    report.table("Per sample, signature included", header, [tuple(row.values()) for row in rows])
    verdicts = goals(rows)
    report.table("Goals", ("what", "measured", "goal", "verdict"), verdicts)
    report.write(
        arguments.json, {"codec": rows, "goals": [dict(zip(("what", "measured", "goal", "verdict"), v, strict=True)) for v in verdicts]}
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
