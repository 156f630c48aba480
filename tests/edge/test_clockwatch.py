"""Clocks are watched, told, and never corrected in silence."""

import numpy as np

from edge.clockwatch import LOCAL, NTP, UNKNOWN, DeviceClock, clock_record
from protocols.event import Event
from protocols.frame import Block, Frame

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
YEAR = 365 * 86_400 * SECOND


def frame(behind_us: int, number: int = 0) -> Frame:
    now_us = NOW + number * SECOND
    return Frame("d", now_us, [Block(np.zeros(1, np.uint32), np.array([now_us - behind_us]), np.zeros((1, 1), np.int32))])


def told(*behind_us: int) -> list[Event]:
    watch = DeviceClock("d")
    return [event for number, one in enumerate(behind_us) for event in [watch.seen(frame(one, number))] if event]


def test_device_with_a_wrong_year_is_told_once_and_again_when_it_is_right() -> None:
    found = told(0, 0, -YEAR, -YEAR, -YEAR, -YEAR, -YEAR, 100, 100, 100, 100)
    assert [event.severity for event in found] == [500, 0]
    assert "ahead" in found[0].message
    assert found[0].detail["behind_us"] == -YEAR
    assert found[0].source_us == found[0].gateway_us + YEAR
    assert "again" in found[1].message
    assert "behind" in told(*[YEAR] * 3)[0].message


def test_single_late_frame_is_no_matter() -> None:
    assert told(0, 60 * SECOND, 0, 60 * SECOND, 60 * SECOND, 0, 0) == []
    assert DeviceClock("d").seen(Frame("d", NOW, [])) is None


def test_kernel_is_asked_for_the_gateways_clock() -> None:
    record = clock_record(bytes(16))
    assert record.source in (UNKNOWN, LOCAL, NTP)
    assert record.error_us >= 0
    assert record.mono_us > 0
