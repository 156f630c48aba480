"""State announced again by a new session is not a second sample; anything else is kept."""

import numpy as np

from edge.resume import LastKept
from protocols import quality
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.frame import Block

DEVICE = Device(
    "d", DeviceMap("m", "x", (), "opcua", None, tuple(Tag(f"t{i}", str(i), TagType.FLOAT64) for i in range(4))), "a:1", first_id=100
)


def scattered(*samples: tuple[int, int, float, int]) -> Block:
    tags, times, values, codes = zip(*samples, strict=True)
    return Block(np.array(tags, np.uint32), np.array(times, np.int64), np.array(values, np.float64), np.array(codes, np.uint32))


def grid(time_us: int, values: list[float]) -> Block:
    return Block(np.arange(100, 104, dtype=np.uint32), np.array([time_us], np.int64), np.array([values], np.float64))


def rows(blocks: object) -> list[tuple[int, int, float]]:
    return [
        (int(tag), int(time_us), float(value))
        for block in blocks  # type: ignore[attr-defined]
        for tag, time_us, value in zip(
            np.tile(block.tags, len(block.values) if block.values.ndim == 2 else 1),
            np.repeat(block.times_us, block.values.shape[1] if block.values.ndim == 2 else 1),
            block.values.ravel(),
            strict=True,
        )
    ]


def test_repeated_state_of_a_new_session_is_dropped() -> None:
    kept = LastKept(DEVICE)
    kept.remember([scattered((100, 5, 1.5, 0), (101, 6, np.nan, 0x80000000))])
    kept.begin()
    fresh = kept.fresh([scattered((100, 5, 1.5, 0), (101, 6, np.nan, 0x80000000), (102, 5, 1.5, 0), (100, 7, 1.5, 0))])
    assert rows(fresh) == [(102, 5, 1.5), (100, 7, 1.5)]


def test_sample_that_differs_in_time_value_or_quality_is_kept() -> None:
    for sample in ((100, 6, 1.5, 0), (100, 5, 2.5, 0), (100, 5, 1.5, 0x40000000), (100, 5, -0.0, 0)):
        kept = LastKept(DEVICE)
        kept.remember([scattered((100, 5, 0.0 if sample[2] == 0 else 1.5, 0))])
        kept.begin()
        assert len(rows(kept.fresh([scattered(sample)]))) == 1


def test_only_the_first_sample_of_a_tag_is_checked_and_later_equal_ones_are_kept() -> None:
    kept = LastKept(DEVICE)
    kept.remember([scattered((100, 5, 1.5, 0))])
    kept.begin()
    fresh = kept.fresh([scattered((100, 5, 1.5, 0), (100, 5, 1.5, 0))])
    assert rows(fresh) == [(100, 5, 1.5)]
    assert rows(kept.fresh([scattered((100, 5, 1.5, 0))])) == [(100, 5, 1.5)]


def test_repeated_poll_is_dropped_and_a_new_one_passes_untouched() -> None:
    kept = LastKept(DEVICE)
    kept.remember([grid(5, [1, 2, 3, 4])])
    kept.begin()
    assert list(kept.fresh([grid(5, [1, 2, 3, 4])])) == []
    blocks = [grid(6, [1, 2, 3, 4])]
    assert kept.fresh(blocks) is blocks


def test_within_a_session_nothing_is_dropped() -> None:
    kept = LastKept(DEVICE)
    kept.begin()
    block = [scattered((100, 5, 1.5, 0))]
    assert kept.fresh(block) is block
    kept.remember(block)
    assert kept.fresh(block) is block


def test_newest_of_polls_and_notifications_counts_whatever_their_order() -> None:
    tags = np.arange(100, 104, dtype=np.uint32)

    def poll(time_us: int, value: float) -> Block:
        return Block(tags, np.array([time_us], np.int64), np.full((1, 4), value))

    kept = LastKept(DEVICE)
    kept.remember([poll(1, 1.0)])
    kept.remember([scattered((100, 2, 2.0, 0))])
    kept.remember([poll(3, 3.0)])
    kept.remember([scattered((101, 4, 4.0, 0))])
    kept.begin()
    fresh = kept.fresh([scattered((100, 3, 3.0, 0), (101, 4, 4.0, 0), (102, 1, 1.0, 0), (103, 3, 3.0, 0))])
    assert rows(fresh) == [(102, 1, 1.0)]


def test_polls_of_many_groups_are_all_remembered() -> None:
    kept = LastKept(DEVICE)
    for time_us in range(200):  # an array of its own per poll, as when frames come back from the buffer
        tag = np.array([100 + time_us % 4], np.uint32)
        kept.remember([Block(tag, np.array([time_us], np.int64), np.array([[float(time_us)]]))])
    kept.begin()
    assert rows(kept.fresh([scattered(*((100 + tag, 196 + tag, 196.0 + tag, 0) for tag in range(4)))])) == []


def test_newest_sample_of_the_device_itself_is_told_without_our_own_bad_ones() -> None:
    device = Device(
        "d",
        DeviceMap("m", "x", (), "opcua", None, tuple(Tag(f"t{index}", str(index), TagType.INT32) for index in range(3))),
        "a:1",
        first_id=5,
    )
    kept = LastKept(device)

    def block(time_us: int, code: int, tags: int) -> Block:
        codes = np.full(tags, code, np.uint32)
        return Block(np.arange(5, 5 + tags, dtype=np.uint32), np.full(tags, time_us), np.zeros(tags, np.int32), codes)

    kept.remember([block(100, 0, 2), block(200, quality.BAD_SENSOR_FAILURE, 1), block(300, quality.BAD_NO_COMMUNICATION, 3)])
    assert kept.last_us() == {0: 200, 1: 100}
