"""The field of `benchmarks.edge`, in a process of its own: simulated devices whose values change faster than anybody reads them.

`python -m benchmarks.edge_field KIND MAP READY DEVICES RATE` serves DEVICES devices of the device map until its standard input ends, and
writes their addresses to READY as JSON. MQTT uses mosquitto where it is installed, else the embedded broker.
"""

import asyncio
import contextlib
import dataclasses
import json
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from protocols.devicemap import Device, load_device_map
from protocols.modbus.plan import ModbusSettings
from simulators.face import Step
from simulators.iec61850 import Iec61850Face
from simulators.modbus import ModbusFace
from simulators.mqtt_broker import KeepingBroker
from simulators.opcua import OpcUaFace

SHOWN: Final = 32  # different steps, served in turn
COUNTS: Final = 1 << 14
BURST: Final = 500  # messages between two looks at the clock; more than the broker takes must not hold up the end
WINDOW: Final = 2_000  # messages a broker may have out unacknowledged; mosquitto's own default of 20 would decide the rate


def steps(device: Device, dice: np.random.Generator) -> list[Step]:
    """A slow wave with noise on every tag: 14-bit counts, as a transmitter behind an analogue card gives them."""
    tags = len(device.map.tags)
    phase = dice.uniform(0, 2 * np.pi, tags)
    good = np.zeros(tags, np.uint32)
    wave = [0.5 + 0.4 * np.sin(phase + 2 * np.pi * number / SHOWN) for number in range(SHOWN)]
    return [Step(0, np.rint(COUNTS * level + dice.normal(0, 8, tags)).clip(0, COUNTS - 1), good) for level in wave]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def show_modbus(face: ModbusFace, devices: Sequence[Device], turns: Sequence[list[Step]], rate: float) -> None:
    """Images are made once and swapped, so that the field costs the machine as little as it can."""
    shown = [[face._units[device.name].image.show(step) for step in mine] for device, mine in zip(devices, turns, strict=True)]
    number = 0
    while True:
        for device, images in zip(devices, shown, strict=True):
            face._units[device.name].shown = images[number % SHOWN]
        number += 1
        await asyncio.sleep(1 / rate)


async def show(face: OpcUaFace | Iec61850Face, devices: Sequence[Device], turns: Sequence[list[Step]], rate: float) -> None:
    number, due = 0, time.monotonic()
    while True:
        for device, mine in zip(devices, turns, strict=True):
            await face.publish(device, dataclasses.replace(mine[number % SHOWN], time_us=time.time_ns() // 1000))
        number, due = number + 1, due + 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[tuple[str, int]]:
    path = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        embedded = KeepingBroker("127.0.0.1", 0)
        await embedded.start()
        yield "amqtt", embedded.port
        await embedded.shutdown()
        return
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages {WINDOW}\nmax_queued_messages 0\n")
    process = await asyncio.create_subprocess_exec(path, "-c", str(settings), stderr=asyncio.subprocess.DEVNULL)
    try:
        yield "mosquitto", port
    finally:
        process.terminate()
        await process.wait()


async def publish(port: int, device: Device, turns: Sequence[Step], rate: float) -> None:
    """`rate` messages a second with QoS 1, in bursts of 10 ms."""
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"field-{device.name}")
    client.max_inflight_messages_set(WINDOW)
    until = time.monotonic() + 10
    while True:
        try:
            await asyncio.to_thread(client.connect, "127.0.0.1", port)
            break
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
    client.loop_start()
    values = [{tag.name: value / 16 for tag, value in zip(device.map.tags, step.values.tolist(), strict=True)} for step in turns]
    sent, begin = 0, time.monotonic()
    while True:
        for _ in range(min(BURST, int(rate * (time.monotonic() - begin)) - sent)):
            client.publish(f"bench/{device.name}", json.dumps({"t": time.time_ns() // 1000, "v": values[sent % SHOWN]}), qos=1)
            sent += 1
        await asyncio.sleep(0.01)


async def serve(kind: str, device_map: Path, ready: Path, count: int, rate: float) -> None:
    known = load_device_map(device_map)
    dice = np.random.default_rng(1)
    opening = {"modbus": "127.0.0.1:0", "opcua": "opc.tcp://127.0.0.1:0/", "iec61850": "127.0.0.1:0", "mqtt": "mqtt://127.0.0.1:0"}
    settings = ModbusSettings() if kind == "modbus" else None
    devices = [Device(f"d{number}", known, opening[kind], settings, first_id=number * len(known.tags)) for number in range(count)]
    turns = [steps(device, dice) for device in devices]
    async with AsyncExitStack() as stack:
        by: str = kind
        if kind == "mqtt":
            by, port = await stack.enter_async_context(broker(ready.parent))
            addresses = dict.fromkeys((device.name for device in devices), f"mqtt://127.0.0.1:{port}")
            works = [publish(port, device, mine, rate) for device, mine in zip(devices, turns, strict=True)]
        else:
            face: Any = {"modbus": ModbusFace, "opcua": OpcUaFace, "iec61850": Iec61850Face}[kind]()
            first = [dataclasses.replace(mine[0], time_us=time.time_ns() // 1000) for mine in turns]
            await face.start(devices, first)
            stack.push_async_callback(face.stop)
            addresses = {device.name: face.address_of(device) for device in devices}
            works = [(show_modbus if kind == "modbus" else show)(face, devices, turns, rate)]
        tasks = [asyncio.create_task(work) for work in works]
        fresh = ready.with_suffix(".new")
        fresh.write_text(json.dumps({"by": by, "addresses": addresses}))
        fresh.rename(ready)
        end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        done, _ = await asyncio.wait([end, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for task in done - {end}:
            task.result()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    kind_, map_, ready_, count_, rate_ = sys.argv[1:]
    asyncio.run(serve(kind_, Path(map_), Path(ready_), int(count_), float(rate_)))
