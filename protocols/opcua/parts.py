"""Elements of arrays and members of structures: one row of a node's whole value to the rows of the tags that are parts of it. Pure.

Such a node is monitored once, however many tags look into it. What a structure is made of is read from the server at every connect
(`DataTypeDefinition`) and decoded here, OPC 10000-6, 5.2.6; nothing is looked up by a type's index, which another server would give to
another type. A part that is not there is bad (no data in the index range), never its neighbour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols import quality
from protocols.opcua.address import Step
from protocols.opcua.decode import NULL, OTHER, STRUCTURE

BAD_INDEX_RANGE_NO_DATA: Final = 0x8037_0000
_NUMBERS: Final = range(1, 12)
_DEEPEST: Final = 16

Row = tuple[int, int, Any, int, int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """kind: built-in type; STRUCTURE with `structure` for a nested one. rank: -1 scalar, 1 or more an array."""

    name: str
    kind: int
    rank: int = -1
    optional: bool = False
    structure: "Structure | None" = None


@dataclass(frozen=True, slots=True)
class Structure:
    """encoding: NodeId text of the binary encoding, by which a value says what it is; "" when nested."""

    encoding: str
    members: tuple[Member, ...]
    optional: bool = False
    union: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Tag number `index` is what stands at `path` in the value."""

    index: int
    path: tuple[Step, ...]


class NoSuchPart(Exception):
    """The value has nothing at this path. `status`: what the tag gets."""

    def __init__(self, message: str, status: int = BAD_INDEX_RANGE_NO_DATA) -> None:
        super().__init__(message)
        self.status = status


def expand(row: Row, parts: Sequence[Part], structures: Mapping[str, Structure]) -> list[Row]:
    """The rows of the tags that look into the node of `row`."""
    _, kind, value, status, source, server = row
    if kind == NULL or quality.is_bad(status):
        return [(part.index, NULL, 0, status, source, server) for part in parts]
    try:
        whole = _whole(kind, value, structures)
    except NoSuchPart as error:
        return [(part.index, NULL, 0, error.status, source, server) for part in parts]
    rows: list[Row] = []
    for part in parts:
        try:
            found = _at(whole, part.path)
            rows.append((part.index, found[0], found[1], status, source, server))
        except NoSuchPart as error:
            rows.append((part.index, NULL, 0, error.status, source, server))
    return rows


Found = tuple[int, Any]  # built-in type and value: number, list of values, or dict of members that are Found themselves


def _whole(kind: int, value: Any, structures: Mapping[str, Structure]) -> Found:
    if kind != OTHER:
        return kind, value
    kind, inside = value.VariantType.value, value.Value
    if kind != STRUCTURE:
        return kind, inside
    if isinstance(inside, list):
        return STRUCTURE, [_structure(one, structures) for one in inside]
    return STRUCTURE, _structure(inside, structures)


def _structure(found: Any, structures: Mapping[str, Structure]) -> dict[str, Found]:
    definition = structures.get(found.TypeId.to_string()) if hasattr(found, "TypeId") else None
    if definition is None:
        raise NoSuchPart("a structure that the server has not defined", quality.BAD_TYPE_MISMATCH)
    from asyncua.common.utils import Buffer

    try:
        return _members(Buffer(found.Body or b""), definition)
    except NoSuchPart:
        raise
    except Exception as error:  # asyncua raises whatever its pieces raise
        raise NoSuchPart(f"structure cannot be decoded: {error}", quality.BAD_DATA_ENCODING_INVALID) from error


def _members(buffer: Any, structure: Structure, depth: int = 0) -> dict[str, Found]:
    if depth > _DEEPEST:
        raise NoSuchPart("structures nested too deep", quality.BAD_DATA_ENCODING_INVALID)
    present = int.from_bytes(buffer.read(4), "little") if structure.optional or structure.union else 0
    if structure.union:
        chosen = structure.members[present - 1 : present] if present else ()
        return {member.name: _member(buffer, member, depth) for member in chosen}
    found: dict[str, Found] = {}
    bit = 0
    for member in structure.members:
        if member.optional:
            bit += 1
            if not present >> (bit - 1) & 1:
                continue
        found[member.name] = _member(buffer, member, depth)
    return found


def _member(buffer: Any, member: Member, depth: int) -> Found:
    if member.rank < 1:
        return member.kind, _one(buffer, member, depth)
    count = int.from_bytes(buffer.read(4), "little", signed=True)
    if count > len(buffer):
        raise NoSuchPart("an array longer than its bytes", quality.BAD_DATA_ENCODING_INVALID)
    return member.kind, [_one(buffer, member, depth) for _ in range(max(count, 0))]


def _one(buffer: Any, member: Member, depth: int) -> Any:
    from asyncua import ua
    from asyncua.ua.ua_binary import unpack_uatype

    if member.structure is not None:
        return _members(buffer, member.structure, depth + 1)
    return unpack_uatype(ua.VariantType(member.kind), buffer)


def _at(whole: Found, path: Sequence[Step]) -> Found:
    kind, value = whole
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                raise NoSuchPart(f'no member "{step}"')
            kind, value = value[step]
            continue
        for number in step:
            if not isinstance(value, list) or number >= len(value):
                raise NoSuchPart(f"no element {number}")
            value = value[number]
    if isinstance(value, list | dict) or kind not in _NUMBERS:
        return OTHER, 0
    return (NULL, 0) if value is None else (kind, value)
