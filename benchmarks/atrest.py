"""What encryption at rest costs the buffer: append, seal and read back, plain and with AES-256-GCM, on the same frames.

1,000 tags in polls of 125 tags at 10 Hz, ten polls of each group to a commit, one batch a second. CPU is process time of this process, best of
several rounds; the file stands in a temporary folder, so the disk's own time is not in it. The last rows are the cipher alone.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import report
from edge.buffer import LIVE, Buffer
from edge.bufferkey import OVERHEAD, Vault, open_row
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.frame import Block, Frame
from protocols.signing import Ed25519Signer

GATEWAY: Final = "urn:qz:gw:bench"
TAGS: Final = 1000
TAGS_OF_A_POLL: Final = 125
POLLS: Final = 10
SECONDS: Final = 30
START_US: Final = 1_717_200_000_000_000
SIGNER: Final = Ed25519Signer.from_seed(b"a key of the at-rest benchmark .")
TABLE: Final = TagTable.build(
    GATEWAY, [Device("d", DeviceMap("m", "x", (), "modbus", None, tuple(Tag(f"t{n}", str(n), TagType.INT32) for n in range(TAGS))), "a:1")]
)


def seconds_of_frames() -> list[list[Frame]]:
    """The frames of each second."""
    dice = np.random.default_rng(1)
    groups = [np.arange(first, first + TAGS_OF_A_POLL, dtype=np.uint32) for first in range(0, TAGS, TAGS_OF_A_POLL)]
    levels = [dice.integers(1_600, 14_700, TAGS_OF_A_POLL) for _ in groups]
    found = []
    for second in range(SECONDS):
        frames = []
        for poll in range(POLLS):
            now_us = START_US + second * 1_000_000 + poll * 100_000
            for tags, level in zip(groups, levels, strict=True):
                values = (level + dice.normal(0, 8, TAGS_OF_A_POLL)).astype(np.int32).reshape(1, -1)
                frames.append(Frame("d", now_us, [Block(tags, np.array([now_us], np.int64), values)]))
        found.append(frames)
    return found


def cpu_us(work: Callable[[], object], samples: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6 / samples


def round_of(folder: Path, key: bytes | None, frames: Sequence[Sequence[Frame]]) -> tuple[float, float, float]:
    """CPU us per sample: append with seal, read back, and bytes of the file per sample."""
    path = folder / f"buffer-{'key' if key else 'plain'}.db"
    for old in folder.glob(f"{path.name}*"):
        old.unlink()
    buffer = Buffer.open(path, START_US, max_bytes=1 << 40, vault=Vault(key))
    buffer.use_table(TABLE, SIGNER, GATEWAY)
    samples = sum(frame.samples for second in frames for frame in second)

    def keep() -> None:
        for second in frames:
            buffer.append(second)
            buffer.seal(GATEWAY, SIGNER, LIVE, second[-1].gateway_us)

    kept = cpu_us(keep, samples)
    read = cpu_us(lambda: buffer.waiting(LIVE, max_batches=10_000, max_bytes=1 << 40), samples)
    buffer.close(START_US)
    return kept, read, path.stat().st_size / samples


def cipher_us(size: int) -> float:
    """CPU us to close and open one row of that size."""
    vault, plain, times = Vault(os.urandom(32)), bytes(size), 2_000

    def both() -> None:
        for number in range(times):
            identity = open_row(number, 1, 1, START_US, 1)
            vault.open(identity, vault.close(identity, plain))

    return cpu_us(both, times)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.atrest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    frames = seconds_of_frames()
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-atrest-"))
    try:
        key = os.urandom(32)
        measured = {
            name: [round_of(folder, one, frames) for _ in range(arguments.rounds)] for name, one in (("plain", None), ("encrypted", key))
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    best = {name: tuple(min(column) for column in zip(*rounds, strict=True)) for name, rounds in measured.items()}
    rows = [(name, f"{kept:.3f}", f"{read:.4f}", f"{size:.2f}") for name, (kept, read, size) in best.items()]
    ratio = tuple(f"{after / before:.2f}" for before, after in zip(best["plain"], best["encrypted"], strict=True))
    report.table("Per sample", ("buffer", "append and seal us", "read back us", "file B"), [*rows, ("ratio", *ratio)])
    alone = [(size, f"{cipher_us(size):.1f}", OVERHEAD) for size in (500, 5_000, 50_000, 500_000)]
    report.table("The cipher alone", ("row B", "close and open us", "added B"), alone)
    report.write(arguments.json, {"per_sample": best, "cipher": alone})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
