"""What reached the hub against what the simulators served, sample by sample.

lost: served at or after `since_us` and not stored. doubled: stored more than once. wrong: stored with another value or quality than was
served, or never served at all. Samples that the agent made itself because a device was silent (bad quality, at a time that was never
served) are counted apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols import quality

MAX_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Series:
    """One tag: int64 microseconds, float64 engineering values (NaN where quality is bad), uint32 qualities."""

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


@dataclass(slots=True)
class Comparison:
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    agent_made: int = 0
    protocols: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.lost == self.doubled == self.wrong == 0

    def example(self, text: str) -> None:
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(text)


def read_truth(lines: Iterable[str]) -> tuple[dict[str, Series], dict[str, str]]:
    """Lines of a TruthLog -> series by tag name, and the protocol of each tag. A torn last line of a killed simulator is left out."""
    columns: dict[str, tuple[list[int], list[float], list[int]]] = defaultdict(lambda: ([], [], []))
    protocols: dict[str, str] = {}
    for line in lines:
        if not line.endswith("\n"):
            break
        protocol, name, time_us, value, code = line.rstrip("\n").split(",")
        times, values, codes = columns[name]
        times.append(int(time_us))
        values.append(float(value))
        codes.append(int(code))
        protocols[name] = protocol
    return {name: series(*arrays) for name, arrays in columns.items()}, protocols


def series(times_us: Iterable[int], values: Iterable[float | None], codes: Iterable[int]) -> Series:
    return Series(
        np.array(list(times_us), np.int64),
        np.array([np.nan if value is None else value for value in values], np.float64),
        np.array(list(codes), np.uint32),
    )


def compare(truth: Mapping[str, Series], stored: Mapping[str, Series], protocols: Mapping[str, str], since_us: int = 0) -> Comparison:
    result = Comparison()
    for name in sorted(truth.keys() | stored.keys()):
        before = result.stored
        _compare_tag(name, truth.get(name, series((), (), ())), stored.get(name, series((), (), ())), since_us, result)
        protocol = protocols.get(name, "unknown")
        result.protocols[protocol] = result.protocols.get(protocol, 0) + result.stored - before
    return result


def _compare_tag(name: str, truth: Series, stored: Series, since_us: int, result: Comparison) -> None:
    result.stored += len(stored.times_us)
    served, order = np.unique(truth.times_us, return_index=True)
    if not len(served):
        result.wrong += len(stored.times_us)
        if len(stored.times_us):
            result.example(f"{name}: {len(stored.times_us)} samples stored of a tag that was never served")
        return
    place = np.minimum(np.searchsorted(served, stored.times_us), len(served) - 1)
    known = served[place] == stored.times_us
    own = ~known & (stored.quality & quality.BAD != 0)
    result.agent_made += int(own.sum())
    match = order[place]
    bad = truth.quality[match] & quality.BAD != 0
    same_value = bad | (truth.values[match] == stored.values) | (np.isnan(truth.values[match]) & np.isnan(stored.values))
    wrong = ~own & ~(known & same_value & (truth.quality[match] == stored.quality))
    result.wrong += int(wrong.sum())
    for index in np.flatnonzero(wrong)[:2]:
        expected = (
            f"{truth.values[match[index]]!r} {quality.name(int(truth.quality[match[index]]))}" if known[index] else "nothing at that time"
        )
        result.example(
            f"{name} at {stored.times_us[index]}: stored {stored.values[index]!r} {quality.name(int(stored.quality[index]))}, served {expected}"
        )
    counts = np.bincount(place[known], minlength=len(served))
    result.doubled += int(np.maximum(counts - 1, 0).sum())
    lost = served[(counts == 0) & (served >= since_us)]
    result.lost += len(lost)
    for moment in lost[:2]:
        result.example(f"{name} at {moment}: served, not stored")
