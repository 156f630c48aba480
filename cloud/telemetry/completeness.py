"""Is everything there? "All present", or the exact gaps with cause and duration. Pure.

Three things are known: which numbers of each chain are stored (a hole is a batch on its way or lost), which gaps the gateways have declared in
signed batches, and which samples say that the device was silent. For a gateway as a whole these are the answer.

Of a tag that is polled (its table says how long it may be silent) more is known, and the answer is exact: a gap is what lies between two
of its samples further apart than that, whatever anybody claims. What is known of a gap only explains it, part by part; what nothing explains
says so. A batch on its way, or a second too much of a declared gap, in which no sample of the tag is missing is no gap of the tag.
Not for tags that a device tells of when it likes: there a claim stands as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
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
    quality.BAD_OUT_OF_SERVICE,
)
EVENTS: Final = "event"  # the stream that carries no samples
AWAITED_US: Final = 60_000_000  # what a gateway has not sealed and sent by then is missing, not on its way
NOTHING_NEWER: Final = "nothing newer has come"
UNEXPLAINED: Final = "no samples came, and nothing says why"
WAITING: Final = "not received: {} batches wait at the gateway"
EMPTY: Final = "no samples"
CAUSES: Final[dict[int, str]] = {
    GapReason.DROPPED_BY_CAP: "dropped by the gateway: its buffer was full",
    GapReason.AGENT_DOWN: "the agent was not running: killed or without power",
    GapReason.DEVICE_UNREACHABLE: "the device could not be reached",
    GapReason.BUFFER_QUARANTINED: "the gateway's buffer file was damaged and set aside",
    GapReason.AGENT_STOPPED: "the agent had been stopped",
    GapReason.THINNED_OUT: "thinned out by the gateway: its buffer was full",
    GapReason.NEVER_KEPT: "not kept by the gateway: its buffer or disk was full",
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
    from_us: int,
    to_us: int,
    holes: Iterable[Hole],
    declared: Iterable[Declared],
    samples: Samples | None,
    newest_us: int | None,
    silence_us: int | None = None,
    waiting: int = 0,
) -> list[Missing]:
    """Gaps that touch [from_us, to_us), in the order of time. `samples`: those of one tag, or None for the gateway as a whole.
    newest_us: the time of the newest sample of the gateway, if there is any. silence_us: of a tag that is polled; its samples then reach
    `reach_us` beyond the window on both sides, so that the gaps at its ends are judged by their true ends. waiting: batches that the gateway has said it still holds."""
    declared = tuple(declared)
    if samples is not None:
        holes = (hole for hole in holes if hole.stream != EVENTS)
        if silence_us is not None:
            claims = [*_of_holes(holes, declared, from_us, to_us), *_of_declared(declared), *_of_samples(samples, to_us)]
            found = _polled(from_us, to_us, claims, samples, newest_us, reach_us(silence_us))
            return [replace(gap, cause=WAITING.format(waiting)) if waiting and gap.cause == UNEXPLAINED else gap for gap in found]
    found = [*_of_holes(holes, declared, from_us, to_us), *_of_declared(declared)]
    if samples is not None and not samples.times_us.size:
        found.append(Missing(from_us, to_us, EMPTY))
    elif newest_us is None or to_us - newest_us > AWAITED_US:
        found.append(Missing(from_us if newest_us is None else newest_us, to_us, NOTHING_NEWER))
    if samples is not None:
        found += _of_samples(samples, to_us)
    return _within(found, from_us, to_us)


def _within(found: Iterable[Missing], from_us: int, to_us: int) -> list[Missing]:
    touching = (gap for gap in found if gap.from_us < to_us and gap.to_us >= from_us)
    return sorted(
        {Missing(max(gap.from_us, from_us), min(gap.to_us, to_us), gap.cause) for gap in touching}, key=lambda gap: (gap.from_us, gap.to_us)
    )


def reach_us(silence_us: int) -> int:
    """Two samples further apart than this have a gap between them: a poll may be late by half its interval."""
    return silence_us + silence_us // 2


def _polled(from_us: int, to_us: int, claims: Sequence[Missing], samples: Samples, newest_us: int | None, longest_us: int) -> list[Missing]:
    """From sample to sample, cut to the window. Where none came within `longest_us` before or after it, a gap goes over that end."""
    if newest_us is None:
        return [Missing(from_us, to_us, NOTHING_NEWER)]
    if newest_us <= from_us:
        return [Missing(from_us, to_us, NOTHING_NEWER if to_us - newest_us > AWAITED_US else EMPTY)]
    silent = np.isin(samples.quality, np.array(SILENT, np.uint32))
    times = samples.times_us[~silent]
    edges = times[(times > from_us - longest_us) & (times < to_us + longest_us)]
    if not edges.size or edges[0] > from_us:
        edges = np.append(from_us - longest_us - 1, edges)
    if edges[-1] < to_us:
        over = to_us - newest_us > AWAITED_US or bool(silent.size and silent[-1])
        edges = np.append(edges, to_us + longest_us + 1 if over else min(newest_us, to_us + longest_us))  # what is newer may be on its way
    if to_us - newest_us > AWAITED_US:
        claims = [*claims, Missing(newest_us, to_us, NOTHING_NEWER)]
    found: list[Missing] = []
    for at in np.flatnonzero(np.diff(edges) > longest_us).tolist():
        low, high = max(int(edges[at]), from_us), min(int(edges[at + 1]), to_us)
        if low < high:
            found += _explained(low, high, claims, longest_us)
    return found


def _explained(low: int, high: int, claims: Sequence[Missing], longest_us: int) -> list[Missing]:
    """A gap in parts, each with the first claim that covers it; a remainder too short for a sample goes with the part before or after it."""
    over = [claim for claim in claims if claim.from_us < high and claim.to_us > low]
    cuts = sorted({low, high, *(max(claim.from_us, low) for claim in over), *(min(claim.to_us, high) for claim in over)})
    parts: list[Missing] = []
    for start, end in pairwise(cuts):
        cause = next((claim.cause for claim in over if claim.from_us <= start and claim.to_us >= end), "")
        if not cause and end - start > longest_us:
            cause = UNEXPLAINED
        if parts and (not cause or cause == parts[-1].cause or not parts[-1].cause):
            parts[-1] = Missing(parts[-1].from_us, end, parts[-1].cause or cause)
        else:
            parts.append(Missing(start, end, cause))
    return [part if part.cause else Missing(part.from_us, part.to_us, UNEXPLAINED) for part in parts]


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
