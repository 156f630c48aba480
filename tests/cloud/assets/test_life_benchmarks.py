"""The benchmarks of remaining life and detection split by unit, compute their figures rightly, and keep their limits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cmapss, tep, wells
from cloud.assets import life, wear

ROOT = Path(__file__).resolve().parents[3]


def test_no_well_is_on_both_sides_of_a_fold() -> None:
    names = np.array(["WELL-1", "WELL-2", "WELL-1", "WELL-3", "WELL-2"])
    folds = wells.folds_by_well(names)
    assert np.sum(folds, axis=0).tolist() == [1] * 5
    assert not any(set(names[fold]) & set(names[~fold]) for fold in folds)


def test_random_folds_do_mix_wells_which_is_the_point_of_showing_them() -> None:
    names = np.repeat(["WELL-1", "WELL-2"], 50)
    assert any(set(names[fold]) & set(names[~fold]) for fold in wells.folds_at_random(100, 0))


def test_score_is_dearer_for_late_than_for_early() -> None:
    assert cmapss.score(np.array([-13.0])) == pytest.approx(np.e - 1)
    assert cmapss.score(np.array([10.0, 0.0])) == pytest.approx(np.e - 1)


def test_ranking_agrees_with_a_known_implementation() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    true, chance = rng.random(80) < 0.3, np.round(rng.random(80), 1)
    area, precision = cmapss.ranking(chance, true)
    assert area == pytest.approx(roc_auc_score(true, chance))
    assert precision == pytest.approx(average_precision_score(true, chance))


def test_macro_f1_agrees_with_a_known_implementation() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(1)
    true, told = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    assert wells.macro_f1(told, true) == pytest.approx(f1_score(true, told, average="macro"))


def test_shipped_engines_are_whole_and_run_to_failure() -> None:
    train, test = (cmapss.read(cmapss.SHIPPED / f"{name}_FD001.txt.gz") for name in ("train", "test"))
    assert (train.sensors.shape, test.sensors.shape) == ((20_631, 21), (13_096, 21))
    assert np.unique(train.units).size == np.unique(test.units).size == 100
    assert life.remaining(train.units)[cmapss.last(train.units)].tolist() == [0.0] * 100
    assert wear.lengths(test.units).sum() == 13_096


def test_plain_pca_sees_a_lost_feed_in_the_shipped_process() -> None:
    files = tep.read(tep.SHIPPED)
    method = tep.Method.fit(("PCA",), 0.01, files.normal, files.held)
    assert method.alarms(files.faults[6])[tep.ONSET :].mean() > 0.98
    assert method.alarms(files.faults[6])[: tep.ONSET].mean() < 0.03


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["tep", "wells", "cmapss"])
def test_benchmark_keeps_its_limits(name: str) -> None:
    arguments = ["--seeds", "1"] if name == "cmapss" else []
    found = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
