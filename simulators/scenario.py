"""A scenario file: which devices are served, what they show, how fast time runs and what goes wrong when.

Its `[[device]]` tables are those of a gateway's file plus `source`. Parsing touches no network and opens no recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from protocols.devicemap import Device, DeviceMaps, parse_devices
from protocols.tomlfile import ConfigError, Section, TomlFile, nearest
from simulators.face import Source
from simulators.faults import KINDS
from simulators.plant.flare import FlareCourse, FlareSource, flare_problems
from simulators.plant.signals import Course, Plant, PlantSource, signal_problems
from simulators.replay import RecordingError, ReplaySource, find_recordings, read_recording

SCENARIOS: Final = Path(__file__).resolve().parent / "scenarios"
Times = Literal["wall", "recorded"]


@dataclass(frozen=True, slots=True)
class Replay:
    recordings: tuple[Path, ...]
    start_row: int
    repeat: bool


@dataclass(frozen=True, slots=True)
class FromPlant:
    """Tags show the plant's signals of their own name or vendor name."""

    unit: str


@dataclass(frozen=True, slots=True)
class FromFlare:
    """Tags show a flare's signals of their own name; times of the course are those of the plant."""

    course: FlareCourse


Show = Replay | FromPlant | FromFlare


@dataclass(frozen=True, slots=True)
class FaultAt:
    """at_us counts from the first step on."""

    at_us: int
    device: str
    kind: str
    duration_us: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """rate: steps per second of wall time. times: what the steps are stamped with. plant: how the simulated plant's time runs."""

    name: str
    seed: int
    rate: float
    times: Times
    devices: tuple[Device, ...]
    shows: tuple[Show, ...]
    faults: tuple[FaultAt, ...]
    plant: Course


def find_scenario(name: str) -> Path:
    """The file of that path, else the shipped scenario of that name. Raises ConfigError."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = {found.stem: found for found in SCENARIOS.glob("*.toml")}
    if name not in shipped:
        raise ConfigError(path, 0, f"no such scenario{nearest(name, shipped)} Shipped: {', '.join(sorted(shipped))}.")
    return shipped[name]


def load_scenario(path: Path) -> Scenario:
    """Raises ConfigError."""
    root = TomlFile.read(path).root
    name = root.text("scenario")
    seed = root.integer("seed", 1, low=0)
    rate = root.number("rate", 1.0)
    if not 0 < rate <= 1000:
        raise root.error("rate", f'"rate": expected more than 0 and at most 1000 steps per second, found {rate}')
    times: Times = "recorded" if root.choice("times", ("wall", "recorded"), "wall") == "recorded" else "wall"
    sections = root.sections("device")
    if not sections:
        raise root.error("device", '"device": expected at least one device')
    shows = tuple(_show(section, path.parent, times) for section in sections)
    devices = parse_devices(sections, DeviceMaps((path.parent,)))
    for device, show, section in zip(devices, shows, sections, strict=True):
        if isinstance(show, FromPlant) and (problem := signal_problems(show.unit, device.map.tags)):
            raise section.error("source", f'device "{device.name}": {problem}')
        if isinstance(show, FromFlare) and (problem := flare_problems(device.map.tags)):
            raise section.error("source", f'device "{device.name}": {problem}')
    faults = tuple(_fault(section, [device.name for device in devices]) for section in root.sections("faults", optional=True))
    course = _course(root.section("plant", optional=True))
    root.done()
    return Scenario(name, seed, rate, times, devices, shows, faults, course)


def _course(section: Section) -> Course:
    step_s, warm_up_s, from_s = (
        section.duration_us(key, default) // 1_000_000 for key, default in (("step", "1s"), ("warm_up", "0s"), ("from", "0s"))
    )
    if not 1 <= step_s <= 3600:
        raise section.error("step", f'"step": expected 1s to 1h of plant time, found {step_s} s')
    if warm_up_s > 86_400:
        raise section.error("warm_up", '"warm_up": expected at most 1d')
    fouling = float(section.number("fouling_per_day", 0.0))
    if not 0 <= fouling <= 1000:
        raise section.error("fouling_per_day", f'"fouling_per_day": expected a share of the capacity per day from 0 up, found {fouling}')
    section.done()
    return Course(step_s, warm_up_s, fouling, from_s)


def _show(device: Section, folder: Path, times: Times) -> Show:
    section = device.section("source")
    if sum(key in section for key in ("replay", "plant", "flare")) != 1:
        raise device.error("source", '"source": expected one of "replay", "plant" and "flare"')
    show: Show
    if "plant" in section:
        show = FromPlant(section.text("plant"))
    elif "flare" in section:
        show = FromFlare(_flare_course(section.section("flare")))
    else:
        start_row, repeat = section.integer("start_row", 0, low=0), section.boolean("repeat", False)
        if repeat and times == "recorded":
            raise section.error("repeat", '"repeat": a repeated recording needs times = "wall"')
        try:
            show = Replay(find_recordings(section.text("replay"), folder), start_row, repeat)
        except RecordingError as error:
            raise section.error("replay", f'"replay": {error}') from error
    section.done()
    return show


def _flare_course(section: Section) -> FlareCourse:
    """Plant seconds: with step = "1s" a scenario of five steps a second shows five of them in one."""
    step_s = section.duration_us("step", "1s") // 1_000_000
    if not 1 <= step_s <= 3600:
        raise section.error("step", f'"step": expected 1s to 1h of plant time, found {step_s} s')
    relief_s = section.duration_us("relief_at") // 1_000_000 if "relief_at" in section else None
    out: list[tuple[int, int]] = []
    for each in section.sections("pilot_out", optional=True):
        start = each.duration_us("at") // 1_000_000
        out.append((start, start + each.duration_us("for") // 1_000_000))
        each.done()
        if len(out) > 1 and start < out[-2][1]:
            raise each.error("at", '"at": flame-outs are expected one after the other')
    section.done()
    return FlareCourse(step_s, relief_s, tuple(out))


def _fault(section: Section, devices: Sequence[str]) -> FaultAt:
    fault = FaultAt(
        at_us=section.duration_us("at"),
        device=section.choice("device", devices),
        kind=section.choice("fault", KINDS),
        duration_us=section.duration_us("for"),
    )
    section.done()
    return fault


def open_sources(scenario: Scenario) -> tuple[Source, ...]:
    """One source per device. Recordings are read once however many devices show them. Raises RecordingError."""
    recordings = {show.recordings: read_recording(show.recordings) for show in scenario.shows if isinstance(show, Replay)}
    plant = Plant(scenario.seed, course=scenario.plant)
    sources: list[Source] = []
    for device, show in zip(scenario.devices, scenario.shows, strict=True):
        if isinstance(show, FromPlant):
            sources.append(PlantSource(plant, show.unit, device.map.tags))
        elif isinstance(show, FromFlare):
            sources.append(FlareSource(scenario.seed, show.course, device.map.tags))
        else:
            recording = recordings[show.recordings]
            sources.append(ReplaySource(recording, device.map.tags, start_row=show.start_row, times=scenario.times, repeat=show.repeat))
    return tuple(sources)
