"""Which samples of a device need not be kept, with a proven bound. Pure; columns in, columns out.

A tag is thinned only where its map says `deadband` (engineering units), and a quality that changed, a bad value and the end of a
silence of `max_silence` are always kept. Two ways:

* deadband: a sample is dropped while it is within the deadband of the last one kept. Whoever holds the last kept value until the next
  one is at every dropped sample wrong by at most the deadband.
* swinging door (`swinging_door = true`): the newest sample waits; it is dropped when one straight line from the last kept sample passes
  every sample since then within the deadband, else it is kept. Whoever draws straight lines between kept samples is at every dropped
  sample wrong by at most the deadband (E. H. Bristol, Swinging door trending, ISA 1990). A sample waits no longer than `max_silence`; a kill of the
  agent loses the one that waits, which was not collected yet.

Truth values, enumerations and counters are never thinned (`protocols.devicemap` refuses it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.devicemap import Device, TagType
from protocols.frame import Block

_NEVER: Final = np.iinfo(np.int64).min // 2
_SHARE: Final = 1 - 1e-9  # of the door's slopes: rounding must not carry a line outside


@dataclass(slots=True)
class _Held:
    """A sample that waits behind the door of one tag."""

    time_us: int
    raw: Any
    value: float
    code: int


class Thinning:
    """State of one device; `thin` every frame's blocks in order, `held` when the device goes down or the agent stops."""

    def __init__(self, device: Device) -> None:
        tags = device.map.tags
        self._first = device.first_id
        rules = [tag.thinning for tag in tags]
        self.active = any(rules)
        self._rules = rules
        self._types = [tag.type for tag in tags]
        self._scale = np.array([float(tag.scale) for tag in tags])
        self._offset = np.array([float(tag.offset) for tag in tags])
        self._band = np.array([rule.deadband if rule else 0.0 for rule in rules])
        self._silence = np.array([rule.max_silence_us if rule else 0 for rule in rules])
        self._thinned = np.array([rule is not None for rule in rules], np.bool_)
        self._door = np.array([rule is not None and rule.swinging_door for rule in rules], np.bool_)
        self._unsigned = np.array([tag.type in (TagType.UINT32, TagType.UINT64) for tag in tags], np.bool_)
        self._value = np.full(len(tags), np.nan)
        self._time = np.full(len(tags), _NEVER, np.int64)
        self._code = np.zeros(len(tags), np.uint32)
        self._low = np.full(len(tags), -np.inf)
        self._high = np.full(len(tags), np.inf)
        self._waiting: dict[int, _Held] = {}

    def thin(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """The samples to keep, in order per tag; `blocks` itself when that is all of them."""
        if not self.active:
            return blocks
        kept: list[Block] = []
        changed = False
        for block in blocks:
            place = block.tags.astype(np.intp) - self._first
            if not self._thinned[place].any():
                kept.append(block)
                continue
            for part in self._parts(block, place):
                found = self._poll(part) if part.values.ndim == 2 and not self._door[part.tags[0] - self._first] else self._each(part)
                changed |= found is not block
                if found.samples:
                    kept.append(found)
        return kept if changed else blocks

    def forget(self) -> None:
        """The next sample of every tag is kept, whatever it is."""
        self._time[:] = _NEVER
        self._value[:] = np.nan

    def held(self) -> list[Block]:
        """What waits behind the doors, to be kept now; afterwards nothing waits."""
        blocks = []
        for place, one in sorted(self._waiting.items()):
            dtype = self._types[place].column
            codes = None if not one.code else np.array([one.code], np.uint32)
            values = np.array([one.raw], dtype)
            blocks.append(Block(np.array([self._first + place], np.uint32), np.array([one.time_us], np.int64), values, codes))
            self._keep(place, one.time_us, one.value, one.code)
        self._waiting.clear()
        return blocks

    def _engineering(self, place: NDArray[np.intp], raw: NDArray[Any]) -> NDArray[np.float64]:
        values = raw.astype(np.float64)
        if self._unsigned[place].any():
            wrap = 2.0**32 if raw.dtype.itemsize == 4 else 2.0**64
            values = np.where(self._unsigned[place] & (values < 0), values + wrap, values)
        scaled: NDArray[np.float64] = values * self._scale[place] + self._offset[place]
        return scaled

    def _parts(self, block: Block, place: NDArray[np.intp]) -> list[Block]:
        """A poll without its tags behind a door, and those; anything else whole."""
        if block.values.ndim == 1:
            return [block]
        door = self._door[place]
        if len(block.times_us) > 1:
            width = block.values.shape[1]
            codes = None if block.quality is None else block.quality.ravel()
            tags, times = np.tile(block.tags, len(block.times_us)), np.repeat(block.times_us, width)
            return [Block(tags, times, block.values.ravel(), codes)]
        if not door.any() or door.all():
            return [block]
        return [
            Block(block.tags[chosen], block.times_us, block.values[:, chosen], None if block.quality is None else block.quality[:, chosen])
            for chosen in (~door, door)
        ]

    def _poll(self, block: Block) -> Block:
        """One time for all: no loop over tags."""
        place = block.tags.astype(np.intp) - self._first
        time_us = int(block.times_us[0])
        codes = np.zeros(len(place), np.uint32) if block.quality is None else block.quality[0]
        values = self._engineering(place, block.values[0])
        quiet = np.abs(values - self._value[place]) <= self._band[place]  # NaN (nothing kept yet) compares False
        drop = self._thinned[place] & quiet & (codes == self._code[place]) & (codes >> 31 == 0)
        drop &= time_us - self._time[place] < self._silence[place]
        keep = ~drop
        chosen = place[keep]
        self._value[chosen], self._time[chosen], self._code[chosen] = values[keep], time_us, codes[keep]
        if keep.all():
            return block
        quality = None if block.quality is None else block.quality[:, keep]
        return Block(block.tags[keep], block.times_us, block.values[:, keep], quality)

    def _each(self, block: Block) -> Block:
        """One sample after the other: what comes scattered, and tags behind a door."""
        raw = block.values.ravel()
        times = block.times_us if block.values.ndim == 1 else np.repeat(block.times_us, raw.size)
        codes = np.zeros(raw.size, np.uint32) if block.quality is None else block.quality.ravel()
        places = block.tags.astype(np.intp) - self._first
        values = self._engineering(places, raw)
        came = list(zip(places.tolist(), times.tolist(), raw.tolist(), values.tolist(), codes.tolist(), strict=True))
        out: list[tuple[int, int, Any, int]] = []
        for place, time_us, number, value, code in came:
            self._one(out, place, time_us, number, value, code)
        if out == [(place, time_us, number, code) for place, time_us, number, _, code in came]:
            return block
        return Block(
            np.array([self._first + place for place, _, _, _ in out], np.uint32),
            np.array([time_us for _, time_us, _, _ in out], np.int64),
            np.array([number for _, _, number, _ in out], raw.dtype),
            np.array([code for _, _, _, code in out], np.uint32) if any(code for _, _, _, code in out) else None,
        )

    def _one(self, out: list[tuple[int, int, Any, int]], place: int, time_us: int, number: Any, value: float, code: int) -> None:
        """Decide on one sample, and on the one that waits before it."""
        waiting = self._waiting.get(place)
        steady = self._thinned[place] and code == self._code[place] and not code >> 31 and self._time[place] != _NEVER
        within = steady and 0 < time_us - self._time[place] < self._silence[place]
        if not self._door[place]:
            if not (within or (steady and time_us == self._time[place])) or not abs(value - self._value[place]) <= self._band[place]:
                out.append((place, time_us, number, code))
                self._keep(place, time_us, value, code)
            return
        if within and (waiting is None or time_us > waiting.time_us) and self._through_door(place, time_us, value):
            self._waiting[place] = _Held(time_us, number, value, code)
            return
        if waiting is not None:
            del self._waiting[place]
            out.append((place, waiting.time_us, waiting.raw, waiting.code))
            self._keep(place, waiting.time_us, waiting.value, waiting.code)
            if code == waiting.code and time_us > waiting.time_us and not code >> 31 and time_us - waiting.time_us < self._silence[place]:
                self._through_door(place, time_us, value)
                self._waiting[place] = _Held(time_us, number, value, code)
                return
        out.append((place, time_us, number, code))
        self._keep(place, time_us, value, code)

    def _keep(self, place: int, time_us: int, value: float, code: int) -> None:
        self._value[place], self._time[place], self._code[place] = value, time_us, code
        self._low[place], self._high[place] = -np.inf, np.inf

    def _through_door(self, place: int, time_us: int, value: float) -> bool:
        """Whether the straight line from the kept sample to this one passes all between within the band; narrows the door if so."""
        span = time_us - int(self._time[place])
        band = float(self._band[place]) * _SHARE
        rise = value - float(self._value[place])
        slope = rise / span
        if not self._low[place] <= slope <= self._high[place]:
            return False
        self._low[place] = max(float(self._low[place]), (rise - band) / span)
        self._high[place] = min(float(self._high[place]), (rise + band) / span)
        return True
