"""The walk through an address space: patterns, limits, continuations, cycles, arrays and units."""

import re

import pytest
from asyncua import ua

from protocols.clock import SystemClock
from protocols.devicemap import load_device_map
from protocols.opcua.browse import _children, _Place, browse, browse_device, matcher
from protocols.opcua.endpoints import Peer
from protocols.opcua.maptext import device_map_text
from protocols.opcua.plan import Settings
from protocols.opcua.session import Limits, Session
from simulators.opcua_nodesets import NAMESPACE, NodesetServer

SETTINGS = Settings()


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("**", ["a", "a/b", "a/b/c"], []),
        ("*/Pressure*", ["W/Pressure", "W/PressureRaw"], ["Pressure", "A/W/Pressure"]),
        ("**/Pressure*", ["Pressure", "W/Pressure", "A/W/Pressure1"], ["W/Temperature", "W/Pressure/Unit"]),
        ("A/**", ["A/b", "A/b/c"], ["B/b"]),
        ("Well?/P.1", ["Well1/P.1"], ["Well12/P.1", "Well1/Px1"]),
    ],
)
def test_patterns_are_paths_with_signs(pattern, matching, other):
    wanted = matcher(pattern)
    assert [bool(wanted.match(path)) for path in matching + other] == [True] * len(matching) + [False] * len(other)


class FewMarks:
    """A server that gives two references at a time and has one continuation point."""

    def __init__(self, children):
        self._children = children
        self.asked = []

    async def browse(self, parameters):
        self.asked.append(len(parameters.NodesToBrowse))
        results, free = [], 1
        for wanted in parameters.NodesToBrowse:
            found = self._children[wanted.NodeId.Identifier]
            if len(found) > 2 and not free:
                results.append(ua.BrowseResult(ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints)))
                continue
            free -= len(found) > 2
            results.append(self._part(wanted.NodeId.Identifier, 0))
        return results

    async def browse_next(self, parameters):
        return [self._part(*(int(part) for part in mark.split(b","))) for mark in parameters.ContinuationPoints]

    def _part(self, node, start):
        found = self._children[node]
        mark = b"%d,%d" % (node, start + 2) if start + 2 < len(found) else None
        references = [ua.ReferenceDescription(BrowseName=ua.QualifiedName(str(name))) for name in found[start : start + 2]]
        return ua.BrowseResult(ua.StatusCode(0), mark, references)


async def test_continuations_are_followed_and_scarce_ones_are_asked_for_one_by_one():
    children = {1: list(range(5)), 2: list(range(10, 17)), 3: [20]}

    class Client:
        uaclient = FewMarks(children)

    places = [_Place(ua.NodeId(number, 1), str(number), False) for number in children]
    found = {}
    async for place, reference in _children(Session(Client, (), Limits(browse=2)), places):
        found.setdefault(int(place.path), []).append(int(reference.BrowseName.Name))
    assert {node: sorted(names) for node, names in found.items()} == children
    assert Client.uaclient.asked == [2, 1, 1]


@pytest.fixture
async def server():
    server = NodesetServer(())
    await server.start()
    yield server
    await server.stop()


async def found_on(server, pattern="**"):
    return {one.path: one async for one in browse_device(Peer("sim", server.address, SETTINGS), SystemClock(), pattern)}


async def test_units_ranges_labels_and_arrays_are_described(server, tmp_path):
    index = await server.server.register_namespace(NAMESPACE)
    pump = await server.server.nodes.objects.add_object(index, "Pump")
    pressure = await pump.add_variable(ua.NodeId("P", index), f"{index}:Pressure", 1.5, varianttype=ua.VariantType.Float)
    units = ua.EUInformation(DisplayName=ua.LocalizedText("bar"))
    await pressure.add_property(0, "EngineeringUnits", units, datatype=ua.NodeId(ua.ObjectIds.EUInformation))
    await pressure.add_property(0, "EURange", ua.Range(0.0, 60.0), datatype=ua.NodeId(ua.ObjectIds.Range))
    await pressure.add_variable(ua.NodeId("P.Raw", index), f"{index}:Raw", 7, varianttype=ua.VariantType.UInt16)
    stages = await pump.add_variable(ua.NodeId("S", index), f"{index}:Stages", [1, 2], varianttype=ua.VariantType.Int16)
    await stages.write_value_rank(1)
    await stages.write_array_dimensions([2])
    area = await pump.add_object(index, "Area")
    await area.add_reference(pump, ua.ObjectIds.Organizes)  # a cycle
    found = await found_on(server)
    one = found["Pump/Pressure"]
    assert (one.unit, one.range, one.kind) == ("bar", (0.0, 60.0), 10)
    assert (found["Pump/Stages"].dimensions, found["Pump/Pressure/Raw"].kind) == ((2,), 5)
    assert not any("EURange" in path for path in found)
    (tmp_path / "pump.toml").write_text(device_map_text("pump", [found[path] for path in found if path.startswith("Pump")], "bench"))
    made = load_device_map(tmp_path / "pump.toml")
    assert {tag.name: (tag.at, tag.unit, tag.range) for tag in made.tags} == {
        "pump_pressure": ("s=P", "bar", (0.0, 60.0)),
        "pressure_raw": ("s=P.Raw", "", None),
        "stages_0": ("s=S#[0]", "", None),
        "stages_1": ("s=S#[1]", "", None),
    }


async def test_the_walk_ends_where_it_is_told_to(server):
    index = await server.server.register_namespace(NAMESPACE)
    at = server.server.nodes.objects
    for depth in range(6):
        at = await at.add_variable(ua.NodeId(f"n{depth}", index), f"{index}:n{depth}", depth, varianttype=ua.VariantType.Int16)
    assert "n0/n1/n2/n3/n4/n5" in await found_on(server)
    peer = Peer("sim", server.address, SETTINGS)
    few = [one.path async for one in browse_device(peer, SystemClock(), deepest=3)]
    assert [path for path in few if re.match("n0", path)] == ["n0", "n0/n1", "n0/n1/n2"]


async def test_nobody_is_asked_for_more_than_a_pattern_needs(server):
    from protocols.opcua.session import session

    async with session(Peer("sim", server.address, SETTINGS), SystemClock()) as opened:
        asked = []
        inner = opened.client.uaclient.browse

        async def counted(parameters):
            asked.append(len(parameters.NodesToBrowse))
            return await inner(parameters)

        opened.client.uaclient.browse = counted
        assert [one async for one in browse(opened, "Nothing/*")] == []
    assert len(asked) <= 2
