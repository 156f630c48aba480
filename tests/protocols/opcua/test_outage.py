"""Outages under the agent's own poller: with `history` every step is kept exactly once and in order, although nobody listened for most of them."""

import asyncio
from datetime import UTC, datetime, timedelta

from asyncua import ua

from edge.poller import Poller
from protocols import tasks
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.plan import Options, Settings
from simulators.opcua_nodesets import NAMESPACE, NodesetServer

TAGS = 10
START = datetime.now(UTC) - timedelta(hours=1)


class Plant:
    """Variables with history that count the steps."""

    def __init__(self):
        self.server, self.nodes, self.steps = NodesetServer(()), [], 0

    async def start(self):
        await self.server.start()
        index = await self.server.server.register_namespace(NAMESPACE)
        for number in range(TAGS):
            node, objects = ua.NodeId(f"n{number}", index), self.server.server.nodes.objects
            await objects.add_variable(node, f"{index}:n{number}", 0.0, varianttype=ua.VariantType.Double)
            self.nodes.append(node)
        await self.server.historize(self.nodes)
        await self.step()

    async def step(self, count=1):
        for _ in range(count):
            self.steps += 1
            for node in self.nodes:
                await self.server.write(node, float(self.steps), 11, START + timedelta(milliseconds=100 * self.steps))

    async def live(self, count):
        for _ in range(count):
            await self.step()
            await asyncio.sleep(0.005)


class Gateway:
    """What a poller keeps of the plant's tags, and from where a new session goes on."""

    def __init__(self, address):
        tags = tuple(Tag(f"n{number}", f"s=n{number}", TagType.FLOAT64) for number in range(TAGS))
        options = Options(NAMESPACE, publishing_us=20_000, history=True)
        self._device = Device("d", DeviceMap("m", "x", (), "opcua", options, tags), address, Settings())
        self.kept, self._last_us = {number: [] for number in range(TAGS)}, {}
        self.poller = Poller(self._device, self._open, self._deliver, SystemClock())

    async def _open(self):
        driver = OpcUaDriver(self._device, SystemClock())
        driver.resume(self._last_us)
        return driver

    def _deliver(self, frame):
        for block in frame.blocks:
            if block.values.ndim == 1:  # else it is the poller's own word that the device is away
                self._last_us.update(zip(block.tags.tolist(), block.times_us.tolist(), strict=True))
                for tag, value in zip(block.tags.tolist(), block.values.tolist(), strict=True):
                    self.kept[tag].append(value)

    async def until(self, wanted):
        async with asyncio.timeout(20):
            while not wanted():
                await asyncio.sleep(0.02)


async def test_what_two_outages_hid_is_read_from_history_once_and_in_order():
    plant = Plant()
    await plant.start()
    gateway = Gateway(plant.server.address)
    polling = asyncio.create_task(gateway.poller.run())
    state = gateway.poller.state
    try:
        await gateway.until(lambda: state.up)
        for _ in range(2):
            await plant.live(10)
            await plant.server.server.bserver.stop()
            await gateway.until(lambda: not state.up)
            await plant.step(700)
            await asyncio.sleep(0.3)  # the server keeps its history by itself
            await plant.server.server.bserver.start()
            await gateway.until(lambda: state.up)
        await plant.live(10)
        await gateway.until(lambda: all(values[-1] == plant.steps for values in gateway.kept.values()))
    finally:
        await tasks.end(polling)
        await plant.server.stop()
    wanted = [float(step) for step in range(1, plant.steps + 1)]
    assert [tag for tag, values in gateway.kept.items() if values != wanted] == []
