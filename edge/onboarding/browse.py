"""`qenergyz edge browse`: what a device has, before there is a device map of it.

OPC UA: variables by path; IEC 61850: attributes; both also as the text of a device map (`--map NAME`). Modbus: the device identification
(function 43/14). MQTT: the topics that are heard for some seconds. CONFIG may also be an address: `opc.tcp://host:4840`, `mqtt://host:1883`,
`modbus://host:502`, `iec61850://host:102`, without credentials.
"""

import argparse
import asyncio
import fnmatch
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.onboarding import devices
from edge.onboarding.output import FAILED, OK, REFUSED, USAGE, Output, Stop

if TYPE_CHECKING:
    from protocols.devicemap import Device
    from protocols.modbus.wire import Wire

ANSWERS: Final = 8  # of one identification before it is given up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="gateway file, or an address such as opc.tcp://192.0.2.21:4840")
    parser.add_argument(
        "rest", nargs="*", metavar="DEVICE [PATTERN]", help="the device's name (not with an address); paths that match, ** any"
    )
    parser.add_argument("--map", metavar="NAME", help="print a device map of that name instead (OPC UA, IEC 61850)")
    parser.add_argument("--wait", type=float, default=5.0, metavar="SECONDS", help="how long to listen for topics (5)")
    devices.add_beside(parser)


def run(options: argparse.Namespace, out: Output) -> int:
    rest = list(options.rest)
    if "://" in options.config:
        out.say(f"browsing {out.masker.masked(options.config)} ...")
        device = of_address(options.config)
    else:
        if not rest:
            raise Stop(USAGE, "the name of a device is missing", f"qenergyz edge browse {options.config} DEVICE")
        options.config = Path(options.config)
        gateway = devices.load(options.config, out)
        device = devices.find(gateway, rest.pop(0))
        if device.map.protocol != "mqtt":
            devices.alone(gateway, options, out)
    if len(rest) > 1:
        raise Stop(USAGE, f"expected one pattern, found {' '.join(rest)}", "put it in quotes, or the shell makes several of it")
    pattern = rest[0] if rest else ""
    if options.map and device.map.protocol not in ("opcua", "iec61850"):
        raise Stop(
            USAGE, f"{device.map.protocol} devices do not describe themselves, so that no map can be made", "import one, or write one"
        )
    try:
        code: int = asyncio.run(_BY[device.map.protocol](device, pattern, options, out))
        return code
    except BrokenPipeError:
        raise
    except (TimeoutError, ValueError, OSError, _driver_error()) as error:
        from edge.onboarding.advice import advise

        advice = advise(error, device)
        raise Stop(advice.code, advice.cause, advice.next_step) from error


def _driver_error() -> type[Exception]:
    from protocols.driver import DriverError

    return DriverError


def of_address(address: str) -> "Device":
    """A device of which only the address is known. Raises Stop."""
    from protocols.devicemap import Device, DeviceMap

    scheme, _, rest = address.partition("://")
    known = {"opc.tcp": "opcua", "mqtt": "mqtt", "mqtts": "mqtt", "modbus": "modbus", "tcp": "modbus", "iec61850": "iec61850"}
    protocol = known.get(scheme)
    if protocol is None or "@" in rest:
        found = "credentials in it" if protocol else f'"{scheme}://"'
        raise Stop(USAGE, f"expected an address that begins with one of {', '.join(f'{one}://' for one in known)}; found {found}")
    plain = rest if protocol in ("modbus", "iec61850") else address
    return Device(plain, DeviceMap("unknown", "", (), protocol, None, ()), plain)


async def _opcua(device: "Device", pattern: str, options: argparse.Namespace, out: Output) -> int:
    from protocols.clock import SystemClock
    from protocols.opcua import maptext
    from protocols.opcua.address import written
    from protocols.opcua.browse import browse_device
    from protocols.opcua.endpoints import Peer
    from protocols.opcua.plan import Settings

    found = []
    with out.waiting(f"browsing {device.address}"):
        async for variable in browse_device(
            Peer(device.name, device.address, device.settings or Settings()), SystemClock(), pattern or "**"
        ):
            found.append(variable)
            if not options.map:
                kind = maptext.BUILTIN.get(variable.kind, "text" if variable.kind in maptext.TEXT_KINDS else "other")
                at = written(variable.address.identifier, variable.address.namespace)
                out.data(f"{variable.path}  {kind}{'[]' if variable.array else ''}  {variable.unit}  {at}".rstrip())
                if not out.as_json:
                    continue
                document = {"path": variable.path, "type": kind, "array": variable.array, "unit": variable.unit, "at": at}
                out.json(document | ({"range": list(variable.range)} if variable.range else {}))
    if options.map:
        _put_map(maptext.device_map_text(options.map, found, f"browsed at {device.address}"), out)
    return _found(len(found), "variables", pattern, out)


async def _iec61850(device: "Device", pattern: str, options: argparse.Namespace, out: Output) -> int:
    from protocols.iec61850.browse import browse, browsed_map

    with out.waiting(f"browsing {device.address}"):
        found = await browse(device.address, device.settings)
    if options.map:
        _put_map(browsed_map(options.map, device.address, found), out)
        return OK
    count = 0
    for one in found:
        for attribute in one.found:
            path = f"{attribute.domain}/{attribute.node}.{attribute.object}.{attribute.attribute}"
            if pattern and not fnmatch.fnmatchcase(path, pattern):
                continue
            count += 1
            out.data(f"{path}  [{attribute.constraint}]  {attribute.kind}  {attribute.unit}".rstrip())
            out.json({"path": path, "constraint": attribute.constraint, "type": attribute.kind, "unit": attribute.unit})
        for block in one.blocks:
            out.data(f"{one.domain}/{block.name}  report of {block.data_set or 'no data set'}{'  (taken)' if block.taken else ''}")
            out.json({"report": f"{one.domain}/{block.name}", "data_set": block.data_set, "taken": block.taken})
    return _found(count, "attributes", pattern, out)


async def _modbus(device: "Device", _: str, __: argparse.Namespace, out: Output) -> int:
    from protocols.modbus.endpoint import parse_endpoint
    from protocols.modbus.settings import ModbusOptions, ModbusSettings
    from protocols.modbus.texts import IDENTS
    from protocols.modbus.wire import Wire

    settings: ModbusSettings = device.settings or ModbusSettings()
    wire = Wire(device.name, parse_endpoint(device.address), settings, settings.over(device.map.options or ModbusOptions()))
    texts: dict[int, str] = {}
    try:
        with out.waiting(f"asking {device.address}, unit {settings.unit}"):
            await wire.open()
            for category in (1, 2, 3):
                texts |= await _identification(wire, category)
    finally:
        wire.close()
    names = {number: name for name, number in IDENTS.items()}
    for number, text in sorted(texts.items()):
        out.data(f"{names.get(number, number)}: {text}")
    out.json({names.get(number, str(number)): text for number, text in sorted(texts.items())})
    if not texts:
        out.say("the device answers, but does not identify itself (function 43/14); its registers are in the maker's list")
    return OK if texts else FAILED


async def _identification(wire: "Wire", category: int) -> dict[int, str]:
    """What a device says of itself in one category; nothing where it refuses or answers with no texts."""
    from protocols.modbus.ask import Ask
    from protocols.modbus.texts import NoText, decode_text, parse_objects

    found: dict[int, str] = {}
    first: int | None = 0
    for _ in range(ANSWERS):
        answer = await wire.exchange(Ask.identify(wire.unit, category, first or 0))
        if isinstance(answer, int):
            break
        try:
            objects = parse_objects(answer)
            found |= {number: decode_text(raw) for number, raw in objects.texts.items()}
        except NoText:
            break
        first = objects.follows
        if first is None:
            break
    return found


async def _mqtt(device: "Device", pattern: str, options: argparse.Namespace, out: Output) -> int:
    from edge.onboarding.topics import Refused, listen
    from protocols.mqtt.plan import MqttSettings

    settings: MqttSettings = device.settings or MqttSettings()
    told = f"listening to {device.address} for {options.wait:g} s"
    try:
        with out.waiting(told):
            heard = await asyncio.to_thread(listen, devices.on_trial(replace(device, settings=settings)), pattern or "#", options.wait)
    except Refused as error:
        if not error.version or settings.version == "3.1.1":
            next_step = "correct version, username and password_file of this [[device]]; they are needed in a gateway file"
            raise Stop(REFUSED, str(error), next_step) from error
        out.say('the broker does not know MQTT 5; trying 3.1.1 (the [[device]] needs version = "3.1.1")')
        older = replace(device, settings=replace(settings, version="3.1.1"))
        with out.waiting(told):
            heard = await asyncio.to_thread(listen, devices.on_trial(older), pattern or "#", options.wait)
    for one in heard:
        out.data(f"{one.topic}  {one.messages} x {one.payload}  {one.sample}".rstrip())
        out.json({"topic": one.topic, "messages": one.messages, "bytes": one.size, "payload": one.payload, "sample": one.sample})
    return _found(len(heard), "topics", pattern, out)


_BY: dict[str, Any] = {"opcua": _opcua, "iec61850": _iec61850, "modbus": _modbus, "mqtt": _mqtt}


def _put_map(text: str, out: Output) -> None:
    out.data(text.rstrip("\n"))
    out.json({"map": text})


def _found(count: int, what: str, pattern: str, out: Output) -> int:
    out.say(f"{count} {what}{f' match {pattern}' if pattern else ''}")
    if not count and pattern:
        out.say('  next: try without the pattern, or with "**" before and after a part of the name')
    return OK if count else FAILED
