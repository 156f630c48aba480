"""What is noticed about a device besides its samples: texts that change, silence, an impossible clock, the newest values. Pure.

Each is made only for a device whose map or settings need it, and looks at whole frames, so that it costs nothing per sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from protocols import quality
from protocols.devicemap import Device
from protocols.event import Event
from protocols.frame import Block
from protocols.mqtt.plan import MqttOptions, PathSteps, PayloadKind, parse_path

EARLIEST_US: Final = 946_684_800_000_000  # 2000-01-01: a clock that says less was never set
NOTHING: Final[Mapping[str, int]] = {}
QUIET_US: Final = 60_000_000  # so long without an impossible time, and the clock counts as well again
AHEAD_US: Final = 86_400_000_000  # a time zone taken for UTC is less than a day; more is no time


class Texts:
    """Texts of the map by their address, as last told."""

    def __init__(self, device: Device) -> None:
        self._device = device.name
        self._names = {text.at.replace("{device}", device.name): text.name for text in device.map.texts}
        json = device.map.options.payload is PayloadKind.JSON
        self.paths: tuple[tuple[str, PathSteps], ...] = tuple((at, parse_path(at)) for at in self._names) if json else ()
        self._told: dict[str, str] = {}
        self._new: list[tuple[str, str, int]] = []

    def __bool__(self) -> bool:
        return bool(self._names)

    def wants(self, at: str) -> bool:
        return at in self._names

    @property
    def wanted(self) -> tuple[str, ...]:
        return tuple(self._names)

    def hear(self, at: str, value: Any, time_us: int) -> None:
        """A value that may be a text of ours, and a new one."""
        if at not in self._names or isinstance(value, bool | dict | list) or not isinstance(value, str | int | float):
            return
        if self._told.get(at) != (text := str(value)):
            self._told[at] = text
            self._new.append((at, text, time_us))

    def events(self, gateway_us: int) -> list[Event]:
        """Of what is new since the last call."""
        found, self._new = self._new, []
        return [Event("text", self._device, self._names[at], when, gateway_us, text, detail={"at": at}) for at, text, when in found]


class Silence:
    """Whether a publisher has gone silent. Times are of a monotonic clock."""

    def __init__(self, limit_us: int, now_us: int) -> None:
        self._limit_us, self._heard_us, self._silent = limit_us, now_us, False

    def heard(self, now_us: int) -> None:
        self._heard_us, self._silent = now_us, False

    def due(self, now_us: int) -> bool:
        return not self._silent and now_us - self._heard_us >= self._limit_us

    def begins(self, now_us: int) -> bool:
        """True once per silence."""
        if not self.due(now_us):
            return False
        self._silent = True
        return True


class SourceClock:
    """Repairs times that cannot be: before 2000, or more than a day ahead of us and of what the device gave before.

    A gateway whose own clock stands before 2000 judges nobody, and one whose clock jumped back, or that was started with a clock that is behind,
    does not hold it against the device. Such a sample gets the time at which the gateway had it and is no better than uncertain; the fault is
    told as an event when it begins and when it ends, with the time that the device gave, so that nothing is lost.
    """

    def __init__(self, device: str) -> None:
        self._device, self._wrong_us = device, 0
        self._newest_us = 0  # of the times that were possible

    def known_until(self, newest_us: int) -> None:
        """The newest time that was kept of the device in an earlier session."""
        self._newest_us = max(self._newest_us, newest_us)

    def check(self, blocks: Sequence[Block], now_us: int) -> tuple[Sequence[Block], list[Event]]:
        """The blocks themselves when nothing is wrong with them."""
        if now_us < EARLIEST_US:
            return blocks, []
        latest = max(now_us, self._newest_us) + AHEAD_US
        bad = [int(block.times_us.min()) < EARLIEST_US or int(block.times_us.max()) > latest for block in blocks]
        if not any(bad):
            self._newest_us = max([self._newest_us, *(int(block.times_us.max()) for block in blocks)])
            if not blocks or not self._wrong_us or now_us - self._wrong_us < QUIET_US:
                return blocks, []
            self._wrong_us = 0
            return blocks, [self._event("gives possible times again", now_us, 0)]
        first = next(block for block, wrong in zip(blocks, bad, strict=True) if wrong)
        impossible = (first.times_us < EARLIEST_US) | (first.times_us > latest)
        given_us = int(first.times_us[impossible][0])
        repaired = [_stamped(block, now_us, latest) if wrong else block for block, wrong in zip(blocks, bad, strict=True)]
        known, self._wrong_us = self._wrong_us, now_us
        if known:
            return repaired, []
        detail: dict[str, int] = {"given_us": given_us, "offset_us": given_us - now_us}
        return repaired, [self._event("gives times that cannot be; its samples are stamped on arrival", now_us, 500, detail)]

    def _event(self, message: str, now_us: int, severity: int, detail: Mapping[str, int] = NOTHING) -> Event:
        return Event("clock", self._device, self._device, now_us, now_us, message, severity, dict(detail))


def _stamped(block: Block, now_us: int, latest_us: int) -> Block:
    impossible = (block.times_us < EARLIEST_US) | (block.times_us > latest_us)
    codes = np.zeros(block.samples, np.uint32) if block.quality is None else block.quality
    codes = np.where(impossible & (codes >> 30 == 0), np.uint32(quality.UNCERTAIN), codes).astype(np.uint32)
    return replace(block, times_us=np.where(impossible, now_us, block.times_us), quality=codes)


class Newest:
    """The newest good raw value of each tag that may be written, as it came; history does not count."""

    def __init__(self, device: Device) -> None:
        self._first_id = device.first_id
        self._known: dict[int, tuple[int, float]] = {}
        self._kinds = [tag.type.native for tag in device.map.tags]
        self._wanted = np.array([device.first_id + i for i, tag in enumerate(device.map.tags) if tag.write is not None], np.uint32)

    def note(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            for place in np.flatnonzero(np.isin(block.tags, self._wanted)).tolist():
                self._one(block, place)

    def _one(self, block: Block, place: int) -> None:
        index, when = int(block.tags[place]) - self._first_id, int(block.times_us[place])
        if index in self._known and when < self._known[index][0]:
            return
        if block.quality is None or quality.is_good(int(block.quality[place])):
            carried, native = block.values[place], self._kinds[index]
            unsigned = native.kind == "u" and native.itemsize == carried.itemsize
            self._known[index] = (when, (carried.view(native) if unsigned else carried).item())
        else:
            self._known.pop(index, None)

    def of(self, index: int) -> float | None:
        return self._known[index][1] if index in self._known else None


def silence_of(device: Device, now_us: int) -> Silence | None:
    options: MqttOptions = device.map.options
    return Silence(options.max_silence_us, now_us) if options.max_silence_us else None
