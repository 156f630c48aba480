import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError
from cloud.assets.availability import outage_table, two_state


def test_two_state_month_equals_the_closed_form() -> None:
    found = two_state(1000, 50, 720)
    assert found.steady == pytest.approx(0.9523809524, abs=1e-9)
    assert found.mean_from_up == pytest.approx(0.9555303594, abs=1e-9)
    assert found.variance == pytest.approx(0.005602121512, abs=1e-9)


def test_asset_that_never_fails_is_always_available() -> None:
    found = two_state([np.inf, 1000.0], [50.0, 0.0], 720)
    assert found.mean_from_up.tolist() == [1.0, 1.0]
    assert found.variance.tolist() == [0.0, 0.0]


@settings(max_examples=60)
@given(st.floats(1, 1e6), st.floats(0.01, 1e4), st.floats(0, 1e6))
def test_mean_from_up_lies_between_steady_state_and_one(mtbf: float, mttr: float, hours: float) -> None:
    found = two_state(mtbf, mttr, hours)
    assert found.steady - 1e-12 <= found.mean_from_up <= 1 + 1e-12
    assert 0 <= found.variance <= found.steady * (1 - found.steady) + 1e-12


def test_spread_of_a_short_period_has_no_jump_where_the_series_begins() -> None:
    below, above = (two_state(1000, 50, x / (1 / 1000 + 1 / 50)).variance for x in (0.0099999, 0.0100001))
    assert below == pytest.approx(above, rel=1e-6)


def test_outage_table_of_two_units_is_their_product() -> None:
    table = outage_table([100, 50], [0.1, 0.2], 50)
    assert table.probability == pytest.approx([0.72, 0.18, 0.08, 0.02])
    assert table.exceedance[0] == pytest.approx(1.0)
    assert table.expected_shortfall_of(150) == pytest.approx(100 * 0.1 + 50 * 0.2)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=1, max_size=8))
def test_outage_table_sums_to_one_with_the_right_mean(units: list[tuple[int, float]]) -> None:
    sizes, shares = np.array(units).T
    table = outage_table(sizes, shares, 1.0)
    assert table.probability.sum() == pytest.approx(1.0)
    assert table.probability @ table.outage == pytest.approx(sizes @ shares)


def test_capacity_that_is_no_multiple_of_the_step_is_refused() -> None:
    with pytest.raises(AssetError, match="whole multiples"):
        outage_table([100, 33], [0.1, 0.1], 50)


def test_nan_is_refused() -> None:
    with pytest.raises(AssetError, match="mtbf_h: expected numbers, found NaN"):
        two_state(float("nan"), 50, 720)
