"""`qenergyz sim run SCENARIO`: serve a scenario's devices, step by step, until told to stop. (`qenergyz sim market` is in `market`.)
`qenergyz sim serve FILE`: what a device map, an SCL file or nodesets say, with plausible moving values.

Commands come as lines on standard input: `go`, `hold` (stop stepping, go on serving), `step N`, `fault DEVICE KIND SECONDS`, `stop`. With `--wait` the first step is shown and
nothing moves before `go` or `step`, and the end of standard input ends the run (whoever steered it is gone). After the last step the
last values stay served. SIGTERM and SIGINT end the run.
"""

import argparse
import asyncio
import contextlib
import importlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from protocols.devicemap import Device
from protocols.tomlfile import ConfigError
from simulators import serving
from simulators.face import Face, LabelLog, Source, Step, TruthLog
from simulators.faults import KINDS
from simulators.replay import RecordingError
from simulators.scenario import Scenario, find_scenario, load_scenario, open_sources
from simulators.serving import Served

FACES: Final[Mapping[str, str]] = {
    "modbus": "simulators.modbus:ModbusFace",
    "opcua": "simulators.opcua:OpcUaFace",
    "mqtt": "simulators.mqtt:MqttFace",
    "iec61850": "simulators.iec61850:Iec61850Face",
}
PROGRESS_S: Final = 5.0
STOP_S: Final = 1.5


def main(argv: Sequence[str]) -> int:
    if argv[:1] == ["market"]:
        from simulators import market

        return market.main(argv[1:])
    arguments = _parser().parse_args(argv)
    try:
        served = _served(arguments)
    except (ConfigError, RecordingError, ValueError) as error:
        print(f"qenergyz sim: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    with contextlib.ExitStack() as stack:
        truth = None
        if arguments.truth:
            truth = TruthLog(stack.enter_context(Path(arguments.truth).open("w", encoding="ascii")))
        labels = LabelLog(stack.enter_context(Path(arguments.labels).open("w", encoding="utf-8"))) if arguments.labels else None
        try:
            return asyncio.run(_run_nodesets(arguments) if served is None else _run(arguments, served, truth, labels))
        except ModuleNotFoundError as error:
            print(f'qenergyz sim: this scenario needs the package {error.name}: pip install "qenergyz[all]"', file=sys.stderr)
            return 2
        except OSError as error:
            print(f"qenergyz sim: {error}", file=sys.stderr)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qenergyz sim", description="A field without hardware.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("market", add_help=False, help="post quotes of a simulated market to a hub")
    run = commands.add_parser("run", help="serve a scenario")
    run.add_argument("scenario", help="a file, or the name of a shipped scenario")
    serve = commands.add_parser("serve", help="serve what a device map, SCL file or nodeset says, with plausible moving values")
    serve.add_argument(
        "files", nargs="+", metavar="FILE", help="a device map (file or name of a shipped one), an SCL file, or nodesets in order"
    )
    serve.add_argument("--address", help="where to listen, in the words of a gateway's file (any free port of 127.0.0.1)")
    serve.add_argument("--name", help="of the device (the map's name)")
    serve.add_argument("--unit", type=int, default=1, help="Modbus unit (1)")
    for command in (run, serve):
        _add_stepping(command)
    return parser


def _add_stepping(run: argparse.ArgumentParser) -> None:
    run.add_argument("--truth", metavar="FILE", help="write every value served, one line per sample")
    run.add_argument("--labels", metavar="FILE", help="write what truly happens, one line per change: device, time in us, label")
    run.add_argument("--ready", metavar="FILE", help="write {device: address} as JSON once all listen")
    run.add_argument("--wait", action="store_true", help="show the first step and wait for a command")
    run.add_argument("--rate", type=float, metavar="X", help="steps per second instead of the scenario's")
    run.add_argument("--steps", type=int, metavar="N", help="end the stepping after N steps")
    run.add_argument("--seed", type=int, metavar="N", help="seed instead of the scenario's")


def _served(arguments: argparse.Namespace) -> Served | None:
    """None for nodesets, which have no device map. Raises ConfigError, RecordingError, ValueError."""
    if arguments.command == "run":
        scenario = load_scenario(find_scenario(arguments.scenario))
        return Served(scenario, open_sources(scenario))
    paths = [serving.find(name) for name in arguments.files]
    root, seed = serving.root_of(paths[0]), arguments.seed or 1
    if root == "UANodeSet":
        return None
    if len(paths) > 1:
        raise ConfigError(paths[1], 0, "only nodesets are served several at a time")
    if root == "SCL":
        try:
            return serving.of_scl(paths[0], seed=seed)
        except Exception as error:
            raise ValueError(f"{paths[0]}: {error}") from error
    return serving.of_map(paths[0], name=arguments.name or "", address=arguments.address or "", unit=arguments.unit, seed=seed)


async def _run_nodesets(arguments: argparse.Namespace) -> int:
    from simulators.opcua_nodesets import NodesetServer

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = NodesetServer([serving.find(name) for name in arguments.files], seed=arguments.seed or 1)
    if arguments.address:
        server.address = arguments.address
    await server.start()
    try:
        print(f"nodesets: {server.address}, {len(server.moving)} moving variables", flush=True)
        if arguments.ready:
            write_ready(Path(arguments.ready), {"nodesets": server.address})
        while not stop.is_set():
            await server.step(time.time_ns() // 1000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 / (arguments.rate or 1.0)):
                    await stop.wait()
    finally:
        await server.stop()
    return 0


async def _run(arguments: argparse.Namespace, served: Served, truth: TruthLog | None, labels: LabelLog | None) -> int:
    scenario = served.scenario
    commands: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, commands.put_nowait, "stop")
    show = Show(
        scenario, served.sources, truth, labels, make_face=served.make_face, rate=arguments.rate or scenario.rate, last_step=arguments.steps
    )
    try:
        await show.start()
        for name, address in show.addresses().items():
            print(f"{name}: {address}", flush=True)
        if arguments.command == "serve":
            for device in scenario.devices:
                print(f"\n{serving.for_a_gateway(device, show.addresses()[device.name])}", flush=True)
        if arguments.ready:
            write_ready(Path(arguments.ready), show.addresses())
        _listen(sys.stdin, commands, loop, stop_at_end=arguments.wait)
        if not arguments.wait:
            commands.put_nowait("go")
        await show.run(commands)
    finally:
        await show.stop()
    return 0


def write_ready(path: Path, addresses: Mapping[str, str]) -> None:
    """Whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(addresses, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _listen(lines: TextIO | None, commands: "asyncio.Queue[str]", loop: asyncio.AbstractEventLoop, *, stop_at_end: bool) -> None:
    """Pass lines on as commands. A thread, since standard input may be a file, a terminal or a pipe."""

    def forward() -> None:
        with contextlib.suppress(RuntimeError, ValueError, OSError):  # the loop or the input is closed
            for line in lines or ():
                loop.call_soon_threadsafe(commands.put_nowait, line.strip())
            if stop_at_end:
                loop.call_soon_threadsafe(commands.put_nowait, "stop")

    threading.Thread(target=forward, daemon=True).start()


def open_face(protocol: str, truth: TruthLog | None) -> Face:
    module, _, name = FACES[protocol].partition(":")
    face: Face = getattr(importlib.import_module(module), name)(truth)
    return face


class Show:
    """The scenario being served: faces, sources, and where in time it stands."""

    def __init__(
        self,
        scenario: Scenario,
        sources: Sequence[Source],
        truth: TruthLog | None,
        labels: LabelLog | None = None,
        *,
        make_face: Callable[[str, TruthLog | None], Face] | None = None,
        rate: float,
        last_step: int | None = None,
    ) -> None:
        self._scenario, self._sources, self._truth, self._labels = scenario, sources, truth, labels
        self._rate, self._last_step = rate, last_step
        self._make_face = make_face or open_face
        self._faces: dict[str, Face] = {}
        self._faults: set[asyncio.Task[None]] = set()
        self._time_us = 0
        self._going = False
        self.steps = 0
        self.finished = False

    async def start(self) -> None:
        """Listen everywhere and show the first step."""
        first = [source.step(0, self._next_time_us()) for source in self._sources]
        devices = self._scenario.devices
        for protocol in dict.fromkeys(device.map.protocol for device in devices):
            face = self._faces[protocol] = self._make_face(protocol, self._truth)
            for device, step in zip(devices, first, strict=True):
                if step is not None and device.map.protocol == protocol:
                    self._label(device, step)
            chosen = [(device, step) for device, step in zip(devices, first, strict=True) if device.map.protocol == protocol and step]
            await face.start([device for device, _ in chosen], [step for _, step in chosen])

    def _label(self, device: Device, step: Step) -> None:
        if self._labels is not None:
            self._labels.shown(device, step)

    def addresses(self) -> dict[str, str]:
        return {device.name: self._faces[device.map.protocol].address_of(device) for device in self._scenario.devices}

    async def run(self, commands: "asyncio.Queue[str]") -> None:
        """Obey commands and the clock until "stop"."""
        started = due = said = time.monotonic()
        while True:
            moving = self._going and not self.finished
            pause = max(0.0, due - time.monotonic()) if moving else PROGRESS_S
            try:
                command = commands.get_nowait() if pause == 0 else await asyncio.wait_for(commands.get(), pause)
            except (TimeoutError, asyncio.QueueEmpty):
                command = ""
            if command == "stop":
                return
            if command:
                was_going, due = self._going, max(due, time.monotonic() - 1.0)
                await self._obey(command)
                if self._going and not was_going:
                    due = time.monotonic() + 1 / self._rate
            elif moving:
                await self.step()
                due = max(due + 1 / self._rate, time.monotonic() - 1.0)
            if time.monotonic() - said >= PROGRESS_S:
                said = time.monotonic()
                print(f"sim {self._scenario.name}: step {self.steps}, {said - started:.0f} s", file=sys.stderr, flush=True)

    async def _obey(self, command: str) -> None:
        match command.split():
            case ["go"] if not self._going:
                self._going = True
                self._schedule_faults()
            case ["go"]:
                pass
            case ["hold"]:
                self._going = False
            case ["step", count] if count.isdecimal():
                for _ in range(int(count)):
                    await self.step()
                print(f"sim {self._scenario.name}: step {self.steps}", file=sys.stderr, flush=True)
            case ["fault", device, kind, seconds] if kind in KINDS:
                self._fault(device, kind, 0, float(seconds))
            case _:
                print(f'sim: not understood: "{command}"; expected go, hold, step N, fault DEVICE KIND SECONDS or stop', file=sys.stderr)

    async def step(self) -> None:
        """Everything moves on by one step."""
        if self.finished:
            return
        if self._last_step is not None and self.steps >= self._last_step:
            self._finish()
            return
        number, time_us = self.steps + 1, self._next_time_us()
        shown: list[Step | None] = [source.step(number, time_us) for source in self._sources]
        if all(step is None for step in shown):
            self._finish()
            return
        for device, step in zip(self._scenario.devices, shown, strict=True):
            if step is not None:
                self._label(device, step)
                await self._faces[device.map.protocol].publish(device, step)
        self.steps = number

    def _finish(self) -> None:
        self.finished = True
        print(f"sim {self._scenario.name}: last step {self.steps} reached, its values stay served", file=sys.stderr, flush=True)

    def _next_time_us(self) -> int:
        """Wall time in whole milliseconds, rising."""
        self._time_us = max(time.time_ns() // 1_000_000 * 1000, self._time_us + 1000)
        return self._time_us

    def _schedule_faults(self) -> None:
        for fault in self._scenario.faults:
            self._fault(fault.device, fault.kind, fault.at_us / 1e6, fault.duration_us / 1e6)

    def _fault(self, name: str, kind: str, wait_s: float, seconds: float) -> None:
        task = asyncio.create_task(self._suffer(name, kind, wait_s, seconds))
        self._faults.add(task)
        task.add_done_callback(self._faults.discard)

    async def _suffer(self, name: str, kind: str, wait_s: float, seconds: float) -> None:
        device = next((device for device in self._scenario.devices if device.name == name), None)
        if device is None:
            print(f'sim: no device "{name}"', file=sys.stderr)
            return
        await asyncio.sleep(wait_s)
        try:
            await self._faces[device.map.protocol].fault(name, kind, round(seconds * 1_000_000))
        except ValueError as error:
            print(f"sim: {error}", file=sys.stderr)

    async def stop(self) -> None:
        for task in tuple(self._faults):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(face.stop() for face in self._faces.values()), return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
