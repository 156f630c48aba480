"""Devices served as IEC 61850 servers: a model made from the device map, or from the SCL file that the map names or is given for it.

The native library runs in a child process per device (`simulators.iec61850_server`); a relay stands before it, so that a link is cut
without touching the library. A step is one report: values, q and t of every tag
change under one lock. The truth log holds the quality as the protocol can say it, and what was reported: steps from before a client
first enabled reporting count only if they still stood then.
"""

import asyncio
import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from protocols.devicemap import Device
from protocols.iec61850.pipe import end_child, pack, receive_async, start_child
from protocols.iec61850.plan import Options, Tls, decode_quality, encode_quality
from protocols.iec61850.scl import Ied, read_scl
from simulators.face import Step, TruthLog
from simulators.faults import Disturbance, suffer
from simulators.iec61850_model import Model, model_of_map, model_of_scl
from simulators.relay import Relay
from simulators.served import Served, serve

ANSWER_S: Final = 10.0


class Iec61850Face:
    """ieds: per device the IED of an SCL file that it is. control_models: per writable tag, see `model_of_map`. tls: all devices speak it."""

    def __init__(
        self,
        truth: TruthLog | None = None,
        *,
        ieds: Mapping[str, Ied] | None = None,
        control_models: Mapping[str, int] | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._truth = truth
        self._ieds, self._control_models, self._tls = ieds or {}, control_models or {}, tls
        self._servers: dict[str, _DeviceServer] = {}

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        """Raises ModuleNotFoundError without the native library."""
        if importlib.util.find_spec("pyiec61850") is None:
            raise ModuleNotFoundError("No module named 'pyiec61850'", name="pyiec61850")
        for device, step in zip(devices, first, strict=True):
            self._servers[device.name] = _DeviceServer(device, self._truth)
            message = self._model(device).message(device.map)
            tls = self._tls and [str(path) for path in (self._tls.ca_file, self._tls.certificate_file, self._tls.key_file)]
            await self._servers[device.name].start({**message, "tls": tls or []}, step)

    def _model(self, device: Device) -> Model:
        options: Options = device.map.options
        ied = self._ieds.get(device.name)
        if ied is None and options.scl is not None:
            read = read_scl(options.scl.read_bytes(), strict=False)
            ied = next((one for one in read.ieds if options.domain in [found.domain for found in one.devices]), None)
            if ied is None:
                raise ValueError(f'{options.scl}: no IED has the logical device "{options.domain}"')
        return model_of_scl(ied) if ied else model_of_map(device.map, self._control_models)

    async def set_clock(self, device_name: str, flags: int) -> None:
        """From now on the device's time stamps carry these flags (IEC 61850-7-2, TimeQuality)."""
        await self._servers[device_name].ask("clock", flags)

    async def set_plate(self, device_name: str, place: str, text: str) -> None:
        """A text of the device changes. place: "domain/LPHD1.PhyNam.serNum"."""
        await self._servers[device_name].ask("plate", place, text)

    async def kill(self, device_name: str) -> None:
        """The device's process ends at once, as by a loss of power."""
        await self._servers[device_name].kill()

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
        self._process: asyncio.subprocess.Process | None = None
        self._relay: Relay | None = None
        self._turn = asyncio.Lock()
        self._shown: Served | None = None
        self._logged = False
        self._held: list[Step] | None = None
        self.disturbance = Disturbance()
        self.address = device.address

    async def start(self, model: Mapping[str, Any], first: Step) -> None:
        host, _, port = self._device.address.rpartition(":")
        self._process = await start_child("simulators.iec61850_server")
        assert self._process.stdin is not None
        self._process.stdin.write(pack({"host": host.strip("[]"), **model}))
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
        before, now, written = await self.ask("show", served.time_us, list(served.raw), words)
        self._settle(before)
        for number, raw in written.items():
            tag = self._device.map.tags[number]
            served.values[number] = raw * float(tag.scale) + float(tag.offset)
        self._shown, self._logged = served, False
        self._settle(now)

    def _settle(self, seen: bool) -> None:
        """Log what is shown, once, when somebody has seen it."""
        if seen and not self._logged and self._shown is not None:
            self._logged = True
            if self._truth is not None:
                self._truth.served(self._device, self._shown.time_us, self._shown.values, self._shown.quality)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        with contextlib.suppress(OSError):
            (seen,) = await self.ask("seen")
            self._settle(seen)
        if self._relay is not None:
            await self._relay.close()
        process, self._process = self._process, None
        if process is not None:
            await end_child(process)
