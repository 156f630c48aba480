"""Pedigree: one file that proves a computed result with everything it came from, for somebody with the log's public key alone.

It holds the row's document, the documents of all rows below it, the contents and signed batches they name, receipts of one
checkpoint, tag tables and the gateways' keys. `verify` trusts none of it: every hash that a row names is computed anew, so an input
that was exchanged, even for one that is signed and logged as well, is told by the name under which the row knows it. That the
output follows from the inputs is not shown by hashes: `samples_of` gives what a recomputation needs. docs/wire-format.md has the
members.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.batch import bundle, cbor, evidence, proofs, statement
from protocols.batch.bundle import Samples
from protocols.batch.checkpoint import Checkpoint
from protocols.batch.errors import BatchError, MalformedBatch, TooLarge
from protocols.batch.evidence import BatchRef, Row
from protocols.batch.proofs import Certificate, Inclusion, ProvenBatch, Step, named
from protocols.batch.statement import Statement
from protocols.devicemap import TagTable
from protocols.signing import Verifier

VERSION: Final = 3
MAX_FILE: Final = 512 << 20
MAX_ROWS: Final = 10_000
MAX_BATCHES: Final = 20_000
_TOLD: Final = 5  # differences of one kind that a report names


@dataclass(frozen=True, slots=True)
class ProvenRow:
    document: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class Pedigree:
    """The members of the file. target: digest of the row it proves."""

    log_key: str
    checkpoint: str
    certificates: tuple[Certificate, ...]
    batches: tuple[ProvenBatch, ...]
    tables: tuple[str, ...]
    target: bytes
    rows: tuple[ProvenRow, ...]
    contents: tuple[bytes, ...]

    @property
    def documents(self) -> dict[bytes, bytes]:
        return {evidence.digest(row.document): row.document for row in self.rows}

    @property
    def contents_by_digest(self) -> dict[bytes, bytes]:
        return {evidence.digest(content): content for content in self.contents}


@dataclass(frozen=True, slots=True)
class Report:
    """target: the row that the file is to prove, when it is there at all."""

    steps: tuple[Step, ...]
    pedigree: Pedigree | None
    target: Row | None = None

    @property
    def failed(self) -> str | None:
        """The name of the first step that failed."""
        return proofs.first_failed(self.steps)

    @property
    def ok(self) -> bool:
        return self.failed is None


@dataclass(frozen=True, slots=True)
class Opened:
    """A row with the samples of its batches, by "gateway/device.tag", narrowed as its inputs say."""

    digest: bytes
    row: Row
    samples: Mapping[str, Samples]


def is_pedigree(data: bytes) -> bool:
    """By the first member, which deterministic CBOR fixes: a map whose first key is 0 and its version 3."""
    return data[1:3] == bytes((0, VERSION))


def write(pedigree: Pedigree) -> bytes:
    """The bytes of the file. Nothing is verified here."""
    members: dict[int, Any] = {
        0: VERSION,
        1: proofs.batch_members(pedigree.batches),
        3: pedigree.checkpoint,
        7: list(pedigree.tables),
        8: proofs.certificate_members(pedigree.certificates),
        9: pedigree.log_key,
        10: pedigree.target,
        11: [[row.document, row.receipt] for row in pedigree.rows],
        12: list(pedigree.contents),
    }
    return proofs.with_digest(members, 13)


def read(data: bytes) -> Pedigree:
    """The members by form alone. Raises MalformedBatch or TooLarge."""
    if len(data) > MAX_FILE:
        raise TooLarge(f"a file of {len(data)} bytes, {MAX_FILE} are allowed")
    match cbor.decode_strict(data):
        case {0: 3, 1: list(batches), 3: str(head), 7: list(tables), 8: list(keys), 9: str(log_key), **rest}:
            pass
        case _:
            raise MalformedBatch("not an evidence bundle (version 3)")
    match rest:
        case {10: bytes(target), 11: list(rows), 12: list(contents), 13: bytes(digest), **more} if not more:
            pass
        case _:
            raise MalformedBatch("an evidence bundle has a target, rows, contents and a digest, and nothing after them")
    if not evidence.is_digest(target) or not evidence.is_digest(digest):
        raise MalformedBatch("target and digest of an evidence bundle have 32 bytes")
    if not all(isinstance(table, str) for table in tables) or not all(isinstance(content, bytes) for content in contents):
        raise MalformedBatch("tag tables of an evidence bundle are text, its contents are byte strings")
    if len(rows) > MAX_ROWS or len(batches) > MAX_BATCHES:
        raise TooLarge(f"{len(rows)} rows and {len(batches)} batches; {MAX_ROWS} and {MAX_BATCHES} are allowed")
    certificates, proven = tuple(map(proofs.read_certificate, keys)), tuple(map(proofs.read_batch, batches))
    return Pedigree(log_key, head, certificates, proven, tuple(tables), target, tuple(map(_row, rows)), tuple(contents))


def _row(item: Any) -> ProvenRow:
    match item:
        case [bytes(document), bytes(proof)]:
            return ProvenRow(document, proof)
    raise MalformedBatch("a row of an evidence bundle is [document, receipt]")


def in_order(target: bytes, rows: Mapping[bytes, Row]) -> list[bytes]:
    """The target and every row below it, each after all that it names; rows that are not there are left out."""
    order: dict[bytes, None] = {}
    waiting = [target] if target in rows else []
    while waiting:
        digest = waiting[-1]
        if below := [one for one in rows[digest].inputs.rows.values() if one in rows and one not in order]:
            waiting += reversed(below)
        else:
            order.setdefault(waiting.pop())
    return list(order)


def samples_of(pedigree: Pedigree) -> Iterator[Opened]:
    """Each row after all that it names, with the samples of its batches. For a file that verifies. Raises BatchError."""
    rows = {digest: evidence.decode(document) for digest, document in pedigree.documents.items()}
    tables = {table.digest: table for table in map(TagTable.parse, pedigree.tables)}
    statements = {statement.entry_hash(batch.statement): batch.statement for batch in pedigree.batches}
    for digest in in_order(pedigree.target, rows):
        row = rows[digest]
        opened = ((evidence.gateway_name(ref.gateway), statement.parse(statements[ref.entry]).open()) for ref in row.inputs.batches)
        tags = None if row.inputs.tags is None else frozenset(row.inputs.tags)
        yield Opened(digest, row, bundle.columns(opened, tables, tags, row.inputs.window))


def verify(data: bytes, trusted: str | None = None) -> Report:
    """Every step in turn, up to the first that fails. trusted: the log key (vkey) one expects; without it the file's own is used.

    Neither a wrong digest nor another failure keeps the references from being checked, so that the report names the input that
    differs. Raises nothing.
    """
    try:
        pedigree = read(data)
        check = _Check(pedigree, trusted)
    except BatchError as error:
        return Report((Step("container", False, str(error)),), None)
    counts = f"{len(pedigree.rows)} rows, {len(pedigree.contents)} contents, {len(pedigree.batches)} batches"
    steps = [Step("container", True, f"{len(data)} bytes, {counts}"), proofs.digest_step(data)]
    return Report((*steps, *proofs.walk(check.steps(), always=("references",))), pedigree, check.rows.get(pedigree.target))


class _Check:
    """The steps of one verification; each leaves what it has proven for the ones after it."""

    def __init__(self, pedigree: Pedigree, trusted: str | None) -> None:
        self.pedigree, self.trusted = pedigree, trusted
        self.statements = proofs.parse_all(pedigree.batches)
        self.digests = [evidence.digest(row.document) for row in pedigree.rows]
        self.rows: dict[bytes, Row] = {}
        for number, (digest, row) in enumerate(zip(self.digests, pedigree.rows, strict=True)):
            with proofs.about(f"row {number}"):
                self.rows[digest] = evidence.decode(row.document)
        self.head = Checkpoint("", 0, b"")
        self.inclusion: Inclusion
        self.verifiers: list[Verifier] = []

    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("checkpoint signature", self.checkpoint_signature),
            ("keys", self.keys),
            ("statement signatures", self.statement_signatures),
            ("receipts of batches", self.receipts_of_batches),
            ("receipts of rows", self.receipts_of_rows),
            ("references", self.references),
            ("tag tables", self.tag_tables),
        )

    def checkpoint_signature(self) -> str:
        self.head, told = proofs.check_head(self.pedigree.checkpoint, self.pedigree.log_key, self.trusted)
        self.inclusion = Inclusion(self.head, self.pedigree.log_key, {})
        return told

    def keys(self) -> str:
        self.verifiers = proofs.check_keys(self.pedigree.certificates, self.statements)
        return f"{len(self.pedigree.certificates)} enrolled keys of {len({one.gateway for one in self.pedigree.certificates})} gateways"

    def statement_signatures(self) -> str:
        return proofs.check_signatures(self.statements, self.verifiers)

    def receipts_of_batches(self) -> str:
        for number, (parsed, batch) in enumerate(zip(self.statements, self.pedigree.batches, strict=True)):
            with proofs.about(named(number, parsed)):
                self._stands(parsed.entry, batch.receipt)
        return f"{len(self.statements)} batches stand in the log of {self.head.size} entries"

    def receipts_of_rows(self) -> str:
        for digest, row in zip(self.digests, self.pedigree.rows, strict=True):
            with proofs.about(self.rows[digest].name):
                self._stands(digest, row.receipt)
        return f"{len(self.digests)} rows stand in the log of {self.head.size} entries"

    def _stands(self, entry: bytes, receipt: bytes) -> None:
        self.inclusion.check_root(entry, receipt)
        self.inclusion.check_signature(entry, receipt)

    def references(self) -> str:
        faults = _reference_faults(self.pedigree, self.digests, self.rows, self.statements)
        if faults:
            raise MalformedBatch("; ".join(faults))
        return "every row, content and batch that a row names is there, and nothing else"

    def tag_tables(self) -> str:
        tables = {table.digest: table for table in map(TagTable.parse, self.pedigree.tables)}
        used = set()
        for number, (parsed, batch) in enumerate(zip(self.statements, self.pedigree.batches, strict=True)):
            used.add(proofs.check_payload(number, parsed, batch, tables).table_digest)
        proofs.check_tables_used(used, tables)
        return f"{len(tables)} tag tables that the batches name"


def _reference_faults(
    pedigree: Pedigree, digests: Sequence[bytes], rows: Mapping[bytes, Row], statements: Sequence[Statement]
) -> list[str]:
    """What differs between what the rows name and what is there; empty when both are the same."""
    if pedigree.target not in rows:
        below = {hashed for row in rows.values() for hashed in row.inputs.rows.values()}
        tops = [f"{row.name} ({_short(digest)})" for digest, row in rows.items() if digest not in below]
        return [f"the row to prove: expected {_short(pedigree.target)}, found {', '.join(tops[:_TOLD]) or 'no rows'}"]
    entries = [parsed.entry for parsed in statements]
    batches = dict(zip(entries, statements, strict=True))
    contents = [evidence.digest(content) for content in pedigree.contents]
    sizes = dict(zip(contents, map(len, pedigree.contents), strict=True))
    wanted_rows, wanted_contents, wanted_batches = {pedigree.target: ""}, dict[bytes, str](), dict[bytes, str]()
    misnumbered: list[str] = []
    for row in map(rows.__getitem__, in_order(pedigree.target, rows)):
        for name, hashed in row.inputs.rows.items():
            wanted_rows.setdefault(hashed, f'input row "{name}" of {row.name}: expected')
        for name, hashed in row.inputs.contents.items():
            wanted_contents.setdefault(hashed, f'input content "{name}" of {row.name}: expected')
        for ref in row.inputs.batches:
            wanted_batches.setdefault(ref.entry, f"input batch {ref.name} of {row.name}: expected entry")
            if ref.entry in batches and not _is_numbered(batches[ref.entry], ref):
                misnumbered.append(f"input batch {ref.name} of {row.name}: the batch with its entry is {_batch_name(batches[ref.entry])}")
    found = [
        _differences(wanted_rows, digests, lambda digest: f"a row {rows[digest].name} ({_short(digest)})"),
        _differences(wanted_contents, contents, lambda digest: f"a content of {sizes[digest]} bytes ({_short(digest)})"),
        _differences(wanted_batches, entries, lambda entry: f"a batch of {_batch_name(batches[entry])} ({_short(entry)})"),
    ]
    missing = misnumbered + [fault for one, _ in found for fault in one]
    faults = missing or [fault for _, one in found for fault in one]  # without an input, all below it is named by nobody
    return faults[:_TOLD] + ([f"{len(faults) - _TOLD} more differences"] if len(faults) > _TOLD else [])


def _differences(wanted: Mapping[bytes, str], found: Sequence[bytes], describe: Callable[[bytes], str]) -> tuple[list[str], list[str]]:
    """A sentence for each that is missing, with what stands in the file instead, and one for each that is left over."""
    there = Counter(found)
    left = [digest for digest, times in there.items() for _ in range(times - (digest in wanted))]
    missing = []
    for at, digest in enumerate(digest for digest in wanted if digest not in there):
        instead = f"found {describe(left[at])}" if at < len(left) else "it is not in the file"
        missing.append(f"{wanted[digest]} {_short(digest)}, {instead}")
    return missing, [f"{describe(digest)} is in the file, but no row names it" for digest in left]


def _is_numbered(parsed: Statement, ref: BatchRef) -> bool:
    header = parsed.header
    return (header.gateway, header.stream, header.epoch, header.seq) == (ref.gateway, ref.stream, ref.epoch, ref.seq)


def _batch_name(parsed: Statement) -> str:
    header = parsed.header
    return evidence.batch_name(header.gateway, header.stream, header.epoch, header.seq)


def _short(digest: bytes) -> str:
    return f"{digest.hex()[:16]}.."
