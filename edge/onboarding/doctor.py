"""`qenergyz edge doctor`: everything that a gateway needs, checked one by one: PASS, WARN or FAIL, with a fix. Exit code 1 when something fails.

Nothing is changed. While the agent runs, devices are not connected to a second time: the agent is asked how they are.
"""

import argparse
import asyncio
import platform
import resource
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.onboarding import devices
from edge.onboarding.output import FAILED, OK, Output, Stop

if TYPE_CHECKING:
    from edge.config import GatewayConfig
    from edge.onboarding.checks import Check

NAMES: Final = (
    "python",
    "system",
    "configuration",
    "open files",
    "clock",
    "data folder",
    "disk",
    "buffer",
    "schema version",
    "buffer key",
    "key permissions",
    "secret files",
    "port",
    "libraries",
    "serial lines",
    "agent",
    "enrolment",
    "client certificate",
    "hub name",
    "hub certificate",
    "hub",
    "hub clock",
    "device",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_config(parser)
    parser.add_argument("--wait", type=float, default=10.0, metavar="SECONDS", help="for the first values of a device (10)")
    parser.add_argument("--no-devices", action="store_true", help="leave the devices alone")


def run(options: argparse.Namespace, out: Output) -> int:
    out.say("looking at this machine ...")
    found = asyncio.run(_run(options, out))
    out.json({"ok": not _failures(found), "checks": [check.document() for check in found]})
    counts = {word: sum(check.outcome == word for check in found) for word in ("PASS", "WARN", "FAIL")}
    out.data(", ".join(f"{count} {word}" for word, count in counts.items()))
    return FAILED if _failures(found) else OK


def _failures(found: "list[Check]") -> bool:
    return any(check.outcome == "FAIL" for check in found)


async def _run(options: argparse.Namespace, out: Output) -> "list[Check]":
    found: list[Check] = []
    async for check in every_check(options.config, out, wait_s=options.wait, ask_devices=not options.no_devices):
        found.append(check)
        title = f"{check.name} {check.about}".rstrip()
        out.data(f"{check.outcome:4}  {title:22}  {check.said}".rstrip())
        if check.fix:
            out.data(f"      fix: {check.fix}".replace("\n", "\n           "))
    return found


async def every_check(path: Path, out: Output, *, wait_s: float = 10.0, ask_devices: bool = True) -> "AsyncIterator[Check]":
    """In the order of NAMES, as far as the gateway's file can be read."""
    from edge.onboarding import checks

    yield checks.python(tuple(sys.version_info[:3]))
    yield checks.system(platform.system(), platform.release(), platform.machine())
    try:
        gateway = devices.load(path, out)
    except Stop as stop:
        yield checks.failed("configuration", stop.cause, stop.next_step)
        return
    yield configuration(gateway)
    with out.waiting("looking at clock, disk and buffer"):
        local = await asyncio.to_thread(_machine, gateway, path)
    for check in local:
        yield check
    running = devices.agent_runs(gateway.data)
    health = await asyncio.to_thread(_health, gateway) if running else None
    yield agent(running, health)
    async for check in _hub(gateway, path, out):
        yield check
    async for check in _devices(gateway, running, health, out, wait_s) if ask_devices else _none():
        yield check


async def _none() -> "AsyncIterator[Check]":
    return
    yield


def configuration(gateway: "GatewayConfig") -> "Check":
    from edge.lint import remarks
    from edge.onboarding.checks import passed, warned

    maps = {device.map.name: device.map for device in gateway.devices}
    said = [f"{name}: {remark}" for name, one in maps.items() for remark in remarks(one)]
    if said:
        return warned("configuration", f"{len(said)} remarks, the first: {said[0]}", "qenergyz edge check lists them all")
    return passed("configuration", f"gateway {gateway.name}, {len(gateway.devices)} devices, {len(gateway.table.entries)} tags")


def _machine(gateway: "GatewayConfig", path: Path) -> "list[Check]":
    from edge.clockwatch import clock_record
    from edge.onboarding import checks

    data = gateway.data
    named, elsewhere = checks.secret_paths(path)
    own = [data / "gateway.key", data / "hub-client.pem", *data.glob("**/key.pem")]
    identities = [folder / "key.pem" for device in gateway.devices if (folder := getattr(device.settings, "identity", None))]
    credentials = [
        file for what, file in named.items() if what.endswith(("password_file", "key_file", "user_key", "client_key", "hub: key"))
    ]
    keys = dict.fromkeys((*own, *identities, *credentials))
    lines = [device.address.removeprefix("rtu://").partition("?")[0] for device in gateway.devices if device.address.startswith("rtu://")]
    return [
        checks.open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0], len(gateway.devices)),
        checks.clock(clock_record(bytes(16)), time.time_ns() // 1000),
        checks.folder(data),
        checks.disk_of(data, gateway.buffer.max_bytes),
        *checks.buffer(data / "buffer.db"),
        checks.buffer_key(gateway.buffer.key),
        checks.key_permissions(keys),
        checks.secret_files(named, elsewhere),
        checks.health_port(gateway.health, devices.agent_runs(data)),
        checks.libraries({device.map.protocol for device in gateway.devices}, bool(gateway.hub)),
        checks.serial_lines(lines),
    ]


def _health(gateway: "GatewayConfig") -> dict[str, Any] | None:
    from edge.onboarding.status import health_of

    return health_of(gateway.data)


def agent(running: bool, health: "dict[str, Any] | None") -> "Check":
    from edge.onboarding.checks import failed, passed, warned

    if not running:
        return passed("agent", "does not run")
    if health is None:
        return failed("agent", "runs, but its health page does not answer", "look into its log; restart it if it hangs")
    causes = "; ".join(cause["cause"] for cause in health["causes"])
    fix = "qenergyz edge status says more; each cause names what to do"
    if health["state"] == "red":
        return failed("agent", f"red: {causes}", fix)
    return warned("agent", f"amber: {causes}", fix) if health["state"] == "amber" else passed("agent", "runs, green")


async def _hub(gateway: "GatewayConfig", path: Path, out: Output) -> "AsyncIterator[Check]":
    from edge.onboarding import hubchecks

    yield hubchecks.enrolled(gateway.data, gateway.hub, path)
    if not gateway.hub:
        return
    import httpx

    from edge import hubtls
    from edge.onboarding.checks import failed

    hub = hubchecks.Hub.of(gateway.hub)
    try:
        authorities = hubtls.authorities(gateway.access) if hub.secure else httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        yield failed(
            "hub certificate", str(error), 'name the authorities of the hub\'s certificate (PEM) as "ca" in [hub], or leave it out'
        )
        return
    yield hubchecks.client_certificate(gateway.access, gateway.data, gateway.urn, authorities, datetime.now(UTC))
    with out.waiting(f"asking the hub at {hub.host}:{hub.port}"):
        named = await hubchecks.name(hub)
        yield named
        if named.outcome == "FAIL":
            return
        yield await hubchecks.certificate(hub, authorities, datetime.now(UTC))
        for check in await hubchecks.answer(hub, authorities):
            yield check


async def _devices(
    gateway: "GatewayConfig", running: bool, health: "dict[str, Any] | None", out: Output, wait_s: float
) -> "AsyncIterator[Check]":
    if running:
        for state in (health or {}).get("devices", ()):
            yield by_agent(state)
        return
    from edge.onboarding.probe import try_device

    for pending in asyncio.as_completed([try_device(device, out, wait_s) for device in gateway.devices]):
        yield by_trial(await pending)


def by_agent(state: "dict[str, Any]") -> "Check":
    from edge.onboarding.checks import failed, passed

    if state["up"]:
        return passed("device", f"up, {state['samples']} samples so far", state["name"])
    return failed(
        "device", f"down: {state['cause']}", "stop the agent and run `qenergyz edge test` on this device for its cause", state["name"]
    )


def by_trial(trial: Any) -> "Check":
    from edge.onboarding.checks import failed, passed, warned

    wrong = trial.failed
    if wrong is not None:
        return failed("device", f"{wrong.name}: {wrong.said}", wrong.next_step, trial.device)
    seconds = sum(step.seconds for step in trial.steps)
    bad = sum(1 for reading in trial.readings.values() if reading.condition)
    said = f"{trial.steps[-1].said}, {seconds * 1000:.0f} ms in all"
    if bad:
        return warned("device", f"{said}; {bad} tags are not good", "qenergyz edge test shows them: compare their addresses", trial.device)
    return passed("device", said, trial.device)
