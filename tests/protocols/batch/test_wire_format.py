"""The examples of docs/wire-format.md are what the code writes and reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.batch import deltas
from protocols.batch.columns import Grid, Group, decode_groups, encode_groups

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "wire-format.md").read_text()

GROUPS = [
    pytest.param(np.array([[1, 7], [2, 7], [4, 6]], np.int32), "1, 1, `0107000000000000`, `02040001`", id="counts"),
    pytest.param(np.array([[1.5, 2.5], [1.25, 2.0]], np.float32), "2, 4, `00000000c0203f40`, `ffffffff3f3f0000`", id="float32"),
    pytest.param(np.array([[60.01], [60.02], [59.9]]), "5, 1, `0271170000`, `0217`", id="decimal"),
    pytest.param(np.array([[0.1 + 0.2], [1 / 3]]), "3, 8, `343333333333d33f`, `6166666666660600`", id="xor"),
]


@pytest.mark.parametrize(("values", "text"), GROUPS)
def test_example_group_is_written_and_read_as_the_page_says(values: np.ndarray[Any, Any], text: str) -> None:
    rows, k = values.shape
    grid, ((_, encoding, width, first, rest),) = encode_groups((Group(np.arange(k, dtype=np.uint32), np.arange(rows) * 10, values),))
    assert f"{encoding:d}, {width}, `{first.hex()}`, `{rest.hex()}`" == text
    assert f"| {text} |" in PAGE
    assert grid == Grid(0, 10, rows)


def test_example_quality_is_written_as_the_page_says() -> None:
    codes = np.array([0, 0, 0, 0x8000_0000, *[0] * 200], np.uint32)
    assert f"`{deltas.encode_runs(codes).hex()}`" in PAGE


@pytest.mark.parametrize("times", [[[1000, 2000, 3500]], [[1000, 2000, 3500], [1001, 2001, 3001]]])
def test_example_times_are_written_as_the_page_says(times: list[list[int]]) -> None:
    written = deltas.encode_times(np.array(times), shared=len(times) == 1)
    assert f"`{written.hex()}`" in PAGE
    assert deltas.decode_times(written, len(times))[0].tolist() == times


def test_an_unsigned_register_travels_as_its_bit_pattern() -> None:
    values = np.array([[4_000_000_000], [4_294_967_295], [0]], np.uint32).view(np.int32)
    (read,) = decode_groups(*encode_groups((Group(np.array([1], np.uint32), np.arange(3), values),)))
    assert read.values.copy().view(np.uint32).ravel().tolist() == [4_000_000_000, 4_294_967_295, 0]
