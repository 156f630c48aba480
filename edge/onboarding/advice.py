"""What a failure means and what to do next. Pure: an exception and the device in, an exit code and sentences out."""

import errno
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from edge.onboarding.output import FAILED, REFUSED, UNREACHABLE
from protocols import quality
from protocols.devicemap import Device
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverSetup

# How our drivers say that an identity is not accepted, ours or the peer's.
_IDENTITY: Final = ("refuses the", "refuses our", "refuses this client", "certificate", "fingerprint", "password", "user name", "own key")
_SILENT: Final = {
    "modbus": "check the address, that the device is switched on, and its unit number; a device that takes one connection only may be in use by another program",
    "opcua": "check host and port, and that no firewall on the server or in between drops the connection",
    "mqtt": "check host and port of the broker, and that no firewall drops the connection",
    "iec61850": "check the address; many devices accept clients only from addresses on their list",
}
_CLOSED: Final = {
    "modbus": "check the port (502 unless the maker says otherwise) and that Modbus TCP is switched on in the device",
    "opcua": "check the port (often 4840) and that the OPC UA server runs",
    "mqtt": "check the port (1883, or 8883 with TLS) and that the broker runs",
    "iec61850": "check the port (102) and that the MMS server of the device is switched on",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """code: exit code. cause: a plain sentence. detail: what the library said."""

    code: int
    cause: str
    next_step: str
    detail: str


def chain_of(error: BaseException) -> tuple[BaseException, ...]:
    """The error and what caused it, outermost first."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return tuple(found)


def advise(error: BaseException, device: Device) -> Advice:
    causes = chain_of(error)
    detail = " <- ".join(f"{type(one).__name__}: {one}" for one in causes)
    text = str(error).removeprefix(f'device "{device.name}": ')
    protocol = device.map.protocol
    if isinstance(error, DriverSetup):
        lead, _, paste = text.partition("\n")
        if any(isinstance(one, ssl.SSLError) for one in causes) or any(word in text for word in _IDENTITY):
            return Advice(REFUSED, lead, paste or "correct the credentials of this [[device]], or have them accepted at the device", detail)
        return Advice(FAILED, lead, paste or "correct the [[device]] table or its device map", detail)
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return Advice(
            REFUSED, f"TLS failed: {text}", "check ca_file, the name in the device's certificate, and our certificate_file", detail
        )
    if any(isinstance(one, socket.gaierror) for one in causes):
        return Advice(UNREACHABLE, f'the name in "{device.address}" is not known', "check its spelling and this machine's DNS", detail)
    numbers = {one.errno for one in causes if isinstance(one, OSError)}
    if errno.ECONNREFUSED in numbers:
        return Advice(UNREACHABLE, f"nothing listens at {device.address}", _CLOSED[protocol], detail)
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return Advice(
            UNREACHABLE, f"there is no way to {device.address}", "check this machine's network, its gateway and the cable", detail
        )
    if isinstance(error, DeviceUnreachable | TimeoutError):
        silent = isinstance(error, TimeoutError) or error.quality == quality.BAD_TIMEOUT
        cause = f"no answer from {device.address}" if isinstance(error, TimeoutError) else text
        return Advice(UNREACHABLE, cause, _SILENT[protocol] if silent else f"try again; if it stays: {_SILENT[protocol]}", detail)
    if isinstance(error, DeviceMisbehaves):
        return Advice(FAILED, text, f"check that {device.address} speaks {protocol} and that the unit or path is this device's", detail)
    return Advice(
        FAILED, text or type(error).__name__, "run again with --verbose, and report it with `qenergyz edge support-bundle`", detail
    )
