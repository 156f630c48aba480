"""The devices that are being read: which, by what task, and the change from one set of them to another while the agent runs.

Only devices that differ are stopped and started; the others are not even told. What a stopped device gave is committed under the tag table
it was read by before the next table is used. A change that fails on the way goes back to what ran before. Not for deciding what is wanted
(`edge/reload.py`), nor for reading (`edge/poller.py`).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.intake import Intake
from edge.poller import Poller, failure_frame
from edge.supervision import Supervisor
from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device, TagTable
from protocols.frame import Block, Frame

log = logging.getLogger("qenergyz.edge")
COMMIT_TIMEOUT_S: Final = 5.0


class ChangeFailed(Exception):
    """The devices run as they did before; the message says what stood in the way."""


@dataclass(frozen=True, slots=True)
class Change:
    """kept: as they run. A device that changed is both in `stopped` and in `started`."""

    kept: tuple[Device, ...]
    stopped: tuple[Device, ...]
    started: tuple[Device, ...]

    def __bool__(self) -> bool:
        return bool(self.stopped or self.started)


def compare(running: Sequence[Device], wanted: Sequence[Device]) -> Change:
    before, after = {device.name: device for device in running}, {device.name: device for device in wanted}
    kept = tuple(device for device in running if after.get(device.name) == device)
    return Change(
        kept,
        tuple(device for device in running if after.get(device.name) != device),
        tuple(device for device in wanted if before.get(device.name) != device),
    )


def _same_tags(one: Device, other: Device) -> bool:
    return (one.first_id, one.map.tags) == (other.first_id, other.map.tags)


class RunningDevices:
    """`start` the first ones, `change_to` others, `stop` all. poller: makes one for a device."""

    def __init__(self, intake: Intake, supervisor: Supervisor, poller: Callable[[Device], Poller], clock: Clock) -> None:
        self._intake, self._supervisor, self._poller, self._clock = intake, supervisor, poller, clock
        self._pollers: dict[str, tuple[Device, Poller]] = {}
        self._order: tuple[str, ...] = ()
        self._table: TagTable

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(self._pollers[name][0] for name in self._order)

    @property
    def pollers(self) -> tuple[Poller, ...]:
        return tuple(self._pollers[name][1] for name in self._order)

    def poller(self, device: str) -> Poller:
        return self._pollers[device][1]

    def start(self, devices: Sequence[Device], table: TagTable, kept: Sequence[Block]) -> None:
        """kept: newest samples of an earlier run, oldest first."""
        self._table = table
        made = [(device, self._poller(device)) for device in devices]
        for _, poller in made:
            poller.resume(kept)
        self._begin(made)
        self._order = tuple(device.name for device in devices)

    async def stop(self) -> None:
        await self._end(self.devices)

    async def change_to(self, wanted: Sequence[Device], table: TagTable) -> Change:
        """Raises ChangeFailed."""
        change = compare(self.devices, wanted)
        before, old_table = self._order, self._table
        try:
            made = [(device, self._poller(device)) for device in change.started]
            await self._commit()
        except Exception as error:  # nothing was touched yet
            raise ChangeFailed(_why(error)) from error
        try:
            await self._end(change.stopped)
            kept = await self._switch(change, table)
            for device, poller in made:
                poller.resume(kept.get(device.name, ()))
            self._begin(made)
            self._show(device.name for device in wanted)
        except Exception as error:  # whatever it was: what ran before must run again
            await self._go_back(change, before, old_table)
            raise ChangeFailed(f"{_why(error)}; the devices run as before") from error
        return change

    async def _switch(self, change: Change, table: TagTable) -> dict[str, list[Block]]:
        """Use the table. Returns the newest samples of the devices that start again with the same tags."""
        after = {device.name: device for device in change.started}
        again = [device for device in change.stopped if device.name in after and _same_tags(device, after[device.name])]
        now_us = self._clock.now_us()
        for device in change.stopped:
            if device not in again:  # silence is never mistaken for an unchanged value
                self._intake.append(failure_frame(device, now_us, quality.BAD_OUT_OF_SERVICE))
        await self._commit()
        kept = await self._intake.call(self._intake.buffer.last_blocks) if again else []
        await self._intake.use_table(table)
        self._table = table
        return {device.name: kept for device in again}

    async def _go_back(self, change: Change, before: tuple[str, ...], table: TagTable) -> None:
        await self._end(change.started)
        if self._table is not table:
            await self._intake.use_table(table)
            self._table = table
        self._begin([(device, self._poller(device)) for device in change.stopped])
        self._show(before)

    async def _commit(self) -> None:
        """Return when everything that was appended is durable. Raises TimeoutError."""
        done = asyncio.Event()
        self._intake.append(Frame("", self._clock.now_us(), (), acknowledge=done.set))
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await done.wait()
        except TimeoutError as error:
            raise TimeoutError(f"the buffer took nothing for {COMMIT_TIMEOUT_S:.0f} s") from error

    def _begin(self, made: Iterable[tuple[Device, Poller]]) -> None:
        for device, poller in made:
            self._pollers[device.name] = (device, poller)
            self._supervisor.start(f"device {device.name}", poller.run)

    async def _end(self, devices: Iterable[Device]) -> None:
        """They are still shown, as they were."""
        await self._supervisor.end(*(f"device {device.name}" for device in devices))

    def _show(self, names: Iterable[str]) -> None:
        self._order = tuple(names)
        self._pollers = {name: self._pollers[name] for name in self._order}


def _why(error: Exception) -> str:
    return str(error) or repr(error)
