"""Quotes as JSON: the same value back, one canonical form, and errors that name path and way out."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import document
from cloud.document import DocumentError, Fields
from cloud.market.documents import decode_quote, encode_quote, quote_json, read_quote
from cloud.market.periods import Period, months
from cloud.market.quotes import Profile, Quote

GOOD = Quote("WTI", "Cushing", months(2024, 3), Decimal("-37.630"), "USD", "bbl", months(2024, 1).start_us)
WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
TIMES = st.integers(document.EARLIEST_US, document.LATEST_US - 1)
QUOTES = st.builds(
    Quote,
    product=WORDS,
    place=WORDS,
    period=st.tuples(TIMES, st.integers(1, 10**12)).map(lambda pair: Period(pair[0], min(pair[0] + pair[1], document.LATEST_US))),
    price=st.decimals(Decimal("-1e12"), Decimal("1e12"), allow_nan=False, allow_infinity=False, places=6),
    currency=st.sampled_from(["USD", "EUR"]),
    unit=WORDS,
    as_of_us=TIMES,
    profile=st.sampled_from(Profile),
)


@given(QUOTES)
@settings(max_examples=60, deadline=None)
def test_a_quote_comes_back_from_its_bytes_to_the_last_digit(quote: Quote) -> None:
    data = encode_quote(quote)
    again = decode_quote(data)
    assert again == quote
    assert str(again.price) == str(quote.price)
    assert encode_quote(again) == data


def test_the_canonical_form_is_sorted_without_spaces() -> None:
    assert encode_quote(GOOD) == (
        b'{"as_of_us":1704067200000000,"currency":"USD","end_us":1711929600000000,"place":"Cushing","price":"-37.630",'
        b'"product":"WTI","profile":"base","start_us":1709251200000000,"unit":"bbl"}'
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": 75.5}, "quote.price: expected a number as text"),
        ({"price": "NaN"}, "quote.price: expected a number as text"),
        ({"price": "1e999"}, "quote.price: expected a number as text of at most 34 digits"),
        ({"price": ""}, "quote.price: expected a number as text"),
        ({"as_of_us": True}, "quote.as_of_us: expected a whole number"),
        ({"as_of_us": 10**17}, "quote.as_of_us: expected a whole number from"),
        ({"end_us": 0}, "the end is not after the start"),
        ({"currency": "usd"}, "ISO 4217"),
        ({"profile": "peek"}, 'did you mean "peak"?'),
        ({"product": "a\x00"}, "quote.product: expected 1 to 200 printable characters"),
        ({"product": "\ud800"}, "quote.product: expected 1 to 200 printable characters"),
        ({"place": None}, "quote.place: expected a text, found null"),
        ({"prize": "1"}, "quote: unknown key the text 'prize', did you mean \"price\"?"),
    ],
    ids=str,
)
def test_a_malformed_quote_is_refused_by_path(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_quote(Fields({**quote_json(GOOD), **change}, "quote"))
    assert message in str(caught.value)
    str(caught.value).encode()


def test_a_missing_key_offers_the_one_that_was_meant() -> None:
    table = quote_json(GOOD)
    table["prise"] = table.pop("price")
    with pytest.raises(DocumentError, match=r"quote.price: missing.*is 'prise' a misspelling"):
        read_quote(Fields(table, "quote"))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b"[" * 100_000, b"[" + b"9" * 5000 + b"]"],
    ids=["empty", "cut off", "not UTF-8", "doubled key", "NaN", "infinity", "deep", "huge number"],
)
def test_what_is_no_json_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        document.parse(data)
