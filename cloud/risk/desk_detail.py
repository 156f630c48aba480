"""The slower part of a desk's run: value of repair by unit, the CVaR hedge, named stresses. On the run's own scenarios, after it.

For what a trader asks next, not for every reaction. Same conventions as `desk`: losses against the plan are positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cloud.risk import hedge, supply, supply_health
from cloud.risk.desk import Valued, movable
from cloud.risk.errors import Floats
from cloud.risk.hedge import Hedge
from cloud.risk.supply import Reference
from cloud.risk.supply_health import HealthDelta, Variant
from cloud.risk.supply_paths import PriceDrivers, PriceModel

PATHS: Final = 1000  # of the run, evenly thinned: the linear programme of the CVaR hedge takes about a second with them


@dataclass(frozen=True, slots=True)
class Detail:
    """What takes longer than a reaction may: health by unit, the CVaR hedge on a thinned path set, reverse stress by price."""

    health: tuple[HealthDelta, ...]
    cvar_hedge: Hedge | None
    hedged: tuple[tuple[str, int], ...]
    stress: tuple[tuple[str, float], ...]


def detail(valued: Valued, variants: Sequence[Variant]) -> Detail:
    """variants: each unit's volumes with more wear and after repair, on the scenarios of the run."""
    book, risk = valued.book, valued.risk
    health = tuple(supply_health.health_delta(book, variant) for variant in variants)
    names, spot, forward = movable(book, risk)
    found = None
    if names:
        thinned = slice(None, None, max(1, risk.pnl.size // PATHS))
        most = _most_volume(valued, names)
        found = hedge.min_cvar_hedge(risk.pnl[thinned], spot[thinned], forward, most, book.settings.level)
    return Detail(health, found, names, stresses(valued))


def _most_volume(valued: Valued, names: Sequence[tuple[str, int]]) -> Floats:
    """No more forwards of a month than twice what the streams deliver in it at nameplate, and never none at all."""
    totals = {
        stream.product: valued.grid.by_period(valued.book.paths.nameplate[:, list(stream.units)].sum(axis=1))
        for stream in valued.book.streams
    }
    return np.array([2.0 * float(totals[product][period]) if product in totals else 0.0 for product, period in names])


NAMED_STRESSES: Final = (
    ("prices +25 %", 1.25, 1.0),
    ("prices -25 %", 0.75, 1.0),
    ("all streams out", 1.0, 0.0),
    ("all streams out, prices +25 %", 1.25, 0.0),
)


def stresses(valued: Valued) -> tuple[tuple[str, float], ...]:
    """Loss against the plan of each named scenario: prices at a share of the forward, volumes at a share of their mean."""
    found = []
    for name, price_share, volume_share in NAMED_STRESSES:
        found.append((name, valued.risk.plan - _point(valued, price_share, volume_share)))
    return tuple(found)


def _point(valued: Valued, price_share: float, volume_share: float) -> float:
    """P&L of one scenario, through the same code as every other."""
    paths = valued.book.paths
    mean = paths.delivered.mean(axis=0, keepdims=True) * volume_share
    drivers = {
        product: PriceDrivers(one.forward * price_share, np.zeros_like(one.sd), np.zeros((1, one.forward.size)), PriceModel.NORMAL)
        for product, one in paths.prices.items()
    }
    single = replace(paths, delivered=mean, prices=drivers, produced=None, availability=None, force_majeure={})
    book = replace(valued.book, paths=single, settings=replace(valued.book.settings, rhos=(), jumps=(), rho_pv=0.0, jump=0.0))
    return float(supply.joint_losses(replace(book, settings=replace(book.settings, reference=Reference.PLAN)))[0]) * -1 + supply.plan_of(
        book
    )
