"""Checks of MQTT device maps and device settings."""

from pathlib import Path

import pytest

from protocols.devicemap import DeviceMaps, parse_devices
from protocols.mqtt.plan import MqttSettings, command_topic, parse_endpoint, parse_path, subscriptions
from protocols.mqtt.topics import covers, matches
from protocols.tomlfile import ConfigError, TomlFile
from tests.protocols.mqtt.maps import JSON, PUMP, SPARKPLUG, device, device_map

REFUSED = {
    "a path that is none": ('{ name = "a", at = "p", type = "float64" }', JSON, "is not understood"),
    "a path that ends early": ('{ name = "a", at = "$.p.", type = "float64" }', JSON, "is not understood"),
    "a quality path that is none": ('{ name = "a", at = "$.p", type = "float64", quality_at = "q" }', JSON, '"quality_at"'),
    "quality at the value itself": (
        '{ name = "a", at = "$.p", type = "float64", quality_at = "$.p" }',
        JSON,
        "the path of the value itself",
    ),
    "a wildcard within a level": (PUMP, 'payload = "json", topic = "a/b+"', "wildcards stand alone"),
    "a payload that does not exist": (PUMP, 'payload = "xml", topic = "a"', "expected one of json, records, plain, sparkplug"),
    "a missing topic": (PUMP, 'payload = "json"', '"topic" is missing'),
    "QoS 3": (PUMP, JSON + ", qos = 3", "from 0 to 2"),
    "a wrong time path": (PUMP, 'payload = "json", topic = "a", time = "t"', '"time"'),
    "a node of two levels": (
        '{ name = "a", at = "m", type = "int8" }',
        'payload = "sparkplug", group = "g", node = "a/b"',
        "one topic level",
    ),
    "quality_at with Sparkplug": ('{ name = "a", at = "m", type = "int8", quality_at = "$.q" }', SPARKPLUG, "comes with the metric"),
    "a metric without name": ('{ name = "a", at = " ", type = "int8" }', SPARKPLUG, "name of a metric"),
    "topic and node together": ('{ name = "a", at = "m", type = "int8" }', SPARKPLUG + ', topic = "t"', "has no meaning with"),
    "records without a topic": ('{ name = "a", at = "m", type = "int8" }', 'payload = "records"', '"topic" is missing'),
    "paths of records in a plain map": ('{ name = "a", at = "m", type = "int8" }', 'payload = "plain", items = "$.x"', "it is for records"),
    "a topic of a tag with Sparkplug": ('{ name = "a", at = "m", type = "int8", topic = "t" }', SPARKPLUG, '"topic" has no meaning here'),
    "a tag that no topic tells": ('{ name = "a", at = "$.m", type = "int8" }', 'payload = "json"', '"topic" is missing, here or'),
    "a shared topic": (PUMP, 'payload = "json", topic = "$share/g/t"', 'in "share"'),
    "one word for both states": (PUMP, JSON + ', status_topic = "s", online = "x", offline = "x"', "same payload"),
    "a wildcard in the status topic": (PUMP, JSON + ', status_topic = "s/+"', "without wildcards"),
}


@pytest.mark.parametrize(("tags", "mqtt", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_map_is_refused_with_a_sentence_for(tags: str, mqtt: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bench\.toml:\d+: ") as refusal:
        device_map(tmp_path, tags, mqtt)
    assert sentence in str(refusal.value)


def test_path_is_split_into_keys_and_places() -> None:
    assert parse_path("$.a.b-c[3]['x y']") == ("a", "b-c", 3, "x y")


def test_topics_name_the_device_and_follow_a_sparkplug_node_whole(tmp_path: Path) -> None:
    assert subscriptions(device(device_map(tmp_path, PUMP))) == ("site/pump",)
    node = device(device_map(tmp_path, '{ name = "a", at = "m", type = "int8" }', SPARKPLUG + ', device = "d"'))
    assert subscriptions(node) == ("spBv1.0/g/+/pump", "spBv1.0/g/+/pump/+")
    assert command_topic(node.map.options, "pump") == "spBv1.0/g/NCMD/pump"
    assert command_topic(node.map.options, "pump", below=True) == "spBv1.0/g/DCMD/pump/d"


COVERED = {
    ("a/b", "a/b"): True,
    ("a/+", "a/b"): True,
    ("a/+", "a/b/c"): False,
    ("a/#", "a/b/c"): True,
    ("a/#", "a"): True,
    ("#", "$SYS/x"): False,
    ("+/b", "$SYS/b"): False,
    ("a/+", "a/#"): False,
    ("a/#", "a/+/c"): True,
    ("a/b", "a/+"): False,
}


@pytest.mark.parametrize(("pair", "expected"), COVERED.items(), ids=str)
def test_filter_covers(pair: tuple[str, str], expected: bool) -> None:
    assert covers(*pair) is expected
    if "+" not in pair[1] and "#" not in pair[1]:
        assert matches(*pair) is expected


def test_topics_under_a_wildcard_are_subscribed_once(tmp_path: Path) -> None:
    tags = '{ name = "a", at = "x/a", type = "int8" },\n{ name = "b", at = "x/b", type = "int8" },\n{ name = "c", at = "y", type = "int8" }'
    assert subscriptions(device(device_map(tmp_path, tags, 'payload = "plain", topic = "x/#"'))) == ("x/#", "y")


def test_endpoint_is_an_mqtt_address() -> None:
    assert parse_endpoint("mqtt://broker") == ("broker", 1883)
    assert parse_endpoint("mqtt://[::1]:2000") == ("::1", 2000)
    assert parse_endpoint("mqtts://broker") == ("broker", 8883)
    assert parse_endpoint("mqtts://broker:1") == ("broker", 1)
    for wrong in ("broker:1883", "http://broker:1883", "mqtt://", "mqtt://b:x", "mqtt://user@b:1", "mqtt://b/path"):
        with pytest.raises(ValueError, match="expected"):
            parse_endpoint(wrong)


def devices(folder: Path, keys: str) -> object:
    device_map(folder, PUMP)
    path = folder / "gateway.toml"
    path.write_text(f'[[device]]\nname = "p"\nmap = "bench"\n{keys}\n')
    (only,) = parse_devices(TomlFile.read(path).root.sections("device"), DeviceMaps((folder,)))
    return only.settings


def test_settings_come_from_the_device(tmp_path: Path) -> None:
    found = devices(tmp_path, 'address = "mqtt://b:1"\nversion = "3.1.1"\nusername = "u"\npassword_file = "secret"\nkeepalive = "5s"')
    assert found == MqttSettings("3.1.1", "", "u", tmp_path / "secret", 5)


@pytest.mark.parametrize(
    "keys",
    [
        'address = "b:1"',
        'address = "mqtt://b"\nversion = "3"',
        'address = "mqtt://b"\npassword_file = "x"',
        'address = "mqtt://b"\nca_file = "x"',
        'address = "mqtts://b"\nkey_file = "x"',
        'address = "mqtt://b"\nshare = "a/b"',
        'address = "mqtt://b"\nshare = "a"\nprimary_host = "h"',
    ],
)
def test_wrong_settings_are_refused(keys: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.toml:\d+"):
        devices(tmp_path, keys)
