"""Remaining life and failure chances on C-MAPSS FD001: 100 engines to learn from, 100 cut off before failure, true uncapped life.

Nothing is chosen on the test engines: `--choose` prints the comparison of settings by folds of the training engines, a whole engine
in or out. An interval that reaches the cap is open ("at least"), so it covers any longer life; the share that holds with the cap taken
as an end is printed beside. Exit code 1 when seed 0 misses a limit.
"""

import argparse
import gzip
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from cloud.assets import Floats, conformal, life, wear
from cloud.assets.life import Boosting, Learning, Life, Model
from cloud.assets.wear import Groups

SHIPPED = Path(__file__).parent / "data" / "cmapss"
LIMITS = {"rmse": (0.0, 12.8), "score": (0.0, 230.0), "coverage": (0.87, 0.93)}
FIRST_SENSOR = 5  # columns before: engine, cycle, three settings, which in FD001 are noise about one regime
MEASURES = ("rmse", "score", "coverage", "coverage_closed", "width", "refused", "seconds")


@dataclass(frozen=True, slots=True)
class Fleet:
    units: Groups
    sensors: Floats


def read(path: Path) -> Fleet:
    with gzip.open(path, "rt") as lines:
        rows = np.loadtxt(lines)
    return Fleet(rows[:, 0].astype(np.int64), rows[:, FIRST_SENSOR:])


def last(units: Groups) -> np.ndarray:
    """The row of each engine's latest cycle."""
    return np.cumsum(wear.lengths(units)) - 1


def score(off: Floats) -> float:
    """The asymmetric sum of Saxena et al. (PHM 2008): late is dearer than early."""
    return float(np.sum(np.where(off < 0, np.expm1(-off / 13), np.expm1(off / 10))))


def ranking(chance: Floats, true: np.ndarray) -> tuple[float, float]:
    """(area under the ROC curve, average precision), equal chances counting half."""
    yes, no = chance[true][:, None], chance[~true][None, :]
    area = np.mean((yes > no) + 0.5 * (yes == no))
    levels = np.unique(chance)[::-1]
    found = np.array([np.sum(true & (chance >= level)) for level in levels])
    named = np.array([np.sum(chance >= level) for level in levels])
    precision = np.sum(np.diff(found, prepend=0) * found / named) / np.sum(true)
    return float(area), float(precision)


def measure(model: Model, found: Life, now: np.ndarray, true: Floats, seconds: float) -> dict[str, Any]:
    point, low, high = found.point[now], found.low[now], found.high[now]
    off, above = point - true, true >= low
    chances = []
    for index, horizon in enumerate(model.horizons):
        chance, failed = found.chances[now, index], true <= horizon
        area, precision = ranking(chance, failed)
        brier = float(np.mean((chance - failed) ** 2))
        chances.append(
            {"horizon": horizon, "auc": area, "ap": precision, "brier": brier, "mean": float(chance.mean()), "base": float(failed.mean())}
        )
    return {
        "rmse": float(np.sqrt(np.mean(off**2))),
        "score": score(off),
        "coverage": float(np.mean(above & ((true <= high) | (high >= model.cap)))),
        "coverage_closed": float(np.mean(above & (true <= high))),
        "width": float(np.mean(high - low)),
        "refused": int(np.sum(~found.known[now])),
        "refused_of_all_cycles": float(np.mean(~found.known)),
        "seconds": seconds,
        "chances": chances,
    }


def run(data: Path, learning: Learning) -> dict[str, Any]:
    train, test = read(data / "train_FD001.txt.gz"), read(data / "test_FD001.txt.gz")
    true = np.loadtxt(data / "RUL_FD001.txt")
    start = time.perf_counter()
    model = life.fit(train.units, train.sensors, learning)
    seconds = time.perf_counter() - start
    return measure(model, life.estimate(model, test.units, test.sensors), last(test.units), true, seconds)


def choose(data: Path, repeats: int = 2) -> list[tuple[str, float, float]]:
    """(change, RMSE of capped life at random looks, log loss of failure within 30) of settings, by folds of the training engines."""
    train = read(data / "train_FD001.txt.gz")
    moving = train.sensors.std(axis=0) > 1e-6 * np.abs(train.sensors.mean(axis=0))
    rows, left = wear.features(train.units, train.sensors[:, moving]), life.remaining(train.units)
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"max_iter": 150},
        {"max_iter": 600},
        {"max_leaf_nodes": 7},
        {"max_leaf_nodes": 31},
        {"min_samples_leaf": 30},
        {"min_samples_leaf": 300},
        {"max_features": 0.1},
        {"max_features": 1.0},
        {"l2_regularization": 0.0},
        {"learning_rate": 0.03},
    )
    found = []
    for change in changes:
        errors = [_folded(rows, left, train.units, replace(Boosting(), **change), seed) for seed in range(repeats)]
        found.append((str(change or "as shipped"), *np.mean(errors, axis=0).tolist()))
    return found


def covered(data: Path, seed: int = 0) -> list[tuple[str, float, float]]:
    """(true life, coverage, width) of training engines, by forests and bands that never saw the engine, at every cycle after the first."""
    train, learning = read(data / "train_FD001.txt.gz"), Learning(seed=seed, threads=os.cpu_count() or 1)
    moving = train.sensors.std(axis=0) > 1e-6 * np.abs(train.sensors.mean(axis=0))
    rows, capped = wear.features(train.units, train.sensors[:, moving]), np.minimum(life.remaining(train.units), learning.cap)
    every = np.arange(train.units.size)
    told = life.unseen(rows, capped, conformal.folds(train.units, learning.folds, seed), every, learning, "regressor").clip(0, learning.cap)
    looks = conformal.truncations(train.units, learning.looks, seed, learning.first)
    reach = np.empty(every.size)
    for fold in conformal.folds(train.units, 10, seed + 1):
        seen = looks[~fold[looks]]
        confidence = learning.confidence + learning.margin
        bands = conformal.calibrate(told[seen], capped[seen], train.units[seen], learning.edges, confidence)
        reach[fold] = bands.of(told[fold])
    inside, width = np.abs(told - capped) <= reach, np.minimum(told + reach, learning.cap) - np.maximum(told - reach, 0)
    kept = np.isin(every, conformal.every_look(train.units, learning.first))
    parts = {"0-40": (0, 40), "40-80": (40, 80), "80-125": (80, 125), "125 and more": (125, np.inf), "all": (0, np.inf)}
    return [
        (name, float(inside[part].mean()), float(width[part].mean()))
        for name, (low, high) in parts.items()
        for part in [kept & (life.remaining(train.units) >= low) & (life.remaining(train.units) < high)]
    ]


def _folded(rows: Floats, left: Floats, units: Groups, boosting: Boosting, seed: int) -> tuple[float, float]:
    learning = Learning(seed=seed, members=1, threads=os.cpu_count() or 1, boosting=boosting)
    out = conformal.folds(units, learning.folds, seed)
    looks = conformal.truncations(units, learning.looks, seed, learning.first)
    capped, fails = np.minimum(left, learning.cap), left <= 30
    told = life.unseen(rows, capped, out, looks, learning, "regressor").clip(0, learning.cap)
    odds = life.unseen(rows, fails, out, looks, learning, "classifier")
    loss = np.logaddexp(0, np.where(fails[looks], -odds, odds))
    return float(np.sqrt(np.mean((told - capped[looks]) ** 2))), float(loss.mean())


def show(runs: list[dict[str, Any]]) -> None:
    header = ("FD001, last cycle of 100 test engines", "seed 0", "mean of seeds", "sd", "limit")
    rows = []
    for name in MEASURES:
        values = np.array([one[name] for one in runs], dtype=np.float64)
        limit = "{:g} to {:g}".format(*LIMITS[name]) if name in LIMITS else ""
        rows.append((name, f"{values[0]:.3f}", f"{values.mean():.3f}", f"{values.std(ddof=1) if len(runs) > 1 else 0:.3f}", limit))
    report.table(f"Remaining life, {len(runs)} seeds", header, rows)
    cells = []
    for index, one in enumerate(runs[0]["chances"]):
        brier = np.mean([run["chances"][index]["brier"] for run in runs])
        cells.append((f"{one['horizon']:g}", *(f"{one[name]:.4f}" for name in ("auc", "ap", "brier", "mean", "base")), f"{brier:.4f}"))
    report.table("P(failure within h cycles), seed 0", ("h", "AUC", "AP", "Brier", "mean p", "share failed", "Brier, mean of seeds"), cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHIPPED, help="folder with train_FD001.txt.gz, test_FD001.txt.gz, RUL_FD001.txt")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="compare settings by folds of the training engines instead")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.choose:
        found = choose(asked.data)
        rows = [(name, f"{rmse:.2f}", f"{loss:.4f}") for name, rmse, loss in found]
        report.table("Training engines only", ("change of settings", "RMSE, capped", "log loss h = 30"), rows)
        inside = covered(asked.data)
        rows = [(name, f"{share:.3f}", f"{width:.1f}") for name, share, width in inside]
        report.table("Intervals on left-out training engines", ("true life", "coverage", "mean width"), rows)
        report.write(asked.json, {"choose": found, "covered": inside})
        return 0
    runs = [run(asked.data, Learning(seed=seed, threads=os.cpu_count() or 1)) for seed in range(asked.seeds)]
    show(runs)
    report.write(asked.json, {"limits": LIMITS, "learning": asdict(Learning()), "seeds": runs})
    missed = [name for name, (low, high) in LIMITS.items() if not low <= runs[0][name] <= high]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nall limits kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
