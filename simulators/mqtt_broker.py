"""The embedded MQTT broker: amqtt, made to keep what QoS 1 promises.

amqtt 0.12 forgets a QoS 1 message that is not acknowledged within 5 s or whose connection breaks, and keeps nothing for clients that do not
log in. Here every client is admitted under its client id, a message waits for its acknowledgement without limit, and one that is still
unacknowledged when the connection ends is delivered again on the next. In memory: a broker that is killed forgets. 3.1.1 only.
"""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.mqtt.protocol.handler import ProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import OUTGOING, Session

QOS_1: Final = 1


class Admit(BaseAuthPlugin):  # type: ignore[misc]
    """Lets every client in, and keeps its session."""

    async def authenticate(self, *, session: Session) -> bool:  # noqa: ARG002
        return True


class KeepingBroker(Broker):  # type: ignore[misc]
    """`start` and `shutdown` as in amqtt. certificate, key: files with which the given port speaks TLS; there is then another without, on loopback."""

    def __init__(self, host: str, port: int, certificate: Path | None = None, key: Path | None = None) -> None:
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.secure = certificate is not None
        listeners: dict[str, dict[str, Any]] = {"default": {"type": "tcp", "bind": "127.0.0.1:0" if self.secure else f"{host}:{port}"}}
        if self.secure:
            listeners["secure"] = {
                "type": "tcp",
                "bind": f"{host}:{port}",
                "ssl": True,
                "certfile": str(certificate),
                "keyfile": str(key or certificate),
            }
        super().__init__({"listeners": listeners, "plugins": {f"{__name__}.Admit": {}}})
        self._unacknowledged: dict[str, dict[int, asyncio.Future[Any]]] = {}
        self._resending: set[asyncio.Future[Any]] = set()

    @property
    def port(self) -> int:
        """Without TLS."""
        return self._port("default")

    @property
    def served_port(self) -> int:
        """The one that was asked for."""
        return self._port("secure" if self.secure else "default")

    def _port(self, listener: str) -> int:
        return int(self._servers[listener].instance.sockets[0].getsockname()[1])

    def followed(self, topic: str) -> bool:
        """True when some session, connected or kept, wants the topic."""
        return any(sessions and self._matches(topic, wanted) for wanted, sessions in self._subscriptions.items())

    def kick(self, client_ids: Iterable[str]) -> None:
        """Cut the connections of clients; their sessions stay."""
        for client_id in client_ids:
            _, handler = self._sessions[client_id]
            if handler.writer is not None:
                handler.writer._writer.transport.abort()

    def _get_handler(self, session: Session) -> Any:
        handler = super()._get_handler(session)
        if handler is not None:

            async def flow(message: Any) -> None:
                await self._qos1(handler, message)

            handler._handle_qos1_message_flow = flow
        return handler

    async def _qos1(self, handler: Any, message: Any) -> None:
        if message.direction != OUTGOING:
            await ProtocolHandler._handle_qos1_message_flow(handler, message)
            return
        session, number = handler.session, message.packet_id
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        mine = self._unacknowledged.setdefault(session.client_id, {})
        mine[number] = handler._puback_waiters[number] = waiter
        session.inflight_out[number] = message
        try:
            message.publish_packet = message.build_publish_packet()
            await handler._send_packet(message.publish_packet)
            message.puback_packet = await waiter
        finally:
            mine.pop(number, None)
            handler._puback_waiters.pop(number, None)
            session.inflight_out.pop(number, None)
            if message.puback_packet is None:
                session.retained_messages.put_nowait(RetainedApplicationMessage(None, message.topic, message.data, QOS_1))

    async def _publish_session_retained_messages(self, session: Session) -> None:
        for waiter in list(self._unacknowledged.get(session.client_id, {}).values()):
            waiter.cancel()
        await asyncio.sleep(0)
        handler = self._get_handler(session)
        while handler is not None and not session.retained_messages.empty():
            kept = session.retained_messages.get_nowait()
            task = asyncio.ensure_future(handler.mqtt_publish(kept.topic, kept.data, kept.qos, retain=False))
            self._resending.add(task)
            task.add_done_callback(self._resent)

    def _resent(self, task: "asyncio.Future[Any]") -> None:
        self._resending.discard(task)
        if not task.cancelled():
            task.exception()
