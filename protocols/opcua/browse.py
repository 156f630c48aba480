"""What a server has: a walk through its address space, level by level, within its limits.

Children of variables are walked like those of objects: many servers keep their values there. A path is made of browse names without their
namespaces, from the Objects folder on; a pattern is a path with "*" (any text within a name), "**" (any names) and "?" (one letter). Nodes
that can be reached in several ways are told once, on the shortest. Not for reading values: what is found goes into a device map.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncua.ua

from protocols import quality
from protocols.clock import Clock
from protocols.opcua.address import Address
from protocols.opcua.definitions import Definitions, flat_parts
from protocols.opcua.endpoints import Peer
from protocols.opcua.maptext import Variable
from protocols.opcua.session import Session, session

ua: Any = asyncua.ua

DEEPEST: Final = 20
_STRUCTURE: Final = 22
_NO_MARKS: Final = ua.StatusCodes.BadNoContinuationPoints
_SERVER: Final = ua.NodeId(ua.ObjectIds.Server, 0)
_PROPERTIES: Final = frozenset({"EngineeringUnits", "EURange"})
_DATA: Final = frozenset(
    {
        "EngineeringUnits",
        "EURange",
        "InstrumentRange",
        "EnumStrings",
        "EnumValues",
        "InputArguments",
        "OutputArguments",
        "TrueState",
        "FalseState",
    }
)


@dataclass(frozen=True, slots=True)
class _Place:
    node: Any
    path: str
    variable: bool


def matcher(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression over paths."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = [signs.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))]
    return re.compile("".join(words) + r"\Z")


async def browse_device(peer: Peer, clock: Clock, pattern: str = "**", *, deepest: int = DEEPEST) -> AsyncIterator[Variable]:
    """The variables of a server whose path matches. Raises DriverError."""
    async with session(peer, clock) as opened:
        async for variable in browse(opened, pattern, deepest=deepest):
            yield variable


async def browse(opened: Session, pattern: str = "**", *, start: Any = None, deepest: int = DEEPEST) -> AsyncIterator[Variable]:
    """Level by level, so that what stands near the top is told first. The server's own diagnostics are left out unless asked for."""
    wanted = matcher(pattern)
    definitions = Definitions(opened)
    if "**" not in pattern:
        deepest = min(deepest, pattern.strip("/").count("/") + 1)
    level = [_Place(start or ua.NodeId(ua.ObjectIds.ObjectsFolder, 0), "", False)]
    seen = {level[0].node.to_string()}
    if not pattern.startswith("Server"):
        seen.add(_SERVER.to_string())
    depth = 0
    while level:
        matched = [place for place in level if place.variable and wanted.match(place.path)]
        following: list[_Place] = []
        properties: dict[str, dict[str, Any]] = {}
        if depth < deepest or matched:
            async for place, found in _children(opened, level):
                name = str(found.BrowseName.Name)
                if name in _DATA and place.variable:
                    if name in _PROPERTIES:
                        properties.setdefault(place.path, {})[name] = found.NodeId
                    continue
                key = found.NodeId.to_string()
                if key not in seen and not getattr(found.NodeId, "ServerIndex", 0) and depth < deepest:
                    seen.add(key)
                    path = f"{place.path}/{name}" if place.path else name
                    following.append(_Place(_plain_id(found.NodeId), path, found.NodeClass == ua.NodeClass.Variable))
        for variable in await _described(opened, definitions, matched, properties):
            yield variable
        level, depth = following, depth + 1


def _plain_id(found: Any) -> Any:
    return ua.NodeId(found.Identifier, found.NamespaceIndex, found.NodeIdType)


async def _children(opened: Session, places: Sequence[_Place]) -> AsyncIterator[tuple[_Place, Any]]:
    """References to what stands below, in requests that the server allows, with all their continuations."""
    todo = list(places)
    size = opened.limits.browse
    while todo:
        chunk, todo = todo[:size], todo[size:]
        results = await opened.client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=[_below(place.node) for place in chunk]))
        short = [place for place, result in zip(chunk, results, strict=True) if result.StatusCode.value == _NO_MARKS]
        if short and len(chunk) > 1:  # the server has too few continuation points for so many at once
            todo, size = short + todo, 1
        waiting = list(zip(chunk, results, strict=True))
        while waiting:
            for place, result in waiting:
                for found in result.References or []:
                    yield place, found
            waiting = [(place, result) for place, result in waiting if result.ContinuationPoint]
            if waiting:
                marks = [result.ContinuationPoint for _, result in waiting]
                further = await opened.client.uaclient.browse_next(ua.BrowseNextParameters(False, marks))
                waiting = [(place, result) for (place, _), result in zip(waiting, further, strict=True)]


def _below(node: Any) -> Any:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences, 0),
        IncludeSubtypes=True,
        NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
        ResultMask=ua.BrowseResultMask.BrowseName | ua.BrowseResultMask.NodeClass,
    )


async def _described(
    opened: Session, definitions: Definitions, places: Sequence[_Place], properties: dict[str, dict[str, Any]]
) -> list[Variable]:
    nodes = [place.node for place in places]
    types = await opened.read(nodes, ua.AttributeIds.DataType)
    ranks = await opened.read(nodes, ua.AttributeIds.ValueRank)
    sizes = await opened.read(nodes, ua.AttributeIds.ArrayDimensions)
    found = []
    for place, data_type, rank, size in zip(places, types, ranks, sizes, strict=True):
        kind_id = _good(data_type)
        kind = await definitions.kind(kind_id) if isinstance(kind_id, ua.NodeId) else 25
        structure = await definitions.structure(kind_id, 0) if kind == _STRUCTURE and kind_id is not None else None
        array = (_good(rank) or 0) >= 1
        variable = Variable(
            place.path,
            Address(place.node.Identifier, opened.namespaces[place.node.NamespaceIndex]),
            kind,
            tuple(_good(size) or ()) if array else (),
            labels=await definitions.labels(kind_id) if kind == 6 and kind_id is not None else {},
            parts=flat_parts(structure) if structure is not None else (),
            array=array,
        )
        found.append(await _measured(opened, variable, properties.get(place.path, {})))
    return found


async def _measured(opened: Session, variable: Variable, properties: dict[str, Any]) -> Variable:
    """With unit and range, where the server gives them."""
    values = dict(zip(properties, await opened.read([_plain_id(node) for node in properties.values()]), strict=True))
    units = _good(values["EngineeringUnits"]) if "EngineeringUnits" in values else None
    if units is not None and getattr(units, "DisplayName", None) is not None:
        variable = replace(variable, unit=str(units.DisplayName.Text or ""))
    span = _good(values["EURange"]) if "EURange" in values else None
    if span is not None and getattr(span, "Low", None) is not None:
        variable = replace(variable, range=(float(span.Low), float(span.High)))
    return variable


def _good(value: Any) -> Any:
    """What was read, None where the server gave nothing."""
    if value.StatusCode is not None and quality.is_bad(value.StatusCode.value):
        return None
    return value.Value.Value if value.Value is not None else None
