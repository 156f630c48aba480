from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.compliance.parameters import AS_STATED, Status, Undetermined, merge, parse, shipped
from protocols.tomlfile import ConfigError

HEAD = '["x.limit"]\ndescription = "a limit"\nunit = "EUR"\nlast_reviewed = 2026-11-22\nvalues = [\n'
FIRST = '  { from = 2020-01-01, value = 3, reference = "Act 1", status = "confirmed" },\n'
DRAFT = '  { from = 2026-01-01, value = 4, reference = "draft", status = "proposed", scenario = "reform" },\n'
ENDED = '  { from = 2024-01-01, ended = true, reference = "Act 2", status = "confirmed" },\n'
HERE = Path("law.toml")


def of(*values: str):
    return parse(HERE, HEAD + "".join(values) + "]\n")


@pytest.mark.parametrize(
    ("values", "line", "says"),
    [
        ([FIRST.replace("2020-01-01", '"2020-01-01"')], 6, "expected a date"),
        ([FIRST.replace("2020-01-01", "2020-01-01T00:00:00Z")], 6, "expected a date"),
        ([FIRST.replace("2020-01-01", "2020-02-30")], 6, "not valid TOML"),
        ([FIRST.replace("reference", "referense")], 6, '"reference" is missing'),
        ([FIRST.replace('"Act 1"', '" "')], 6, "is empty"),
        ([FIRST.replace("status", "unit = 1, status")], 6, 'unknown key "unit"'),
        ([FIRST.replace("value = 3", "value = 3, value = 4")], 6, "not valid TOML"),
        ([FIRST, FIRST], 7, "overlaps the value from 2020-01-01"),
        ([ENDED, FIRST], 7, "overlaps the value from 2024-01-01"),
        ([FIRST, DRAFT, DRAFT], 8, "overlaps the value from 2026-01-01"),
        ([FIRST.replace("confirmed", "sure")], 6, "expected one of confirmed, proposed, unconfirmed"),
        ([FIRST.replace("value = 3, ", "")], 6, '"value" is missing'),
        ([FIRST.replace("value = 3", "value = nan")], 6, "expected a finite number"),
        ([FIRST.replace("value = 3", "value = true")], 6, "expected a value, found the truth value"),
        ([FIRST.replace("value = 3", "value = 3, ended = true")], 6, "leave out one of the two"),
        ([DRAFT.replace(', scenario = "reform"', "")], 6, "names its scenario"),
        ([FIRST.replace('"confirmed"', '"confirmed", scenario = "reform"')], 6, "only a proposed one does"),
        ([DRAFT.replace("reform", AS_STATED)], 6, "choose another name"),
        ([], 5, "has no values"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_line(values: list[str], line: int, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(*values)
    assert str(caught.value).startswith(f"law.toml:{line}: ")
    assert says in str(caught.value)


def test_a_parameter_written_twice_is_refused() -> None:
    text = HEAD + FIRST + "]\n"
    with pytest.raises(ConfigError, match=r"law.toml:\d+: not valid TOML"):
        parse(HERE, text + text)
    with pytest.raises(ValueError, match=r'"x.limit" is in two files'):
        merge([of(FIRST), of(FIRST)])


@pytest.mark.parametrize(
    ("as_of", "value"), [("2020-01-01", 3), ("2023-12-31", 3), ("2019-12-31", None), ("2024-01-01", None), ("2030-01-01", None)]
)
def test_the_value_in_force_is_that_of_the_day(as_of: str, value: int | None) -> None:
    found = of(FIRST, ENDED)
    day = date.fromisoformat(as_of)
    if value is None:
        with pytest.raises(Undetermined, match="no value in force"):
            found.used("x.limit", day)
    else:
        assert found.used("x.limit", day).value == Decimal(value)


def test_a_proposed_value_applies_in_its_scenario_only_and_from_its_day() -> None:
    found = of(FIRST, DRAFT)
    assert found.used("x.limit", date(2026, 11, 1)).value == 3
    assert found.used("x.limit", date(2025, 12, 31), frozenset({"reform"})).value == 3
    assert found.used("x.limit", date(2026, 1, 1), frozenset({"reform"})).value == 4
    assert found.used("x.limit", date(2026, 1, 1), frozenset({"reform"})).status is Status.PROPOSED


def test_an_unconfirmed_value_is_undetermined_unless_the_run_takes_it_as_stated() -> None:
    found = of(FIRST.replace("confirmed", "unconfirmed"))
    with pytest.raises(Undetermined, match="unconfirmed"):
        found.used("x.limit", date(2026, 1, 1))
    stated = found.used("x.limit", date(2026, 1, 1), frozenset({AS_STATED}))
    assert (stated.value, stated.status) == (3, Status.UNCONFIRMED)


def test_an_unknown_figure_stays_undetermined_even_as_stated() -> None:
    found = of(FIRST.replace("value = 3, ", "").replace("confirmed", "unconfirmed"))
    with pytest.raises(Undetermined, match="not known"):
        found.used("x.limit", date(2026, 1, 1), frozenset({AS_STATED}))


def test_decimal_places_survive_the_file() -> None:
    assert of(FIRST.replace("value = 3", "value = 0.1")).used("x.limit", date(2026, 1, 1)).value == Decimal("0.1")


def test_the_hash_of_a_set_changes_with_any_value_and_not_with_the_review() -> None:
    base = of(FIRST)
    assert base.digest == of(FIRST).digest
    assert of(FIRST.replace("value = 3", "value = 4")).digest != base.digest
    assert of(FIRST.replace("confirmed", "unconfirmed")).digest != base.digest
    assert of(FIRST.replace("Act 1", "Act 9")).digest != base.digest


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=8, unique=True), st.integers(-10, 4010))
def test_the_latest_start_on_or_before_the_day_is_in_force(starts: list[int], asked: int) -> None:
    zero = date(2015, 1, 1)
    starts.sort()
    rows = [FIRST.replace("2020-01-01", str(zero + timedelta(days=n))).replace("value = 3", f"value = {n}") for n in starts]
    found = of(*rows).parameters["x.limit"].at(zero + timedelta(days=asked))
    assert (None if found is None else found.value) == max((n for n in starts if n <= asked), default=None)


def test_every_shipped_parameter_has_a_reference_a_status_and_a_unit() -> None:
    found = shipped().parameters
    assert found
    assert all(value.reference and value.status and one.unit and one.description for one in found.values() for value in one.values)
    assert all(one.last_reviewed > date(2025, 11, 22) for one in found.values())
