"""OPC UA maps and devices: what is accepted, and how what cannot be meant is refused."""

import pytest

from protocols.devicemap import DeviceMap, Tag, TagType, load_device_map
from protocols.opcua.plan import Options, Settings, TagOptions, Trigger, identifier, parse_settings, problems
from protocols.tomlfile import ConfigError, TomlFile

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


def tag_options(folder, keys, kind="float64"):
    (folder / "m.toml").write_text(MAP.format(options="").replace('type = "float64"', f'type = "{kind}"\n{keys}'))
    return load_device_map(folder / "m.toml").tags[0].extra


def test_a_tag_that_says_nothing_of_its_own_costs_nothing(tmp_path):
    assert tag_options(tmp_path, "") is None


def test_every_is_the_sampling_interval_and_a_servers_deadband_has_a_heartbeat(tmp_path):
    assert tag_options(tmp_path, 'every = "250ms"') == TagOptions(250_000)
    assert tag_options(tmp_path, 'server_deadband = 0.5\nheartbeat = "10s"') == TagOptions(None, 0.5, False, 10_000_000)
    assert tag_options(tmp_path, "server_deadband_percent = 2") == TagOptions(None, 2, True)


@pytest.mark.parametrize(
    ("keys", "kind", "complaint"),
    [
        ("server_deadband = 0", "float64", "above 0"),
        ("server_deadband_percent = 100", "float64", "below 100"),
        ("server_deadband = 1\nserver_deadband_percent = 1", "float64", "found both"),
        ("server_deadband = 1", "bool", "never thinned"),
        ("server_deadband = 1\ncounter = true", "uint32", "never thinned"),
        ('heartbeat = "1s"', "float64", "needs"),
    ],
)
def test_tag_options_that_cannot_be_meant_are_refused(tmp_path, keys, kind, complaint):
    with pytest.raises(ConfigError, match=complaint):
        tag_options(tmp_path, keys, kind)


@pytest.mark.parametrize(("options", "complaint"), [('events = ["x=1"]', "expected an address"), ('events = ["s=a#b"]', "whole node")])
def test_notifiers_are_whole_nodes(tmp_path, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        loaded(tmp_path, options)


def device_settings(folder, text):
    section = TomlFile(folder / "gateway.toml", text).root
    settings = parse_settings(section)
    section.done()
    return settings


def test_settings_name_files_beside_the_gateways_file(tmp_path):
    pin = "ab" * 32
    text = f"""security = "Basic256Sha256"
mode = "Sign"
fingerprint = "{":".join(["AB"] * 32)}"
trust = "plant-trust"
username = "u"
password_file = "secrets/p"
timeout = "2s"
"""
    assert device_settings(tmp_path, text) == Settings(
        2_000_000, "Basic256Sha256", "Sign", pin, tmp_path / "plant-trust", "", tmp_path / "opcua-identity", "u", tmp_path / "secrets/p"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('security = "Basic256Sha256"', "any server would be believed"),
        ('security = "Basic256Sha255"', 'did you mean "Basic256Sha256"'),
        ('security = "none"\nmode = "Sign"', "needs a"),
        ('fingerprint = "abc"', "64 hexadecimal"),
        ('username = "u"', "go together"),
        ('password_file = "p"', "go together"),
        ('user_key = "k"', "go together"),
        ('username = "u"\npassword_file = "p"\nuser_key = "k"\nuser_certificate = "c"', "found both"),
        ('password = "hunter2"', "unknown key"),
        ('address = "opc.tcp://u:hunter2@plc:4840"', "never in an address"),
        ('address = "http://plc:4840"', "opc.tcp://host:port/path"),
        ('address = "opc.tcp://plc:x"', "opc.tcp://host:port/path"),
        ('address = "plc:4840"', "opc.tcp://host:port/path"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        device_settings(tmp_path, text)
    assert "hunter2" not in str(caught.value)
