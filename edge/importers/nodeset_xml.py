"""NodeSet2 XML into a small tree that knows its lines: local names only, whatever their name space. Pure.

Files come from anywhere: a document type declaration is refused, so that there is nothing to expand or to fetch; size and depth are limited.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

LONGEST: Final = 64 * 1024 * 1024
DEEPEST: Final = 100


class NodesetError(Exception):
    """The file violates what a nodeset is: file, line, element, what was expected."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path.name}:{line}: {message}")
        self.path, self.line = path, line


@dataclass(slots=True)
class Element:
    name: str
    line: int
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> Iterator["Element"]:
        return (child for child in self.children if child.name == name)

    def deep(self, name: str) -> "Element | None":
        """The first element of that name anywhere below."""
        for child in self.children:
            found = child if child.name == name else child.deep(name)
            if found is not None:
                return found
        return None


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[Element] = []
        self.root: Element | None = None
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.buffer_text = True

    def _doctype(self, *_: object) -> None:
        raise NodesetError(self._path, self.parser.CurrentLineNumber, "a document type declaration is not accepted")

    def _start(self, full: str, attributes: dict[str, str]) -> None:
        element = Element(full.rpartition(" ")[2], self.parser.CurrentLineNumber, attributes)
        if len(self._open) >= DEEPEST:
            raise NodesetError(self._path, element.line, f"<{element.name}> is nested deeper than {DEEPEST}")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].text += text


def read(path: Path, content: bytes) -> Element:
    """The <UANodeSet>. Raises NodesetError."""
    if len(content) > LONGEST:
        raise NodesetError(path, 1, f"the file has {len(content)} bytes, more than {LONGEST}")
    reader = _Reader(path)
    try:
        reader.parser.Parse(content, True)
    except expat.ExpatError as error:
        raise NodesetError(path, error.lineno, f"not well-formed XML: {expat.ErrorString(error.code)}") from error
    except (ValueError, LookupError) as error:
        raise NodesetError(path, 1, f"not readable: {error}") from error
    if reader.root is None or reader.root.name != "UANodeSet":
        raise NodesetError(path, 1, f"expected <UANodeSet>, found <{reader.root.name if reader.root else ''}>")
    return reader.root
