"""Scenario files: what is accepted, and how what cannot be meant is refused."""

import pytest

from protocols.tomlfile import ConfigError
from simulators.plant.signals import Course
from simulators.scenario import SCENARIOS, FromPlant, find_scenario, load_scenario, open_sources

DEVICE = """
[[device]]
name = "w"
map = "qenergyz_well_opcua"
address = "opc.tcp://127.0.0.1:0"
source = { replay = "2/WELL-00010_20171218200131" }
"""


def written(folder, text):
    path = folder / "s.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", [path.stem for path in SCENARIOS.glob("*.toml")])
def test_every_shipped_scenario_loads_and_has_a_first_step(name):
    scenario = load_scenario(find_scenario(name))
    for device, source in zip(scenario.devices, open_sources(scenario), strict=True):
        step = source.step(0, 5)
        assert step is not None
        assert len(step.values) == len(device.map.tags)


def test_devices_that_look_at_one_plant_see_the_same_moment(tmp_path):
    device = '[[device]]\nname = "{}"\nmap = "qenergyz_substation_iec61850"\naddress = "127.0.0.1:0"\nsource = {{ plant = "genset" }}\n'
    scenario = load_scenario(written(tmp_path, 'scenario = "s"\n' + device.format("a") + device.format("b")))
    first, second = open_sources(scenario)
    assert [first.step(number, 0).values.tolist() for number in range(3)] == [second.step(number, 0).values.tolist() for number in range(3)]


def test_faults_are_read_with_device_time_and_kind(tmp_path):
    fault = '\n[[faults]]\nat = "20s"\ndevice = "w"\nfault = "drop_link"\nfor = "5s"\n'
    (found,) = load_scenario(written(tmp_path, 'scenario = "s"\n' + DEVICE + fault)).faults
    assert (found.at_us, found.device, found.kind, found.duration_us) == (20_000_000, "w", "drop_link", 5_000_000)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('scenario = "s"\nrte = 5\n' + DEVICE, r'unknown key "rte", did you mean "rate"'),
        ('scenario = "s"\nrate = 0\n' + DEVICE, r"more than 0"),
        ('scenario = "s"\n', r"device"),
        ('scenario = "s"\n' + DEVICE.replace("2/WELL", "2/WEL"), r"s\.toml:7: .*no recording"),
        ('scenario = "s"\n' + DEVICE.replace('replay = "2/WELL-00010_20171218200131"', 'plant = "gensett"'), r'did you mean "genset"'),
        ('scenario = "s"\n' + DEVICE.replace('replay = "2/WELL-00010_20171218200131"', 'plant = "genset"'), r"no such signal"),
        ('scenario = "s"\ntimes = "recorded"\n' + DEVICE.replace('131"', '131", repeat = true'), r"wall"),
        ('scenario = "s"\n[plant]\nstep = "2h"\n' + DEVICE, r"s\.toml:3: .*1s to 1h"),
        ('scenario = "s"\n[plant]\nfouling = 0.2\n' + DEVICE, r'did you mean "fouling_per_day"'),
        ('scenario = "s"\n' + DEVICE + '[[faults]]\nat = "1s"\ndevice = "x"\nfault = "freeze"\nfor = "1s"\n', r'"device"'),
    ],
    ids=[
        "unknown key",
        "no time",
        "no device",
        "no recording",
        "no plant unit",
        "unfit unit",
        "repeated history",
        "step too long",
        "unknown key of the plant",
        "fault of nobody",
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_and_line(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=complaint) as error:
        load_scenario(written(tmp_path, text))
    assert str(error.value).startswith(str(tmp_path / "s.toml:"))


def test_an_unknown_scenario_name_offers_the_nearest():
    with pytest.raises(ConfigError, match='did you mean "demo_rig"'):
        find_scenario("demo_rigg")


def test_the_substation_of_the_demo_shows_the_plant():
    assert load_scenario(find_scenario("demo_substation")).shows == (FromPlant("genset"),)


def test_the_plant_of_a_scenario_has_its_course():
    assert load_scenario(find_scenario("fouling_platform")).plant == Course(60, 5400, 0.4, 13_500)
    assert load_scenario(find_scenario("demo_substation")).plant == Course()
