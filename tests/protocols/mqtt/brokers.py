"""Brokers for the tests (the embedded one and Eclipse Mosquitto), a tap on the wire before them, and a foreign client."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.frame import Frame
from simulators.mqtt_broker import KeepingBroker

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
WITHOUT = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed (Debian package mosquitto)")
Sample = tuple[int, int, float, int]


async def listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


class Mosquitto:
    """Sessions are kept in memory only: a restart forgets them. more: further lines of its configuration, of the first listener."""

    def __init__(self, folder: Path, more: Iterable[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._settings = folder / f"mosquitto-{self.port}.conf"
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence false", "max_queued_messages 0", *more]
        self._settings.write_text("\n".join([*lines, f"user {os.environ.get('USER', 'root')}"]) + "\n")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert PROGRAM is not None
        self._process = await asyncio.create_subprocess_exec(PROGRAM, "-c", str(self._settings), stderr=asyncio.subprocess.DEVNULL)
        await listening(self.port)

    async def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def mosquitto(folder: Path, more: Iterable[str] = ()) -> AsyncIterator[Mosquitto]:
    running = Mosquitto(folder, more)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def embedded() -> AsyncIterator[KeepingBroker]:
    running = KeepingBroker("127.0.0.1", 0)
    await running.start()
    try:
        yield running
    finally:
        await running.shutdown()


@dataclass(frozen=True)
class Served:
    """A running broker. version: of the protocol that the driver is to speak with it."""

    port: int
    version: str


SERVED = [
    pytest.param(("embedded", "3.1.1"), id="embedded broker"),
    pytest.param(("mosquitto", "3.1.1"), id="mosquitto 3.1.1", marks=WITHOUT),
    pytest.param(("mosquitto", "5"), id="mosquitto 5", marks=WITHOUT),
]


def brokers_with_qos2(served: list[Any]) -> list[Any]:
    """Those that keep a message of QoS 2 for a client that is away: the embedded broker does not."""
    return [one for one in served if one.values[0][0] != "embedded"]


@asynccontextmanager
async def serving(kind: str, version: str, folder: Path) -> AsyncIterator[Served]:
    if kind == "embedded":
        async with embedded() as running:
            yield Served(running.port, version)
    else:
        async with mosquitto(folder) as running:
            yield Served(running.port, version)


class Tap:
    """Passes bytes between driver and broker and reads along: `unanswered` numbers of messages of QoS 1 and 2 of the newest connection.

    pubrecs: numbers that the driver said to have received (QoS 2). `cut` breaks the connections.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.unanswered: set[int] = set()
        self.pubrecs: list[int] = []
        self.hold_answers = False
        self.blind = False  # what is encrypted cannot be read along

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            writer.close()
            return
        self.unanswered = set()
        self._writers |= {writer, back}
        ways = [asyncio.create_task(self._pass(reader, back, self._answer)), asyncio.create_task(self._pass(there, writer, self._publish))]
        self._tasks |= set(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for closing in (writer, back):
            closing.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[int, bytes], bool]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while self.blind:
                if not (data := await reader.read(65_536)):
                    return
                writer.write(data)
                await writer.drain()
            while True:
                head = await reader.readexactly(1)
                size, digits, shift = 0, b"", 0
                while not digits or digits[-1] & 0x80:
                    digits += await reader.readexactly(1)
                    size |= (digits[-1] & 0x7F) << shift
                    shift += 7
                body = await reader.readexactly(size)
                if see(head[0], body):
                    writer.write(head + digits + body)
                    await writer.drain()

    def _publish(self, kind: int, body: bytes) -> bool:
        if kind & 0xF0 == 0x30 and kind & 0x06:
            at = 2 + int.from_bytes(body[:2], "big")
            self.unanswered.add(int.from_bytes(body[at : at + 2], "big"))
        return True

    def _answer(self, kind: int, body: bytes) -> bool:
        if kind >> 4 in (4, 5):
            self.unanswered.discard(int.from_bytes(body[:2], "big"))
            if kind >> 4 == 5:
                self.pubrecs.append(int.from_bytes(body[:2], "big"))
            return not self.hold_answers
        return True

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server:
            self._server.close()


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[Tap]:
    tap = Tap(port)
    await tap.start()
    try:
        yield tap
    finally:
        await tap.stop()


class Sender:
    """A foreign client that publishes and hears."""

    def __init__(self, port: int) -> None:
        self._client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id="sender")
        self.heard: list[tuple[str, bytes]] = []
        self._client.on_message = lambda _c, _u, message: self.heard.append((message.topic, message.payload))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    async def send(self, topic: str, payload: bytes | str, qos: int = 1, *, retain: bool = False) -> None:
        await asyncio.to_thread(self._client.publish(topic, payload, qos, retain).wait_for_publish, 5)

    def listen(self, topic: str) -> None:
        self._client.subscribe(topic, 1)

    async def stop(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


@asynccontextmanager
async def sender(port: int) -> AsyncIterator[Sender]:
    client = await asyncio.to_thread(Sender, port)
    try:
        yield client
    finally:
        await client.stop()


def samples(frame: Frame) -> list[Sample]:
    """tag, source time, value, quality."""
    found: list[Sample] = []
    for block in frame.blocks:
        codes = np.zeros(block.samples, np.uint32) if block.quality is None else block.quality
        found += zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), codes.tolist(), strict=True)
    return sorted(found)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
