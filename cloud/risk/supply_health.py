"""What health and data quality cost: VaR with a unit's volumes as they would be, on the same scenarios.

For health delta, value of repair and the data-quality add-on (section 2.3). Not for the volumes themselves: cloud/assets forecasts them
again from the same random numbers with degradation moved, repaired, or with full data quality. Differences are "then minus now" in money.
With reference "plan" more degradation never lowers a seller's VaR (prices >= 0); with "mean" it may, as the mean falls too.
"""

from dataclasses import dataclass

from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.measures import expected_shortfall, value_at_risk
from cloud.risk.supply import Book, joint_losses


@dataclass(frozen=True, slots=True)
class Variant:
    """One unit's delivered volume (S, b) on the run's scenarios: with degradation raised by `step`, and after repair."""

    unit: str
    step: float
    worse: Floats
    repaired: Floats


@dataclass(frozen=True, slots=True)
class HealthDelta:
    """per_step: dVaR/dD by bump. repair_var = VaR(repaired) - VaR(now), below 0 when repair helps; repair_es likewise."""

    unit: str
    per_step: float
    repair_var: float
    repair_es: float


@dataclass(frozen=True, slots=True)
class QualityAddOn:
    """VaR and ES with the run's data quality q, with q = 1, and what missing data adds. Shown apart, never inside the VaR."""

    var: float
    var_certain: float
    es: float
    es_certain: float

    @property
    def add_on(self) -> float:
        return self.var - self.var_certain


def health_delta(book: Book, variant: Variant) -> HealthDelta:
    """Raises RiskError for a unit that is not on the paths, a step that is not > 0, or another shape than (S, b)."""
    if not variant.step > 0:
        raise RiskError(Cause.LEVEL_OUT_OF_RANGE, f"the step of {variant.unit} must be > 0", variant.step)
    level = book.settings.level
    now, worse, repaired = (joint_losses(book, volumes) for volumes in (None, _with(book, variant, 0), _with(book, variant, 1)))
    base = value_at_risk(now, level)
    return HealthDelta(
        variant.unit,
        (value_at_risk(worse, level) - base) / variant.step,
        value_at_risk(repaired, level) - base,
        expected_shortfall(repaired, level) - expected_shortfall(now, level),
    )


def quality_add_on(book: Book, certain: Floats) -> QualityAddOn:
    """certain: delivered volumes (S, b, u) as they would be if all telemetry were fresh and good, same random numbers."""
    if certain.shape != book.paths.delivered.shape:
        raise RiskError(Cause.SHAPES_DIFFER, f"delivered {book.paths.delivered.shape}, at full quality {certain.shape}")
    level, now, known = book.settings.level, joint_losses(book), joint_losses(book, certain)
    return QualityAddOn(
        value_at_risk(now, level), value_at_risk(known, level), expected_shortfall(now, level), expected_shortfall(known, level)
    )


def _with(book: Book, variant: Variant, which: int) -> Floats:
    paths, volume = book.paths, (variant.worse, variant.repaired)[which]
    if variant.unit not in paths.units:
        raise RiskError(Cause.NO_DATA, f"no unit {variant.unit!r} on these paths")
    if volume.shape != paths.delivered.shape[:2]:
        raise RiskError(Cause.SHAPES_DIFFER, f"{variant.unit}: {volume.shape}, paths {paths.delivered.shape[:2]}")
    changed = paths.delivered.copy()
    changed[:, :, paths.units.index(variant.unit)] = volume
    return changed
