"""The simulated market: seeded, true to its means, and a feed that survives its hub."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.market import YEAR_US, FeedError, Market, Process, main, read_first

NOW = 1_750_000_000_000_000
MONTH = YEAR_US // 12


def quote(price: str = "75.50", months: int = 1, **changes: Any) -> dict[str, Any]:
    start = NOW + months * MONTH
    base = {"product": "crude", "place": "Cushing", "start_us": start, "end_us": start + MONTH, "price": price, "currency": "USD"}
    return base | {"unit": "bbl", "as_of_us": NOW, "profile": "base"} | changes


def test_equal_seeds_give_equal_quotes() -> None:
    runs = [[Market([quote(), quote(months=6)], seed, Process()).tick(0.1, NOW) for _ in range(2)] for seed in (1, 2)]
    assert runs[0][0] == runs[0][1] != runs[1][0]


def test_a_tick_changes_price_and_time_alone_and_keeps_the_digits() -> None:
    (moved,) = Market([quote()], 1, Process()).tick(0.1, NOW + 5)
    assert {**moved, "price": "75.50", "as_of_us": NOW} == quote()
    assert moved["as_of_us"] == NOW + 5
    assert Decimal(moved["price"]).as_tuple().exponent == -2


@pytest.mark.parametrize("price", ["75.50000", "0.00000", "-37.63000"])
def test_every_price_has_its_first_value_as_its_mean(price: str) -> None:
    quotes = [quote(price), quote(price, months=24)]
    prices = []
    for seed in range(3000):
        market = Market(quotes, seed, Process())
        market.tick(0.25, NOW)
        prices.append([float(one["price"]) for one in market.tick(0.25, NOW)])
    means, errors = np.mean(prices, axis=0), np.std(prices, axis=0) / np.sqrt(len(prices))
    assert np.all(np.abs(means - float(price)) < 4 * errors)
    assert np.std(prices, axis=0)[0] > 1.5 * np.std(prices, axis=0)[1] > 0  # the deviation fades with time to delivery


def test_markets_move_together_but_not_alike() -> None:
    market = Market([quote(), quote(product="gas")], 1, Process())
    moves = np.diff(np.log([[float(one["price"]) for one in market.tick(0.01, NOW)] for _ in range(2000)]), axis=0)
    assert 0.3 < np.corrcoef(moves.T)[0, 1] < 0.7


def test_delivered_contracts_are_no_longer_quoted() -> None:
    market = Market([quote(), quote(months=6)], 1, Process())
    assert [one["start_us"] for one in market.tick(0.1, NOW + 3 * MONTH)] == [NOW + 6 * MONTH]


@pytest.mark.parametrize("text", ["{}", "[]", "[1]", "nonsense", json.dumps([quote(price="NaN")]), json.dumps([quote(price="x")])])
def test_a_file_that_is_no_list_of_quotes_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(text)
    with pytest.raises(FeedError, match=r"curve.json"):
        read_first(tmp_path / "curve.json")


class Hub:
    """Answers by the script, then 200; keeps what it took."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.taken: list[list[dict[str, Any]]] = []
        self.tokens: set[str] = set()
        self.heard = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""):
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = json.loads(await reader.readexactly(int(fields[b"content-length"])))
            self.tokens.add(fields[b"authorization"].decode())
            status = self.script.pop(0) if self.script else 200
            if status == 200:
                self.taken.append(body)
            if len(self.taken) >= 2:
                self.heard.set()
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            await writer.drain()


@contextlib.asynccontextmanager
async def feed(tmp_path: Path, script: list[int], *more: str) -> AsyncIterator[tuple[Hub, asyncio.subprocess.Process]]:
    hub = Hub(script)
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0)
    (tmp_path / "token").write_text("qzt_x\n")
    (tmp_path / "curve.json").write_text(json.dumps([quote(), quote(months=600)]))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    files = ("--token-file", str(tmp_path / "token"), "--curve", str(tmp_path / "curve.json"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.cli", "market", "--hub", url, *files, "--every", "20ms", "--speed", "100000", *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield hub, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        server.close()


async def test_the_feed_posts_rising_times_until_it_is_told_to_stop(tmp_path: Path) -> None:
    async with feed(tmp_path, []) as (hub, process), asyncio.timeout(30):
        await hub.heard.wait()
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
    assert (process.returncode, b"ticks posted" in output) == (0, True)
    times = [ticks[0]["as_of_us"] for ticks in hub.taken]
    assert times == sorted(set(times))
    assert len({ticks[0]["price"] for ticks in hub.taken}) > 1
    assert hub.tokens == {"bearer qzt_x"}


async def test_the_feed_waits_for_a_hub_that_is_away_and_says_so_once(tmp_path: Path) -> None:
    async with feed(tmp_path, [503, 429, 500, 503, 502, 200], "--ticks", "2") as (hub, process), asyncio.timeout(30):
        _, errors = await process.communicate()
    assert (process.returncode, len(hub.taken)) == (0, 2)
    lines = errors.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["market_hub_down", "market_hub_up"]


async def test_quotes_that_the_hub_refuses_end_the_feed_with_the_reason(tmp_path: Path) -> None:
    async with feed(tmp_path, [403]) as (_, process), asyncio.timeout(30):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"403" in errors


async def test_a_hub_that_stays_away_ends_the_feed(tmp_path: Path) -> None:
    async with feed(tmp_path, [503] * 100, "--give-up", "1ms") as (_, process), asyncio.timeout(30):
        await process.communicate()
    assert process.returncode == 1


def test_a_missing_token_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "curve.json").write_text(json.dumps([quote(months=600)]))
    files = ["--token-file", str(tmp_path / "none"), "--curve", str(tmp_path / "curve.json")]
    assert main(["--hub", "http://127.0.0.1:1", *files]) == 2
    assert "cannot be read as a token" in capsys.readouterr().err
