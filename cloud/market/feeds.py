"""Prices from outside: quotes from CSV.

What cannot be read comes back as faults with their line numbers, beside the quotes that can; an empty or NaN price is a fault and never zero.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud.document import MOST_FAULTS, DocumentError, Fields
from cloud.market.documents import COLUMNS, read_quote
from cloud.market.quotes import Quote
from protocols.tomlfile import nearest

_WHOLE: Final = ("start_us", "end_us", "as_of_us")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line, counted from 1 with the header; line 0 is the text as a whole."""

    line: int
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Reading:
    quotes: tuple[Quote, ...]
    faults: tuple[Fault, ...]


def read_csv(data: bytes) -> Reading:
    """Quotes from CSV with the header of `documents.COLUMNS`, in any order; `profile` may be missing."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Reading((), (Fault(data[: error.start].count(b"\n") + 1, "expected UTF-8 text"),))
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    quotes: list[Quote] = []
    faults: list[Fault] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        if wrong := _header_fault(header):
            return Reading((), (Fault(1, wrong),))
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            try:
                quotes.append(_quote(header, cells, lines.line_num))
            except DocumentError as error:
                faults += [Fault(lines.line_num, fault) for fault in error.faults]
    except csv.Error as error:
        faults.append(Fault(lines.line_num, f"expected CSV: {error}"))
    return Reading(tuple(quotes), tuple(faults))


def read_strictly(data: bytes) -> tuple[Quote, ...]:
    """All quotes, or DocumentError with the first faults."""
    reading = read_csv(data)
    if reading.faults:
        raise DocumentError(*map(str, reading.faults[:MOST_FAULTS]))
    return reading.quotes


def _header_fault(header: list[str]) -> str:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        return f'unknown column "{unknown[0][:60]}"{nearest(unknown[0][:60], COLUMNS)} Known: {", ".join(COLUMNS)}'
    missing = [name for name in COLUMNS if name not in header and name != "profile"]
    if missing:
        return f"the header lacks {', '.join(missing)}; expected {', '.join(COLUMNS)}"
    doubled = [name for name in header if header.count(name) > 1]
    return f'column "{doubled[0]}" stands twice' if doubled else ""


def _quote(header: list[str], cells: list[str], line: int) -> Quote:
    if len(cells) != len(header):
        raise DocumentError(f"expected {len(header)} cells, found {len(cells)}")
    filled = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    return read_quote(Fields(dict(_typed(filled)), f"line {line}"))


def _typed(cells: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Whole numbers as such; what is none stays a text, for the reader to name."""
    for name, cell in cells.items():
        digits = cell.removeprefix("-")
        whole = name in _WHOLE and digits.isascii() and digits.isdecimal() and len(digits) < 20
        yield name, int(cell) if whole else cell
