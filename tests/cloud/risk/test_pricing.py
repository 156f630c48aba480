from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.risk import pricing
from cloud.risk.errors import Cause, RiskError
from cloud.risk.pricing import Right

price = st.floats(1.0, 500.0)
vol = st.floats(0.01, 2.0)
expiry = st.floats(0.0, 5.0)
rate = st.floats(-0.05, 0.2)
quick = settings(max_examples=80, deadline=None)


@quick
@given(price, price, vol, expiry, rate)
def test_call_less_put_is_the_discounted_forward_less_strike(f: float, k: float, v: float, t: float, r: float) -> None:
    both = pricing.black76([1, -1], f, k, v, t, r)
    assert both[0] - both[1] == pytest.approx(np.exp(-r * t) * (f - k), abs=1e-9)
    normal = pricing.bachelier([1, -1], f, k, v * f, t, r)
    assert normal[0] - normal[1] == pytest.approx(np.exp(-r * t) * (f - k), abs=1e-9)


@quick
@given(price, price, vol, expiry, rate, st.floats(-0.1, 0.1))
def test_spot_parity_holds_with_a_carry_yield(s: float, k: float, v: float, t: float, r: float, y: float) -> None:
    both = pricing.black_scholes([1, -1], s, k, v, t, r, y)
    assert both[0] - both[1] == pytest.approx(s * np.exp(-y * t) - k * np.exp(-r * t), abs=1e-9)


@quick
@given(price, price, vol, st.floats(0.01, 5.0))
def test_values_rise_with_vol_and_calls_with_the_forward(f: float, k: float, v: float, t: float) -> None:
    by_vol = pricing.black76([[1], [-1]], f, k, v * np.array([0.5, 1.0, 1.5, 2.0]), t)
    assert (np.diff(by_vol) >= -1e-10).all()
    by_price = pricing.black76([[1], [-1]], f * np.array([0.8, 1.0, 1.2]), k, v, t)
    assert (np.diff(by_price[0]) >= -1e-10).all()
    assert (np.diff(by_price[1]) <= 1e-10).all()


GREEK_MODELS = {
    "black76": (pricing.black76_greeks, (90.0, 95.0, 0.35, 0.8, 0.06)),
    "black_scholes": (pricing.black_scholes_greeks, (90.0, 95.0, 0.35, 0.8, 0.06, 0.02)),
    "bachelier": (pricing.bachelier_greeks, (-3.0, 1.0, 12.0, 0.8, 0.06)),
}


@pytest.mark.parametrize("name", GREEK_MODELS)
@pytest.mark.parametrize("right", list(Right))
def test_greeks_are_the_slopes_of_the_value(name: str, right: Right) -> None:
    model, at = GREEK_MODELS[name]

    def value(price: float = 0.0, vol: float = 0.0, later: float = 0.0) -> float:
        return float(model(right, at[0] + price, at[1], at[2] + vol, at[3] - later, *at[4:]).value)

    greeks, step = model(right, *at), 1e-3
    assert greeks.delta == pytest.approx((value(price=step) - value(price=-step)) / (2 * step), rel=1e-5)
    assert greeks.gamma == pytest.approx((value(price=step) - 2 * value() + value(price=-step)) / step**2, rel=1e-3)
    assert greeks.vega == pytest.approx((value(vol=step) - value(vol=-step)) / (2 * step), rel=1e-4)
    assert greeks.theta == pytest.approx((value(later=step) - value(later=-step)) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("model", [pricing.black76_greeks, pricing.bachelier_greeks])
@pytest.mark.parametrize(("v", "t"), [(0.0, 1.0), (0.3, 0.0)])
def test_without_time_or_vol_the_intrinsic_value_is_left(model: Callable[..., pricing.Greeks], v: float, t: float) -> None:
    greeks = model([1, -1, 1, 1], [110.0, 110.0, 90.0, 100.0], 100.0, v, t, 0.1)
    discount = np.exp(-0.1 * t)
    assert greeks.value == pytest.approx(discount * np.array([10.0, 0.0, 0.0, 0.0]))
    assert greeks.delta == pytest.approx(discount * np.array([1.0, 0.0, 0.0, 0.5]))
    assert (greeks.gamma == 0).all()
    assert (greeks.vega == 0).all()


def test_bachelier_values_negative_prices_and_is_symmetric_about_the_strike() -> None:
    # At the money: v sqrt(T / 2 pi).
    assert pricing.bachelier(Right.CALL, -37.63, -37.63, 40.0, 0.25) == pytest.approx(40.0 * 0.5 / np.sqrt(2 * np.pi))
    assert pricing.bachelier(Right.CALL, -5.0, 1.0, 9.0, 1.0) == pytest.approx(pricing.bachelier(Right.PUT, 7.0, 1.0, 9.0, 1.0))


@quick
@given(price, price, st.floats(0.05, 0.8), st.floats(0.05, 0.8), st.floats(-1.0, 1.0), st.floats(0.05, 3.0))
def test_kirk_without_strike_is_margrabe_and_spread_parity_holds(f1: float, f2: float, v1: float, v2: float, rho: float, t: float) -> None:
    assert pricing.kirk(f1, f2, 0.0, v1, v2, rho, t) == pytest.approx(pricing.margrabe(f1, f2, v1, v2, rho, t), abs=1e-9)
    call, put = pricing.kirk(f1, f2, 2.0, v1, v2, rho, t, 0.03), pricing.kirk(f1, f2, 2.0, v1, v2, rho, t, 0.03, Right.PUT)
    assert call - put == pytest.approx(np.exp(-0.03 * t) * (f1 - f2 - 2.0), abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((1, -1.0, 10.0, 0.3, 1.0), Cause.FORWARD_NOT_POSITIVE),
        ((1, 0.0, 10.0, 0.3, 1.0), Cause.FORWARD_NOT_POSITIVE),
        ((1, 10.0, 0.0, 0.3, 1.0), Cause.STRIKE_NOT_POSITIVE),
        ((1, 10.0, 10.0, -0.3, 1.0), Cause.VOL_NEGATIVE),
        ((1, 10.0, 10.0, 0.3, -1.0), Cause.EXPIRY_NEGATIVE),
        ((1, float("nan"), 10.0, 0.3, 1.0), Cause.NOT_FINITE),
        ((1, [1.0, 2.0], [1.0, 2.0, 3.0], 0.3, 1.0), Cause.SHAPES_DIFFER),
    ],
)
def test_what_the_model_cannot_value_is_refused_by_cause(arguments: tuple[float, ...], cause: Cause) -> None:
    with pytest.raises(RiskError) as caught:
        pricing.black76(*arguments)
    assert caught.value.cause is cause


def test_spreads_refuse_impossible_correlations_and_prices() -> None:
    for call, cause in [
        (lambda: pricing.kirk(10.0, 10.0, 1.0, 0.2, 0.2, 1.2, 1.0), Cause.CORRELATION_OUT_OF_RANGE),
        (lambda: pricing.kirk(10.0, 10.0, -11.0, 0.2, 0.2, 0.2, 1.0), Cause.STRIKE_NOT_POSITIVE),
        (lambda: pricing.margrabe(10.0, 10.0, 0.2, -0.2, 0.2, 1.0), Cause.VOL_NEGATIVE),
    ]:
        with pytest.raises(RiskError) as caught:
            call()
        assert caught.value.cause is cause


def test_a_book_with_bad_items_is_valued_without_them() -> None:
    forwards = [100.0, -4.0, 50.0, float("nan"), 80.0]
    vols = [0.3, 0.3, -0.1, 0.3, 0.3]
    valued = pricing.value_each(pricing.black76, Right.CALL, forwards, 60.0, vols, 1.0, 0.02)
    assert valued.indices.tolist() == [0, 4]
    assert valued.values == pytest.approx(pricing.black76(1, [100.0, 80.0], 60.0, 0.3, 1.0, 0.02))
    assert [(failure.index, failure.cause) for failure in valued.failures] == [
        (1, Cause.FORWARD_NOT_POSITIVE),
        (2, Cause.VOL_NEGATIVE),
        (3, Cause.NOT_FINITE),
    ]
    assert pricing.value_each(pricing.black76, 1, [-1.0, -2.0], 60.0, 0.3, 1.0).values.size == 0
