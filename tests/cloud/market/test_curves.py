"""Forward curves: every quote is repriced, contradictions are named, overlaps leave no arbitrage."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market import curves
from cloud.market.errors import InconsistentQuotes, MarketError, QuoteError
from cloud.market.periods import Granularity, Period, days, midnight_us, months, peak_mask, split
from cloud.market.quotes import Profile, Quote

AS_OF = midnight_us(date(2022, 12, 1))
YEAR = months(2023, 1, 12)
MONTHS = split(YEAR, Granularity.MONTH)
BERLIN = "Europe/Berlin"


def quote(period: Period, price: str, profile: Profile = Profile.BASE, as_of_us: int = AS_OF, currency: str = "EUR") -> Quote:
    return Quote("power", "DE", period, Decimal(price), currency, "MWh", as_of_us, profile)


def test_overlapping_quotes_imply_the_missing_month() -> None:
    quotes = [quote(months(2023, 1), "20"), quote(months(2023, 2), "21"), quote(months(2023, 1, 3), "20.6")]
    built = curves.build(quotes, curves.Grid(split(months(2023, 1, 3), Granularity.MONTH)), AS_OF)
    assert built.price(months(2023, 3)) == pytest.approx(20.8387096774, abs=1e-9)


def test_base_and_peak_quotes_imply_off_peak_in_hours() -> None:
    january = months(2023, 1, zone=BERLIN)
    hours = split(january, Granularity.HOUR)
    peak = peak_mask(hours, BERLIN)
    grid = curves.Grid(hours, peak=peak)
    built = curves.build([quote(january, "50"), quote(january, "62", Profile.PEAK)], grid, AS_OF)
    assert peak.sum() == 264
    assert built.prices[peak].mean() == pytest.approx(62, abs=1e-9)
    assert built.prices[~peak].mean() == pytest.approx(43.4, abs=1e-9)


def test_contradiction_is_refused_and_names_every_quote_of_it() -> None:
    parts = [quote(months(2023, month), price) for month, price in ((1, "20"), (2, "21"), (3, "22"), (5, "30"))]
    quarter = quote(months(2023, 1, 3), "25")
    with pytest.raises(InconsistentQuotes) as caught:
        curves.build([*parts, quarter], curves.Grid(MONTHS), AS_OF)
    assert caught.value.quotes == (*(part.label() for part in parts[:3]), quarter.label())


def test_reconcile_keeps_the_finer_quotes_and_returns_the_others_with_what_they_imply() -> None:
    parts = [quote(months(2023, month), price) for month, price in ((1, "20"), (2, "21"), (3, "22"))]
    quarter, year = quote(months(2023, 1, 3), "25"), quote(YEAR, "30")
    kept, refused = curves.reconcile([year, quarter, *parts], curves.Grid(MONTHS))
    assert set(kept) == {*parts, year}
    assert [(one.quote, set(one.against)) for one in refused] == [(quarter, set(parts))]
    assert refused[0].implied == pytest.approx((20 * 31 + 21 * 28 + 22 * 31) / 90)
    assert curves.build(kept, curves.Grid(MONTHS), AS_OF).price(YEAR) == pytest.approx(30, abs=1e-9)


def test_holiday_is_no_peak_where_the_product_says_so() -> None:
    hours = split(days(date(2024, 7, 4), date(2024, 7, 6)), Granularity.HOUR)
    assert peak_mask(hours, "UTC", holidays={date(2024, 7, 4)}).sum() == 12
    assert peak_mask(hours, "UTC").sum() == 24


def test_two_prices_for_one_period_are_refused() -> None:
    with pytest.raises(InconsistentQuotes):
        curves.build([quote(months(2023, 1), "20"), quote(months(2023, 1), "20.01")], curves.Grid(MONTHS), AS_OF)


def test_redundant_quote_that_agrees_is_repriced() -> None:
    quotes = [quote(days(date(2023, 1, 1), date(2023, 1, 16)), "10"), quote(days(date(2023, 1, 16), date(2023, 1, 31)), "20")]
    whole = quote(days(date(2023, 1, 1), date(2023, 1, 31)), "15")
    built = curves.build([*quotes, whole], curves.Grid(split(months(2023, 1), Granularity.DAY)), AS_OF)
    assert built.price(whole.period) == pytest.approx(15, abs=1e-9)
    assert not built.quoted[-1]


@pytest.mark.parametrize(
    "bad",
    [
        quote(days(date(2023, 1, 3), date(2023, 2, 1)), "20"),
        quote(months(2024, 1), "20"),
        quote(months(2023, 1), "20", as_of_us=AS_OF + 1),
        quote(months(2023, 1), "20", currency="USD"),
        quote(months(2023, 1), "20", Profile.PEAK),
    ],
    ids=["inside a bucket", "beyond the grid", "look-ahead", "another currency", "peak without peak hours"],
)
def test_quote_that_does_not_fit_is_refused_by_name(bad: Quote) -> None:
    with pytest.raises(QuoteError, match="power@DE"):
        curves.build([quote(months(2023, 2), "20"), bad], curves.Grid(MONTHS), AS_OF)


def test_curve_without_quotes_is_refused() -> None:
    with pytest.raises(QuoteError):
        curves.build([], curves.Grid(MONTHS), AS_OF)


@pytest.mark.parametrize("shape", [np.zeros(12), np.full(12, np.nan), np.ones(11)], ids=["zero", "nan", "too short"])
def test_shape_that_is_not_positive_is_refused(shape: np.ndarray) -> None:
    with pytest.raises(MarketError, match="shape"):
        curves.build([quote(YEAR, "20")], curves.Grid(MONTHS, shape=shape), AS_OF)


def test_single_quote_without_shape_is_flat_and_with_shape_follows_it() -> None:
    shape = np.linspace(1.0, 2.0, 12)
    flat = curves.build([quote(YEAR, "20")], curves.Grid(MONTHS), AS_OF)
    shaped = curves.build([quote(YEAR, "20")], curves.Grid(MONTHS, shape=shape), AS_OF)
    assert np.allclose(flat.prices, 20, atol=1e-9)
    assert np.allclose(shaped.prices / shape, shaped.prices[0] / shape[0], rtol=1e-6)
    assert shaped.price(YEAR) == pytest.approx(20, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    edges=st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12)), min_size=1, max_size=6, unique=True),
    truth=st.lists(st.integers(-500, 500), min_size=12, max_size=12),
    shape=st.lists(st.floats(0.2, 3.0), min_size=365, max_size=365),
    volumes=st.lists(st.floats(0.1, 10.0), min_size=12, max_size=12),
)
def test_every_quote_of_a_possible_market_is_repriced(
    edges: list[tuple[int, int]], truth: list[int], shape: list[float], volumes: list[float]
) -> None:
    """Overlapping strips of one true curve; day buckets with a rough seasonal shape and uneven volumes."""
    daily = split(YEAR, Granularity.DAY)
    month_of = np.repeat(np.arange(12), [int(bucket.hours) // 24 for bucket in MONTHS])
    weights, true_prices = np.array(volumes)[month_of], np.array(truth, float)[month_of]
    quotes = []
    for first, length in edges:
        period = months(2023, first + 1, min(length, 12 - first))
        inside = curves.covered(daily, period)
        quotes.append(quote(period, repr(float(np.average(true_prices[inside], weights=weights[inside])))))
    built = curves.build(quotes, curves.Grid(daily, weights, np.array(shape)), AS_OF)
    assert np.isfinite(built.prices).all()
    for one in quotes:
        assert built.price(one.period) == pytest.approx(float(one.price), rel=1e-9, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-100, 300), min_size=2, max_size=2), st.floats(0.5, 2))
def test_cascade_to_hours_across_dst_keeps_volume_and_value(prices: list[int], ratio: float) -> None:
    span = months(2024, 3, 2, BERLIN)
    quotes = [quote(months(2024, 3 + index, 1, BERLIN), str(price)) for index, price in enumerate(prices)]
    monthly = curves.build(quotes, curves.Grid(split(span, Granularity.MONTH, BERLIN)), AS_OF)
    hours = split(span, Granularity.HOUR)
    shape = np.where(peak_mask(hours, BERLIN), ratio, 1.0)
    hourly = curves.cascade(monthly, curves.Grid(hours, shape=shape))
    assert len(hours) == 61 * 24 - 1
    assert hourly.volumes.sum() == pytest.approx(monthly.volumes.sum(), rel=1e-12)
    assert hourly.prices @ hourly.volumes == pytest.approx(monthly.prices @ monthly.volumes, rel=1e-9, abs=1e-6)
    for bucket, price in zip(monthly.buckets, monthly.prices, strict=True):
        assert hourly.price(bucket) == pytest.approx(price, rel=1e-9, abs=1e-9)


def test_year_of_hours_is_built_with_peak_and_base_months() -> None:
    hours = split(months(2024, 1, 12, BERLIN), Granularity.HOUR)
    peak = peak_mask(hours, BERLIN)
    quotes = [quote(months(2024, month, 1, BERLIN), str(60 + month)) for month in range(1, 13)]
    quotes += [quote(months(2024, month, 3, BERLIN), str(80 - month), Profile.PEAK) for month in (1, 4, 7, 10)]
    built = curves.build(quotes, curves.Grid(hours, peak=peak), AS_OF)
    for one in quotes[:12]:
        assert built.price(one.period) == pytest.approx(float(one.price), abs=1e-9)
    for one in quotes[12:]:
        inside = curves.covered(hours, one.period)
        assert built.prices[inside][peak[inside]].mean() == pytest.approx(float(one.price), abs=1e-9)


def test_weights_of_a_quote_are_not_negative_and_sum_to_one() -> None:
    grid = curves.Grid(MONTHS, volumes=np.arange(1.0, 13.0))
    row = curves._row(quote(months(2023, 4, 3), "1"), grid, grid.weights())
    assert (row >= 0).all()
    assert row.sum() == pytest.approx(1, abs=1e-15)


def test_remainder_of_nothing_left_is_refused() -> None:
    with pytest.raises(MarketError, match="nothing is left"):
        curves.implied_remainder(50, 744, [62], [744])


def test_arrays_of_a_curve_are_read_only() -> None:
    built = curves.build([quote(YEAR, "20")], curves.Grid(MONTHS), AS_OF)
    with pytest.raises(ValueError, match="read-only"):
        built.prices[0] = 1
