"""Wandering values fit their types, move, and are the same for the same seed."""

from decimal import Decimal
from itertools import pairwise

import numpy as np

from protocols.devicemap import SHIPPED, Tag, TagType, load_device_map, to_raw
from simulators.wander import WanderSource

STEPS = 200


def test_values_of_every_shipped_map_can_be_carried_and_move() -> None:
    for path in sorted(SHIPPED.glob("*.toml")):
        tags = load_device_map(path).tags
        source, again = WanderSource(tags, 3), WanderSource(tags, 3)
        steps = [source.step(number, number).values for number in range(STEPS)]
        assert np.array_equal(steps, [again.step(number, number).values for number in range(STEPS)])
        for index, tag in enumerate(tags):
            column = np.array([step[index] for step in steps])
            raw = to_raw(column, tag.type, tag.scale, tag.offset)
            assert tag.invalid is None or tag.invalid % (1 << 64) not in (raw.astype(np.int64).view(np.uint64).tolist())
            assert len(set(raw.tolist())) > 1, f"{path.stem}.{tag.name} stands still"


def test_counters_rise_and_roll_over() -> None:
    tag = Tag("n", "a", TagType.UINT16, scale=Decimal("0.5"), counter=True, rollover=100)
    values = [float(WanderSource((tag,), 1).step(number, 0).values[0]) for number in range(250)]
    rises = [round((right - left) / 0.5) for left, right in pairwise(values)]
    assert set(rises) == {1, -99}
    assert max(values) < 50
