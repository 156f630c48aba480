"""What is known of a gateway by its last request alone: what waits there, how its clock stands, its newest receipt.

In memory, because it comes anew with the next request. What waits is told beside the signed bytes and proven by nothing: it is shown to
people and decides nothing. The clock is that of the newest batch, which is signed.
"""

from dataclasses import dataclass
from typing import Any, Final

from protocols.batch.columns import ClockRecord

SOURCES: Final = {1: "not synchronised", 2: "synchronised", 3: "synchronised", 4: "synchronised"}  # of ClockRecord


@dataclass(frozen=True, slots=True)
class Waiting:
    """batches: that have no receipt yet; oldest_us: when the oldest was sealed, None where it was not told; full_in_s: None while it does not fill."""

    batches: int = 0
    oldest_us: int | None = None
    full_in_s: int | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    at_us: int
    waiting: Waiting = Waiting()
    clock: ClockRecord | None = None
    receipt_us: int | None = None

    def members(self) -> dict[str, Any]:
        """told_us: when the gateway said how its buffer stands; full_us: when it will be full; clock: offset and error in microseconds."""
        told, waiting, clock = self.waiting.oldest_us is not None, self.waiting, self.clock
        return {
            "told_us": self.at_us if told else None,
            "oldest_us": waiting.oldest_us if waiting.batches else None,
            "full_us": None if waiting.full_in_s is None else self.at_us + waiting.full_in_s * 1_000_000,
            "clock": clock and {"source": SOURCES.get(clock.source, "unknown"), "offset_us": clock.offset_us, "error_us": clock.error_us},
        }


NOTHING: Final = Contact(0).members()
