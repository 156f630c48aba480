"""P&L of section 2.2(f), its decomposition and its closed forms (section 2.5 of the specification)."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cloud.risk import supply_pnl
from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.measures import expected_shortfall, value_at_risk
from cloud.risk.supply import Reference, Settings, assess, by_bucket, joint_losses, prepare, relative_var
from cloud.risk.supply_paths import PathSet, PriceDrivers
from cloud.risk.supply_terms import Commitment, Stream
from cloud.trading.deals import ShortfallRule, Side
from tests.cloud.risk.supply_books import PLAIN, PLANNED, book, normal_prices, paths, sale, whole


def literal(found: PathSet, deal: Commitment, cost: float = 0.0) -> Floats:
    """The formula as written, scenario by bucket, for one contract on everything: a second way to the same number."""
    drivers = found.prices["oil"]
    p = (drivers.forward * np.exp(drivers.sd * drivers.shocks - drivers.sd**2 / 2))[:, found.period]
    w, q = found.delivered.sum(axis=2), deal.quantity
    k = p + deal.price if deal.indexed else deal.price
    event = found.force_majeure.get("north", np.zeros_like(w)) if deal.force_majeure else 0.0
    short = np.maximum(q - w, 0)
    if deal.side is Side.BUY:
        return (p - k) * np.minimum(w, q) - deal.take_or_pay * k * short * (1 - event)
    owed = (1 + deal.penalty) * p + deal.fee if deal.rule is ShortfallRule.BUY_BACK else deal.penalty * p + deal.fee
    due = (k if deal.rule is ShortfallRule.BUY_BACK else 0.0) - owed
    return k * np.minimum(w, q) + p * np.maximum(w - q, 0) + due * short * (1 - event) - cost * w


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"penalty": 0.3, "fee": 2.0},
        {"indexed": True, "price": -1.5, "penalty": 0.1},
        {"rule": ShortfallRule.PENALTY, "penalty": 0.5, "fee": 1.0},
        {"force_majeure": True, "penalty": 0.3, "fee": 2.0},
        {"side": Side.BUY, "take_or_pay": 0.8},
        {"side": Side.BUY, "take_or_pay": 0.8, "indexed": True, "price": 2.0, "force_majeure": True},
    ],
    ids=["fixed", "penalty and fee", "index", "penalty only", "force majeure", "take or pay", "indexed take or pay"],
)
def test_pnl_is_the_formula_as_written(terms: dict[str, object]) -> None:
    plain = paths(300)
    event = {"north": (np.random.default_rng(5).random((300, 6)) < 0.5).astype(float)}
    found = replace(plain, force_majeure=event)
    deal = sale(found, share=0.9, **terms)
    made = prepare(found, [whole(found, side=deal.side, cost=0.0 if deal.side is Side.BUY else 7.0)], [deal], settings=PLAIN)
    result = assess(made)
    expected = literal(found, deal, 7.0)
    np.testing.assert_allclose(result.pnl, expected @ found.discount, rtol=1e-12, atol=1e-6)
    one = by_bucket(made, 0, 17, result.prices)
    np.testing.assert_allclose(one.sum(axis=0), (expected * found.discount)[17], rtol=1e-12, atol=1e-6)


def test_contracts_of_a_stream_share_its_volume_and_sum_to_one() -> None:
    found = paths(500)
    parts = [sale(found, f"D{index}", share, penalty=0.2) for index, share in enumerate((0.5, 0.3, 0.2))]
    np.testing.assert_allclose(assess(book(found, *parts)).pnl, assess(book(found, sale(found, penalty=0.2))).pnl, rtol=1e-12)


def test_hazard_zero_leaves_the_price_only_var() -> None:
    found = paths(4000, outage=0.0)
    result = assess(book(found, sale(found, indexed=True, price=0.0)))
    assert result.split.joint == pytest.approx(result.split.price, rel=1e-12)
    assert result.split.volume == pytest.approx(0.0, abs=1e-6)
    assert result.split.interaction == pytest.approx(0.0, abs=1e-6)


def test_hazard_infinite_is_a_short_forward_of_one_plus_penalty() -> None:
    found = paths(4000, outage=1.1, discount=np.ones(6))
    deal = sale(found, penalty=0.25)
    spot = literal(found, deal)  # -(K - (1 + pi) P) Q with W = 0
    drivers = found.prices["oil"]
    p = (drivers.forward * np.exp(drivers.sd * drivers.shocks - drivers.sd**2 / 2))[:, found.period]
    short = ((82.0 - 1.25 * p) * deal.quantity).sum(axis=1)
    np.testing.assert_allclose(spot.sum(axis=1), short, rtol=1e-12)
    np.testing.assert_allclose(assess(book(found, deal)).pnl, short, rtol=1e-12)
    forward = -(1.25 * deal.quantity * (p - drivers.forward[found.period])).sum(axis=1)
    assert assess(book(found, deal)).split.joint == pytest.approx(value_at_risk(forward.mean() - forward, 0.99), rel=1e-9)


def test_buying_back_at_the_market_is_fair() -> None:
    found = paths(40_000, outage=0.2)
    forward = found.prices["oil"].forward[found.period]
    deal = sale(found, price=forward)
    result = assess(prepare(found, [whole(found, cost=5.0)], [deal], settings=PLAIN))
    expected = found.discount @ ((forward - 5.0) * found.delivered.sum(axis=2).mean(axis=0))
    assert abs(result.expected - expected) < 3 * result.pnl.std() / np.sqrt(result.pnl.size)


def test_independent_availability_has_the_closed_mean_and_variance() -> None:
    scenarios, forward, sd, available = 200_000, 80.0, 0.25, 0.9
    rng = np.random.default_rng(3)
    delivered = (rng.random((scenarios, 1, 1)) < available).astype(float)
    drivers = PriceDrivers(np.array([forward]), np.array([sd]), rng.standard_normal((scenarios, 1)))
    found = PathSet(("U",), delivered, np.ones((1, 1)), np.array([0]), np.ones(1), {"oil": drivers})
    x = assess(prepare(found, [Stream("north", "oil", (0,))], [], settings=PLAIN)).pnl
    price_variance = forward**2 * (np.exp(sd**2) - 1)
    variance = (price_variance + forward**2) * available - forward**2 * available**2
    assert abs(x.mean() - forward * available) < 3 * np.sqrt(variance / scenarios)
    fourth = ((x - x.mean()) ** 4).mean()
    assert abs(x.var() - variance) < 3 * np.sqrt((fourth - variance**2) / scenarios)


def test_lognormal_price_and_volume_have_the_quanto_term() -> None:
    scenarios, forward, sd_p, sd_q, rho = 200_000, 80.0, 0.3, 0.2, -0.4
    rng = np.random.default_rng(4)
    factor = rng.standard_normal(scenarios)
    volume = 1000 * np.exp(sd_q * factor - sd_q**2 / 2)
    drivers = PriceDrivers(np.array([forward]), np.array([sd_p]), rng.standard_normal((scenarios, 1)))
    found = PathSet(("U",), volume[:, None, None], np.full((1, 1), 1000.0), np.array([0]), np.ones(1), {"oil": drivers}, factor)
    x = assess(prepare(found, [Stream("north", "oil", (0,))], [], settings=replace(PLAIN, rho_pv=rho))).pnl
    assert abs(x.mean() - forward * 1000 * np.exp(rho * sd_p * sd_q)) < 3 * x.std() / np.sqrt(scenarios)


@pytest.mark.parametrize("settings", [PLAIN, PLANNED], ids=["against the mean", "against the plan"])
@pytest.mark.parametrize("seed", range(5))
def test_components_by_unit_deal_and_bucket_add_up_to_es(settings: Settings, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = paths(1500, seed=seed, outage=0.3)
    found = replace(found, force_majeure={"north": rng.random((1500, 6))})
    parts = [sale(found, f"D{index}", rng.uniform(0.1, 0.5), penalty=rng.random(), force_majeure=bool(index % 2)) for index in range(3)]
    parts.append(sale(found, "gap", quantity=np.zeros(6)))
    south = Stream("south", "oil", (2,), cost=3.0)
    made = prepare(
        found,
        [whole(found, units=(0, 1)), south],
        [*parts, sale(found, "S", stream="south", indexed=True)],
        {"oil": np.array([-300.0, 150.0])},
        settings,
    )
    result = assess(made)
    es, parts_of = result.measured.es, result.components
    assert es == pytest.approx(expected_shortfall(joint_losses(made), 0.99), rel=1e-12)
    for total in (sum(parts_of.unit.values()), sum(parts_of.deal.values()), parts_of.bucket.sum()):
        assert total == pytest.approx(es, rel=1e-9)


def test_buckets_that_are_price_periods_give_the_same_as_grouped_ones() -> None:
    found = paths(800)
    fine = found.prices["oil"]
    wide = PriceDrivers(fine.forward[found.period], fine.sd[found.period], fine.shocks[:, found.period])
    one, other = assess(book(found)), assess(book(replace(found, prices={"oil": wide}, period=np.arange(6))))
    np.testing.assert_allclose(one.pnl, other.pnl, rtol=1e-12)
    np.testing.assert_allclose(one.components.bucket, other.components.bucket, rtol=1e-9, atol=1e-6)


def test_price_only_and_volume_only_are_the_book_on_reduced_paths() -> None:
    found = paths(3000)
    joint = assess(book(found, sale(found, penalty=0.2, share=0.9)))
    drivers = found.prices["oil"]
    still = replace(found, prices={"oil": replace(drivers, sd=np.zeros(2))})
    mean = replace(found, delivered=np.broadcast_to(found.delivered.mean(axis=0), found.delivered.shape))
    deal = sale(found, penalty=0.2, share=0.9)
    assert joint.split.volume == pytest.approx(assess(book(still, deal)).split.joint, rel=1e-9)
    assert joint.split.price == pytest.approx(assess(book(mean, deal)).split.joint, rel=1e-9)
    split = joint.split
    assert split.interaction == pytest.approx(split.joint - np.sqrt(split.price**2 + split.volume**2))


def test_sensitivity_to_rho_and_jump_is_part_of_the_result_and_keeps_the_mean_price() -> None:
    found = paths(5000, outage=0.3)
    result = assess(book(found, settings=Settings(rhos=(-0.5, 0.0), jumps=(0.0, 0.5))))
    by_name = {(item.parameter, item.value): item.var for item in result.sensitivities}
    assert by_name["rho_PV", 0.0] == by_name["J", 0.0] == result.split.joint
    assert by_name["rho_PV", -0.5] > result.split.joint
    assert by_name["J", 0.5] > result.split.joint
    jumped = assess(book(found, settings=replace(PLAIN, jump=0.5)))
    np.testing.assert_allclose(jumped.prices["oil"].mean(axis=0), result.prices["oil"].mean(axis=0), rtol=1e-12)


def test_hedges_are_part_of_the_total_undiscounted() -> None:
    found = paths(500)
    held = np.array([10.0, -20.0])
    plain, hedged = assess(book(found)), assess(book(found, hedges={"oil": held}))
    moves = (plain.prices["oil"] - found.prices["oil"].forward) @ held
    np.testing.assert_allclose(hedged.pnl - plain.pnl, moves, atol=1e-6)


def test_a_contract_that_cannot_be_valued_is_listed_and_the_rest_is_valued() -> None:
    found = paths(500)
    bad = [
        sale(found, "short", quantity=np.ones(3)),
        sale(found, "nan", price=float("nan")),
        sale(found, "lost", stream="nowhere"),
        sale(found, "minus", quantity=-np.ones(6)),
        sale(found, "side", side=Side.BUY),
    ]
    result = assess(book(found, sale(found), *bad))
    assert {item.deal_id: item.cause for item in result.refused} == {
        "short": Cause.SHAPES_DIFFER,
        "nan": Cause.NOT_FINITE,
        "lost": Cause.NO_DATA,
        "minus": Cause.LEVEL_OUT_OF_RANGE,
        "side": Cause.SHAPES_DIFFER,
    }
    np.testing.assert_array_equal(result.pnl, assess(book(found)).pnl)


def test_a_product_without_usable_prices_takes_only_its_contracts_away() -> None:
    found = paths(500)
    below = PriceDrivers(np.array([-3.0, 5.0]), np.array([0.2, 0.2]), np.zeros((500, 2)))
    found = replace(found, prices={**found.prices, "gas": below})
    streams = [whole(found, units=(0, 1)), Stream("flare", "gas", (2,)), Stream("none", "coal", (2,))]
    deals = [sale(found), sale(found, "G", stream="flare"), sale(found, "C", stream="none")]
    result = assess(prepare(found, streams, deals, {"gas": np.ones(2), "oil": np.ones(3)}, PLAIN))
    assert {item.deal_id: item.cause for item in result.refused} == {
        "G": Cause.FORWARD_NOT_POSITIVE,
        "C": Cause.NO_DATA,
        "hedges gas": Cause.FORWARD_NOT_POSITIVE,
        "hedges oil": Cause.SHAPES_DIFFER,
    }
    assert result.measured.var > 0


def test_volumes_that_are_not_numbers_are_refused() -> None:
    found = paths(10)
    broken = found.delivered.copy()
    broken[3, 2, 1] = np.nan
    for wrong in (broken, -found.delivered, found.delivered[:, :3]):
        with pytest.raises(RiskError):
            book(replace(found, delivered=wrong))


def test_negative_prices_live_and_their_relative_var_is_refused() -> None:
    found = replace(paths(4000), prices={"oil": normal_prices([2.0, -5.0], [10.0, 10.0], 4000)})
    made = book(found)
    assert np.isfinite(assess(made).measured.es)
    with pytest.raises(RiskError, match="relative VaR of oil") as refusal:
        relative_var(made, "oil", 0.99)
    assert refusal.value.cause is Cause.FORWARD_NOT_POSITIVE


def test_relative_var_of_a_lognormal_price_is_the_closed_form() -> None:
    found = relative_var(book(paths(100_000, buckets=2, units=1)), "oil", 0.99)
    z = stats.norm.ppf(0.01)
    np.testing.assert_allclose(found, [1 - np.exp(sd * z - sd**2 / 2) for sd in (0.2, 0.3)], rtol=0.02)


def test_reference_plan_is_forward_prices_and_nameplate() -> None:
    found = paths(200, outage=0.0)
    still = replace(found, prices={"oil": replace(found.prices["oil"], sd=np.zeros(2))})
    result = assess(book(still, settings=replace(PLAIN, reference=Reference.PLAN)))
    assert result.plan == pytest.approx(result.expected)
    assert result.measured.es == pytest.approx(0.0, abs=1e-6)


def test_a_block_of_scenarios_is_no_boundary() -> None:
    found = paths(3 * supply_pnl.BLOCK + 7)
    result = assess(book(found))
    assert sum(result.components.unit.values()) == pytest.approx(result.measured.es, rel=1e-9)


def test_price_periods_need_not_be_in_order() -> None:
    found = paths(800)
    turned = np.array([1, 0, 1, 0, 0, 1])
    order = np.argsort(turned, kind="stable")
    one = book(replace(found, period=turned))
    sorted_paths = replace(
        found, period=turned[order], delivered=found.delivered[:, order], nameplate=found.nameplate[order], discount=found.discount[order]
    )
    np.testing.assert_allclose(assess(one).pnl, assess(book(sorted_paths)).pnl, rtol=1e-12)
