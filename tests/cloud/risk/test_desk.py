"""A desk's run on a small book: what is valued, what is refused beside it, and that the same snapshot gives the same bits."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from cloud.market.periods import DAY_US, Period, months
from cloud.market.quotes import Quote
from cloud.risk import desk, desk_detail
from cloud.risk.desk import Desk, StreamPaths
from cloud.risk.errors import RiskError
from cloud.risk.obligations import obligations, quantity
from cloud.risk.settings import SettingsError, parse_settings
from cloud.risk.supply_health import Variant
from cloud.trading.deals import (
    ContractTerms,
    Deal,
    DeliveryCalendar,
    Exercise,
    FixedPrice,
    IndexPrice,
    Kind,
    Leg,
    OptionTerms,
    Price,
    Quantity,
    Right,
    Side,
)

AS_OF = 1_795_305_600_000_000 + 7 * 3_600_000_000  # 2026-11-22T07:00Z
FIRST, LAST = date(2026, 11, 1), date(2027, 1, 31)
CALENDARS = {("Brent", "rig1"): DeliveryCalendar(FIRST, date(2027, 12, 31)), ("Brent", "sea"): DeliveryCalendar(FIRST, date(2027, 12, 31))}
SETTINGS = parse_settings(b'{"paths": 1000, "days": 40, "products": {"Brent": {"kind": "lognormal", "history": "brent"}}}')
PRODUCT = "Brent"


def quotes(as_of_us: int = AS_OF) -> tuple[Quote, ...]:
    wanted = [months(2026, 11), months(2026, 12), months(2027, 1)]
    return tuple(Quote(PRODUCT, "sea", period, Decimal(80 + index), "USD", "bbl", as_of_us) for index, period in enumerate(wanted))


def price(value: str, unit: str = "bbl", currency: str = "USD") -> Price:
    return Price(Decimal(value), currency, unit)


def deal(name: str = "S1", **changes: object) -> Deal:
    """A physical sale of 1,000 bbl a day at 82."""
    days = (LAST - FIRST).days + 1
    leg = Leg(Side.SELL, PRODUCT, "rig1", Quantity(Decimal(1000 * days), "bbl"), FIRST, LAST, FixedPrice(price("82")))
    leg_changes = {key: changes.pop(key) for key in list(changes) if key in Leg.__dataclass_fields__}
    made = Deal(name, 1, AS_OF, "main", "Refiner", Kind.FORWARD, (replace(leg, **leg_changes),))  # type: ignore[arg-type]
    return replace(made, **changes)  # type: ignore[arg-type]


def stream(share_up: float = 0.9, seed: int = 3, scenarios: int = 1000) -> StreamPaths:
    up = np.random.default_rng(seed).random((scenarios, 40, 2)) < share_up
    return StreamPaths("oil", PRODUCT, "rig1", "bbl", ("W1", "W2"), up * 600.0, up * 600.0, np.full((40, 2), 600.0), 5.0)


def run(*deals: Deal, paths: StreamPaths | None = None, given: tuple[Quote, ...] | None = None) -> desk.Valued:
    return desk.value(Desk(SETTINGS, deals, CALENDARS, quotes() if given is None else given), [paths or stream()], AS_OF)


def test_same_snapshot_gives_the_same_bits() -> None:
    one, two = run(deal()), run(deal())
    assert one.risk.pnl.tobytes() == two.risk.pnl.tobytes()
    assert one.risk.components.bucket.tobytes() == two.risk.components.bucket.tobytes()
    assert one.risk.components.deal == two.risk.components.deal


def test_components_add_up_by_unit_deal_and_bucket() -> None:
    swap = deal("F1", kind=Kind.FUTURE, place="sea", physical=False, side=Side.BUY)
    result = run(deal(terms=ContractTerms(penalty=Decimal("0.2"))), swap)
    parts = result.risk.components
    for values in (parts.unit.values(), parts.deal.values(), parts.bucket):
        assert sum(values) == pytest.approx(result.risk.measured.es, rel=1e-9)
    assert {"S1", "F1"} <= set(parts.deal)


def test_curve_reprices_the_quotes_the_run_uses() -> None:
    assert run(deal()).prices.forward[PRODUCT].tolist() == pytest.approx([80.0, 81.0], abs=1e-9)


def test_a_sale_without_one_of_our_streams_is_settled_at_the_market() -> None:
    bought = deal("B1", place="sea", side=Side.BUY)
    owed = obligations([bought], CALENDARS, [], "USD", run(deal()).grid)
    assert not owed.commitments
    (position,) = owed.positions
    assert position.volume.sum() == pytest.approx((1000 * run(deal()).grid.discount).sum())


def test_index_against_the_market_leaves_only_its_differential() -> None:
    index = deal("I1", place="sea", price=IndexPrice("Brent", price("-1.5")))
    grid = run(deal()).grid
    (position,) = obligations([index], CALENDARS, [], "USD", grid).positions
    assert not position.volume.any()
    assert -position.premium == pytest.approx(-1.5 * (1000 * grid.discount).sum())


def test_option_pays_its_right() -> None:
    terms = OptionTerms(Right.PUT, Exercise.EUROPEAN, price("75"), date(2026, 12, 1), price("2"))
    put = deal("P1", kind=Kind.OPTION, option=terms, place="sea", physical=False, side=Side.BUY)
    (position,) = obligations([put], CALENDARS, [], "USD", run(deal()).grid).positions
    assert (position.right, position.strike.tolist()) == (Right.PUT, [75.0, 75.0])
    assert position.premium == pytest.approx(2 * position.volume.sum())


def test_what_is_wrong_is_refused_by_name_and_the_rest_is_valued() -> None:
    outside = deal("OUT", last=date(2028, 1, 1))
    yen = deal("YEN", price=FixedPrice(price("9000", currency="JPY")))
    gas = deal("GAS", product="gas")
    tons = deal("TON", volume=Quantity(Decimal(10), "t"), price=FixedPrice(price("600", unit="t")))
    result = run(deal(), outside, yen, gas, tons)
    assert {refusal.deal_id for refusal in result.refused} == {"OUT", "YEN", "GAS", "TON"}
    assert "outside the calendar" in next(one.detail for one in result.refused if one.deal_id == "OUT")
    assert result.risk.pnl.tobytes() == run(deal()).risk.pnl.tobytes()


def test_deal_that_delivers_later_is_listed_and_not_valued() -> None:
    later = deal("LATER", first=date(2027, 6, 1), last=date(2027, 6, 30))
    assert run(deal(), later).obligations.outside == ("LATER",)


def test_without_usable_quotes_nothing_is_valued_and_the_reason_is_said() -> None:
    for given in ((), quotes(AS_OF + 1), quotes(AS_OF - 30 * DAY_US)):
        with pytest.raises(RiskError, match="no usable quote of Brent"):
            run(deal(), given=given)


def test_contradicting_quotes_are_named() -> None:
    first, *rest = quotes()
    whole = replace(first, period=Period(first.period.start_us, rest[0].period.end_us), price=Decimal(200))
    with pytest.raises(RiskError, match="contradict"):
        run(deal(), given=(first, *rest, whole))


def test_no_more_than_the_daily_and_annual_quantity_is_owed() -> None:
    grid = run(deal()).grid
    plain, daily = deal(), deal(terms=ContractTerms(dcq=Quantity(Decimal(400), "bbl")))
    yearly = deal(terms=ContractTerms(acq=Quantity(Decimal(5500), "bbl")))
    assert quantity(plain, plain.legs[0], CALENDARS, grid).tolist() == pytest.approx([1000.0] * 40)
    assert quantity(daily, daily.legs[0], CALENDARS, grid).tolist() == pytest.approx([400.0] * 40)
    owed = quantity(yearly, yearly.legs[0], CALENDARS, grid)
    assert (owed.sum(), owed[5], owed[6]) == (pytest.approx(5500.0), pytest.approx(500.0), 0.0)


def test_less_certain_volumes_add_to_var_apart_from_it() -> None:
    clear = stream(1.0)
    result = run(deal(), paths=replace(stream(0.7), certain=clear.delivered))
    assert result.quality.add_on > 0
    assert result.quality.var == pytest.approx(result.risk.measured.var)


def test_detail_values_repair_and_stresses() -> None:
    result = run(deal(terms=ContractTerms(penalty=Decimal("0.5"))))
    now = result.book.paths.delivered[:, :, 0]
    found = desk_detail.detail(result, [Variant("W1", 0.1, now * 0.9, np.full_like(now, 600.0))])
    assert found.health[0].repair_es < 0 < found.health[0].per_step
    assert found.cvar_hedge is not None and found.cvar_hedge.es_after <= found.cvar_hedge.es_before
    losses = dict(found.stress)
    assert losses["all streams out, prices +25 %"] > losses["all streams out"] > 0
    flat = 600.0 * 2 * 40 - result.book.paths.delivered.mean(axis=0).sum()
    assert losses["prices +25 %"] > 0 and flat > 0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"{", "not JSON"),
        (b'{"pathz": 3, "products": {}}', 'Did you mean "paths"|"paths"'),
        (b'{"paths": 3, "products": {"Brent": {"kind": "lognormal", "history": "brent"}}}', '"paths": expected 200'),
        (b'{"products": {"Brent": {"kind": "lognormal"}}}', 'either "history" or "volatility"'),
        (b'{"products": {"Brent": {"kind": "lognormal", "volatility": 0.3}}}', 'needs its "source"'),
        (b'{"products": {"Brent": {"kind": "lognormal", "history": "palm oil"}}}', "is not shipped"),
        (b'{"level": true, "products": {"Brent": {"kind": "normal", "volatility": 3, "source": "desk"}}}', '"level": expected a number'),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(text: bytes, names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        parse_settings(text)


def test_relative_returns_of_a_history_with_negative_prices_are_refused_by_name() -> None:
    settings = parse_settings(b'{"products": {"WTI": {"kind": "lognormal", "history": "wti"}}}')
    with pytest.raises(SettingsError, match=r"wti.*prices above zero, the lowest is -36\.98; use Kind\.NORMAL"):
        settings.factors()


def test_a_correlation_that_no_prices_can_have_is_refused() -> None:
    products = ",".join(f'"{name}": {{"kind": "normal", "volatility": 1.0, "source": "desk"}}' for name in ("a", "b", "c"))
    with pytest.raises(SettingsError, match=r"between all of a, b, c.*positive semidefinite"):
        parse_settings(f'{{"correlation": -0.9, "products": {{{products}}}}}'.encode()).factors()


def test_volatility_is_estimated_from_the_shipped_history() -> None:
    both = parse_settings(
        b'{"products": {"Brent": {"kind": "lognormal", "history": "brent"}, "WTI": {"kind": "normal", "history": "wti"},'
        b' "gas": {"kind": "normal", "volatility": 2.5, "source": "desk"}}, "correlation": 0.1}'
    ).factors()
    assert 0.2 < both.volatility[0] < 1.0
    assert 5 < both.volatility[1] < 60
    assert both.volatility[2] == 2.5
    assert both.correlation[0, 2] == 0.1
