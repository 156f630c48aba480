"""MQTT device maps: options, settings and checks. Pure.

json      one message has the values of many tags: `at` is a path such as "$.well.p_pdg", `quality_at` one to good/uncertain/bad or 192/64/0
records   one message is a list of records with a name and a value each: `at` is the name
plain     one topic has one value and nothing else ("23.5", "true", a label): `at` is the topic
sparkplug Sparkplug B: `at` is a metric's name, or a member: "metric[3]" of an array, "dataset/column[row]", "template/member"

`{device}` in a topic, group or node stands for the device's name. What stands where in a topic is said in `topics.py`.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.mqtt.topics import filter_problem, name_problem, sparkplug_topics, widest
from protocols.secret import Secret, parse_secret
from protocols.tomlfile import Section

PathSteps = tuple[str | int, ...]
PLACEHOLDERS: Final = ("{device}", "{tag}", "{at}")
_STEP: Final = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']+)'\]")


class PayloadKind(enum.StrEnum):
    JSON = "json"
    RECORDS = "records"
    PLAIN = "plain"
    SPARKPLUG = "sparkplug"


class TimeUnit(enum.StrEnum):
    MICROSECONDS = "us"
    MILLISECONDS = "ms"
    SECONDS = "s"
    ISO = "iso"


@dataclass(frozen=True, slots=True)
class RecordPaths:
    """items: of the list in the message, () = the message is the list. The others start in a record; time_at, quality_at None = has none."""

    items: PathSteps
    key: PathSteps
    value: PathSteps
    time_at: PathSteps | None
    quality_at: PathSteps | None


@dataclass(frozen=True, slots=True)
class StatusTopic:
    """Where the device, or its last will, says whether it is there. offline: the payload by which it says that it is not."""

    topic: str
    online: str
    offline: str


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """The `mqtt` table of a device map. time_at: path of the source time in a message, None = the time of arrival (or of the record).

    max_silence_us: after so long without a message the publisher counts as gone, 0 = never. command: topic template of writes, "" = none.
    """

    payload: PayloadKind
    topic: str = ""
    qos: int = 1
    time_at: PathSteps | None = None
    time_unit: TimeUnit = TimeUnit.MICROSECONDS
    group: str = ""
    node: str = ""
    device: str = ""
    records: RecordPaths | None = None
    status: StatusTopic | None = None
    max_silence_us: int = 0
    command: str = ""

    @property
    def stamped(self) -> bool:
        """Whether every sample has a time of its source."""
        in_records = self.records is not None and self.records.time_at is not None
        return self.payload is PayloadKind.SPARKPLUG or self.time_at is not None or in_records


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The device's own keys. client_id "" = made of the device's name; the broker keeps the session under it.

    share: name of a group of gateways that share the messages, "" = all are ours. primary_host: name under which this gateway is the
    primary host application of Sparkplug nodes, "" = it is not.
    """

    version: str = "5"
    client_id: str = ""
    username: str = ""
    password_file: Path | Secret | None = None
    keepalive_s: int = 30
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    share: str = ""
    primary_host: str = ""


def parse_options(section: Section) -> MqttOptions:
    payload = PayloadKind(section.choice("payload", tuple(PayloadKind)))
    options = MqttOptions(
        payload,
        _topic(section, payload),
        section.integer("qos", 1, low=0, high=2),
        _path(section, "message_time" if payload is PayloadKind.RECORDS else "time"),
        TimeUnit(section.choice("time_unit", tuple(TimeUnit), TimeUnit.MICROSECONDS)),
        records=_records(section),
        status=_status(section),
        max_silence_us=section.duration_us("max_silence", "0s"),
        command=_command(section),
    )
    for key, kinds in _ONLY_FOR.items():
        if key in section and payload not in kinds:
            raise section.error(key, f'"{key}" has no meaning with payload = "{payload}"; it is for {", ".join(kinds)}')
    if payload is PayloadKind.SPARKPLUG:
        return replace(options, group=_level(section, "group"), node=_level(section, "node"), device=_level(section, "device", ""))
    return options if payload is PayloadKind.RECORDS else replace(options, records=None)


_SHAPED: Final = (PayloadKind.JSON, PayloadKind.RECORDS)
_NOT_SPARKPLUG: Final = (*_SHAPED, PayloadKind.PLAIN)
_ONLY_FOR: Final[Mapping[str, tuple[PayloadKind, ...]]] = {
    **dict.fromkeys(("topic", "status_topic", "online", "offline", "command"), _NOT_SPARKPLUG),
    **dict.fromkeys(("time", "time_unit"), _SHAPED),
    **dict.fromkeys(("items", "key", "value", "quality", "message_time"), (PayloadKind.RECORDS,)),
}


def _topic(section: Section, payload: PayloadKind) -> str:
    topic = section.text("topic", "")
    if topic and (problem := filter_problem(topic)):
        raise section.error("topic", f'"topic": {problem}')
    if payload is PayloadKind.RECORDS and not topic:
        raise section.error("topic", '"topic" is missing: where the records are published')
    return topic


def _records(section: Section) -> RecordPaths:
    items = section.text("items", "$")
    key, value = _path(section, "key", "$.name"), _path(section, "value", "$.value")
    time_at, quality_at, _ = _path(section, "time"), _path(section, "quality"), _path(section, "message_time")
    return RecordPaths(() if items == "$" else _path(section, "items", "$") or (), key or (), value or (), time_at, quality_at)


def _path(section: Section, key: str, default: str = "") -> PathSteps | None:
    where = section.text(key, default)
    try:
        return parse_path(where) if where else None
    except ValueError as error:
        raise section.error(key, f'"{key}": {error}') from error


def _status(section: Section) -> StatusTopic | None:
    topic, online, offline = section.text("status_topic", ""), section.text("online", "online"), section.text("offline", "offline")
    if not topic:
        return None
    if problem := name_problem(topic):
        raise section.error("status_topic", f'"status_topic": {problem}')
    if online == offline:
        raise section.error("offline", f'"online" and "offline" are the same payload "{online}"')
    return StatusTopic(topic, online, offline)


def _command(section: Section) -> str:
    template = section.text("command", "")
    bare = template
    for word in PLACEHOLDERS:
        bare = bare.replace(word, "x")
    if template and ("{" in bare or (problem := name_problem(bare))):
        problem = f"unknown placeholder in it, known are {', '.join(PLACEHOLDERS)}" if "{" in bare else name_problem(bare)
        raise section.error("command", f'"command": {problem}, found "{template}"')
    return template


def _level(section: Section, key: str, *default: str) -> str:
    text = section.text(key, *default)
    if any(sign in text for sign in "+#/"):
        raise section.error(key, f'"{key}": expected one topic level without + # and /, found "{text}"')
    return text


def parse_tag(section: Section, kind: TagType) -> str | None:  # noqa: ARG001
    """The topic of this tag's messages, where it is not the map's. Stands in `Tag.extra`."""
    topic = section.text("topic", "")
    if topic and (problem := filter_problem(topic)):
        raise section.error("topic", f'"topic": {problem}')
    return topic or None


def tag_topic(options: MqttOptions, tag: Tag) -> str:
    """Topic or filter of the tag's messages, `{device}` still in it."""
    return tag.at if options.payload is PayloadKind.PLAIN else tag.extra or options.topic


def parse_settings(section: Section) -> MqttSettings:
    address = section.text("address")
    try:
        parse_endpoint(address)
    except ValueError as error:
        raise section.error("address", f'"address": {error}') from error
    username = section.text("username", "")
    settings = MqttSettings(
        version=section.choice("version", ("3.1.1", "5"), "5"),
        client_id=section.text("client_id", ""),
        username=username,
        password_file=parse_secret(section, "password_file"),
        keepalive_s=section.duration_us("keepalive", "30s") // 1_000_000 or 1,
        ca_file=_file(section, "ca_file"),
        certificate_file=_file(section, "certificate_file"),
        key_file=_file(section, "key_file"),
        share=_level(section, "share", ""),
        primary_host=_level(section, "primary_host", ""),
    )
    if settings.password_file and not username:
        raise section.error("password_file", '"password_file" needs "username"')
    if settings.key_file and not settings.certificate_file:
        raise section.error("key_file", '"key_file" needs "certificate_file"')
    if settings.share and settings.primary_host:
        raise section.error("share", '"share" and "primary_host" exclude each other: a primary host hears everything')
    if not is_secure(address):
        for key in ("ca_file", "certificate_file"):
            if key in section:
                raise section.error(key, f'"{key}" is for TLS; write the address as mqtts://...')
    return settings


def _file(section: Section, key: str) -> Path | None:
    """Beside the gateway's file, unless absolute."""
    text = section.text(key, "")
    return section.path.parent / text if text else None


def is_secure(address: str) -> bool:
    return address.lower().startswith("mqtts:")


def parse_endpoint(address: str) -> tuple[str, int]:
    """Host and port of "mqtt://host:port" or, with TLS, "mqtts://host:port"; 1883 or 8883 when left out. Raises ValueError."""
    expected = f'expected "mqtt://host:port" or "mqtts://host:port", found "{address}"'
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ValueError(expected) from error
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.username:
        raise ValueError(expected)
    return parts.hostname, (8883 if parts.scheme == "mqtts" else 1883) if port is None else port


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
        match options.payload:
            case PayloadKind.JSON:
                yield from ((index, problem) for problem in _json_problems(tag))
            case PayloadKind.PLAIN:
                if problem := filter_problem(tag.at):
                    yield index, f'"at" is the topic of the value: {problem}'
            case _ if not tag.at.strip():
                what = "metric" if options.payload is PayloadKind.SPARKPLUG else "record"
                yield index, f"expected the name of a {what}, found nothing"
        if tag.quality_at and options.payload is not PayloadKind.JSON:
            yield index, f'"quality_at" has no meaning here; {_QUALITY_COMES[options.payload]}'
        if tag.extra and options.payload in (PayloadKind.PLAIN, PayloadKind.SPARKPLUG):
            yield index, '"topic" has no meaning here; "at" says where the value is'
        elif not tag_topic(options, tag) and options.payload is not PayloadKind.SPARKPLUG:
            yield index, '"topic" is missing, here or in the table "mqtt"'


_QUALITY_COMES: Final = {
    PayloadKind.SPARKPLUG: "in Sparkplug B the quality comes with the metric",
    PayloadKind.RECORDS: 'in records it is the key "quality" of the table "mqtt"',
    PayloadKind.PLAIN: "a plain value has none",
}


def _json_problems(tag: Tag) -> Iterator[str]:
    for key, text in (("at", tag.at), ("quality_at", tag.quality_at)):
        try:
            if text or key == "at":
                parse_path(text)
        except ValueError as error:
            yield f'"{key}": {error}'
    if tag.quality_at and tag.quality_at == tag.at:
        yield '"quality_at" is the path of the value itself'


def text_problems(device_map: DeviceMap) -> Iterator[tuple[int, str]]:
    """What is wrong with the texts of a map: position and sentence."""
    options: MqttOptions = device_map.options
    for index, text in enumerate(device_map.texts):
        if options.payload is PayloadKind.JSON:
            try:
                parse_path(text.at)
            except ValueError as error:
                yield index, str(error)
            if not options.topic:
                yield index, '"topic" is missing in the table "mqtt"'
        elif options.payload is PayloadKind.PLAIN and (problem := filter_problem(text.at)):
            yield index, problem


def named(template: str, device_name: str) -> str:
    return template.replace("{device}", device_name)


def subscriptions(device: Device) -> tuple[str, ...]:
    """The topic filters that bring everything of the device."""
    options: MqttOptions = device.map.options
    if options.payload is PayloadKind.SPARKPLUG:
        return sparkplug_topics(named(options.group, device.name), named(options.node, device.name))
    filters = [options.topic, *(tag_topic(options, tag) for tag in device.map.tags)]
    if options.payload is PayloadKind.PLAIN:
        filters += [text.at for text in device.map.texts]
    if options.status:
        filters.append(options.status.topic)
    return widest(named(one, device.name) for one in filters if one)


def command_topic(options: MqttOptions, device_name: str, *, below: bool = False) -> str:
    """Where a Sparkplug node takes commands, or the device below it."""
    group, node, device = (named(text, device_name) for text in (options.group, options.node, options.device))
    return f"spBv1.0/{group}/DCMD/{node}/{device}" if below and device else f"spBv1.0/{group}/NCMD/{node}"
