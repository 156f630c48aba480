"""Whatever happens to the buffer file, the agent's own start works, soon, and every sample is delivered unaltered or lies in a declared gap."""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.buffer import LIVE
from edge.config import BufferConfig, Policies
from edge.forwarder import Forwarder
from edge.intake import Intake
from protocols.batch import statement
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.frame import Block, Frame
from protocols.signing import Ed25519Signer, Ed25519Verifier
from tests.edge.hub_simulator import HubSimulator
from tests.fakes import FakeClock

GATEWAY = "urn:qz:gw:rig1"
TAGS = tuple(Tag(f"t{index}", str(index), TagType.FLOAT64) for index in range(20))
TABLE = TagTable.build(GATEWAY, [Device("d", DeviceMap("m", "x", (), "modbus", None, TAGS), "a:1")])
CONFIG = BufferConfig(max_bytes=50_000_000, policies=Policies(), commit_every_us=1000, seal_every_us=1_000_000)
START_S = 5.0
Damage = Callable[[Path, random.Random], None]


def scribble(path: Path, dice: random.Random) -> None:
    with path.open("r+b") as file:
        for _ in range(dice.randint(1, 6)):
            file.seek(dice.randrange(path.stat().st_size))
            file.write(dice.randbytes(dice.choice((1, 16, 512, 4096))))


def flip_bits(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 20)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def zero_pages(path: Path, dice: random.Random) -> None:
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for _ in range(dice.randint(1, 3)):
            file.seek(4096 * dice.randrange(pages))
            file.write(bytes(4096))


def swap_pages(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    first, second = (4096 * dice.randrange(len(data) // 4096) for _ in range(2))
    data[first : first + 4096], data[second : second + 4096] = data[second : second + 4096], data[first : first + 4096]
    path.write_bytes(data)


def truncate(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


DAMAGES: tuple[Damage, ...] = (scribble, flip_bits, zero_pages, swap_pages, truncate)


class Site:
    """A gateway whose file holds receipted, sealed and open samples, and its hub."""

    def __init__(self, folder: Path, config: BufferConfig = CONFIG) -> None:
        self.config = config
        self.path, self.clock, self.signer = folder / "buffer.db", FakeClock(), Ed25519Signer.generate()
        self.hub = HubSimulator(Ed25519Verifier(self.signer.public))
        self.kept: set[tuple[int, float]] = set()
        self.noise = np.random.default_rng(1)

    def frame(self) -> Frame:
        self.clock.advance(100_000)
        now_us = self.clock.now_us()
        values = self.noise.normal(size=(1, len(TAGS)))
        self.kept.update((now_us, value) for value in values[0].tolist())
        return Frame("d", now_us, [Block(np.arange(len(TAGS), dtype=np.uint32), np.array([now_us], np.int64), values)])

    async def started(self) -> tuple[Intake, Forwarder]:
        intake = Intake(self.path, self.config, GATEWAY, TABLE, self.signer, self.clock)
        await intake.open()
        await intake.call(intake.buffer.last_blocks)
        return intake, Forwarder(intake, "http://hub.test", self.hub.enrolment, self.clock, self.hub.client())

    async def live(self, intake: Intake, batches: int) -> None:
        for _ in range(batches):
            await intake.call(intake.buffer.append, [self.frame() for _ in range(8)])
            await intake.call(intake.buffer.seal, GATEWAY, self.signer, LIVE, self.clock.now_us())

    async def fill_and_die(self) -> None:
        intake, forwarder = await self.started()
        await self.live(intake, 15)
        await forwarder.send_once()
        await intake.call(intake.buffer.evict, self.clock.now_us())
        await self.live(intake, 15)
        await intake.call(intake.buffer.append, [self.frame() for _ in range(5)])
        await intake.call(intake.buffer.abandon)
        intake._thread.stop()
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    async def live_on(self) -> None:
        """A new agent collects beside its forwarder, as the supervisor lets it, until nothing waits."""
        self.clock.advance(3_000_000)
        intake, forwarder = await self.started()
        run = asyncio.create_task(intake.run())
        send = asyncio.create_task(forwarder.run())
        for _ in range(5):
            intake.append(self.frame())
        async with asyncio.timeout(20):
            while not forwarder.state.receipts_verified or await self._waiting(intake):
                if send.done():  # what the agent's supervisor does
                    assert isinstance(send.exception(), sqlite3.DatabaseError)
                    send = asyncio.create_task(forwarder.run())
                await asyncio.sleep(0.005)
        for task in (run, send):
            task.cancel()
        await asyncio.gather(run, send, return_exceptions=True)
        await intake.close()

    async def _waiting(self, intake: Intake) -> bool:
        backlog = await intake.backlog()
        if backlog.sealed_batches + backlog.open_samples:
            return True
        gaps = await intake.call(lambda: intake.buffer._db.execute("SELECT count(*) FROM gap").fetchone()[0])
        if gaps:  # they ride on the next batch
            self.clock.advance(CONFIG.seal_every_us)
            intake.append(self.frame())
        return bool(gaps)

    def verdict(self) -> tuple[int, int, int]:
        """Samples lost without a declared gap, doubled, and wrong."""
        payloads = [statement.parse(data).open() for data in self.hub.stored.values()]
        found = [
            (int(time_us), float(value))
            for payload in payloads
            for group in payload.groups
            for row, time_us in enumerate(group.times_us)
            for value in group.values[row]
        ]
        spans = [(gap.start, gap.end) for payload in payloads for gap in payload.gaps if gap.start > 1_000_000_000]
        lost = [time_us for time_us, _ in self.kept - set(found) if not any(start <= time_us <= end for start, end in spans)]
        return len(lost), len(found) - len(set(found)), len(set(found) - self.kept)


async def suffer(folder: Path, damage: Damage, seed: int, config: BufferConfig = CONFIG) -> None:
    site = Site(folder, config)
    await site.fill_and_die()
    damage(site.path, random.Random(seed))
    start = time.monotonic()
    intake, _ = await site.started()
    assert time.monotonic() - start < START_S
    await intake.call(intake.buffer.abandon)
    intake._thread.stop()
    await site.live_on()
    assert site.verdict() == (0, 0, 0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_file_loses_nothing_undeclared_and_alters_nothing(tmp_path: Path, damage: Damage, seed: int) -> None:
    await suffer(tmp_path, damage, seed)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_file_that_is_encrypted_loses_nothing_undeclared(tmp_path: Path, damage: Damage) -> None:
    key = tmp_path / "buffer.key"
    key.write_text(random.Random(7).randbytes(32).hex())
    await suffer(tmp_path, damage, 3, replace(CONFIG, key=key))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_hundred_damaged_files_lose_nothing_undeclared(tmp_path: Path, damage: Damage, seed: int) -> None:
    await suffer(tmp_path, damage, seed)
