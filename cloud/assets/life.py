"""How long a unit still lives, and how likely it fails within a horizon, learned from histories that ended in failure.

    histories -> wear.features -> boosted trees -> remaining life, capped -> conformal interval
                                                -> raw chance per horizon -> isotonic, never falling with the horizon

Rules: intervals and chances are calibrated on units the trees had not seen, at cycles where they might have been looked at. A unit
unlike everything seen gets no estimate: `known` False, interval from 0 to the cap, chances of the class. An interval that reaches the
cap is open: at least `low`. Time is in cycles of the class. Learning needs the extra `learn`; estimating needs numpy alone.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats, conformal, detect, numbers, trees, wear
from cloud.assets.conformal import Bands, Isotonic
from cloud.assets.detect import Detector
from cloud.assets.trees import Forest
from cloud.assets.wear import Groups

FARTHEST: Final = 3.0  # -log10 p of T2 or Q beyond which a unit is unlike everything seen
_STILL: Final = 1e-6  # of its mean: a tag that varies less tells nothing


@dataclass(frozen=True, slots=True)
class Boosting:
    """The learner's own words. Chosen by folds of the training engines of C-MAPSS FD001: `python -m benchmarks.cmapss --choose`."""

    max_iter: int = 300
    learning_rate: float = 0.05
    max_leaf_nodes: int = 15
    max_features: float = 0.3
    min_samples_leaf: int = 100
    l2_regularization: float = 50.0


@dataclass(frozen=True, slots=True)
class Learning:
    """How to learn. cap: cycles beyond which remaining life is not told apart; horizons: cycles, ascending; margin: added to the
    confidence, because units will not be looked at as evenly as here; edges: of the bins of predicted life with an interval of their
    own; first: cycles before which nobody asks; members: forests whose mean is taken; threads: the model is the same with any number, but where
    others use the processors, threads that wait for each other after every split stand still for minutes."""

    cap: float = 125.0
    horizons: tuple[float, ...] = (15.0, 30.0, 50.0)
    confidence: float = 0.90
    margin: float = 0.02
    edges: tuple[float, ...] = (40.0, 80.0, 110.0)
    folds: int = 5
    looks: int = 40
    first: int = 20
    members: int = 2
    threads: int = 1
    seed: int = 0
    boosting: Boosting = field(default_factory=Boosting)

    def checked(self) -> "Learning":
        """Itself. Raises AssetError."""
        if not (
            self.cap > 0
            and 0 < self.confidence <= self.confidence + self.margin < 1
            and self.members >= 1
            and self.looks >= 1
            and self.first >= 0
        ):
            raise AssetError("learning: expected cap > 0, 0 < confidence + margin < 1, margin >= 0, members and looks >= 1, first >= 0")
        if not self.horizons or self.horizons[0] <= 0 or any(b <= a for a, b in zip(self.horizons, self.horizons[1:], strict=False)):
            raise AssetError(f"horizons: expected ascending numbers above 0, found {self.horizons}")
        return self


@dataclass(frozen=True, slots=True)
class Model:
    """What was learned. moving: (tags,), the tags that tell something; chance, share: one per horizon, share of cycles that failed within."""

    cap: float
    horizons: tuple[float, ...]
    moving: Bools
    life: Forest
    bands: Bands
    chance: tuple[tuple[Forest, Isotonic], ...]
    share: Floats
    envelope: Detector


@dataclass(frozen=True, slots=True)
class Life:
    """known: (rows,), False where there is no estimate; point in [low, high]: cycles, high at the cap is open; chances: (rows, horizons)."""

    known: Bools
    point: Floats
    low: Floats
    high: Floats
    chances: Floats


def remaining(units: Groups) -> Floats:
    """Cycles left at each row of histories whose last row is the failure."""
    length = wear.lengths(units)
    return np.concatenate([np.arange(count)[::-1] for count in length]).astype(np.float64)


def fit(units: Groups, values: Floats, learning: Learning | None = None) -> Model:
    """From histories (rows,) and (rows, tags), each unit's rows together and its last row the failure. Raises AssetError."""
    how = (Learning() if learning is None else learning).checked()
    found = numbers("values", values)
    moving = found.std(axis=0) > _STILL * np.maximum(np.abs(found.mean(axis=0)), 1e-300)
    if not moving.any():
        raise AssetError("fit: expected a tag that varies, found none")
    rows, left = wear.features(units, found[:, moving]), remaining(units)
    capped = np.minimum(left, how.cap)
    out = conformal.folds(units, how.folds, how.seed)
    looks = conformal.truncations(units, how.looks, how.seed, how.first)
    held = unseen(rows, capped, out, looks, how, "regressor")
    bands = conformal.calibrate(np.clip(held, 0.0, how.cap), capped[looks], units[looks], how.edges, how.confidence + how.margin)
    every, chance = conformal.every_look(units, how.first), []
    for horizon in how.horizons:
        fails = left <= horizon
        odds = unseen(rows, fails, out, every, how, "classifier")
        chance.append((_forest(rows, fails, how, "classifier"), conformal.isotonic(odds, fails[every], units[every])))
    share = np.array([np.mean(left[every] <= horizon) for horizon in how.horizons])
    envelope = detect.fit(rows[~out[0]], rows[out[0]])
    life = _forest(rows, capped, how, "regressor")
    return Model(how.cap, how.horizons, moving, life, bands, tuple(chance), share, envelope)


def unseen(rows: Floats, target: Any, out: tuple[Bools, ...], looks: NDArray[np.intp], how: Learning, kind: str) -> Floats:
    """Answers at the looks by forests that never saw the unit: cycles of a "regressor", log odds of a "classifier"."""
    held = np.empty(looks.size)
    for fold in out:
        asked = fold[looks]
        held[asked] = _forest(rows[~fold], target[~fold], how, kind).answer(rows[looks[asked]])
    return held


def _forest(rows: Floats, target: Any, how: Learning, kind: str) -> Forest:
    try:
        from sklearn import ensemble
        from threadpoolctl import threadpool_limits
    except ImportError as missing:
        raise AssetError("learning needs scikit-learn: install the extra `learn`") from missing
    if kind == "classifier" and np.unique(target).size < 2:
        raise AssetError("horizons: expected some looks that failed within and some that did not")
    learner = ensemble.HistGradientBoostingRegressor if kind == "regressor" else ensemble.HistGradientBoostingClassifier
    members = (
        learner(early_stopping=False, random_state=1000 * how.seed + member, **asdict(how.boosting)) for member in range(how.members)
    )
    with threadpool_limits(limits=how.threads, user_api="openmp"):
        return trees.together(tuple(trees.forest(one.fit(rows, target)) for one in members))


def estimate(model: Model, units: Groups, values: Floats, usable: Bools | None = None) -> Life:
    """At every row of histories so far; the last row of a unit is the present. No estimate where a tag was missing for too long."""
    moving = values[:, model.moving]
    if usable is None:
        return judge(model, wear.features(units, moving), np.ones(units.size, dtype=bool))
    held, complete = wear.carried(units, moving, usable[:, model.moving])
    return judge(model, wear.features(units, held), complete)


def judge(model: Model, rows: Floats, complete: Bools) -> Life:
    """At rows of `wear.features` of the moving tags, where they are complete and inside the envelope."""
    score = detect.score(model.envelope, rows, np.ones(rows.shape, dtype=bool))
    known = complete & (np.maximum(score.t2_surprise, score.q_surprise) <= FARTHEST)
    told = np.clip(model.life.answer(rows), 0.0, model.cap)
    reach = model.bands.of(told)
    low = np.where(known, np.maximum(told - reach, 0.0), 0.0)
    high = np.where(known, np.minimum(told + reach, model.cap), model.cap)
    chances = np.where(known[:, None], failure_chances(model, rows), model.share)
    return Life(known, np.where(known, told, model.cap / 2), low, high, chances)


def failure_chances(model: Model, rows: Floats) -> Floats:
    """P(failure within each horizon), (rows, horizons), calibrated, never falling with the horizon."""
    each = [calibrated(forest.answer(rows)) for forest, calibrated in model.chance]
    return np.maximum.accumulate(np.stack(each, axis=1), axis=1)


def hazards(chances: Floats, horizons: tuple[float, ...]) -> Floats:
    """Constant failure rate per cycle that gives each chance: -ln(1 - P) / h."""
    if np.any((chances < 0) | (chances >= 1)):
        raise AssetError("chances: expected numbers from 0 to below 1")
    return np.asarray(-np.log1p(-chances) / np.array(horizons))
