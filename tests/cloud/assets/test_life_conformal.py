import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError, conformal, life, wear
from tests.cloud.assets.test_life import QUICK, fleet


@settings(max_examples=25)
@given(st.lists(st.integers(0, 12), min_size=5, max_size=60), st.integers(2, 5), st.integers(0, 9))
def test_no_unit_is_on_both_sides_of_any_split(names: list[int], count: int, seed: int) -> None:
    units = np.sort(np.array(names))
    if np.unique(units).size < count:
        with pytest.raises(AssetError, match="units for"):
            conformal.folds(units, count, seed)
        return
    out = conformal.folds(units, count, seed)
    assert np.array_equal(np.sum(out, axis=0), np.ones(units.size))
    assert not any(set(units[fold]) & set(units[~fold]) for fold in out)


def test_model_is_calibrated_on_units_its_trees_never_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    units, values = fleet(1, 10)
    learned, answered = [], []
    rows_of = {row.tobytes(): unit for row, unit in zip(wear.features(units, values[:, :4]), units, strict=True)}

    class Constant:
        def __init__(self, seen: set[int]) -> None:
            self.seen = seen

        def answer(self, rows: np.ndarray) -> np.ndarray:
            answered.append((self.seen, {rows_of[row.tobytes()] for row in rows}))
            return np.zeros(len(rows))

    def watched(rows: np.ndarray, target: object, how: life.Learning, kind: str) -> Constant:
        learned.append({rows_of[row.tobytes()] for row in rows})
        return Constant(learned[-1])

    monkeypatch.setattr(life, "_forest", watched)
    life.fit(units, values, QUICK)
    assert answered and all(not seen & asked for seen, asked in answered)
    assert set.union(*(asked for _, asked in answered)) == set(range(10))


def test_bands_cover_fresh_exchangeable_units_as_promised() -> None:
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        own = np.repeat(rng.standard_normal(60), 10)  # what a unit's rows have in common
        units, predicted = np.repeat(np.arange(60), 10), rng.uniform(0, 100, 600)
        actual = predicted + (1 + predicted / 20) * (own + 0.5 * rng.standard_normal(600))
        old = units < 40
        bands = conformal.calibrate(predicted[old], actual[old], units[old], (30.0, 60.0), 0.9)
        covered.append(np.mean(np.abs(predicted - actual)[~old] <= bands.of(predicted[~old])))
    assert 0.88 <= np.mean(covered) <= 0.95


def test_band_of_a_bin_with_too_few_units_is_infinite() -> None:
    bands = conformal.calibrate(np.arange(8.0), np.zeros(8), np.arange(8), (100.0,), 0.9)
    assert np.isinf(bands.of(np.array([5.0, 200.0]))).all()


def test_long_lived_unit_weighs_no_more_than_a_short_lived_one() -> None:
    units = np.r_[np.zeros(1000, dtype=np.int64), np.arange(1, 40)]
    off = np.r_[np.zeros(1000), np.full(39, 5.0)]
    assert conformal.calibrate(np.zeros(1039), off, units, (1.0,), 0.9).reach[0] == 5.0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-3, 3), st.booleans()), min_size=1, max_size=40))
def test_calibrated_chance_never_falls_and_is_never_certain(pairs: list[tuple[float, bool]]) -> None:
    raw, true = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    found = conformal.isotonic(raw, true, np.arange(raw.size))(np.linspace(-4, 4, 200))
    assert np.all(np.diff(found) >= -1e-12)
    assert np.all((found > 0) & (found < 1))


def test_calibrated_chances_agree_with_a_known_solution() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(3)
    raw = np.round(rng.standard_normal(300), 1)
    true = rng.random(300) < 1 / (1 + np.exp(-2 * raw))
    ours = conformal.isotonic(raw, true, np.arange(300))(raw)
    theirs = IsotonicRegression().fit_transform(raw, true.astype(float))
    assert np.allclose(ours, np.clip(theirs, 1 / 602, 1 - 1 / 602))


def test_each_unit_is_looked_at_equally_often_and_not_before_the_first_cycle() -> None:
    units = np.repeat([3, 4, 5], [100, 50, 10])
    rows = conformal.truncations(units, 40, 0, 20)
    assert np.unique(units[rows], return_counts=True)[1].tolist() == [40, 40, 40]
    assert rows[units[rows] == 3].min() >= 20
    assert rows[units[rows] == 4].min() >= 120
