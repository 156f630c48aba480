"""A cause that repeats is cut short and counted; other causes are not touched."""

import logging

from edge.loglimit import BURST, PerCause
from tests.fakes import FakeClock


def line(limit: PerCause, device: str) -> str | None:
    record = logging.LogRecord("qenergyz.edge", logging.WARNING, "f", 1, "device_down device=%s cause=%s", (device, "refused"), None)
    return record.getMessage() if limit.filter(record) else None


def test_repetitions_are_left_out_and_counted_on_the_next_line() -> None:
    clock = FakeClock()
    limit = PerCause(clock.monotonic_us)
    assert sum(line(limit, "a") is not None for _ in range(BURST + 7)) == BURST
    clock.advance(10_000_000)
    assert line(limit, "a") == "device_down device=a cause=refused left_out=7"


def test_one_cause_does_not_silence_another() -> None:
    limit = PerCause(FakeClock().monotonic_us)
    for _ in range(100):
        line(limit, "a")
    assert line(limit, "b") == "device_down device=b cause=refused"
