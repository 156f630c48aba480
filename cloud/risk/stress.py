"""Named scenarios as moves in risk factors, and the smallest move that loses a given amount.

For "what if" and "what would it take", on any P&L given as a function of moves. Not for probabilities: a reverse stress is small in the
metric of the covariance (Mahalanobis), which says how unusual it is, nothing more. Gains are positive in P&L, losses positive in results.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from cloud.risk.errors import Cause, Floats, RiskError, finite

PnL = Callable[[Floats], Floats]  # moves (n, k) in the units of the factors -> P&L (n,)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Moves by factor name, in the factor's unit; factors not named do not move."""

    name: str
    moves: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Stressed:
    scenario: str
    loss: float


@dataclass(frozen=True, slots=True)
class NotStressed:
    scenario: str
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class ReverseStress:
    """moves (k,) that lose `loss`; size: how many times the direction, or the Mahalanobis length of the moves."""

    moves: Floats
    size: float
    loss: float


def stress(pnl: PnL, factors: Sequence[str], scenarios: Sequence[Scenario]) -> tuple[tuple[Stressed, ...], tuple[NotStressed, ...]]:
    """The loss of each scenario; one that names an unknown factor, or has no finite loss, is listed beside the others."""
    done, failed = [], []
    for scenario in scenarios:
        unknown = sorted(scenario.moves.keys() - set(factors))
        if unknown:
            failed.append(NotStressed(scenario.name, Cause.NO_DATA, f"no factor {', '.join(unknown)}"))
            continue
        loss = _loss(pnl, np.array([scenario.moves.get(name, 0.0) for name in factors]))
        if np.isfinite(loss):
            done.append(Stressed(scenario.name, loss))
        else:
            failed.append(NotStressed(scenario.name, Cause.NOT_FINITE, "the P&L under these moves is not a number"))
    return tuple(done), tuple(failed)


def smallest_in_direction(pnl: PnL, direction: Floats, loss: float, most: float, steps: int = 200) -> ReverseStress:
    """The smallest t in (0, most] with -pnl(t direction) = loss, found on a grid and refined: the first crossing, also when not monotone.

    A crossing and return within one of `steps` is not seen. Raises RiskError when no move up to `most` loses that much.
    """
    way = finite("direction", direction)
    grid = np.linspace(0.0, most, steps + 1)
    losses = finite("losses along the direction", -pnl(grid[:, None] * way))
    reached = np.flatnonzero(losses >= loss)
    if reached.size == 0:
        raise RiskError(Cause.NO_CONVERGENCE, f"no move up to {most:g} times the direction loses {loss:g}; most is", float(losses.max()))
    first = int(reached[0])
    if first == 0:
        return ReverseStress(0.0 * way, 0.0, float(losses[0]))
    size = float(brentq(lambda t: _loss(pnl, t * way) - loss, grid[first - 1], grid[first], xtol=1e-12 * most, rtol=1e-12))
    return ReverseStress(size * way, size, _loss(pnl, size * way))


def least_unusual(pnl: PnL, covariance: Floats, loss: float, most: float = 10.0, rounds: int = 50) -> ReverseStress:
    """The moves of least Mahalanobis length sqrt(m' C^-1 m) that lose `loss`, of at most `most` standard deviations.

    In whitened factors m = A z, A A' = C, the nearest point of {L >= loss} to 0 (design point; Hasofer & Lind 1974): the direction is
    turned to the gradient of the loss at the crossing until it rests. A local minimum for a P&L with several; the returned moves are
    repriced. Raises RiskError for a covariance that is not positive semidefinite, or a loss out of reach.
    """
    root = _root(finite("covariance", covariance))
    k = root.shape[0]

    def whitened(z: Floats) -> Floats:
        return pnl(z @ root.T)

    way = _gradient(whitened, np.zeros(k))
    best: ReverseStress | None = None
    for _ in range(rounds):
        if not np.any(way):
            raise RiskError(Cause.NO_CONVERGENCE, "the P&L does not depend on the factors here")
        way = way / np.linalg.norm(way)
        found = smallest_in_direction(whitened, way, loss, most)
        if best is not None and found.size >= best.size * (1 - 1e-10):
            break
        best, way = found, _gradient(whitened, found.moves)
    if best is None:
        raise RiskError(Cause.NO_CONVERGENCE, "no round was made")
    moves = root @ best.moves
    return ReverseStress(moves, best.size, _loss(pnl, moves))


def _loss(pnl: PnL, moves: Floats) -> float:
    return -float(pnl(moves[None, :])[0])


def _gradient(pnl: PnL, at: Floats, step: float = 1e-4) -> Floats:
    """Of the loss, by central differences of one ten-thousandth standard deviation."""
    moved = np.concatenate([at + step * np.eye(at.size), at - step * np.eye(at.size)])
    losses = -pnl(moved)
    return np.asarray((losses[: at.size] - losses[at.size :]) / (2 * step))


def _root(covariance: Floats) -> Floats:
    if covariance.ndim != 2 or not np.allclose(covariance, covariance.T, rtol=1e-10, atol=0.0):
        raise RiskError(Cause.NOT_SYMMETRIC, f"covariance {covariance.shape}")
    values, vectors = np.linalg.eigh(covariance)
    if float(values.min()) < -1e-12 * max(float(values.max()), 0.0):
        raise RiskError(Cause.NOT_POSITIVE_SEMIDEFINITE, "smallest eigenvalue", float(values.min()))
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
