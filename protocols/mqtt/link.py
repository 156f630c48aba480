"""One connection to a broker, and the broker session behind it (MQTT 3.1.1 or 5, TCP or TLS).

The broker keeps the session while we are away (clean start off). paho does the protocol, driven by the event loop's readiness calls instead of a
thread. What messages mean, and when they are acknowledged, is the business of `driver.py`: here they wait in order until `take`.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup
from protocols.mqtt.bulksocket import BulkClient, BulkSocket, Published, answers, completed
from protocols.mqtt.inbox import Message
from protocols.mqtt.plan import MqttSettings, is_secure, parse_endpoint
from protocols.mqtt.tls import context, refusal
from protocols.secret import SecretMissing, read_secret

MAX_WAITING: Final = 2_000  # messages of one frame; more are left in the socket
RECEIVE_MAXIMUM: Final = 2_000  # MQTT 5, 3.1.2.11.3: unacknowledged messages the broker may have out
SESSION_EXPIRY_S: Final = 7 * 86_400
CONNECT_TIMEOUT_S: Final = 5.0
REFUSED_VERSION: Final = (1, 132)
REFUSED_IDENTITY: Final = (4, 5, 134, 135, 138, 140)
NOBODY: Final = 16  # MQTT 5, 3.4.2.1: no matching subscribers; a broker need not say it, and one of 3.1.1 cannot
NO_SHARING: Final = 158  # MQTT 5, 3.9.3: shared subscriptions not supported


@dataclass(frozen=True, slots=True)
class Words:
    """What the link says of its own: `will` is published by the broker when the connection breaks, `greeting` after each connect; retained."""

    topic: str
    will: bytes
    greeting: bytes


class Link:
    """`arrived` is set when messages wait or the link has failed. number: of the connection, counted from 1."""

    def __init__(
        self, device: Device, clock: Clock, filters: tuple[str, ...], qos: int, released: Callable[[int], None], tick: Callable[[], None]
    ) -> None:
        self._device, self._clock = device, clock
        self._settings: MqttSettings = device.settings or MqttSettings()
        self._filters, self._qos, self._released, self._on_tick = filters, qos, released, tick
        self._client: BulkClient | None = None
        self._waiting: list[Message] = []
        self._connected: asyncio.Future[bool] | None = None
        self._subscribed: asyncio.Future[None] | None = None
        self._published: dict[int, asyncio.Future[int]] = {}
        self._tick: asyncio.TimerHandle | None = None
        self._socket: BulkSocket | None = None
        self._reading = self._writing = False
        self.arrived = asyncio.Event()
        self.failure: DriverError | None = None
        self.number = 0

    async def open(self, words: Words | None = None) -> None:
        try:
            host, port = parse_endpoint(self._device.address)
            security = context(self._settings) if is_secure(self._device.address) else None
        except ValueError as error:
            raise self.setup(str(error)) from error
        await self.close()
        self.failure = None
        self.arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._connected, self._subscribed = loop.create_future(), loop.create_future()
        self.number += 1
        self._client = client = self._make_client(words)
        client.security, client.name = security, host
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.to_thread(self._connect, client, host, port)
                self._attach(client)
                resumed = await self._connected
                if words:
                    client.publish(words.topic, words.greeting, qos=1, retain=True)
                client.subscribe([(topic, self._qos) for topic in self._filters])
                self._flush()
                if not resumed:  # a kept session has its subscription, and may be busy delivering
                    await self._subscribed
        except TimeoutError as error:
            hint = ' (a broker that knows 3.1.1 only may stay silent: version = "3.1.1")' if self._settings.version == "5" else ""
            raise DeviceUnreachable(f'device "{self._device.name}": no answer from {host}:{port}{hint}', quality.BAD_TIMEOUT) from error
        except OSError as error:
            raise self._unreachable(error, f"no connection to {host}:{port}") from error

    def _make_client(self, words: Words | None) -> BulkClient:
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
        if words:
            client.will_set(words.topic, words.will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        return client

    def _password(self) -> str | None:
        reference = self._settings.password_file
        if reference is None:
            return None
        try:
            return read_secret(reference)
        except SecretMissing as error:
            raise self.setup(f"password_file {error}") from error

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
        if client.bulk is None or client.socket() is None or client.bulk.fileno() < 0:
            bare = is_secure(self._device.address) and self._settings.certificate_file is None
            hint = " (a broker that asks for a client certificate does this: certificate_file)" if bare else ""
            raise DeviceUnreachable(f'device "{self._device.name}": connection lost while connecting{hint}', quality.BAD_NO_COMMUNICATION)
        self._socket = client.bulk
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        self._reading = True
        self._flush()
        self._every_second()

    async def close(self, farewell: tuple[str, bytes] | None = None) -> None:
        """farewell: topic and payload of a last retained message, as far as the socket takes it at once."""
        client, self._client = self._client, None
        standing = self._socket is not None
        self._detach()
        self._waiting.clear()
        if client:
            client.on_disconnect = None
            if farewell and standing:
                client.publish(farewell[0], farewell[1], qos=1, retain=True)
                client.loop_write()
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
        published, self._published = self._published, {}
        for waiter in published.values():
            if not waiter.done():
                waiter.set_exception(DeviceUnreachable(f'device "{self._device.name}": connection lost', quality.BAD_NO_COMMUNICATION))
                waiter.exception()

    # -- messages in

    def take(self) -> list[Message]:
        """Everything that waits, and what waits in the kernel; reading goes on behind it."""
        if not self._reading:
            self._readable()
        messages, self._waiting = self._waiting, []
        self.arrived.clear()
        if not self._reading and self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._socket, self._readable)
            self._reading = True
            if self._socket.pending():
                loop.call_soon(self._readable)
        return messages

    @property
    def full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING

    @property
    def open_now(self) -> bool:
        return self._client is not None

    def _readable(self) -> None:
        if self._client is None or self._socket is None:
            return
        try:
            self._drain(self._client, self._socket)
        except BlockingIOError:
            pass
        except OSError as error:
            self.fail(self._unreachable(error, "connection lost"))
            return
        except (ValueError, IndexError, struct.error) as error:  # from paho, which expects well-formed packets
            self.fail(
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
            if packet := sock.take(five=five):
                if isinstance(packet, Published):
                    self._take_in(packet)
                else:
                    self._released(packet.mid)
                    sock.send(completed(packet.mid))
                continue
            if alive and not sock.whole():
                return
            if client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ConnectionError("ended by the broker")
            alive = True

    def _take_in(self, published: Published) -> None:
        topic, payload, mid, flags, too_large = published
        now_us = self._clock.now_us()
        name = topic.decode(errors="replace")
        self._waiting.append(Message(name, payload, mid, flags >> 1 & 3, flags & 0x09 != 0, now_us, flags & 1 != 0, too_large))
        self.arrived.set()

    # -- out

    def acknowledge(self, numbers: list[int]) -> None:
        if self._client is None or self._socket is None:
            return
        try:
            self._socket.send(answers(numbers))
        except OSError as error:
            self.fail(self._unreachable(error, "connection lost"))
        self._flush()

    def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> "asyncio.Future[int]":
        """Done when the broker has acknowledged (QoS 1; its reason, see NOBODY), or the message is on its way (QoS 0)."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._client is None or self._socket is None:
            waiter.set_exception(DeviceUnreachable(f'device "{self._device.name}": not connected', quality.BAD_NOT_CONNECTED))
            waiter.exception()
            return waiter
        sent = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            self._published[sent.mid] = waiter
        else:
            waiter.set_result(0)
        self._flush()
        return waiter

    def _flush(self) -> None:
        """Write what paho has to write, now or when the socket takes it."""
        if self._client is None or self._socket is None:
            return
        try:
            if self._client.want_write() and self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ConnectionError("no longer open")
            blocked = not self._socket.push() or self._client.want_write()
        except OSError as error:
            self.fail(self._unreachable(error, "connection lost"))
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
        self._on_tick()
        self._tick = asyncio.get_running_loop().call_later(1.0, self._every_second)

    # -- called by paho, from the event loop

    def _on_connect(self, client: paho.Client, userdata: object, flags: Any, reason: Any, properties: object) -> None:  # noqa: ARG002
        if self._connected is None or self._connected.done():
            return
        if not reason.is_failure:
            self._connected.set_result(bool(flags.session_present))
        elif reason.value in REFUSED_VERSION:
            self.fail(self.setup(f'the broker refuses MQTT {self._settings.version}; set version = "3.1.1" or "5"'))
        elif reason.value in REFUSED_IDENTITY:
            self.fail(self.setup(f"the broker refuses this client ({reason}); check username and password_file"))
        else:
            self.fail(DeviceUnreachable(f'device "{self._device.name}": broker says {reason}', quality.BAD_NO_COMMUNICATION))

    def _on_subscribe(self, client: paho.Client, userdata: object, mid: int, reasons: Any, properties: object) -> None:  # noqa: ARG002
        refused = [f"{topic} ({reason})" for topic, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if any(reason.value == NO_SHARING for reason in reasons):
            self.fail(self.setup('the broker knows no shared subscriptions; leave out "share"'))
        elif refused:
            self.fail(self.setup(f"the broker refuses the subscription to {', '.join(refused)}"))
        elif self._subscribed and not self._subscribed.done():
            self._subscribed.set_result(None)

    def _on_publish(self, client: paho.Client, userdata: object, mid: int, reason: Any, properties: object) -> None:  # noqa: ARG002
        waiter = self._published.pop(mid, None)
        if waiter is None or waiter.done():
            return
        if reason is not None and reason.is_failure:
            waiter.set_exception(PermissionError(f"the broker says {reason}"))
            waiter.exception()
        else:
            waiter.set_result(0 if reason is None else reason.value)

    def _on_disconnect(self, client: paho.Client, userdata: object, flags: object, reason: Any, properties: object) -> None:  # noqa: ARG002
        self._lost(f"connection lost ({reason})")

    def _on_socket_close(self, client: paho.Client, userdata: object, sock: object) -> None:  # noqa: ARG002
        """Before the descriptor is closed, so that its number can be given to another socket safely."""
        if sock is self._socket:
            self._detach()

    # -- failures

    def _lost(self, why: str) -> None:
        self.fail(DeviceUnreachable(f'device "{self._device.name}": {why}', quality.BAD_NO_COMMUNICATION))

    def fail(self, failure: DriverError) -> None:
        self.failure = self.failure or failure
        self._detach()
        for waiter in (self._connected, self._subscribed):
            if waiter and not waiter.done():
                waiter.set_exception(self.failure)
                waiter.exception()  # seen here; whoever waits sees it too
        self.arrived.set()

    def _unreachable(self, error: OSError, what: str) -> DriverError:
        if isinstance(error, ssl.SSLError) and (advice := refusal(error)):
            return self.setup(advice)
        return DeviceUnreachable(f'device "{self._device.name}": {what} ({error.strerror or error})', quality.BAD_NO_COMMUNICATION)

    def setup(self, message: str) -> DriverSetup:
        return DriverSetup(f'device "{self._device.name}": {message}', quality.BAD_CONFIGURATION)
