"""Devices served as IEC 61850 servers: a model made from the device map, one data set, one buffered report control block.

The native library runs in a child process per device (`simulators.iec61850_server`); a relay stands before it, so that a link is cut
without touching the library. A step is one report: values, q and t of every tag
change under one lock. The truth log holds the quality as the protocol can say it, and what was reported: steps from before a client
first enabled reporting count only if they still stood then.
"""

import asyncio
import contextlib
import importlib.util
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from protocols.devicemap import Device
from protocols.iec61850.pipe import end_child, pack, receive_async, start_child
from protocols.iec61850.plan import Mode, Options, decode_quality, encode_quality, parse_point
from simulators.face import Step, TruthLog
from simulators.faults import Disturbance, suffer
from simulators.relay import Relay
from simulators.served import Served, serve

ANSWER_S: Final = 10.0


class Iec61850Face:
    def __init__(self, truth: TruthLog | None = None) -> None:
        self._truth = truth
        self._servers: dict[str, _DeviceServer] = {}

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        """Raises ModuleNotFoundError without the native library."""
        if importlib.util.find_spec("pyiec61850") is None:
            raise ModuleNotFoundError("No module named 'pyiec61850'", name="pyiec61850")
        for device, step in zip(devices, first, strict=True):
            self._servers[device.name] = _DeviceServer(device, self._truth)
            await self._servers[device.name].start(step)

    def address_of(self, device: Device) -> str:
        return self._servers[device.name].address

    async def publish(self, device: Device, step: Step) -> None:
        await self._servers[device.name].publish(step)

    async def fault(self, device_name: str, kind: str, duration_us: int) -> None:
        """Let the device fail in the given way for a while, then be well again."""
        await suffer(self._servers[device_name], kind, duration_us, "IEC 61850")

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers.values()), return_exceptions=True)


class _DeviceServer:
    """One device behind one child process."""

    def __init__(self, device: Device, truth: TruthLog | None) -> None:
        self._device, self._truth = device, truth
        self._options: Options = device.map.options
        self._process: asyncio.subprocess.Process | None = None
        self._relay: Relay | None = None
        self._turn = asyncio.Lock()
        self._shown: Served | None = None
        self._logged = False
        self._held: list[Step] | None = None
        self.disturbance = Disturbance()
        self.address = device.address

    async def start(self, first: Step) -> None:
        host, _, port = self._device.address.rpartition(":")
        self._process = await start_child("simulators.iec61850_server")
        assert self._process.stdin is not None
        points = [(parse_point(tag.at), tag.type.value) for tag in self._device.map.tags]
        model = {
            "host": host.strip("[]"),
            "ied": self._options.ied,
            "ld": self._options.ld,
            "block": self._options.report.rpartition(".")[2] if self._options.mode is Mode.REPORT else "",
            "points": [[point.node, point.object, point.attribute, point.constraint, kind] for point, kind in points],
        }
        self._process.stdin.write(pack(model))
        await self._show(first)
        (inner,) = await self.ask("listen")
        self._relay = Relay(host.strip("[]"), inner)
        await self._relay.open(int(port))
        self.address = f"{host}:{self._relay.port}"

    async def drop_link(self, duration_us: int) -> None:
        assert self._relay is not None
        await self._relay.close()
        await asyncio.sleep(duration_us / 1e6)
        await self._relay.open()

    async def ask(self, *request: Any) -> Any:
        """Raises OSError when the process is gone."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise OSError(f"device {self._device.name} is not served")
        async with self._turn:
            process.stdin.write(pack(list(request)))
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await receive_async(process.stdout)
            except (EOFError, TimeoutError) as error:
                raise OSError(f"the IEC 61850 server of device {self._device.name} ended or hung") from error

    async def publish(self, step: Step) -> None:
        if self._held is not None:
            self._held.append(step)
        else:
            await self._show(step)

    async def delay(self, duration_us: int) -> None:
        """Publish nothing for a while, then all of it in order."""
        if self._held is None:
            self._held = []
        await asyncio.sleep(duration_us / 1e6)
        held, self._held = self._held or [], None
        for step in held:
            await self._show(step)

    async def _show(self, step: Step) -> None:
        served = serve(self._device, self.disturbance.alter(step))
        words = [encode_quality(code) for code in served.quality.tolist()]
        codes = np.array([decode_quality(word) for word in words], dtype=np.uint32)
        served = Served(served.time_us, served.raw, served.values, codes)
        before, now = await self.ask("show", served.time_us, list(served.raw), words)
        self._settle(before)
        self._shown, self._logged = served, False
        self._settle(now)

    def _settle(self, seen: bool) -> None:
        """Log what is shown, once, when somebody has seen it."""
        if seen and not self._logged and self._shown is not None:
            self._logged = True
            if self._truth is not None:
                self._truth.served(self._device, self._shown.time_us, self._shown.values, self._shown.quality)

    async def stop(self) -> None:
        with contextlib.suppress(OSError):
            (seen,) = await self.ask("seen")
            self._settle(seen)
        if self._relay is not None:
            await self._relay.close()
        process, self._process = self._process, None
        if process is not None:
            await end_child(process)
