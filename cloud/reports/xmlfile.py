"""XML read without surprises, written canonically, validated against a schema that lies in the project.

For every XML format of this package. Not for the meaning of any of them. Rules: no document type, no entities, no network, no huge trees;
an error names the element by its path and line; numbers are Decimal, never float.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

from lxml import etree  # type: ignore[import-untyped]

from cloud.reports.errors import ReportError
from cloud.reports.layers import Fault, Layer

Node = Any  # an lxml element: the library has no types
MOST_BYTES: Final = 256 * 1024 * 1024
MOST_FAULTS: Final = 200
_DIGITS: Final = 34


def read(data: bytes) -> Node:
    """The root element. Raises ReportError for what is not well formed, and for a document type or an entity before anything else."""
    if len(data) > MOST_BYTES:
        raise ReportError("document", f"expected at most {MOST_BYTES} bytes, found {len(data)}")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, remove_comments=True,
                             remove_pis=True, huge_tree=False)  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ReportError(f"document, line {error.lineno or 0}", f"not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        raise ReportError("document, line 1", "a document type is refused: it can bring entities")
    return root


def write(root: Node) -> bytes:
    """Indented UTF-8 with a declaration and a final newline."""
    etree.indent(root, space="  ")
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return text + b"\n"


def canonical(root: Node) -> bytes:
    """Canonical XML without white space between elements: two files with the same bytes here say the same."""
    copy = etree.fromstring(etree.tostring(root), etree.XMLParser(remove_blank_text=True, remove_comments=True, resolve_entities=False))
    text: bytes = etree.tostring(copy, method="c14n2")
    return text


def name(node: Node) -> str:
    return str(node.tag).rpartition("}")[2]


def path(node: Node) -> str:
    """/Document/Stmt/Bal[2]/Amt: local names, positions only where a name is repeated among brothers."""
    steps: list[str] = []
    while (parent := node.getparent()) is not None:
        steps.append(name(node) + _numbered(parent)[node])
        node = parent
    return "/" + "/".join(reversed([*steps, name(node)]))


@lru_cache(maxsize=8)
def _numbered(parent: Node) -> dict[Node, str]:
    """Of all its children at once, or ten thousand faults would count their brothers one by one. For documents that were read and do not
    change; the last few lists are kept."""
    together = Counter(node.tag for node in parent)
    seen: Counter[str] = Counter()
    found = {}
    for node in parent:
        seen[node.tag] += 1
        found[node] = f"[{seen[node.tag]}]" if together[node.tag] > 1 else ""
    return found


def place(node: Node) -> str:
    return f"{path(node)}, line {line(node)}"


def line(node: Node) -> int:
    return node.sourceline or 0


def text(node: Node) -> str:
    return (node.text or "").strip()


def child(node: Node, *names: str) -> Node | None:
    """The first descendant down this way, whatever its namespace."""
    for wanted in names:
        node = next((one for one in node if name(one) == wanted), None)
        if node is None:
            return None
    return node


def children(node: Node, wanted: str) -> list[Node]:
    return [one for one in node if name(one) == wanted]


def required(node: Node, *names: str) -> Node:
    found = child(node, *names)
    if found is None:
        raise ReportError(place(node), f"{'/'.join(names)} is missing")
    return found


def said(node: Node, *names: str) -> str:
    """The text of a descendant that must be there and not empty."""
    found = required(node, *names)
    if not text(found):
        raise ReportError(place(found), "expected a text, found none")
    return text(found)


def said_or(node: Node, *names: str, default: str = "") -> str:
    found = child(node, *names)
    return default if found is None else text(found)


def decimal(node: Node) -> Decimal:
    try:
        number = Decimal(text(node))
    except InvalidOperation as error:
        raise ReportError(place(node), f"expected a number, found {text(node)[:60]!r}") from error
    if not number.is_finite() or len(number.as_tuple().digits) > _DIGITS or abs(number.adjusted()) > _DIGITS:
        raise ReportError(place(node), f"expected a finite number of at most {_DIGITS} digits, found {text(node)[:60]!r}")
    return number


def plain(number: Decimal) -> str:
    """Without an exponent, as schemas of decimals demand."""
    return f"{number:f}"


def add(parent: Node, tag: str, value: str | None = None) -> Node:
    """A child in its parent's namespace."""
    namespace = etree.QName(parent).namespace
    made = etree.SubElement(parent, f"{{{namespace}}}{tag}" if namespace else tag)
    made.text = value
    return made


def root(tag: str, namespace: str) -> Node:
    return etree.Element(f"{{{namespace}}}{tag}", nsmap={None: namespace}) if namespace else etree.Element(tag)


def leaves(node: Node) -> Iterator[Node]:
    return (one for one in node.iter() if len(one) == 0)


@cache
def _schema(file: str) -> Any:
    found = resources.files("cloud.reports") / "schemas" / file
    return etree.XMLSchema(etree.fromstring(found.read_bytes(), etree.XMLParser(no_network=True, resolve_entities=False)))


def schema_faults(node: Node, file: str, check: str) -> tuple[Fault, ...]:
    """Every fault the schema finds, with the element's path and line; at most MOST_FAULTS."""
    schema = _schema(file)
    if schema.validate(node):
        return ()
    found = list(schema.error_log)[:MOST_FAULTS]
    return tuple(Fault(Layer.SCHEMA, check, _readable(node, one.path), one.line, _short(one.message)) for one in found)


def _readable(node: Node, xpath: str | None) -> str:
    hits = node.getroottree().xpath(xpath) if xpath else []
    return path(hits[0]) if hits else path(node)


def _short(message: str) -> str:
    return message.replace("{", "").replace("}", ":")[:400]
