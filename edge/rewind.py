"""When the hub's log went back: which of our own receipts still hold, and what has to be sent again.

A hub restored from a backup has a shorter log than the one its gateways trust. Each receipt in the ring is a signed root of that log at some
size. The newest one that the shorter log provably continues is where trust begins again; every batch with a later receipt is fed again, the
same bytes, which the hub stores once whatever it still has. The signed checkpoint that was broken travels in an event, as evidence.
Not for: deciding whether a log went back (`edge.forwarder`), or keeping batches (`edge.buffer`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from edge.intake import Intake
from protocols.batch import receipt
from protocols.event import Event

RECEIPTS_PER_CALL: Final = 1000  # about 30 ms of the buffer's thread, so that collecting goes on meanwhile
SEVERITY: Final = 900
BySize = Mapping[int, Sequence[int]]  # size of the tree that receipts belong to -> ids of their batches


async def read(intake: Intake) -> BySize:
    """Every receipt of the ring by the size of its tree."""
    found: dict[int, list[int]] = {}
    below = 1 << 62
    while sizes := await intake.call(_sizes, intake, below):
        for number, size in sizes:
            found.setdefault(size, []).append(number)
        below = sizes[-1][0]
    return found


def _sizes(intake: Intake, below: int) -> list[tuple[int, int]]:
    return [(number, receipt.parse(issued).size) for number, issued in intake.buffer.receipts(below, RECEIPTS_PER_CALL)]


def candidates(by_size: BySize, size: int) -> Iterator[int]:
    """Sizes to try, the largest that fits first, then in steps that double: feeding again a little too much costs less than many questions."""
    fitting = sorted(one for one in by_size if one <= size)
    step = 1
    while fitting:
        yield fitting[-1]
        if len(fitting) == 1:
            return
        fitting = fitting[:-step] or fitting[:1]
        step *= 2


def later(by_size: BySize, size: int) -> list[int]:
    """Batches whose receipts are of a larger tree, oldest first."""
    return sorted(number for one, numbers in by_size.items() if one > size for number in numbers)


def event(message: str, proven: int, batches: int, broken: str | None, now_us: int, accepted: Mapping[str, str] | None = None) -> Event:
    """For the signed stream of events. accepted: who answers for it and why, where a person decided. broken: the checkpoint that the log no longer continues, signed by the hub."""
    detail: dict[str, str | int] = {"proven_size": proven, "batches_sent_again": batches, "checkpoint": broken or "", **(accepted or {})}
    return Event("alarm", "", "hub log", now_us, now_us, message, SEVERITY, detail)
