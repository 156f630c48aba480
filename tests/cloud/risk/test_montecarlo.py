import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.risk import pricing
from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.montecarlo import Contracts, Model, revalue


def book(seed: int, size: int, model: Model | None = None) -> Contracts:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, size) if model is None else model
    return Contracts.of(
        model=kind,
        factor=rng.integers(0, 3, size),
        right=rng.choice([1, -1], size),
        quantity=rng.normal(0, 10, size),
        strike=rng.uniform(20, 90, size),
        vol=np.where(np.equal(kind, Model.NORMAL), 15.0, 0.4) * rng.choice([0.0, 0.5, 1.0], size),
        expiry_years=rng.choice([0.0, 0.3, 1.5], size),
        discount=rng.uniform(0.9, 1.0, size),
        group=rng.integers(0, 4, size),
    )


def one_by_one(contracts: Contracts, scenarios: Floats) -> Floats:
    """The same from the closed forms, contract after contract."""
    out = np.zeros((int(contracts.group.max()) + 1, len(scenarios)))
    for at in range(contracts.model.size):
        price, strike = scenarios[:, contracts.factor[at]], contracts.strike[at]
        terms = contracts.right[at], price, strike, contracts.vol[at], contracts.expiry_years[at]
        kind = contracts.model[at]
        value = price - strike if kind == Model.LINEAR else (pricing.black76 if kind == Model.LOGNORMAL else pricing.bachelier)(*terms)
        out[contracts.group[at]] += contracts.quantity[at] * contracts.discount[at] * value
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 700))
def test_revaluation_is_the_closed_form_of_every_contract(seed: int, size: int, scenarios: int) -> None:
    contracts = book(seed, size)
    prices = np.random.default_rng(seed + 1).uniform(5.0, 200.0, (scenarios, 3))
    found = revalue(contracts, prices)
    assert found.failures == ()
    assert found.values == pytest.approx(one_by_one(contracts, prices), abs=1e-9 * 100 * 10 * size)
    assert found.total == pytest.approx(found.values.sum(axis=0))


def test_an_extreme_price_gives_the_intrinsic_value() -> None:
    contracts = Contracts.of(
        model=Model.LOGNORMAL, factor=0, right=[1, -1], quantity=1.0, strike=50.0, vol=0.3, expiry_years=0.5, group=[0, 1]
    )
    values = revalue(contracts, [[1e-9], [1e9], [50.0]]).values
    assert values[:, 0] == pytest.approx([0.0, 50.0], abs=1e-9)
    assert values[:, 1] == pytest.approx([1e9 - 50.0, 0.0], abs=1e-2)
    assert values[:, 2] == pytest.approx(pricing.black76([1, -1], 50.0, 50.0, 0.3, 0.5), abs=1e-9)


def test_normal_contracts_are_valued_at_negative_prices() -> None:
    contracts = Contracts.of(
        model=Model.NORMAL, factor=0, right=[1, -1], quantity=1.0, strike=-10.0, vol=20.0, expiry_years=0.1, group=[0, 1]
    )
    values = revalue(contracts, [[-37.63], [0.0]]).values
    expected = pricing.bachelier([[1], [-1]], [-37.63, 0.0], -10.0, 20.0, 0.1)
    assert values == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_call_less_put_is_the_linear_position(seed: int) -> None:
    calls = book(seed, 50, Model.LOGNORMAL)
    columns = {name: getattr(calls, name) for name in ("factor", "quantity", "strike", "vol", "expiry_years", "discount", "group")}
    prices = np.random.default_rng(seed).uniform(5.0, 200.0, (100, 3))
    call, put, linear = (
        revalue(Contracts.of(model=model, right=right, **columns), prices).values
        for model, right in ((Model.LOGNORMAL, 1), (Model.LOGNORMAL, -1), (Model.LINEAR, 1))
    )
    assert call - put == pytest.approx(linear, abs=1e-7)


def test_contracts_that_cannot_be_valued_are_listed_and_the_rest_is_valued() -> None:
    contracts = Contracts.of(
        model=[1, 1, 1, 2, 1, 1],
        factor=[0, 1, 0, 1, 0, 0],
        right=1,
        quantity=[1.0, 1.0, 1.0, 1.0, np.nan, 1.0],
        strike=[50.0, 50.0, 50.0, 50.0, 50.0, -1.0],
        vol=[0.3, 0.3, -0.3, 9.0, 0.3, 0.3],
        expiry_years=1.0,
    )
    scenarios = np.array([[50.0, 40.0], [60.0, -1.0]])
    found = revalue(contracts, scenarios)
    assert [(failure.index, failure.cause) for failure in found.failures] == [
        (1, Cause.FORWARD_NOT_POSITIVE),
        (2, Cause.VOL_NEGATIVE),
        (4, Cause.NOT_FINITE),
        (5, Cause.STRIKE_NOT_POSITIVE),
    ]
    assert found.failures[0].value == -1.0
    expected = pricing.black76(1, scenarios[:, 0], 50.0, 0.3, 1.0) + pricing.bachelier(1, scenarios[:, 1], 50.0, 9.0, 1.0)
    assert found.total == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("scenarios", "factor", "cause"),
    [([[1.0, np.nan]], 0, Cause.NOT_FINITE), ([[1.0]], 1, Cause.SHAPES_DIFFER), ([1.0], 0, Cause.SHAPES_DIFFER), ([], 0, Cause.NO_DATA)],
)
def test_scenarios_that_do_not_fit_the_book_are_refused(scenarios: list[list[float]], factor: int, cause: Cause) -> None:
    contracts = Contracts.of(model=Model.LINEAR, factor=factor, right=1, quantity=1.0, strike=0.0, vol=0.0, expiry_years=0.0)
    with pytest.raises(RiskError) as caught:
        revalue(contracts, scenarios)
    assert caught.value.cause is cause
