"""FERC Electric Quarterly Report: transactions as a table of xBRL-CSV with its metadata.

For writing and reading the transaction table. Not for filing it: the taxonomy is a value that the caller hands in, because none has been
seen; no concept names are shipped, and without a taxonomy the schema layer is INDETERMINATE. The metadata follow xBRL-CSV 1.0 of
XBRL International: document type, namespaces, taxonomy, one table template with a column per concept, one table. The columns are those of
18 CFR 35.10b's transaction data as the specification of this project lists them.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cloud.reports.codes import NOTHING_KNOWN, Placed, References, code_faults, known_faults
from cloud.reports.errors import ReportError
from cloud.reports.identifiers import Kind
from cloud.reports.layers import CannotRun, Fault, Layer, Validation, validate

DOCUMENT_TYPE: Final = "https://xbrl.org/2021/xbrl-csv"
TABLE: Final = "transactions"
CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One row. charge: quantity x price, in dollars to the cent. Quantities are in units of the product's own, such as MWh."""

    id: str
    seller: str
    seller_lei: str
    buyer: str
    contract: str
    product: str
    product_class: str
    term: str
    increment: str
    trade_day: date
    first: date
    last: date
    receipt: str  # balancing authority of receipt
    delivery: str  # balancing authority of delivery
    quantity: Decimal
    unit: str
    price: Decimal
    charge: Decimal


COLUMNS: Final = tuple(field.name for field in fields(Transaction))
_DAYS: Final = {"trade_day", "first", "last"}
_NUMBERS: Final = {"quantity", "price", "charge"}


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """entry: address of the schema. concepts: qualified name by column, for every column but id, which is the row's key."""

    entry: str
    prefix: str
    namespace: str
    concepts: Mapping[str, str]


def write_rows(transactions: Iterable[Transaction]) -> bytes:
    """Raises ReportError for a row id that stands twice."""
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    seen: set[str] = set()
    for one in transactions:
        if one.id in seen:
            raise ReportError(f"transaction {one.id}", "stands twice")
        seen.add(one.id)
        rows.writerow([_cell(getattr(one, column)) for column in COLUMNS])
    return out.getvalue().encode()


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def metadata(taxonomy: Taxonomy, file: str) -> bytes:
    """The JSON beside the table. Raises ReportError when a column has no concept."""
    lacking = [column for column in COLUMNS[1:] if column not in taxonomy.concepts]
    if lacking:
        raise ReportError("taxonomy", f"no concept for {', '.join(lacking)}")
    concepts: dict[str, Any] = {column: {"dimensions": {"concept": taxonomy.concepts[column]}} for column in COLUMNS[1:]}
    info = {"documentType": DOCUMENT_TYPE, "namespaces": {taxonomy.prefix: taxonomy.namespace}, "taxonomy": [taxonomy.entry]}
    told = {
        "documentInfo": info,
        "tableTemplates": {TABLE: {"rowIdColumn": "id", "columns": {"id": {}, **concepts}}},
        "tables": {TABLE: {"url": file}},
    }
    return json.dumps(told, indent=2).encode() + b"\n"


def read_rows(data: bytes) -> tuple[Transaction, ...]:
    """Raises ReportError naming row and column."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReportError("table", "is not UTF-8") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = next(rows, [])
        if tuple(heading) != COLUMNS:
            raise ReportError("line 1", f"expected the columns {', '.join(COLUMNS)}, found {', '.join(heading)[:200]}")
        return tuple(_row(row, number) for number, row in enumerate(rows, 2))
    except csv.Error as error:
        raise ReportError(f"line {rows.line_num}", str(error)) from error


def _row(row: list[str], number: int) -> Transaction:
    if len(row) != len(COLUMNS):
        raise ReportError(f"row {number}", f"expected {len(COLUMNS)} cells, found {len(row)}")
    return Transaction(**{column: _value(column, cell, number) for column, cell in zip(COLUMNS, row, strict=True)})


def _value(column: str, cell: str, number: int) -> Any:
    try:
        if column in _DAYS:
            return date.fromisoformat(cell)
        found = Decimal(cell) if column in _NUMBERS else cell
    except (ValueError, InvalidOperation) as error:
        raise ReportError(f"row {number}, {column}", f"expected a {'day' if column in _DAYS else 'number'}, found {cell[:40]!r}") from error
    if isinstance(found, Decimal) and not found.is_finite():
        raise ReportError(f"row {number}, {column}", f"expected a finite number, found {cell[:40]!r}")
    if found == "":
        raise ReportError(f"row {number}, {column}", "is empty")
    return found


def check(data: bytes, taxonomy: Taxonomy | None = None, references: References = NOTHING_KNOWN) -> Validation:
    try:
        rows = read_rows(data)
    except ReportError as error:
        broken = Fault(Layer.SCHEMA, "FERC-S-TABLE", error.place, 0, error.message)
        return validate({Layer.SCHEMA: lambda: (broken,)})
    return validate(
        {
            Layer.SCHEMA: lambda: _schema(taxonomy),
            Layer.CHECKSUM: lambda: code_faults(_codes(rows)),
            Layer.CROSS_FIELD: lambda: tuple(cross_field(rows)),
            Layer.REFERENCE_DATA: lambda: known_faults(_codes(rows), references),
        }
    )


def _schema(taxonomy: Taxonomy | None) -> tuple[Fault, ...]:
    if taxonomy is None:
        raise CannotRun("no taxonomy was given; the columns are as expected")
    try:
        metadata(taxonomy, "table.csv")
    except ReportError as error:
        return (Fault(Layer.SCHEMA, "FERC-S-TAXONOMY", error.place, 0, error.message),)
    raise CannotRun("the concepts are named, but no processor of the taxonomy has checked them")


def _codes(rows: Iterable[Transaction]) -> Iterator[Placed]:
    for number, row in enumerate(rows, 2):
        yield Placed(Kind.LEI, row.seller_lei, f"row {number}, seller_lei")


def cross_field(rows: Iterable[Transaction]) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        if row.id in seen:
            yield _fault("FERC-X-ID", number, "id", f"{row.id} stands twice")
        seen.add(row.id)
        if row.last < row.first:
            yield _fault("FERC-X-TERM", number, "last", f"{row.last} is before {row.first}")
        if abs(row.quantity * row.price - row.charge) > CENT / 2:
            yield _fault("FERC-X-CHARGE", number, "charge", f"expected {row.quantity * row.price:f}, found {row.charge}")


def _fault(check_id: str, number: int, column: str, message: str) -> Fault:
    return Fault(Layer.CROSS_FIELD, check_id, f"row {number}, {column}", number, message)
