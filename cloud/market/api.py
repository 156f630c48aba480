"""HTTP of the market: quotes in and out, and the curves they give."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud import document
from cloud.bookings import Asker, Filter, Moment, Name, answer, content_type, json_body, read_body, text_body
from cloud.db import Database
from cloud.document import parse, read_each
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.market import curves, documents, feeds, periods, quotes, store
from cloud.market.curves import Curve, Grid
from cloud.market.errors import MarketError
from cloud.market.periods import Granularity, Period
from cloud.market.quotes import Profile, Quote
from protocols.clock import Clock

MOST_QUOTES: Final = 20_000  # in one request
MOST_BUCKETS: Final = 10_000  # of one curve
SLACK_US: Final = 60_000_000  # the clock of a feed may be ahead of the hub's
DAY_S: Final = 86_400
Zone = Annotated[str, Query(max_length=60, description="where delivery days and months begin")]
Age = Annotated[int, Query(ge=1, le=3660 * DAY_S, description="older quotes are stale")]


def routes(db: Database, clock: Clock, threads: Executor, reader: Asker, writer: Asker, changed: Callable[[int], None]) -> APIRouter:
    """reader, writer: who may ask and who may quote. changed: called with the tenant after new quotes are committed."""
    router = APIRouter(tags=["market"])
    schema = {"type": "array", "items": documents.schema(), "maxItems": MOST_QUOTES}

    @router.put("/v1/quotes", openapi_extra=json_body(schema, **{"text/csv": {"type": "string"}}))
    @router.post("/v1/quotes", openapi_extra=json_body(schema, **{"text/csv": {"type": "string"}}))
    async def put_quotes(principal: Annotated[Principal, Depends(writer)], request: Request) -> Response:
        """Quotes as JSON list or CSV, all or none. Sent again they change nothing."""
        read = feeds.read_strictly if content_type(request) == "text/csv" else _read_quotes
        given = await read_body(request, threads, read)
        now_us = clock.now_us()
        _refuse_the_future(given, now_us)
        async with db.tenant(principal.tenant_id) as connection:
            added = await store.add_quotes(connection, principal.tenant_id, given, now_us)
            if added.conflicts:
                labels = [_observed(quote) for quote in added.conflicts[: document.MOST_FAULTS]]
                detail = f"{len(added.conflicts)} of {len(given)} quotes differ from what is stored for the same moment; nothing was stored"
                raise Problem("conflict", detail, quotes=labels)
        if added.new:
            changed(principal.tenant_id)
        return answer({"stored": added.new, "same": added.same})

    @router.get("/v1/quotes")
    async def get_quotes(
        principal: Annotated[Principal, Depends(reader)], product: Filter = None, place: Filter = None, as_of_us: Moment = None
    ) -> Response:
        """The newest quote of each product, place, period and profile at as_of_us."""
        at_us = clock.now_us() if as_of_us is None else as_of_us
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.latest_quotes(connection, principal.tenant_id, at_us, product, place)
        return answer({"as_of_us": at_us, "quotes": [documents.quote_json(quote) for quote in found]})

    @router.get("/v1/curves")
    async def get_curve(
        principal: Annotated[Principal, Depends(reader)],
        product: Name,
        place: Name,
        granularity: Granularity = Granularity.MONTH,
        as_of_us: Moment = None,
        max_age_s: Age = 7 * DAY_S,
        zone: Zone = "UTC",
    ) -> Response:
        """Prices by delivery bucket that reprice the newest usable quotes; those that could not be used are listed beside, with the reason."""
        at_us = clock.now_us() if as_of_us is None else as_of_us
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.latest_quotes(connection, principal.tenant_id, at_us, product, place)
        kept, refused = quotes.usable(found, at_us, max_age_s * 1_000_000)
        if not kept:
            reasons = "; ".join(sorted({one.reason.value for one in refused})) or "there is none"
            raise Problem("not-found", f"no usable quote of {product} at {place}: {reasons}")
        curve = await asyncio.get_running_loop().run_in_executor(threads, curve_of, kept, granularity, zone, at_us)
        unused = [{"quote": one.quote.label(), "reason": one.reason.value} for one in refused]
        return answer(curve_json(curve, granularity, zone) | {"quotes": len(kept), "unused": unused})

    _add_history(router, db, clock, threads, reader, writer, changed)
    return router


def _add_history(
    router: APIRouter, db: Database, clock: Clock, threads: Executor, reader: Asker, writer: Asker, changed: Callable[[int], None]
) -> None:
    @router.put("/v1/history", openapi_extra=text_body("text/csv"))
    async def put_history(
        principal: Annotated[Principal, Depends(writer)],
        request: Request,
        product: Name,
        place: Name,
        currency: Annotated[str, Query(pattern="^[A-Z]{3}$")],
        unit: Name,
        source: Name,
    ) -> Response:
        """Daily prices as CSV with the columns day and price, all or none. A price that differs from the stored one corrects it."""
        market = feeds.Market(product, place, currency, unit)
        prices = await read_body(request, threads, lambda data: feeds.read_history_strictly(data, market, source))
        async with db.tenant(principal.tenant_id) as connection:
            stored = await store.add_history(connection, principal.tenant_id, prices.history, prices.booked, clock.now_us())
        if stored:
            changed(principal.tenant_id)
        return answer({"stored": stored})

    @router.get("/v1/history")
    async def get_history(
        principal: Annotated[Principal, Depends(reader)], product: Name, place: Name, as_of_us: Moment = None
    ) -> Response:
        """Daily prices as they were known; the price of a day is known from the next day, 00:00 UTC."""
        at_us = clock.now_us() if as_of_us is None else as_of_us
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.history(connection, principal.tenant_id, product, place, at_us)
        if found is None:
            raise Problem("not-found", f"there is no history of {product} at {place}")
        columns = {"days": [str(day) for day in found.days], "prices": found.prices}
        return answer({name: getattr(found, name) for name in ("product", "place", "currency", "unit", "source")} | columns)


def curve_of(kept: Sequence[Quote], granularity: Granularity, zone: str, as_of_us: int) -> Curve:
    """The curve from the first to the last quoted bucket. Problem when the quotes contradict each other or do not fit the granularity."""
    if not document.is_zone(zone):
        raise Problem("invalid-request", f"expected a time zone such as Europe/Berlin, found {zone!r}")
    try:
        grid = _grid(kept, granularity, zone)
        _, contradictions = curves.reconcile(kept, grid)
        if contradictions:
            involved = {quote.label() for one in contradictions for quote in (one.quote, *one.against)}
            detail = "; ".join(map(str, contradictions[:3]))
            raise Problem("contradicting-quotes", detail, quotes=sorted(involved))
        return curves.build(kept, grid, as_of_us)
    except MarketError as error:
        raise Problem("invalid-request", str(error)) from error


def _grid(kept: Sequence[Quote], granularity: Granularity, zone: str) -> Grid:
    span = Period(min(quote.period.start_us for quote in kept), max(quote.period.end_us for quote in kept))
    least = {Granularity.HOUR: periods.HOUR_US, Granularity.DAY: 23 * periods.HOUR_US, Granularity.MONTH: 28 * periods.DAY_US}[granularity]
    if (span.end_us - span.start_us) // least > MOST_BUCKETS:
        raise MarketError(f"{span.label()} has more than {MOST_BUCKETS} buckets by {granularity.value}; ask for a coarser granularity")
    buckets = periods.split(span, granularity, zone)
    shaped = granularity is Granularity.HOUR and any(quote.profile is not Profile.BASE for quote in kept)
    return Grid(buckets, peak=periods.peak_mask(buckets, zone) if shaped else None)


def curve_json(curve: Curve, granularity: Granularity, zone: str) -> dict[str, Any]:
    starts, ends = periods.bounds(curve.buckets)
    return {
        "product": curve.product,
        "place": curve.place,
        "currency": curve.currency,
        "unit": curve.unit,
        "as_of_us": curve.as_of_us,
        "granularity": granularity.value,
        "zone": zone,
        "start_us": starts,
        "end_us": ends,
        "prices": curve.prices,
        "quoted": curve.quoted,
    }


def _read_quotes(data: bytes) -> tuple[Quote, ...]:
    return read_each(parse(data), "quotes", documents.read_quote, MOST_QUOTES)


def _refuse_the_future(given: Sequence[Quote], now_us: int) -> None:
    ahead = [_observed(quote) for quote in given if quote.as_of_us > now_us + SLACK_US]
    if ahead:
        raise Problem("invalid-request", f"{len(ahead)} quotes are observed later than now", faults=ahead[: document.MOST_FAULTS])


def _observed(quote: Quote) -> str:
    return f"{quote.label()} observed {periods.to_datetime(quote.as_of_us).isoformat()}"
