"""Where a Modbus device is reached, as gateway files write it. Pure.

    "host:502", "tcp://host:502"        Modbus TCP; port 502 when left out
    "tls://host:802"                    the same inside TLS (MODBUS/TCP Security), port 802
    "udp://host:502"                    the same in datagrams
    "rtu+tcp://host:4001"               RTU frames through a serial gateway's raw port, which must be named
    "rtu:///dev/ttyUSB0?baud=9600&parity=E&stop=1"   RTU on a serial line of this machine

Devices with equal endpoints share one connection and one lock; they differ by unit.
"""

import enum
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from protocols.modbus.address import LAST

BAUDS: Final = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)


class Transport(enum.StrEnum):
    TCP = "tcp"
    TLS = "tls"
    UDP = "udp"
    RTU_TCP = "rtu+tcp"
    SERIAL = "rtu"


_PORTS: Final = {Transport.TCP: 502, Transport.TLS: 802, Transport.UDP: 502}


@dataclass(frozen=True, slots=True)
class Line:
    """How characters stand on a serial line: one start bit, 8 data bits, parity N, E or O, one or two stop bits."""

    baud: int = 19200
    parity: str = "E"
    stop: int = 1

    @property
    def character_s(self) -> float:
        return (9 + (self.parity != "N") + self.stop) / self.baud

    @property
    def silence_s(self) -> float:
        """Between two frames: 3.5 characters, 1.75 ms above 19200 baud (Modbus over serial line v1.02, 2.5.1.1)."""
        return 0.00175 if self.baud > 19200 else 3.5 * self.character_s


@dataclass(frozen=True, slots=True)
class Endpoint:
    """host: name, address, or the path of the serial device. line: for the serial transport only."""

    transport: Transport
    host: str
    port: int = 0
    line: Line | None = None

    def __str__(self) -> str:
        if self.line:
            return f"rtu://{self.host}?baud={self.line.baud}&parity={self.line.parity}&stop={self.line.stop}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.transport is Transport.TCP else f"{self.transport}://{host}:{self.port}"


def parse_endpoint(address: str) -> Endpoint:
    """Raises ValueError with a sentence."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return Endpoint(Transport.TCP, *_host_and_port(address, address, 502))
    if scheme not in tuple(Transport):
        raise ValueError(f'expected one of {", ".join(f"{transport}://" for transport in Transport)} or "host:port", found "{address}"')
    transport = Transport(scheme)
    if transport is Transport.SERIAL:
        return _serial(address)
    return Endpoint(transport, *_host_and_port(rest.removesuffix("/"), address, _PORTS.get(transport)))


def _host_and_port(text: str, address: str, default: int | None) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if (not colon or text.endswith("]")) and default is not None:
        host, port = text, str(default)
    if not host or not (port.isascii() and port.isdigit()) or int(port) > LAST or set(host) & set("/?#@"):
        raise ValueError(f'expected "host:port", found "{address}"')
    return host.removeprefix("[").removesuffix("]"), int(port)


def _serial(address: str) -> Endpoint:
    parts = urlsplit(address)
    if parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f'expected "rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1", found "{address}"')
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := given.keys() - {"baud", "parity", "stop"}:
        raise ValueError(f'"{address}": expected baud, parity and stop, found {", ".join(sorted(unknown))}')
    baud, parity, stop = given.get("baud", "19200"), given.get("parity", "E").upper(), given.get("stop", "1")
    if not baud.isdecimal() or int(baud) not in BAUDS:
        raise ValueError(f'"{address}": expected a baud of {", ".join(map(str, BAUDS))}; found {baud}')
    if parity not in ("N", "E", "O") or stop not in ("1", "2"):
        raise ValueError(f'"{address}": expected parity N, E or O and stop 1 or 2; found {parity} and {stop}')
    return Endpoint(Transport.SERIAL, parts.path, 0, Line(int(baud), parity, int(stop)))
