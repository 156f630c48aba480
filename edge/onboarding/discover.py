"""`qenergyz edge discover`: what answers in an explicit range of addresses, and which protocol it speaks.

One harmless question per port: Modbus identification, OPC UA hello, an MQTT connect under a clean session, an ISO transport connect. Never more
than MOST addresses, never more than `--rate` connections per second, only where somebody said so: some devices take one connection, and
networks of plants are watched.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import secrets
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.onboarding.output import OK, USAGE, Output, Stop

MOST: Final = 1024
AT_ONCE: Final = 32
NEXT: Final = {
    "modbus": "modbus://{}:{}",
    "opcua": "opc.tcp://{}:{}",
    "mqtt": "mqtt://{}:{}",
    "iso": "iec61850://{}:{}",
}
_USUAL: Final = {502: "modbus", 4840: "opcua", 1883: "mqtt", 102: "iso"}


@dataclass(frozen=True, slots=True)
class Answer:
    """protocol: "" = the port is open, and nothing that we know answered. said: what it told of itself."""

    host: str
    port: int
    protocol: str
    said: str
    seconds: float

    def document(self) -> dict[str, Any]:
        found = {"host": self.host, "port": self.port, "protocol": self.protocol, "said": self.said, "seconds": round(self.seconds, 6)}
        return found | ({"next_step": self.next_step} if self.next_step else {})

    @property
    def next_step(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"qenergyz edge browse {NEXT[self.protocol].format(host, self.port)}" if self.protocol else ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--range", required=True, metavar="ADDRESSES", help="such as 192.0.2.0/28, 192.0.2.10-192.0.2.20 or one address")
    parser.add_argument("--ports", default="502,4840,1883,102", metavar="LIST", help="comma-separated (502,4840,1883,102)")
    parser.add_argument("--rate", type=float, default=20.0, metavar="N", help="connections per second at most (20; no more than 100)")
    parser.add_argument("--timeout", type=float, default=1.0, metavar="SECONDS", help="for a connection and for an answer (1)")


def run(options: argparse.Namespace, out: Output) -> int:
    hosts, ports = addresses(options.range), ports_of(options.ports)
    if not 0 < options.rate <= 100 or not 0 < options.timeout <= 30:
        raise Stop(USAGE, f"expected a rate up to 100 and a timeout up to 30 s, found {options.rate:g} and {options.timeout:g}")
    out.say(f"asking {len(hosts)} addresses on {len(ports)} ports, at most {options.rate:g} connections a second ...")
    found = asyncio.run(_all(hosts, ports, options, out))
    out.say(f"{len(found)} ports answered")
    return OK


def addresses(text: str) -> tuple[str, ...]:
    """Raises Stop. Of a network those that a host can have."""
    first, dash, last = text.partition("-")
    try:
        if dash:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
            if low.version != high.version or int(high) < int(low):
                raise ValueError("the second address is below the first")
            count = int(high) - int(low) + 1
            if count <= MOST:
                return _checked([str(low + number) for number in range(count)])
        else:
            network = ipaddress.ip_network(text.strip(), strict=False)
            count = network.num_addresses
            if count <= MOST + 2:
                return _checked([str(host) for host in network.hosts()])
    except ValueError as error:
        raise Stop(USAGE, f'"{text}": {error}', "write it as 192.0.2.0/28 or 192.0.2.10-192.0.2.20") from error
    raise Stop(USAGE, f'"{text}" has {count} addresses; {MOST} at most are asked at a time', "choose a smaller range, such as a /24")


def _checked(hosts: list[str]) -> tuple[str, ...]:
    for host in hosts:
        one = ipaddress.ip_address(host)
        if one.is_multicast or one.is_unspecified or str(one) == "255.255.255.255":
            raise ValueError(f"{host} is no address of a single host")
    if not 0 < len(hosts) <= MOST:
        raise ValueError(f"{len(hosts)} addresses; {MOST} at most are asked at a time")
    return tuple(hosts)


def ports_of(text: str) -> tuple[int, ...]:
    """Raises Stop."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or len(parts) > 16 or not all(part.isdecimal() and 0 < int(part) < 65536 for part in parts):
        raise Stop(USAGE, f'"{text}" is no list of up to 16 ports', "write them as 502,4840")
    return tuple(dict.fromkeys(int(part) for part in parts))


async def _all(hosts: Sequence[str], ports: Sequence[int], options: argparse.Namespace, out: Output) -> list[Answer]:
    pace = Pace(options.rate)
    found: list[Answer] = []
    done = 0
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(host: str, port: int) -> None:
        nonlocal done
        async with limit:
            answer = await ask(host, port, options.timeout, pace)
        done += 1
        if answer:
            found.append(answer)
            out.data(f"{host}:{port}  {answer.protocol or 'open, unknown'}  {answer.said}".rstrip())
            if answer.next_step:
                out.data(f"  next: {answer.next_step}")
            out.json(answer.document())

    async with _progress(lambda: f"  {done} of {len(hosts) * len(ports)} asked, {len(found)} answered", out), asyncio.TaskGroup() as group:
        for host in hosts:
            for port in ports:
                group.create_task(one(host, port))
    return found


@contextlib.asynccontextmanager
async def _progress(text: Callable[[], str], out: Output) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(0.4)
            out.say(text())

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


class Pace:
    """`take` returns at most `rate` times a second."""

    def __init__(self, rate: float) -> None:
        self._gap, self._next = 1 / rate, 0.0

    async def take(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._next = max(now, self._next + self._gap)
        if self._next > now:
            await asyncio.sleep(self._next - now)


async def ask(host: str, port: int, timeout_s: float, pace: Pace) -> Answer | None:
    """None when the port does not open. A port that is usual for one protocol is asked in that one first."""
    usual = _USUAL.get(port)
    kinds = [usual] if usual else list(QUESTIONS)
    seconds: float | None = None
    for kind in kinds:
        await pace.take()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            break
        seconds = time.monotonic() - begun
        said = await _question(kind, reader, writer, timeout_s)
        if said is not None:
            return Answer(host, port, kind, said, seconds)
    return None if seconds is None else Answer(host, port, "", "", seconds)


async def _question(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float) -> str | None:
    """What the peer tells of itself when it speaks that protocol, None when it does not."""
    try:
        async with asyncio.timeout(timeout_s):
            return await QUESTIONS[kind](reader, writer)
    except (OSError, TimeoutError, EOFError, asyncio.IncompleteReadError, ValueError, struct.error):
        return None
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


async def _modbus(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
    """Function 43/14, basic identification of unit 1; any answer under our transaction number is Modbus, a refusal too."""
    number = secrets.randbelow(0xFFFF) + 1
    writer.write(struct.pack(">HHHB", number, 0, 5, 1) + bytes([43, 14, 1, 0]))
    transaction, protocol, size, unit = struct.unpack(">HHHB", await reader.readexactly(7))
    if (transaction, protocol, unit) != (number, 0, 1) or not 2 <= size <= 254:
        return None
    body = await reader.readexactly(size - 1)
    if body[0] == 43 + 0x80:
        return "no identification"
    if body[0] != 43:
        return None
    from protocols.modbus.texts import NoText, decode_text, parse_objects

    try:
        return " ".join(decode_text(text) for _, text in sorted(parse_objects(body[3:]).texts.items()))
    except NoText:
        return "unreadable identification"


async def _opcua(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
    """OPC 10000-6, 7.1.2: HEL is answered by ACK or ERR."""
    host, port = writer.get_extra_info("peername")[:2]
    url = f"opc.tcp://{f'[{host}]' if ':' in host else host}:{port}".encode()
    writer.write(b"HELF" + struct.pack("<IIIIIII", 32 + len(url), 0, 65535, 65535, 0, 0, len(url)) + url)
    kind = await reader.readexactly(4)
    (size,) = struct.unpack("<I", await reader.readexactly(4))
    if kind == b"ACKF" and size == 28:
        return "server"
    return "server, refuses our hello" if kind == b"ERRF" and 16 <= size < 5000 else None


async def _mqtt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
    """MQTT 3.1.1: CONNECT with a clean session, answered by CONNACK."""
    name = f"qenergyz-trial-{secrets.token_hex(3)}".encode()
    body = b"\0\4MQTT\4\2\0\x0a" + struct.pack(">H", len(name)) + name
    writer.write(bytes([0x10, len(body)]) + body)
    answer = await reader.readexactly(4)
    if answer[0] != 0x20 or answer[1] != 2:
        return None
    writer.write(b"\xe0\0")
    return {0: "broker", 4: "broker, wants a password", 5: "broker, wants a password"}.get(answer[3], f"broker, refuses with {answer[3]}")


async def _iso(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
    """RFC 1006 and ISO 8073: a connection request is answered by a connection confirm. MMS is one of those that live on it, S7 another."""
    request = bytes([0xE0, 0, 0, 0, 1, 0, 0xC0, 1, 0x0A, 0xC1, 2, 0, 1, 0xC2, 2, 0, 1])
    packet = bytes([len(request)]) + request
    writer.write(struct.pack(">BBH", 3, 0, 4 + len(packet)) + packet)
    version, _, size = struct.unpack(">BBH", await reader.readexactly(4))
    if version != 3 or not 6 < size < 200:
        return None
    answer = await reader.readexactly(size - 4)
    return {0xD0: "ISO transport: IEC 61850 (MMS), or another of its kind", 0x80: "ISO transport, refuses"}.get(answer[1] & 0xF0)


QUESTIONS: Final[Mapping[str, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[str | None]]]] = {
    "modbus": _modbus,
    "opcua": _opcua,
    "mqtt": _mqtt,
    "iso": _iso,
}
