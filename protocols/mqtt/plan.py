"""MQTT device maps: options, settings and checks. Pure.

JSON: one topic per device, one message per step; a tag's `at` is a path such as "$.well.p_pdg" or "$.points[2]['a b']", its `quality_at` a
path to good/uncertain/bad or 192/64/0. Sparkplug B: a tag's `at` is a metric name; quality comes with the metric.
`{device}` in a topic, group or node stands for the device's name.
"""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from protocols.devicemap import DeviceMap
from protocols.tomlfile import Section

PathSteps = tuple[str | int, ...]
_STEP: Final = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']+)'\]")


class PayloadKind(enum.StrEnum):
    JSON = "json"
    SPARKPLUG = "sparkplug"


class TimeUnit(enum.StrEnum):
    MICROSECONDS = "us"
    MILLISECONDS = "ms"
    SECONDS = "s"
    ISO = "iso"


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """The `mqtt` table of a device map. time_at: path of the source time in a JSON message, None = the time of arrival."""

    payload: PayloadKind
    topic: str = ""
    qos: int = 1
    time_at: PathSteps | None = None
    time_unit: TimeUnit = TimeUnit.MICROSECONDS
    group: str = ""
    node: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The device's own keys. client_id "" = made of the device's name; the broker keeps the session under it."""

    version: str = "5"
    client_id: str = ""
    username: str = ""
    password_file: Path | None = None
    keepalive_s: int = 30


def parse_options(section: Section) -> MqttOptions:
    payload = PayloadKind(section.choice("payload", tuple(PayloadKind)))
    if payload is PayloadKind.SPARKPLUG:
        return MqttOptions(
            payload,
            qos=section.integer("qos", 1, low=0, high=1),
            group=_level(section, "group"),
            node=_level(section, "node"),
            device=_level(section, "device", ""),
        )
    topic = section.text("topic")
    if not topic or "+" in topic or "#" in topic:
        raise section.error("topic", f'"topic": expected one topic without wildcards, found "{topic}"')
    time_at = None
    if where := section.text("time", ""):
        try:
            time_at = parse_path(where)
        except ValueError as error:
            raise section.error("time", f'"time": {error}') from error
    unit = TimeUnit(section.choice("time_unit", tuple(TimeUnit), TimeUnit.MICROSECONDS))
    return MqttOptions(payload, topic, section.integer("qos", 1, low=0, high=1), time_at, unit)


def _level(section: Section, key: str, *default: str) -> str:
    text = section.text(key, *default)
    if any(sign in text for sign in "+#/"):
        raise section.error(key, f'"{key}": expected one topic level without + # and /, found "{text}"')
    return text


def parse_settings(section: Section) -> MqttSettings:
    try:
        parse_endpoint(section.text("address"))
    except ValueError as error:
        raise section.error("address", f'"address": {error}') from error
    password = section.text("password_file", "")
    username = section.text("username", "")
    if password and not username:
        raise section.error("password_file", '"password_file" needs "username"')
    return MqttSettings(
        version=section.choice("version", ("3.1.1", "5"), "5"),
        client_id=section.text("client_id", ""),
        username=username,
        password_file=Path(password) if password else None,
        keepalive_s=section.duration_us("keepalive", "30s") // 1_000_000 or 1,
    )


def parse_endpoint(address: str) -> tuple[str, int]:
    """Host and port of "mqtt://host:port"; port 1883 when left out. Raises ValueError."""
    try:
        parts = urlsplit(address)
        port = 1883 if parts.port is None else parts.port
    except ValueError as error:
        raise ValueError(f'expected "mqtt://host:port", found "{address}"') from error
    if parts.scheme != "mqtt" or not parts.hostname or parts.path.strip("/") or parts.username:
        raise ValueError(f'expected "mqtt://host:port", found "{address}"')
    return parts.hostname, port


def parse_path(text: str) -> PathSteps:
    """Steps of "$.a[0]['b c']". Raises ValueError with a sentence."""
    steps: list[str | int] = []
    at = 1
    while text.startswith("$") and (match := _STEP.match(text, at)):
        steps.append(int(match[2]) if match[2] is not None else match[1] or match[3])
        at = match.end()
    if not steps or at != len(text):
        raise ValueError(f'path "{text}" is not understood; expected one such as "$.well.p_pdg" or "$.points[2][\'a b\']"')
    return tuple(steps)


def problems(device_map: DeviceMap) -> Iterator[tuple[int, str]]:
    """What is wrong with the tags of a map: position and sentence."""
    options: MqttOptions = device_map.options
    for index, tag in enumerate(device_map.tags):
        if options.payload is PayloadKind.SPARKPLUG:
            if not tag.at.strip():
                yield index, "expected the name of a metric, found nothing"
            if tag.quality_at:
                yield index, '"quality_at" has no meaning here; in Sparkplug B the quality comes with the metric'
            continue
        for key, text in (("at", tag.at), ("quality_at", tag.quality_at)):
            try:
                if text or key == "at":
                    parse_path(text)
            except ValueError as error:
                yield index, f'"{key}": {error}'
        if tag.quality_at and tag.quality_at == tag.at:
            yield index, '"quality_at" is the path of the value itself'


def topics(options: MqttOptions, device_name: str) -> tuple[str, ...]:
    """What a client subscribes to. A Sparkplug node is followed whole, because its sequence number runs over all its devices."""
    if options.payload is PayloadKind.JSON:
        return (options.topic.replace("{device}", device_name),)
    group, node = (text.replace("{device}", device_name) for text in (options.group, options.node))
    return f"spBv1.0/{group}/+/{node}", f"spBv1.0/{group}/+/{node}/+"


def command_topic(options: MqttOptions, device_name: str) -> str:
    """Where a Sparkplug node takes commands."""
    group, node = (text.replace("{device}", device_name) for text in (options.group, options.node))
    return f"spBv1.0/{group}/NCMD/{node}"
