"""MQTT face: an embedded broker, and one publisher per device that sends each step with QoS 1, as JSON or Sparkplug B.

A step counts as served, and is written to the truth log, once the broker has acknowledged it and some session wants its topic; before
anybody subscribed, steps are shown to nobody. All devices of a face share one broker, on the first device's host and port.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
import paho.mqtt.client as paho
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from protocols import quality
from protocols.devicemap import Device, Tag, TagType, to_engineering, to_raw
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.node import Kind, birth
from protocols.mqtt.plan import MqttOptions, PathSteps, PayloadKind, TimeUnit, command_topic, parse_endpoint, parse_path
from protocols.mqtt.sparkplug import Metric, Payload, encode_payload
from simulators.face import Step, TruthLog
from simulators.mqtt_broker import KeepingBroker

FAULTS: Final = ("drop_link", "freeze", "bad_quality", "delay")
_WORDS: Final = ("good", "uncertain", "bad", "bad")
_DATATYPES: Final = {
    TagType.BOOL: DataType.BOOLEAN,
    TagType.INT8: DataType.INT8,
    TagType.UINT8: DataType.UINT8,
    TagType.INT16: DataType.INT16,
    TagType.UINT16: DataType.UINT16,
    TagType.INT32: DataType.INT32,
    TagType.UINT32: DataType.UINT32,
    TagType.INT64: DataType.INT64,
    TagType.UINT64: DataType.UINT64,
    TagType.FLOAT32: DataType.FLOAT,
    TagType.FLOAT64: DataType.DOUBLE,
}


@dataclass(frozen=True, slots=True)
class Told:
    """A step as a message tells it: raw numbers or None, and what a client makes of them."""

    time_us: int
    numbers: tuple[float | bool | None, ...]
    severities: tuple[int, ...]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


def tell(tags: Sequence[Tag], options: MqttOptions, step: Step) -> Told:
    """Raises OverflowError for a value that its type cannot hold."""
    sparkplug = options.payload is PayloadKind.SPARKPLUG
    milli = sparkplug or (options.time_at is not None and options.time_unit is TimeUnit.MILLISECONDS)
    numbers: list[float | bool | None] = []
    severities: list[int] = []
    values, codes = np.zeros(len(tags)), np.zeros(len(tags), np.uint32)
    for index, tag in enumerate(tags):
        value, severity = float(step.values[index]), min(int(step.quality[index]) >> 30, 2)
        rated = sparkplug or bool(tag.quality_at)
        if np.isnan(value) or (severity == 2 and not rated):
            numbers.append(None)
            severities.append(2)
            codes[index] = quality.BAD_SENSOR_FAILURE
            continue
        raw = to_raw(np.array([value]), tag.type, tag.scale, tag.offset)
        values[index] = to_engineering(raw, tag.type, tag.scale, tag.offset)[0]
        number = raw.view(tag.type.native)[0] if tag.type in (TagType.UINT32, TagType.UINT64) else raw[0]
        numbers.append(bool(number) if tag.type is TagType.BOOL else number.item())
        severities.append(severity if rated else 0)
        codes[index] = (quality.GOOD, quality.UNCERTAIN, quality.BAD)[severity] if rated else quality.GOOD
    return Told(step.time_us // 1000 * 1000 if milli else step.time_us, tuple(numbers), tuple(severities), values, codes)


def json_message(tags: Sequence[Tag], options: MqttOptions, told: Told) -> bytes:
    document: dict[str, Any] = {}
    if options.time_at is not None:
        _place(document, options.time_at, _written(told.time_us, options.time_unit))
    for tag, number, severity in zip(tags, told.numbers, told.severities, strict=True):
        _place(document, parse_path(tag.at), number)
        if tag.quality_at:
            _place(document, parse_path(tag.quality_at), _WORDS[severity])
    return json.dumps(document, separators=(",", ":")).encode()


def _written(time_us: int, unit: TimeUnit) -> int | float | str:
    match unit:
        case TimeUnit.MICROSECONDS:
            return time_us
        case TimeUnit.MILLISECONDS:
            return time_us // 1000
        case TimeUnit.SECONDS:
            return time_us / 1_000_000
        case TimeUnit.ISO:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def _place(document: Any, path: PathSteps, value: Any) -> None:
    for step, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        document = _at(document, step, empty)
    if isinstance(path[-1], int):
        _at(document, path[-1], None)
    document[path[-1]] = value


def _at(document: Any, step: str | int, empty: Any) -> Any:
    if isinstance(step, int):
        document.extend([None] * (step + 1 - len(document)))
        if document[step] is None:
            document[step] = empty
    elif step not in document:
        document[step] = empty
    return document[step]


def metrics(tags: Sequence[Tag], told: Told) -> tuple[Metric, ...]:
    stated = (None, 64, 0)
    return tuple(
        Metric(tag.at, number, _DATATYPES[tag.type], told.time_us // 1000, null=number is None, quality=stated[severity])
        for tag, number, severity in zip(tags, told.numbers, told.severities, strict=True)
    )


class _Publisher:
    """One device's connection to the broker. paho's own thread does the network."""

    def __init__(self, device: Device, step: Step) -> None:
        self.device, self.options = device, device.map.options
        self.told = tell(device.map.tags, self.options, step)
        self.last = step
        self.heard = False  # whether what it tells now has been published
        self.logged_us = -1
        self.frozen: Step | None = None
        self.bad = self.dropped = False
        self.held: list[Step] | None = None  # late steps, in order
        self.rebirth = asyncio.Event()
        self._seq = 0
        self._bd_seq = -1
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._client: Any = None

    @property
    def sparkplug(self) -> bool:
        return bool(self.options.payload is PayloadKind.SPARKPLUG)

    def topic(self, kind: Kind | None = None) -> str:
        name = self.device.name
        if kind is None:
            return str(self.options.topic.replace("{device}", name))
        group, node, below = (text.replace("{device}", name) for text in (self.options.group, self.options.node, self.options.device))
        return f"spBv1.0/{group}/{kind}/{node}" + (f"/{below}" if kind.startswith("D") else "")

    async def connect(self, host: str, port: int) -> None:
        name = f"simulated-{self.device.name}"
        client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True, protocol=MQTTProtocolVersion.MQTTv311)
        await self._bind(client, host, port)

    async def _bind(self, client: Any, host: str, port: int) -> None:
        ready = self._loop.create_future()
        client.on_connect = lambda *_: self._loop.call_soon_threadsafe(_settle, ready)
        client.on_publish = lambda _c, _u, mid, *_: self._loop.call_soon_threadsafe(self._acknowledged, mid)
        client.on_message = lambda *_: self._loop.call_soon_threadsafe(self.rebirth.set)
        if self.sparkplug:
            self._bd_seq += 1
            will = Payload(None, None, (Metric("bdSeq", self._bd_seq, DataType.INT64),))
            client.will_set(self.topic(Kind.NDEATH), encode_payload(will), qos=1)
        self._client = client
        await asyncio.to_thread(client.connect, host, port)
        client.loop_start()
        async with asyncio.timeout(10):
            await ready
        if self.sparkplug:
            client.subscribe(command_topic(self.options, self.device.name), 1)

    def _acknowledged(self, mid: int) -> None:
        if waiter := self._waiting.pop(mid, None):
            _settle(waiter)

    async def send(self, topic: str, payload: bytes) -> None:
        """Returns when the broker has acknowledged. Raises ConnectionError when the link goes first."""
        if self._client is None:
            raise ConnectionError("not connected")
        waiter = self._loop.create_future()
        sent = self._client.publish(topic, payload, qos=1)
        self._waiting[sent.mid] = waiter
        if sent.is_published():
            self._acknowledged(sent.mid)
        try:
            async with asyncio.timeout(10):
                await waiter
        except TimeoutError as error:
            raise ConnectionError("broker does not acknowledge") from error

    async def tell(self) -> None:
        tags = self.device.map.tags
        if not self.sparkplug:
            await self.send(self.topic(), json_message(tags, self.options, self.told))
            return
        kind = Kind.DDATA if self.options.device else Kind.NDATA
        await self._say(kind, Payload(self.told.time_us // 1000, self._next_seq(), metrics(tags, self.told)))

    async def born(self) -> None:
        """Births of the node, and of the device below it where there is one, with the current values."""
        now_ms, told = self.told.time_us // 1000, metrics(self.device.map.tags, self.told)
        self._seq = 0
        below = bool(self.options.device)
        await self._say(Kind.NBIRTH, birth(now_ms, self._bd_seq, () if below else told))
        if below:
            await self._say(Kind.DBIRTH, Payload(now_ms, self._next_seq(), told))

    async def _say(self, kind: Kind, payload: Payload) -> None:
        await self.send(self.topic(kind), encode_payload(payload))

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    async def drop(self, *, politely: bool) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if politely:
            client.disconnect()
        elif sock := client.socket():
            client._reconnect_on_failure = False  # a cut cable, not a goodbye: the broker publishes the will
            sock.shutdown(2)
        await asyncio.to_thread(client.loop_stop)


def _settle(waiter: "asyncio.Future[Any]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class MqttFace:
    """See `simulators.face.Face`. messages: steps acknowledged by the broker so far."""

    def __init__(self, truth: TruthLog | None = None) -> None:
        self._truth = truth
        self._broker: KeepingBroker | None = None
        self._endpoint = ("", 0)
        self._publishers: dict[str, _Publisher] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages = 0

    @property
    def broker(self) -> KeepingBroker:
        if self._broker is None:
            raise RuntimeError("the face is not started")
        return self._broker

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        host, port = parse_endpoint(devices[0].address)
        self._broker = KeepingBroker(host, port)
        await self._broker.start()
        self._endpoint = (host, self._broker.port)
        for device, step in zip(devices, first, strict=True):
            publisher = self._publishers[device.name] = _Publisher(device, step)
            self._locks[device.name] = asyncio.Lock()
            await publisher.connect(*self._endpoint)
            await self._show(publisher, born=publisher.sparkplug)
            if publisher.sparkplug:
                task = asyncio.create_task(self._answer_rebirths(publisher))
                self._tasks.add(task)

    def address_of(self, device: Device) -> str:  # noqa: ARG002
        return f"mqtt://{self._endpoint[0]}:{self._endpoint[1]}"

    async def publish(self, device: Device, step: Step) -> None:
        publisher = self._publishers[device.name]
        if publisher.held is not None:
            publisher.held.append(step)
        else:
            await self._tell(publisher, step)

    async def _tell(self, publisher: _Publisher, step: Step) -> None:
        if publisher.frozen is not None:
            codes = np.where(publisher.frozen.quality & quality.BAD, publisher.frozen.quality, np.uint32(quality.UNCERTAIN_LAST_USABLE))
            step = Step(step.time_us, publisher.frozen.values, codes.astype(np.uint32))
        if publisher.bad:
            step = Step(step.time_us, step.values, np.full(len(step.quality), quality.BAD_SENSOR_FAILURE, np.uint32))
        if not publisher.heard and not publisher.dropped:
            await self._show(publisher, born=False)  # the state that stood when somebody began to listen comes first
        publisher.last, publisher.heard = step, False
        publisher.told = tell(publisher.device.map.tags, publisher.options, step)
        if not publisher.dropped:
            await self._show(publisher, born=False)

    async def _show(self, publisher: _Publisher, *, born: bool) -> None:
        """Publish what the device tells now, and log it once, if somebody is there to hear it."""
        kind = (Kind.DDATA if publisher.options.device else Kind.NDATA) if publisher.sparkplug else None
        async with self._locks[publisher.device.name]:
            told, followed = publisher.told, self.broker.followed(publisher.topic(kind))
            if not followed:
                return
            try:
                await (publisher.born() if born else publisher.tell())
            except ConnectionError:
                return
            publisher.heard = True
            self.messages += 1
            if self._truth and publisher.logged_us != told.time_us:
                publisher.logged_us = told.time_us
                self._truth.served(publisher.device, told.time_us, told.values, told.quality)

    async def _answer_rebirths(self, publisher: _Publisher) -> None:
        while True:
            await publisher.rebirth.wait()
            publisher.rebirth.clear()
            await self._show(publisher, born=True)

    async def fault(self, device_name: str, kind: str, duration_us: int) -> None:
        """Let the device fail in the given way for a while, then be well again."""
        publisher = self._publishers[device_name]
        match kind:
            case "drop_link":
                publisher.dropped = True
                await publisher.drop(politely=False)
            case "freeze":
                publisher.frozen = publisher.last
            case "bad_quality":
                publisher.bad = True
            case "delay":
                publisher.held = publisher.held or []
            case _:
                raise ValueError(f'fault "{kind}" is not known to MQTT devices; expected one of {", ".join(FAULTS)}')
        await asyncio.sleep(duration_us / 1_000_000)
        publisher.frozen, publisher.bad = None, False
        await self._release(publisher)
        if publisher.dropped:
            await publisher.connect(*self._endpoint)
            publisher.dropped = False
            if publisher.sparkplug:
                await self._show(publisher, born=True)

    async def _release(self, publisher: _Publisher) -> None:
        """Publish what was held, in order; what comes meanwhile waits behind it."""
        while publisher.held:
            await self._tell(publisher, publisher.held.pop(0))
        publisher.held = None

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for publisher in self._publishers.values():
            await publisher.drop(politely=True)
        if self._broker:
            await self._broker.shutdown()
