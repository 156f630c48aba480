"""Writing to a device over MQTT: a command is published, and confirmed as far as the protocol can.

Sparkplug B: NCMD or DCMD of QoS 0; the node confirms by telling the new value. JSON, records and plain values: a message on the map's `command`
topic; there is no confirmation beyond the broker's, which is what `write` waits for. Whether a write may happen is decided elsewhere.
"""

import asyncio
import json
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device, Tag, TagType
from protocols.driver import DeviceUnreachable, WriteRefused
from protocols.frame import Block
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.link import NOBODY, Link
from protocols.mqtt.plan import MqttOptions, PayloadKind, command_topic, named, parse_path
from protocols.mqtt.sparkplug import Metric, Payload, encode_payload
from protocols.mqtt.watch import Newest

CONFIRM_S: Final = 10.0
DATATYPES: Final = {
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


class Commands:
    """`write` one at a time; `note` every frame, so that the newest values are known."""

    def __init__(self, device: Device, clock: Clock, link: Link) -> None:
        self._device, self._clock, self._link = device, clock, link
        self._options: MqttOptions = device.map.options
        self._newest = Newest(device)
        self._lock = asyncio.Lock()
        self._awaited: tuple[int, float, asyncio.Future[None]] | None = None

    def note(self, blocks: Sequence[Block]) -> None:
        self._newest.note(blocks)
        if self._awaited:
            index, wanted, waiter = self._awaited
            if self._newest.of(index) == wanted and not waiter.done():
                waiter.set_result(None)

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        """See `WritingDriver.write`."""
        tag = self._device.map.tags[index]
        number = _number(tag, raw)
        async with self._lock:
            if expected is not None:
                self._compare(index, tag, expected)
            if self._options.payload is PayloadKind.SPARKPLUG:
                await self._metric(index, tag, number)
            else:
                await self._message(tag, number)

    def _compare(self, index: int, tag: Tag, expected: float) -> None:
        found = self._newest.of(index)
        if found is None:
            raise WriteRefused(
                f'device "{self._device.name}": tag "{tag.name}" has no good value to compare with the expected {expected:g}'
            )
        if found != _number(tag, expected):
            raise WriteRefused(f'device "{self._device.name}": tag "{tag.name}" is {found:g}, expected {expected:g}')

    async def _metric(self, index: int, tag: Tag, number: float | bool) -> None:
        """Until the node tells the value; QoS 0 as Sparkplug 3.0, 6.4.21 demands."""
        if _is_member(tag.at):
            raise WriteRefused(f'device "{self._device.name}": tag "{tag.name}" is a part of a metric; only whole metrics can be written')
        now_ms = self._clock.now_us() // 1000
        payload = Payload(now_ms, None, (Metric(tag.at, number, DATATYPES[tag.type], now_ms),))
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited = (index, float(number) if isinstance(number, bool) else number, waiter)
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._link.publish(command_topic(self._options, self._device.name, below=True), encode_payload(payload))
                if self._newest.of(index) != self._awaited[1]:
                    await waiter
        except TimeoutError as error:
            raise self._unknown(f'tag "{tag.name}": the node did not tell the new value within {CONFIRM_S:.0f} s') from error
        finally:
            self._awaited = None

    async def _message(self, tag: Tag, number: float | bool) -> None:
        if not self._options.command:
            raise WriteRefused(
                f'device "{self._device.name}": map "{self._device.map.name}" has no "command" topic, so nothing can be written'
            )
        topic = named(self._options.command.replace("{tag}", tag.name).replace("{at}", tag.at), self._device.name)
        try:
            async with asyncio.timeout(CONFIRM_S):
                reason = await self._link.publish(topic, _payload(self._options, tag, number), 1)
        except TimeoutError as error:
            raise self._unknown(f'tag "{tag.name}": the broker did not acknowledge the command') from error
        except PermissionError as error:
            raise WriteRefused(f'device "{self._device.name}": tag "{tag.name}": {error}') from error
        if reason == NOBODY:
            raise WriteRefused(f'device "{self._device.name}": tag "{tag.name}": nobody listens on "{topic}"')

    def _unknown(self, message: str) -> DeviceUnreachable:
        return DeviceUnreachable(f'device "{self._device.name}": {message}; it is not known whether it is set', quality.BAD_TIMEOUT)


def _number(tag: Tag, raw: float) -> float | bool:
    """The raw value as the tag's type has it. Raises WriteRefused for one that it does not have."""
    if tag.type is TagType.BOOL:
        if raw not in (0, 1):
            raise WriteRefused(f'tag "{tag.name}" is true or false, found {raw:g}')
        return bool(raw)
    if tag.type in (TagType.FLOAT32, TagType.FLOAT64):
        number = struct.unpack("<f", struct.pack("<f", raw))[0] if tag.type is TagType.FLOAT32 and abs(raw) < 3.4e38 else float(raw)
        if not np.isfinite(number) or (tag.type is TagType.FLOAT32 and abs(number) >= 3.4e38):
            raise WriteRefused(f'tag "{tag.name}" is of type {tag.type}, which does not hold {raw:g}')
        return float(number)
    limits = np.iinfo(tag.type.native)
    if raw != int(raw) or not limits.min <= raw <= limits.max:
        raise WriteRefused(f'tag "{tag.name}" is of type {tag.type}, which does not hold {raw:g}')
    return int(raw)


def _is_member(at: str) -> bool:
    return at.endswith("]")


def _payload(options: MqttOptions, tag: Tag, number: float | bool) -> bytes:
    """As the device itself would tell the value: bare, in a record, or at its path in a document."""
    told: Any = tag.labels.get(int(number), number) if tag.labels and number == int(number) else number
    if options.payload is PayloadKind.PLAIN:
        return (told if isinstance(told, str) else json.dumps(told)).encode()
    if options.records is not None:
        document: Any = {}
        _place(document, options.records.key, tag.at)
        _place(document, options.records.value, told)
        return json.dumps(document, separators=(",", ":")).encode()
    document = [] if isinstance(parse_path(tag.at)[0], int) else {}
    _place(document, parse_path(tag.at), told)
    return json.dumps(document, separators=(",", ":")).encode()


def _place(document: Any, path: Sequence[str | int], value: Any) -> None:
    """Put the value at the path, making what is missing on the way."""
    for step, following in zip(path, (*path[1:], None), strict=True):
        empty: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(step, int):
            document.extend([None] * (step + 1 - len(document)))
            if document[step] is None or following is None:
                document[step] = empty
        elif following is None or step not in document:
            document[step] = empty
        document = document[step]
