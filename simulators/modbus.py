"""Modbus face: serves devices over TCP, TLS, UDP, RTU over TCP and serial lines, from images of bytes that are swapped whole at each step.

An own server of a few lines, because one that keeps a Python object per register cannot answer fast enough to measure the agent with.
What a device answers is in `modbus_unit`, how its registers are filled in `modbus_registers`, how clients come to it in `modbus_doors`. Devices that share an
address differ by unit. A step is logged as served once a client has read all of it under its source time, in the manner the driver does: with
several requests, the source time is read again at the end.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np

from protocols import quality
from protocols.devicemap import Device
from protocols.modbus.address import Area
from protocols.modbus.endpoint import Endpoint, Transport, parse_endpoint
from protocols.modbus.plan import plan
from protocols.modbus.settings import Credentials, ModbusSettings
from simulators.face import Step, TruthLog
from simulators.modbus_doors import Door, open_door
from simulators.modbus_registers import RegisterImage
from simulators.modbus_unit import BUSY, DEVICE_FAILURE, Unit

FAULTS: Final = (
    "drop_link",
    "freeze",
    "bad_quality",
    "exception",
    "delay",
    "late",
    "garbled",
    "busy",
    "wrong_unit",
    "wrong_transaction",
)


class ModbusFace:
    """See `simulators.face.Face`. reads: block reads answered with data so far.

    latency_us: what every answer takes. credentials: what devices behind tls:// show, and by which authority they judge clients;
    write_role: the role a client's certificate needs for writing ("" = any).
    """

    def __init__(
        self, truth: TruthLog | None = None, *, latency_us: int = 0, credentials: Credentials | None = None, write_role: str = ""
    ) -> None:
        self._truth = truth
        self._latency_us, self._credentials, self._write_role = latency_us, credentials, write_role
        self._units: dict[str, Unit] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._doors: dict[str, Door] = {}
        self.reads = 0

    @property
    def overlaps(self) -> int:
        """Requests that came to a door while another was being answered there."""
        return sum(door.overlaps for door in set(self._doors.values()))

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        by_address: dict[str, list[Unit]] = {}
        for number, (device, step) in enumerate(zip(devices, first, strict=True)):
            image = RegisterImage(device.map, device.name)
            settings: ModbusSettings = device.settings or ModbusSettings()
            groups = plan(device.map, settings.over(device.map.options))
            single = len(groups) == 1 and len(groups[0].requests) == 1
            unit = Unit(device, settings.unit, image, image.show(step), single, step)
            unit.late_us = settings.over(device.map.options).timeout_us * 3 // 2
            self._units[device.name] = unit
            endpoint = parse_endpoint(device.address)
            fixed = endpoint.port or endpoint.transport is Transport.SERIAL
            by_address.setdefault(str(endpoint) if fixed else f"{endpoint}#{number}", []).append(unit)
        for here in by_address.values():
            await self._listen(here)

    async def _listen(self, here: list[Unit]) -> None:
        door = Door({unit.number: unit for unit in here}, self._answered, self._latency_us, self._write_role)
        endpoint = await open_door(door, parse_endpoint(here[0].device.address), self._credentials)
        for unit in here:
            self._endpoints[unit.device.name], self._doors[unit.device.name] = endpoint, door

    def address_of(self, device: Device) -> str:
        return str(self._endpoints[device.name])

    def written(self, device: Device) -> dict[str, float]:
        """What clients have set, in engineering units."""
        return {device.map.tags[index].name: value for index, value in self._units[device.name].written.items()}

    async def publish(self, device: Device, step: Step) -> None:
        unit = self._units[device.name]
        if unit.frozen is not None:
            codes = np.where(unit.frozen.quality & quality.BAD, unit.frozen.quality, np.uint32(quality.UNCERTAIN_LAST_USABLE))
            step = Step(step.time_us, unit.frozen.values, codes.astype(np.uint32))
        if unit.bad:
            step = Step(step.time_us, step.values, np.full(len(step.quality), quality.BAD_SENSOR_FAILURE, np.uint32))
        unit.show(step)

    async def fault(self, device_name: str, kind: str, duration_us: int) -> None:
        """Let the device fail in the given way for a while, then be well again."""
        unit = self._units[device_name]
        if kind not in FAULTS:
            raise ValueError(f'fault "{kind}" is not known to Modbus devices; expected one of {", ".join(FAULTS)}')
        unit.fault = kind
        match kind:
            case "drop_link":
                self._doors[device_name].drop()
            case "freeze":
                unit.frozen = unit.last
            case "bad_quality":
                unit.bad = True
            case "exception" | "busy":
                unit.exception = BUSY if kind == "busy" else DEVICE_FAILURE
        await asyncio.sleep(duration_us / 1_000_000)
        unit.fault, unit.bad, unit.frozen, unit.exception = "", False, None, 0

    async def stop(self) -> None:
        for door in set(self._doors.values()):
            door.close()
            door.drop()
        self._doors.clear()

    def _answered(self, unit: Unit, area: Area, start: int, end: int) -> None:
        """A client was sent these registers of the step that is shown."""
        self.reads += 1
        shown = unit.shown
        if self._truth is None or unit.logged_us == shown.time_us:
            return
        if not unit.single:
            time = unit.device.map.options.source_time
            missing = unit.image.parts - unit.answered
            unit.answered |= {part for part in missing if part.area is area and start <= part.start and part.end <= end}
            again = time is None or (not missing and time.area is area and start <= time.start and time.end <= end)
            if len(unit.answered) < len(unit.image.parts) or not again:
                return
        elif any(part.area is not area or part.start < start or part.end > end for part in unit.image.parts):
            return
        unit.logged_us = shown.time_us
        self._truth.served(unit.device, shown.time_us, shown.values, shown.quality)
