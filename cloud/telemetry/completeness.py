"""Is everything there? "All present", or the exact gaps with cause and duration. Pure.

Three things are known: which numbers of each chain are stored (a hole is a batch on its way or lost), which gaps the gateways have declared in
signed batches, and which samples say that the device was silent. A window is complete when none of them touches it, and when it does not
reach far beyond the newest that has come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from cloud.telemetry.series import Samples
from protocols import quality
from protocols.batch.columns import GapReason, is_sequence

SILENT: Final = (
    quality.BAD_NO_COMMUNICATION,
    quality.BAD_NOT_CONNECTED,
    quality.BAD_TIMEOUT,
    quality.BAD_WAITING_FOR_INITIAL_DATA,
    quality.BAD_CONFIGURATION,
)
AWAITED_US: Final = 60_000_000  # what a gateway has not sealed and sent by then is missing, not on its way
CAUSES: Final[dict[int, str]] = {
    GapReason.DROPPED_BY_CAP: "dropped by the gateway: its buffer was full",
    GapReason.AGENT_DOWN: "the agent was not running: killed or without power",
    GapReason.DEVICE_UNREACHABLE: "the device could not be reached",
    GapReason.BUFFER_QUARANTINED: "the gateway's buffer file was damaged and set aside",
    GapReason.AGENT_STOPPED: "the agent had been stopped",
    GapReason.SEALED_DROPPED: "sealed batches were dropped by the gateway",
}


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing numbers of one chain, between the batches before and after them (None: none is stored on that side)."""

    stream: str
    epoch: int
    first_seq: int
    last_seq: int
    after_us: int | None
    before_us: int | None


@dataclass(frozen=True, slots=True)
class Declared:
    """A gap that a gateway has signed: times in microseconds, or numbers of its own chain where the reason says so."""

    stream: str
    epoch: int
    low: int
    high: int
    reason: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is known of [from_us, to_us]."""

    from_us: int
    to_us: int
    cause: str

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "duration_s": (self.to_us - self.from_us) / 1e6}


def missing(
    from_us: int, to_us: int, holes: Iterable[Hole], declared: Iterable[Declared], samples: Samples | None, newest_us: int | None
) -> list[Missing]:
    """Gaps that touch [from_us, to_us), in the order of time. `samples`: those of one tag in the window, or None for the gateway as a whole.
    newest_us: the time of the newest sample of the gateway, if there is any."""
    declared = tuple(declared)
    found = [*_of_holes(holes, declared, from_us, to_us), *_of_declared(declared)]
    if samples is not None and not samples.times_us.size:
        found.append(Missing(from_us, to_us, "no samples"))
    elif newest_us is None or to_us - newest_us > AWAITED_US:
        found.append(Missing(from_us if newest_us is None else newest_us, to_us, "nothing newer has come"))
    if samples is not None:
        found += _of_samples(samples, to_us)
    touching = (gap for gap in found if gap.from_us < to_us and gap.to_us >= from_us)
    return sorted(
        {Missing(max(gap.from_us, from_us), min(gap.to_us, to_us), gap.cause) for gap in touching}, key=lambda gap: (gap.from_us, gap.to_us)
    )


def _of_holes(holes: Iterable[Hole], declared: Sequence[Declared], from_us: int, to_us: int) -> Iterable[Missing]:
    """A hole that the gateway has explained by a declared gap of numbers takes that gap's cause."""
    for hole in holes:
        explained = next(
            (
                gap
                for gap in declared
                if is_sequence(gap.reason)
                and (gap.stream, gap.epoch) == (hole.stream, hole.epoch)
                and gap.low <= hole.first_seq
                and hole.last_seq <= gap.high
            ),
            None,
        )
        numbers = str(hole.first_seq) if hole.first_seq == hole.last_seq else f"{hole.first_seq}-{hole.last_seq}"
        cause = CAUSES.get(explained.reason, "declared by the gateway") if explained else "not received"
        start = from_us if hole.after_us is None else hole.after_us
        end = to_us if hole.before_us is None else hole.before_us
        yield Missing(min(start, end), max(start, end), f"{cause} ({hole.stream} batches {numbers} of epoch {hole.epoch})")


def _of_declared(declared: Iterable[Declared]) -> Iterable[Missing]:
    for gap in declared:
        if not is_sequence(gap.reason):
            yield Missing(gap.low, gap.high, CAUSES.get(gap.reason, f"declared by the gateway, reason {gap.reason}"))


def _of_samples(samples: Samples, to_us: int) -> Iterable[Missing]:
    """Runs of samples by which the agent says that the device was silent, each up to the next sample that is not one of them."""
    silent = np.isin(samples.quality, np.array(SILENT, np.uint32))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False])).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        until = int(samples.times_us[end]) if end < samples.times_us.size else to_us
        yield Missing(int(samples.times_us[start]), until, f"device silent: {quality.name(int(samples.quality[start]))}")
