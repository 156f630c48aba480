"""The schemas name exactly the keys that the loaders ask for, every shipped file passes them, and the published copies are these."""

import json
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge import config
from edge.cli import main
from edge.onboarding import schema
from protocols.devicemap import SHIPPED, load_device_map
from protocols.tomlfile import REQUIRED, Section
from tests.edge.onboarding.conftest import ROOT

GATEWAYS = sorted((ROOT / "firmware_configs" / "gateways").glob("*.toml"))
MAPS = sorted(SHIPPED.glob("*.toml"))


@pytest.mark.parametrize("kind", ["map", "gateway"])
def test_schema_is_one(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema(kind))


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_shipped_map_passes(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text()), schema.map_schema())


@pytest.mark.parametrize("path", GATEWAYS, ids=lambda path: path.stem)
def test_shipped_gateway_file_passes(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text()), schema.gateway_schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "rig1"', 'nam = "rig1"'),
        ('max_size = "64MB"', 'max_size = "64 parsecs"'),
        ('max_size = "64MB"', "max_size = 64"),
        ('address = "192.0.2.1:502"', ""),
        ("unit = 1", "unit = 300"),
        ('hub = "https://hub.example"', 'hub = "hub.example"'),
    ],
    ids=["misspelt", "unit", "no unit", "missing", "out of bounds", "no url"],
)
def test_mistake_is_found_by_an_editor(old: str, new: str) -> None:
    text = (
        '[gateway]\nname = "rig1"\nhub = "https://hub.example"\n[buffer]\nmax_size = "64MB"\n'
        '[[device]]\nname = "a"\nmap = "b"\naddress = "192.0.2.1:502"\nunit = 1\n'
    )
    jsonschema.validate(tomllib.loads(text), schema.gateway_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text.replace(old, new)), schema.gateway_schema())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Table -> key -> default, as the loaders ask while they read every shipped file."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    value = Section._value

    def note(section: Section, key: str, kinds: Any, expected: str, default: Any) -> Any:
        place = ".".join(part for part in section._where if isinstance(part, str))
        found[f"{section.path.parent.name}:{place}"][key] = default
        return value(section, key, kinds, expected, default)

    monkeypatch.setattr(Section, "_value", note)
    for path in GATEWAYS:
        config.load(path)
    for path in MAPS:
        load_device_map(path)
    return found


# Keys that loaders ask for only where an address or another key says so; each stands in the documented tables of firmware_configs.
SOMETIMES = {
    "gateways:device": {"min_pause", "server_name", "role"},
    "devices:tags": {"deadband", "write", "form", "word_order"},
}
TABLES = {
    "gateways:gateway": schema.GATEWAY,
    "gateways:buffer": schema.BUFFER,
    "gateways:health": schema.HEALTH,
    "gateways:device": schema.DEVICE,
    "devices:modbus": schema.MODBUS,
    "devices:opcua": schema.OPCUA,
    "devices:mqtt": schema.MQTT,
    "devices:iec61850": schema.IEC61850,
    "devices:tags": schema.TAG,
    "devices:texts": schema.DEVICE_TEXT,
}


@pytest.mark.parametrize("place", TABLES)
def test_table_has_exactly_the_keys_that_are_asked_for(asked: dict[str, dict[str, Any]], place: str) -> None:
    sometimes = SOMETIMES.get(place, set())
    assert set(asked[place]) - set(TABLES[place]) == set()
    assert set(TABLES[place]) - set(asked[place]) <= sometimes
    assert set(asked["devices:"]) == {*schema.MAP, *schema.PROTOCOLS, "tags", "texts"}


def test_documents_name_every_key_of_the_schemas() -> None:
    text = (ROOT / "firmware_configs" / "README.md").read_text()
    assert {key for key in schema.known_keys() if f"`{key}`" not in text and key not in text} == set()


def test_what_loaders_require_is_required(asked: dict[str, dict[str, Any]]) -> None:
    device, tag = asked["gateways:device"], asked["devices:tags"]
    properties = schema.gateway_schema()["properties"]
    assert {key for key, default in device.items() if default is REQUIRED} == set(properties["device"]["items"]["required"])
    assert {key for key, default in tag.items() if default is REQUIRED} == set(
        schema.map_schema()["properties"]["tags"]["items"]["required"]
    )


@pytest.mark.parametrize("kind", ["map", "gateway"])
def test_published_schema_is_what_the_command_prints(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "reference" / f"{kind}.schema.json").read_text()
    assert main(["schema", kind, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == schema.schema(kind)
