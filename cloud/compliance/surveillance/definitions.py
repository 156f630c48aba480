"""The figures in the definitions of the patterns, as data in patterns.toml, for one day.

The one crossing from the decimals of a parameter file to the floats of columns.
"""

from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Final

from cloud.compliance.parameters import ParameterSet, read
from cloud.compliance.trace import Law

SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Wash:
    within_us: int
    price_pct: float


@dataclass(frozen=True, slots=True)
class RoundTrip:
    within_us: int
    price_pct: float
    quantity_pct: float


@dataclass(frozen=True, slots=True)
class Layering:
    ratio: float
    within_us: int
    filled_pct: float
    repeats: int
    guard_ticks: float


@dataclass(frozen=True, slots=True)
class Close:
    within_us: int
    share_pct: float
    move_pct: float


@dataclass(frozen=True, slots=True)
class Ignition:
    orders: int
    within_us: int
    sigmas: float
    reversal_us: int
    news_us: int


@dataclass(frozen=True, slots=True)
class Definitions:
    wash: Wash
    round_trip: RoundTrip
    layering: Layering
    close: Close
    ignition: Ignition
    digest: str


def shipped() -> ParameterSet:
    return read(Path(str(files("cloud.compliance.surveillance"))) / "patterns.toml")


def definitions(parameters: ParameterSet, as_of: date) -> Definitions:
    """Undetermined where a figure is not in force: no pattern is looked for with a guess."""
    law = Law(parameters, as_of)

    def figure(name: str) -> float:
        return float(law.number(f"surveillance.{name}"))

    def time_us(name: str) -> int:
        return int(law.number(f"surveillance.{name}") * SECOND_US)

    return Definitions(
        Wash(time_us("wash.seconds"), figure("wash.price_pct")),
        RoundTrip(time_us("round.seconds"), figure("round.price_pct"), figure("round.quantity_pct")),
        Layering(
            figure("layer.ratio"),
            time_us("layer.seconds"),
            figure("layer.filled_pct"),
            int(figure("layer.repeats")),
            figure("layer.guard_ticks"),
        ),
        Close(time_us("close.seconds"), figure("close.share_pct"), figure("close.move_pct")),
        Ignition(
            int(figure("ignition.orders")),
            time_us("ignition.seconds"),
            figure("ignition.sigmas"),
            time_us("ignition.reversal_seconds"),
            time_us("ignition.news_seconds"),
        ),
        parameters.digest,
    )
