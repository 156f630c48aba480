import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError
from cloud.assets.model import Maintenance, Model, parse_model, remaining_share
from cloud.assets.topology import Kind, Node, structure
from protocols.tomlfile import ConfigError

FAILURE = """
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
PUMP = f"""
[[class]]
name = "pump"
every = "1s"
learn = 20
[class.failure]
{FAILURE}
[[class.role]]
name = "vibration"
unit = "mm/s"
resolution = 0.01
high = 50.0
"""
PIPELINE = f"""
[[class]]
name = "pipeline"
[class.failure]
{FAILURE}
"""
RIG = (
    f"""{PUMP}{PIPELINE}"""
    + """
[[site]]
name = "rig-1"

[[site.asset]]
name = "pump-a"
class = "pump"
nameplate = 600.0
unit = "bbl/d"
criticality = "high"
[[site.asset.tag]]
tag = "rig1/pump_a.vibration"
role = "vibration"
[[site.asset.maintenance]]
start = 2026-05-01T00:00:00Z
end = 2026-05-02T12:00:00Z

[[site.asset]]
name = "pump-b"
class = "pump"
nameplate = 600.0
unit = "bbl/d"
[[site.asset.tag]]
tag = "rig1/pump_b.vibration"
role = "vibration"

[[site.asset]]
name = "export"
class = "pipeline"
nameplate = 1000.0
unit = "bbl/d"

[[site.node]]
name = "pumps"
kind = "parallel"
parts = ["pump-a", "pump-b"]

[[site.node]]
name = "train"
kind = "series"
parts = ["pumps", "export"]

[[site.stream]]
name = "oil"
topology = "train"
product = "crude"
place = "terminal"
"""
)
DAY_US = 86_400_000_000
MAY_US = 1_777_593_600_000_000


def parsed(text: str) -> Model:
    return parse_model(text, "rig.toml")


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_rig_becomes_a_stream_of_three_assets() -> None:
    stream = parsed(RIG).streams[0]
    assert [asset.name for asset in stream.assets] == ["pump-a", "pump-b", "export"]
    assert stream.delivered(stream.nameplate) == 1000.0
    assert stream.delivered(np.array([0.0, 600.0, 1000.0])) == 600.0
    assert stream.assets[0].tags[0].role == "vibration"


def test_maintenance_leaves_its_share_of_each_day() -> None:
    share = parsed(RIG).streams[0].remaining([MAY_US + day * DAY_US for day in range(4)])
    assert share.tolist() == [[0.0, 0.5, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('parts = ["pump-a", "pump-b"]', 'parts = ["pump-a", "train"]', "runs in a circle: train > pumps > train"),
        (
            'parts = ["pump-a", "pump-b"]',
            'parts = ["pump-a", "pumb-b"]',
            '"pumb-b" is neither an asset nor a node of this site, did you mean',
        ),
        ('parts = ["pumps", "export"]', 'parts = ["pumps", "pump-a"]', 'asset "pump-a" is used twice in one stream'),
        ("nameplate = 1000.0", "nameplate = -1.0", "expected more than 0"),
        ("end = 2026-05-02T12:00:00Z", "end = 2026-04-02T12:00:00Z", 'expected a time after "start"'),
        ("end = 2026-05-02T12:00:00Z", "end = 2026-05-02T12:00:00", "expected a time with its offset"),
        ('kind = "parallel"', 'kind = "paralel"', 'did you mean "parallel"'),
        ('class = "pipeline"', 'class = "pipelin"', 'no [[class]] of this model, did you mean "pipeline"?'),
        ('pump_a.vibration"\nrole = "vibration"', 'pump_a.vibration"\n§role = "vibrations"', 'did you mean "vibration"?'),
        ('tag = "rig1/pump_a.vibration"', 'tag = "pump_a.vibration"', 'expected "gateway/device.tag"'),
        ('place = "terminal"', 'place = "terminal"\n§stock = 5.0', "expected 0 <= stock <= stock_most"),
        ('place = "terminal"', 'place = "terminal"\n§cap_per_day = 0.0', "expected more than 0"),
        ('every = "1s"', 'every = "1"', "expected a number with one of the units"),
        ("high = 50.0", "high = -50.0\nlow = 0.0", 'expected more than "low"'),
    ],
    ids=[
        "cycle",
        "unknown part",
        "asset twice",
        "no nameplate",
        "window backwards",
        "time without offset",
        "unknown kind",
        "unknown class",
        "unknown role",
        "tag without gateway",
        "stock",
        "no cap",
        "no unit",
        "empty range",
    ],
)
def test_model_that_cannot_be_meant_is_refused_with_file_and_line(old: str, new: str, message: str) -> None:
    marked = RIG.replace(old, new if "§" in new else f"§{new}", 1)  # § stands where the error is
    with pytest.raises(ConfigError) as caught:
        parsed(marked.replace("§", ""))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"rig.toml:{line_of(marked, '§')}: ")


def test_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match='unknown key "streams"'):
        parsed("streams = 1\n" + RIG)


def test_two_of_three_deliver_twice_the_second_largest() -> None:
    node = Node(Kind.K_OF_N, (0, 1, 2), k=2)
    capacity = np.array([[50.0, 50.0, 50.0], [50.0, 0.0, 50.0], [50.0, 0.0, 0.0], [30.0, 50.0, 0.0]]).T
    assert structure(node, capacity).tolist() == [100.0, 100.0, 0.0, 60.0]


TREES = st.recursive(
    st.integers(0, 4),
    lambda parts: st.builds(
        lambda kind, below, cap: Node(kind, tuple(below), k=(len(below) + 1) // 2, capacity=cap),
        st.sampled_from(Kind),
        st.lists(parts, min_size=1, max_size=3),
        st.sampled_from([np.inf, 120.0]),
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(TREES, st.lists(st.floats(0, 100), min_size=5, max_size=5), st.integers(0, 4), st.floats(0, 50))
def test_structure_never_falls_when_a_unit_gains(tree: Node | int, capacity: list[float], unit: int, more: float) -> None:
    before = np.array(capacity)
    after = before.copy()
    after[unit] += more
    assert structure(tree, after) >= structure(tree, before)


def test_windows_of_a_unit_multiply() -> None:
    windows = [[Maintenance(0, 10, 0.5), Maintenance(5, 10, 0.0)]]
    assert remaining_share(windows, [0, 5, 10]).tolist() == [[0.5, 0.0]]


def test_steps_that_do_not_rise_are_refused() -> None:
    with pytest.raises(AssetError, match="rising"):
        remaining_share([], [0, 0])
