"""What the headers of reports say beside their values: numbers missing, buffer overflowed, configuration changed, silence. Pure.

IEC 61850-7-2, 17.2.3: SqNum has 8 bits for unbuffered and 16 bits for buffered reports and counts every report; segments of one report
share it.
"""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_INSTANCES: Final = 99
SILENT_PERIODS: Final = 3
_INDEXED: Final = re.compile(r"(.*\D)(\d\d)")


class Verdict(enum.Enum):
    """gap: reports are missing. overflow: the device had to drop entries. changed: the data set is another one now."""

    GAP = enum.auto()
    OVERFLOW = enum.auto()
    CHANGED = enum.auto()


@dataclass(frozen=True, slots=True)
class Header:
    """Of a report; None where the device does not send it."""

    number: int | None = None
    segmented: bool = False
    overflow: bool = False
    conf_rev: int | None = None


class Watch:
    """Over the reports of one report control block. integrity_s: 0 = it may be silent.

    A device marks the first report after an emptied buffer as overflowed too, and may go on marking: only a mark that is new counts.
    """

    def __init__(self, buffered: bool, conf_rev: int, integrity_s: float, now_s: float) -> None:
        self._numbers = 0x1_0000 if buffered else 0x100
        self._conf_rev, self._integrity_s, self._last_s = conf_rev, integrity_s, now_s
        self._number: int | None = None
        self._overflowed = False
        self.missing = 0

    def begin_afresh(self) -> None:
        """The buffer was emptied on our wish: that the device says so is no news."""
        self._overflowed = True

    def see(self, header: Header, now_s: float) -> list[Verdict]:
        """What this report says; `missing` counts the reports that never came."""
        self._last_s = now_s
        verdicts = []
        if header.conf_rev is not None and header.conf_rev != self._conf_rev:
            verdicts.append(Verdict.CHANGED)
        if header.overflow and not self._overflowed:
            verdicts.append(Verdict.OVERFLOW)
        self._overflowed = header.overflow
        if header.number is not None:
            if self._number is not None and not (header.segmented and header.number == self._number):
                lost = (header.number - self._number - 1) % self._numbers
                if lost:
                    self.missing += lost
                    verdicts.append(Verdict.GAP)
            self._number = header.number
        return verdicts

    def silent(self, now_s: float) -> bool:
        return bool(self._integrity_s) and now_s - self._last_s > SILENT_PERIODS * self._integrity_s


def instances(reference: str) -> Iterator[str]:
    """The block and those that come after it: "LD/LLN0.BR.brcb01", "...02". One without a number of two digits stands alone."""
    yield reference
    match = _INDEXED.fullmatch(reference)
    if match:
        for number in range(int(match[2]) + 1, MOST_INSTANCES + 1):
            yield f"{match[1]}{number:02}"
