"""`qenergyz edge run` with a clock that may be wrong, and tasks that may fail. Only for benchmarks.chaos.

QENERGYZ_CHAOS_CLOCK names a file with the offset of the clock. QENERGYZ_CHAOS_FAILING names a file that is there when a task is to fail: the
task whose name it holds raises when it next asks the clock, once, and the file is gone. The product has no such switches; this launcher
puts another clock where the composition root takes the system's.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

from protocols import clock

PART_US: Final = 200_000


class InjectedError(Exception):
    """A fault that nobody foresaw."""


class WrongClock(clock.SystemClock):
    """The system's clock plus the microseconds in a file."""

    def __init__(self) -> None:
        self._file = Path(os.environ["QENERGYZ_CHAOS_CLOCK"])
        self._failing = Path(os.environ["QENERGYZ_CHAOS_FAILING"])

    def now_us(self) -> int:
        self._fail_if_told()
        return time.time_ns() // 1000 + int(self._file.read_text())

    def monotonic_us(self) -> int:
        self._fail_if_told()
        return super().monotonic_us()

    async def sleep_us(self, duration_us: int) -> None:
        """In parts, so that a task may fail soon whatever it waits for."""
        until_us = super().monotonic_us() + duration_us
        while (left_us := until_us - super().monotonic_us()) > 0:
            self._fail_if_told()
            await super().sleep_us(min(left_us, PART_US))

    def _fail_if_told(self) -> None:
        if self._failing.exists() and (task := _current()) and task == self._failing.read_text():
            self._failing.unlink()
            raise InjectedError(f"injected into {task}")


def _current() -> str:
    """Name of the task that asks; nothing in the buffer's thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return task.get_name() if task else ""


def main() -> int:
    from edge import cli

    clock.SystemClock = WrongClock  # type: ignore[misc]
    return cli.main(["run", sys.argv[1]])


if __name__ == "__main__":
    sys.exit(main())
