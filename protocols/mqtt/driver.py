"""Follows one device on an MQTT broker (3.1.1 or 5; JSON, records, plain values or Sparkplug B). One connection and one broker session per device.

Messages of QoS 1 and 2 are answered only by `Frame.acknowledge`, after the frame is durable, so that a kill in between makes the broker deliver
again. Messages that arrive within COMBINE_US make one frame; a message that cannot be read becomes a bad sample for its tags and is acknowledged.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import DeviceUnreachable
from protocols.frame import Frame
from protocols.mqtt.bulksocket import RECEIVED
from protocols.mqtt.command import Commands
from protocols.mqtt.decode import Columns, Decoder
from protocols.mqtt.inbox import Inbox, Message
from protocols.mqtt.link import Link, Words
from protocols.mqtt.node import Rebirths, rebirth_command, state, state_of
from protocols.mqtt.plan import MqttOptions, MqttSettings, PayloadKind, command_topic, subscriptions
from protocols.mqtt.topics import state_topic
from protocols.mqtt.watch import SourceClock, silence_of

log = logging.getLogger("qenergyz.mqtt")
COMBINE_US: Final = 50_000
# Unanswered messages that may wait for a birth without filling the broker's window, behind which the birth itself would wait: brokers have 20 or
# more out, whatever we say. More wait in memory and are answered at once; a kill within those seconds would cost them.
UNANSWERED: Final = 16


@dataclass(slots=True)
class Gathered:
    """What becomes one frame. keys, numbers: of its messages; numbers are what the broker is answered, once the frame is durable."""

    columns: Columns
    keys: list[bytes]
    numbers: list[int]
    live: bool = False
    rebirth: bool = False


class MqttDriver:
    """See `protocols.driver.WritingDriver` and `ResumingDriver`. malformed, duplicates, rebirths: counted since the driver was made."""

    def __init__(self, device: Device, clock: Clock, delivered: Collection[bytes] = ()) -> None:
        self._device, self._clock = device, clock
        self._options: MqttOptions = device.map.options
        self._settings: MqttSettings = device.settings or MqttSettings()
        self._decoder = Decoder(device)
        stamped = _has_time if self._decoder.sparkplug else self._options.stamped
        self._inbox = Inbox(stamped=stamped, delivered=delivered)
        self._state_topic = state_topic(self._settings.primary_host) if self._settings.primary_host else None
        self._link = Link(device, clock, self._filters(), self._options.qos, self._inbox.released, self._look)
        self._silence = silence_of(device, clock.monotonic_us())
        self._source_clock = SourceClock(device.name)
        self._rebirths = Rebirths()
        self._held: list[tuple[bytes, int]] = []  # keys and numbers of messages that wait for a birth
        self._commands = Commands(device, clock, self._link) if any(tag.write for tag in device.map.tags) else None
        self._state_ms = 0
        self.duplicates = 0

    def _filters(self) -> tuple[str, ...]:
        prefix = f"$share/{self._settings.share}/" if self._settings.share else ""
        ours = tuple(prefix + topic for topic in subscriptions(self._device))
        return (*ours, self._state_topic) if self._state_topic else ours

    @property
    def malformed(self) -> int:
        return self._decoder.malformed

    @property
    def rebirths(self) -> int:
        return self._rebirths.count

    def resume(self, last_us: Mapping[int, int]) -> None:
        """See `protocols.driver.ResumingDriver`: times that the device gave before are no news to doubt, wherever our own clock stands."""
        self._source_clock.known_until(max(last_us.values(), default=0))

    async def open(self) -> None:
        if self._settings.share and self._options.payload is PayloadKind.SPARKPLUG:
            raise self._link.setup(
                '"share" does not go with Sparkplug: whoever gets a part of a node\'s messages cannot follow its sequence'
            )
        self._inbox.reconnected()
        self._held = [(key, 0) for key, _ in self._held]  # their numbers too
        words = None
        if self._state_topic:
            self._state_ms = self._clock.now_us() // 1000
            words = Words(
                self._state_topic, state(online=False, timestamp_ms=self._state_ms), state(online=True, timestamp_ms=self._state_ms)
            )
        await self._link.open(words)
        if self._silence:
            self._silence.heard(self._clock.monotonic_us())

    async def close(self) -> None:
        if self._state_topic:
            await self._link.close((self._state_topic, state(online=False, timestamp_ms=self._clock.now_us() // 1000)))
        else:
            await self._link.close()

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        if self._commands is None:
            self._commands = Commands(self._device, self._clock, self._link)
        await self._commands.write(index, raw, expected)

    async def read(self) -> Frame:
        link = self._link
        if not link.open_now:
            raise DeviceUnreachable(f'device "{self._device.name}": not open', quality.BAD_NOT_CONNECTED)
        while True:
            await link.arrived.wait()
            if not link.failure and not link.full:
                await self._clock.sleep_us(COMBINE_US)
            frame = self._frame()
            if link.failure:
                link.arrived.set()
            if frame:
                return frame
            if link.failure:
                raise link.failure

    def _frame(self) -> Frame | None:
        """Everything that waits, as one frame; None when nothing of it is a sample or event."""
        now_us = self._clock.monotonic_us()
        gathered = Gathered(Columns(), [], [])
        for message in self._link.take():
            self._take(message, gathered, now_us)
        if self._decoder.give_up(gathered.columns, now_us):
            self._free(gathered)
        if gathered.rebirth or self._rebirth_due(now_us):
            self._ask_for_birth(now_us)
        if self._silence:
            self._note_silence(gathered, now_us)
        return self._made(gathered)

    def _take(self, message: Message, gathered: Gathered, now_us: int) -> None:
        if message.topic == self._state_topic:
            self._answer_state(message, gathered)
            return
        key = self._inbox.key(message)
        number = message.mid if message.qos < 2 else message.mid | RECEIVED
        repeated = self._inbox.repeated(message, key)
        if repeated is not None:
            self.duplicates += 1
            if repeated and message.qos:
                gathered.numbers.append(number)
            return
        verdict = self._decoder.take(message, gathered.columns, now_us)
        gathered.live |= verdict.live
        gathered.rebirth |= verdict.rebirth
        self._inbox.taken(key)
        if message.qos == 2:
            self._inbox.expect_release(message, key)
        if verdict.freed:
            self._free(gathered)
        if verdict.held:
            self._hold(key, number, gathered)
            return
        gathered.keys.append(key)
        if message.qos:
            gathered.numbers.append(number)

    def _made(self, gathered: Gathered) -> Frame | None:
        gateway_us = self._clock.now_us()
        blocks, events = self._source_clock.check(gathered.columns.blocks(), gateway_us)
        events += self._decoder.events(gateway_us)
        acknowledge = partial(self._acknowledge, self._link.number, gathered.keys, gathered.numbers)
        if not blocks and not events:
            acknowledge()
            return None
        if self._commands:
            self._commands.note(blocks)
        loop = asyncio.get_running_loop()

        def durable() -> None:
            loop.call_soon_threadsafe(acknowledge)

        return Frame(self._device.name, gateway_us, blocks, durable, gathered.keys, events)

    def _acknowledge(self, connection: int, keys: list[bytes], numbers: list[int]) -> None:
        joined = [mid for key in keys for mid in self._inbox.durable(key)]
        current = numbers if connection == self._link.number else []
        self._link.acknowledge([*current, *joined])

    # -- messages that wait for a birth

    def _hold(self, key: bytes, number: int, gathered: Gathered) -> None:
        waiting = sum(1 for _, one in self._held if one & 0xFFFF)
        if number & 0xFFFF and waiting >= UNANSWERED:
            gathered.numbers.append(number)
            number = 0
        self._held.append((key, number))

    def _free(self, gathered: Gathered) -> None:
        held, self._held = self._held, []
        for key, number in held:
            gathered.keys.append(key)
            if number & 0xFFFF:
                gathered.numbers.append(number)

    def _rebirth_due(self, now_us: int) -> bool:
        return self._decoder.sparkplug is not None and self._decoder.sparkplug.rebirth_due(now_us)

    def _ask_for_birth(self, now_us: int) -> None:
        if self._link.open_now and self._rebirths.ask(now_us):
            self._link.publish(command_topic(self._options, self._device.name), rebirth_command(self._clock.now_us() // 1000))

    # -- once a second, and what is not a sample

    def _look(self) -> None:
        """Wake `read` for what only time brings."""
        now_us = self._clock.monotonic_us()
        if self._held or self._rebirth_due_soon() or (self._silence and self._silence.due(now_us)):
            self._link.arrived.set()

    def _rebirth_due_soon(self) -> bool:
        return self._decoder.sparkplug is not None and self._decoder.sparkplug.gap

    def _note_silence(self, gathered: Gathered, now_us: int) -> None:
        if self._silence is None:
            return
        if gathered.live:
            self._silence.heard(now_us)
        elif self._silence.begins(now_us):
            log.warning("publisher_silent device=%s", self._device.name)
            self._decoder.gone(self._clock.now_us(), gathered.columns)

    def _answer_state(self, message: Message, gathered: Gathered) -> None:
        """Another session of this host that ended says that the host is gone: it is not (Sparkplug 3.0, 5.3)."""
        if message.qos:
            gathered.numbers.append(message.mid if message.qos < 2 else message.mid | RECEIVED)
        told = state_of(message.payload)
        if told and not told[0] and self._state_topic:
            timestamp_ms = max(self._state_ms, told[1])
            self._link.publish(self._state_topic, state(online=True, timestamp_ms=timestamp_ms), 1, retain=True)


def _has_time(message: Message) -> bool:
    """Whether equal bytes mean one Sparkplug message: those with a timestamp, which encoders write first. A death is never taken for an older one."""
    return message.payload[:1] == b"\x08" and "/NDEATH/" not in message.topic
