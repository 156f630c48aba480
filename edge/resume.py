"""What was kept last of every tag of a device, so that a new session does not keep the same state twice.

When a session begins, devices announce their present state again: a poll returns the same step, a subscription its initial value. The first
sample of a tag in a session is a repetition, not a new sample, when its source time, value and quality all equal those kept last, before a
reconnect or before a kill. Nothing else is ever dropped: samples that merely share a time are all kept.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Device
from protocols.frame import Block

FRAMES_CHECKED: Final = 200  # per session; later frames cannot be announcements of old state
MAX_POLLED: Final = 64
_OURS: Final = np.array(
    [quality.BAD_NO_COMMUNICATION, quality.BAD_CONFIGURATION], np.uint32
)  # what the poller says of a device that is away
_NEVER: Final = np.iinfo(np.int64).min


class LastKept:
    """`remember` every frame that is kept; `begin` a session; `fresh` filters its first frames."""

    def __init__(self, device: Device) -> None:
        count = len(device.map.tags)
        self._first_id = device.first_id
        self._times = np.full(count, _NEVER, np.int64)
        self._bits = np.zeros(count, np.int64)
        self._quality = np.zeros(count, np.uint32)
        self._spoken_us = np.full(count, _NEVER, np.int64)
        self._unseen = np.zeros(count, np.bool_)
        self._left = 0
        self._polled: dict[int, Block] = {}

    def begin(self) -> None:
        self._settle()
        self._unseen[:] = self._times != _NEVER
        self._left = FRAMES_CHECKED

    def remember(self, blocks: Iterable[Block]) -> None:
        """Blocks of this device only; of several samples of a tag the last counts.

        A poll replaces the one before it whole (drivers reuse the array of tags), so only the newest is kept, and looked at when a session begins.
        """
        for block in blocks:
            if block.values.ndim == 2:
                self._polled.pop(id(block.tags), None)
                self._polled[id(block.tags)] = block  # newest last; the reference keeps id() from being reused
                if len(self._polled) > MAX_POLLED:
                    self._settle()
            else:
                self._settle()
                self._note(block)

    def _settle(self) -> None:
        for block in self._polled.values():
            self._note(block)
        self._polled.clear()

    def _note(self, block: Block) -> None:
        place = block.tags.astype(np.intp) - self._first_id
        last = slice(-1, None) if block.values.ndim == 2 else slice(None)
        self._times[place] = block.times_us[last]
        self._bits[place] = _bits(block.values[last].ravel())
        self._quality[place] = 0 if block.quality is None else block.quality[last].ravel()
        spoken = place[~np.isin(self._quality[place], _OURS)]
        self._spoken_us[spoken] = self._times[spoken]

    def last_us(self) -> dict[int, int]:
        """Source time of the newest sample that came from the device itself, by the tag's number in the map."""
        self._settle()
        return {int(index): int(self._spoken_us[index]) for index in np.flatnonzero(self._spoken_us != _NEVER)}

    def fresh(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """`blocks` without repetitions of state; the same object when there are none."""
        if not self._left:
            return blocks
        self._left -= 1
        kept = [block if keep is None else _pick(block, keep) for block in blocks for keep in (self._keep(block),)]
        return [block for block in kept if block.samples] if any(a is not b for a, b in zip(kept, blocks, strict=True)) else blocks

    def _keep(self, block: Block) -> NDArray[np.bool_] | None:
        """Mask over the scattered form of the block, or None = keep all."""
        if not self._unseen.any():
            return None
        times, tags, values, codes = _scatter(block)
        place = tags.astype(np.intp) - self._first_id
        first = np.zeros(len(place), np.bool_)
        first[np.unique(place, return_index=True)[1]] = True
        first &= self._unseen[place]
        self._unseen[place] = False
        repeated = first & (self._times[place] == times) & (self._bits[place] == _bits(values)) & (self._quality[place] == codes)
        return ~repeated if repeated.any() else None


def _scatter(block: Block) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[Any], NDArray[np.uint32]]:
    codes = np.zeros(block.values.size, np.uint32) if block.quality is None else block.quality.ravel()
    if block.values.ndim == 1:
        return block.times_us, block.tags, block.values, codes
    rows, width = block.values.shape
    return np.repeat(block.times_us, width), np.tile(block.tags, rows), block.values.ravel(), codes


def _pick(block: Block, keep: NDArray[np.bool_]) -> Block:
    times, tags, values, codes = _scatter(block)
    return Block(tags[keep], times[keep], values[keep], None if block.quality is None else codes[keep])


def _bits(values: NDArray[Any]) -> NDArray[np.int64]:
    if values.dtype.kind == "f":
        values = values.view(np.int32 if values.itemsize == 4 else np.int64)
    return values.astype(np.int64)
