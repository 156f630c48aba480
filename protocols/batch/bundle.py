"""Bundle: one file that proves the samples of one tag in a window of time, for somebody with nothing but the log's public key.

It holds the signed batches, their receipts, a checkpoint, the tag tables, the gateways' public keys and the samples as the hub
gave them. `verify` trusts none of it: it walks from the bytes to the samples in named steps and says which one failed. What it
cannot show without the log is that no later batch adds to the window. docs/wire-format.md has the members.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch import cbor, proofs, statement
from protocols.batch.checkpoint import Checkpoint
from protocols.batch.columns import Gap, GapReason, Group, is_sequence
from protocols.batch.errors import BatchError, MalformedBatch
from protocols.batch.proofs import DIGEST_BYTES, Certificate, Inclusion, ProvenBatch, Step, named
from protocols.batch.statement import Payload, Statement
from protocols.devicemap import TagEntry, TagTable, to_engineering
from protocols.signing import Verifier

VERSION: Final = 1


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
class Report:
    steps: tuple[Step, ...]
    bundle: Bundle | None
    gaps: tuple[Gap, ...] = ()

    @property
    def failed(self) -> str | None:
        """The name of the first step that failed."""
        return proofs.first_failed(self.steps)

    @property
    def ok(self) -> bool:
        return self.failed is None


def write(bundle: Bundle) -> bytes:
    """The bytes of the file. Nothing is verified here; `recompute` gives the samples that `verify` will expect."""
    members: dict[int, Any] = {
        0: VERSION,
        1: proofs.batch_members(bundle.batches),
        3: bundle.checkpoint,
        4: {size: list(path) for size, path in bundle.consistency.items()},
        7: list(bundle.tables),
        8: proofs.certificate_members(bundle.certificates),
        9: bundle.log_key,
        10: [bundle.window.gateway, bundle.window.tag, bundle.window.from_us, bundle.window.to_us],
        11: [cbor.typed_tag(bundle.samples.times_us), cbor.typed_tag(bundle.samples.values), cbor.typed_tag(bundle.samples.quality)],
    }
    return proofs.with_digest(members, 12)


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
    if len(digest) != DIGEST_BYTES or not all(isinstance(table, str) for table in tables):
        raise MalformedBatch("a bundle's tag tables are text, its digest has 32 bytes")
    samples = Samples(_array(times, "<i8"), _array(values, "<f8"), _array(quality, "<u4"))
    if not len(samples.times_us) == len(samples.values) == len(samples.quality):
        raise MalformedBatch("times, values and quality of a bundle have different lengths")
    paths = {size: _path(size, path) for size, path in consistency.items()}
    certificates, proven = tuple(map(proofs.read_certificate, keys)), tuple(map(proofs.read_batch, batches))
    return Bundle(log_key, text, certificates, proven, tuple(tables), window, samples, paths)


def _window(gateway: str, tag: str, from_us: Any, to_us: Any) -> Window:
    if not cbor.are_ints(from_us, to_us):
        raise MalformedBatch("a bundle's window is from and to in microseconds")
    return Window(gateway, tag, from_us, to_us)


def _array(tag: Any, dtype: str) -> NDArray[Any]:
    array = cbor.typed_array(tag)
    if array.dtype != np.dtype(dtype):
        raise MalformedBatch(f"expected an array of {dtype} in a bundle, found {array.dtype}")
    return array


def _path(size: Any, path: Any) -> tuple[bytes, ...]:
    if not cbor.are_ints(size) or not isinstance(path, list) or not all(isinstance(part, bytes) for part in path):
        raise MalformedBatch("a bundle's consistency proofs are lists of hashes by tree size")
    return tuple(path)


def recompute(payloads: Iterable[Payload], tables: Mapping[bytes, TagTable], window: Window) -> Samples:
    """The window's samples from opened batches in their order. Raises MalformedBatch when a column is not of its tag's type."""
    return _in_order([part for payload in payloads for part in _parts(payload, tables, window)])


def columns(
    opened: Iterable[tuple[str, Payload]],
    tables: Mapping[bytes, TagTable],
    tags: Collection[str] | None = None,
    window: tuple[int, int] | None = None,
) -> dict[str, Samples]:
    """Samples by "gateway/device.tag" of opened batches, each with the name of its gateway, by the order rules of `recompute`.

    tags, window (from_us <= time < to_us): these alone. A tag without a sample is left out. Raises MalformedBatch when a column is
    not of its tag's type or its tag is in no table.
    """
    by_id = {digest: table.by_id() for digest, table in tables.items()}
    parts: dict[str, list[Samples]] = {}
    for gateway, payload in opened:
        entries = by_id[payload.table_digest]
        for group in payload.groups:
            rows = _rows_within(group, window)
            for j, number in enumerate(group.tags.tolist()) if rows.size else ():
                if number not in entries:
                    raise MalformedBatch(f"a batch of {gateway} has a tag {number} that its tag table does not know")
                name = f"{gateway}/{entries[number].name}"
                if tags is None or name in tags:
                    parts.setdefault(name, []).append(_column(group, j, rows, entries[number]))
    return {name: _in_order(parts[name]) for name in sorted(parts)}


def _rows_within(group: Group, window: tuple[int, int] | None) -> NDArray[np.intp]:
    if window is None:
        return np.arange(group.times_us.size)
    return np.flatnonzero((group.times_us >= window[0]) & (group.times_us < window[1]))


def _in_order(parts: Sequence[Samples]) -> Samples:
    """By time; equal times stay in the order of the parts."""
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
        rows = _rows_within(group, (window.from_us, window.to_us))
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
    try:
        bundle = read(data)
    except BatchError as error:
        return Report((Step("container", False, str(error)),), None)
    steps = [Step("container", True, f"{len(data)} bytes, {len(bundle.batches)} batches"), proofs.digest_step(data)]
    walk = _Walk(bundle, trusted)
    return Report((*steps, *proofs.walk(walk.steps())), bundle, tuple(walk.gaps))


class _Walk:
    """The steps of one verification; each leaves what it has proven for the ones after it."""

    def __init__(self, bundle: Bundle, trusted: str | None) -> None:
        self.bundle = bundle
        self.trusted = trusted
        self.head = Checkpoint("", 0, b"")
        self.inclusion: Inclusion
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
        self.head, told = proofs.check_head(self.bundle.checkpoint, self.bundle.log_key, self.trusted)
        return told

    def key(self) -> str:
        self.statements = proofs.parse_all(self.bundle.batches)
        self.verifiers = proofs.check_keys(self.bundle.certificates, self.statements)
        for number, parsed in enumerate(self.statements):
            if parsed.header.gateway != self.bundle.window.gateway:
                raise MalformedBatch(f"{named(number, parsed)}: it is of {parsed.header.gateway}, expected {self.bundle.window.gateway}")
        return f"{len(self.bundle.certificates)} enrolled keys of {self.bundle.window.gateway}"

    def statement_signature(self) -> str:
        return proofs.check_signatures(self.statements, self.verifiers)

    def receipt_inclusion(self) -> str:
        self.inclusion = Inclusion(self.head, self.bundle.log_key, self.bundle.consistency)
        for number, (parsed, batch) in enumerate(zip(self.statements, self.bundle.batches, strict=True)):
            with proofs.about(named(number, parsed)):
                self.inclusion.check_root(parsed.entry, batch.receipt)
        if unused := self.inclusion.unused():
            raise MalformedBatch(f"consistency proofs for tree sizes that no receipt has: {unused}")
        return f"{len(self.statements)} batches stand in the log of {self.head.size} entries"

    def receipt_signature(self) -> str:
        for number, (parsed, batch) in enumerate(zip(self.statements, self.bundle.batches, strict=True)):
            with proofs.about(named(number, parsed)):
                self.inclusion.check_signature(parsed.entry, batch.receipt)
        return f"{len(self.statements)} receipts signed by {self.inclusion.log}"

    def tag_table(self) -> str:
        self.tables = {table.digest: table for table in map(TagTable.parse, self.bundle.tables)}
        for number, (parsed, batch) in enumerate(zip(self.statements, self.bundle.batches, strict=True)):
            payload = proofs.check_payload(number, parsed, batch, self.tables)
            self.spans.append(_span(payload))
            self.payloads.append(narrow(payload, self.tables, self.bundle.window.tag))
        if self.payloads:
            proofs.check_tables_used({payload.table_digest for payload in self.payloads}, self.tables)
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
                    raise MalformedBatch(f"{named(number, parsed)}: does not follow {named(before, self.statements[before])}")
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


def _span(payload: Payload) -> tuple[int, int]:
    """The first and last sample time; everything when there are no samples."""
    firsts = [int(group.times_us.min()) for group in payload.groups]
    lasts = [int(group.times_us.max()) for group in payload.groups]
    return min(firsts, default=-(1 << 63)), max(lasts, default=1 << 63)


def _told(samples: Samples) -> str:
    digest = hashlib.sha256(samples.times_us.tobytes() + samples.values.tobytes() + samples.quality.tobytes()).hexdigest()
    return f"{len(samples.times_us)} samples (SHA-256 {digest[:16]})"
