"""What is dropped can be reconstructed within the deadband at every instant; what must not be dropped never is."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.thinning import Thinning
from protocols import quality
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.devicemap import Thinning as Rule
from protocols.frame import Block

SECOND = 1_000_000
Sample = tuple[int, float, int]  # time, value, quality


def device(*tags: Tag) -> Device:
    return Device("d", DeviceMap("m", "x", (), "modbus", None, tags), "a:1", first_id=10)


def tag(name: str = "t", *, band: float | None = 0.5, door: bool = False, kind: TagType = TagType.FLOAT64, silence_s: int = 60) -> Tag:
    return Tag(name, name, kind, thinning=None if band is None else Rule(band, silence_s * SECOND, door))


def poll(sample: Sample) -> Block:
    time_us, value, code = sample
    codes = np.array([[code]], np.uint32) if code else None
    return Block(np.array([10], np.uint32), np.array([time_us], np.int64), np.array([[value]]), codes)


def scattered(samples: Iterable[Sample]) -> Block:
    times, values, codes = zip(*samples, strict=True)
    return Block(np.full(len(times), 10, np.uint32), np.array(times), np.array(values, np.float64), np.array(codes, np.uint32))


def read(blocks: Iterable[Block]) -> list[Sample]:
    found: list[Sample] = []
    for block in blocks:
        codes = np.zeros(block.values.size, np.uint32) if block.quality is None else block.quality.ravel()
        times = np.broadcast_to(block.times_us, (block.values.size,)) if block.values.ndim == 2 else block.times_us
        found += list(zip(times.tolist(), block.values.ravel().tolist(), codes.tolist(), strict=True))
    return found


def kept(samples: list[Sample], rule: Tag, *, at_once: bool) -> list[Sample]:
    thinning = Thinning(device(rule))
    found: list[Sample] = []
    for block in [scattered(samples)] if at_once else [poll(sample) for sample in samples]:
        found += read(thinning.thin([block]))
    return found + read(thinning.held())


steps = st.lists(
    st.tuples(
        st.integers(1, 90 * SECOND),
        st.one_of(st.floats(-3, 3), st.sampled_from([0.0, 1.0, 1.5, 1e9])),
        st.sampled_from([0, 0, 0, 0, quality.UNCERTAIN, quality.BAD_SENSOR_FAILURE]),
    ),
    min_size=1,
    max_size=60,
)


def samples_of(found: list[tuple[int, float, int]]) -> list[Sample]:
    times = np.cumsum([step for step, _, _ in found]).tolist()
    return [(time_us, 0.0 if code >> 31 else value, code) for time_us, (_, value, code) in zip(times, found, strict=True)]


@settings(max_examples=150, deadline=None)
@given(steps, st.booleans(), st.booleans())
def test_reconstruction_is_within_the_deadband_at_every_instant(found: list[tuple[int, float, int]], door: bool, at_once: bool) -> None:
    samples = samples_of(found)
    held = kept(samples, tag(door=door), at_once=at_once)
    assert [one for one in held if one in samples] == held  # nothing invented
    assert [time for time, _, _ in held] == sorted({time for time, _, _ in held})
    assert held[-1] == samples[-1] or not door  # the last one that waits is kept in the end
    for time_us, value, code in samples:
        before = max(one for one in held if one[0] <= time_us)
        after = min((one for one in held if one[0] >= time_us), default=before)
        if code >> 31:
            assert (time_us, value, code) in held
            continue
        assert before[2] == code
        drawn = before[1]
        if door and after[0] > before[0]:
            drawn += (after[1] - before[1]) * (time_us - before[0]) / (after[0] - before[0])
        assert abs(drawn - value) <= 0.5 * (1 + 1e-12) + 1e-15 * abs(value)


@settings(max_examples=60, deadline=None)
@given(steps, st.booleans())
def test_no_silence_is_longer_than_asked_and_every_change_of_quality_is_kept(found: list[tuple[int, float, int]], door: bool) -> None:
    samples = samples_of(found)
    held = kept(samples, tag(door=door), at_once=False)
    for left, right in pairwise(held):
        dropped = [one for one in samples if left[0] < one[0] < right[0]]
        assert all(one[0] - left[0] < 60 * SECOND for one in dropped)
    changes = [one for before, one in pairwise(samples) if before[2] != one[2]]
    assert set(changes) <= set(held)


def test_tags_without_a_deadband_are_never_thinned() -> None:
    thinning = Thinning(device(tag("a", band=None), tag("b"), tag("c", door=True)))
    tags, counts = np.array([10, 11, 12], np.uint32), [0, 0, 0]
    for number in range(100):
        block = Block(tags, np.array([number * SECOND]), np.array([[5.0, 5.0, 5.0]]))
        for part in thinning.thin([block]):
            for one in part.tags.tolist():
                counts[one - 10] += 1
    assert counts == [100, 2, 2]  # 0 s and 60 s; the door lets the one before its heartbeat out with it


def test_untouched_blocks_are_passed_on_as_they_are() -> None:
    thinning = Thinning(device(tag("a", band=None), tag("b")))
    blocks = [poll((SECOND, 1.0, 0))]
    assert thinning.thin(blocks) is blocks
    assert Thinning(device(tag("a", band=None))).active is False


@pytest.mark.parametrize("kind", [TagType.UINT32, TagType.UINT64])
def test_deadband_is_in_engineering_units_of_unsigned_raw_counts(kind: TagType) -> None:
    scaled = Tag("t", "t", kind, scale=Decimal("0.1"), offset=Decimal(-5), thinning=Rule(1.0, 3600 * SECOND))
    thinning = Thinning(device(scaled))
    top = (1 << 31 if kind is TagType.UINT32 else 1 << 53) - 5
    raw = np.array([top, top + 9, top + 11, top + 12], np.uint64).astype(kind.native).view(kind.column)
    found = [
        read(thinning.thin([Block(np.array([10], np.uint32), np.array([number], np.int64), raw[number : number + 1][None])]))
        for number in range(4)
    ]
    assert [bool(one) for one in found] == [True, False, True, False]


def test_after_a_failure_the_next_sample_is_kept() -> None:
    thinning = Thinning(device(tag()))
    assert thinning.thin([poll((SECOND, 1.0, 0))])
    assert not thinning.thin([poll((2 * SECOND, 1.0, 0))])
    thinning.forget()
    assert thinning.thin([poll((3 * SECOND, 1.0, 0))])
