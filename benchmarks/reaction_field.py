"""The field of benchmarks.reaction: the wells of an asset model on signing gateways, polled every second, each poll a batch 200 ms later.

Each well has its own moment within the second, as far from the others as can be, so that the hub never gets two polls at once. Wells step
away from their normal level and come back, one after the other or all at once: it takes them some polls either way until health stands
still again. Not a simulation of wells: normal noise, and a step of many deviations of the class.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np

from benchmarks.hub import Gateway, post
from cloud.assets.model import Asset, Model
from protocols.batch import statement
from protocols.batch.columns import Group
from protocols.batch.statement import Header, Payload
from protocols.devicemap import TagTable

S: Final = 1_000_000
POLL_US: Final = S
GATHER_US: Final = 200_000  # from the poll to its batch: the longest that seal_every = "200ms" lets it wait
HISTORY: Final = 60  # polls that a baseline is learned from before the run begins
AWAY_US: Final = 4 * S
TURN_US: Final = 12 * S  # from one step away to the next, of the next well or of all again
STEP: Final = 20.0  # deviations of the class
NOISE: Final = 0.3
NORMAL: Final = 300.0  # level of every tag, in deviations


@dataclass(slots=True)
class Well:
    """scale: engineering units of one count, a hundredth of the role's deviation; counts are sent. phase_us: within the second."""

    device: str
    ids: np.ndarray[tuple[int], np.dtype[np.uint32]]
    phase_us: int
    turn: int
    rng: np.random.Generator

    def counts(self, times_us: Sequence[int], run: "Run") -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
        away = np.array([run.away(at, self.turn) for at in times_us], dtype=np.float64)
        level = NORMAL + STEP * away[:, None] + NOISE * self.rng.standard_normal((len(times_us), self.ids.size))
        return np.rint(100 * level).astype(np.int32)


@dataclass(slots=True)
class Run:
    """What the wells do now. since_us: when they begin to step away; wells: how many take turns, 1: all at once, 0: none does."""

    since_us: int = 0
    wells: int = 0
    over: bool = False

    def away(self, at_us: int, turn: int) -> bool:
        if not self.wells or at_us < self.since_us:
            return False
        turns, into_us = divmod(at_us - self.since_us, TURN_US)
        return turns % self.wells == turn % self.wells and into_us < AWAY_US


@dataclass(frozen=True, slots=True)
class Sent:
    """One batch: time of its oldest sample, and when it was sent and its receipt came (us of this machine's clock)."""

    oldest_us: int
    sent_us: int
    receipt_us: int


@dataclass(slots=True)
class Rig:
    """A gateway with its wells and its chain of batches."""

    gateway: Gateway
    wells: tuple[Well, ...]
    seq: int = 0
    head: bytes = statement.START
    sent: list[Sent] = field(default_factory=list)

    def seal(self, polls: Sequence[tuple[int, Well]], run: Run) -> bytes:
        groups = []
        for well in self.wells:
            times = [at for at, polled in polls if polled is well]
            if times:
                groups.append(Group(well.ids, np.array(times, np.int64), well.counts(times, run)))
        self.seq += 1
        header = Header(f"urn:qz:gw:{self.gateway.name}", "live", 1, self.seq, self.head)
        data = statement.seal(header, Payload(self.gateway.table.digest, tuple(groups)), self.gateway.signer)
        self.head = statement.entry_hash(data)
        return data


def now_us() -> int:
    return time.time_ns() // 1000


def rigs(model: Model) -> tuple[Rig, ...]:
    """A gateway for every first part of a tag's name, a well for every asset."""
    count = len(model.assets)
    names = sorted({binding.tag.partition("/")[0] for asset in model.assets for binding in asset.tags})
    found = []
    for name in names:
        own = [(turn, asset) for turn, asset in enumerate(model.assets) if asset.tags[0].tag.startswith(f"{name}/")]
        table = _table(model, name, [asset for _, asset in own])
        wells = []
        for turn, asset in own:
            device = asset.tags[0].tag.partition("/")[2].partition(".")[0]
            ids = np.array([entry.id for entry in table.entries if entry.device == device], np.uint32)
            wells.append(Well(device, ids, turn * POLL_US // count, turn, np.random.default_rng(turn)))
        gateway = Gateway(name, 0)
        gateway.table = table
        found.append(Rig(gateway, tuple(wells)))
    return tuple(found)


def _table(model: Model, gateway: str, assets: Sequence[Asset]) -> TagTable:
    rows: list[dict[str, object]] = []
    for asset in assets:
        roles = {role.name: role for kind in model.classes if kind.name == asset.class_name for role in kind.roles}
        for binding in asset.tags:
            device, _, tag = binding.tag.partition("/")[2].partition(".")
            role = roles[binding.role]
            rows.append(
                {
                    "id": len(rows), "device": device, "tag": tag, "at": f"holding:{2 * len(rows)}", "type": "int32", "unit": role.unit,
                    "scale": f"{role.deviation / 100:.10f}", "offset": "0", "asset": asset.name, "protocol": "modbus", "range": None,
                }
            )  # fmt: skip
    return TagTable.parse(json.dumps({"gateway": gateway, "tags": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


async def history(client: httpx.AsyncClient, rig: Rig, begin_us: int) -> None:
    """The polls before `begin_us`, in one batch."""
    polls = [(begin_us - (HISTORY - at) * POLL_US + well.phase_us, well) for well in rig.wells for at in range(HISTORY)]
    await post(client, [rig.seal(polls, Run())])


async def live(client: httpx.AsyncClient, rig: Rig, begin_us: int, run: Run) -> None:
    """Poll, gather, sign, send and wait for the receipt, one request under way; what became due meanwhile goes into the next batch."""
    due = sorted((begin_us + well.phase_us, at) for at, well in enumerate(rig.wells))
    while not run.over:
        await asyncio.sleep(max(0, due[0][0] + GATHER_US - now_us()) / S)
        polls, limit = [], now_us() - GATHER_US
        while due[0][0] <= limit or not polls:
            at_us, at = due.pop(0)
            polls.append((at_us, rig.wells[at]))
            due = sorted([*due, (at_us + POLL_US, at)])
        data, sent_us = rig.seal(polls, run), now_us()
        await post(client, [data])
        rig.sent.append(Sent(polls[0][0], sent_us, now_us()))
