"""MQTT face: an embedded broker, and one publisher per device that sends each step with QoS 1 in its map's payload kind, or as Sparkplug B.

A step counts as served, and is written to the truth log, once the broker has acknowledged it and some session wants its topic; before
anybody subscribed, steps are shown to nobody. All devices of a face share one broker, on the first device's host and port, with TLS where that address
is mqtts:// (the device's `certificate_file` and `key_file` are then the broker's). A device with a status
topic says there that it is there, and its last will that it is not. A Sparkplug node whose device names a `primary_host` keeps its steps while that
host is away and tells them as history when it is back.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from protocols import quality
from protocols.devicemap import Device
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.node import BD_SEQ, REBIRTH, Kind, birth, state_of
from protocols.mqtt.plan import MqttSettings, PayloadKind, command_topic, is_secure, named, parse_endpoint
from protocols.mqtt.protobuf import WireError
from protocols.mqtt.sparkplug import Metric, Payload, decode_payload, encode_payload
from protocols.mqtt.topics import state_topic
from protocols.tasks import end
from simulators.face import Step, TruthLog
from simulators.mqtt_broker import KeepingBroker
from simulators.mqtt_messages import Told, messages, metrics, tell

FAULTS: Final = ("drop_link", "freeze", "bad_quality", "delay")
MAX_HISTORY: Final = 10_000  # steps that a node keeps for its primary host


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
        self.history: list[Told] = []  # steps that the primary host has not heard
        self.primary = (device.settings or MqttSettings()).primary_host if self.sparkplug else ""
        self.host_away = bool(self.primary)
        self._ordered: dict[int, float] = {}
        self._seq = 0
        self._bd_seq = -1
        told_on = self.topic(Kind.DDATA if self.options.device else Kind.NDATA)
        self.topics = [told_on] if self.sparkplug else [topic for topic, _ in messages(device, self.told)]
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._client: Any = None

    @property
    def sparkplug(self) -> bool:
        return bool(self.options.payload is PayloadKind.SPARKPLUG)

    def topic(self, kind: Kind) -> str:
        name = self.device.name
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
        client.on_message = lambda _c, _u, message: self._loop.call_soon_threadsafe(self._hear, message.topic, message.payload)
        status = self.options.status
        if self.sparkplug:
            self._bd_seq += 1
            will = Payload(None, None, (Metric(BD_SEQ, self._bd_seq, DataType.INT64),))
            client.will_set(self.topic(Kind.NDEATH), encode_payload(will), qos=1)
        elif status:
            client.will_set(named(status.topic, self.device.name), status.offline, qos=1, retain=True)
        self._client = client
        await asyncio.to_thread(client.connect, host, port)
        client.loop_start()
        async with asyncio.timeout(10):
            await ready
        if self.sparkplug:
            client.subscribe(command_topic(self.options, self.device.name), 1)
            if self.options.device:
                client.subscribe(command_topic(self.options, self.device.name, below=True), 1)
            if self.primary:
                client.subscribe(state_topic(self.primary), 1)
        elif status:
            client.publish(named(status.topic, self.device.name), status.online, qos=1, retain=True)

    def _hear(self, topic: str, payload: bytes) -> None:
        """A command, or whether the primary host is there."""
        if self.primary and topic == state_topic(self.primary):
            told = state_of(payload)
            if told and told[0] and self.host_away:
                self.rebirth.set()
            self.host_away = not told[0] if told else self.host_away
            return
        try:
            metrics_ = decode_payload(payload).metrics
        except WireError:
            return
        places = {tag.at: index for index, tag in enumerate(self.device.map.tags)}
        for metric in metrics_:
            if metric.name == REBIRTH and metric.value:
                self.rebirth.set()
            elif metric.name in places and isinstance(metric.value, int | float):
                self._ordered[places[metric.name]] = float(metric.value)  # told with the next step

    def obeyed(self, step: Step) -> Step:
        """The step with what has been commanded."""
        if not self._ordered:
            return step
        values = step.values.copy()
        for place, raw in self._ordered.items():
            tag = self.device.map.tags[place]
            values[place] = raw * float(tag.scale) + float(tag.offset)
        return Step(step.time_us, values, step.quality, step.label)

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
        if not self.sparkplug:
            for topic, payload in messages(self.device, self.told):
                await self.send(topic, payload)
            return
        await self.report(self.told, historical=False)

    async def report(self, told: Told, *, historical: bool) -> None:
        kind = Kind.DDATA if self.options.device else Kind.NDATA
        found = metrics(self.device.map.tags, told, historical=historical)
        await self._say(kind, Payload(told.time_us // 1000, self._next_seq(), found))

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
        self._host, self._endpoint = "", ("", 0)
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
        settings: MqttSettings = devices[0].settings or MqttSettings()
        certificate, key = (settings.certificate_file, settings.key_file) if is_secure(devices[0].address) else (None, None)
        self._host, self._broker = host, KeepingBroker(host, port, certificate, key)
        await self._broker.start()
        self._endpoint = ("127.0.0.1" if self._broker.secure else host, self._broker.port)
        for device, step in zip(devices, first, strict=True):
            publisher = self._publishers[device.name] = _Publisher(device, step)
            self._locks[device.name] = asyncio.Lock()
            await publisher.connect(*self._endpoint)
            await self._show(publisher, born=publisher.sparkplug)
            if publisher.sparkplug:
                task = asyncio.create_task(self._answer_rebirths(publisher))
                self._tasks.add(task)

    def address_of(self, device: Device) -> str:  # noqa: ARG002
        return f"mqtt{'s' if self.broker.secure else ''}://{self._host}:{self.broker.served_port}"

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
        away = publisher.host_away or publisher.dropped
        if not publisher.heard and not away:
            await self._show(publisher, born=False)  # the state that stood when somebody began to listen comes first
        elif not publisher.heard and publisher.primary and len(publisher.history) < MAX_HISTORY:
            publisher.history.append(publisher.told)
        publisher.last, publisher.heard = step, False
        publisher.told = tell(publisher.device.map.tags, publisher.options, publisher.obeyed(step))
        if not away:
            await self._show(publisher, born=False)

    async def _show(self, publisher: _Publisher, *, born: bool) -> None:
        """Publish what the device tells now, and log it once, if somebody is there to hear it."""
        async with self._locks[publisher.device.name]:
            if publisher.host_away or not any(self.broker.followed(topic) for topic in publisher.topics):
                return
            if publisher.heard and not born:
                return  # a birth has told it while this waited
            told = publisher.told  # which may be another one when the broker has acknowledged
            try:
                await (publisher.born() if born else publisher.tell())
                publisher.heard = publisher.told is told
                self._log(publisher, told)
                while publisher.history:
                    await publisher.report(publisher.history[0], historical=True)
                    self._log(publisher, publisher.history.pop(0))
            except ConnectionError:
                return

    def _log(self, publisher: _Publisher, told: Told) -> None:
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
        await end(*self._tasks)
        for publisher in self._publishers.values():
            await publisher.drop(politely=True)
        if self._broker:
            await self._broker.shutdown()
