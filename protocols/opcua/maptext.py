"""A device map's text from the variables of a server: found by browsing it, or in its nodeset. Pure.

Numbers become tags, strings become texts, members of structures and elements of small arrays become tags of their own; what is none of
these is named in a comment at the end. Nothing is made writable, and intervals are the defaults: that is for the person who looks
through the map.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.opcua.address import Address, Step, written
from protocols.tomlfile import quoted

BUILTIN: Final[Mapping[int, str]] = dict(
    enumerate(["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"], 1)
)
TEXT_KINDS: Final = frozenset({12, 21})  # String, LocalizedText
ELEMENTS_MOST: Final = 64
_KIND_NAMES: Final = {13: "DateTime", 14: "Guid", 15: "ByteString", 17: "NodeId", 22: "structure", 24: "any type"}
_UNITS: Final = {"°C": "degC", "°F": "degF", "m³": "m3", "m²": "m2", "Ω": "ohm", "µ": "u"}


@dataclass(frozen=True, slots=True)
class Part:
    """A number inside a variable's value: a member of a structure."""

    path: tuple[Step, ...]
    kind: int


@dataclass(frozen=True, slots=True)
class Variable:
    """path: browse names from the start, "/" between them. kind: built-in type (25 = not known). dimensions: of an array, () = scalar."""

    path: str
    address: Address
    kind: int
    dimensions: tuple[int, ...] = ()
    unit: str = ""
    range: tuple[float, float] | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    description: str = ""
    array: bool = False


def device_map_text(name: str, variables: Iterable[Variable], source: str, *, maker: str = "", model: str = "", skipped: str = "") -> str:
    """Raises ValueError where nothing is a number. The namespace of most variables is the map's; the others are written out."""
    variables = list(variables)
    home = _home(variables)
    names = _Names()
    tags = [line for one in variables for line in _tags(one, home, names)]
    if not tags:
        raise ValueError(f"there is no variable with a number in it{skipped and '; ' + skipped}")
    texts = [line for one in variables if one.kind in TEXT_KINDS and not _is_array(one) for line in _text(one, home, names)]
    left_out = [one for one in variables if not _carried(one)]
    return (
        "\n".join(
            [
                f"device_map = {quoted(name)}",
                f"maker = {quoted(maker or 'unknown')}",
                f"models = [{quoted(model or name)}]",
                f"source = {quoted(source)}",
                'caveats = ["made from the server\'s own description: look through tags, units and intervals before use"]',
                "",
                "[opcua]",
                f"namespace = {quoted(home)}",
                *tags,
                *texts,
                *([""] if left_out or skipped else []),
                *(
                    f"# left out: {one.path} ({_KIND_NAMES.get(one.kind, 'not a number')}{', array' if _is_array(one) else ''})"
                    for one in left_out
                ),
                *([f"# {skipped}"] if skipped else []),
            ]
        )
        + "\n"
    )


def _is_array(one: Variable) -> bool:
    return one.array or bool(one.dimensions)


def _carried(one: Variable) -> bool:
    if _is_array(one):
        return one.kind in BUILTIN and _elements(one) is not None
    return one.kind in BUILTIN or one.kind in TEXT_KINDS or any(part.kind in BUILTIN for part in one.parts)


def _elements(one: Variable) -> Iterator[tuple[int, ...]] | None:
    """Places of an array whose size is known and small."""
    total = 1
    for size in one.dimensions:
        total *= size
    if not one.dimensions or not 0 < total <= ELEMENTS_MOST:
        return None
    places: list[tuple[int, ...]] = [()]
    for size in one.dimensions:
        places = [(*place, number) for place in places for number in range(size)]
    return iter(places)


def _tags(one: Variable, home: str, names: "_Names") -> list[str]:
    if not _carried(one) or one.kind in TEXT_KINDS:
        return []
    address = one.address
    if _is_array(one):
        parts = [(f"{one.path}/{'_'.join(map(str, place))}", _at(address, home, (place,)), one.kind) for place in _elements(one) or ()]
    elif one.kind in BUILTIN:
        parts = [(one.path, _at(address, home), one.kind)]
    else:
        wanted = [part for part in one.parts if part.kind in BUILTIN]
        parts = [(f"{one.path}/{'/'.join(map(str, part.path))}", _at(address, home, part.path), part.kind) for part in wanted]
    lines: list[str] = []
    for path, at, kind in parts:
        lines += ["", "[[tags]]", f"name = {quoted(names.unique(path))}", f"at = {quoted(at)}", f"type = {quoted(BUILTIN[kind])}"]
        if one.unit and BUILTIN[kind] != "bool":
            lines.append(f"unit = {quoted(_unit(one.unit))}")
        if one.range and one.range[0] < one.range[1] and BUILTIN[kind] != "bool":
            lines.append(f"range = [{_number(one.range[0])}, {_number(one.range[1])}]")
        if one.labels:
            lines.append(
                "labels = { " + ", ".join(f"{quoted(str(number))} = {quoted(label)}" for number, label in one.labels.items()) + " }"
            )
        lines.append(f"vendor = {quoted(path)}")
    return lines


def _text(one: Variable, home: str, names: "_Names") -> list[str]:
    return ["", "[[texts]]", f"name = {quoted(names.unique(one.path))}", f"at = {quoted(_at(one.address, home))}"]


def _at(address: Address, home: str, path: Sequence[Step] = ()) -> str:
    text = written(address.identifier, "" if address.namespace == home else address.namespace)
    steps = "".join(f"[{','.join(map(str, step))}]" if isinstance(step, tuple) else f".{step}" for step in path)
    return f"{text}#{steps.removeprefix('.')}" if steps else text


def _home(variables: Sequence[Variable]) -> str:
    counts: dict[str, int] = {}
    for one in variables:
        counts[one.address.namespace] = counts.get(one.address.namespace, 0) + (1 if _carried(one) else 0)
    return max(counts, key=lambda uri: counts[uri], default="")


class _Names:
    """Tag names from paths: small letters, words joined by "_", as short as they stay unique."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, path: str) -> str:
        words = [_word(part) for part in path.split("/")]
        words = [word for word in words if word] or ["value"]
        for count in range(min(2, len(words)), len(words) + 1):
            name = "_".join(words[-count:])
            if name not in self._taken:
                break
        number = 2
        while name in self._taken:
            name, number = f"{'_'.join(words)}_{number}", number + 1
        self._taken.add(name)
        return name


def _word(text: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _unit(text: str) -> str:
    for symbol, plain in _UNITS.items():
        text = text.replace(symbol, plain)
    return text.strip()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
