"""The inventory as a tenant hands it in: meters, sources of every category, balances, metrics of the score, as frozen values.

Not for computing (`accounts`) and not for the wording of the file (`register_file`). A meter is named once, and whoever names it shares its
error: that is what makes sources correlated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from cloud.esg.combustion import Burner, Regime
from cloud.esg.estimates import Composition
from cloud.esg.flares import Purpose, Tier
from cloud.esg.inventory import Category
from cloud.esg.purchased import Rate
from cloud.esg.readings import Reading
from cloud.esg.releases import Gas, Leak
from cloud.esg.uncertainty import Input
from cloud.esg.units import Quantity, State


@dataclass(frozen=True, slots=True)
class Meter:
    """tag: "gateway/device.tag"; high: what it can show at most; hold_us: how long a sample stands for when nothing follows."""

    name: str
    tag: str
    reading: Reading
    high: float
    u95_pct: float
    hold_us: int

    @property
    def input(self) -> Input:
        return Input(self.name, self.u95_pct)


@dataclass(frozen=True, slots=True)
class Flow:
    """An amount: from a meter, or registered as so much per day."""

    meter: Meter | None
    per_day: Quantity | None


@dataclass(frozen=True, slots=True)
class Fuel:
    """carbon..hhv: of an analysis (tier 3); co2_share: of the stack (tier 4). Neither: tier 1 with the fuel's defaults."""

    flow: Flow
    fuel: str
    burner: Burner
    regime: Regime
    carbon_kg_per_kg: float | None
    molecular_weight: float | None
    hhv_mmbtu_scf: float | None
    co2_share: float | None


@dataclass(frozen=True, slots=True)
class Flare:
    flow: Flow
    pilot: Meter
    lit_above: float
    composition: Composition
    tier: Tier
    efficiency: float | None
    hhv_btu_scf: float | None
    nhv_btu_scf: float | None
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Release:
    """One vent or blowdown of the register: a volume, or a vessel between two states."""

    at_us: int
    volume: Quantity | None
    vessel_m3: float | None
    before: State | None
    after: State | None


@dataclass(frozen=True, slots=True)
class Vent:
    flow: Flow | None
    releases: tuple[Release, ...]
    gas: Gas


@dataclass(frozen=True, slots=True)
class Counted:
    """Pneumatic devices or components by the name of their factor."""

    counts: tuple[tuple[str, int], ...]
    gas: Gas


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Leaks of a survey: each from a moment to its repair (None: still leaking); hours of `Leak` are of no use here."""

    leaks: tuple[tuple[Leak, int, int | None], ...]
    gas: Gas
    measured: bool


@dataclass(frozen=True, slots=True)
class Seals:
    """modes: name, share of the day, metered vent in scf/h."""

    modes: tuple[tuple[str, float, float], ...]
    gas: Gas


@dataclass(frozen=True, slots=True)
class Tank:
    oil: Flow
    gor_scf_per_bbl: float
    gas: Gas
    recovery: float
    recovery_uptime: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """Contractual energy of a period, spread evenly over its days (`end` not included)."""

    start: date
    end: date
    mwh: float
    rate: Rate

    def mwh_on(self, day: date) -> float:
        return self.mwh / (self.end - self.start).days if self.start <= day < self.end else 0.0


@dataclass(frozen=True, slots=True)
class Power:
    """grid, residual: the name of a published grid, or a rate that the text gives with its reference."""

    energy: Flow
    grid: str | Rate
    residual: str | Rate
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Sold:
    fuel: str
    sold: Flow
    used: Quantity | None


@dataclass(frozen=True, slots=True)
class Freight:
    work: Flow
    intensity: Rate


What = Fuel | Flare | Vent | Counted | Surveyed | Seals | Tank | Power | Sold | Freight


@dataclass(frozen=True, slots=True)
class Source:
    """One source from a day on (`end`: not after it). inputs: what else than its meters its figure is uncertain by."""

    id: str
    site: str
    asset: str
    category: Category
    start: date
    end: date | None
    inputs: tuple[Input, ...]
    what: What

    def runs_on(self, day: date) -> bool:
        return self.start <= day and (self.end is None or day < self.end)

    @property
    def meters(self) -> tuple[Meter, ...]:
        return tuple(dict.fromkeys(_meters(self.what)))

    @property
    def every_input(self) -> tuple[Input, ...]:
        """Meters and named inputs, in the order of their names."""
        metered = [meter.input for meter in _meters(self.what) if meter.reading.unit is not None]
        return tuple(sorted(dict.fromkeys([*metered, *self.inputs]), key=lambda one: one.name))


def _meters(what: What) -> Iterator[Meter]:
    flows = [getattr(what, name, None) for name in ("flow", "oil", "energy", "sold", "work")]
    yield from (flow.meter for flow in flows if isinstance(flow, Flow) and flow.meter is not None)
    if isinstance(what, Flare):
        yield what.pilot


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a plant whose meters must balance; gas rates become kg/h by `kg_per_scf`."""

    name: str
    site: str
    inflow: tuple[Meter, ...]
    outflow: tuple[Meter, ...]
    kg_per_scf: float
    prior: float


@dataclass(frozen=True, slots=True)
class Target:
    """A metric of the score: `figure` names what is measured, best and worst hold since a day by a reference."""

    name: str
    topic: str
    figure: str
    best: float
    worst: float
    since: date
    reference: str
    u95_pct: float


@dataclass(frozen=True, slots=True)
class Register:
    """Everything a text says. caps: rule -> topic that its breach caps; reconciled: assets with a reconciled site measurement."""

    title: str
    meters: Mapping[str, Meter]
    sources: tuple[Source, ...]
    sections: tuple[Section, ...]
    targets: tuple[Target, ...]
    weights: Mapping[str, int]
    caps: Mapping[str, str]
    reconciled: frozenset[str]

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(sorted({source.site for source in self.sources}))

    def of(self, site: str) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.site == site)

    def meters_of(self, site: str) -> tuple[Meter, ...]:
        """Of its sources and its balances."""
        found = [meter for source in self.of(site) for meter in source.meters]
        found += [meter for one in self.sections if one.site == site for meter in (*one.inflow, *one.outflow)]
        return tuple(dict.fromkeys(found))

    def margin_us(self, site: str) -> int:
        """How far beside a stretch of time its samples are read: as long as the longest hold of a meter of the site."""
        return max((meter.hold_us for meter in self.meters_of(site)), default=0)

    def tags_of(self, site: str) -> tuple[str, ...]:
        return tuple(sorted({meter.tag for meter in self.meters_of(site)}))
