from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols.batch import columns, statement
from protocols.batch.columns import Encoding, Group, decode_groups, encode_groups, gather
from protocols.batch.errors import BatchError
from protocols.frame import Block

TYPES = ("int32", "int64", "float32", "float64")
Sample = tuple[int, int, bytes, int]


def of_blocks(blocks: list[Block]) -> list[Sample]:
    """(tag, time, value bits with type, quality) of each sample, in order of arrival."""
    found: list[Sample] = []
    for block in blocks:
        values = np.atleast_2d(block.values)
        quality = np.zeros(values.shape, np.uint32) if block.quality is None else np.atleast_2d(block.quality)
        for i, j in np.ndindex(values.shape):
            time = block.times_us[i if block.values.ndim == 2 else j]
            found.append((int(block.tags[j]), int(time), values.dtype.str.encode() + values[i, j].tobytes(), int(quality[i, j])))
    return found


def of_groups(groups: tuple[Group, ...]) -> list[Sample]:
    return of_blocks([Block(g.tags, g.times_us, g.values, g.quality) for g in groups])


def times(draw: st.DrawFn, rows: int) -> np.ndarray[Any, Any]:
    if draw(st.booleans()):
        return draw(st.integers(-(10**15), 10**16)) + draw(st.integers(-5, 10**7)) * np.arange(rows, dtype=np.int64)
    return draw(hnp.arrays(np.int64, rows, elements=st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5)))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    k, rows = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    shape = (rows, k) if draw(st.booleans()) else (k,)
    bits = st.integers(0, 2 ** (8 * dtype.itemsize) - 1)
    if dtype == np.float64 and draw(st.booleans()):
        values = draw(hnp.arrays(np.int32, shape)) / 10.0 ** draw(st.integers(0, 9))
    elif draw(st.booleans()):
        values = np.full(shape, draw(st.integers(-5, 5))).astype(dtype)
    else:
        values = draw(hnp.arrays(np.dtype(f"u{dtype.itemsize}"), shape, elements=bits)).view(dtype)
    tags = draw(hnp.arrays(np.uint32, k, elements=st.integers(0, 4) | st.integers(0, 2**32 - 1)))
    quality = draw(st.none() | hnp.arrays(np.uint32, shape, elements=st.sampled_from([0, 0x8000_0000, 0x4090_0000])))
    return Block(tags, times(draw, rows if len(shape) == 2 else k), values, quality)


@settings(max_examples=400, deadline=None)
@given(st.lists(blocks(), max_size=6))
def test_gather_encode_and_decode_keep_every_sample_to_the_bit(given_blocks: list[Block]) -> None:
    groups = gather(given_blocks)
    assert sorted(of_groups(groups)) == sorted(of_blocks(given_blocks))
    plain = statement.encode_payload(statement.Payload(bytes(32), groups))
    assert sorted(of_groups(statement.decode_payload(plain).groups)) == sorted(of_blocks(given_blocks))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_each_tag_keeps_its_order_of_arrival_at_equal_and_falling_times(arrivals: list[tuple[int, int]]) -> None:
    tags, at = np.array(arrivals, np.int64).T
    block = Block(tags.astype(np.uint32), at, np.arange(len(tags), dtype=np.int32))
    read = of_groups(decode_groups(*encode_groups(gather([block]))))
    for tag in range(4):
        assert [s for s in read if s[0] == tag] == [s for s in of_blocks([block]) if s[0] == tag]


def test_polls_of_the_same_block_become_rows_and_blocks_of_the_same_times_stand_side_by_side() -> None:
    polls = [
        Block(np.array(tags, np.uint32), np.array([t]), np.array([[t, t]], np.int32)) for t in (100, 200, 300) for tags in ([1, 2], [3, 4])
    ]
    (group,) = gather(polls)
    assert group.tags.tolist() == [1, 2, 3, 4]
    assert group.times_us.tolist() == [100, 200, 300]
    assert group.values.tolist() == [[100] * 4, [200] * 4, [300] * 4]


def test_tags_notified_at_the_same_times_share_a_group() -> None:
    block = Block(np.array([7, 8, 7, 9, 8], np.uint32), np.array([1, 1, 2, 5, 2]), np.array([10.0, 20.0, 11.0, 30.0, 21.0]))
    shapes = {tuple(g.tags.tolist()): g.values.tolist() for g in gather([block])}
    assert shapes == {(7, 8): [[10.0, 20.0], [11.0, 21.0]], (9,): [[30.0]]}


def test_a_repeated_tag_in_one_poll_keeps_both_values() -> None:
    (group,) = gather([Block(np.array([5, 5], np.uint32), np.array([1]), np.array([[1, 2]], np.int32))])
    assert of_groups(decode_groups(*encode_groups((group,)))) == of_groups((group,))


def test_groups_on_one_arithmetic_grid_carry_no_times() -> None:
    groups = tuple(Group(np.array([j], np.uint32), np.arange(4) * 1000 + 5, np.zeros((4, 1), t)) for j, t in enumerate(("i4", "f4", "f8")))
    grid, wire = encode_groups(groups)
    assert (grid.t0_us, grid.dt_us, grid.rows) == (5, 1000, 4)
    assert all(len(group) == 5 for group in wire)


def test_a_thousand_tags_with_times_of_their_own_need_few_groups_on_the_wire() -> None:
    rng = np.random.default_rng(4)
    tags = np.repeat(np.arange(1000, dtype=np.uint32), 10)
    block = Block(tags, rng.integers(0, 10**9, tags.size), rng.normal(size=tags.size).astype(np.float32))
    grid, wire = encode_groups(gather([block]))
    assert len(wire) == 1
    assert sorted(of_groups(decode_groups(grid, wire))) == sorted(of_blocks([block]))


@pytest.mark.parametrize("encoding", [Encoding.RAW, Encoding.CONSTANT])
@pytest.mark.parametrize("dtype", TYPES)
def test_raw_and_constant_groups_of_every_type_are_read(encoding: Encoding, dtype: str) -> None:
    values = np.repeat(np.array([[1], [-7], [99]]), 4, axis=1).astype(dtype)
    if encoding is Encoding.RAW:
        values[1, 2] = 55
    width, first, rest = columns.encode_columns(encoding, values)
    read = columns.decode_columns(encoding, width, first, rest, 3, 4)
    assert read.dtype == values.dtype
    assert read.tobytes() == values.tobytes()


@pytest.mark.parametrize("value", [np.nan, -0.0, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])
def test_floats_that_are_no_decimals_are_never_taken_for_them(value: float) -> None:
    column = np.array([[value, 1.5, 2.25]])
    assert columns.decimals(column).tolist() == [-1]
    group = Group(np.array([1], np.uint32), np.arange(3), column.T)
    assert of_groups(decode_groups(*encode_groups((group,)))) == of_groups((group,))


def test_decimals_are_found_with_the_fewest_digits() -> None:
    found = columns.decimals(np.array([[1.0, 2.0, 3.0], [1.5, 2.25, 3.0], [60.82, 60.81, 60.8], [1e-9, 0.0, 2.0]]))
    assert found.tolist() == [0, 2, 2, 9]


def test_int64_counters_that_wrap_are_exact() -> None:
    column = np.array([2**63 - 1, -(2**63), 0, -1], np.int64)
    group = Group(np.array([1], np.uint32), np.arange(4), column[:, None])
    (read,) = decode_groups(*encode_groups((group,)))
    assert read.values[:, 0].tolist() == column.tolist()


@pytest.mark.parametrize("runs", [[1], [3, 200], [127, 128, 16_384, 1], [1, 1, 1, 1], [300_000]])
def test_quality_runs_of_every_length_are_kept(runs: list[int]) -> None:
    from protocols.batch import deltas

    codes = np.repeat(np.arange(len(runs), dtype=np.uint32) * 0x4000_0001, runs)
    assert np.array_equal(deltas.decode_runs(deltas.encode_runs(codes), codes.size), codes)


@settings(max_examples=300, deadline=None)
@given(st.lists(blocks(), min_size=1, max_size=3), st.data())
def test_damaged_groups_raise_only_our_error(given_blocks: list[Block], data: st.DataObject) -> None:
    grid, wire = encode_groups(gather(given_blocks))
    group = list(data.draw(st.sampled_from(wire)))
    place = data.draw(st.integers(1, len(group) - 1))
    group[place] = data.draw(st.binary(max_size=40)) if isinstance(group[place], bytes) else data.draw(st.integers(0, 2**33))
    try:
        decode_groups(grid, [group])
    except BatchError:
        return


ONE = np.ones((1, 1), np.int32)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(Block(np.array([1], np.uint32), np.array([1]), ONE.astype(np.uint16)), id="values of 16 bits"),
        pytest.param(Block(np.array([1]), np.array([1]), ONE), id="tags of 64 bits"),
        pytest.param(Block(np.array([1], np.uint32), np.array([1.0]), ONE), id="times as floats"),
        pytest.param(Block(np.array([1, 2], np.uint32), np.array([1]), ONE), id="a tag too many"),
        pytest.param(Block(np.array([1], np.uint32), np.array([1, 2]), ONE), id="a time too many"),
        pytest.param(Block(np.array([1, 2], np.uint32), np.array([1]), np.ones(2)), id="scattered with one time"),
        pytest.param(Block(np.array([1], np.uint32), np.array([1]), ONE, np.zeros(1, np.uint32)), id="quality of another shape"),
    ],
)
def test_a_block_whose_arrays_do_not_fit_is_refused(block: Block) -> None:
    with pytest.raises(ValueError, match="a block of"):
        gather([block])


def test_times_at_the_ends_of_64_bits_are_kept() -> None:
    for at in ([2**63 - 1], [-(2**63), 2**63 - 1], [2**63 - 2, -(2**63) + 1], [2**63 - 3, 2**63 - 2, 2**63 - 1]):
        group = Group(np.array([1], np.uint32), np.array(at, np.int64), np.ones((len(at), 1), np.int32))
        plain = statement.encode_payload(statement.Payload(bytes(32), (group,)))
        assert statement.decode_payload(plain).groups[0].times_us.tolist() == at
