from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.compliance.parameters import ParameterSet, Undetermined
from cloud.compliance.surveillance.columns import Ints, Orders, SurveillanceError, codes, floats, ints, joined, key
from cloud.compliance.surveillance.definitions import definitions, shipped
from tests.cloud.compliance.rule_cases import TODAY
from tests.cloud.compliance.surveillance.figures import trades

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=25)


def column(rows: list[tuple[int, int]], place: int) -> Ints:
    return ints(row[place] for row in rows)


@given(ROWS, ROWS, st.integers(0, 20))
def test_the_join_finds_exactly_the_pairs_of_equal_key_within_the_window(
    left: list[tuple[int, int]], right: list[tuple[int, int]], window: int
) -> None:
    rows, others = joined((column(left, 0), column(left, 1)), (column(right, 0), column(right, 1)), window)
    wanted = {(a, b) for a, (k, t) in enumerate(left) for b, (m, u) in enumerate(right) if k == m and 0 <= u - t <= window}
    found = list(zip(rows.tolist(), others.tolist(), strict=True))
    assert set(found) == wanted
    assert len(found) == len(wanted)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_keys_are_equal_where_all_columns_are(rows: list[tuple[int, int]]) -> None:
    made = key(column(rows, 0), column(rows, 1)).tolist()
    assert all((made[a] == made[b]) == (rows[a] == rows[b]) for a in range(len(rows)) for b in range(len(rows)))


def test_what_does_not_fit_a_key_is_refused() -> None:
    huge = ints([2**40])
    with pytest.raises(SurveillanceError, match="split the columns"):
        key(huge, huge)


def test_codes_follow_the_alphabet() -> None:
    assert codes(["b", "a", "b"]) == {"a": 0, "b": 1}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((0, 1, 2, float("nan"), 1), "price: expected finite"),
        ((0, 1, 2, 1, 0), "quantity: found a value below"),
        ((0, -2, 2, 1, 1), "buyer: found a value below"),
        ((-1, 1, 2, 1, 1), "time_us: expected times"),
        ((8e9, 1, 2, 1, 1), "time_us: expected times"),
    ],
)
def test_a_column_that_cannot_be_is_refused_by_name(row: tuple[float, int, int, float, float], says: str) -> None:
    with pytest.raises(SurveillanceError, match=says):
        trades(row)


def order(**changes: object) -> Orders:
    one = {
        "time_us": ints([10]), "owner": ints([0]), "instrument": ints([0]), "side": ints([1]), "quantity": floats([5.0]),
        "filled": floats([0.0]), "fill_us": ints([-1]), "cancel_us": ints([-1]), "moved_ticks": floats([0.0]),
    }  # fmt: skip
    return Orders(**{**one, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"side": ints([0])}, "side: expected 1 or -1"),
        ({"filled": floats([6.0])}, "filled: expected from 0"),
        ({"filled": floats([1.0])}, "fill_us: expected a time"),
        ({"cancel_us": ints([9])}, "cancel_us: expected no cancellation before"),
        ({"owner": ints([0, 1])}, "columns of one length"),
    ],
)
def test_an_order_that_cannot_be_is_refused_by_name(changes: dict[str, object], says: str) -> None:
    assert order().side.tolist() == [1]
    with pytest.raises(SurveillanceError, match=says):
        order(**changes)


def test_no_pattern_is_looked_for_without_its_figures() -> None:
    with pytest.raises(Undetermined, match="no value in force"):
        definitions(shipped(), TODAY.replace(year=2016, month=7, day=2))
    with pytest.raises(KeyError):
        definitions(ParameterSet({}), TODAY)


def test_every_figure_of_the_definitions_comes_from_the_file() -> None:
    found = definitions(shipped(), TODAY)
    assert found.digest == shipped().digest
    assert (found.wash.within_us, found.layering.ratio, found.close.share_pct, found.ignition.orders) == (60_000_000, 5.0, 30.0, 10)
    assert np.isclose(found.round_trip.price_pct, 0.1)


@pytest.mark.parametrize("name", sorted(shipped().parameters))
def test_changing_a_figure_of_the_file_changes_a_definition(name: str) -> None:
    parameter = shipped().parameters[name]
    values = tuple(replace(value, value=value.value * 2) for value in parameter.values if isinstance(value.value, Decimal))
    changed = definitions(ParameterSet({**shipped().parameters, name: replace(parameter, values=values)}), TODAY)
    assert replace(changed, digest="") != replace(definitions(shipped(), TODAY), digest="")
    assert all(value.reference and value.status for value in parameter.values)
