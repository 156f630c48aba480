"""Quotes in and out of a real hub, and the curves they give."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from cloud.market.documents import COLUMNS, quote_json
from cloud.market.periods import DAY_US, Period, months
from cloud.market.quotes import Profile, Quote
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem

NOW = months(2026, 2).start_us
MARCH = Quote("gas", "TTF", months(2026, 3), Decimal("30.50"), "EUR", "MWh", NOW)
APRIL = replace(MARCH, period=months(2026, 4), price=Decimal("29"))
QUARTER = replace(MARCH, period=months(2026, 3, 2), price=Decimal("90"))
SCOPES = ("read", "write:market")


async def send(hub: TestHub, *quotes: Quote, tenant: str = "default") -> httpx.Response:
    headers = await hub.token(tenant, SCOPES)
    return await hub.client.put("/v1/quotes", json=[quote_json(quote) for quote in quotes], headers=headers)


async def curve(hub: TestHub, **query: Any) -> httpx.Response:
    asked = {"product": "gas", "place": "TTF", "as_of_us": NOW} | query
    return await hub.client.get("/v1/curves", params=asked, headers=await hub.token())


async def test_quotes_sent_again_change_nothing(hub: TestHub) -> None:
    changes: list[int] = []
    hub.hub.listeners.append(changes.append)
    first, again = await send(hub, MARCH, APRIL), await send(hub, MARCH, APRIL, MARCH)
    assert (first.status_code, first.json()) == (200, {"stored": 2, "same": 0})
    assert (again.status_code, again.json()) == (200, {"stored": 0, "same": 3})
    assert hub.rows("SELECT count(*) FROM quote") == [(2,)]
    assert changes == [1]


async def test_another_price_for_the_same_moment_is_a_conflict_and_stores_nothing(hub: TestHub) -> None:
    await send(hub, MARCH)
    reply = await send(hub, APRIL, replace(MARCH, price=Decimal("30.5")))
    assert (reply.status_code, problem(reply)) == (409, "conflict")
    assert reply.json()["quotes"] == ["gas@TTF 2026-03-01T00:00Z/2026-04-01T00:00Z base 30.5 EUR/MWh observed 2026-02-01T00:00:00+00:00"]
    assert hub.rows("SELECT document FROM quote") == [(hub.rows("SELECT document FROM quote")[0][0],)]


async def test_two_prices_for_one_moment_in_one_request_are_a_conflict(hub: TestHub) -> None:
    assert problem(await send(hub, MARCH, replace(MARCH, price=Decimal(7)))) == "conflict"
    assert hub.rows("SELECT count(*) FROM quote") == [(0,)]


async def test_csv_has_the_same_columns(hub: TestHub) -> None:
    lines = [",".join(COLUMNS), *(",".join(str(quote_json(quote)[name]) for name in COLUMNS) for quote in (MARCH, APRIL))]
    headers = await hub.token(scopes=SCOPES) | {"content-type": "text/csv; charset=utf-8"}
    reply = await hub.client.post("/v1/quotes", content="\r\n".join(lines), headers=headers)
    assert reply.json() == {"stored": 2, "same": 0}
    assert (await send(hub, MARCH, APRIL)).json() == {"stored": 0, "same": 2}
    wrong = await hub.client.post("/v1/quotes", content="\n".join([lines[0], lines[1].replace("30.50", "")]), headers=headers)
    assert problem(wrong) == "invalid-request"
    assert wrong.json()["faults"] == ['line 2: quote.price: missing, expected a number as text, such as "75.5"']


async def test_faults_are_named_by_path_and_nothing_is_stored(hub: TestHub) -> None:
    headers = await hub.token(scopes=SCOPES)
    body = [quote_json(MARCH), quote_json(APRIL) | {"price": 29.0}, quote_json(APRIL) | {"unit": ""}]
    reply = await hub.client.put("/v1/quotes", json=body, headers=headers)
    assert (reply.status_code, problem(reply)) == (422, "invalid-request")
    assert [fault.split(":")[0] for fault in reply.json()["faults"]] == ["quotes[1].price", "quotes[2].unit"]
    assert hub.rows("SELECT count(*) FROM quote") == [(0,)]


async def test_a_quote_observed_later_than_now_is_refused(hub: TestHub) -> None:
    assert problem(await send(hub, replace(MARCH, as_of_us=hub.hub.clock.now_us() + DAY_US))) == "invalid-request"


async def test_the_newest_quote_not_after_as_of_is_shown(hub: TestHub) -> None:
    later = replace(MARCH, as_of_us=NOW + 5, price=Decimal("31"))
    await send(hub, MARCH, later, APRIL, replace(APRIL, place="NBP"))
    headers = await hub.token()
    at = await hub.client.get("/v1/quotes", params={"as_of_us": NOW, "place": "TTF"}, headers=headers)
    assert at.json() == {"as_of_us": NOW, "quotes": [quote_json(MARCH), quote_json(APRIL)]}
    now = await hub.client.get("/v1/quotes", params={"product": "gas", "place": "TTF"}, headers=headers)
    assert now.json()["quotes"] == [quote_json(later), quote_json(APRIL)]


async def test_a_curve_reprices_its_quotes(hub: TestHub) -> None:
    await send(hub, MARCH, APRIL)
    by_month = (await curve(hub)).json()
    assert by_month["prices"] == pytest.approx([30.5, 29.0], abs=1e-9)
    assert by_month["start_us"] == [MARCH.period.start_us, APRIL.period.start_us]
    by_day = (await curve(hub, granularity="day")).json()
    assert len(by_day["prices"]) == 61
    assert sum(by_day["prices"][:31]) / 31 == pytest.approx(30.5, abs=1e-9)
    assert all(by_day["quoted"])


async def test_peak_quotes_need_hours(hub: TestHub) -> None:
    await send(hub, MARCH, replace(MARCH, profile=Profile.PEAK, price=Decimal(40)))
    coarse = await curve(hub)
    assert (coarse.status_code, problem(coarse)) == (422, "invalid-request")
    assert "hourly" in coarse.json()["detail"]
    assert len((await curve(hub, granularity="hour")).json()["prices"]) == 31 * 24


async def test_contradicting_quotes_are_named(hub: TestHub) -> None:
    await send(hub, MARCH, APRIL, QUARTER)
    reply = await curve(hub)
    assert (reply.status_code, problem(reply)) == (422, "contradicting-quotes")
    assert reply.json()["quotes"] == sorted(quote.label() for quote in (MARCH, APRIL, QUARTER))
    assert "contradicts" in reply.json()["detail"]


async def test_stale_and_delivered_quotes_are_listed_beside(hub: TestHub) -> None:
    old, over = replace(APRIL, as_of_us=NOW - 30 * DAY_US), replace(MARCH, period=months(2026, 1), as_of_us=NOW)
    await send(hub, MARCH, old, over)
    body = (await curve(hub)).json()
    assert (body["quotes"], [one["reason"] for one in body["unused"]]) == (1, ["delivery is over", "older than allowed"])
    assert problem(await curve(hub, as_of_us=NOW + 300 * DAY_US)) == "not-found"


@pytest.mark.parametrize("zone", ["Nowhere/Land", "/etc/passwd", "Europe", "Europe/Berlin"], ids=["unknown", "path", "folder", "shifted"])
async def test_a_zone_that_does_not_fit_is_refused(hub: TestHub, zone: str) -> None:
    await send(hub, MARCH)
    assert problem(await curve(hub, zone=zone)) == "invalid-request"


async def test_a_curve_of_too_many_buckets_is_refused(hub: TestHub) -> None:
    await send(hub, replace(MARCH, period=Period(MARCH.period.start_us, MARCH.period.start_us + 60_000 * DAY_US)))
    reply = await curve(hub, granularity="day")
    assert problem(reply) == "invalid-request"
    assert "coarser" in reply.json()["detail"]


async def test_tenants_see_their_own_market_only(hub: TestHub) -> None:
    await send(hub, MARCH)
    await send(hub, replace(MARCH, price=Decimal(1)), tenant="other")
    shown = await hub.client.get("/v1/quotes", headers=await hub.token("other"))
    assert [quote["price"] for quote in shown.json()["quotes"]] == ["1"]


async def test_quoting_needs_its_scope(hub: TestHub) -> None:
    body = [quote_json(MARCH)]
    assert problem(await hub.client.put("/v1/quotes", json=body)) == "unauthorized"
    for scopes in (("read",), ("write:deals",)):
        assert problem(await hub.client.put("/v1/quotes", json=body, headers=await hub.token(scopes=scopes))) == "forbidden"
    assert problem(await hub.client.get("/v1/quotes", headers=await hub.token(scopes=("write:market",)))) == "forbidden"


WTI = {"product": "WTI", "place": "Cushing", "currency": "USD", "unit": "bbl", "source": "a desk"}


async def put_history(hub: TestHub, text: str, **changes: str) -> httpx.Response:
    return await hub.client.put("/v1/history", params=WTI | changes, content=text, headers=await hub.token(scopes=SCOPES))


async def test_history_is_kept_with_its_source_and_cut_at_what_was_known(hub: TestHub) -> None:
    changes: list[int] = []
    hub.hub.listeners.append(changes.append)
    text = "day,price\n2020-04-17,18.31\n2020-04-20,-36.98\n"
    assert (await put_history(hub, text)).json() == {"stored": 2}
    assert (await put_history(hub, text)).json() == {"stored": 0}
    asked = {"product": "WTI", "place": "Cushing"}
    whole = (await hub.client.get("/v1/history", params=asked, headers=await hub.token())).json()
    assert whole == {**WTI, "days": ["2020-04-17", "2020-04-20"], "prices": [18.31, -36.98]}
    known = {**asked, "as_of_us": months(2020, 4).start_us + 19 * DAY_US}
    assert (await hub.client.get("/v1/history", params=known, headers=await hub.token())).json()["days"] == ["2020-04-17"]
    assert problem(await hub.client.get("/v1/history", params=asked, headers=await hub.token("other"))) == "not-found"
    assert changes == [1]


async def test_history_with_a_fault_is_refused_by_line(hub: TestHub) -> None:
    reply = await put_history(hub, "day,price\n2020-04-17,\n2020-04-20,1\n")
    assert (problem(reply), reply.json()["faults"]) == ("invalid-request", ["line 2: the price is missing"])
    assert problem(await put_history(hub, "day,price\n2020-04-20,1\n", currency="usd")) == "invalid-request"
