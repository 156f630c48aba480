"""The shipped example models on the shipped scenarios and recordings: what is told, when, and what follows for the volume."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import cloud.assets
from cloud.assets.assess import AssetHealth, Samples, advance, start
from cloud.assets.model import Model, read_model
from cloud.assets.outages import Draws
from cloud.assets.outlook import Horizon, foresee
from simulators.replay import Recording, find_recordings, read_recording
from tests.cloud.assets.recorded import SECOND_US, START_US, polled

EXAMPLES = Path(cloud.assets.__file__).parent / "examples"
RIGS = {"rig1": "dhsv_rig1", "rig2": "dhsv_rig2"}
EVALUATED = ("good", "watch", "warning", "critical")


@dataclass(frozen=True)
class Run:
    """Each second's answer, and the second at which the label of the closing well, or of the compressor, became an event."""

    model: Model
    answers: tuple[tuple[AssetHealth, ...], ...]
    label_at: int
    samples: tuple[Mapping[str, Samples], ...]

    def index_of(self, asset: int) -> list[float]:
        return [answer[asset].index for answer in self.answers]

    def volume(self, second: int) -> tuple[float, float]:
        """(expected, 5 %) over 90 days."""
        stream = self.model.streams[0].name
        found = foresee(self.model, stream, self.answers[second], Horizon(START_US, 90, 90), Draws(1, 2000))
        return float(found.expected[0]), float(found.quantiles[0, 0])


@cache
def played(example: str, every_us: int = SECOND_US) -> Run:
    model = read_model(EXAMPLES / f"{example}.toml")
    scenarios, device = (RIGS, "well1") if example == "dhsv" else ({"platform1": "fouling_platform"}, "compressor1")
    site = model.sites[0].name
    state, answers, shown, label_at = start(model, site), [], [], 120
    for second, (now_us, samples, labels) in enumerate(polled(scenarios, 120, every_us=every_us)):
        state, answer = advance(model, site, state, samples, now_us)
        answers.append(answer)
        shown.append(samples)
        label_at = min(label_at, second) if labels[device] > 0 else label_at
    return Run(model, tuple(answers), label_at, tuple(shown))


@pytest.mark.parametrize("every_us", [SECOND_US // 5, SECOND_US], ids=["polled 5 times a second", "polled every second"])
def test_closing_well_turns_critical_after_its_label_and_the_others_stay_good(every_us: int) -> None:
    run = played("dhsv", every_us)
    assert 50 <= run.label_at <= 60
    assert {answer[0].state for answer in run.answers[36 : run.label_at]} == {"good"}
    late = next(second for second, answer in enumerate(run.answers) if answer[0].index < 0.6) - run.label_at
    assert 0 <= late <= 15
    assert run.answers[-1][0].state == "critical"
    assert min(min(run.index_of(asset)) for asset in (1, 2, 3)) >= 0.8
    assert {one.state for one in run.answers[-1][1:]} == {"good"}


def test_volume_forecast_falls_when_the_well_closes() -> None:
    run = played("dhsv")
    before, after = run.volume(run.label_at - 5), run.volume(119)
    assert after[0] < before[0] * 0.98
    assert after[1] < before[1] * 0.96


def test_fouling_is_told_by_efficiency_and_not_by_flow() -> None:
    run = played("fouling")
    flow = np.concatenate([shown["platform1/compressor1.gas_flow"].values for shown in run.samples])
    clean, fouled = flow[: run.label_at], flow[run.label_at :]
    assert abs(fouled.mean() / clean.mean() - 1) < 0.01
    assert abs(fouled[-15:].mean() / clean.mean() - 1) < 0.01
    last = run.answers[-1][0]
    assert (last.asset, last.state) == ("COMPRESSOR-1", "critical")
    assert last.reasons[0].role == "efficiency"
    assert last.reasons[0].share > 0.9
    assert "platform1/compressor1.discharge_c" in last.reasons[0].tags
    assert min(run.index_of(0)[: run.label_at]) >= 0.8
    assert min(one.index for answer in run.answers for one in answer[1:]) >= 0.8
    assert run.volume(119)[0] < run.volume(run.label_at - 1)[0] * 0.99


def test_fouling_is_told_hours_before_the_speed_reaches_its_limit() -> None:
    run = played("fouling")
    rpm = np.array([float(shown["platform1/compressor1.rpm"].values[0]) for shown in run.samples])
    told = next(second for second, index in enumerate(run.index_of(0)) if index < 0.6)
    rising = (rpm[-1] - rpm[told]) / (119 - told)
    assert (11_000 - rpm[told]) / rising * 300 / 3600 > 6  # a second of the run is 300 s of the plant


def test_dead_sensors_widen_the_interval_of_a_normal_well() -> None:
    well = played("dhsv").answers[-1][1]
    assert well.stale == ("rig1/well2.p_tpt",)
    assert well.trust < 0.8
    assert well.high - well.low > 0.2


TAGS = {"P-PDG": "p_pdg", "P-TPT": "p_tpt", "T-TPT": "t_tpt", "P-MON-CKP": "p_mon_ckp", "T-JUS-CKP": "t_jus_ckp", "QGL": "qgl"}


def single(model: Model, recording: Recording) -> Model:
    """The class as shipped on one well, with those of its tags that give good samples most of the time required."""
    well = model.assets[0]
    alive = {f"rig1/well1.{TAGS[name]}" for name in TAGS if np.mean(recording.quality[name] == 0) > 0.5}
    own = replace(well, tags=tuple(replace(tag, required=tag.tag in alive) for tag in well.tags))
    return replace(model, assets=(own,), streams=())


def course(pattern: str, begin: int, rows: int) -> list[tuple[int, AssetHealth]]:
    """(row, answer) of one recording, five rows a second as in the scenario."""
    recording = read_recording(find_recordings(pattern))
    model = single(read_model(EXAMPLES / "dhsv.toml"), recording)
    state, found = start(model, "field"), []
    for row in range(begin, min(begin + rows, recording.rows), 5):
        now = np.array([START_US + (row - begin) * SECOND_US // 5])
        samples = {
            f"rig1/well1.{tag}": Samples(now, recording.columns[name][row : row + 1], recording.quality[name][row : row + 1])
            for name, tag in TAGS.items()
        }
        state, answer = advance(model, "field", state, samples, int(now[0]))
        found.append((row, answer[0]))
    return found


@pytest.mark.parametrize("pattern", ["2/WELL-00003_*", "2/WELL-00009_*", "2/WELL-00010_*", "6/WELL-00004_*"])
def test_same_class_tells_each_recorded_event_soon_and_nothing_before(pattern: str) -> None:
    label = read_recording(find_recordings(pattern)).label
    event, normal = int(np.argmax(label > 0)), int(np.flatnonzero(label != 0)[0])
    found = course(pattern, max(event - 275, 0), 600)
    assert all(answer.index >= 0.8 for row, answer in found if row < normal)
    assert next(row for row, answer in found if answer.index < 0.6) <= event + 125
    assert found[-1][1].index < 0.4


@pytest.mark.parametrize(("pattern", "begin"), [("2/WELL-00009_*", 600), ("2/WELL-00009_*", 2400), ("2/WELL-00010_*", 300), ("2/WELL-00010_*", 1500),
                                                ("6/WELL-00004_*", 0), ("6/WELL-00004_*", 1800)])  # fmt: skip
def test_same_class_raises_no_false_alarm_on_normal_stretches(pattern: str, begin: int) -> None:
    assert min(answer.index for _, answer in course(pattern, begin, 600) if answer.state in EVALUATED) >= 0.8
