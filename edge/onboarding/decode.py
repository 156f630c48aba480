"""`qenergyz edge decode`: what registers mean under every type and word order, side by side. Pure; needs neither a device nor a file.

The one column in which the number makes sense tells which `word_order` the device map needs.
"""

import argparse
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from edge.onboarding.output import OK, USAGE, Output, Stop

ORDERS: Final = ("ABCD", "CDAB", "BADC", "DCBA")
_CODES: Final = {
    1: (("int16", "h"), ("uint16", "H")),
    2: (("int32", "i"), ("uint32", "I"), ("float32", "f")),
    4: (("int64", "q"), ("uint64", "Q"), ("float64", "d")),
}
SIZES: Final = {**{name: size for size, codes in _CODES.items() for name, _ in codes}, "bcd": 0, "text": 0, "bits": 1}


@dataclass(frozen=True, slots=True)
class Row:
    """values: by word order; None where the bytes are no number of the type."""

    type: str
    first: int
    registers: int
    values: tuple[Any, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--raw", required=True, metavar="WORDS", help='registers in hexadecimal, as they came: "4148 0000" or 0x4148,0x0000'
    )
    parser.add_argument("--type", choices=sorted(SIZES), help="only this type")
    parser.add_argument("--decimal", action="store_true", help="the registers are written as decimal numbers")


def run(options: argparse.Namespace, out: Output) -> int:
    words = parse_words(options.raw, decimal=options.decimal)
    rows = [row for row in rows_of(words) if options.type in (None, row.type)]
    if not rows:
        raise Stop(USAGE, f"{options.type} takes {SIZES[options.type]} registers, found {len(words)}", "give all registers of the value")
    out.json(
        {
            "words": [f"{word:04X}" for word in words],
            "rows": [
                {
                    "type": row.type,
                    "first": row.first,
                    "registers": row.registers,
                    **dict(zip(ORDERS, map(_plain, row.values), strict=True)),
                }
                for row in rows
            ],
        }
    )
    table = [("type", "words", *ORDERS), *((row.type, _span(row), *map(_text, row.values)) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        out.data("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    return OK


def parse_words(text: str, *, decimal: bool = False) -> tuple[int, ...]:
    """Raises Stop."""
    parts = re.findall(r"[^\s,;:\[\]]+", text)
    digits = [part.lower().removeprefix("0x") for part in parts]
    if not decimal and len(digits) == 1 and len(digits[0]) > 4 and len(digits[0]) % 4 == 0:
        digits = [digits[0][at : at + 4] for at in range(0, len(digits[0]), 4)]
    try:
        words = tuple(int(part, 10 if decimal else 16) for part in digits)
    except ValueError as error:
        raise Stop(USAGE, f'"{text}" is no list of registers', 'write them as "4148 0000", or as decimal numbers with --decimal') from error
    if not words or any(not 0 <= word <= 0xFFFF for word in words):
        raise Stop(USAGE, f'expected registers of 16 bits, found "{text}"', 'write four hexadecimal digits for each: "4148 0000"')
    return words


def ordered(words: tuple[int, ...], order: str) -> bytes:
    """The bytes of the value, highest first, when its registers stand in this order."""
    if order in ("CDAB", "DCBA"):
        words = words[::-1]
    return b"".join(word.to_bytes(2, "little" if order in ("BADC", "DCBA") else "big") for word in words)


def rows_of(words: tuple[int, ...]) -> Iterator[Row]:
    """Every type at every place where it fits: values stand one behind the other."""
    for size, codes in _CODES.items():
        for first in range(0, len(words) - size + 1, size):
            run_of = words[first : first + size]
            for name, code in codes:
                yield Row(name, first, size, tuple(struct.unpack(f">{code}", ordered(run_of, order))[0] for order in ORDERS))
    yield Row("bcd", 0, len(words), tuple(_bcd(ordered(words, order)) for order in ORDERS))
    yield Row("text", 0, len(words), tuple(_letters(ordered(words, order)) for order in ORDERS))
    for first, word in enumerate(words):
        swapped = word >> 8 | (word & 0xFF) << 8
        yield Row("bits", first, 1, tuple(f"{one:016b}" for one in (word, word, swapped, swapped)))


def _bcd(data: bytes) -> int | None:
    digits = data.hex()
    return int(digits) if digits.isdecimal() else None


def _letters(data: bytes) -> str | None:
    text = data.rstrip(b"\0 ").decode("latin-1")
    return text if text and text.isascii() and text.isprintable() else None


def _span(row: Row) -> str:
    return str(row.first) if row.registers == 1 else f"{row.first}..{row.first + row.registers - 1}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """JSON knows no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
