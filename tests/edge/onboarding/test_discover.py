"""Only what was named is asked, at the rate that was named, and what answers is told by the protocol that it speaks."""

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.onboarding import discover
from edge.onboarding.discover import MOST, Pace, addresses, ask, ports_of
from edge.onboarding.output import Stop


def port_of(address: str) -> int:
    return urlsplit(address if "://" in address else f"//{address}").port or 0


def test_every_protocol_is_recognised(field: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    ports = ",".join(str(port_of(address)) for address in field.values())
    assert main(["discover", "--range", "127.0.0.1/32", "--ports", ports, "--json"]) == 0
    found = {line["port"]: line["protocol"] for line in map(json.loads, capsys.readouterr().out.splitlines())}
    expected = {port_of(address): "iso" if protocol == "iec61850" else protocol for protocol, address in field.items()}
    assert found == expected


def test_next_step_is_a_command_that_works(field: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", "--range", "127.0.0.1/32", "--ports", str(port_of(field["modbus"])), "--json"]) == 0
    command = json.loads(capsys.readouterr().out)["next_step"].split()
    assert command[:2] == ["qenergyz", "edge"]
    assert main(command[2:]) == 0


async def test_port_that_speaks_something_else_is_open_and_unknown() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n" * 20)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        found = await ask("127.0.0.1", server.sockets[0].getsockname()[1], 1.0, Pace(1000))
    assert found is not None
    assert (found.protocol, found.next_step) == ("", "")


async def test_closed_port_is_nothing() -> None:
    assert await ask("127.0.0.1", 1, 1.0, Pace(1000)) is None


async def test_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(discover.asyncio, "sleep", sleep)
    pace = Pace(1)  # so slow that the test's own time does not count
    for _ in range(5):
        await pace.take()
    assert [round(seconds) for seconds in waited] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.0/30", ("192.0.2.1", "192.0.2.2")),
        ("192.0.2.10-192.0.2.12", ("192.0.2.10", "192.0.2.11", "192.0.2.12")),
        ("192.0.2.7", ("192.0.2.7",)),
        ("2001:db8::1", ("2001:db8::1",)),
    ],
    ids=["network", "from to", "one", "IPv6"],
)
def test_range_is_read_as_written(text: str, expected: tuple[str, ...]) -> None:
    assert addresses(text) == expected


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/64", "192.0.2.9-192.0.2.1", "224.0.0.1", "host", "", "192.0.2.0-192.0.9.255", "0.0.0.0"],
)
def test_range_that_is_too_large_or_none_is_refused(text: str) -> None:
    with pytest.raises(Stop) as caught:
        addresses(text)
    assert caught.value.code == 2


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 5000), st.integers(1, 3000))
def test_never_more_addresses_than_allowed(first: int, count: int) -> None:
    import ipaddress

    low, high = ipaddress.IPv4Address(first), ipaddress.IPv4Address(first + count - 1)
    try:
        found = addresses(f"{low}-{high}")
    except Stop:
        return
    assert len(found) == count <= MOST


@pytest.mark.parametrize("text", ["", "0", "70000", "abc", ",".join(map(str, range(1, 30)))])
def test_ports_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Stop):
        ports_of(text)


def test_range_must_be_given() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["discover"])
    assert caught.value.code == 2
