"""OPC UA maps and devices: what is accepted, and how what cannot be meant is refused."""

import pytest

from protocols.devicemap import DeviceMap, Tag, TagType, load_device_map
from protocols.opcua.plan import Options, Trigger, identifier, problems
from protocols.tomlfile import ConfigError

MAP = """
device_map = "m"
maker = "x"
models = ["y"]
[opcua]
namespace = "urn:x"
{options}
[[tags]]
name = "a"
at = "s=a"
type = "float64"
"""


def loaded(folder, options):
    (folder / "m.toml").write_text(MAP.format(options=options))
    return load_device_map(folder / "m.toml").options


def test_options_have_units_and_defaults(tmp_path):
    assert loaded(tmp_path, "") == Options("urn:x")
    assert loaded(tmp_path, 'publishing = "250ms"\ntrigger = "value"\nmax_silence = "2min"') == Options(
        "urn:x", publishing_us=250_000, trigger=Trigger.VALUE, max_silence_us=120_000_000
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ('publishing = "0ms"', "at least 1ms"),
        ('max_silence = "1s"', "at least 10s"),
        ("queue_size = 0", "from 1"),
        ('namespce = "y"', 'did you mean "namespace"'),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_their_line(tmp_path, options, complaint):
    with pytest.raises(ConfigError, match=rf"m\.toml:7: .*{complaint}"):
        loaded(tmp_path, options)


def test_problems_name_the_tag_and_the_reason():
    tags = [Tag(name, at, TagType.INT16) for name, at in (("a", "s=x"), ("b", "s=x"), ("c", "ns=2;s=x"), ("d", "i=12"), ("e", "i=x"))]
    found = dict(problems(DeviceMap("m", "x", (), "opcua", Options("u"), tuple(tags))))
    assert found.keys() == {1, 2, 4}


def test_the_device_name_may_stand_in_an_identifier():
    assert (identifier("s={device}.P", "well3"), identifier("i=85", "well3")) == ("well3.P", 85)
