"""`qenergyz edge test`: one device, step by step: resolve, connect, authenticate, read; each with its latency, cause and next step.

A Modbus device is connected to once only, because many take one connection; for the others the way to the port is tried by itself first, so
that a network that is cut is told from a server that refuses.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.onboarding import devices
from edge.onboarding.output import FAILED, OK, UNREACHABLE, Output

if TYPE_CHECKING:
    from edge.onboarding.values import Reading
    from protocols.devicemap import Device

SETTLE_S: Final = 1.5  # after the first frame, for tags that come in others


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    ok: bool
    seconds: float
    said: str = ""
    next_step: str = ""
    detail: str = ""


@dataclass(slots=True)
class Trial:
    """What one device did. code: exit code."""

    device: str
    protocol: str
    address: str
    steps: list[Step]
    readings: dict[str, "Reading"]
    code: int = OK

    @property
    def failed(self) -> Step | None:
        return next((step for step in self.steps if not step.ok), None)

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.code == OK,
            "device": self.device,
            "protocol": self.protocol,
            "address": self.address,
            "steps": [asdict(step) | {"seconds": round(step.seconds, 6)} for step in self.steps],
            "values": [reading.document() for reading in self.readings.values()],
        }


class Failed(Exception):
    """A step failed: it stands in the trial."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_config(parser)
    parser.add_argument("device", help="name of a [[device]]")
    parser.add_argument("--wait", type=float, default=10.0, metavar="SECONDS", help="for the first values (10)")
    parser.add_argument("--verbose", action="store_true", help="also what the libraries said")
    devices.add_beside(parser)


def run(options: argparse.Namespace, out: Output) -> int:
    gateway = devices.load(options.config, out)
    device = devices.find(gateway, options.device)
    devices.alone(gateway, options, out)
    trial = asyncio.run(try_device(device, out, options.wait))
    out.json(trial.document())
    out.data(f"{trial.device}: {trial.protocol} at {trial.address}")
    for step in trial.steps:
        out.data(f"  {'ok  ' if step.ok else 'FAIL'} {step.name:12} {step.seconds * 1000:8.1f} ms  {step.said}".rstrip())
        if step.next_step:
            out.data(f"       next: {step.next_step}".replace("\n", "\n         "))
        if step.detail and options.verbose:
            out.data(f"       detail: {step.detail}".replace("\n", "\n         "))
    width = max((len(name) for name in trial.readings), default=0)
    for name, reading in trial.readings.items():
        out.data(f"  {name:{width}}  {reading.text}  {reading.condition}".rstrip())
    return trial.code


async def try_device(device: "Device", out: Output, wait_s: float) -> Trial:
    trial = Trial(device.name, device.map.protocol, device.address, [], {})
    with contextlib.suppress(Failed):
        await _try(devices.on_trial(device), trial, out, wait_s)
    return trial


async def _try(device: "Device", trial: Trial, out: Output, wait_s: float) -> None:
    place = devices.host_and_port(device)
    if place:
        found = await _step(trial, out, device, "resolve", devices.resolve(*place))
        trial.steps[-1] = Step("resolve", True, trial.steps[-1].seconds, found if found != place[0] else "an address, nothing to look up")
    by_itself = place is not None and trial.protocol != "modbus"
    if by_itself and place:
        await _step(trial, out, device, "connect", devices.reach(*place))
    opening = devices.opened(device)
    driver = await _step(trial, out, device, "authenticate" if by_itself else "connect", opening.__aenter__())
    try:
        if not by_itself:
            trial.steps.append(Step("authenticate", True, 0.0, _unauthenticated(device)))
        await _step(trial, out, device, "read", _read(driver, device, trial, wait_s), f"no values within {wait_s:g} s")
    finally:
        await opening.__aexit__(None, None, None)
    good = sum(reading.condition == "" for reading in trial.readings.values())
    missing = len(device.map.tags) - len(trial.readings)
    said = f"{good} of {len(device.map.tags)} tags good" + (f", {missing} not heard of yet" if missing else "")
    step = trial.steps[-1]
    if good:
        trial.steps[-1] = Step("read", True, step.seconds, said)
    else:
        trial.steps[-1] = Step("read", False, step.seconds, said, "compare the addresses of the device map with the device's own list")
        trial.code = FAILED


def _unauthenticated(device: "Device") -> str:
    if getattr(device.settings, "tls", None) is not None:
        return "by the certificates of both sides, while connecting"
    return "this protocol knows no identity"


async def _step(trial: Trial, out: Output, device: "Device", name: str, work: Awaitable[Any], silent: str = "") -> Any:
    begun = time.monotonic()
    try:
        with out.waiting(f"{name} {device.address}"):
            found = await work
    except Exception as error:  # of whatever library: it becomes the answer of this command
        from edge.onboarding.advice import advise

        advice = advise(error, device)
        quiet = isinstance(error, TimeoutError) and silent
        trial.code = UNREACHABLE if quiet else advice.code
        next_step = _publishers(device) if quiet and device.map.protocol == "mqtt" else advice.next_step
        said = silent if quiet else advice.cause
        trial.steps.append(Step(name, False, time.monotonic() - begun, said, next_step, advice.detail))
        raise Failed from error
    trial.steps.append(Step(name, True, time.monotonic() - begun))
    return found


def _publishers(device: "Device") -> str:
    from protocols.mqtt.plan import subscriptions

    topics = ", ".join(subscriptions(device))
    return f"check that something publishes on {topics}; `qenergyz edge browse` shows which topics there are, and --wait waits longer"


async def _read(driver: Any, device: "Device", trial: Trial, wait_s: float) -> None:
    """The newest reading of every tag. Raises TimeoutError when there is none at all, DriverError."""
    from edge.onboarding.values import readings

    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while len(trial.readings) < len(device.map.tags):
        try:
            async with asyncio.timeout_at(until):
                frame = await driver.read()
        except TimeoutError:
            if not trial.readings:
                raise
            return
        if frame.acknowledge is not None:
            frame.acknowledge()  # of the trial's own session
        trial.readings.update((reading.tag.name, reading) for reading in readings(device, frame))
        if frame.blocks:
            until = min(until, loop.time() + SETTLE_S)
