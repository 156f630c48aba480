"""Addresses of OPC UA values, as a device map writes them. Pure.

    s=Well1.Pressure            a node of the map's namespace by its text
    i=2001   g=<guid>   b=<base64>                     or by number, GUID, bytes
    nsu=http://maker/ns;s=...   a node of another namespace, by URI (";" in a URI is written %3B)
    s=Temps#[3]                 element 3 (from 0) of an array; [1,2] of a matrix
    s=Motor.Status#speed        member of a structure; parts may follow each other: #axes[2].speed

Namespace indexes are never written: they are the server's own affair and change when it restarts. A "#" inside an identifier is written
"##"; brackets need no escape, because before "#" they are part of the identifier (some PLCs name their nodes so). "{device}" stands for the
device's name.
"""

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from typing import Final

STANDARD: Final = "http://opcfoundation.org/UA/"
_NUMBER: Final = re.compile(r"\d{1,10}")
_STEP: Final = re.compile(r"\.?([A-Za-z_][^.\[\]#]*)|\[(\d+(?:,\d+)*)\]")
_EXPECTED: Final = 'expected an address such as "s=Well1.Pressure", "i=2001", "nsu=<uri>;s=..." or "s=Temps#[3]"'

Step = str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """namespace "" = that of the map. identifier: text, number, GUID or bytes. path: where in the node's value, () = all of it."""

    identifier: str | int | uuid.UUID | bytes
    namespace: str = ""
    path: tuple[Step, ...] = ()

    @property
    def node(self) -> tuple[str, str | int | uuid.UUID | bytes]:
        return self.namespace, self.identifier


def parse(at: str, device: str = "{device}") -> Address:
    """Raises ValueError with a sentence."""
    namespace, rest = "", at
    if at.startswith("nsu="):
        uri, separator, rest = at[4:].partition(";")
        namespace = uri.replace("%3B", ";").replace("%25", "%")
        if not separator or not namespace.strip():
            raise ValueError(f'{_EXPECTED}, found "{at}"')
    node, path = _split(rest)
    kind, separator, value = node.partition("=")
    if not separator or not value or value != value.strip():
        raise ValueError(f'{_EXPECTED}, found "{at}"')
    return Address(_identifier(kind, value, device, at), namespace, _path(path, at))


def _split(text: str) -> tuple[str, str | None]:
    """The identifier with its "##" undone, and what stands after the single "#"."""
    match = re.search(r"(?<!#)(?:##)*#(?!#)", text)
    if match is None:
        return text.replace("##", "#"), None
    return text[: match.end() - 1].replace("##", "#"), text[match.end() :]


def _identifier(kind: str, value: str, device: str, at: str) -> str | int | uuid.UUID | bytes:
    if kind == "s":
        return value.replace("{device}", device)
    if kind == "i" and _NUMBER.fullmatch(value) and int(value) < 1 << 32:
        return int(value)
    try:
        if kind == "g":
            return uuid.UUID(value)
        if kind == "b":
            return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f'"{at}": {value} is no {"GUID" if kind == "g" else "base64"}') from error
    raise ValueError(f'{_EXPECTED}, found "{at}"')


def _path(text: str | None, at: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    place = 0
    while text is not None and (match := _STEP.match(text, place)):
        steps.append(tuple(int(part) for part in match[2].split(",")) if match[2] else match[1])
        place = match.end()
    if text is not None and (not steps or place != len(text)):
        raise ValueError(f'"{at}": after "#" expected an element such as [3] or a member such as speed, found "{text}"')
    return tuple(steps)


def written(identifier: str | int | uuid.UUID | bytes, namespace: str = "") -> str:
    """The address text of a node: what `parse` reads."""
    match identifier:
        case int():
            text = f"i={identifier}"
        case str():
            text = "s=" + identifier.replace("#", "##")
        case uuid.UUID():
            text = f"g={identifier}"
        case bytes():
            text = "b=" + base64.b64encode(identifier).decode()
    return f"nsu={namespace.replace('%', '%25').replace(';', '%3B')};{text}" if namespace else text
