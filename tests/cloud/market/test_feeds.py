"""Feeds: what can be read, and what cannot named by line; the EIA client against answers of its documented form, served on loopback."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cloud.market import feeds
from cloud.market.documents import COLUMNS
from cloud.market.feeds import EIA_SERIES, FeedError, Market, Prices, fetch_eia, read_csv, read_history_csv, read_key

HEADER = ",".join(COLUMNS)
LINE = "gas,TTF,1772323200000000,1775001600000000,30.50,EUR,MWh,1769904000000000,base"
WTI = EIA_SERIES["wti"]
GAS = Market("gas", "TTF", "EUR", "MWh")


def test_csv_lines_in_any_order_of_columns_give_quotes() -> None:
    turned = "\n".join(",".join(reversed(line.split(","))) for line in (HEADER, LINE))
    assert read_csv(turned.encode()) == read_csv(f"\ufeff{HEADER}\r\n{LINE}\r\n\r\n".encode())
    (quote,) = read_csv(turned.encode()).quotes
    assert str(quote.price) == "30.50"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINE.replace("30.50", ""), "price: missing"),
        (LINE.replace("30.50", "NaN"), "price: expected a number"),
        (LINE.replace("30.50", "nan"), "price: expected a number"),
        (LINE.replace("30.50", "1,000"), "expected 9 cells, found 10"),
        (LINE.replace("1769904000000000", "today"), "as_of_us: expected a whole number"),
        (LINE.replace("base", "peak-ish"), "profile: expected one of base, peak, off-peak"),
        ('"gas', "expected CSV"),
    ],
    ids=["empty price", "NaN", "nan", "thousands", "no time", "profile", "open quotation"],
)
def test_a_wrong_line_is_named_beside_the_right_ones(line: str, message: str) -> None:
    reading = read_csv(f"{HEADER}\n{LINE}\n{line}".encode())
    assert len(reading.quotes) == 1
    assert [(fault.line, message in fault.detail) for fault in reading.faults] == [(3, True)]


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"", 1, "the header lacks product"),
        (HEADER.replace("price", "prize").encode(), 1, 'did you mean "price"?'),
        (f"{HEADER},price".encode(), 1, "stands twice"),
        (HEADER.encode() + b"\n\xff", 2, "expected UTF-8"),
    ],
    ids=["empty", "misspelt", "doubled", "not UTF-8"],
)
def test_a_wrong_header_or_text_gives_nothing(data: bytes, line: int, message: str) -> None:
    reading = read_csv(data)
    assert (reading.quotes, reading.faults[0].line) == ((), line)
    assert message in reading.faults[0].detail


def test_history_from_csv_leaves_out_what_is_missing_or_said_twice() -> None:
    data = b"day,price\n2020-04-21,8.91\n2020-04-20,-36.980\n2020-04-22,\n2020-04-23,NaN\n2020-04-24,1\n2020-04-24,2\n24.4.2020,1\n"
    prices = read_history_csv(data, GAS, "a desk")
    assert dict(zip(map(str, prices.history.days), prices.booked, strict=True)) == {
        "2020-04-20": Decimal("-36.980"),
        "2020-04-21": Decimal("8.91"),
    }
    assert prices.history.prices.tolist() == [-36.98, 8.91]
    assert [fault.line for fault in prices.faults] == [4, 5, 7, 8]
    assert prices.history.source == "a desk"
    assert read_history_csv(b"date,price", GAS, "").faults[0].line == 1


def row(period: Any, value: Any, **changes: Any) -> dict[str, Any]:
    names = {"duoarea": "YCUOK", "area-name": "NA", "product": "EPCWTI", "product-name": "WTI Crude Oil", "process": "PF4"}
    series = {
        "process-name": "Spot Price FOB",
        "series": "RWTC",
        "series-description": "Cushing, OK WTI Spot Price FOB (Dollars per Barrel)",
    }
    return {"period": period, **names, **series, "value": value, "units": "$/BBL", **changes}


def page(*rows: Any, total: Any = None) -> bytes:
    body = {"total": str(len(rows)) if total is None else total, "dateFormat": "YYYY-MM-DD", "frequency": "daily", "data": list(rows)}
    return json.dumps({"response": body, "request": {"command": "/v2/petroleum/pri/spt/data/"}, "apiVersion": "2.1.8"}).encode()


class Service:
    """Answers one after the other, and the queries it was asked."""

    def __init__(self, *answers: tuple[int, bytes] | tuple[int, bytes, str]) -> None:
        self.answers = list(answers)
        self.queries: list[dict[str, str]] = []
        self.pauses: list[float] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                asked = urlsplit(head.split(b" ")[1].decode())
                self.queries.append({"path": asked.path} | {name: values[0] for name, values in parse_qs(asked.query).items()})
                status, body, *more = self.answers.pop(0)
                if status == 0:
                    break
                lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *more]
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        writer.close()

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def fetch(self) -> Prices:
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await fetch_eia(client, "sesame", WTI, date(2020, 4, 17), date(2020, 4, 22), self.pause)


@contextlib.asynccontextmanager
async def service(*answers: Any) -> AsyncIterator[Service]:
    made = Service(*answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


async def test_eia_prices_are_read_whether_texts_or_numbers_and_keep_the_attribution() -> None:
    async with service((200, page(row("2020-04-17", "18.31"), row("2020-04-20", -36.98), row("2020-04-21", "8.910")))) as eia:
        prices = await eia.fetch()
    assert [str(price) for price in prices.booked] == ["18.31", "-36.98", "8.910"]
    assert (prices.history.product, prices.history.unit, prices.faults) == ("WTI", "bbl", ())
    assert "U.S. Energy Information Administration" in prices.history.source
    asked = eia.queries[0]
    assert asked["path"] == "/v2/petroleum/pri/spt/data/"
    assert (asked["facets[series][]"], asked["start"], asked["end"]) == ("RWTC", "2020-04-17", "2020-04-22")


async def test_eia_rows_without_a_price_or_of_another_unit_are_named_and_never_zero() -> None:
    rows = [row("2020-04-17", None), row("2020-04-20", "-36.98"), row("2020-04-21", "NA"), row("2020-04", "1"), "x"]
    rows += [row("2020-04-22", "9", units="$/GAL"), row("2020-04-22", "9", series="RBRTE"), {"period": "2020-04-22"}]
    async with service((200, page(*rows))) as eia:
        prices = await eia.fetch()
    assert prices.history.prices.tolist() == [-36.98]
    assert sorted(fault.line for fault in prices.faults) == [1, 3, 4, 5, 6, 7, 8]


async def test_eia_pages_are_followed_to_the_announced_total() -> None:
    answers = [page(row("2020-04-17", "1"), total="3"), page(row("2020-04-20", "2"), total=3), page(row("2020-04-21", "3"), total="3")]
    async with service(*((200, answer) for answer in answers)) as eia:
        prices = await eia.fetch()
    assert len(prices.booked) == 3
    assert [query["offset"] for query in eia.queries] == ["0", "1", "2"]
    assert eia.pauses == [feeds.EIA_PAUSE_S] * 2


async def test_eia_rows_that_were_announced_and_do_not_come_are_a_fault() -> None:
    async with service((200, page(row("2020-04-17", "1"), total="3")), (200, page(total="3"))) as eia:
        prices = await eia.fetch()
    assert "announced 3 rows and gave 1" in prices.faults[0].detail


async def test_eia_is_asked_again_with_growing_pauses_when_it_is_busy_or_away() -> None:
    answers = [(429, b"", "retry-after: 7"), (503, b""), (0, b""), (200, page(row("2020-04-17", "1")))]
    async with service(*answers) as eia:
        assert len((await eia.fetch()).booked) == 1
    assert eia.pauses == [7.0, 1.0, 2.0]


async def test_eia_is_given_up_after_a_number_of_attempts_without_telling_the_key() -> None:
    async with service(*[(503, b"")] * feeds.ATTEMPTS) as eia:
        with pytest.raises(FeedError, match="status 503") as caught:
            await eia.fetch()
    assert "sesame" not in repr(caught.value)
    assert len(eia.pauses) == feeds.ATTEMPTS - 1


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (403, b'{"error":{"code":"API_KEY_INVALID","message":"An invalid api_key was supplied."}}', "API_KEY_INVALID"),
        (404, b'{"error":"Invalid route","code":404}', "Invalid route"),
        (200, b"<html>", "expected JSON"),
        (200, b'{"response":{"total":"x","data":[]}}', "expected response.total"),
    ],
    ids=["key", "route", "a page", "no total"],
)
async def test_eia_refusals_say_why(status: int, body: bytes, message: str) -> None:
    async with service((status, body)) as eia:
        with pytest.raises(FeedError, match=message):
            await eia.fetch()


def test_keys_are_given_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("sesame\n")
    monkeypatch.setenv("SOME_KEY", "sesame")
    assert read_key(f"file:{tmp_path / 'key'}") == read_key("env:SOME_KEY") == "sesame"
    for wrong in ("env:NO_SUCH_KEY", f"file:{tmp_path / 'none'}", "sesame"):
        with pytest.raises(FeedError):
            read_key(wrong)
