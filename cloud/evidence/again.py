"""Evidence rows computed again from what they name, and compared to the bit. Offline: no hub, no database, no clock.

Rows come in the order of dependency, so that a row is computed from recomputed inputs and not from what the file claims of them. Not for
knowing how a kind is computed: each area hands in its stages, the same pure functions that made the row.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from protocols.batch import cbor, evidence, pedigree
from protocols.batch.evidence import Row
from protocols.batch.pedigree import Opened, Pedigree

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Compared:
    """One row: its name, and where its output differs from the recomputed one; none: equal."""

    digest: bytes
    name: str
    as_of_us: int
    differences: tuple[str, ...]


@dataclass(slots=True)
class Known:
    """contents: bytes by digest. rows: those below, by digest. made: what a stage left for the stages above it, by the digest of its row."""

    contents: Mapping[bytes, bytes]
    rows: dict[bytes, Row] = field(default_factory=dict)
    made: dict[bytes, Any] = field(default_factory=dict)
    _parsed: dict[tuple[bytes, object], Any] = field(default_factory=dict)

    def parsed(self, row: Row, name: str, parse: Callable[[bytes], T]) -> T:
        """The row's content of that name as a value; the same bytes are parsed once."""
        key = (row.inputs.contents[name], parse)
        if key not in self._parsed:
            self._parsed[key] = parse(self.contents[key[0]])
        found: T = self._parsed[key]
        return found


Stage = Callable[[Known, Opened], Mapping[str, Any]]


def recompute(found: Pedigree, stages: Mapping[str, Stage]) -> Iterator[Compared]:
    """Every row of a bundle that verifies, one by one. stages: by the kind of row."""
    known = Known(found.contents_by_digest)
    for opened in pedigree.samples_of(found):
        row = opened.row
        output = stages[row.kind](known, opened) if row.kind in stages else None
        known.rows[opened.digest] = row
        if output is None:
            yield Compared(opened.digest, row.name, row.as_of_us, (f'this version does not know how "{row.kind}" is computed',))
        else:
            yield Compared(opened.digest, row.name, row.as_of_us, tuple(differences(row, output)))


def differences(row: Row, output: Mapping[str, Any]) -> Iterator[str]:
    """Where the row's output is not, to the bit, what was computed."""
    again = evidence.decode(evidence.encode(Row(row.kind, row.subject, row.as_of_us, row.inputs, {}, row.seed, row.code, output)))
    yield from _differ("", row.output, again.output)


def _differ(path: str, stored: Any, found: Any) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(found, dict):
        for key in sorted(stored.keys() | found.keys(), key=str):
            place = f"{path}.{key}" if path else str(key)
            if key not in stored or key not in found:
                yield f"{place}: {'not in the row' if key not in stored else 'not computed'}"
            else:
                yield from _differ(place, stored[key], found[key])
    elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        for at, (one, two) in enumerate(zip(stored, found, strict=True)):
            yield from _differ(f"{path}[{at}]", one, two)
    elif cbor.encode(stored) != cbor.encode(found):
        yield f"{path}: the row says {_shown(stored)}, computed {_shown(found)}{_off(stored, found)}"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()[:16]
    return f"{len(evidence.array(value))} numbers" if isinstance(value, cbor.Tag) else repr(value)[:60]


def _off(stored: Any, found: Any) -> str:
    if isinstance(stored, cbor.Tag) and isinstance(found, cbor.Tag):
        one, two = (np.asarray(evidence.array(value), np.float64).ravel() for value in (stored, found))
        if one.size != two.size:
            return ""
    elif isinstance(stored, float) and isinstance(found, float):
        one, two = np.array([stored]), np.array([found])
    else:
        return ""
    return f" (at most {float(np.max(np.abs(one - two) / np.maximum(np.abs(one), 1e-300))):.1e} off)"
