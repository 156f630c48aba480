"""`qenergyz sim market`: quotes of a simulated market, posted to a hub as a feed would.

The market begins with the quotes of a file and moves by two factors per product and place, a short-term deviation that fades and a lasting
level (Schwartz & Smith 2000), with a common part over all of them. A price above zero moves by factors of itself, any other by amounts; each
quote has its first value as its mean. Not real prices, and no order book: only what a curve needs.
"""

import argparse
import asyncio
import json
import math
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from protocols.tomlfile import parse_duration_us

YEAR_US: Final = 365 * 86_400_000_000
ATTEMPTS: Final = 4  # of one tick
FIRST_PAUSE_S: Final = 0.2  # between attempts, doubling
TIMEOUT_S: Final = 10.0
TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class FeedError(Exception):
    """The files given, or what the hub says of the quotes; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Process:
    """Per year: kappa pulls the deviation back; sigmas per square root of a year; rho between the two; shared: correlation of markets."""

    kappa: float = 1.5
    sigma_chi: float = 0.30
    sigma_xi: float = 0.15
    rho: float = 0.3
    shared: float = 0.5

    def variance(self, years: float, weight: float) -> float:
        """Of weight * chi + xi after `years`."""
        chi = self.sigma_chi**2 * -math.expm1(-2 * self.kappa * years) / (2 * self.kappa)
        cross = self.rho * self.sigma_chi * self.sigma_xi * -math.expm1(-self.kappa * years) / self.kappa
        return weight * weight * chi + self.sigma_xi**2 * years + 2 * weight * cross


class Market:
    """Where every price stands. `tick` moves on; equal seeds and steps give equal quotes."""

    def __init__(self, first: Sequence[Mapping[str, Any]], seed: int, process: Process) -> None:
        self._first, self._process = first, process
        self._markets = sorted({(quote["product"], quote["place"]) for quote in first})
        self._rng = np.random.default_rng(seed)
        self._chi = np.zeros(len(self._markets))
        self._xi = np.zeros(len(self._markets))
        self._years = 0.0

    def tick(self, years: float, as_of_us: int) -> list[dict[str, Any]]:
        """The quotes of contracts still to be delivered, after a step of `years`."""
        self._move(years)
        return [self._quoted(quote, as_of_us) for quote in self._first if quote["end_us"] > as_of_us]

    def _move(self, years: float) -> None:
        process = self._process
        fade = math.exp(-process.kappa * years)
        common, own = self._rng.standard_normal((2, 1)), self._rng.standard_normal((2, len(self._markets)))
        one, other = math.sqrt(process.shared) * common + math.sqrt(1 - process.shared) * own
        chi = process.sigma_chi * math.sqrt(-math.expm1(-2 * process.kappa * years) / (2 * process.kappa))
        self._chi = fade * self._chi + chi * one
        self._xi = self._xi + process.sigma_xi * math.sqrt(years) * (process.rho * one + math.sqrt(1 - process.rho**2) * other)
        self._years += years

    def _quoted(self, quote: Mapping[str, Any], as_of_us: int) -> dict[str, Any]:
        at = self._markets.index((quote["product"], quote["place"]))
        ahead = max((quote["start_us"] + quote["end_us"]) / 2 - as_of_us, 0.0) / YEAR_US
        weight = math.exp(-self._process.kappa * ahead)
        moved = weight * self._chi[at] + self._xi[at]
        first = Decimal(quote["price"])
        if first > 0:
            price = float(first) * math.exp(moved - self._process.variance(self._years, weight) / 2)
        else:
            price = float(first) + max(abs(float(first)), 1.0) * float(moved)
        return {**quote, "price": str(Decimal(repr(price)).quantize(first)), "as_of_us": as_of_us}


def read_first(path: Path) -> list[dict[str, Any]]:
    """The first quotes: a JSON list in the form of PUT /v1/quotes; the hub checks what is not needed here."""
    try:
        quotes = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(quotes, list) or not quotes:
            raise FeedError(f"{path}: expected a list of quotes, found {type(quotes).__name__}")
        for index, quote in enumerate(quotes):
            price, period = Decimal(quote["price"]), quote["end_us"] - quote["start_us"]
            if not price.is_finite() or period <= 0 or not all(isinstance(quote[name], str) for name in ("product", "place", "price")):
                raise FeedError(f"{path}: quote {index} needs product, place, a finite price as text, and start_us before end_us")
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, InvalidOperation) as error:
        raise FeedError(f"{path}: expected a list of quotes as PUT /v1/quotes takes them: {error!r}") from error
    return quotes


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        market = Market(read_first(arguments.curve), arguments.seed, Process())
        return asyncio.run(_run(market, arguments, _read_token(arguments.token_file)))
    except FeedError as error:
        print(f"qenergyz sim market: {error}", file=sys.stderr)
        return 2


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise FeedError(f"{path}: cannot be read as a token: {error}") from error
    if not token.isprintable() or not token:
        raise FeedError(f"{path}: expected one line with a token")
    return token


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qenergyz sim market", description="Post quotes of a simulated market to a hub until told to stop."
    )
    parser.add_argument("--hub", required=True, metavar="URL")
    parser.add_argument("--token-file", required=True, type=Path, metavar="FILE", help="a token with the scope write:market")
    parser.add_argument(
        "--curve", required=True, type=Path, metavar="FILE", help="the first quotes, a JSON list as PUT /v1/quotes takes it"
    )
    parser.add_argument("--every", default="1s", metavar="DURATION", type=_duration, help="between two ticks (default %(default)s)")
    parser.add_argument("--speed", default=1.0, metavar="X", type=_positive, help="seconds of market time per second (default 1)")
    parser.add_argument("--ticks", type=int, metavar="N", help="end after N ticks")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--give-up", default="60s", metavar="DURATION", type=_duration, help="end when the hub was away so long (default %(default)s)"
    )
    return parser


def _duration(text: str) -> float:
    try:
        seconds = parse_duration_us(text) / 1e6
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return _positive(str(seconds))


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"expected more than zero, found {text}")
    return number


async def _run(market: Market, arguments: argparse.Namespace, token: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    headers = {"authorization": f"Bearer {token}"}
    step_years = arguments.every * arguments.speed * 1e6 / YEAR_US
    posted, away_since, as_of_us = 0, None, 0
    async with httpx.AsyncClient(base_url=arguments.hub, headers=headers, timeout=TIMEOUT_S) as client:
        due = loop.time()
        while not stop.is_set() and (arguments.ticks is None or posted < arguments.ticks):
            as_of_us = max(time.time_ns() // 1000, as_of_us + 1)
            quotes = market.tick(step_years, as_of_us)
            if not quotes:
                print("qenergyz sim market: every contract is delivered", file=sys.stderr)
                break
            problem = await _post(client, quotes, stop)
            posted += not problem
            if problem and away_since is None:
                away_since = loop.time()
                print(f"market_hub_down reason={problem}", file=sys.stderr, flush=True)
            elif not problem and away_since is not None:
                print(f"market_hub_up after_s={loop.time() - away_since:.1f}", file=sys.stderr, flush=True)
                away_since = None
            if away_since is not None and loop.time() - away_since > arguments.give_up:
                print("qenergyz sim market: the hub stays away", file=sys.stderr)
                return 1
            due = max(due + arguments.every, loop.time() - arguments.every)
            await _wait(stop, due - loop.time())
    print(f"qenergyz sim market: {posted} ticks posted", flush=True)
    return 0


async def _post(client: httpx.AsyncClient, quotes: Sequence[Mapping[str, Any]], stop: asyncio.Event) -> str:
    """Empty when the hub has the tick, or why it has not; the next tick is newer, so this one is then given up."""
    reason = "stopped"
    for attempt in range(ATTEMPTS):
        try:
            reply = await client.put("/v1/quotes", json=quotes)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
        else:
            if reply.status_code == 200:
                return ""
            if reply.status_code not in TRY_AGAIN:
                raise FeedError(f"the hub refuses the quotes: {reply.status_code} {reply.text[:300]}")
            reason = f"status {reply.status_code}"
        await _wait(stop, FIRST_PAUSE_S * 2**attempt)
        if stop.is_set():
            break
    return reason


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Until it is time, or until told to stop."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        pass
