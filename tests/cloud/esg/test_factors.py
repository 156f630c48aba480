import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from cloud.esg import EsgError, Indeterminate
from cloud.esg.factors import Status, factor_book, read_factors
from cloud.esg.gases import DATA
from cloud.esg.methods import methods, quality_by_stewi
from protocols.tomlfile import ConfigError

BOOK = factor_book()
CHANGE = date(2025, 1, 1)
GOOD = """
["pneumatic.low"]
description = "low bleed"
unit = "scf/h"
values = [
  { from = 2024-01-01, value = 1.39, reference = "W-1A", status = "confirmed" },
  { from = 2025-01-01, value = 6.8, reference = "W-1", status = "confirmed" },
  { from = 2026-01-01, value = 7.5, reference = "draft", status = "proposed", scenario = "draft" },
  { from = 2027-01-01, value = 7.9, reference = "law, not read", status = "unconfirmed", scenario = "unread" },
  { from = 2028-01-01, ended = true, reference = "repeal", status = "confirmed" },
]
"""


@pytest.mark.parametrize(("days", "value"), [(-1, 13.5), (0, 8.8), (1, 8.8)], ids=["the day before", "the day", "the day after"])
def test_the_value_in_force_changes_on_its_day(days: int, value: float) -> None:
    assert BOOK.at("pneumatic.intermittent", CHANGE + timedelta(days)).value == value


@pytest.mark.parametrize(
    ("day", "scenarios", "value"),
    [
        (date(2026, 6, 1), frozenset[str](), 6.8),
        (date(2026, 6, 1), frozenset({"draft"}), 7.5),
        (date(2027, 6, 1), frozenset({"unread"}), 7.9),
    ],
    ids=["a proposal changes nothing", "a named proposal applies", "a named unconfirmed value applies"],
)
def test_scenarios_switch_values_on(tmp_path: Path, day: date, scenarios: frozenset[str], value: float) -> None:
    assert _read(tmp_path, GOOD).at("pneumatic.low", day, scenarios).value == value


@pytest.mark.parametrize(
    ("day", "why"),
    [(date(2023, 12, 31), "begins 2024"), (date(2027, 1, 1), "unconfirmed since 2027"), (date(2028, 1, 1), "ended 2028")],
)
def test_without_a_value_to_rely_on_the_answer_is_indeterminate(tmp_path: Path, day: date, why: str) -> None:
    with pytest.raises(Indeterminate, match=why):
        _read(tmp_path, GOOD).at("pneumatic.low", day)


def test_an_unknown_factor_is_an_error_that_offers_the_near_one() -> None:
    with pytest.raises(EsgError, match=r"pneumatic\.intermitent.*did you mean"):
        BOOK.at("pneumatic.intermitent", CHANGE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("from = 2025-01-01", "from = 2023-01-01", "overlaps"),
        ("from = 2025-01-01", "from = 2024-01-01", "overlaps"),
        ("from = 2025-01-01", 'from = "2025"', "expected a date"),
        ("value = 6.8", "value = -6.8", "expected 0 to 1e9"),
        ("value = 6.8, ", "", '"value" is missing'),
        ('reference = "W-1"', 'reference = ""', "expected the source"),
        ('reference = "W-1",', "", "reference"),
        ('status = "proposed"', 'status = "likely"', "expected one of"),
        ('scenario = "draft"', 'scenario = ""', "scenario"),
        ('unit = "scf/h"', 'unit = "scf/h"\nunits = "m"', "units"),
        ('unit = "scf/h"', 'unit = "scf/h"\nunit = "m"', "not valid TOML"),
        ("ended = true", "ended = true, value = 1", "has none"),
    ],
    ids=[
        "falling dates",
        "one date twice",
        "wrong date",
        "negative",
        "no value",
        "empty reference",
        "no reference",
        "unknown status",
        "no scenario",
        "unknown key",
        "doubled key",
        "ended with value",
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=rf"f\.toml:\d+: .*{message}"):
        _read(tmp_path, GOOD.replace(old, new, 1))


def test_a_factor_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(ConfigError, match=r"b\.toml:2: .*another file"):
        read_factors((tmp_path / "a.toml", tmp_path / "b.toml"))


def test_every_shipped_factor_has_unit_reference_and_status() -> None:
    assert len(BOOK.steps) > 50
    for name, (unit, steps) in BOOK.steps.items():
        assert unit, name
        assert all(step.reference for step in steps), name
        assert all((step.status is Status.CONFIRMED) == (step.scenario == "") for step in steps), name


@pytest.mark.parametrize(
    ("fuel", "hub"), [("natural_gas", "naturalGas"), ("distillate_2", "distillateFuelOilNo2"), ("residual_6", "residualFuelOilNo6")]
)
def test_fuel_factors_are_those_of_the_emission_factors_hub(fuel: str, hub: str) -> None:
    published = json.loads((DATA / "stationary_combustion_emission_factors.json").read_text())[hub]
    day = date(2025, 1, 1)
    assert BOOK.at(f"fuel.{fuel}.co2", day).value == published["CO2 Factor (kg / mmBtu)"]
    assert BOOK.at(f"fuel.{fuel}.ch4", day).value * 1000 == pytest.approx(published["CH4 Factor (g / mmBtu)"])
    assert BOOK.at(f"fuel.{fuel}.n2o", day).value * 1000 == pytest.approx(published["N2O Factor (g / mmBtu)"])
    heat = BOOK.at(f"fuel.{fuel}.hhv", day).value
    assert heat * published["CO2 Factor (kg / mmBtu)"] == pytest.approx(published["CO2 Factor (kg / Unit)"], rel=1e-3)


def test_the_digest_names_the_bytes(tmp_path: Path) -> None:
    assert _read(tmp_path, GOOD).digest == _read(tmp_path, GOOD).digest != _read(tmp_path, GOOD + "\n").digest


def test_methods_have_a_quality_and_a_level_and_unknown_ones_are_refused() -> None:
    assert {each.quality for each in methods().values()} == {1, 2, 3, 4, 5}
    with pytest.raises(EsgError, match=r"not in methods\.toml"):
        quality_by_stewi("Guess")


def _read(folder: Path, text: str):  # type: ignore[no-untyped-def]
    (folder / "f.toml").write_text(text)
    return read_factors((folder / "f.toml",))
