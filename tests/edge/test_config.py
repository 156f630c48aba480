"""A configuration that cannot be meant is refused with file, line and key; one that can is read exactly."""

from pathlib import Path

import pytest

from edge import config
from edge.cli import main
from edge.config import Policies, WhenFull
from protocols.frame import Priority
from protocols.secret import Secret
from protocols.tomlfile import ConfigError

MAP = """device_map = "acme"
maker = "Acme"
models = ["A1"]
modbus = { word_order = "ABCD" }
tags = [
  { name = "pressure", at = "holding:0", type = "uint16", unit = "bar", scale = 0.1, range = [0, 250] },
  { name = "flow", at = "holding:1", type = "float32", unit = "m3/h" },
]
"""
GATEWAY = """[gateway]
name = "rig1"
hub = "http://127.0.0.1:8400"

[buffer]
max_size = "64MB"
seal_every = "2s"

[[device]]
name = "pump1"
map = "acme"
address = "127.0.0.1:5020"
"""


def write(folder: Path, gateway: str = GATEWAY, device_map: str = MAP) -> Path:
    (folder / "acme.toml").write_text(device_map)
    (folder / "gateway.toml").write_text(gateway)
    return folder / "gateway.toml"


def test_config_is_read_with_units(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path))
    assert loaded.urn == "urn:qz:gw:rig1"
    assert loaded.buffer.max_bytes == 64_000_000
    assert loaded.buffer.seal_every_us == 2_000_000
    assert [entry.name for entry in loaded.table.entries] == ["pump1.pressure", "pump1.flow"]
    assert loaded.data == (tmp_path / "rig1-data").resolve()


def test_priority_policies_and_key_are_read(tmp_path: Path) -> None:
    text = GATEWAY.replace('max_size = "64MB"', 'when_full = "stop_newest"\nwhen_full_bulk = "drop_oldest"\nkey = "env:BUFFER_KEY"')
    loaded = config.load(write(tmp_path, f'{text}priority = "bulk"\n'))
    assert loaded.buffer.policies == Policies(WhenFull.STOP_NEWEST, WhenFull.DROP_OLDEST, WhenFull.DROP_OLDEST)
    assert loaded.buffer.key == Secret("env", "BUFFER_KEY")
    assert [device.priority for device in loaded.devices] == [Priority.BULK]
    plain = config.load(write(tmp_path)).buffer
    assert (plain.policies, plain.key) == (Policies(WhenFull.DROP_OLDEST, WhenFull.THIN_OUT, WhenFull.DROP_OLDEST), None)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('max_size = "64MB"', 'when_full_bulk = "thinout"', 6, 'did you mean "thin_out"'),
        ('map = "acme"', 'map = "acme"\npriority = "hulk"', 12, 'did you mean "bulk"'),
        ('max_size = "64MB"', 'max_sise = "64MB"', 6, 'unknown key "max_sise", did you mean "max_size"?'),
        ('max_size = "64MB"', "max_size = 64", 6, "expected a size"),
        ('seal_every = "2s"', 'seal_every = "2 parsecs"', 7, "units us, ms, s"),
        ('seal_every = "2s"', 'seal_every = "20s"', 7, "100ms to 10s"),
        ('name = "rig1"', "name = 7", 2, "expected a text, found the number 7"),
        ('hub = "http://127.0.0.1:8400"', 'hub = "hub.example"', 3, "http://"),
        ('map = "acme"', 'map = "acne"', 11, 'device map "acne" not found, did you mean "acme"?'),
        ('address = "127.0.0.1:5020"', "", 9, 'key "address" is missing'),
        ("[[device]]", "[[devices]]", 9, 'did you mean "device"?'),
        ("[buffer]", "[buffer", 5, "not valid TOML"),
    ],
    ids=[
        "policy that there is not",
        "class that there is not",
        "misspelt key",
        "wrong type",
        "wrong unit",
        "out of bounds",
        "number for text",
        "no url",
        "unknown map",
        "missing key",
        "wrong table",
        "no toml",
    ],
)
def test_config_error_names_line_and_remedy(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    path = write(tmp_path, GATEWAY.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert caught.value.line == line or "[[devices]]" in new
    assert says in str(caught.value) or "at least one [[device]]" in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('name = "flow"', 'name = "pressure"', 7, 'tag "pressure": the name is used twice'),
        ("scale = 0.1", "scale = 0", 6, "scale of 0"),
        ("scale = 0.1, range = [0, 250]", "scale = -0.1, range = [10, 250]", 6, "cannot reach"),
        ('type = "uint16"', 'type = "unit16"', 6, 'did you mean "uint16"?'),
        ('at = "holding:1"', 'at = "holding:70000"', 7, "65535"),
        ('at = "holding:0", type = "uint16"', 'at = "holding:0", type = "uint32"', 7, "shares holding:1"),
        ("range = [0, 250]", "range = [250, 0]", 6, "[lowest, highest]"),
        ("modbus = ", "modbuss = ", 1, "exactly one of the tables"),
    ],
    ids=["duplicate tag", "zero scale", "impossible scale", "misspelt type", "address", "overlap", "range", "protocol"],
)
def test_device_map_error_names_line_and_remedy(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    path = write(tmp_path, GATEWAY, MAP.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'acme.toml'}:{line}:")


def test_device_used_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GATEWAY + GATEWAY[GATEWAY.index("[[device]]") :])
    with pytest.raises(ConfigError, match='device "pump1": the name is used twice'):
        config.load(path)


def test_check_starts_nothing_and_exits_2_on_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, GATEWAY.replace("max_size", "max_sise"))
    assert main(["check", str(path)]) == 2
    assert "gateway.toml:6:" in capsys.readouterr().err
    assert not (tmp_path / "rig1-data").exists()


def test_check_of_a_good_file_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write(tmp_path)), "--json"]) == 0
    assert '"tags": 2' in capsys.readouterr().out
