"""Sets one tag of a device inside a turn on its bus: check what stands there, write, read back.

Only the registers of the tag change: bits and bytes of a register are set by mask (function 22), or, where a device does not know that, by
reading and writing the register within the same turn. What function a device does not know is tried by its sibling (5 by 15, 6 by 16).
A busy device (exception 6) has done nothing and is asked again a few times; one that says it will take a while (5) is looked at until it shows the value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.driver import WriteRefused
from protocols.modbus.address import Address, Area
from protocols.modbus.ask import Ask
from protocols.modbus.decode import decode, layout
from protocols.modbus.encode import Bits, Unfit, encode
from protocols.modbus.plan import group_of, scale_span, value_span
from protocols.modbus.settings import ModbusOptions, look_of
from protocols.modbus.wire import Held

PAUSE_US: Final = 50_000
BUSY_TRIES: Final = 5
LOOKS: Final = 5  # at what the device shows after a write
_UNKNOWN_FUNCTION, _ACKNOWLEDGED, _BUSY = 1, 5, 6
# Modbus AP v1.1b3, 7; 7 and 9 from its predecessors.
EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "busy",
    7: "negative acknowledgement",
    8: "memory parity error",
    9: "undefined exception",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}


@dataclass(frozen=True, slots=True)
class Order:
    """Tag number `index` is to be `raw`, if it is `expected` now (None = whatever it is)."""

    index: int
    raw: float
    expected: float | None


def exception(code: int) -> str:
    return f"exception {code} ({EXCEPTIONS.get(code, 'not of the standard')})"


async def write(held: Held, device_map: DeviceMap, options: ModbusOptions, clock: Clock, order: Order) -> None:
    """Raises WriteRefused, or DriverError when the link is gone."""
    tag = device_map.tags[order.index]
    address = value_span(tag, options)[0]
    if address.area not in (Area.HOLDING, Area.COIL):
        raise WriteRefused(f'tag "{tag.name}": {tag.at} can only be read')
    if order.expected is not None:
        found = await _shown(held, device_map, options, order.index)
        if not _same(tag, found, order.expected):
            raise WriteRefused(f'tag "{tag.name}": expected {order.expected:g}, found {_text(found)}; nothing was written')
    scale = scale_span(tag, options)
    exponent = None if scale is None else int.from_bytes(await _read(held, Ask.read(held.unit, scale), tag), "big", signed=True)
    try:
        wanted = encode(tag, address, options, order.raw, exponent)
    except Unfit as error:
        raise WriteRefused(f'tag "{tag.name}": {error}; nothing was written') from error
    await _set(held, clock, tag, address, wanted)
    await _confirm(held, device_map, options, clock, order)


async def _set(held: Held, clock: Clock, tag: Tag, address: Address, wanted: bytes | Bits | bool) -> None:
    unit, at = held.unit, address.start
    if isinstance(wanted, bool):
        ways = [Ask.set_coil(unit, at, wanted), Ask.set_coils(unit, at, wanted)]
    elif isinstance(wanted, Bits):
        ways = [Ask.mask_register(unit, at, 0xFFFF & ~wanted.mask, wanted.put)]
    elif len(wanted) == 2:
        ways = [Ask.set_register(unit, at, wanted), Ask.set_registers(unit, at, wanted)]
    else:
        ways = [Ask.set_registers(unit, at, wanted)]
    code = await _first_known(held, clock, ways)
    if code == _UNKNOWN_FUNCTION and isinstance(wanted, Bits):
        register = int.from_bytes(await _read(held, Ask.read(unit, address.span(1)), tag), "big")
        word = (register & ~wanted.mask | wanted.put).to_bytes(2, "big")
        code = await _first_known(held, clock, [Ask.set_register(unit, at, word), Ask.set_registers(unit, at, word)])
    if code and code != _ACKNOWLEDGED:
        raise WriteRefused(f'tag "{tag.name}": the device refused the write: {exception(code)}')


async def _first_known(held: Held, clock: Clock, ways: Sequence[Ask]) -> int:
    """Exception code of the first way whose function the device knows, 0 = written."""
    answer: bytes | int = b""
    for ask in ways:
        answer = await held.exchange(ask)
        for _ in range(BUSY_TRIES):
            if answer != _BUSY:
                break
            await clock.sleep_us(PAUSE_US)
            answer = await held.exchange(ask)
        if answer != _UNKNOWN_FUNCTION:
            break
    return answer if isinstance(answer, int) else 0


async def _read(held: Held, ask: Ask, tag: Tag) -> bytes:
    answer = await held.exchange(ask)
    if isinstance(answer, int):
        raise WriteRefused(f'tag "{tag.name}": cannot be read before the write: {exception(answer)}; nothing was written')
    return answer


async def _shown(held: Held, device_map: DeviceMap, options: ModbusOptions, index: int) -> float | None:
    """The raw number of the tag as the device shows it, None under a quality that is not good. Raises WriteRefused when it cannot be read."""
    tag = device_map.tags[index]
    group = group_of(tag.every_us, [index], device_map.tags, replace(options, source_time=None))
    where = layout(replace(device_map, options=replace(options, source_time=None)), group)
    words, bits = b"", b""
    for request in group.requests:
        answer = await _read(held, Ask.read(held.unit, request.span), tag)
        words, bits = (words, bits + answer) if request.span.area.of_bits else (words + answer, bits)
    ((values, codes),) = decode(where, words, bits)
    if codes is not None and not quality.is_good(int(codes[0])):
        return None
    native = tag.type.native
    number: float = (values.view(native) if native.itemsize == values.itemsize else values)[0].item()
    return number


def _same(tag: Tag, found: float | None, wanted: float) -> bool:
    if found is None:
        return False
    if tag.type is TagType.FLOAT32:
        return bool(np.float32(found) == np.float32(wanted))
    return math.isclose(found, wanted, rel_tol=1e-9) if look_of(tag).scale_at else found == wanted


def _text(found: float | None) -> str:
    return "no good value" if found is None else f"{found:g}" if isinstance(found, float) else str(found)


async def _confirm(held: Held, device_map: DeviceMap, options: ModbusOptions, clock: Clock, order: Order) -> None:
    """Returns when the device shows the value; a register that can only be written has its acknowledgement."""
    tag = device_map.tags[order.index]
    found: float | None = None
    for number in range(LOOKS):
        if number:
            await clock.sleep_us(PAUSE_US)
        try:
            found = await _shown(held, device_map, options, order.index)
        except WriteRefused:
            return
        if _same(tag, found, order.raw):
            return
    raise WriteRefused(f'tag "{tag.name}": the device acknowledged {order.raw:g} but shows {_text(found)}')
