"""How far clocks can be trusted: the gateway's own, and those of devices against it. Nothing here changes a time; it is told beside the data.

The gateway's clock record stands in every batch (`ClockRecord`): whether the kernel says it is disciplined, and its error bound. A device
whose newest samples are stamped ahead of the gateway, or far behind it, gets an event "clock" when that begins and when it ends; both
times travel unchanged, so that whoever corrects an offset later has what is needed.
"""

import ctypes
import time
from typing import Final

from protocols.batch.columns import ClockRecord
from protocols.event import Event
from protocols.frame import Frame

UNKNOWN, LOCAL, NTP = 0, 1, 2  # sources of ClockRecord
LIMIT_US: Final = 5_000_000
FRAMES: Final = 3  # in a row, before a device is said to be off, or well again
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
_NANOSECONDS: Final = 0x2000  # STA_NANO: the offset is in nanoseconds


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_long * 32),
    )


def clock_record(boot: bytes) -> ClockRecord:
    """What the kernel says of this machine's clock now: offset and error in microseconds. Where it says nothing, the source is unknown."""
    mono_us = time.monotonic_ns() // 1000
    found = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return ClockRecord(UNKNOWN, 0, 0, boot, mono_us)
    source = LOCAL if found.status & _UNSYNCHRONISED else NTP
    offset_us = found.offset // 1000 if found.status & _NANOSECONDS else found.offset
    return ClockRecord(source, int(offset_us), int(found.maxerror), boot, mono_us)


class DeviceClock:
    """`seen` every frame of one device."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._off = False
        self._against = 0

    def seen(self, frame: Frame) -> Event | None:
        """An event when the device's stamps leave the gateway's time, or come back to it."""
        newest = max((int(block.times_us[-1]) for block in frame.blocks if block.times_us.size), default=0)
        if not newest:
            return None
        behind_us = frame.gateway_us - newest
        if (abs(behind_us) > LIMIT_US) is self._off:
            self._against = 0
            return None
        self._against += 1
        if self._against < FRAMES:
            return None
        self._off, self._against = not self._off, 0
        return self._event(frame, newest, behind_us)

    def _event(self, frame: Frame, newest: int, behind_us: int) -> Event:
        if not self._off:
            message = "stamps agree with the gateway's time again"
        elif behind_us < 0:
            message = f"stamps are {-behind_us / 1e6:.1f} s ahead of the gateway's time"
        else:
            message = f"stamps are {behind_us / 1e6:.1f} s behind the gateway's time: old data, or a clock that is wrong"
        severity = 500 if self._off else 0
        return Event("clock", self._device, "source time", newest, frame.gateway_us, message, severity, {"behind_us": behind_us})
