"""`qenergyz hub prices`: daily history from the open data of the U.S. Energy Information Administration into a running hub.

    qenergyz hub prices --series wti --from 2020-01-01 --key env:EIA_API_KEY --hub http://127.0.0.1:8400 --token-file FILE

Run it once a day: what the hub has already changes nothing. Rows that the service gives without a price are named on standard error.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import httpx

from cloud.market.feeds import EIA_SERIES, EIA_URL, FeedError, Prices, fetch_eia, read_key


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        return asyncio.run(_run(options))
    except FeedError as error:
        print(f"qenergyz hub prices: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qenergyz hub prices", description="Fetch daily prices from the EIA's open data into a running hub."
    )
    parser.add_argument("--series", required=True, choices=sorted(EIA_SERIES))
    parser.add_argument("--from", dest="first", required=True, type=date.fromisoformat, metavar="DAY", help="first day, as 2020-01-01")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="DAY", help="last day (default today)")
    parser.add_argument("--key", required=True, metavar="REFERENCE", help="the EIA key as env:NAME or file:PATH")
    parser.add_argument("--hub", required=True, metavar="URL")
    parser.add_argument("--token-file", required=True, type=Path, metavar="FILE", help="a token with the scope write:market")
    parser.add_argument("--eia", default=EIA_URL, metavar="URL", help="another address of the service (default %(default)s)")
    return parser


async def _run(options: argparse.Namespace) -> int:
    key, token = read_key(options.key), read_key(f"file:{options.token_file}")
    last = options.last or datetime.now(UTC).date()
    async with httpx.AsyncClient(base_url=options.eia) as client:
        prices = await fetch_eia(client, key, EIA_SERIES[options.series], options.first, last)
    for fault in prices.faults:
        print(f"row {fault.line}: {fault.detail}", file=sys.stderr)
    if not prices.booked:
        raise FeedError(f"the service has no price of {options.series} from {options.first} to {last}")
    async with httpx.AsyncClient(base_url=options.hub, headers={"authorization": f"Bearer {token}"}, timeout=60.0) as client:
        stored = await _put(client, prices, asdict(EIA_SERIES[options.series].market))
    print(f"{len(prices.booked)} days of {options.series}, {stored} new or corrected. {prices.history.source}")
    return 0


async def _put(client: httpx.AsyncClient, prices: Prices, market: dict[str, str]) -> int:
    text = "day,price\n" + "".join(f"{day},{price}\n" for day, price in zip(prices.history.days, prices.booked, strict=True))
    headers = {"content-type": "text/csv"}
    try:
        reply = await client.put("/v1/history", params={**market, "source": prices.history.source}, content=text.encode(), headers=headers)
    except httpx.TransportError as error:
        raise FeedError(f"no answer from the hub: {error}") from error
    if reply.status_code != 200:
        raise FeedError(f"the hub refuses the prices: {reply.status_code} {reply.text[:300]}")
    stored: int = reply.json()["stored"]
    return stored
