"""What is said on an MQTT broker: the topics that are heard for some seconds, each with what its payloads look like.

Heard with a clean session under a name of its own: the broker keeps nothing for it, and nobody else gets a message less.
"""

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from protocols.devicemap import Device

SHOWN: Final = 60
MOST: Final = 5_000
_REFUSED_VERSION: Final = (1, 132)


@dataclass(slots=True)
class Heard:
    """payload: what it looks like; sample: the beginning of the newest."""

    topic: str
    messages: int = 0
    size: int = 0
    payload: str = ""
    sample: str = ""


def clean_client(device: "Device") -> Any:
    """Connected, not yet acknowledged; the session ends with the connection. Blocks. Raises OSError, ValueError."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    from protocols.mqtt import plan
    from protocols.mqtt.tls import context

    settings = device.settings or plan.MqttSettings()
    five = settings.version == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id or f"qenergyz-trial-{secrets.token_hex(4)}",
        clean_session=None if five else True,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    if settings.username:
        password = settings.password_file.read_text(encoding="utf-8").rstrip("\r\n") if settings.password_file else None
        client.username_pw_set(settings.username, password)
    if plan.is_secure(device.address):
        client.tls_set_context(context(settings))
    host, port = plan.parse_endpoint(device.address)
    client.connect_timeout = 5.0
    if five:
        client.connect(host, port, 30, clean_start=True)  # without an expiry interval the session ends with the connection
    else:
        client.connect(host, port, 30)
    return client


class Refused(Exception):
    """The broker does not want us. version: because of the version of MQTT."""

    def __init__(self, reason: str, version: bool) -> None:
        super().__init__(f"the broker refuses this client: {reason}")
        self.version = version


def listen(device: "Device", pattern: str, seconds: float) -> list[Heard]:
    """Blocks. Raises OSError, ValueError, Refused."""
    found: dict[str, Heard] = {}
    refused: list[Refused] = []

    def connected(client: Any, userdata: object, flags: object, reason: Any, properties: object) -> None:  # noqa: ARG001
        if reason.is_failure:
            refused.append(Refused(str(reason), reason.value in _REFUSED_VERSION))
        else:
            client.subscribe(pattern)

    def arrived(client: Any, userdata: object, message: Any) -> None:  # noqa: ARG001
        if message.topic in found or len(found) < MOST:
            one = found.setdefault(message.topic, Heard(message.topic))
            one.messages, one.size = one.messages + 1, len(message.payload)
            one.payload, one.sample = look_of(message.topic, message.payload)

    client = clean_client(device)
    client.on_connect, client.on_message = connected, arrived
    until = time.monotonic() + seconds
    while time.monotonic() < until and not refused:
        client.loop(timeout=0.1)
    client.disconnect()
    if refused:
        raise refused[0]
    return sorted(found.values(), key=lambda one: one.topic)


def look_of(topic: str, payload: bytes) -> tuple[str, str]:
    """Kind of payload and its beginning. Pure."""
    if topic.startswith("spBv1.0/") and "/STATE/" not in topic:
        return "sparkplug", f"{len(payload)} bytes"
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes", payload[: SHOWN // 3].hex(" ")
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    try:
        document = json.loads(text)
    except ValueError:
        return ("text" if text.isprintable() else "bytes"), shown if text.isprintable() else payload[: SHOWN // 3].hex(" ")
    match document:
        case dict():
            return "json", shown
        case list():
            return "records", shown
        case _:
            return "plain", shown
