"""Companion models as a server: loaded, moving, browsed, subscribed, restarted with their namespaces in another order."""

import asyncio
import time
from pathlib import Path

import pytest

from edge.poller import Poller
from protocols import tasks
from protocols.clock import SystemClock
from protocols.devicemap import Device, load_device_map
from protocols.opcua.address import parse
from protocols.opcua.browse import browse_device
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.endpoints import Peer
from protocols.opcua.maptext import BUILTIN, device_map_text
from protocols.opcua.plan import Settings
from simulators.opcua_nodesets import NAMESPACE, NodesetServer

FOLDER = Path(__file__).parent.parent / "data" / "opcua_nodesets"
NAMES = ("Opc.Ua.Di", "Opc.MDIS", "Opc.Ua.Machinery", "Opc.Ua.Machinery.Examples")
NODESETS = tuple(FOLDER / f"{name}.NodeSet2.xml.gz" for name in NAMES)
START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
MOVED = ["http://opcfoundation.org/UA/Machinery/", NAMESPACE, "http://opcfoundation.org/UA/MDIS"]


@pytest.fixture
async def server():
    server = NodesetServer(NODESETS)
    await server.start()
    yield server
    await server.stop()


async def mapped(server, folder, pattern="**"):
    """A device with the map of what browsing finds."""
    found = [variable async for variable in browse_device(Peer("sim", server.address, Settings()), SystemClock(), pattern)]
    path = folder / "sim.toml"
    path.write_text(device_map_text("sim", found, "browsed"), encoding="utf-8")
    return Device("sim", load_device_map(path), server.address, Settings(timeout_us=2 * SECOND_US))


class Kept:
    """What a poller delivers: newest value by tag number and source time."""

    def __init__(self):
        self._values, self._news = {}, asyncio.Event()

    def deliver(self, frame):
        for block in frame.blocks:
            if block.values.ndim == 1:
                self._values.update(zip(zip(block.times_us.tolist(), block.tags.tolist(), strict=True), block.values.tolist(), strict=True))
        self._news.set()

    async def at(self, time_us, indexes, seconds):
        """Values of these tags, when all are there."""
        async with asyncio.timeout(seconds):
            while not all((time_us, index) in self._values for index in indexes):
                self._news.clear()
                await self._news.wait()
        return [self._values[time_us, index] for index in indexes]


async def delivered_after(server, device, kept, time_us, seconds=30):
    """A step that somebody subscribed to, as it was kept; and as it was served."""
    async with asyncio.timeout(seconds):
        while not server.server.iserver.subscription_service.subscriptions:
            await asyncio.sleep(0.02)
    served = [float(value) for value in (await server.step(time_us)).values()]
    return await kept.at(time_us, await places(server, device), seconds), pytest.approx(served, rel=1e-6)


async def test_browsing_finds_every_variable_that_moves_with_its_type(server):
    found = [variable async for variable in browse_device(Peer("sim", server.address, Settings()), SystemClock())]
    namespaces = await server.server.get_namespace_array()
    kinds = {(namespaces.index(one.address.namespace), one.address.identifier): one.kind for one in found if one.kind in BUILTIN}
    moving = {(moving.node.NamespaceIndex, moving.node.Identifier): moving.kind for moving in server.moving}
    assert len(moving) > 200
    assert moving.items() <= kinds.items()


async def places(server, device):
    """For each moving variable the number of the tag that reads it, by namespace URI and identifier."""
    uris = await server.server.get_namespace_array()
    ours = {(parse(tag.at).namespace or device.map.options.namespace, parse(tag.at).identifier): n for n, tag in enumerate(device.map.tags)}
    return [ours[uris[moving.node.NamespaceIndex], moving.node.Identifier] for moving in server.moving]


async def test_three_models_are_read_and_again_within_30_seconds_after_a_restart_with_namespaces_reordered(server, tmp_path):
    device = await mapped(server, tmp_path)
    kept = Kept()

    async def opened():
        return OpcUaDriver(device, SystemClock())

    polling = asyncio.create_task(Poller(device, opened, kept.deliver, SystemClock()).run())
    try:
        found, served = await delivered_after(server, device, kept, START_US)
        assert len(found) > 200
        assert found == served
        before = await server.server.get_namespace_array()
        await server.restart(MOVED)
        restarted = time.monotonic()
        assert await server.server.get_namespace_array() != before
        found, served = await delivered_after(server, device, kept, START_US + SECOND_US)
        assert found == served
        assert time.monotonic() - restarted < 30
    finally:
        await tasks.end(polling)


async def test_patterns_choose_paths_and_children_of_variables_are_walked(server):
    cases = [
        ("MDISChokeObject1/*", "MDISChokeObject1/CalculatedPosition", "MDISInformation/MDISVersion"),
        ("**/CalculatedPosition", "MDISChokeObject1/CalculatedPosition", "MDISChokeObject1/CommandRejected"),
        ("Server/ServerStatus/*", "Server/ServerStatus/State", "MDISInformation/MDISVersion"),
    ]
    for pattern, some, none in cases:
        found = {variable.path async for variable in browse_device(Peer("sim", server.address, Settings()), SystemClock(), pattern)}
        assert (pattern, some in found, none in found) == (pattern, True, False)


async def test_members_of_structures_are_tags(server, tmp_path):
    device = await mapped(server, tmp_path, "MDISInformation/**")
    assert [tag.at for tag in device.map.tags if tag.name.startswith("mdis_version")] == [
        f"i=15391#{member}" for member in ("MajorVersion", "MinorVersion", "Build")
    ]
