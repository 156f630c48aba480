"""Follows one device on an MQTT broker (3.1.1 or 5; JSON or Sparkplug B). One connection and one broker session per device.

The broker keeps the session while we are away (clean start off); QoS 1 messages are acknowledged only by `Frame.acknowledge`, after the frame is
durable, so that a kill in between makes the broker deliver again. paho does the protocol, driven by the event loop's readiness calls instead of a
thread. Messages that arrive within COMBINE_US make one frame; a message that cannot be read becomes a bad sample for its tags and is acknowledged.
"""

import asyncio
import logging
import struct
from collections.abc import Collection
from functools import partial
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup
from protocols.frame import Frame
from protocols.mqtt.bulksocket import BulkClient, BulkSocket, Published, pubacks
from protocols.mqtt.decode import Columns, JsonReader, Malformed, Seen, SparkplugReader, add_undecoded
from protocols.mqtt.inbox import Inbox, Message
from protocols.mqtt.plan import MqttOptions, MqttSettings, PayloadKind, command_topic, parse_endpoint, topics
from protocols.mqtt.sparkplug import rebirth_command

log = logging.getLogger("qenergyz.mqtt")
COMBINE_US: Final = 50_000
MAX_WAITING: Final = 2_000  # messages of one frame; more are left in the socket
RECEIVE_MAXIMUM: Final = 2_000  # MQTT 5, 3.1.2.11.3: unacknowledged messages the broker may have out
SESSION_EXPIRY_S: Final = 7 * 86_400
CONNECT_TIMEOUT_S: Final = 5.0
REBIRTH_EVERY_US: Final = 5_000_000
REFUSED_VERSION: Final = (1, 132)
REFUSED_IDENTITY: Final = (4, 5, 134, 135, 138, 140)


class MqttDriver:
    """See `protocols.driver.Driver`. malformed, duplicates, rebirths: counted since the driver was made."""

    def __init__(self, device: Device, clock: Clock, delivered: Collection[bytes] = ()) -> None:
        self._device, self._clock = device, clock
        self._options: MqttOptions = device.map.options
        self._settings: MqttSettings = device.settings or MqttSettings()
        sparkplug = self._options.payload is PayloadKind.SPARKPLUG
        self._json = None if sparkplug else JsonReader(device)
        self._sparkplug = SparkplugReader(device) if sparkplug else None
        self._seen = Seen()
        self._inbox = Inbox(stamped=sparkplug or self._options.time_at is not None, delivered=delivered)
        self._client: BulkClient | None = None
        self._connection = 0
        self._waiting: list[Message] = []
        self._arrived = asyncio.Event()
        self._connected: asyncio.Future[bool] | None = None
        self._subscribed: asyncio.Future[None] | None = None
        self._failure: DriverError | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._socket: BulkSocket | None = None
        self._reading = self._writing = False
        self._rebirth_us = -REBIRTH_EVERY_US
        self.malformed = self.duplicates = self.rebirths = 0

    async def open(self) -> None:
        try:
            host, port = parse_endpoint(self._device.address)
        except ValueError as error:
            raise self._setup(str(error)) from error
        await self.close()
        self._failure = None
        self._arrived = asyncio.Event()
        self._inbox.reconnected()
        loop = asyncio.get_running_loop()
        self._connected, self._subscribed = loop.create_future(), loop.create_future()
        self._connection += 1
        self._client = client = self._make_client()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.to_thread(self._connect, client, host, port)
                self._attach(client)
                resumed = await self._connected
                client.subscribe([(topic, self._options.qos) for topic in topics(self._options, self._device.name)])
                self._flush()
                if not resumed:  # a kept session has its subscription, and may be busy delivering
                    await self._subscribed
        except TimeoutError as error:
            hint = ' (a broker that knows 3.1.1 only may stay silent: version = "3.1.1")' if self._settings.version == "5" else ""
            raise DeviceUnreachable(f'device "{self._device.name}": no answer from {host}:{port}{hint}', quality.BAD_TIMEOUT) from error
        except OSError as error:
            raise DeviceUnreachable(
                f'device "{self._device.name}": no connection to {host}:{port} ({error.strerror or error})', quality.BAD_NO_COMMUNICATION
            ) from error

    def _make_client(self) -> BulkClient:
        five = self._settings.version == "5"
        client = BulkClient(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id or f"qenergyz-{self._device.name}",
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._settings.username:
            client.username_pw_set(self._settings.username, self._password())
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        return client

    def _password(self) -> str | None:
        path = self._settings.password_file
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise self._setup(f"password_file {path} cannot be read ({error.strerror})") from error

    def _connect(self, client: BulkClient, host: str, port: int) -> None:
        """Blocking; runs in a thread."""
        if self._settings.version == "5":
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            client.connect(host, port, self._settings.keepalive_s, clean_start=False, properties=properties)
        else:
            client.connect(host, port, self._settings.keepalive_s)

    def _attach(self, client: BulkClient) -> None:
        self._socket = client.bulk
        if self._socket is None or client.socket() is None:
            raise DeviceUnreachable(f'device "{self._device.name}": connection lost while connecting', quality.BAD_NO_COMMUNICATION)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        self._reading = True
        self._flush()
        self._every_second()

    async def close(self) -> None:
        client, self._client = self._client, None
        self._detach()
        self._waiting.clear()
        if client:
            client.on_disconnect = None
            client.disconnect()  # writes the packet if the socket takes it; the broker keeps the session
            client.loop_write()
            client.on_socket_close = None
            if client.bulk:
                client.bulk.close()

    def _detach(self) -> None:
        if self._tick:
            self._tick.cancel()
            self._tick = None
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket = None
        self._reading = self._writing = False

    # -- paho, called from the event loop

    def _readable(self) -> None:
        if self._client is None or self._socket is None:
            return
        try:
            self._drain(self._client, self._socket)
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(f"connection lost ({error})")
            return
        except (ValueError, IndexError, struct.error) as error:  # from paho, which expects well-formed packets
            self._fail(
                DeviceMisbehaves(f'device "{self._device.name}": broker sent a malformed packet ({error})', quality.BAD_NO_COMMUNICATION)
            )
            return
        if self._waiting and self._reading and self._socket is not None:
            # A frame is on its way; what arrives until then waits in the kernel and is read at once, and a slow agent slows the broker.
            asyncio.get_running_loop().remove_reader(self._socket)
            self._reading = False
        if self._client.want_write():
            self._flush()

    def _drain(self, client: BulkClient, sock: BulkSocket) -> None:
        """Take in what has arrived, up to MAX_WAITING messages."""
        five = self._settings.version == "5"
        alive = sock.fill()
        while len(self._waiting) < MAX_WAITING:
            if published := client.take_publish(five=five):
                self._take_in(published)
                continue
            if alive and not sock.pending():
                return
            if client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ConnectionError("ended by the broker")
            alive = True

    def _take_in(self, published: Published) -> None:
        flags = published.flags
        topic = published.topic.decode(errors="replace")
        again = flags & 0x09 != 0
        self._waiting.append(Message(topic, published.payload, published.mid, flags >> 1 & 3, again, self._clock.now_us()))
        self._arrived.set()

    def _flush(self) -> None:
        """Write what paho has to write, now or when the socket takes it."""
        if self._client is None or self._socket is None:
            return
        try:
            if self._client.want_write() and self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ConnectionError("no longer open")
            blocked = not self._socket.push() or self._client.want_write()
        except OSError as error:
            self._lost(f"connection lost ({error})")
            return
        if blocked != self._writing:
            loop = asyncio.get_running_loop()
            if self._writing:
                loop.remove_writer(self._socket)
            else:
                loop.add_writer(self._socket, self._flush)
            self._writing = not self._writing

    def _every_second(self) -> None:
        if self._client is None:
            return
        if self._client.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost("broker does not answer pings")
            return
        self._flush()
        self._tick = asyncio.get_running_loop().call_later(1.0, self._every_second)

    def _on_connect(self, client: paho.Client, userdata: object, flags: Any, reason: Any, properties: object) -> None:  # noqa: ARG002
        if self._connected is None or self._connected.done():
            return
        if not reason.is_failure:
            self._connected.set_result(bool(flags.session_present))
        elif reason.value in REFUSED_VERSION:
            self._fail(self._setup(f'the broker refuses MQTT {self._settings.version}; set version = "3.1.1" or "5"'))
        elif reason.value in REFUSED_IDENTITY:
            self._fail(self._setup(f"the broker refuses this client ({reason}); check username and password_file"))
        else:
            self._fail(DeviceUnreachable(f'device "{self._device.name}": broker says {reason}', quality.BAD_NO_COMMUNICATION))

    def _on_subscribe(self, client: paho.Client, userdata: object, mid: int, reasons: Any, properties: object) -> None:  # noqa: ARG002
        if any(reason.is_failure for reason in reasons):
            self._fail(self._setup(f"the broker refuses the subscription to {', '.join(topics(self._options, self._device.name))}"))
        elif self._subscribed and not self._subscribed.done():
            self._subscribed.set_result(None)

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:  # noqa: ARG002
        """A message whose packet came in pieces."""
        again = 0x08 * message.dup | 0x01 * message.retain
        self._take_in(Published(message._topic, bytes(message.payload), message.mid, again | message.qos << 1))

    def _on_disconnect(self, client: paho.Client, userdata: object, flags: object, reason: Any, properties: object) -> None:  # noqa: ARG002
        self._lost(f"connection lost ({reason})")

    def _on_socket_close(self, client: paho.Client, userdata: object, sock: object) -> None:  # noqa: ARG002
        """Before the descriptor is closed, so that its number can be given to another socket safely."""
        if sock is self._socket:
            self._detach()

    def _lost(self, why: str) -> None:
        self._fail(DeviceUnreachable(f'device "{self._device.name}": {why}', quality.BAD_NO_COMMUNICATION))

    def _fail(self, failure: DriverError) -> None:
        self._failure = self._failure or failure
        self._detach()
        for waiter in (self._connected, self._subscribed):
            if waiter and not waiter.done():
                waiter.set_exception(self._failure)
                waiter.exception()  # seen here; whoever waits sees it too
        self._arrived.set()

    def _setup(self, message: str) -> DriverSetup:
        return DriverSetup(f'device "{self._device.name}": {message}', quality.BAD_CONFIGURATION)

    # -- frames

    async def read(self) -> Frame:
        if self._client is None:
            raise DeviceUnreachable(f'device "{self._device.name}": not open', quality.BAD_NOT_CONNECTED)
        while True:
            await self._arrived.wait()
            if not self._failure and len(self._waiting) < MAX_WAITING:
                await self._clock.sleep_us(COMBINE_US)
            frame = self._frame()
            if self._failure:
                self._arrived.set()
            if frame:
                return frame
            if self._failure:
                raise self._failure

    def _frame(self) -> Frame | None:
        """Everything that waits, as one frame; None when nothing of it is a sample."""
        if not self._reading:
            self._readable()
        messages, self._waiting = self._waiting, []
        self._arrived.clear()
        if not self._reading and self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._socket, self._readable)
            self._reading = True
            if self._socket.pending():
                loop.call_soon(self._readable)
        columns = Columns()
        keys: list[bytes] = []
        numbers: list[int] = []
        rebirth = False
        for message in messages:
            key = self._inbox.key(message)
            repeated = self._inbox.repeated(message, key)
            if repeated is not None:
                self.duplicates += 1
                if repeated and message.qos:
                    numbers.append(message.mid)
                continue
            rebirth |= self._take(message, columns)
            self._inbox.taken(key)
            keys.append(key)
            if message.qos:
                numbers.append(message.mid)
        if rebirth:
            self._ask_for_birth()
        acknowledge = partial(self._acknowledge, self._connection, keys, numbers)
        if not columns:
            acknowledge()
            return None
        loop = asyncio.get_running_loop()

        def durable() -> None:
            loop.call_soon_threadsafe(acknowledge)

        return Frame(self._device.name, self._clock.now_us(), columns.blocks(), durable, keys)

    def _take(self, message: Message, columns: Columns) -> bool:
        """Add the message's samples; True when a Sparkplug birth is needed."""
        try:
            if self._sparkplug:
                return self._sparkplug.read(message.topic, message.payload, message.arrived_us, columns, self._seen).rebirth
            if self._json:
                self._json.read(message.payload, message.arrived_us, columns)
        except Malformed as error:
            self.malformed += 1
            if self.malformed == 1:
                log.warning("message_malformed device=%s topic=%s cause=%s", self._device.name, message.topic, error)
            add_undecoded(self._device, message.arrived_us, columns)
        return False

    def _acknowledge(self, connection: int, keys: list[bytes], numbers: list[int]) -> None:
        joined = [mid for key in keys for mid in self._inbox.durable(key)]
        if self._client is None or self._socket is None:
            return
        current = numbers if connection == self._connection else []
        try:
            self._socket.send(pubacks([*current, *joined]))
        except OSError as error:
            self._lost(f"connection lost ({error})")
        self._flush()

    def _ask_for_birth(self) -> None:
        now_us = self._clock.monotonic_us()
        if self._client is None or now_us - self._rebirth_us < REBIRTH_EVERY_US:
            return
        self._rebirth_us = now_us
        self.rebirths += 1
        self._client.publish(command_topic(self._options, self._device.name), rebirth_command(self._clock.now_us() // 1000), qos=0)
        self._flush()
