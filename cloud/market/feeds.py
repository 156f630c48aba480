"""Prices from outside: quotes and daily history from CSV, daily history from the open data of the U.S. Energy Information Administration.

What cannot be read comes back as faults with their line or row, beside the prices that can; an empty or NaN price is a fault and never
zero. The key of a service is given by reference and stands in no message. The attribution that the source asks for stays with the history.
"""

import asyncio
import csv
import io
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
import numpy as np

from cloud.document import DIGITS, MOST_FAULTS, DocumentError, Fields
from cloud.market.documents import COLUMNS, read_quote
from cloud.market.history import History
from cloud.market.quotes import Quote, as_float
from protocols.tomlfile import nearest

EIA_URL: Final = "https://api.eia.gov"
EIA_PAGE: Final = 5_000  # rows that one JSON answer holds at most
EIA_PAUSE_S: Final = 0.25  # between pages: the service asks for fewer than 5 requests a second
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5  # doubling
LONGEST_PAUSE_S: Final = 60.0
TIMEOUT_S: Final = 30.0
MOST_PAGES: Final = 100
_TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
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


@dataclass(frozen=True, slots=True)
class Prices:
    """Daily history as estimates use it, and `booked`, the same prices digit by digit."""

    history: History
    booked: tuple[Decimal, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Market:
    """What a daily series is the price of."""

    product: str
    place: str
    currency: str
    unit: str


@dataclass(frozen=True, slots=True)
class EiaSeries:
    """A series of the API, version 2. units: as the API writes them, checked in every row."""

    route: str
    series: str
    units: str
    market: Market


EIA_SERIES: Final[Mapping[str, EiaSeries]] = MappingProxyType(
    {
        "wti": EiaSeries("petroleum/pri/spt", "RWTC", "$/BBL", Market("WTI", "Cushing", "USD", "bbl")),
        "brent": EiaSeries("petroleum/pri/spt", "RBRTE", "$/BBL", Market("Brent", "Europe", "USD", "bbl")),
        "henry_hub": EiaSeries("natural-gas/pri/fut", "RNGWHHD", "$/MMBTU", Market("natural gas", "Henry Hub", "USD", "MMBtu")),
    }
)


class FeedError(Exception):
    """The source gives nothing; the message says why and what to do."""


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
                quotes.append(_quote(header, cells))
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


def _quote(header: list[str], cells: list[str]) -> Quote:
    if len(cells) != len(header):
        raise DocumentError(f"expected {len(header)} cells, found {len(cells)}")
    filled = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    return read_quote(Fields(dict(_typed(filled)), "quote"))


def _typed(cells: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Whole numbers as such; what is none stays a text, for the reader to name."""
    for name, cell in cells.items():
        digits = cell.removeprefix("-")
        whole = name in _WHOLE and digits.isascii() and digits.isdecimal() and len(digits) < 20
        yield name, int(cell) if whole else cell


def read_history_csv(data: bytes, market: Market, source: str) -> Prices:
    """Daily prices from CSV with the columns day and price. A day that stands twice with two prices is left out."""
    lines = csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline=""))
    found: list[tuple[int, str, Any]] = []
    faults: list[Fault] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        if header != ["day", "price"]:
            return _prices([], market, source, [Fault(1, f'expected the header "day,price", found {",".join(header)[:60]!a}')])
        for cells in lines:
            if len(cells) == 2:
                found.append((lines.line_num, cells[0].strip(), cells[1].strip()))
            elif cells:
                faults.append(Fault(lines.line_num, f"expected 2 cells, found {len(cells)}"))
    except csv.Error as error:
        faults.append(Fault(lines.line_num, f"expected CSV: {error}"))
    return _prices(found, market, source, faults)


def read_history_strictly(data: bytes, market: Market, source: str) -> Prices:
    """All days, or DocumentError with the first faults."""
    prices = read_history_csv(data, market, source)
    if prices.faults:
        raise DocumentError(*map(str, prices.faults[:MOST_FAULTS]))
    return prices


def _prices(rows: Iterable[tuple[int, Any, Any]], market: Market, source: str, faults: Sequence[Fault] = ()) -> Prices:
    """(line, day, price) as they came, in any order."""
    booked: dict[date, Decimal] = {}
    doubtful: set[date] = set()
    listed = list(faults)
    for line, day, price in rows:
        try:
            on, value = _day(day), _price(price)
        except ValueError as error:
            listed.append(Fault(line, str(error)))
            continue
        if booked.setdefault(on, value) != value:
            listed.append(Fault(line, f"{on} stands twice, with {booked[on]} and {value}"))
            doubtful.add(on)
    days = sorted(booked.keys() - doubtful)
    exact = tuple(booked[day] for day in days)
    columns = np.array(days, dtype="datetime64[D]"), np.array([as_float(price) for price in exact], dtype=np.float64)
    return Prices(History(market.product, market.place, market.currency, market.unit, *columns, source), exact, tuple(listed))


def _day(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
        if day.isoformat() == value:
            return day
    except (TypeError, ValueError):
        pass
    raise ValueError(f"expected a day as 2020-04-20, found {str(value)[:40]!a}")


def _price(value: Any) -> Decimal:
    """Texts and JSON numbers alike: the API has used both."""
    if value in (None, ""):
        raise ValueError("the price is missing")
    try:
        price = value if isinstance(value, Decimal) else Decimal(value)
        parts = price.as_tuple()
        if isinstance(parts.exponent, int) and max(len(parts.digits), -parts.exponent, price.adjusted() + 1) <= DIGITS:
            return price
    except (InvalidOperation, TypeError, ValueError):
        pass
    raise ValueError(f"expected a finite price, found {str(value)[:40]!a}")


def read_key(reference: str) -> str:
    """The key named by "env:NAME" or "file:PATH". FeedError when there is none."""
    kind, _, name = reference.partition(":")
    try:
        key = {"env": lambda: os.environ.get(name, ""), "file": lambda: Path(name).read_text(encoding="ascii")}[kind]().strip()
    except KeyError as error:
        raise FeedError('expected the key as "env:NAME" or "file:PATH", never the key itself') from error
    except (OSError, ValueError) as error:
        raise FeedError(f"the key file {name} cannot be read") from error
    if not key or not key.isprintable():
        raise FeedError(f"{reference} holds nothing")
    return key


async def fetch_eia(
    client: httpx.AsyncClient,
    key: str,
    series: EiaSeries,
    first: date,
    last: date,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Prices:
    """All daily prices of the days from first to last, page by page. `client` has the address as its base_url. FeedError when the service
    refuses or stays away."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log addresses, and the key is part of them
    query = {
        "api_key": key,
        "frequency": "daily",
        "data[0]": "value",
        "facets[series][]": series.series,
        "start": first.isoformat(),
        "end": last.isoformat(),
        "sort[0][column]": "period",
        "sort[0][direction]": "asc",
        "length": str(EIA_PAGE),
    }
    rows: list[Any] = []
    for page in range(MOST_PAGES):
        if page:
            await pause(EIA_PAUSE_S)
        total, found = _page(await _ask(client, f"/v2/{series.route}/data/", {**query, "offset": str(len(rows))}, pause))
        rows += found
        if len(rows) >= total or not found:
            break
    faults = [Fault(len(rows), f"the service announced {total} rows and gave {len(rows)}; ask again")] if len(rows) < total else []
    return _eia_prices(rows, series, faults)


def _eia_prices(rows: Sequence[Any], series: EiaSeries, faults: list[Fault]) -> Prices:
    fitting = []
    for number, row in enumerate(rows, 1):
        found = (row.get("series"), row.get("units")) if isinstance(row, dict) else (None, None)
        if found == (series.series, series.units):
            fitting.append((number, row.get("period"), row.get("value")))
        else:
            faults.append(Fault(number, f"expected {series.series} in {series.units}, found {str(found)[:80]}"))
    source = f"EIA API v2 {series.route} {series.series}; Source: U.S. Energy Information Administration"
    return _prices(fitting, series.market, source, faults)


async def _ask(
    client: httpx.AsyncClient, path: str, query: Mapping[str, str], pause: Callable[[float], Awaitable[object]]
) -> httpx.Response:
    """The answer, after as many attempts as it takes and at most ATTEMPTS."""
    reason = ""
    for attempt in range(ATTEMPTS):
        wait_s = FIRST_PAUSE_S * 2**attempt
        try:
            reply = await client.get(path, params=query, timeout=TIMEOUT_S)
        except httpx.TransportError as error:
            reason = type(error).__name__  # its text may hold the address, and with it the key
        else:
            if reply.status_code not in _TRY_AGAIN:
                return reply
            reason, asked = f"status {reply.status_code}", reply.headers.get("retry-after", "")
            wait_s = max(wait_s, float(asked)) if asked.isascii() and asked.isdecimal() else wait_s
        if attempt + 1 < ATTEMPTS:
            await pause(min(wait_s, LONGEST_PAUSE_S))
    raise FeedError(f"no answer from {client.base_url.host} in {ATTEMPTS} attempts: {reason}; try again later")


def _page(reply: httpx.Response) -> tuple[int, list[Any]]:
    """(rows in all, rows of this page)."""
    try:
        document = json.loads(reply.content, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise FeedError(f"expected JSON with status {reply.status_code}") from error
    match document:
        case {"response": {"total": int() | str() as total, "data": list(rows)}} if str(total).isdecimal():
            return int(total), rows
        case {"error": {"code": code, "message": message}} | {"code": code, "error": message}:
            raise FeedError(f"the service refuses with {str(code)[:60]!a}: {str(message)[:200]!a}")
    raise FeedError(f"status {reply.status_code}: expected response.total and response.data, found neither")
