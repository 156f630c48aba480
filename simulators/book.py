"""The book of a demonstration: quotes, deals, calendars and settings for one stream of production, as the documents a desk would hand in.

Dates follow the day of the run. Prices begin with the last ones of the shipped public history and are simulated from there: nothing here
is a market. Volumes are in proportion to the stream's nameplate, so that a lost unit leaves the desk short.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

MONTHS: Final = 5
BOOK: Final = "main"


@dataclass(frozen=True, slots=True)
class Market:
    """front: price of the first month; step: added per month; history: shipped series the volatility is estimated from."""

    product: str
    place: str
    unit: str
    history: str
    front: float
    step: float


def months(at: datetime, count: int = MONTHS) -> list[tuple[datetime, datetime]]:
    """First instants of this and the following months (UTC), each with the end."""
    starts = [
        datetime(at.year + (at.month - 1 + ahead) // 12, (at.month - 1 + ahead) % 12 + 1, 1, tzinfo=UTC) for ahead in range(count + 1)
    ]
    return list(pairwise(starts))


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def quotes(market: Market, at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "product": market.product,
            "place": market.place,
            "start_us": _us(start),
            "end_us": _us(end),
            "profile": "base",
            "price": f"{market.front + ahead * market.step:.3f}",
            "currency": "USD",
            "unit": market.unit,
            "as_of_us": _us(at),
        }
        for ahead, (start, end) in enumerate(months(at))
    ]


def calendars(market: Market, at: datetime) -> list[dict[str, Any]]:
    first, last = at.date() - timedelta(days=366), at.date() + timedelta(days=730)
    return [{"product": market.product, "place": market.place, "first": first.isoformat(), "last": last.isoformat()}]


def settings(market: Market, days: int = 60, paths: int = 4000) -> dict[str, Any]:
    return {
        "book": BOOK,
        "days": days,
        "paths": paths,
        "returns": 250,
        "products": {market.product: {"kind": "lognormal", "history": market.history}},
    }


def deals(market: Market, nameplate: float, at: datetime, count: int = 0) -> list[dict[str, Any]]:
    """92 % of `nameplate` (volume per day) sold: half at a fixed price, the rest at the index and to a spot buyer, with financial cover.

    count: so many more small fixed sales, taken out of the first one, for a book of realistic length.
    """
    first, last = months(at)[0][0], months(at)[-1][1] - timedelta(days=1)
    number = (last - first).days + 1
    small = 0.2 * nameplate / count if count else 0.0
    made = [
        _deal("TERM-1", market, first, last, (0.50 * nameplate - small * count) * number, fixed=market.front + 1.2, penalty="0.15"),
        _deal("INDEX-1", market, first, last, 0.30 * nameplate * number, differential=-0.8, penalty="0.05"),
        _deal("SPOT-1", market, first, last, 0.12 * nameplate * number, fixed=market.front + 0.4, penalty="0.25", kind="spot"),
        _deal(
            "SWAP-1", market, first, last, 0.15 * nameplate * number, fixed=market.front + 0.9, side="sell", physical=False, kind="future"
        ),
        _put("PUT-1", market, first, last, 0.10 * nameplate * number),
    ]
    made += [
        _deal(f"SMALL-{index:04d}", market, first, last, small * number, fixed=market.front + 1.0 + 0.001 * index, penalty="0.1")
        for index in range(count)
    ]
    return [{**deal, "known_us": _us(at)} for deal in made]


def _deal(
    name: str,
    market: Market,
    first: datetime,
    last: datetime,
    volume: float,
    *,
    fixed: float = 0.0,
    differential: float | None = None,
    penalty: str = "0",
    side: str = "sell",
    physical: bool = True,
    kind: str = "forward",
) -> dict[str, Any]:
    def price(value: float) -> dict[str, str]:
        return {"value": f"{value:.3f}", "currency": "USD", "unit": market.unit}

    agreed = {"fixed": price(fixed)} if differential is None else {"index": market.product, "differential": price(differential)}
    leg = {
        "side": side,
        "product": market.product,
        "place": market.place,
        "volume": {"value": f"{volume:.3f}", "unit": market.unit},
        "first": first.date().isoformat(),
        "last": last.date().isoformat(),
        "price": agreed,
        "physical": physical,
        "granularity": "day",
        "zone": "UTC",
    }
    made = {"id": name, "version": 1, "book": BOOK, "counterparty": "Refiner", "kind": kind, "legs": [leg]}
    return {**made, "terms": {"shortfall": "buy-back", "penalty": penalty}} if physical else made


def _put(name: str, market: Market, first: datetime, last: datetime, volume: float) -> dict[str, Any]:
    made = _deal(name, market, first, last, volume, fixed=0.0, side="buy", physical=False, kind="option")
    price = {"currency": "USD", "unit": market.unit}
    option = {
        "right": "put",
        "exercise": "european",
        "strike": {"value": f"{market.front * 0.92:.3f}", **price},
        "premium": {"value": f"{market.front * 0.02:.3f}", **price},
        "expiry": first.date().isoformat(),
    }
    return {**made, "option": option}


def documents(market: Market, nameplate: float, at: datetime, count: int = 0) -> Sequence[tuple[str, str, Any]]:
    """(method, path, body) of every request that puts the book in, in their order."""
    return (
        ("PUT", "/v1/calendars", calendars(market, at)),
        ("PUT", "/v1/quotes", quotes(market, at)),
        ("POST", "/v1/deals", deals(market, nameplate, at, count)),
        ("PUT", "/v1/risk/settings", settings(market)),
    )
