"""The live stream: newest values first, then changes; nobody waits for a reader that does not read."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import uvicorn
from starlette.types import Message

from cloud.identity.roles import Role
from cloud.telemetry import channels, live, reading
from cloud.telemetry.channels import Channel, Document, Shared
from cloud.telemetry.latest import Latest, LatestColumns
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem
from tests.cloud.identity.people import Browser, add_person


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


async def _event(lines: AsyncIterator[str], wanted: str = "latest") -> Any:
    """The data of the next such event; every frame has an id."""
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: ") and name == wanted:
            return json.loads(line[6:])
        elif line and not line.startswith(("id: ", "data: ")):
            raise AssertionError(line)
    raise AssertionError("the stream ended")


def _channel(latest: Latest, closing: asyncio.Event, db: Any = None, documents: tuple[Document, ...] = ()) -> Channel:
    return Channel(Shared(db, latest, (), documents, closing), 1)


async def _always() -> bool:
    return True


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
            assert [line async for line in lines if line.startswith("event: latest")] == []  # it ends
        assert problem(await httpx.AsyncClient(base_url=url).get("/v1/stream")) == "unauthorized"


async def test_the_stream_carries_the_documents_that_the_reader_may_see(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=2)
    token = await hub.token(scopes=("read:field",))
    async with _served(hub) as url, httpx.AsyncClient(base_url=url, headers=token, timeout=10) as client:
        async with client.stream("GET", "/v1/stream") as reply:
            lines = reply.aiter_lines()
            assert await _event(lines, "gateways") == (await client.get("/v1/gateways")).json()
            assert await _event(lines, "tags") == (await client.get("/v1/tags")).json()
            await gateway.send(gateway.seal())
            while not (found := await _event(lines, "gateways"))[0]["batches"]:
                pass
            assert found[0]["samples"] > 0
        async with client.stream("GET", "/v1/stream", headers=await hub.token()) as reply:
            assert await _event(reply.aiter_lines(), "model") is None  # none was handed in, and the first reader did not see that


async def test_a_reader_may_ask_for_some_tags_and_for_fewer_frames(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=4)
    await gateway.send(gateway.seal())
    async with _served(hub) as url, httpx.AsyncClient(base_url=url, headers=await hub.token(), timeout=10) as client:
        wanted = [tag["id"] for tag in (await client.get("/v1/tags")).json()][:2]
        address = f"/v1/stream?tags={','.join(map(str, wanted))}&hz=1"
        async with client.stream("GET", address) as reply:
            lines = reply.aiter_lines()
            assert sorted(await _event(lines)) == sorted(map(str, wanted))
            await gateway.send(gateway.seal())
            assert sorted(await _event(lines)) == sorted(map(str, wanted))
        for wrong in ("tags=1,x", "tags=99999999999999999999", "hz=3", "tags="):
            assert problem(await client.get(f"/v1/stream?{wrong}")) == "invalid-request"


async def test_too_many_tags_for_a_stream_are_told_as_null(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_STREAMED", 3)
    await hub.gateway(tags=4)
    async with hub.hub.db.tenant((await hub.tenant()).tenant_id) as connection:
        assert await reading.tags_json(connection, (await hub.tenant()).tenant_id) == b"null"


async def test_the_stream_of_a_session_that_ends_ends(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RECHECK_S", 0.0)
    monkeypatch.setattr(live, "ALIVE_S", 0.05)
    await add_person(hub, "ann", Role.OPERATOR)
    browser = Browser(hub.client)
    assert (await browser.sign_in("ann")).status_code == 201
    cookie = {"cookie": f"qz_session={browser.cookie}"}
    async with (
        _served(hub) as url,
        httpx.AsyncClient(base_url=url, headers=cookie) as client,
        client.stream("GET", "/v1/stream") as reply,
    ):
        lines = reply.aiter_lines()
        assert await _event(lines, "alive") == {}
        assert (await browser.ask("DELETE", "/v1/session")).status_code == 204
        async with asyncio.timeout(10):
            assert [line async for line in lines if line.startswith("event: alarm")] == []


async def test_values_are_written_once_for_all_readers_that_have_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    latest, closing = Latest(), asyncio.Event()
    channel = _channel(latest, closing)
    written: list[int] = []
    monkeypatch.setattr(channels, "values_of", lambda _: written.append(1) or {})
    monkeypatch.setattr(latest, "since", lambda *_: LatestColumns(7, *_columns([1.5])))
    readers = [live.LatestFeed(channel) for _ in range(50)]
    frames = [await reader.news() for reader in readers]
    assert [frame[0].event for frame in frames] == ["latest"] * 50
    assert len(written) == 1
    assert [await reader.news() for reader in readers] == [()] * 50  # until the next tick


async def test_a_reader_that_does_not_read_delays_no_other(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PERIOD_S", 0.001)
    big = orjson.dumps({"filler": "x" * (1 << 20)})  # a frame larger than what sockets hold
    monkeypatch.setattr(channels.orjson, "dumps", lambda _: big)
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


def _columns(values: list[float]) -> tuple[Any, ...]:
    size = len(values)
    return np.arange(size), np.arange(size), np.array(values), np.zeros(size, np.uint32)


def _tasks() -> int:
    return len(asyncio.all_tasks())


async def test_a_stream_whose_reader_goes_leaves_nothing_behind() -> None:
    before = _tasks()
    closing = asyncio.Event()
    channel = _channel(Latest(), closing)
    stream = live.events([live.LatestFeed(channel)], channel, closing, _always)
    step = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert _tasks() > before + 1
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    for _ in range(5):
        await asyncio.sleep(0)
    assert _tasks() == before


async def test_a_quiet_stream_is_told_to_be_alive_and_ends_when_the_hub_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ALIVE_S", 0.01)
    closing = asyncio.Event()
    channel = _channel(Latest(), closing)
    stream = live.events([live.LatestFeed(channel)], channel, closing, _always)
    assert await anext(stream) == b"id: 0\nevent: alive\ndata: {}\n\n"
    monkeypatch.setattr(live, "ALIVE_S", 3600.0)
    last = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    closing.set()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(last, 5)


async def test_a_reader_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STALLED_S", 0.01)
    closing = asyncio.Event()
    ended: list[bool] = []

    async def frames() -> AsyncIterator[bytes]:
        try:
            yield b"x"
        finally:
            ended.append(True)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await closing.wait()

    await live.EventStream(frames()).stream_response(send)
    assert ended == [True]


def test_a_value_that_is_no_number_is_null() -> None:
    found = LatestColumns(1, *_columns([1.5, np.nan, np.inf]))
    assert orjson.loads(orjson.dumps(channels.values_of(found))) == {"0": [0, 1.5, 0], "1": [1, None, 0], "2": [2, None, 0]}
