import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cloud.risk import measures
from cloud.risk.deltagamma import Quadratic, covariance_root
from cloud.risk.errors import Cause, Floats, RiskError


def book(seed: int, size: int = 5, bend: float = 0.3) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    root, curved = rng.standard_normal((2, size, size))
    return 3 * rng.standard_normal(size), bend * (curved + curved.T), root @ root.T


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_cumulants_are_the_traces_over_delta_gamma_and_omega(seed: int, size: int) -> None:
    d, g, o = book(seed, size)
    go = g @ o
    traces = (
        0.5 * np.trace(go),
        d @ o @ d + 0.5 * np.trace(go @ go),
        3 * d @ o @ g @ o @ d + np.trace(go @ go @ go),
        12 * d @ o @ go @ go @ d + 3 * np.trace(go @ go @ go @ go),
    )
    assert Quadratic.of(d, g, o).cumulants() == pytest.approx(traces, rel=1e-8, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.9, 0.999))
def test_without_curvature_every_way_is_the_normal_one_exactly(seed: int, level: float) -> None:
    d, g, o = book(seed, bend=0.0)
    found, exact = Quadratic.of(d, g, o), measures.linear_normal(d, o, level)[0]
    assert -found.quantile(1 - level) == pytest.approx(exact.var, rel=1e-8)
    assert -found.cornish_fisher(1 - level).value == pytest.approx(exact.var, rel=1e-8)
    assert found.tail(level).es == pytest.approx(exact.es, rel=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_curved_tail_of_one_chi_square_is_within_a_percent(sign: float) -> None:
    found = Quadratic.of([0.0], [[sign]], [[1e6]])
    for p in (0.95, 0.99, 0.999):
        exact = sign * 0.5e6 * stats.chi2.ppf(p, 1)
        assert found.quantile(p if sign > 0 else 1 - p) == pytest.approx(exact, rel=0.01)
    if sign < 0:
        q = stats.chi2.ppf(0.99, 1)  # E[Y; Y > q] of a chi-square(1) is P(chi-square(3) > q)
        assert found.tail(0.99).es == pytest.approx(0.5e6 * stats.chi2.sf(q, 3) / 0.01, rel=0.01)
        assert not found.cornish_fisher(0.99).monotone


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tail_matches_simulation_of_the_same_quadratic(seed: int) -> None:
    d, g, o = book(seed)
    moves = np.random.default_rng(seed).standard_normal((400_000, d.size)) @ covariance_root(o).T
    measured = measures.measure(-(moves @ d + 0.5 * ((moves @ g) * moves).sum(axis=1)), 0.99)
    tail = Quadratic.of(d, g, o).tail(0.99)
    assert tail.var == pytest.approx(measured.var, abs=4 * measured.var_error + 0.01 * measured.var)
    assert tail.es == pytest.approx(measured.es, abs=4 * measured.es_error + 0.01 * measured.es)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_quantiles_rise_with_p_and_es_is_beyond_var(seed: int) -> None:
    found = Quadratic.of(*book(seed, 4))
    quantiles = [found.quantile(p) for p in (0.001, 0.01, 0.05, 0.25, 0.75, 0.95, 0.99, 0.999)]
    assert (np.diff(quantiles) > 0).all()
    tail = found.tail(0.975)
    assert tail.es > tail.var


def test_a_singular_covariance_is_fine_and_an_impossible_one_is_refused_by_its_eigenvalue() -> None:
    ones = np.ones((2, 2))
    assert Quadratic.of([1.0, -1.0], np.zeros((2, 2)), ones).quantile(0.01) == pytest.approx(0.0, abs=1e-6)
    assert Quadratic.of([0.0, 0.0], np.zeros((2, 2)), ones).tail(0.99) == measures.Tail(0.0, 0.0)
    with pytest.raises(RiskError, match=r"smallest eigenvalue of omega.*not positive semidefinite.*-1") as caught:
        Quadratic.of([1.0, 1.0], np.zeros((2, 2)), [[1.0, 2.0], [2.0, 1.0]])
    assert caught.value.cause is Cause.NOT_POSITIVE_SEMIDEFINITE
    assert caught.value.value == pytest.approx(-1.0)
    with pytest.raises(RiskError) as caught:
        Quadratic.of([1.0, 1.0], np.zeros((2, 2)), [[1.0, 0.2], [0.1, 1.0]])
    assert caught.value.cause is Cause.NOT_SYMMETRIC
