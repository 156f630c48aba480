import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.assets.physics import FORMULAS, ZERO_CELSIUS_K, polytropic_efficiency


@given(st.floats(0.5, 100), st.floats(1.1, 8), st.floats(-30, 120), st.floats(0.3, 0.99), st.floats(1.05, 1.67))
def test_efficiency_of_a_polytropic_compression_is_found_again(low: float, ratio: float, celsius: float, eta: float, kappa: float) -> None:
    # T2/T1 = (p2/p1)^((kappa - 1) / (kappa eta)), the definition of polytropic efficiency for an ideal gas
    hot = (celsius + ZERO_CELSIUS_K) * ratio ** ((kappa - 1) / (kappa * eta)) - ZERO_CELSIUS_K
    value, usable = polytropic_efficiency([np.array([one]) for one in (low, low * ratio, celsius, hot)], kappa)
    assert usable.all()
    assert value[0] == pytest.approx(eta, rel=1e-6)


def test_efficiency_of_a_known_isentropic_compression_is_that_by_hand() -> None:
    # air, pressure ratio 4, isentropic efficiency 0.80: ln 1.48599 / ln(1 + 0.48599 / 0.80) = 0.39608 / 0.47468
    hot = 300.0 * (1 + (4 ** (0.4 / 1.4) - 1) / 0.80)
    value, _ = polytropic_efficiency([np.array([one]) for one in (1.0, 4.0, 300 - ZERO_CELSIUS_K, hot - ZERO_CELSIUS_K)], 1.4)
    assert value[0] == pytest.approx(0.83442, abs=5e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        (0.0, 50.0, 57.0, 154.0),
        (20.0, 20.0, 57.0, 154.0),
        (20.0, 50.0, 154.0, 57.0),
        (20.0, 50.0, -300.0, 154.0),
        (np.nan, 50.0, 57.0, 154.0),
    ],
    ids=["no suction pressure", "no compression", "cooling", "below absolute zero", "not a number"],
)
def test_inputs_outside_the_domain_give_no_number(inputs: tuple[float, ...]) -> None:
    value, usable = polytropic_efficiency([np.array([one]) for one in inputs], 1.27)
    assert not usable.any()
    assert value.tolist() == [0.0]


def test_every_formula_names_its_source_and_the_units_of_its_inputs() -> None:
    for formula in FORMULAS.values():
        assert formula.source
        assert all(units for _, units in formula.inputs)
