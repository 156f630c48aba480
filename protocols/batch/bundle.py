"""Bundle: one file that proves the samples of one tag in a window of time, for somebody with nothing but the log's public key.

It holds the signed batches, their receipts, a checkpoint, the tag tables, the gateways' public keys and the samples as the hub
gave them. `verify` trusts none of it: it walks from the bytes to the samples in named steps and says which one failed. What it
cannot show without the log is that no later batch adds to the window. docs/wire-format.md has the members.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch import cbor, checkpoint, merkle, receipt, statement
from protocols.batch.checkpoint import Checkpoint, LogKey
from protocols.batch.columns import Gap, GapReason, Group, is_sequence
from protocols.batch.errors import BatchError, MalformedBatch
from protocols.batch.statement import Payload, Statement
from protocols.devicemap import TagEntry, TagTable, to_engineering
from protocols.signing import Verifier, enrolled_verifier

VERSION: Final = 1
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the hub enrolled: which key signs for which gateway (URN), since when."""

    gateway: str
    algorithm: int
    public: bytes
    enrolled_us: int


@dataclass(frozen=True, slots=True)
class ProvenBatch:
    statement: bytes
    receipt: bytes
    table_digest: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """Samples of `tag` ("device.tag") of `gateway` (URN) at from_us <= time < to_us."""

    gateway: str
    tag: str
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Samples:
    """In order of time; equal times in the order of the bundle's batches. values: engineering units."""

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]

    def equals(self, other: "Samples") -> bool:
        """To the bit."""
        return all(
            a.tobytes() == b.tobytes()
            for a, b in ((self.times_us, other.times_us), (self.values, other.values), (self.quality, other.quality))
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """consistency: size of an older tree that receipts belong to -> proof from it to the checkpoint."""

    log_key: str
    checkpoint: str
    certificates: tuple[Certificate, ...]
    batches: tuple[ProvenBatch, ...]
    tables: tuple[str, ...]
    window: Window
    samples: Samples
    consistency: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    steps: tuple[Step, ...]
    bundle: Bundle | None
    gaps: tuple[Gap, ...] = ()

    @property
    def failed(self) -> str | None:
        """The name of the first step that failed."""
        return next((step.name for step in self.steps if not step.ok), None)

    @property
    def ok(self) -> bool:
        return self.failed is None


def write(bundle: Bundle) -> bytes:
    """The bytes of the file. Nothing is verified here; `recompute` gives the samples that `verify` will expect."""
    members: dict[int, Any] = {
        0: VERSION,
        1: [[batch.statement, batch.receipt, batch.table_digest] for batch in bundle.batches],
        3: bundle.checkpoint,
        4: {size: list(path) for size, path in bundle.consistency.items()},
        7: list(bundle.tables),
        8: [[one.gateway, one.algorithm, one.public, one.enrolled_us] for one in bundle.certificates],
        9: bundle.log_key,
        10: [bundle.window.gateway, bundle.window.tag, bundle.window.from_us, bundle.window.to_us],
        11: [cbor.typed_tag(bundle.samples.times_us), cbor.typed_tag(bundle.samples.values), cbor.typed_tag(bundle.samples.quality)],
        12: bytes(_DIGEST_BYTES),
    }
    body = cbor.encode(members)[:-_DIGEST_BYTES]
    return body + hashlib.sha256(body).digest()


def read(data: bytes) -> Bundle:
    """The members by form alone. Raises MalformedBatch."""
    match cbor.decode_strict(data):
        case {0: 1, 1: list(batches), 3: str(text), 4: dict(consistency), 7: list(tables), 8: list(keys), 9: str(log_key), **rest}:
            pass
        case _:
            raise MalformedBatch("not a bundle of version 1")
    match rest:
        case {10: [str(gateway), str(tag), start, end], 11: [times, values, quality], 12: bytes(digest), **more} if not more:
            window = _window(gateway, tag, start, end)
        case _:
            raise MalformedBatch("a bundle has a window, its samples and a digest, and nothing after them")
    if len(digest) != _DIGEST_BYTES or not all(isinstance(table, str) for table in tables):
        raise MalformedBatch("a bundle's tag tables are text, its digest has 32 bytes")
    samples = Samples(_array(times, "<i8"), _array(values, "<f8"), _array(quality, "<u4"))
    if not len(samples.times_us) == len(samples.values) == len(samples.quality):
        raise MalformedBatch("times, values and quality of a bundle have different lengths")
    proofs = {size: _path(size, path) for size, path in consistency.items()}
    return Bundle(log_key, text, tuple(map(_certificate, keys)), tuple(map(_batch, batches)), tuple(tables), window, samples, proofs)


def _window(gateway: str, tag: str, from_us: Any, to_us: Any) -> Window:
    if not cbor.are_ints(from_us, to_us):
        raise MalformedBatch("a bundle's window is from and to in microseconds")
    return Window(gateway, tag, from_us, to_us)


def _array(tag: Any, dtype: str) -> NDArray[Any]:
    array = cbor.typed_array(tag)
    if array.dtype != np.dtype(dtype):
        raise MalformedBatch(f"expected an array of {dtype} in a bundle, found {array.dtype}")
    return array


def _batch(item: Any) -> ProvenBatch:
    match item:
        case [bytes(data), bytes(proof), bytes(digest)]:
            return ProvenBatch(data, proof, digest)
    raise MalformedBatch("a bundle's batch is [statement, receipt, tag table digest]")


def _certificate(item: Any) -> Certificate:
    match item:
        case [str(gateway), algorithm, bytes(public), enrolled_us] if cbor.are_ints(algorithm, enrolled_us):
            return Certificate(gateway, algorithm, public, enrolled_us)
    raise MalformedBatch("a bundle's key is [gateway, algorithm, public key, enrolled at]")


def _path(size: Any, path: Any) -> tuple[bytes, ...]:
    if not cbor.are_ints(size) or not isinstance(path, list) or not all(isinstance(part, bytes) for part in path):
        raise MalformedBatch("a bundle's consistency proofs are lists of hashes by tree size")
    return tuple(path)


def recompute(payloads: Iterable[Payload], tables: Mapping[bytes, TagTable], window: Window) -> Samples:
    """The window's samples from opened batches in their order. Raises MalformedBatch when a column is not of its tag's type."""
    parts = [part for payload in payloads for part in _parts(payload, tables, window)]
    times = np.concatenate([part.times_us for part in parts]) if parts else np.zeros(0, np.int64)
    values = np.concatenate([part.values for part in parts]) if parts else np.zeros(0, np.float64)
    quality = np.concatenate([part.quality for part in parts]) if parts else np.zeros(0, np.uint32)
    order = np.argsort(times, kind="stable")
    return Samples(times[order], values[order], quality[order])


def narrow(payload: Payload, tables: Mapping[bytes, TagTable], tag: str) -> Payload:
    """The payload with the columns of one tag alone, as copies, so that a day of batches does not stay in memory."""
    ids = [entry.id for entry in tables[payload.table_digest].entries if entry.name == tag]
    groups = []
    for group in payload.groups:
        chosen = np.flatnonzero(np.isin(group.tags, ids))
        if chosen.size:
            quality = None if group.quality is None else group.quality[:, chosen]
            groups.append(Group(group.tags[chosen], group.times_us.copy(), group.values[:, chosen], quality))
    return replace(payload, groups=tuple(groups))


def _parts(payload: Payload, tables: Mapping[bytes, TagTable], window: Window) -> Iterator[Samples]:
    entry = next((entry for entry in tables[payload.table_digest].entries if entry.name == window.tag), None)
    if entry is None:
        return
    for group in payload.groups:
        rows = np.flatnonzero((group.times_us >= window.from_us) & (group.times_us < window.to_us))
        for j in np.flatnonzero(group.tags == entry.id) if rows.size else ():
            yield _column(group, int(j), rows, entry)


def _column(group: Group, j: int, rows: NDArray[np.intp], entry: TagEntry) -> Samples:
    if group.values.dtype != entry.type.column:
        raise MalformedBatch(f'tag "{entry.name}" is {entry.type.value} in the tag table, its column is {group.values.dtype}')
    values = to_engineering(np.ascontiguousarray(group.values[rows, j]), entry.type, entry.scale, entry.offset)
    quality = np.zeros(rows.size, np.uint32) if group.quality is None else group.quality[rows, j]
    return Samples(group.times_us[rows], values, quality)


def verify(data: bytes, trusted: str | None = None) -> Report:
    """Every step in turn, up to the first that fails. trusted: the log key (vkey) one expects; without it the file's own is used.

    A wrong digest does not end the walk, so that the report also names the part that was changed. Raises nothing.
    """
    steps: list[Step] = []
    try:
        bundle = read(data)
    except BatchError as error:
        return Report((Step("container", False, str(error)),), None)
    steps.append(Step("container", True, f"{len(data)} bytes, {len(bundle.batches)} batches"))
    whole = hashlib.sha256(data[:-_DIGEST_BYTES]).digest() == data[-_DIGEST_BYTES:]
    steps.append(Step("digest", whole, "SHA-256 over the file fits" if whole else "the file was changed or cut after it was written"))
    walk = _Walk(bundle, trusted)
    for name, step in walk.steps():
        try:
            steps.append(Step(name, True, step()))
        except (BatchError, ValueError, ArithmeticError) as error:
            steps.append(Step(name, False, str(error)))
            break
    return Report(tuple(steps), bundle, tuple(walk.gaps))


class _Walk:
    """The steps of one verification; each leaves what it has proven for the ones after it."""

    def __init__(self, bundle: Bundle, trusted: str | None) -> None:
        self.bundle = bundle
        self.trusted = trusted
        self.head = Checkpoint("", 0, b"")
        self.statements: list[Statement] = []
        self.verifiers: list[Verifier] = []
        self.spans: list[tuple[int, int]] = []
        self.payloads: list[Payload] = []
        self.tables: dict[bytes, TagTable] = {}
        self.gaps: list[Gap] = []

    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("checkpoint signature", self.checkpoint_signature),
            ("key", self.key),
            ("statement signature", self.statement_signature),
            ("receipt inclusion", self.receipt_inclusion),
            ("receipt signature", self.receipt_signature),
            ("tag table", self.tag_table),
            ("chain", self.chain),
            ("samples", self.samples),
        )

    def checkpoint_signature(self) -> str:
        if self.trusted is not None and self.trusted != self.bundle.log_key:
            raise MalformedBatch(f"the bundle is of the log {self.bundle.log_key}, expected {self.trusted}")
        self.head = checkpoint.verify(self.bundle.checkpoint, self.bundle.log_key)
        known = "the key you gave" if self.trusted else "the key in the file; compare it with one you trust"
        return f"{self.head.origin} at size {self.head.size}, signed with {known}"

    def key(self) -> str:
        keys: dict[bytes, tuple[Certificate, Verifier]] = {}
        for certificate in self.bundle.certificates:
            verifier = enrolled_verifier(certificate.algorithm, certificate.public)
            keys[verifier.key_id] = certificate, verifier
        for number, batch in enumerate(self.bundle.batches):
            parsed = statement.parse(batch.statement)
            if parsed.key_id not in keys:
                raise MalformedBatch(f"{_named(number, parsed)}: no enrolled key with its key id is in the bundle")
            certificate, verifier = keys[parsed.key_id]
            if not parsed.header.gateway == certificate.gateway == self.bundle.window.gateway:
                raise MalformedBatch(f"{_named(number, parsed)}: its key is enrolled for {certificate.gateway}")
            self.statements.append(parsed)
            self.verifiers.append(verifier)
        return f"{len(keys)} enrolled keys of {self.bundle.window.gateway}"

    def statement_signature(self) -> str:
        for number, (parsed, verifier) in enumerate(zip(self.statements, self.verifiers, strict=True)):
            with _about(number, parsed):
                parsed.verify(verifier)
        return f"{len(self.statements)} batches signed by their gateway"

    def receipt_inclusion(self) -> str:
        heads = {self.head.size: self.head.root}
        for number, (parsed, batch) in enumerate(zip(self.statements, self.bundle.batches, strict=True)):
            with _about(number, parsed):
                self._included(parsed, batch, heads)
        unused = self.bundle.consistency.keys() - heads.keys()
        if unused:
            raise MalformedBatch(f"consistency proofs for tree sizes that no receipt has: {sorted(unused)}")
        return f"{len(self.statements)} batches stand in the log of {self.head.size} entries"

    def _included(self, parsed: Statement, batch: ProvenBatch, heads: dict[int, bytes]) -> None:
        proof = receipt.parse(batch.receipt)
        root = proof.root(merkle.leaf_hash(parsed.entry))
        if proof.size not in heads:
            path = self.bundle.consistency.get(proof.size, ())
            merkle.verify_consistency(proof.size, self.head.size, root, self.head.root, path)
            heads[proof.size] = root
        if heads[proof.size] != root:
            raise merkle.BadProof(f"the receipt leads to another root than the log has at size {proof.size}")

    def receipt_signature(self) -> str:
        key = LogKey.parse(self.bundle.log_key)
        log = key.verifier()
        for number, (parsed, batch) in enumerate(zip(self.statements, self.bundle.batches, strict=True)):
            with _about(number, parsed):
                receipt.verify(batch.receipt, batch.statement, log, key.name)
        return f"{len(self.statements)} receipts signed by {key.name}"

    def tag_table(self) -> str:
        self.tables = {table.digest: table for table in map(TagTable.parse, self.bundle.tables)}
        for number, (parsed, batch) in enumerate(zip(self.statements, self.bundle.batches, strict=True)):
            with _about(number, parsed):
                payload = parsed.open()
            if payload.table_digest != batch.table_digest or payload.table_digest not in self.tables:
                raise MalformedBatch(f"{_named(number, parsed)}: the tag table it names is not the one in the bundle")
            self.spans.append(_span(payload))
            self.payloads.append(narrow(payload, self.tables, self.bundle.window.tag))
        used = {payload.table_digest for payload in self.payloads}
        if self.payloads and used != self.tables.keys():
            raise MalformedBatch("the bundle holds tag tables that no batch names")
        rows = {entry.name: entry for table in self.tables.values() for entry in table.entries}
        entry = rows.get(self.bundle.window.tag)
        if self.payloads and entry is None:
            raise MalformedBatch(f'no tag table names "{self.bundle.window.tag}"')
        return f'"{self.bundle.window.tag}" in {entry.unit or "no unit"}' if entry else "no batches, no tag tables"

    def chain(self) -> str:
        """Each chain of the bundle is one run; a hole in it must be declared by the gateway. Signed gaps of the window are told."""
        last: dict[tuple[str, int], int] = {}
        holes = 0
        for number, parsed in enumerate(self.statements):
            chain = parsed.header.stream, parsed.header.epoch
            before = last.get(chain)
            if before is not None and not statement.chain_follows(self.statements[before], parsed):
                if not self._declared(before, number):
                    raise MalformedBatch(f"{_named(number, parsed)}: does not follow {_named(before, self.statements[before])}")
                holes += 1
            last[chain] = number
        window = self.bundle.window
        for payload in self.payloads:
            self.gaps += [
                gap for gap in payload.gaps if is_sequence(gap.reason) or (gap.start < window.to_us and gap.end >= window.from_us)
            ]
        return f"{len(last)} chains, {holes} holes that the gateway declared, {len(self.gaps)} signed gaps"

    def _declared(self, before: int, after: int) -> bool:
        """Whether all batches missing between two of a chain are in a signed sequence gap of it, or their time in one of dropped data."""
        first, last = self.statements[before].header, self.statements[after].header
        missing = range(first.seq + 1, last.seq)
        if not missing:
            return False
        start, end = self.spans[before][0], self.spans[after][1]
        for parsed, payload in zip(self.statements, self.payloads, strict=True):
            same = (parsed.header.stream, parsed.header.epoch) == (first.stream, first.epoch)
            for gap in payload.gaps:
                by_number = is_sequence(gap.reason) and same and gap.start <= missing[0] and gap.end >= missing[-1]
                by_time = gap.reason == GapReason.DROPPED_BY_CAP and gap.start <= end and gap.end >= start
                if by_number or by_time:
                    return True
        return False

    def samples(self) -> str:
        found = recompute(self.payloads, self.tables, self.bundle.window)
        claimed = self.bundle.samples
        if not found.equals(claimed):
            raise MalformedBatch(f"the batches give {_told(found)}, the bundle claims {_told(claimed)}")
        return _told(found)


@contextmanager
def _about(number: int, parsed: Statement) -> Iterator[None]:
    """Errors inside name the batch."""
    try:
        yield
    except BatchError as error:
        raise type(error)(f"{_named(number, parsed)}: {error}") from error


def _span(payload: Payload) -> tuple[int, int]:
    """The first and last sample time; everything when there are no samples."""
    firsts = [int(group.times_us.min()) for group in payload.groups]
    lasts = [int(group.times_us.max()) for group in payload.groups]
    return min(firsts, default=-(1 << 63)), max(lasts, default=1 << 63)


def _named(number: int, parsed: Statement) -> str:
    header = parsed.header
    return f"batch {number} ({header.stream}/{header.epoch}/{header.seq})"


def _told(samples: Samples) -> str:
    digest = hashlib.sha256(samples.times_us.tobytes() + samples.values.tobytes() + samples.quality.tobytes()).hexdigest()
    return f"{len(samples.times_us)} samples (SHA-256 {digest[:16]})"
