"""Path sets and books for tests of supply-linked risk: plain arrays, seeded."""

from dataclasses import replace
from typing import Any

import numpy as np

from cloud.risk.supply import Book, Reference, Settings, prepare
from cloud.risk.supply_paths import PathSet, PriceDrivers, PriceModel
from cloud.risk.supply_terms import Commitment, Stream

PLAIN = Settings(rhos=(), jumps=())
PLANNED = replace(PLAIN, reference=Reference.PLAN)


def paths(scenarios: int = 2000, buckets: int = 6, units: int = 3, outage: float = 0.1, seed: int = 1, **changes: Any) -> PathSet:
    """Independent outages of whole buckets; two price periods of equal length; units of 100, 110, ... a bucket."""
    rng = np.random.default_rng(seed)
    nameplate = np.tile(100.0 + 10 * np.arange(units), (buckets, 1))
    delivered = nameplate * (rng.random((scenarios, buckets, units)) >= outage)
    drivers = PriceDrivers(np.array([80.0, 90.0]), np.array([0.2, 0.3]), rng.standard_normal((scenarios, 2)))
    made = PathSet(
        tuple(f"U{index}" for index in range(units)),
        delivered,
        nameplate,
        np.arange(buckets) * 2 // buckets,
        np.linspace(1.0, 0.95, buckets),
        {"oil": drivers},
    )
    return replace(made, **changes)


def whole(found: PathSet, **changes: Any) -> Stream:
    return replace(Stream("north", "oil", tuple(range(len(found.units)))), **changes)


def sale(found: PathSet, identity: str = "D1", share: float = 1.0, **changes: Any) -> Commitment:
    return replace(Commitment(identity, "north", share * found.nameplate.sum(axis=1), 82.0), **changes)


def book(found: PathSet, *deals: Commitment, settings: Settings = PLAIN, **changes: Any) -> Book:
    return prepare(found, [whole(found)], deals or [sale(found)], settings=settings, **changes)


def normal_prices(forward: list[float], sd: list[float], scenarios: int, seed: int = 2) -> PriceDrivers:
    shocks = np.random.default_rng(seed).standard_normal((scenarios, len(forward)))
    return PriceDrivers(np.array(forward), np.array(sd), shocks, PriceModel.NORMAL)
