"""A site of wells in a model's words, and their samples."""

from collections.abc import Mapping

import numpy as np

from cloud.assets import Floats
from cloud.assets.assess import Samples
from cloud.assets.model import Model, parse_model
from protocols import quality

START_US, SECOND_US = 1_795_000_000_000_000, 1_000_000
ROLES = ("wellhead_pressure", "downhole_pressure", "temperature", "choke_pressure")
HEAD = """
[[class]]
name = "well"
every = "1s"
learn = 20
[class.failure]
threshold = 0.8
drift_per_day = 0.0005
diffusion_per_day = 0.01
worth = "90d"
clock_per_year = 0.5
repair_median = "6d"
repair_spread = 0.6
sensor_sd = 0.01
source = "a test"
"""
ROLE = '[[class.role]]\nname = "{}"\nunit = "bar"\nlow = 0.0\nhigh = 100.0\nrate = 60.0\nresolution = 0.001\n'
ASSET = '[[site.asset]]\nname = "{}"\nclass = "well"\nnameplate = 1000.0\nunit = "bbl/d"\n'
TAG = '[[site.asset.tag]]\ntag = "rig1/{}.{}"\nrole = "{}"\n'
STREAM = '[[site.stream]]\nname = "oil"\ntopology = "all"\nproduct = "crude"\nplace = "terminal"\n'


def wells(count: int = 3, kind: str = "parallel", more: str = "", stream: str = "", head: str = HEAD) -> Model:
    names = [f"well{number}" for number in range(count)]
    assets = "".join(ASSET.format(name) + "".join(TAG.format(name, role, role) for role in ROLES) for name in names)
    node = f'[[site.node]]\nname = "all"\nkind = "{kind}"\nparts = {names!r}\n'.replace("'", '"') + more
    return parse_model(head + "".join(map(ROLE.format, ROLES)) + '[[site]]\nname = "rig"\n' + assets + node + STREAM + stream)


def noise(seed: int, ticks: int, count: int = 3) -> Floats:
    """(ticks, wells, roles)."""
    return 50 + np.random.default_rng(seed).standard_normal((ticks, count, len(ROLES)))


def samples(values: Floats, start_us: int = START_US, every_us: int = SECOND_US) -> dict[str, Samples]:
    times = start_us + np.arange(values.shape[0], dtype=np.int64) * every_us
    good = np.full(times.size, quality.GOOD, np.uint32)
    return {
        f"rig1/well{well}.{role}": Samples(times, values[:, well, at], good)
        for well in range(values.shape[1])
        for at, role in enumerate(ROLES)
    }


def window(found: Mapping[str, Samples], begin: int, end: int) -> dict[str, Samples]:
    return {name: one.at(np.arange(begin, min(end, one.times_us.size))) for name, one in found.items()}
