"""Companion models as a server: loaded, moving, browsed, subscribed, restarted with their namespaces in another order."""

import asyncio
import time
from pathlib import Path

import pytest

from protocols.clock import SystemClock
from protocols.devicemap import Device, load_device_map
from protocols.driver import DriverError
from protocols.opcua.address import parse
from protocols.opcua.browse import browse_device
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.maptext import BUILTIN, device_map_text
from protocols.opcua.plan import Settings
from protocols.opcua.session import Peer
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


async def numbers_of(driver, wanted, time_us):
    """Tag number -> value, of samples with this source time, until all are there."""
    values = {}
    async with asyncio.timeout(10):
        while not wanted <= values.keys():
            for block in (await driver.read()).blocks:
                fresh = block.times_us == time_us
                values.update(zip(block.tags[fresh].tolist(), block.values[fresh].tolist(), strict=True))
    return values


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


async def test_three_models_are_read_and_read_again_within_30_seconds_after_a_restart_with_other_namespaces(server, tmp_path):
    device = await mapped(server, tmp_path)
    driver = OpcUaDriver(device, SystemClock())
    await driver.open()
    indexes = await places(server, device)
    served = list((await server.step(START_US)).values())
    read = await numbers_of(driver, set(indexes), START_US)
    assert [read[index] for index in indexes] == pytest.approx([float(value) for value in served], rel=1e-6)
    before = await server.server.get_namespace_array()

    await server.restart(MOVED)
    restarted = time.monotonic()
    assert await server.server.get_namespace_array() != before
    with pytest.raises(DriverError):
        async with asyncio.timeout(10):
            while True:
                await driver.read()
    await driver.close()
    await driver.open()
    indexes = await places(server, device)
    served = list((await server.step(START_US + SECOND_US)).values())
    again = await numbers_of(driver, set(indexes), START_US + SECOND_US)
    assert time.monotonic() - restarted < 30
    assert [again[index] for index in indexes] == pytest.approx([float(value) for value in served], rel=1e-6)
    assert len(served) > 200
    await driver.close()


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
