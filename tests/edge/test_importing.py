"""`qenergyz edge import` writes maps that load, and says plainly what it cannot read."""

from pathlib import Path

import pytest

from edge.cli import main
from protocols.devicemap import SHIPPED, load_device_map

MODELS = Path(__file__).parents[1] / "data" / "sunspec_models"


def test_sunspec_model_becomes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "inverter.toml"
    assert main(["import", "sunspec", str(MODELS / "model_103.json"), "--name", "inverter", "--base", "40069", "--out", str(out)]) == 0
    assert len(load_device_map(out).tags) == 31
    assert "31 tags" in capsys.readouterr().err


def test_csv_goes_out_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = SHIPPED / "sel_751.toml"
    assert main(["export", "csv", str(shipped), "--out", str(tmp_path / "t.csv")]) == 0
    assert main(["import", "csv", str(tmp_path / "t.csv"), "--out", str(tmp_path)]) == 0
    assert load_device_map(tmp_path / "sel_751.toml") == load_device_map(shipped)
    assert main(["import", "csv", str(tmp_path / "t.csv")]) == 0
    assert capsys.readouterr().out.startswith('device_map = "sel_751"')


@pytest.mark.parametrize(
    ("kind", "content", "more", "said"),
    [
        ("sunspec", "[]", ["--name", "m", "--base", "0"], "expected a SunSpec model"),
        ("csv", "a,b\n", [], "device_map"),
        ("scl", "<SCL>", [], "line"),
        ("nodeset", "<UANodeSet", ["--name", "m"], "bad:1: not well-formed"),
    ],
)
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, content: str, more: list[str], said: str
) -> None:
    (tmp_path / "bad").write_text(content)
    assert main(["import", kind, str(tmp_path / "bad"), *more]) == 2
    printed = capsys.readouterr().err
    assert "not imported" in printed
    assert said in printed
    assert main(["import", kind, str(tmp_path / "absent"), *more]) == 2


def test_names_that_make_no_map_are_said_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "#device_map,m\n#maker,Maker\n#models,M1\n#modbus.max_gap,4\nname,at,type\np,holding:99999,uint16\n"
    (tmp_path / "t.csv").write_text(table)
    assert main(["import", "csv", str(tmp_path / "t.csv"), "--out", str(tmp_path / "m.toml")]) == 1
    assert "above 65535" in capsys.readouterr().err
    assert not (tmp_path / "m.toml").exists()
