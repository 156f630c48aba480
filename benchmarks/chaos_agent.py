"""`qenergyz edge run` with a clock that may be wrong: the offset stands in the file named by QENERGYZ_CHAOS_CLOCK. Only for benchmarks.chaos.

The product has no such switch; this launcher puts another clock where the composition root takes the system's.
"""

import os
import sys
import time
from pathlib import Path

from protocols import clock


class WrongClock(clock.SystemClock):
    """The system's clock plus the microseconds in a file."""

    def __init__(self) -> None:
        self._file = Path(os.environ["QENERGYZ_CHAOS_CLOCK"])

    def now_us(self) -> int:
        return time.time_ns() // 1000 + int(self._file.read_text())


def main() -> int:
    from edge import cli

    clock.SystemClock = WrongClock  # type: ignore[misc]
    return cli.main(["run", sys.argv[1]])


if __name__ == "__main__":
    sys.exit(main())
