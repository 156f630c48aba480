import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError, Floats, life, trees, wear
from cloud.assets.wear import Groups

QUICK = life.Learning(
    cap=60.0,
    horizons=(5.0, 10.0, 20.0),
    edges=(20.0, 40.0),
    looks=10,
    first=10,
    boosting=life.Boosting(max_iter=40, learning_rate=0.2, max_leaf_nodes=7, max_features=1.0, min_samples_leaf=20, l2_regularization=0.0),
)


def fleet(seed: int, count: int) -> tuple[Groups, Floats]:
    """Units whose four tags bend away from their own start ever faster until they fail; a fifth tag stands still."""
    rng = np.random.default_rng(seed)
    units, values = [], []
    for unit in range(count):
        lived = int(rng.integers(60, 120))
        wear_of = np.exp((np.arange(lived) - lived) / 25.0)[:, None]
        own = 100 + 3 * rng.standard_normal(4)
        tags = own + wear_of * np.array([4.0, -3.0, 5.0, 2.0]) + 0.3 * rng.standard_normal((lived, 4))
        units.append(np.full(lived, unit))
        values.append(np.column_stack([tags, np.full(lived, 7.0)]))
    return np.concatenate(units), np.concatenate(values)


@pytest.fixture(scope="module")
def model() -> life.Model:
    return life.fit(*fleet(1, 40), QUICK)


def cut(seed: int, count: int) -> tuple[Groups, Floats, Floats]:
    """Other units, each cut off somewhere: histories so far, and what was truly left of each."""
    units, values = fleet(seed, count)
    left, rng = life.remaining(units), np.random.default_rng(seed)
    stop = {unit: rng.integers(0, 45) for unit in range(count)}
    kept = left >= np.array([stop[unit] for unit in units])
    return units[kept], values[kept], np.array([float(stop[unit]) for unit in range(count)])


def last(units: Groups) -> np.ndarray:
    return np.flatnonzero(np.r_[units[1:] != units[:-1], True])


def test_life_of_other_units_is_estimated_within_few_cycles(model: life.Model) -> None:
    units, values, left = cut(2, 60)
    now = last(units)
    found = life.estimate(model, units, values)
    assert np.sqrt(np.mean((found.point[now] - left) ** 2)) < 8.0
    inside = (found.low[now] <= left) & ((left <= found.high[now]) | (found.high[now] >= QUICK.cap))
    assert 0.8 <= inside.mean() <= 1.0


def test_chances_rise_with_the_horizon_and_tell_who_fails(model: life.Model) -> None:
    units, values, left = cut(3, 60)
    chances = life.estimate(model, units, values).chances[last(units)]
    assert np.all(np.diff(chances, axis=1) >= 0)
    assert np.all((chances > 0) & (chances < 1))
    assert chances[left <= 5, 1].mean() > 0.7
    assert chances[left > 30, 1].mean() < 0.1


def test_unit_unlike_everything_seen_gets_no_estimate(model: life.Model) -> None:
    units, values = fleet(4, 3)
    values[units == 1, 0] += 400.0
    found = life.estimate(model, units, values)
    strange = units == 1
    assert not found.known[strange].any()
    assert found.known[~strange].mean() > 0.9
    assert np.all(found.low[strange] == 0) and np.all(found.high[strange] == QUICK.cap)
    assert np.allclose(found.chances[strange], model.share)


def test_short_gap_is_bridged_and_a_long_one_gets_no_estimate(model: life.Model) -> None:
    units, values, _ = cut(9, 6)
    gap = np.ones(values.shape, dtype=bool)
    now = last(units)
    gap[now[1] - 2 : now[1] + 1, 0] = False
    gap[now[2] - 20 : now[2] + 1, 1] = False
    whole, found = (life.estimate(model, units, np.where(mask, values, np.nan), mask) for mask in (np.ones_like(gap), gap))
    assert whole.known[now].all()
    assert found.known[now].tolist() == [True, True, False, True, True, True]
    assert abs(found.point[now[1]] - whole.point[now[1]]) < 10
    assert all(np.isfinite(getattr(found, name)).all() for name in ("point", "low", "high", "chances"))


def test_unit_that_never_had_a_sample_borrows_none_from_its_neighbour() -> None:
    held, complete = wear.carried(
        np.array([1, 1, 2, 2]), np.array([[5.0], [6.0], [np.nan], [7.0]]), np.array([[True], [True], [True], [True]])
    )
    assert held[:, 0].tolist() == [5.0, 6.0, 0.0, 7.0]
    assert complete.tolist() == [True, True, False, True]


def test_interval_holds_the_point_and_stays_between_zero_and_the_cap(model: life.Model) -> None:
    found = life.estimate(model, *fleet(5, 10))
    assert np.all((found.low >= 0) & (found.low <= found.point) & (found.point <= found.high) & (found.high <= QUICK.cap))


def test_same_seed_learns_the_same_model() -> None:
    units, values = fleet(6, 12)
    one, other = (life.fit(units, values, QUICK) for _ in range(2))
    assert np.array_equal(one.life.value, other.life.value)
    assert np.array_equal(one.bands.reach, other.bands.reach)


def test_hazard_gives_its_chance_back() -> None:
    chances = np.array([[0.1, 0.2, 0.5]])
    rates = life.hazards(chances, (5.0, 10.0, 20.0))
    assert np.allclose(1 - np.exp(-rates * np.array([5.0, 10.0, 20.0])), chances)
    with pytest.raises(AssetError, match="below 1"):
        life.hazards(np.array([[1.0]]), (5.0,))


def test_arrays_answer_as_the_learner_does() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 6))
    target = rows[:, 0] * 2 + np.abs(rows[:, 1]) + 0.1 * rng.standard_normal(400)
    regressor = HistGradientBoostingRegressor(max_iter=30, random_state=0).fit(rows, target)
    classifier = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(rows, target > 1)
    fresh = rng.standard_normal((1000, 6))
    assert np.allclose(trees.forest(regressor).answer(fresh), regressor.predict(fresh), atol=1e-6)
    assert np.allclose(trees.forest(classifier).answer(fresh), classifier.decision_function(fresh), atol=1e-6)
    both = trees.together((trees.forest(regressor), trees.forest(regressor)))
    assert np.allclose(both.answer(fresh), regressor.predict(fresh), atol=1e-6)


def test_what_cannot_be_learned_from_is_refused() -> None:
    units, values = fleet(7, 12)
    with pytest.raises(AssetError, match="NaN"):
        life.fit(units, np.where(values > 104, np.nan, values), QUICK)
    with pytest.raises(AssetError, match="3 units for 5 folds"):
        life.fit(units[units < 3], values[units < 3], QUICK)
    with pytest.raises(AssetError, match="ascending"):
        life.fit(units, values, life.Learning(horizons=(30.0, 15.0)))
    with pytest.raises(AssetError, match="a tag that varies"):
        life.fit(units, np.ones_like(values), QUICK)
    with pytest.raises(AssetError, match="columns"):
        trees.Forest(0.0, *(np.zeros(1, dtype=np.int32),) * 2, np.zeros(1), *(np.zeros(1, dtype=np.int32),) * 2, np.zeros(1), 2).answer(
            np.zeros((3, 5))
        )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.integers(1, 90), st.integers(1, 3))
def test_features_of_now_do_not_change_with_what_comes_after(seed: int, kept: int, tags: int) -> None:
    values = 1000 + np.random.default_rng(seed).standard_normal((100, tags))
    units = np.zeros(100, dtype=np.int64)
    whole = wear.features(units, values)
    assert whole.shape == (100, 5 * tags + 1)
    assert np.allclose(wear.features(units[:kept], values[:kept]), whole[:kept], atol=1e-7)


def test_slope_and_spread_of_a_line_are_exact() -> None:
    line = 5000 + 0.25 * np.arange(80.0)[:, None]
    found = wear.features(np.zeros(80, dtype=np.int64), line)
    assert np.allclose(found[10:, 3], 0.25)
    assert found[79, 4] == pytest.approx(0.25 * np.sqrt((30**2 - 1) / 12))
    assert found[79, 2] == pytest.approx(found[79, 0] - line[:20].mean())
    assert found[79, 5] == 80


def test_units_do_not_see_each_other() -> None:
    units, values = fleet(8, 3)
    alone = wear.features(units[units == 1], values[units == 1])
    assert np.allclose(wear.features(units, values)[units == 1], alone)


def test_rows_of_a_unit_apart_are_refused() -> None:
    with pytest.raises(AssetError, match="in two places"):
        wear.features(np.array([1, 2, 1]), np.zeros((3, 1)))
    with pytest.raises(AssetError, match="at least one row"):
        wear.features(np.array([], dtype=np.int64), np.zeros((0, 1)))
