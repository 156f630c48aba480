import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError, Floats, detect

COLUMNS = 6
MIX = np.random.default_rng(0).standard_normal((2, COLUMNS))


def normal(seed: int, rows: int) -> Floats:
    """Six tags that follow two hidden causes, with a little noise, around 100."""
    rng = np.random.default_rng(seed)
    return 100 + rng.standard_normal((rows, 2)) @ MIX + 0.1 * rng.standard_normal((rows, COLUMNS))


DETECTOR = detect.fit(normal(1, 500), normal(2, 2000))


def scored(values: Floats, usable: object = True) -> detect.Scores:
    return detect.score(DETECTOR, values, np.broadcast_to(np.asarray(usable, dtype=bool), values.shape))


def test_false_alarms_on_fresh_normal_data_are_as_many_as_promised() -> None:
    fresh = scored(normal(3, 20_000))
    assert np.mean(fresh.t2 > DETECTOR.t2.limit(0.01)) == pytest.approx(0.01, abs=0.006)
    assert np.mean(fresh.q > DETECTOR.q.limit(0.01)) == pytest.approx(0.01, abs=0.006)
    assert np.mean(fresh.q_surprise > 2) == pytest.approx(0.01, abs=0.006)


def test_broken_relation_raises_q_and_names_its_column() -> None:
    values = normal(4, 50)
    values[:, 3] += 3.0
    found = scored(values)
    assert np.all(found.q_surprise > 3)
    assert np.mean(found.contribution.argmax(axis=1) == 3) > 0.9


def test_large_but_consistent_move_raises_t2_alone() -> None:
    found = scored(100 + 8 * MIX[:1])
    assert found.t2_surprise.item() > 4
    assert found.q_surprise.item() < 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.lists(st.booleans(), min_size=COLUMNS, max_size=COLUMNS), st.floats(-9, 9), st.integers(0, COLUMNS - 1))
def test_missing_columns_never_raise_suspicion(seed: int, known: list[bool], shift: float, column: int) -> None:
    values = normal(seed, 20)
    values[:, column] += shift
    whole, partial = scored(values), scored(np.where(known, values, np.nan), known)
    assert np.all(partial.t2 <= whole.t2 + 1e-3)
    assert np.all(partial.q <= whole.q + 1e-3)
    assert all(np.isfinite(getattr(partial, name)).all() for name in ("t2", "q", "t2_surprise", "q_surprise", "contribution"))


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
def test_surprise_never_falls_with_the_statistic(values: list[float]) -> None:
    assert np.all(np.diff(DETECTOR.q.surprise(np.sort(values))) >= -1e-12)


def test_lagged_rows_hold_now_and_before() -> None:
    assert detect.lagged(np.array([[1.0], [2.0], [3.0]]), 1).tolist() == [[2.0, 1.0], [3.0, 2.0]]


def test_constant_column_is_no_obstacle() -> None:
    rows = normal(5, 200)
    rows[:, 0] = 7.0
    assert np.isfinite(detect.fit(rows, rows[:100]).amount).all()


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(AssetError, match="at least 8 normal"):
        detect.fit(normal(1, 5), normal(2, 100))
    with pytest.raises(AssetError, match="NaN"):
        detect.fit(np.full((20, 6), np.nan), normal(2, 100))
