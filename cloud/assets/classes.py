"""Classes of assets: which roles tags play, what is plausible for each, what follows from them, and how such assets fail.

Read from `[[class]]` tables of a model's file; errors name file, line and key. Every class says where its failure numbers come from.
Not for single assets (`model`), nor for judging samples (`trust`, `health`).
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud.assets.features import ADAPT
from cloud.assets.physics import FORMULAS, PRESSURES
from protocols.tomlfile import Section, nearest

DAY_US: Final = 86_400_000_000
DAYS_PER_YEAR: Final = 365.25
STALE_TICKS: Final = 3


class Wear(enum.StrEnum):
    """The process that carries degradation to its threshold: one that also recovers, or one that only grows."""

    WIENER = "wiener"
    GAMMA = "gamma"


@dataclass(frozen=True, slots=True)
class Role:
    """What a tag stands for. low, high: plausible range in `unit`; rate: most change per second; resolution: smallest change that counts
    as movement; deviation: least deviation of a baseline, for tags that are calmer while it is learned than they are later;
    rests: may stand still; required: health needs it; watched: judged itself, or only an input of a formula."""

    name: str
    unit: str
    low: float
    high: float
    rate: float
    resolution: float
    deviation: float
    rests: bool
    required: bool
    watched: bool


@dataclass(frozen=True, slots=True)
class Derived:
    """A role that is computed; `of`: positions of its inputs in the class's roles."""

    role: Role
    formula: str
    of: tuple[int, ...]
    constant: float


@dataclass(frozen=True, slots=True)
class Failure:
    """How assets of a class fail, before anything was learned of one of them; time in days.

    threshold: of 1 - health; drift, diffusion: of degradation per day (per square root of a day), worth so many days of observation;
    clock: failures per day from other causes; repair_median, repair_spread: days, standard deviation of the logarithm; sensor_sd: relative, of
    the volume measurement; age_eta, age_beta: Weibull life (days) worth `age_failures` failures, 0: age does not matter;
    source: where the numbers come from.
    """

    threshold: float
    wear: Wear
    drift: float
    diffusion: float
    worth: float
    clock: float
    repair_median: float
    repair_spread: float
    sensor_sd: float
    source: str
    age_eta: float = 0.0
    age_beta: float = 0.0
    age_failures: float = 0.0


@dataclass(frozen=True, slots=True)
class AssetClass:
    """every_us: length of a tick; stale_us: without a good sample for so long, a tag is stale; learn: samples of a baseline; adapt: weight
    per sample with which it follows afterwards (0: not at all, for wear that is slow against a tick).

    Health has one column for each watched role, in order, and then for each derived one.
    """

    name: str
    every_us: int
    stale_us: int
    learn: int
    adapt: float
    roles: tuple[Role, ...]
    derived: tuple[Derived, ...]
    failure: Failure

    @property
    def watched(self) -> tuple[int, ...]:
        """Positions of the roles that are judged themselves."""
        return tuple(at for at, role in enumerate(self.roles) if role.watched)

    @property
    def columns(self) -> tuple[Role, ...]:
        return (*(self.roles[at] for at in self.watched), *(derived.role for derived in self.derived))


def parse_class(section: Section) -> AssetClass:
    """Raises protocols.tomlfile.ConfigError."""
    name, every = section.text("name"), section.duration_us("every", "1s")
    if every < 1:
        raise section.error("every", '"every": expected more than 0')
    stale = section.duration_us("stale") if "stale" in section else STALE_TICKS * every
    learn = section.integer("learn", 300, low=2, high=1_000_000)
    adapt = float(section.number("adapt", ADAPT))
    if not 0 <= adapt <= 0.1:
        raise section.error("adapt", f'"adapt": expected a weight from 0 to 0.1, found {adapt}')
    roles = tuple(map(_role, section.sections("role", optional=True)))
    names = [role.name for role in roles]
    derived = tuple(_derived(found, roles) for found in section.sections("derived", optional=True))
    names += [found.role.name for found in derived]
    if repeated := next((name for at, name in enumerate(names) if name in names[:at]), None):
        raise section.error("role", f'role "{repeated}" is described twice in class "{name}"')
    failure = _failure(section.section("failure"))
    section.done()
    made = AssetClass(name, every, stale, learn, adapt, roles, derived, failure)
    if roles and not any(role.required for role in made.columns):
        raise section.error("role", f'class "{name}" has roles and none of those judged is required: health could never be told')
    return made


def _role(section: Section) -> Role:
    role = _limits(section, section.text("name"), section.text("unit"), section.boolean("watched", True))
    section.done()
    return role


def _limits(section: Section, name: str, unit: str, watched: bool) -> Role:
    low, high = section.number("low", -math.inf), section.number("high", math.inf)
    rate, resolution = section.number("rate", math.inf), section.number("resolution")
    if not low < high:
        raise section.error("high", f'"high": expected more than "low" {low}, found {high}')
    if not rate > 0:
        raise section.error("rate", f'"rate": expected more than 0 per second, found {rate}')
    if not 0 < resolution < math.inf:
        raise section.error("resolution", f'"resolution": expected more than 0, found {resolution}')
    deviation = section.number("deviation", resolution)
    if not 0 < deviation < math.inf:
        raise section.error("deviation", f'"deviation": expected more than 0, found {deviation}')
    rests, required = section.boolean("rests", False), section.boolean("required", watched)
    if required and not watched:
        raise section.error(
            "required", f'role "{name}" is not watched, so health cannot require it; let what is derived from it be required'
        )
    return Role(name, unit, float(low), float(high), float(rate), float(resolution), float(deviation), rests, required, watched)


def _derived(section: Section, roles: Sequence[Role]) -> Derived:
    name, formula = section.text("role"), section.choice("formula", FORMULAS)
    rule, of, constant = FORMULAS[formula], section.texts("of"), float(section.number("constant"))
    known = [role.name for role in roles]
    if len(of) != len(rule.inputs):
        raise section.error("of", f'"of": {formula} takes {", ".join(what for what, _ in rule.inputs)}; found {len(of)} roles')
    for input_name, (what, units) in zip(of, rule.inputs, strict=True):
        if input_name not in known:
            raise section.error("of", f'"of": no role "{input_name}" in this class{nearest(input_name, known)}')
        unit = roles[known.index(input_name)].unit
        if unit not in units:
            raise section.error("of", f'"of": {what} is taken in {" or ".join(units)}, role "{input_name}" is in "{unit}"')
    pressures = {roles[known.index(one)].unit for one in of} & set(PRESSURES)
    if len(pressures) > 1:
        raise section.error("of", f'"of": pressures of one formula need one unit, found {", ".join(sorted(pressures))}')
    if not 1 < constant < math.inf:
        raise section.error("constant", f'"constant": expected the {rule.constant}, found {constant}')
    role = _limits(section, name, rule.unit, True)
    section.done()
    return Derived(role, formula, tuple(known.index(one) for one in of), constant)


def _failure(section: Section) -> Failure:
    threshold, source = _above_zero(section, "threshold"), section.text("source")
    if threshold > 1:
        raise section.error("threshold", f'"threshold": expected a degradation from 0 to 1, found {threshold}')
    if not source.strip():
        raise section.error("source", '"source": expected where these numbers come from')
    wear = Wear(section.choice("wear", Wear, "wiener"))
    drift, diffusion = _at_least_zero(section, "drift_per_day"), _above_zero(section, "diffusion_per_day")
    if wear is Wear.GAMMA and drift == 0:
        raise section.error("drift_per_day", '"drift_per_day": gamma wear only grows, expected more than 0')
    worth = _days(section, "worth")
    clock = _at_least_zero(section, "clock_per_year") / DAYS_PER_YEAR
    repair, spread = _days(section, "repair_median"), _at_least_zero(section, "repair_spread")
    sensor = _at_least_zero(section, "sensor_sd")
    aged = "age_eta_years" in section
    eta, beta = (_above_zero(section, key) if aged else 0.0 for key in ("age_eta_years", "age_beta"))
    failures = _above_zero(section, "age_failures") if aged else 0.0
    section.done()
    life = (eta * DAYS_PER_YEAR, beta, failures)
    return Failure(threshold, wear, drift, diffusion, worth, clock, repair, spread, sensor, source, *life)


def _above_zero(section: Section, key: str) -> float:
    value = float(section.number(key))
    if not 0 < value < math.inf:
        raise section.error(key, f'"{key}": expected a number above 0, found {value}')
    return value


def _at_least_zero(section: Section, key: str) -> float:
    value = float(section.number(key))
    if not 0 <= value < math.inf:
        raise section.error(key, f'"{key}": expected a number from 0 up, found {value}')
    return value


def _days(section: Section, key: str) -> float:
    us = section.duration_us(key)
    if us <= 0:
        raise section.error(key, f'"{key}": expected more than 0')
    return us / DAY_US
