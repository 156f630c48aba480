"""The seam between the agent and a protocol.

A driver belongs to one device. The poller opens it, calls `read` in a loop and closes it; after any DriverError it closes
the driver and later opens it again, so a driver keeps no state worth saving across that.
"""

import importlib
from collections.abc import Collection, Mapping
from typing import Final, Protocol, runtime_checkable

from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.frame import Frame


class DriverError(Exception):
    """The device gave no answer that can be used. `quality` is what its tags get until it does."""

    def __init__(self, message: str, quality: int) -> None:
        super().__init__(message)
        self.quality = quality


class DeviceUnreachable(DriverError):
    """Refused, timed out or cut: try again later."""


class DeviceMisbehaves(DriverError):
    """The peer answered against its protocol: the link is dropped and nothing of the answer is kept."""


class DriverSetup(DriverError):
    """Our configuration does not fit this device: a person has to change it."""


class WriteRefused(Exception):
    """Nothing was changed, or the device said that it would not; the link stands. The message says who refused and why."""


class Driver(Protocol):
    async def open(self) -> None:
        """Connect and prepare. Raises DriverError; afterwards `close` is still called."""

    async def read(self) -> Frame:
        """Wait until a poll is due or data has arrived, and return it with per-tag quality. Raises DriverError when the link is gone.

        Never returns a frame without samples or events, never blocks the loop, may be cancelled at any await without losing data that
        was not yet acknowledged to the peer.
        """

    async def close(self) -> None:
        """Let go of the link; never raises, may be called twice."""


@runtime_checkable
class WritingDriver(Driver, Protocol):
    """A driver that can also set values. `edge/commands.py` decides whether it may."""

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        """Set tag number `index` of the map to the raw value (of the tag's type). May be called while `read` waits; goes before polls.

        expected: the value is read first, and nothing is written when it is another. Returns when the device has confirmed. Raises
        WriteRefused, or DriverError when the link is gone and it is not known what happened.
        """


@runtime_checkable
class ResumingDriver(Driver, Protocol):
    """A driver that can fetch what happened while nobody listened."""

    def resume(self, last_us: Mapping[int, int]) -> None:
        """Before `open`: source time of the newest sample that is kept, by the tag's number in the map."""


# Imported on first use, so that an agent without OPC UA devices never loads asyncua.
DRIVERS: Final[Mapping[str, str]] = {
    "modbus": "protocols.modbus.driver:ModbusDriver",
    "opcua": "protocols.opcua.driver:OpcUaDriver",
    "mqtt": "protocols.mqtt.driver:MqttDriver",
    "iec61850": "protocols.iec61850.driver:Iec61850Driver",
}

REMEMBERING: Final = frozenset({"mqtt", "iec61850"})  # their drivers are told what earlier sessions delivered


def open_driver(device: Device, clock: Clock, delivered: Collection[bytes] = ()) -> Driver:
    """The driver for the device's protocol, not yet opened. Raises DriverSetup when its library is not installed.

    delivered: `Frame.messages` of the device's newest frames in the buffer, for a protocol whose peer may deliver them again.
    """
    from protocols import quality

    module_name, _, class_name = DRIVERS[device.map.protocol].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise DriverSetup(
            f'device "{device.name}": protocol {device.map.protocol} needs the package {error.name}; install qenergyz[edge] or the extra of the protocol',
            quality.BAD_CONFIGURATION,
        ) from error
    make = getattr(module, class_name)
    driver: Driver = make(device, clock, delivered) if device.map.protocol in REMEMBERING else make(device, clock)
    return driver
