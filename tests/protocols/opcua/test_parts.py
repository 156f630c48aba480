"""Parts of values against asyncua's own encoder: whatever the structure, each part is its own value or bad, never another's."""

from asyncua import ua
from asyncua.ua.ua_binary import pack_uatype
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import quality
from protocols.opcua.decode import NULL, OTHER
from protocols.opcua.parts import BAD_INDEX_RANGE_NO_DATA, Member, Part, Structure, expand

TYPE = ua.NodeId(5001, 2)
INT = st.integers(-(2**31), 2**31 - 1)
VALUES = {
    1: st.booleans(),
    3: st.integers(0, 255),
    6: INT,
    9: st.integers(0, 2**64 - 1),
    11: st.floats(allow_nan=False),
    12: st.text(max_size=5),
    15: st.binary(max_size=5),
    21: st.text(max_size=5).map(ua.LocalizedText),
}


@st.composite
def members(draw, depth=0):
    """A member, its value, and its bytes."""
    name = f"m{draw(st.integers(0, 10**6))}"
    if depth < 2 and draw(st.integers(0, 4)) == 0:
        inner = draw(st.lists(members(depth + 1), max_size=3, unique_by=lambda one: one[0].name))
        structure = Structure("", tuple(one[0] for one in inner))
        return Member(name, 22, structure=structure), {one[0].name: one[1] for one in inner}, b"".join(one[2] for one in inner)
    kind = draw(st.sampled_from(list(VALUES)))
    if draw(st.booleans()):
        value = draw(VALUES[kind])
        return Member(name, kind), value, pack_uatype(ua.VariantType(kind), value)
    values = draw(st.lists(VALUES[kind], max_size=3))
    count = len(values).to_bytes(4, "little")
    return Member(name, kind, 1), values, count + b"".join(pack_uatype(ua.VariantType(kind), value) for value in values)


def leaves(member, value, path=()):
    """Path, kind and value of everything single in it."""
    if member.structure is not None:
        for inner in member.structure.members:
            yield from leaves(inner, value[inner.name], (*path, inner.name))
    elif member.rank >= 1:
        yield from (((*path, (number,)), member.kind, one) for number, one in enumerate(value))
    else:
        yield path, member.kind, value


def row(body, kind=OTHER):
    return (7, kind, ua.Variant(ua.ExtensionObject(TYPE, body), ua.VariantType.ExtensionObject), 0, 1, 2)


@settings(max_examples=120, deadline=None)
@given(st.lists(members(), min_size=1, max_size=5, unique_by=lambda one: one[0].name))
def test_every_part_of_a_structure_is_found_at_its_path(found):
    structures = {TYPE.to_string(): Structure(TYPE.to_string(), tuple(one[0] for one in found))}
    wanted = [leaf for member, value, _ in found for leaf in leaves(member, value, (member.name,))]
    parts = tuple(Part(index, path) for index, (path, _, _) in enumerate(wanted))
    rows = expand(row(b"".join(one[2] for one in found)), parts, structures)
    assert rows == [
        (index, kind, value, 0, 1, 2) if kind <= 11 else (index, OTHER, 0, 0, 1, 2) for index, (_, kind, value) in enumerate(wanted)
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(members(), min_size=1, max_size=4, unique_by=lambda one: one[0].name), st.data())
def test_bytes_that_are_cut_are_bad_and_raise_nothing(found, data):
    structures = {TYPE.to_string(): Structure(TYPE.to_string(), tuple(one[0] for one in found))}
    body = b"".join(one[2] for one in found)
    cut = body[: data.draw(st.integers(0, max(0, len(body) - 1)))]
    (one,) = expand(row(cut), (Part(0, (found[0][0].name,)),), structures)
    assert cut == body or quality.is_bad(one[3])


def test_optional_members_and_unions_are_read_by_their_mask():
    three = (Member("a", 6, optional=True), Member("b", 6), Member("c", 6, optional=True))
    optional, union = Structure(TYPE.to_string(), three, optional=True), Structure(TYPE.to_string(), three, union=True)
    parts = tuple(Part(index, (name,)) for index, name in enumerate("abc"))

    def read(structure, *numbers):
        body = b"".join(number.to_bytes(4, "little") for number in numbers)
        return [(one[1], one[2], one[3]) for one in expand(row(body), parts, {TYPE.to_string(): structure})]

    missing = (NULL, 0, BAD_INDEX_RANGE_NO_DATA)
    assert read(optional, 0b10, 5, 6) == [missing, (6, 5, 0), (6, 6, 0)]
    assert read(union, 2, 9) == [missing, (6, 9, 0), missing]
    assert read(union, 0) == [missing, missing, missing]


def test_a_structure_that_the_server_has_not_defined_is_a_type_mismatch():
    assert expand(row(b""), (Part(3, ("a",)),), {}) == [(3, NULL, 0, quality.BAD_TYPE_MISMATCH, 1, 2)]


def test_a_bad_value_is_bad_in_every_part():
    assert expand((7, NULL, 0, quality.BAD_NO_COMMUNICATION, 1, 2), (Part(0, ((0,),)), Part(1, ((1,),))), {}) == [
        (0, NULL, 0, quality.BAD_NO_COMMUNICATION, 1, 2),
        (1, NULL, 0, quality.BAD_NO_COMMUNICATION, 1, 2),
    ]
