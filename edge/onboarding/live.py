"""`qenergyz edge live`: values as they come, read by our own drivers, without an agent and without keeping anything.

One line per change: time, tag, old -> new with unit, quality where it is not good. A device that fails costs the others nothing; it is tried
again and said so.
"""

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING, Final

from edge.onboarding import devices
from edge.onboarding.output import INTERRUPTED, OK, UNREACHABLE, USAGE, Output, Stop
from protocols.tomlfile import parse_duration_us

if TYPE_CHECKING:
    from edge.onboarding.values import Reading
    from protocols.devicemap import Device
    from protocols.frame import Frame

RETRY_S: Final = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_config(parser)
    parser.add_argument("device", nargs="?", help="only this [[device]]")
    parser.add_argument("--for", dest="duration", metavar="DURATION", help='end after so long, e.g. "10s"; until Ctrl-C when left out')
    devices.add_beside(parser)


def run(options: argparse.Namespace, out: Output) -> int:
    gateway = devices.load(options.config, out)
    chosen = (devices.find(gateway, options.device),) if options.device else gateway.devices
    seconds = None
    if options.duration:
        try:
            seconds = parse_duration_us(options.duration) / 1e6
        except ValueError as error:
            raise Stop(USAGE, f"--for: {error}") from error
    devices.alone(gateway, options, out)
    return asyncio.run(show([devices.on_trial(device) for device in chosen], out, seconds))


async def show(chosen: "list[Device]", out: Output, seconds: float | None) -> int:
    """Exit code: 7 when there was no value at all, 130 after Ctrl-C."""
    board = Board(out, len(chosen) > 1)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    tasks = [asyncio.create_task(_follow(device, board, out)) for device in chosen]
    try:
        with out.waiting("waiting for the first values"):
            await _either(asyncio.create_task(board.begun.wait()), asyncio.create_task(ended.wait()), seconds)
        rest = None if seconds is None else max(0.0, seconds - (loop.time() - board.since))
        await _either(asyncio.create_task(ended.wait()), None, rest)
    finally:
        from protocols import tasks as endings

        await endings.end(*tasks)
    if ended.is_set():
        out.say("interrupted")
        return INTERRUPTED
    return OK if board.begun.is_set() else UNREACHABLE


async def _either(one: "asyncio.Task[bool]", other: "asyncio.Task[bool] | None", timeout_s: float | None) -> None:
    waiting = [task for task in (one, other) if task]
    await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


class Board:
    """What is known, and prints what changes."""

    def __init__(self, out: Output, several: bool) -> None:
        self._out, self._several = out, several
        self._known: dict[tuple[str, str], Reading] = {}
        self.begun = asyncio.Event()
        self.since = asyncio.get_running_loop().time()

    def take(self, device: "Device", frame: "Frame") -> None:
        from edge.onboarding.values import readings, written_time

        for reading in readings(device, frame):
            key = (reading.device, reading.tag.name)
            before = self._known.get(key)
            self._known[key] = reading
            if before is not None and (before.value, before.quality) == (reading.value, reading.quality):
                continue
            name = f"{reading.device}.{reading.tag.name}" if self._several else reading.tag.name
            change = reading.text if before is None else f"{before.bare} -> {reading.text}"
            self._out.data(f"{written_time(reading.source_us)[11:-1]}  {name:24}  {change}  {reading.condition}".rstrip())
            old = {} if before is None else {"before": before.value}
            self._out.json(reading.document() | old)
        for event in frame.events:
            self._out.data(f"{written_time(event.source_us)[11:-1]}  {event.kind}: {event.source}: {event.message}")
            self._out.json({"event": event.kind, "source": f"{event.device}.{event.source}", "message": event.message})
        if frame.blocks:
            self.begun.set()


async def _follow(device: "Device", board: Board, out: Output) -> None:
    """For ever; what goes wrong is said once, and tried again."""
    from edge.onboarding.advice import advise

    said = ""
    while True:
        try:
            async with devices.opened(device) as driver:
                while True:
                    frame = await driver.read()
                    if frame.acknowledge is not None:
                        frame.acknowledge()  # of the trial's own session
                    board.take(device, frame)
                    said = ""
        except Exception as error:  # of whatever library: the other devices go on
            advice = advise(error, device)
            if advice.cause != said:
                out.say(f"{device.name}: {advice.cause}; trying again\n  next: {advice.next_step}")
            said = advice.cause
        await asyncio.sleep(RETRY_S)
