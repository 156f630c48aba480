"""XML text into a small tree that knows its lines. Pure; not for writing XML and not a general parser.

For files that come from anywhere: a document type declaration is refused, so there are no entities to expand and nothing outside the file
to fetch, and size, depth and number of elements are limited. Elements of foreign name spaces are left out with all they contain, where a
name space is given; else names are local ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

LONGEST: Final = 64 * 1024 * 1024
DEEPEST: Final = 100
MOST: Final = 2_000_000
_SEPARATOR: Final = " "


class XmlError(Exception):
    """The text cannot be read as XML, or as XML that we are willing to read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line, self.message = line, message


@dataclass(slots=True)
class Element:
    name: str
    line: int
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, *names: str) -> Iterator["Element"]:
        return (child for child in self.children if child.name in names)

    def first(self, name: str) -> "Element | None":
        return next(self.all(name), None)

    def deep(self, name: str) -> "Element | None":
        """The first element of that name anywhere below."""
        for child in self.children:
            found = child if child.name == name else child.deep(name)
            if found is not None:
                return found
        return None


class _Builder:
    def __init__(self, space: str | None) -> None:
        self._space = space
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._foreign = self._count = 0
        self.root: Element | None = None
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.buffer_text = True

    def _doctype(self, *_: object) -> None:
        raise XmlError(self.parser.CurrentLineNumber, "a document type declaration is not accepted; remove <!DOCTYPE ...>")

    def _start(self, full: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        self._count += 1
        if self._count > MOST or len(self._open) + self._foreign >= DEEPEST:
            raise XmlError(line, f"more than {MOST} elements, or nested deeper than {DEEPEST}")
        space, _, name = full.rpartition(_SEPARATOR)
        ours = self._space in (None, space)
        if self._foreign or (not ours and self._open):
            self._foreign += 1
            return
        element = Element(name, line, attributes if ours else {"": space})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def _end(self, _: str) -> None:
        if self._foreign:
            self._foreign -= 1
        else:
            self._open.pop().text = "".join(self._texts.pop())

    def _characters(self, text: str) -> None:
        if not self._foreign and self._open:
            self._texts[-1].append(text)


def parse(content: bytes, root: str, space: str | None = None) -> Element:
    """The tree below <root xmlns=space>, or below <root> of any name space. Raises XmlError."""
    if len(content) > LONGEST:
        raise XmlError(1, f"the file has {len(content)} bytes, more than {LONGEST}")
    builder = _Builder(space)
    try:
        builder.parser.Parse(content, True)
    except expat.ExpatError as error:
        raise XmlError(error.lineno, f"not well-formed XML: {expat.ErrorString(error.code)}") from error
    except (ValueError, LookupError) as error:
        raise XmlError(1, f"not readable: {error}") from error
    found = builder.root
    if found is None or found.name != root or "" in found.attributes:
        wanted = root if space is None else f'{root} xmlns="{space}"'
        raise XmlError(found.line if found else 1, f"expected <{wanted}>, found <{found.name if found else ''}>")
    return found
