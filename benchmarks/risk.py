"""Full revaluation and delta-gamma against a plain numpy floor: 10,000 options x 10,000 scenarios of 12 factors, in one run.

The floor is the textbook Black-76 formula, one option after the other over all scenarios (log, exp and two normal distribution
functions a price), summed as it goes: what a careful author writes first. Both give the same P&L to 1e-9.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from scipy.special import ndtr

from benchmarks import report
from cloud.risk import measures, pricing
from cloud.risk.deltagamma import Quadratic
from cloud.risk.errors import Floats
from cloud.risk.montecarlo import Contracts, Model, revalue

FACTORS = 12
HORIZON_YEARS = 10 / 250


def book(options: int, seed: int) -> tuple[Contracts, Floats]:
    rng = np.random.default_rng(seed)
    today = rng.uniform(40.0, 90.0, FACTORS)
    factor = rng.integers(0, FACTORS, options)
    expiry = rng.uniform(0.1, 2.0, options)
    contracts = Contracts.of(
        model=Model.LOGNORMAL,
        factor=factor,
        right=rng.choice([1, -1], options),
        quantity=rng.normal(0.0, 1000.0, options),
        strike=today[factor] * rng.uniform(0.7, 1.3, options),
        vol=rng.uniform(0.2, 0.6, options),
        expiry_years=expiry,
        discount=np.exp(-0.03 * expiry),
    )
    return contracts, today


def covariance() -> Floats:
    distance = np.abs(np.subtract.outer(np.arange(FACTORS), np.arange(FACTORS)))
    return 0.35**2 * HORIZON_YEARS * 0.93**distance


def floor(contracts: Contracts, scenarios: Floats) -> Floats:
    total, levels = np.zeros(len(scenarios)), np.ascontiguousarray(scenarios.T)
    for at in range(contracts.strike.size):
        price, strike, right = levels[contracts.factor[at]], contracts.strike[at], contracts.right[at]
        deviation = contracts.vol[at] * np.sqrt(contracts.expiry_years[at])
        d1 = np.log(price / strike) / deviation + 0.5 * deviation
        value = right * (price * ndtr(right * d1) - strike * ndtr(right * (d1 - deviation)))
        total += contracts.quantity[at] * contracts.discount[at] * value
    return total


def expanded(contracts: Contracts, today: Floats) -> tuple[float, Floats, Floats]:
    """Value, delta and gamma of the whole book to relative moves of the factors."""
    price = today[contracts.factor]
    rate = -np.log(contracts.discount) / contracts.expiry_years
    greeks = pricing.black76_greeks(contracts.right, price, contracts.strike, contracts.vol, contracts.expiry_years, rate)
    delta = np.bincount(contracts.factor, contracts.quantity * greeks.delta * price, FACTORS)
    gamma = np.bincount(contracts.factor, contracts.quantity * greeks.gamma * price**2, FACTORS)
    return float(contracts.quantity @ greeks.value), delta, np.diag(gamma)


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return median(walls), median(cpus)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.risk", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--options", type=int, default=10_000)
    parser.add_argument("--scenarios", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    contracts, today = book(options.options, 7)
    moves = np.random.default_rng(11).multivariate_normal(np.zeros(FACTORS), covariance(), options.scenarios)
    scenarios = today * (1.0 + moves)
    value, delta, gamma = expanded(contracts, today)
    exact = revalue(contracts, scenarios).total
    apart = float(np.abs(exact - floor(contracts, scenarios)).max() / np.abs(exact).max())
    assert apart < 1e-9, apart

    def quadratic() -> Floats:
        return moves @ delta + 0.5 * ((moves @ gamma) * moves).sum(axis=1)

    work: dict[str, Callable[[], object]] = {
        "plain numpy floor": lambda: floor(contracts, scenarios),
        "full revaluation": lambda: revalue(contracts, scenarios),
        "greeks of the book": lambda: expanded(contracts, today),
        "delta-gamma, same scenarios": quadratic,
        "delta-gamma, saddlepoint": lambda: Quadratic.of(delta, gamma, covariance()).tail(0.99),
        "VaR and ES with errors": lambda: measures.measure(value - exact, 0.99),
    }
    found = {name: timed(run, options.rounds) for name, run in work.items()}
    wall, cpu = found["plain numpy floor"]
    rows = [(name, f"{w:.4f}", f"{c:.4f}", f"{w / wall:.4f}", f"{c / cpu:.4f}") for name, (w, c) in found.items()]
    report.table(
        f"{options.options} options x {options.scenarios} scenarios (s, medians)", ("case", "wall", "CPU", "wall/floor", "CPU/floor"), rows
    )
    tails = {
        "full revaluation": measures.value_at_risk(value - exact, 0.99),
        "delta-gamma": measures.value_at_risk(-quadratic(), 0.99),
        "saddlepoint": Quadratic.of(delta, gamma, covariance()).tail(0.99).var,
    }
    report.table(
        "99 % VaR",
        ("method", "VaR", "against full"),
        [(n, f"{v:.0f}", f"{v / tails['full revaluation'] - 1:+.2%}") for n, v in tails.items()],
    )
    report.write(options.json, {"seconds_wall_cpu": found, "var_99": tails, "largest_difference": apart})
    return 0


if __name__ == "__main__":
    sys.exit(main())
