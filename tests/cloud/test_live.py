"""The live stream: newest values first, then changes; nobody waits for a reader that does not read."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import httpx
import numpy as np
import orjson
import pytest
import uvicorn

from cloud.telemetry import live
from cloud.telemetry.latest import Latest, LatestColumns
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem


@contextlib.asynccontextmanager
async def _served(hub: TestHub) -> AsyncIterator[str]:
    """The hub's application on a socket: only there a reader can stall. Its parts are already running."""
    app = hub.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=2))
    task = asyncio.create_task(server.serve())
    while not server.started:  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        hub.hub.closing.set()
        server.should_exit = True
        await asyncio.wait_for(task, 10)


async def _event(lines: AsyncIterator[str]) -> dict[str, list[float]]:
    async for line in lines:
        if line.startswith("data: "):
            found: dict[str, list[float]] = json.loads(line[6:])
            return found
    raise AssertionError("the stream ended")


async def test_the_stream_tells_everything_first_and_then_what_changed(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=2)
    await gateway.send(gateway.seal())
    async with _served(hub) as url, httpx.AsyncClient(base_url=url, headers=await hub.token(), timeout=10) as client:
        async with client.stream("GET", "/v1/stream") as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = reply.aiter_lines()
            assert sorted(row[0] for row in (await _event(lines)).values()) == [3_000_000, 3_000_000]
            await gateway.send(gateway.seal())
            assert sorted(row[1] for row in (await _event(lines)).values()) == [0.05, 0.06]
            hub.hub.closing.set()
            assert [line async for line in lines if line.startswith("data")] == []  # it ends
        assert problem(await httpx.AsyncClient(base_url=url).get("/v1/stream")) == "unauthorized"


async def test_a_reader_that_does_not_read_delays_no_other(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD_S", 0.001)
    big = orjson.dumps({"filler": "x" * (1 << 20)})  # a frame larger than what sockets hold
    monkeypatch.setattr(live.orjson, "dumps", lambda _: big)
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    token = (await hub.token())["authorization"]
    async with _served(hub) as url:
        host, port = url.removeprefix("http://").split(":")
        stalled = [await asyncio.open_connection(host, int(port), limit=1024) for _ in range(5)]
        for _, writer in stalled:
            writer.write(f"GET /v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n".encode())
        async with (
            httpx.AsyncClient(base_url=url, headers={"authorization": token}, timeout=10) as client,
            client.stream("GET", "/v1/stream") as reply,
        ):
            lines = reply.aiter_lines()
            for _ in range(20):
                await asyncio.wait_for(_event(lines), 5)
                await gateway.send(gateway.seal())
            assert (await client.get("/health")).status_code == 200
        for _, writer in stalled:
            writer.close()


def _tasks() -> int:
    return len(asyncio.all_tasks())


async def test_a_stream_whose_reader_goes_leaves_nothing_behind() -> None:
    before = _tasks()
    stream = live.events([live.LatestFeed(Latest(), 1)], asyncio.Event())
    step = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    for _ in range(3):
        await asyncio.sleep(0)
    assert _tasks() == before


async def test_a_quiet_stream_is_kept_alive_and_ends_when_the_hub_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEEPALIVE_S", 0.01)
    monkeypatch.setattr(live, "PERIOD_S", 0.001)
    closing = asyncio.Event()
    stream = live.events([live.LatestFeed(Latest(), 1)], closing)
    assert await anext(stream) == b": keep-alive\n\n"
    closing.set()
    with pytest.raises(StopAsyncIteration):
        while True:
            await asyncio.wait_for(anext(stream), 5)


def test_a_value_that_is_no_number_is_null() -> None:
    values = np.array([1.5, np.nan, np.inf])
    found = LatestColumns(1, np.arange(3), np.arange(3), values, np.zeros(3, np.uint32))
    assert orjson.loads(orjson.dumps(live.document(found))) == {"0": [0, 1.5, 0], "1": [1, None, 0], "2": [2, None, 0]}
