"""One task per device: open the driver, hand its frames to the intake, breaker and backoff when it fails.

While a device is down every one of its tags has a NO_COMMUNICATION sample (at once, then every minute): silence is never mistaken for
an unchanged value. A dead device costs its own task only. One log line when it goes down, one when it is back.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge.clockwatch import DeviceClock
from edge.resume import LastKept
from edge.thinning import Thinning
from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import Driver, DriverError, ResumingDriver, WriteRefused, WritingDriver
from protocols.frame import Block, Frame
from protocols.tracing import OFF, Tracing

log = logging.getLogger("qenergyz.edge")
FIRST_BACKOFF_US: Final = 500_000
LONGEST_BACKOFF_US: Final = 15_000_000
BAD_HEARTBEAT_US: Final = 60_000_000
OPEN_TIMEOUT_S: Final = 30.0


@dataclass(slots=True)
class DeviceState:
    """What health reports of a device. Times are gateway microseconds, 0 = never."""

    name: str
    protocol: str
    address: str
    connected: bool = False  # the session stands; `up` says that data has come over it
    up: bool = False
    cause: str = "not connected yet"
    last_good_us: int = 0
    down_since_us: int = 0
    frames: int = 0
    samples: int = 0
    failures: int = 0


def failure_frame(device: Device, now_us: int, code: int) -> Frame:
    """A frame that gives every tag of the device the bad quality `code`."""
    ids = device.ids
    dtypes = np.array([tag.type.column.num for tag in device.map.tags])
    blocks = []
    for number in np.unique(dtypes):
        column = next(tag.type.column for tag in device.map.tags if tag.type.column.num == number)
        tags = ids[dtypes == number]
        shape = (1, len(tags))
        blocks.append(Block(tags, np.array([now_us], np.int64), np.zeros(shape, column), np.full(shape, code, np.uint32)))
    return Frame(device.name, now_us, blocks)


def next_backoff_us(failures: int, jitter: float) -> int:
    """0.5 s, 1 s, 2 s ... 15 s after the 1st, 2nd, 3rd ... failure, times 0.5 to 1 (`jitter` in 0..1)."""
    longest = min(LONGEST_BACKOFF_US, FIRST_BACKOFF_US << min(failures - 1, 20))
    return int(longest * (0.5 + 0.5 * jitter))


class Poller:
    """`run` until cancelled."""

    def __init__(
        self,
        device: Device,
        open_driver: Callable[[], Awaitable[Driver]],
        deliver: Callable[[Frame], None],
        clock: Clock,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._device, self._open_driver, self._deliver, self._clock = device, open_driver, deliver, clock
        self._reported_bad_us = 0
        self._said = ""
        self._kept = LastKept(device)
        self._thinning = Thinning(device)
        self._clock_of_device = DeviceClock(device.name)
        self._driver: Driver | None = None
        self._texts: dict[str, str] = {}  # as last told: a new session reads them again
        self.state = DeviceState(device.name, device.map.protocol, device.address)

    def resume(self, blocks: Iterable[Block]) -> None:
        """Samples of this device that an earlier run kept, oldest first."""
        low, high = self._device.first_id, self._device.first_id + len(self._device.map.tags)
        for block in blocks:
            ours = (block.tags >= low) & (block.tags < high)
            if ours.all():
                self._kept.remember((block,))
            elif ours.any():  # a batch may hold columns of several devices side by side
                times = block.times_us if block.values.ndim == 2 else block.times_us[ours]
                codes = None if block.quality is None else block.quality[..., ours]
                self._kept.remember((Block(block.tags[ours], times, block.values[..., ours], codes),))

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self._deliver_held()

    async def _run(self) -> None:
        while True:
            try:
                await self._session()
            except DriverError as error:
                self._down(error)
            except Exception as error:  # a fault of ours: the tags must say so before the supervisor starts the task again
                self._down(DriverError(f"internal error: {error!r}", quality.BAD_NO_COMMUNICATION), self._kept_until())
                raise
            await self._clock.sleep_us(next_backoff_us(max(1, self.state.failures), random.random()))  # noqa: S311

    async def _session(self) -> None:
        driver = await self._open_driver()
        if isinstance(driver, ResumingDriver):
            driver.resume(self._kept.last_us())
        try:
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    await driver.open()
            except TimeoutError as error:
                raise DriverError(f"no session within {OPEN_TIMEOUT_S:.0f} s", quality.BAD_NO_COMMUNICATION) from error
            state, kept = self.state, self._kept
            state.connected, state.cause, self._driver = True, "connected, no data yet", driver
            kept.begin()
            while True:
                frame = await driver.read()
                began_ns = self._tracing.now_ns()
                self._keep(frame)
                if self._tracing.on:
                    self._tracing.past("poll", began_ns, device=state.name, protocol=state.protocol, samples=frame.samples)
                state.frames += 1
                state.samples += frame.samples
                state.last_good_us = frame.gateway_us
                if not state.up:
                    self._back()
        finally:
            self._driver = None
            await driver.close()

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        """Whether it may be is decided in `edge.commands`. Raises WriteRefused, DriverError."""
        driver = self._driver
        if driver is None:
            raise WriteRefused(f'device "{self._device.name}" is not connected: {self.state.cause}')
        if not isinstance(driver, WritingDriver):
            raise WriteRefused(f'device "{self._device.name}": {self._device.map.protocol} devices cannot be written to')
        await driver.write(index, raw, expected)

    def _keep(self, frame: Frame) -> None:
        """Deliver what is new. A frame without anything new is delivered empty when somebody waits for its acknowledgement."""
        blocks = self._kept.fresh(frame.blocks)
        self._kept.remember(blocks)
        blocks = self._thinning.thin(blocks)
        told = self._clock_of_device.seen(frame)
        if told or frame.events:
            events = [event for event in frame.events if event.kind != "text" or self._texts.get(event.source) != event.message]
            self._texts.update((event.source, event.message) for event in events if event.kind == "text")
            frame = replace(frame, events=(*events, told) if told else events)
        if blocks is not frame.blocks:
            frame = replace(frame, blocks=blocks)
        if blocks or frame.events or frame.acknowledge is not None:
            self._deliver(frame)

    def _deliver_held(self) -> None:
        """What thinning holds back is kept before the device falls silent."""
        if blocks := self._thinning.held():
            self._deliver(Frame(self._device.name, self._clock.now_us(), blocks))

    def _back(self) -> None:
        state = self.state
        down_s = (self._clock.now_us() - state.down_since_us) / 1e6 if state.down_since_us else 0.0
        log.info("device_up device=%s protocol=%s down_s=%.1f", state.name, state.protocol, down_s)
        state.up, state.cause, state.failures, state.down_since_us, self._said = True, "", 0, 0, ""

    def _kept_until(self) -> int:
        """The newest source time that was kept: what the driver had in hand beyond it may be lost, and is told to be missing."""
        return max(self._kept.last_us().values(), default=0)

    def _down(self, error: DriverError, kept_us: int = 0) -> None:
        state, now_us = self.state, self._clock.now_us()
        state.failures += 1
        if state.up or str(error) != self._said:
            log.warning("device_down device=%s protocol=%s address=%s cause=%s", state.name, state.protocol, state.address, error)
        self._said = str(error)
        fresh = state.up or not state.down_since_us
        if fresh:
            state.down_since_us = now_us
        state.up, state.connected, state.cause = False, False, str(error)
        if fresh or now_us - self._reported_bad_us >= BAD_HEARTBEAT_US:
            self._reported_bad_us = now_us
            self._deliver_held()
            self._thinning.forget()
            at_us = kept_us + 1 if 0 < kept_us < now_us else now_us
            told = failure_frame(self._device, at_us, error.quality if error.quality else quality.BAD_NO_COMMUNICATION)
            self._deliver(replace(told, gateway_us=now_us))
