"""Supply-linked run: 5 units x 365 days x 10,000 paths, 12 monthly prices, against a plain numpy floor in the same run.

Floor: P&L of one fixed-price sale exactly as written (no split, no components, no sensitivities), VaR, ES and the minimum-variance hedge.
Product: the whole result for `--deals` contracts: split, components by unit, bucket and deal, sensitivities to rho and J, hedge; also
without the sensitivities. Paths are given to both: drawing them is not measured. Goal: wall <= 3x the floor. Best of several runs.
OPENBLAS_NUM_THREADS=1 makes the ratio steadier on a machine that has other work.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import report
from cloud.risk.hedge import min_variance_hedge
from cloud.risk.supply import Settings, SupplyRisk, assess, joint_losses, prepare
from cloud.risk.supply_paths import PathSet, PriceDrivers
from cloud.risk.supply_terms import Commitment, Stream

GOAL: Final = 3.0
UNITS: Final = 5
DAYS: Final = 365
MTBF_DAYS: Final = 100.0
MTTR_DAYS: Final = 5.0


def path_set(scenarios: int, seed: int = 1) -> PathSet:
    """Alternating up and down by day with geometric lengths; a common price level over 12 months."""
    rng = np.random.default_rng(seed)
    up = np.ones((scenarios, UNITS), bool)
    delivered = np.empty((scenarios, DAYS, UNITS))
    nameplate = np.tile(1000.0 + 100.0 * np.arange(UNITS), (DAYS, 1))
    for day in range(DAYS):
        luck = rng.random((scenarios, UNITS))
        up = np.where(up, luck >= 1 / MTBF_DAYS, luck < 1 / MTTR_DAYS)
        delivered[:, day] = up * nameplate[day]
    level = rng.standard_normal((scenarios, 1))
    shocks = 0.9 * level + np.sqrt(1 - 0.81) * rng.standard_normal((scenarios, 12))
    months = np.minimum(np.arange(DAYS) * 12 // DAYS, 11)
    drivers = PriceDrivers(np.linspace(78.0, 82.0, 12), 0.3 * np.sqrt(np.arange(1, 13) / 12), shocks)
    discount = np.exp(-0.03 * np.arange(DAYS) / 365)
    names = tuple(f"U{index}" for index in range(UNITS))
    return PathSet(names, delivered, nameplate, months, discount, {"power": drivers}, rng.standard_normal(scenarios))


def floor(paths: PathSet) -> tuple[float, float, Any]:
    """The formula with whole-array numpy."""
    drivers = paths.prices["power"]
    spot = drivers.forward * np.exp(drivers.sd * drivers.shocks - 0.5 * drivers.sd**2)
    p, w, q = spot[:, paths.period], paths.delivered.sum(axis=2), 0.9 * paths.nameplate.sum(axis=1)
    k, penalty, fee, cost = 80.0, 0.1, 1.0, 5.0
    bucket = k * np.minimum(w, q) + p * np.maximum(w - q, 0) + (k - (1 + penalty) * p - fee) * np.maximum(q - w, 0) - cost * w
    x = bucket @ paths.discount
    losses = np.sort(x.mean() - x)
    tail = losses[int(np.ceil(0.99 * losses.size)) - 1 :]
    covariance = np.cov(spot, x, rowvar=False)
    return float(tail[0]), float(tail[1:].mean()), -np.linalg.solve(covariance[:-1, :-1], covariance[:-1, -1])


def commitments(paths: PathSet, deals: int) -> list[Commitment]:
    quantity = 0.9 * paths.nameplate.sum(axis=1) / deals
    return [Commitment(f"D{index}", "plant", quantity, 80.0, penalty=0.1, fee=1.0) for index in range(deals)]


def product(paths: PathSet, deals: list[Commitment], settings: Settings) -> SupplyRisk:
    made = prepare(paths, [Stream("plant", "power", tuple(range(UNITS)), 5.0)], deals, settings=settings)
    result = assess(made)
    min_variance_hedge(result.pnl, result.prices["power"], paths.prices["power"].forward)
    return result


def best(times: int, run: Callable[[], object]) -> tuple[float, float]:
    """Least wall and CPU seconds."""
    walls, processors = [], []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supply", description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=10_000)
    parser.add_argument("--deals", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    paths = path_set(arguments.scenarios)
    one, many = commitments(paths, 1), commitments(paths, arguments.deals)
    bare = Settings(rhos=(), jumps=())
    runs: dict[str, Callable[[], object]] = {
        "floor: formula as written, one deal": lambda: floor(paths),
        "one deal, without sensitivities": lambda: product(paths, one, bare),
        "one deal, whole result": lambda: product(paths, one, Settings()),
        f"{arguments.deals} deals, whole result": lambda: product(paths, many, Settings()),
        "losses only (a health bump)": lambda: joint_losses(
            prepare(paths, [Stream("plant", "power", tuple(range(UNITS)), 5.0)], one, settings=bare)
        ),
    }
    measured = {name: best(arguments.repeat, run) for name, run in runs.items()}
    base = next(iter(measured.values()))
    rows = [(name, f"{wall:.3f}", f"{cpu:.3f}", f"{wall / base[0]:.2f}", f"{cpu / base[1]:.2f}") for name, (wall, cpu) in measured.items()]
    report.table(
        f"{UNITS} units x {DAYS} days x {arguments.scenarios} paths (goal {GOAL:g}x)", ["run", "wall s", "CPU s", "wall x", "CPU x"], rows
    )
    facts = checks(paths, one, bare)
    report.table("the same numbers", ["what", "value"], [(name, f"{value:.6g}") for name, value in facts.items()])
    runs_made = {
        name: {"wall_s": wall, "cpu_s": cpu, "wall_x": wall / base[0], "cpu_x": cpu / base[1]} for name, (wall, cpu) in measured.items()
    }
    report.write(arguments.json, {"goal": GOAL, "runs": runs_made, "facts": facts})


def checks(paths: PathSet, deals: list[Commitment], settings: Settings) -> dict[str, float]:
    """That floor and product agree, and what forwards leave of an outage-driven book (prices that hardly move)."""
    var, es, _ = floor(paths)
    result = product(paths, deals, settings)
    drivers = paths.prices["power"]
    calm = replace(paths, prices={"power": replace(drivers, sd=drivers.sd / 10)})
    driven = product(calm, deals, settings)
    left = min_variance_hedge(driven.pnl, driven.prices["power"], drivers.forward)
    usual = min_variance_hedge(result.pnl, result.prices["power"], drivers.forward)
    return {
        "VaR product / floor - 1": result.measured.var / var - 1,
        "ES product / floor - 1": result.measured.es / es - 1,
        "VaR price only": result.split.price,
        "VaR volume only": result.split.volume,
        "VaR joint": result.split.joint,
        "VaR interaction": result.split.interaction,
        "VaR left by forwards": usual.left,
        "VaR left by forwards, price volatility / 10": left.left,
    }


if __name__ == "__main__":
    main()
