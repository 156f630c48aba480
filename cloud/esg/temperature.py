"""Implied temperature rise: how warm it would get if the world overshot its carbon budget as much as a company does its own.

Not part of the score; it stands beside it. The formula is that of the ITR tool of OS-Climate: benchmark + budget x (overshoot - 1) x TCRE.
"""

from dataclasses import dataclass
from typing import Final

from cloud.esg import finite, share

TCRE_C_PER_GT: Final = 2.2 / 3664.0  # transient climate response, degrees per Gt CO2
MOST_OVERSHOOT: Final = 10.0  # a trajectory beyond it is an outlier of the data and is left out


@dataclass(frozen=True, slots=True)
class Budget:
    """The company's own budget, in the unit of its cumulative emissions, the world's, and the warming both stand for."""

    company: float
    world_gt: float
    benchmark_c: float


@dataclass(frozen=True, slots=True)
class TemperatureRise:
    """Degrees by target, by trajectory and mixed; `trajectory_c` is None when it was left out."""

    target_c: float
    trajectory_c: float | None
    mixed_c: float


def rise_c(cumulative: float, budget: Budget, tcre_c_per_gt: float = TCRE_C_PER_GT) -> float:
    """Degrees of one path of cumulative emissions."""
    overshoot = finite("cumulative", cumulative, low=0.0) / finite("company budget", budget.company, low=1e-12)
    return budget.benchmark_c + budget.world_gt * (overshoot - 1.0) * tcre_c_per_gt


def implied(
    target: float, trajectory: float, target_probability: float, budget: Budget, tcre_c_per_gt: float = TCRE_C_PER_GT
) -> TemperatureRise:
    """Target and trajectory mixed by the probability that the target is met."""
    probability, by_target = share("target_probability", target_probability), rise_c(target, budget, tcre_c_per_gt)
    by_trajectory = rise_c(trajectory, budget, tcre_c_per_gt)
    if trajectory / budget.company > MOST_OVERSHOOT:
        return TemperatureRise(by_target, None, by_target)
    return TemperatureRise(by_target, by_trajectory, probability * by_target + (1.0 - probability) * by_trajectory)
