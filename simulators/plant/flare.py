"""A flare beside replayed wells: what it burns, its pilot, the fuel gas of the site's engines and the power the site buys.

Pure functions of plant seconds, so that a run is the same whatever was asked for in between. The physics is plain: a purge flows always;
when a well shuts in, the gas it brought along goes to the flare while its flow line empties (first-order opening of the relief, then
decay); a pilot that is lit is hot and cools when it goes out; engines burn less fuel gas and the site buys more power while the well is
shut. Not for combustion efficiency: that is the hub's to assume, not the flare's to show.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols.devicemap import Tag
from protocols.tomlfile import nearest
from simulators.face import Step

NORMAL: Final = 0
RELIEVING: Final = 2  # labels of a flare; 1 is the fouling of the platform
PILOT_OUT: Final = 3
RELIEF_SEEN: Final = 0.01  # MMscf/d above the purge from which the label says that the flare relieves


@dataclass(frozen=True, slots=True)
class FlareCourse:
    """What befalls the flare, in plant seconds after the first step. relief_s: when a well shuts in; None: never. out: (from, to) of flame-outs."""

    step_s: int = 1
    relief_s: int | None = None
    out: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FlareParameters:
    """associated_mmscfd: the gas of the well that shuts in: 18,000 bbl/d at 120 Sm3 of gas per Sm3 of oil are 12 MMscf/d."""

    purge_mmscfd: float = 0.05
    associated_mmscfd: float = 12.0
    opening_s: float = 15.0
    emptying_s: float = 900.0
    fuel_gas_mmscfd: float = 1.4
    fuel_saved: float = 0.2
    pilot_lit_c: float = 620.0
    ambient_c: float = 28.0
    cooling_s: float = 20.0
    heating_value_btu_scf: float = 1180.0
    import_mw: float = 3.2
    import_more_mw: float = 0.9
    import_before_mwh: float = 18_250.0


def relief_mmscfd(p: FlareParameters, since_s: float) -> float:
    """Gas of the shut well so many seconds after the valve began to close."""
    if since_s <= 0:
        return 0.0
    return p.associated_mmscfd * (1 - math.exp(-since_s / p.opening_s)) * math.exp(-since_s / p.emptying_s)


def pilot_c(p: FlareParameters, out: Sequence[tuple[int, int]], second: float) -> float:
    """Temperature of the pilot's thermocouple: it approaches lit or ambient with one time constant. `out` rises and does not overlap."""
    found, since = p.pilot_lit_c, 0.0
    for start, end in out:
        for moment, towards in ((start, p.ambient_c), (end, p.pilot_lit_c)):
            if moment > second:
                return _approach(found, p.pilot_lit_c if towards == p.ambient_c else p.ambient_c, second - since, p.cooling_s)
            found = _approach(found, p.pilot_lit_c if towards == p.ambient_c else p.ambient_c, moment - since, p.cooling_s)
            since = moment
    return _approach(found, p.pilot_lit_c, second - since, p.cooling_s)


def _approach(start: float, end: float, seconds: float, constant_s: float) -> float:
    return end + (start - end) * math.exp(-seconds / constant_s)


def power_mwh(p: FlareParameters, second: float, shut_s: float | None) -> float:
    """The import meter's total."""
    more = 0.0 if shut_s is None else max(0.0, second - shut_s) * p.import_more_mw
    return p.import_before_mwh + (second * p.import_mw + more) / 3600.0


def flare_signals(p: FlareParameters, course: FlareCourse, second: float, noise: Sequence[float]) -> dict[str, float]:
    """What the instruments show."""
    since = -1.0 if course.relief_s is None else second - course.relief_s
    shut = 1.0 - math.exp(-since / p.opening_s) if since > 0 else 0.0
    return {
        "flare_gas_flow": (p.purge_mmscfd + relief_mmscfd(p, since)) * (1 + 0.005 * noise[0]),
        "pilot_temperature": pilot_c(p, course.out, second) + 1.5 * noise[1],
        "fuel_gas_flow": p.fuel_gas_mmscfd * (1 - p.fuel_saved * shut) * (1 + 0.003 * noise[2]),
        "heating_value": p.heating_value_btu_scf + 2.0 * noise[3],
        "power_import": power_mwh(p, second, None if course.relief_s is None else float(course.relief_s)),
    }


def label(p: FlareParameters, course: FlareCourse, second: float) -> int:
    """What truly happens now; a pilot that is out counts more than a relief."""
    if any(start <= second < end for start, end in course.out):
        return PILOT_OUT
    return RELIEVING if course.relief_s is not None and relief_mmscfd(p, second - course.relief_s) > RELIEF_SEEN else NORMAL


_SHOWN: Final[Mapping[str, float]] = flare_signals(FlareParameters(), FlareCourse(), 0.0, [0.0] * 4)


def flare_problems(tags: Sequence[Tag]) -> str:
    """Why these tags cannot show a flare, or nothing."""
    for tag in tags:
        if tag.name not in _SHOWN:
            return f'tag "{tag.name}": a flare has no such signal{nearest(tag.name, _SHOWN)}'
    return ""


class FlareSource:
    """A flare as steps of one device, each tag showing the signal of its name."""

    def __init__(self, seed: int, course: FlareCourse, tags: Sequence[Tag], parameters: FlareParameters | None = None) -> None:
        self._seed, self._course, self._tags = seed, course, tags
        self._parameters = parameters or FlareParameters()

    def step(self, index: int, time_us: int) -> Step:
        second = float(index * self._course.step_s)
        noise: list[float] = np.random.Generator(np.random.PCG64([self._seed, index])).standard_normal(4).tolist()
        signals = flare_signals(self._parameters, self._course, second, noise)
        values = np.array([signals[tag.name] for tag in self._tags])
        return Step(time_us, values, np.zeros(len(values), dtype=np.uint32), label(self._parameters, self._course, second))
