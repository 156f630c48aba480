"""Evidence: one computed result as a document that names everything it came from.

A row names its inputs by hash (other rows, contents, signed batches), its parameters, seed and code, and holds its output. Its
document is deterministic CBOR; SHA-256 of the document is the row's id and its entry in the tenant's log. A document is a CBOR map
and a batch a tagged array, so neither can be taken for the other. Rows in a file that proves them: protocols/batch/pedigree.py.
Nothing here reads files, clocks or networks.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch import cbor
from protocols.batch.errors import MalformedBatch, TooLarge

MAX_DOCUMENT: Final = 8 << 20
MAX_CONTENT: Final = 64 << 20
DIGEST_BYTES: Final = 32
_MULTI: Final = 40  # RFC 8746, 3.1.1: [dimensions, typed array], row-major
_ARRAYS: Final = frozenset({"<u4", "<i2", "<i4", "<i8", "<f4", "<f8"})


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A signed batch by number and entry hash. gateway: its URN."""

    gateway: str
    stream: str
    epoch: int
    seq: int
    entry: bytes

    @property
    def name(self) -> str:
        return batch_name(self.gateway, self.stream, self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Inputs:
    """rows, contents: name -> SHA-256 of a row's document, of a byte string. window: from_us <= source time < to_us.

    tags ("gateway/device.tag") and window narrow what was taken from the batches; None: everything.
    """

    rows: Mapping[str, bytes] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    batches: tuple[BatchRef, ...] = ()
    window: tuple[int, int] | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One result. parameters, output: text -> numbers, text, bytes, lists, maps, numpy arrays; read back, arrays are tags (`array`)."""

    kind: str
    subject: str
    as_of_us: int
    inputs: Inputs
    parameters: Mapping[str, Any]
    seed: int
    code: Mapping[str, str]
    output: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kind} {self.subject}"


def gateway_name(urn: str) -> str:
    """The last part of a gateway's URN, with which its tags are qualified: "rig1/well.pressure"."""
    return urn.rpartition(":")[2]


def batch_name(gateway: str, stream: str, epoch: int, seq: int) -> str:
    return f"{gateway_name(gateway)} {stream}/{epoch}/{seq}"


def digest(document: bytes) -> bytes:
    """The id of a row, and of a content."""
    return hashlib.sha256(document).digest()


def encode(row: Row) -> bytes:
    """The document. Raises ValueError, naming the member, for what a document cannot hold: NaN, Decimals, keys that are not text."""
    inputs: dict[str, Any] = {
        "rows": row.inputs.rows,
        "contents": row.inputs.contents,
        "batches": [[ref.gateway, ref.stream, ref.epoch, ref.seq, ref.entry] for ref in row.inputs.batches],
    }
    if row.inputs.window is not None:
        inputs["window"] = row.inputs.window
    if row.inputs.tags is not None:
        inputs["tags"] = row.inputs.tags
    members = {
        "kind": row.kind,
        "subject": row.subject,
        "as_of_us": row.as_of_us,
        "inputs": inputs,
        "parameters": row.parameters,
        "seed": row.seed,
        "code": row.code,
        "output": row.output,
    }
    try:
        document = cbor.encode({key: _plain(member, key) for key, member in members.items()})
        decode(document)
    except (MalformedBatch, TooLarge) as error:
        raise ValueError(f"evidence {row.name}: {error}") from error
    except ValueError as error:
        raise ValueError(f"evidence {row.name}: {error}") from error
    return document


def decode(document: bytes) -> Row:
    """Inverse of `encode`; arrays stay tags. Raises MalformedBatch or TooLarge."""
    if len(document) > MAX_DOCUMENT:
        raise TooLarge(f"an evidence document of {len(document)} bytes, {MAX_DOCUMENT} are allowed")
    match cbor.decode_strict(document):
        case {"kind": str(kind), "subject": str(subject), "as_of_us": as_of_us, "inputs": dict(inputs), "seed": seed, **rest}:
            pass
        case _:
            raise MalformedBatch("an evidence document needs kind, subject, as_of_us, inputs and seed")
    match rest:
        case {"parameters": dict(parameters), "code": dict(code), "output": dict(output), **more} if not more:
            pass
        case _:
            raise MalformedBatch("an evidence document has parameters, code and output as maps, and nothing else")
    if not kind or not subject or not _in_int64(as_of_us) or not cbor.are_ints(seed) or not 0 <= seed < 1 << 64:
        raise MalformedBatch("an evidence document names kind and subject, as_of_us in 64 bits and a seed from 0")
    if not all(isinstance(key, str) and isinstance(text, str) for key, text in code.items()):
        raise MalformedBatch("the code of an evidence document is text by name")
    try:
        _plain(parameters, "parameters")
        _plain(output, "output")
    except ValueError as error:
        raise MalformedBatch(str(error)) from error
    return Row(kind, subject, as_of_us, _inputs(inputs), parameters, seed, code, output)


def array(value: Any) -> NDArray[Any]:
    """The array that was encoded, in its shape. Raises MalformedBatch when `value` is none."""
    match value:
        case cbor.Tag(40, [list(shape), cbor.Tag() as flat]) if shape and cbor.are_ints(*shape) and min(shape) >= 0:
            found = cbor.typed_array(flat)
            if len(shape) < 2 or math.prod(shape) != found.size:
                raise MalformedBatch(f"an array of shape {shape} holds {found.size} numbers")
            return found.reshape(shape)
    return cbor.typed_array(value)


def is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == DIGEST_BYTES


def _inputs(document: dict[Any, Any]) -> Inputs:
    match document:
        case {"rows": dict(rows), "contents": dict(contents), "batches": list(batches), **rest} if rest.keys() <= {"window", "tags"}:
            pass
        case _:
            raise MalformedBatch("inputs are rows, contents and batches, and a window and tags when they were narrowed")
    for name, hashed in (*rows.items(), *contents.items()):
        if not isinstance(name, str) or not name or not is_digest(hashed):
            raise MalformedBatch(f"input {name!r}: expected a name and 32 bytes")
    refs = tuple(map(_batch, batches))
    if len({ref.entry for ref in refs}) != len(refs):
        raise MalformedBatch("inputs name a batch twice")
    return Inputs(rows, contents, refs, _window(rest), _tags(rest))


def _batch(item: Any) -> BatchRef:
    match item:
        case [str(gateway), str(stream), epoch, seq, entry] if gateway and stream and _in_int64(epoch) and _in_int64(seq):
            if epoch >= 0 and seq >= 1 and is_digest(entry):
                return BatchRef(gateway, stream, epoch, seq, entry)
    raise MalformedBatch("an input batch is [gateway URN, stream, epoch, number from 1, entry of 32 bytes]")


def _window(inputs: Mapping[str, Any]) -> tuple[int, int] | None:
    if "window" not in inputs:
        return None
    match inputs["window"]:
        case [from_us, to_us] if _in_int64(from_us) and _in_int64(to_us) and from_us < to_us:
            return from_us, to_us
    raise MalformedBatch("the window of inputs is [from, to] in microseconds, from before to")


def _tags(inputs: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "tags" not in inputs:
        return None
    tags = inputs["tags"]
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags) or len(set(tags)) != len(tags):
        raise MalformedBatch("the tags of inputs are different names")
    return tuple(tags)


def _in_int64(value: object) -> bool:
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def _plain(value: Any, path: str) -> Any:
    """The value in types that CBOR and JSON both know. Raises ValueError naming the path of what is not one."""
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bool() | None | str() | bytes():
            return value
        case int():
            if not -(1 << 63) <= value < 1 << 64:
                raise ValueError(f"{path}: {value} does not fit into 64 bits")
            return value
        case float():
            if math.isnan(value):
                raise ValueError(f"{path} is not a number; leave out what has no value, or say None")
            return value
        case np.ndarray():
            return _array_tag(value, path)
        case cbor.Tag():
            return _checked(value, path)
        case Mapping():
            return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
        case Sequence():
            return [_plain(item, f"{path}[{at}]") for at, item in enumerate(value)]
    raise ValueError(f"{path}: a document holds no {type(value).__name__}; write it as text or number")


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{path}: the keys of a map are text, found {key!r}")
    return key


def _array_tag(value: NDArray[Any], path: str) -> Any:
    if value.ndim == 0:
        return _plain(value.item(), path)
    if value.dtype.newbyteorder("<").str not in _ARRAYS:
        raise ValueError(f"{path}: no arrays of {value.dtype}; use int16, int32, int64, uint32, float32 or float64")
    flat = cbor.typed_tag(np.ascontiguousarray(value).ravel())
    return _checked(flat if value.ndim == 1 else cbor.Tag(_MULTI, [list(value.shape), flat]), path)


def _checked(tag: cbor.Tag, path: str) -> cbor.Tag:
    try:
        found = array(tag)
    except MalformedBatch as error:
        raise ValueError(f"{path}: {error}") from error
    if found.dtype.kind == "f" and bool(np.isnan(found).any()):
        raise ValueError(f"{path} has {int(np.isnan(found).sum())} values that are not a number")
    return tag
