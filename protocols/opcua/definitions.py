"""What the structures of some nodes are made of, asked of the server at every connect (OPC 10000-3, 8.48). Reads; `parts.py` decodes."""

from collections.abc import Sequence
from typing import Any, Final

import asyncua.ua

from protocols.opcua.maptext import Part as MapPart
from protocols.opcua.parts import Member, Structure
from protocols.opcua.session import Session

ua: Any = asyncua.ua
_LAST_BUILTIN: Final = 25
_STRUCTURE: Final = 22
_ENUMERATION: Final = 29
_DEEPEST: Final = 16


async def read_structures(session: Session, nodes: Sequence[Any]) -> dict[str, Structure]:
    """By the text of their binary encoding's NodeId. A node that is no structure, or does not say what it is, is left out."""
    reader = Definitions(session)
    for value in await session.read(nodes, ua.AttributeIds.DataType):
        data_type = value.Value.Value if value.Value is not None else None
        if isinstance(data_type, ua.NodeId) and not _builtin(data_type):
            await reader.structure(data_type, 0)
    return {structure.encoding: structure for structure in reader.known.values() if structure is not None and structure.encoding}


def _builtin(data_type: Any) -> int:
    """Number of a built-in type of the standard namespace, 0 = none."""
    if data_type.NamespaceIndex or not isinstance(data_type.Identifier, int):
        return 0
    return data_type.Identifier if data_type.Identifier <= _LAST_BUILTIN else 0


def flat_parts(structure: Structure, path: tuple[str, ...] = ()) -> tuple[MapPart, ...]:
    """The single values in a structure, nested ones too; arrays and optional members are left to those who know them."""
    parts: list[MapPart] = []
    for member in structure.members if not structure.union else ():
        if member.rank >= 1 or member.optional:
            continue
        if member.structure is not None:
            parts += flat_parts(member.structure, (*path, member.name))
        else:
            parts.append(MapPart((*path, member.name), member.kind))
    return tuple(parts)


class Definitions:
    """Data types of one session, each asked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.known: dict[str, Structure | None] = {}
        self._kinds: dict[str, int] = {}
        self._labels: dict[str, dict[int, str]] = {}

    async def labels(self, data_type: Any) -> dict[int, str]:
        """Names of the numbers of an enumeration, where the server tells them."""
        key = data_type.to_string()
        if key not in self._labels:
            definition = None
            if not _builtin(data_type):
                (value,) = await self._session.read([data_type], ua.AttributeIds.DataTypeDefinition)
                definition = value.Value.Value if value.Value is not None else None
            fields = definition.Fields or [] if isinstance(definition, ua.EnumDefinition) else []
            self._labels[key] = {int(found.Value): str(found.Name) for found in fields}
        return self._labels[key]

    async def kind(self, data_type: Any) -> int:
        """The built-in type that a type derives from; 24 for one that is abstract."""
        key = data_type.to_string()
        if key not in self._kinds:
            self._kinds[key] = await self._kind(data_type)
        return self._kinds[key]

    async def structure(self, data_type: Any, depth: int) -> Structure | None:
        """None for what is no structure."""
        key = data_type.to_string()
        if key not in self.known and depth < _DEEPEST:
            self.known[key] = None
            (value,) = await self._session.read([data_type], ua.AttributeIds.DataTypeDefinition)
            definition = value.Value.Value if value.Value is not None else None
            if isinstance(definition, ua.StructureDefinition):
                self.known[key] = await self._made(definition, depth)
        return self.known.get(key)

    async def _made(self, definition: Any, depth: int) -> Structure:
        members = [await self._member(field, depth) for field in definition.Fields or []]
        optional = definition.StructureType == ua.StructureType.StructureWithOptionalFields
        return Structure(
            definition.DefaultEncodingId.to_string(), tuple(members), optional, definition.StructureType == ua.StructureType.Union
        )

    async def _member(self, found: Any, depth: int) -> Member:
        optional = bool(found.IsOptional)
        kind = _builtin(found.DataType)
        if not kind:
            nested = await self.structure(found.DataType, depth + 1)
            if nested is not None:
                return Member(found.Name, _STRUCTURE, found.ValueRank, optional, nested)
            kind = await self.kind(found.DataType)
        return Member(found.Name, kind, found.ValueRank, optional)

    async def _kind(self, data_type: Any) -> int:
        """Enumerations are Int32."""
        steps = 0
        at = data_type
        while not _builtin(at) and at.Identifier != _ENUMERATION and steps < _DEEPEST:
            steps += 1
            wanted = ua.BrowseDescription(
                at, ua.BrowseDirection.Inverse, ua.NodeId(ua.ObjectIds.HasSubtype), True, 0, ua.BrowseResultMask.None_
            )
            (result,) = await self._session.client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=[wanted]))
            if not result.References:
                break
            at = result.References[0].NodeId
        return 6 if at.Identifier == _ENUMERATION and not at.NamespaceIndex else _builtin(at) or 24
