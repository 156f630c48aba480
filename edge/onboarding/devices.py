"""Devices for a trial: found by name, opened beside the agent without disturbing it, closed without leaving anything behind.

A trial never uses the agent's own identity at a peer that knows only one of each: an MQTT broker hands a client's session to whoever comes
with its name, and a report control block has one owner. So MQTT is tried under a name of its own that the broker forgets afterwards, without
share and without being a primary host, and IEC 61850 by polling.
"""

import asyncio
import contextlib
import fcntl
import logging
import secrets
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from edge.onboarding import masking
from edge.onboarding.output import CONFLICT, NOT_FOUND, USAGE, Output, Stop
from protocols.tomlfile import ConfigError, nearest

if TYPE_CHECKING:
    from edge.config import GatewayConfig
    from protocols.devicemap import Device
    from protocols.driver import Driver

FORGET_S: Final = 5.0


def add_config(parser: ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="gateway file, e.g. gateway.toml")


def add_beside(parser: ArgumentParser) -> None:
    parser.add_argument("--beside", action="store_true", help="also while the agent runs: a second connection, which some devices refuse")


def load(path: Path, out: Output) -> "GatewayConfig":
    """The gateway file. Says something before the slow part. Raises Stop."""
    with out.waiting(f"reading {path}"):
        out.masker.learn(masking.of_gateway(path))
        from edge import config

        logging.basicConfig(level=logging.CRITICAL)  # drivers tell by exception, too
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        logging.getLogger("qenergyz").setLevel(logging.CRITICAL)
        try:
            return config.load(path)
        except ConfigError as error:
            raise Stop(USAGE, str(error), f"correct it; `qenergyz edge check {path}` says when it is right") from error


def find(gateway: "GatewayConfig", name: str) -> "Device":
    """Raises Stop."""
    found = next((device for device in gateway.devices if device.name == name), None)
    if found is None:
        names = [device.name for device in gateway.devices]
        raise Stop(NOT_FOUND, f'there is no device "{name}"{nearest(name, names)}', f"the file has {', '.join(names)}")
    return found


def agent_runs(data: Path) -> bool:
    """Whether an agent holds the data folder. Nothing is created, and a starting agent is hindered for some microseconds at most."""
    try:
        with (data / "agent.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return (data / "agent.json").exists()
    return False


def alone(gateway: "GatewayConfig", options: Namespace, out: Output) -> None:
    """Raises Stop when the agent runs and `--beside` was not given."""
    if not agent_runs(gateway.data):
        return
    if not options.beside:
        raise Stop(
            CONFLICT,
            f"the agent of {gateway.name} runs and is connected to these devices; some devices take one connection only",
            f"ask it with `qenergyz edge status {options.config}`, stop it, or add --beside for a second connection",
        )
    out.say("the agent runs: this is a second connection to each device")


def on_trial(device: "Device") -> "Device":
    """The same device, as a trial may use it."""
    settings: Any = device.settings
    if device.map.protocol == "mqtt" and settings is not None:
        name = f"qenergyz-trial-{secrets.token_hex(4)}"
        return replace(device, settings=replace(settings, client_id=name, share="", primary_host=""))
    if device.map.protocol == "iec61850":
        from protocols.iec61850.plan import Mode

        return replace(device, map=replace(device.map, options=replace(device.map.options, mode=Mode.POLL)))
    return device


@contextlib.asynccontextmanager
async def opened(device: "Device") -> AsyncIterator["Driver"]:
    """device: from `on_trial`. Raises DriverError, TimeoutError."""
    from edge.poller import OPEN_TIMEOUT_S
    from protocols.clock import SystemClock
    from protocols.driver import open_driver

    driver = open_driver(device, SystemClock())
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await driver.open()
        yield driver
    finally:
        await driver.close()
        await forget(device)


async def forget(device: "Device") -> None:
    """Has a broker throw away the session of a trial."""
    if device.map.protocol != "mqtt" or not device.settings.client_id.startswith("qenergyz-trial-"):
        return
    place = host_and_port(device)
    with contextlib.suppress(Exception):  # where it cannot be reached there is nothing to forget, or nobody to tell
        if place:
            await reach(*place, timeout_s=1.0)
        async with asyncio.timeout(FORGET_S):
            await asyncio.to_thread(_forget, device)


def _forget(device: "Device") -> None:
    from edge.onboarding.topics import clean_client

    client = clean_client(device)
    for _ in range(50):
        client.loop(timeout=0.1)
        if client.is_connected():
            break
    client.disconnect()
    client.loop(timeout=0.1)


def host_and_port(device: "Device") -> tuple[str, int] | None:
    """Where a TCP connection leads to the device; None for serial lines and datagrams."""
    if device.map.protocol == "modbus":
        from protocols.modbus.endpoint import Transport, parse_endpoint

        endpoint = parse_endpoint(device.address)
        return None if endpoint.transport in (Transport.SERIAL, Transport.UDP) else (endpoint.host, endpoint.port)
    if device.map.protocol == "mqtt":
        from protocols.mqtt import plan

        return plan.parse_endpoint(device.address)
    parts = urlsplit(device.address if "://" in device.address else f"//{device.address}")
    return parts.hostname or "", parts.port or (4840 if device.map.protocol == "opcua" else 102)


async def reach(host: str, port: int, timeout_s: float = 5.0) -> None:
    """A TCP connection that is closed again at once. Raises OSError, TimeoutError."""
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def resolve(host: str, port: int, timeout_s: float = 5.0) -> str:
    """The address that a name stands for. Raises OSError, TimeoutError."""
    async with asyncio.timeout(timeout_s):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
