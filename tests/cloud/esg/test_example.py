"""The shipped inventory on the shipped flare: what a closing well sends to the flare, as the hub accounts for it."""

import math
from pathlib import Path

import numpy as np
import pytest

import cloud.esg
from cloud.esg.accounts import Account, Span, of_an_interval, start_of
from cloud.esg.register_file import parse_register
from protocols.batch.bundle import Samples
from protocols.devicemap import SHIPPED, load_device_map
from simulators.plant.flare import FlareCourse, FlareParameters, FlareSource
from tests.cloud.esg.test_accounts import DAY

EXAMPLE = Path(cloud.esg.__file__).parent / "examples" / "dhsv.toml"
TAGS = load_device_map(SHIPPED / "qenergyz_flare_modbus.toml").tags
START = start_of(DAY)
STEPS = 600  # of the plant; five a second are two minutes


def played(course: FlareCourse) -> dict[str, Account]:
    """The first two minutes of the scenario, as they would come from the gateway."""
    source = FlareSource(1, course, TAGS)
    times = START + 200_000 * np.arange(STEPS, dtype=np.int64)
    values = np.array([source.step(index, 0).values for index in range(STEPS)])
    columns = {f"rig1/flare1.{tag.name}": Samples(times, values[:, at], np.zeros(STEPS, np.uint32)) for at, tag in enumerate(TAGS)}
    found = of_an_interval(parse_register(EXAMPLE.read_text()).sources, columns, Span(START, START + 200_000 * STEPS))
    return {f"{one.source.id} {one.category.name}": one for one in found}


def relieved_scf() -> float:
    """From second 275 of the plant on, in the hub's time, which runs five times slower."""
    p, seconds = FlareParameters(), STEPS - 275
    both = 1 / (1 / p.opening_s + 1 / p.emptying_s)
    gone = p.emptying_s * (1 - math.exp(-seconds / p.emptying_s)) - both * (1 - math.exp(-seconds / both))
    return p.associated_mmscfd * gone / 5 / 86_400 * 1e6


def test_the_flare_of_the_closing_well_burns_its_gas() -> None:
    found, quiet = played(FlareCourse(relief_s=275)), played(FlareCourse())
    volume, purge = (one["FLARE-1 FLARE"].estimate.activity.value for one in (found, quiet))
    assert volume - purge == pytest.approx(relieved_scf(), rel=0.01)
    assert found["FLARE-1 FLARE"].estimate.masses.ch4_kg == pytest.approx(volume * 0.8 * 0.02 * 0.0192)
    assert found["FLARE-1 FLARE"].estimate.masses.n2o_kg is None


def test_the_engines_burn_less_and_the_site_buys_more_while_the_well_is_shut() -> None:
    found, quiet = played(FlareCourse(relief_s=275)), played(FlareCourse())
    fuel, power = "ENGINES FUEL", "SHORE-POWER POWER_LOCATION"
    assert found[fuel].estimate.activity.value < quiet[fuel].estimate.activity.value * 0.95
    assert found[power].estimate.activity.value > quiet[power].estimate.activity.value * 1.05


def test_a_flame_out_in_the_middle_of_it_sends_the_gas_out_unburnt() -> None:
    lit, out = (played(FlareCourse(relief_s=275, out=spans)) for spans in ((), ((350, 500),)))
    name = "FLARE-1 FLARE"
    assert out[name].estimate.activity == lit[name].estimate.activity
    assert (out[name].estimate.masses.ch4_kg or 0.0) > 10 * (lit[name].estimate.masses.ch4_kg or 1e9)
    assert any("pilot out" in note for note in out[name].estimate.notes)
