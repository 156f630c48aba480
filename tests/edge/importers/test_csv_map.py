"""Device map -> CSV -> device map without a difference; mistakes are named with their line."""

from pathlib import Path

import pytest

from edge.importers.csv_map import export_csv, import_csv
from edge.importers.draft import ImportFailed
from protocols.devicemap import SHIPPED, load_device_map


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_map_comes_back_as_it_was(path: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(export_csv(path), encoding="utf-8")
    (tmp_path / path.name).write_text(import_csv(table), encoding="utf-8")
    assert load_device_map(tmp_path / path.name) == load_device_map(path)


HEAD = "#device_map,m\n#maker,Maker\n#models,M1\n#modbus.max_gap,4\n"


def test_spreadsheet_with_few_columns_is_enough(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "\ufeff" + HEAD + "name,at,type,unit,scale\npressure,holding:1,uint16,bar,0.1\n\nserial,holding:9,text,,\n"
    )
    (tmp_path / "m.toml").write_text(import_csv(tmp_path / "t.csv").replace('at = "holding:9"', 'at = "holding:9", length = 8'))
    made = load_device_map(tmp_path / "m.toml")
    assert (made.tags[0].unit, str(made.tags[0].scale), made.texts[0].name) == ("bar", "0.1", "serial")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "device_map"),
        (HEAD, ":5: expected the columns name, at, type"),
        (HEAD + "name,at,kind\n", ":5: expected the columns"),
        (HEAD + "name,at,type\n", "at least one tag"),
        (HEAD + "name,at,type\np,holding:1\n", ':6: "type" is empty'),
        (HEAD + "name,at,type\np,holding:1,uint16,bar\n", ":6: expected at most 3 columns, found 4"),
        ("#device_map,m\n#maker,x\n#models,y\nname,at,type\np,a,bool\n", "protocol's options"),
    ],
)
def test_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ImportFailed, match=message):
        import_csv(tmp_path / "t.csv")


def test_strange_characters_of_a_list_make_a_map_that_loads(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + 'name,at,type,vendor\np,holding:1,uint16,"a\x7fb\\c ""d"" \u2028é"\n', encoding="utf-8")
    (tmp_path / "m.toml").write_text(import_csv(tmp_path / "t.csv"), encoding="utf-8")
    assert load_device_map(tmp_path / "m.toml").tags[0].vendor == 'a\x7fb\\c "d" \u2028é'
