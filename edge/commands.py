"""Writing to devices: off unless the site names the tag, then only under these rules, each attempt a signed event.

A write is done when all of this holds, in this order:
1. the tag's map has `write = { min, max }`, and the site's device names the tag in `writable`;
2. the value is a number within the limits that the tag's type can carry exactly;
3. it was armed, where the rule asks for it (it does unless `arm = false`): a code for this tag and this value, given once, good for ARM_US;
4. it has not expired: every write says until when it may be done, at most LONGEST_LIFE_US ahead, and one that is late is never done;
5. its key is new. A key that was used says what came of it then; with another content it is refused;
6. the device is connected, and shows the expected value where one is given (read by the driver right before writing).

Before the device is asked, the attempt is committed; so a write whose outcome a kill swallowed answers "unknown" for ever and is not
repeated. Values and limits are engineering units. Not for deciding who may ask: the control socket's file permissions do (`edge/control.py`).
"""

import asyncio
import enum
import hashlib
import json
import math
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from protocols.clock import Clock
from protocols.devicemap import Device, Tag, TagType, to_engineering, to_raw
from protocols.driver import DriverError, WriteRefused
from protocols.event import Event

ARM_US: Final = 60_000_000
LONGEST_LIFE_US: Final = 300_000_000
MAX_ARMED: Final = 100


class Outcome(enum.StrEnum):
    """begun: committed and handed to the device; what stays so (the agent died, or the link did) is unknown."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    BEGUN = "begun"


@dataclass(frozen=True, slots=True)
class Command:
    """tag: "device.tag". value, expected: engineering units. key: chosen by the asker, the same for every repetition. who: for the record."""

    tag: str
    value: float
    key: str
    expires_us: int
    who: str
    expected: float | None = None
    arm: str = ""

    @property
    def digest(self) -> str:
        """Of what is asked; who asks, until when, and the arming do not matter to whether it is the same."""
        return hashlib.sha256(json.dumps([self.tag, self.value, self.expected]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal holds of a key."""

    digest: str
    answer: Answer


class Journal(Protocol):
    """Durable memory of writes (`edge/buffer.py`). Each call is committed with its event when it returns."""

    async def find(self, key: str) -> Kept | None: ...

    async def begin(self, key: str, digest: str, event: Event) -> None: ...

    async def end(self, key: str, digest: str, answer: Answer, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class _Armed:
    tag: str
    value: float
    until_us: int


@dataclass(slots=True)
class Gate:
    """`arm`, then `write`. send: hands (device name, index of the tag, raw value, raw expected value) to the device's driver."""

    devices: Sequence[Device]
    journal: Journal
    clock: Clock
    send: Callable[[str, int, float, float | None], Awaitable[None]]
    _armed: dict[str, _Armed] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def arm(self, tag: str, value: float) -> str:
        """The code that lets this value be written to this tag, once, within ARM_US. Raises WriteRefused."""
        self._rules(tag, value)
        now_us = self.clock.monotonic_us()
        self._armed = {code: one for code, one in self._armed.items() if one.until_us > now_us}
        if len(self._armed) >= MAX_ARMED:
            raise WriteRefused(f"{MAX_ARMED} writes are armed and not done; wait a minute")
        code = secrets.token_hex(4)
        self._armed[code] = _Armed(tag, value, now_us + ARM_US)
        return code

    async def write(self, command: Command) -> Answer:
        """Never raises for a refusal; one write at a time."""
        async with self._lock:
            try:
                if (kept := await self.journal.find(command.key)) is not None:
                    return self._as_before(command, kept)
                device, index, raw, expected = self._allowed(command)
            except WriteRefused as error:
                answer = Answer(Outcome.REFUSED, str(error))
                await self.journal.end("", command.digest, answer, self._event(command, answer))  # audited, and the key stays free
                return answer
            begun = Answer(Outcome.BEGUN)
            await self.journal.begin(command.key, command.digest, self._event(command, begun))
            answer = await self._do(command, device, index, raw, expected)
            await self.journal.end(command.key, command.digest, answer, self._event(command, answer))
            return answer

    async def _do(self, command: Command, device: Device, index: int, raw: float, expected: float | None) -> Answer:
        left_us = command.expires_us - self.clock.now_us()
        if left_us <= 0:
            return Answer(Outcome.REFUSED, "expired before the device was asked")
        try:
            async with asyncio.timeout(left_us / 1e6):
                await self.send(device.name, index, raw, expected)
        except WriteRefused as error:
            return Answer(Outcome.REFUSED, str(error))
        except TimeoutError:
            return Answer(Outcome.UNKNOWN, "expired while the device was asked; read the tag to see whether it was written")
        except DriverError as error:
            return Answer(Outcome.UNKNOWN, f"{error}; read the tag to see whether it was written")
        return Answer(Outcome.DONE)

    @staticmethod
    def _as_before(command: Command, kept: Kept) -> Answer:
        if kept.digest != command.digest:
            return Answer(Outcome.REFUSED, f'key "{command.key}" was used for another write; choose a new one')
        if kept.answer.outcome is Outcome.BEGUN:
            return Answer(Outcome.UNKNOWN, "the agent ended while the device was asked; read the tag to see whether it was written")
        return kept.answer

    def _allowed(self, command: Command) -> tuple[Device, int, float, float | None]:
        device, index, raw = self._rules(command.tag, command.value)
        tag, now_us = device.map.tags[index], self.clock.now_us()
        if not command.key or len(command.key) > 100:
            raise WriteRefused("expected a key of 1 to 100 characters, the same for every repetition of this write")
        if command.expires_us <= now_us:
            raise WriteRefused(f"expired {(now_us - command.expires_us) / 1e6:.1f} s ago")
        if command.expires_us > now_us + LONGEST_LIFE_US:
            raise WriteRefused(f"expires in {(command.expires_us - now_us) / 1e6:.0f} s; at most {LONGEST_LIFE_US / 1e6:.0f} s are allowed")
        expected = None if command.expected is None else _raw(tag, command.expected)
        if tag.write is not None and tag.write.arm:
            self._disarm(command)
        return device, index, raw, expected

    def _disarm(self, command: Command) -> None:
        armed = self._armed.pop(command.arm, None)
        if armed is None or armed.until_us <= self.clock.monotonic_us():
            raise WriteRefused(
                f'not armed; ask for a code with "arm {command.tag} {command.value:g}", it is good for {ARM_US / 1e6:.0f} s, once'
            )
        if (armed.tag, armed.value) != (command.tag, command.value):
            raise WriteRefused(f"armed for {armed.tag} = {armed.value:g}, not for {command.tag} = {command.value:g}; arm again")

    def _rules(self, name: str, value: float) -> tuple[Device, int, float]:
        """Where to write what. Raises WriteRefused."""
        for device in self.devices:
            tags = device.map.tags
            index = next((at for at, tag in enumerate(tags) if f"{device.name}.{tag.name}" == name), None)
            if index is None:
                continue
            tag = tags[index]
            if tag.write is None or tag.name not in device.writable:
                raise WriteRefused(f'{name} is not writable; the site allows it by writable = ["{tag.name}"] in [[device]] "{device.name}"')
            if not tag.write.low <= value <= tag.write.high:
                raise WriteRefused(f"{name}: expected {tag.write.low:g} to {tag.write.high:g} {tag.unit}, found {value:g}".rstrip())
            return device, index, _raw(tag, value)
        raise WriteRefused(f'there is no tag "{name}"')

    def _event(self, command: Command, answer: Answer) -> Event:
        device, _, tag = command.tag.partition(".")
        detail: dict[str, str | int | float | bool] = {"who": command.who, "key": command.key, "outcome": answer.outcome.value}
        for key, number in (("value", command.value), ("expected", command.expected)):
            if number is not None and math.isfinite(number):
                detail[key] = float(number)
        now_us = self.clock.now_us()
        said = f"write {command.value:g}: {answer.outcome.value}" + (f" ({answer.cause})" if answer.cause else "")
        return Event("write", device, tag, now_us, now_us, said, 100, detail)


def _raw(tag: Tag, value: float) -> float:
    """The raw number, which must mean the value again within half a step of the type. Raises WriteRefused."""
    try:
        if not math.isfinite(value):
            raise OverflowError(f"expected a number, found {value}")
        column = to_raw(np.array([value]), tag.type, tag.scale, tag.offset)
    except OverflowError as error:
        raise WriteRefused(f"{tag.name}: {error}") from error
    back = float(to_engineering(column, tag.type, tag.scale, tag.offset)[0])
    if tag.type not in (TagType.FLOAT32, TagType.FLOAT64) and abs(back - value) > 1e-9 * max(1.0, abs(value)):
        raise WriteRefused(f"{tag.name} moves in steps of {tag.scale} {tag.unit}: {value:g} would become {back:g}".rstrip())
    native: Any = column.view(tag.type.native) if column.itemsize == tag.type.native.itemsize else column
    return native[0].item() if native.dtype.kind != "f" else float(native[0])
