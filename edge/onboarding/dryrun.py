"""`qenergyz edge dry-run`: what would be collected, without keeping or sending anything.

A cycle is the longest interval of a device's map, at most a minute (one second where the device tells changes by itself). Shown are the request plan, samples
per cycle, polls that were missed, and bytes per day: the samples of the run are encoded and signed as a batch would be, with a key that is
thrown away. Of few samples the columns compress less than those of a full batch, so the estimate is on the high side.
"""

import argparse
import asyncio
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.onboarding import devices
from edge.onboarding.output import FAILED, OK, UNREACHABLE, USAGE, Output, Stop

if TYPE_CHECKING:
    from edge.config import GatewayConfig
    from protocols.devicemap import Device
    from protocols.frame import Frame

DAY_US: Final = 86_400_000_000
TOLD_CYCLE_US: Final = 1_000_000
LONGEST_CYCLE_US: Final = 60_000_000
GRACE_S: Final = 1.0


@dataclass(slots=True)
class Result:
    """missed_polls: that gave no frame; None where the device tells changes by itself. stamped: the device stamps its values, and a poll that
    shows nothing new gives no frame either.
    """

    device: str
    protocol: str
    cycle_s: float
    cycles: int
    frames: int = 0
    samples: int = 0
    tags_heard: int = 0
    tags: int = 0
    expected_polls: int | None = None
    missed_polls: int | None = None
    stamped: bool = False
    samples_per_day: int = 0
    bytes_per_day: int = 0
    plan: tuple[str, ...] = ()
    error: str = ""
    next_step: str = ""
    seen: dict[int, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        found = asdict(self)
        del found["seen"]
        return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_config(parser)
    parser.add_argument("--cycles", type=int, default=3, metavar="N", help="how many (3)")
    parser.add_argument("--device", help="only this [[device]]")
    devices.add_beside(parser)


def run(options: argparse.Namespace, out: Output) -> int:
    if not 1 <= options.cycles <= 1000:
        raise Stop(USAGE, f"--cycles: expected 1 to 1000, found {options.cycles}")
    gateway = devices.load(options.config, out)
    chosen = (devices.find(gateway, options.device),) if options.device else gateway.devices
    devices.alone(gateway, options, out)
    results = asyncio.run(_run(gateway, chosen, options.cycles, out))
    out.json({"ok": not any(one.error for one in results), "devices": [one.document() for one in results], **_totals(results)})
    for one in results:
        _print(one, out)
    totals = _totals(results)
    out.data(
        f"in all {totals['samples_per_day']:,} samples and at most about {_size(totals['bytes_per_day'])} a day; nothing was kept or sent"
    )
    if all(one.error for one in results):
        return UNREACHABLE
    return FAILED if any(one.error for one in results) else OK


def _totals(results: list[Result]) -> dict[str, int]:
    return {name: sum(getattr(one, name) for one in results) for name in ("samples_per_day", "bytes_per_day")}


def _print(one: Result, out: Output) -> None:
    out.data(f"{one.device}: {one.protocol}, {one.cycles} cycles of {one.cycle_s:g} s")
    for line in one.plan:
        out.data(f"    {line}")
    if one.error:
        out.data(f"    FAIL {one.error}\n    next: {one.next_step}")
        return
    out.data(f"    {one.samples / one.cycles:g} samples per cycle, {one.tags_heard} of {one.tags} tags heard")
    if one.expected_polls is not None:
        out.data(f"    {one.missed_polls} of {one.expected_polls} polls missed{', or without news' if one.stamped else ''}")
    out.data(f"    {one.samples_per_day:,} samples and at most about {_size(one.bytes_per_day)} a day")


def _size(number: int) -> str:
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= divisor:
            return f"{number / divisor:.1f} {unit}"
    return f"{number} B"


async def _run(gateway: "GatewayConfig", chosen: "tuple[Device, ...]", cycles: int, out: Output) -> list[Result]:
    with out.waiting(f"collecting {cycles} cycles of {len(chosen)} devices"):
        return list(await asyncio.gather(*(_collect(gateway, device, cycles) for device in chosen)))


def _cycle_us(device: "Device") -> int:
    polled = device.map.protocol == "modbus" or getattr(device.map.options, "mode", "") == "poll"
    return min(LONGEST_CYCLE_US, max(tag.every_us for tag in device.map.tags)) if polled else TOLD_CYCLE_US


async def _collect(gateway: "GatewayConfig", device: "Device", cycles: int) -> Result:
    """Never raises: one device that fails says so beside the others."""
    cycle_us = _cycle_us(device)
    result = Result(device.name, device.map.protocol, cycle_us / 1e6, cycles, tags=len(device.map.tags), plan=_plan(device))
    frames: list[Frame] = []
    try:
        async with devices.opened(devices.on_trial(device)) as driver:
            await _read(driver, device, result, frames, cycle_us * cycles / 1e6)
    except Exception as error:  # of whatever library
        from edge.onboarding.advice import advise

        advice = advise(error, device)
        result.error, result.next_step = advice.cause, advice.next_step
    result.tags_heard = len(result.seen)
    _count_missed(result, device, cycle_us)
    _estimate(result, frames, gateway.buffer.seal_every_us, cycle_us * cycles)
    return result


async def _read(driver: Any, device: "Device", result: Result, frames: "list[Frame]", seconds: float) -> None:
    import numpy as np

    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    wanted = _expected(device, round(seconds * 1e6))
    while True:
        try:
            async with asyncio.timeout_at(until + (GRACE_S if wanted and not frames else 0)):
                frame = await driver.read()
        except TimeoutError:
            return
        if frame.acknowledge is not None:
            frame.acknowledge()  # of the trial's own session
        if not frame.blocks:
            continue
        frames.append(frame)
        result.frames += 1
        result.samples += frame.samples
        for block in frame.blocks:
            rows = block.values.shape[0] if block.values.ndim == 2 else 1
            for tag in np.unique(block.tags):
                result.seen[int(tag)] = result.seen.get(int(tag), 0) + rows
        if wanted and all(result.seen.get(tag, 0) >= count for tag, count in wanted.items()):
            return


def _expected(device: "Device", duration_us: int) -> dict[int, int]:
    """Polls of each tag; empty where nobody can know."""
    if device.map.protocol != "modbus":
        return {}
    return {device.first_id + at: -(-duration_us // tag.every_us) for at, tag in enumerate(device.map.tags)}


def _count_missed(result: Result, device: "Device", cycle_us: int) -> None:
    if device.map.protocol != "modbus" or result.error:
        return
    result.stamped = device.map.options.source_time is not None
    groups: dict[int, tuple[int, int]] = {}
    for at, tag in enumerate(device.map.tags):
        expected = -(-cycle_us * result.cycles // tag.every_us)
        groups[tag.every_us] = (expected, max(groups.get(tag.every_us, (0, 0))[1], result.seen.get(device.first_id + at, 0)))
    result.expected_polls = sum(expected for expected, _ in groups.values())
    result.missed_polls = sum(max(0, expected - seen) for expected, seen in groups.values())


def _plan(device: "Device") -> tuple[str, ...]:
    if device.map.protocol == "modbus":
        from protocols.modbus import plan

        settings = device.settings or plan.ModbusSettings()
        return tuple(plan.describe(plan.plan(device.map, settings.over(device.map.options)), device.map).splitlines())
    if device.map.protocol == "mqtt":
        from protocols.mqtt.plan import subscriptions

        return tuple(f"subscription {topic}" for topic in subscriptions(device))
    if device.map.protocol == "iec61850" and device.map.options.mode == "report":
        return (f"{len(device.map.tags)} tags: read once a second here, told by reports when the agent runs, so that it collects less",)
    return (f"{len(device.map.tags)} tags by {'subscription' if device.map.protocol == 'opcua' else 'polling'}",)


def _estimate(result: Result, frames: "list[Frame]", seal_every_us: int, duration_us: int) -> None:
    if not result.samples:
        return
    result.samples_per_day = round(result.samples * DAY_US / duration_us)
    empty, full = _batch_bytes([]), _batch_bytes(frames)
    per_sample = max(0.05, (full - empty) / result.samples)
    result.bytes_per_day = round(DAY_US / seal_every_us * empty + per_sample * result.samples_per_day)


def _batch_bytes(frames: "list[Frame]") -> int:
    """What a batch of them takes on the wire."""
    from protocols.batch import columns, statement
    from protocols.batch.columns import ClockRecord, Gap, GapReason
    from protocols.signing import Ed25519Signer

    groups = columns.gather([block for frame in frames for block in frame.blocks])
    gaps = () if frames else (Gap(0, 1, GapReason(next(iter(GapReason)))),)
    payload = statement.Payload(table_digest=bytes(32), groups=groups, gaps=gaps, clock=ClockRecord(0, 0, 0, bytes(16), 0))
    header = statement.Header(gateway="urn:qz:gw:dry-run", stream="live", epoch=1 << 40, seq=1, prev=bytes(32))
    return len(statement.seal(header, payload, Ed25519Signer.generate()))
