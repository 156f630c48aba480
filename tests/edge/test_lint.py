"""Remarks are about what is probably a mistake; shipped maps have none; strict checking makes them errors."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from edge.cli import main
from edge.lint import remarks
from protocols.devicemap import SHIPPED, DeviceMap, Tag, TagType, WriteRule, load_device_map

MAP = """device_map = "m"
maker = "Maker"
models = ["M1"]
tags = [{ name = "p", at = "holding:1", type = "uint16", unit = "Bar" }]
[modbus]
"""


def of(tag: Tag) -> list[str]:
    device_map = DeviceMap("m", "x", (), "opcua", None, (tag,), source="a list")
    return list(remarks(device_map))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_map_has_a_source_and_no_remarks(path: Path) -> None:
    found = load_device_map(path)
    assert found.source
    assert list(remarks(found)) == []


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        (Tag("p", "a", TagType.INT16, unit="Bar"), 'did you mean "bar"'),
        (Tag("P1", "a", TagType.INT16), "small letters"),
        (Tag("p", "a", TagType.INT16, unit="%", scale=Decimal(10)), "0.01"),
        (Tag("s", "a", TagType.INT16, unit="bar", labels={0: "off"}), "an enumeration with the unit"),
        (Tag("p", "a", TagType.INT16, every_us=10_000), "deadband"),
        (Tag("p", "a", TagType.INT16, range=(0, 10), write=WriteRule(0, 20)), "beyond its range"),
    ],
)
def test_probable_mistake_is_remarked_upon(tag: Tag, said: str) -> None:
    (found,) = of(tag)
    assert said in found


def test_usual_tag_is_not_remarked_upon() -> None:
    assert of(Tag("p", "a", TagType.INT16, unit="bar", scale=Decimal("0.1"), range=(0, 10))) == []


def test_check_of_a_map_prints_plan_and_remarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.toml").write_text(MAP)
    assert main(["check", str(tmp_path / "m.toml")]) == 0
    printed = capsys.readouterr()
    assert "1 request" in printed.out
    assert printed.err.count("remark: ") == 3
    assert main(["check", "--strict", str(tmp_path / "m.toml")]) == 2
    capsys.readouterr()
    assert main(["check", "--json", str(tmp_path / "m.toml")]) == 0
    assert len(json.loads(capsys.readouterr().out)["remarks"]) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("}]", '}, { name = "p", at = "holding:2", type = "int16" }]'), "used twice"),
        (lambda text: text.replace("}]", '}, { name = "q", at = "holding:0", type = "int32" }]'), "shares holding:1"),
        (lambda text: text.replace('unit = "Bar"', "scale = 1000, range = [-2, -1]"), "cannot reach"),
        (lambda text: text.replace('unit = "Bar"', 'uint = "bar"'), 'unknown key "uint", did you mean "unit"'),
        (lambda text: text.replace('unit = "Bar"', "counter = true, deadband = 1"), "never thinned"),
        (lambda text: text.replace('unit = "Bar"', "rollover = 100"), "counter = true"),
        (lambda text: text.replace('unit = "Bar"', 'max_silence = "5s"'), 'needs a "deadband"'),
        (lambda text: text.replace('unit = "Bar"', "write = { min = 5, max = 1 }"), "below"),
        (lambda text: text.replace('unit = "Bar"', 'labels = { one = "x" }'), "numbers with their names"),
    ],
)
def test_certain_mistake_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], said: str
) -> None:
    (tmp_path / "m.toml").write_text(change(MAP))
    assert main(["check", str(tmp_path / "m.toml")]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "m.toml:4" in printed
