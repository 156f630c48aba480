import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.reports import ferc
from cloud.reports.errors import ReportError
from cloud.reports.ferc import COLUMNS, Taxonomy, Transaction
from cloud.reports.layers import Layer, Outcome

LEI = "213800KUD8LAJWSQ9D15"
SALE = Transaction(
    "T1", "Us", LEI, "Buyer, Inc.", "C-7", "ENERGY", "F", "ST", "H", date(2026, 7, 1), date(2026, 7, 2), date(2026, 7, 3), "ERCO", "ERCO",
    Decimal(200), "MWH", Decimal("31.25"), Decimal("6250.00"),
)  # fmt: skip
TAXONOMY = Taxonomy("https://example.test/eqr.xsd", "eqr", "https://example.test/eqr", {column: f"eqr:{column}" for column in COLUMNS[1:]})


def test_rows_are_read_again_with_their_commas() -> None:
    rows = (SALE, replace(SALE, id="T2", price=Decimal("-1.5"), charge=Decimal(-300)))
    assert ferc.read_rows(ferc.write_rows(rows)) == rows


def test_metadata_name_a_concept_for_every_column_and_the_table() -> None:
    told = json.loads(ferc.metadata(TAXONOMY, "q3.csv"))
    assert told["documentInfo"]["documentType"] == ferc.DOCUMENT_TYPE
    assert tuple(told["tableTemplates"]["transactions"]["columns"]) == COLUMNS
    assert told["tables"]["transactions"]["url"] == "q3.csv"


def test_a_column_without_a_concept_is_refused_and_fails_the_schema_layer() -> None:
    poor = replace(TAXONOMY, concepts={"seller": "eqr:seller"})
    with pytest.raises(ReportError, match="no concept for seller_lei"):
        ferc.metadata(poor, "q3.csv")
    assert ferc.check(ferc.write_rows([SALE]), poor).of(Layer.SCHEMA).faults[0].check == "FERC-S-TAXONOMY"


@pytest.mark.parametrize("taxonomy", [None, TAXONOMY], ids=["none", "unseen"])
def test_a_right_table_is_indeterminate_as_long_as_nobody_has_seen_the_taxonomy(taxonomy: Taxonomy | None) -> None:
    found = ferc.check(ferc.write_rows([SALE]), taxonomy)
    assert found.of(Layer.SCHEMA).outcome is Outcome.INDETERMINATE
    assert {found.of(layer).outcome for layer in (Layer.CHECKSUM, Layer.CROSS_FIELD)} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"seller_lei": "213800KUD8LXJWSQ9D15"}, "ID-LEI-CHECK"),
        ({"last": date(2026, 7, 1)}, "FERC-X-TERM"),
        ({"charge": Decimal("6250.01")}, "FERC-X-CHARGE"),
    ],
)
def test_fault_is_named_by_its_check_and_row(change: dict[str, object], check: str) -> None:
    (fault,) = ferc.check(ferc.write_rows([replace(SALE, **change)])).faults  # type: ignore[arg-type]
    assert (fault.check, fault.place.split(",")[0]) == (check, "row 2")


@pytest.mark.parametrize(("charge", "right"), [("6249.994", False), ("6249.995", True), ("6250.005", True), ("6250.006", False)])
def test_charge_may_be_off_by_half_a_cent(charge: str, right: bool) -> None:
    found = ferc.check(ferc.write_rows([replace(SALE, charge=Decimal(charge))]))
    assert (found.of(Layer.CROSS_FIELD).outcome is Outcome.PASS) == right


def test_an_id_that_stands_twice_is_refused_on_writing_and_named_on_checking() -> None:
    with pytest.raises(ReportError, match="transaction T1: stands twice"):
        ferc.write_rows([SALE, SALE])
    once = ferc.write_rows([SALE])
    doubled = once + once.partition(b"\r\n")[2]
    assert [fault.check for fault in ferc.check(doubled).faults] == ["FERC-X-ID"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"2026-07-01", b"2026-07-32", "row 2, trade_day"),
        (b"31.25", b"much", "row 2, price"),
        (b"31.25", b"NaN", "row 2, price"),
        (b",ENERGY", b",", "row 2, product"),
        (b",ENERGY", b"", "row 2"),
        (b"id,seller", b"id,sailor", "line 1"),
        (b"Us", b"\xff", "UTF-8"),
    ],
)
def test_a_broken_table_is_refused_by_row_and_column(old: bytes, new: bytes, said: str) -> None:
    data = ferc.write_rows([SALE]).replace(old, new, 1)
    with pytest.raises(ReportError) as error:
        ferc.read_rows(data)
    assert said in str(error.value)
    assert ferc.check(data).of(Layer.SCHEMA).faults[0].check == "FERC-S-TABLE"


@given(
    st.decimals(min_value=-(10**6), max_value=10**6, places=4),
    st.text(st.characters(min_codepoint=32, exclude_categories=["C"]), min_size=1),
)
def test_any_number_and_name_is_read_again(price: Decimal, buyer: str) -> None:
    rows = (replace(SALE, price=price, buyer=buyer),)
    assert ferc.read_rows(ferc.write_rows(rows)) == rows
