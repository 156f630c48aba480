"""The steps that every proof in a file takes: checkpoint, keys, signatures, receipts, tag tables. Both kinds of file use them.

Each step raises a BatchError (or ValueError) that says what was expected and names the batch; `walk` turns steps into a report.
What a file is to prove is the business of bundle.py (samples of a tag) and pedigree.py (a computed result).
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from protocols.batch import cbor, checkpoint, merkle, receipt, statement
from protocols.batch.checkpoint import Checkpoint, LogKey
from protocols.batch.errors import BatchError, MalformedBatch
from protocols.batch.statement import Payload, Statement
from protocols.devicemap import TagTable
from protocols.signing import Verifier, enrolled_verifier

DIGEST_BYTES: Final = 32


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
class Step:
    name: str
    ok: bool
    detail: str


def first_failed(steps: Iterable[Step]) -> str | None:
    """The name of the first step that failed."""
    return next((step.name for step in steps if not step.ok), None)


def walk(steps: Iterable[tuple[str, Callable[[], str]]], always: Collection[str] = ()) -> list[Step]:
    """Every step in turn, up to the first that fails; those in `always` are taken after it as well, to tell more of what is wrong."""
    done: list[Step] = []
    for name, step in steps:
        if first_failed(done) and name not in always:
            continue
        try:
            done.append(Step(name, True, step()))
        except (BatchError, ValueError, ArithmeticError) as error:
            done.append(Step(name, False, str(error)))
    return done


def with_digest(members: Mapping[int, Any], label: int) -> bytes:
    """The bytes of a file whose last member, `label`, is SHA-256 over all before it."""
    body = cbor.encode({**members, label: bytes(DIGEST_BYTES)})[:-DIGEST_BYTES]
    return body + hashlib.sha256(body).digest()


def digest_step(data: bytes) -> Step:
    whole = hashlib.sha256(data[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]
    return Step("digest", whole, "SHA-256 over the file fits" if whole else "the file was changed or cut after it was written")


def certificate_members(certificates: Iterable[Certificate]) -> list[list[Any]]:
    return [[one.gateway, one.algorithm, one.public, one.enrolled_us] for one in certificates]


def batch_members(batches: Iterable[ProvenBatch]) -> list[list[Any]]:
    return [[one.statement, one.receipt, one.table_digest] for one in batches]


def read_certificate(item: Any) -> Certificate:
    match item:
        case [str(gateway), algorithm, bytes(public), enrolled_us] if cbor.are_ints(algorithm, enrolled_us):
            return Certificate(gateway, algorithm, public, enrolled_us)
    raise MalformedBatch("a bundle's key is [gateway, algorithm, public key, enrolled at]")


def read_batch(item: Any) -> ProvenBatch:
    match item:
        case [bytes(data), bytes(proof), bytes(digest)]:
            return ProvenBatch(data, proof, digest)
    raise MalformedBatch("a bundle's batch is [statement, receipt, tag table digest]")


def check_head(text: str, log_key: str, trusted: str | None) -> tuple[Checkpoint, str]:
    """The checkpoint that the log signed, and what to tell of it. trusted: the log key that is expected, when somebody knows it."""
    if trusted is not None and trusted != log_key:
        raise MalformedBatch(f"the bundle is of the log {log_key}, expected {trusted}")
    head = checkpoint.verify(text, log_key)
    known = "the key you gave" if trusted else "the key in the file; compare it with one you trust"
    return head, f"{head.origin} at size {head.size}, signed with {known}"


def check_keys(certificates: Iterable[Certificate], statements: Sequence[Statement]) -> list[Verifier]:
    """The verifier of each statement: of a key that is enrolled for the gateway it names."""
    keys: dict[bytes, tuple[Certificate, Verifier]] = {}
    for certificate in certificates:
        verifier = enrolled_verifier(certificate.algorithm, certificate.public)
        keys[verifier.key_id] = certificate, verifier
    found = []
    for number, parsed in enumerate(statements):
        if parsed.key_id not in keys:
            raise MalformedBatch(f"{named(number, parsed)}: no enrolled key with its key id is in the bundle")
        certificate, verifier = keys[parsed.key_id]
        if parsed.header.gateway != certificate.gateway:
            raise MalformedBatch(f"{named(number, parsed)}: its key is enrolled for {certificate.gateway}")
        found.append(verifier)
    return found


def check_signatures(statements: Sequence[Statement], verifiers: Sequence[Verifier]) -> str:
    for number, (parsed, verifier) in enumerate(zip(statements, verifiers, strict=True)):
        with about(named(number, parsed)):
            parsed.verify(verifier)
    return f"{len(statements)} batches signed by their gateway"


class Inclusion:
    """Receipts against one checkpoint. consistency: size of an older tree that receipts belong to -> proof from it to the checkpoint."""

    def __init__(self, head: Checkpoint, log_key: str, consistency: Mapping[int, Sequence[bytes]]) -> None:
        self._head, self._consistency = head, consistency
        self._key = LogKey.parse(log_key)
        self._log = self._key.verifier()
        self._roots = {head.size: head.root}

    def check_root(self, entry: bytes, proof: bytes) -> None:
        """The receipt leads from the entry to the root that the log had at the receipt's size. Raises BatchError."""
        parsed = receipt.parse(proof)
        root = parsed.root(merkle.leaf_hash(entry))
        if parsed.size not in self._roots:
            path = self._consistency.get(parsed.size, ())
            merkle.verify_consistency(parsed.size, self._head.size, root, self._head.root, path)
            self._roots[parsed.size] = root
        if self._roots[parsed.size] != root:
            raise merkle.BadProof(f"the receipt leads to another root than the log has at size {parsed.size}")

    def check_signature(self, entry: bytes, proof: bytes) -> None:
        """The log has signed that root. RFC 9942, 4.4: whoever holds the entry computes the leaf; nothing else is asked of what it is
        the hash of, so batches and evidence rows are checked alike. Raises BatchError.
        """
        receipt.verify(proof, entry, self._log, self._key.name)

    def unused(self) -> list[int]:
        return sorted(self._consistency.keys() - self._roots.keys())

    @property
    def log(self) -> str:
        return self._key.name


def check_payload(number: int, parsed: Statement, batch: ProvenBatch, tables: Mapping[bytes, TagTable]) -> Payload:
    """The opened batch, whose tag table is the one in the bundle."""
    with about(named(number, parsed)):
        payload = parsed.open()
    if payload.table_digest != batch.table_digest or payload.table_digest not in tables:
        raise MalformedBatch(f"{named(number, parsed)}: the tag table it names is not the one in the bundle")
    return payload


def check_tables_used(used: Collection[bytes], tables: Mapping[bytes, TagTable]) -> None:
    if set(used) != tables.keys():
        raise MalformedBatch("the bundle holds tag tables that no batch names")


@contextmanager
def about(name: str) -> Iterator[None]:
    """Errors inside name the thing."""
    try:
        yield
    except BatchError as error:
        raise type(error)(f"{name}: {error}") from error


def named(number: int, parsed: Statement) -> str:
    header = parsed.header
    return f"batch {number} ({header.stream}/{header.epoch}/{header.seq})"


def parse_all(batches: Iterable[ProvenBatch]) -> list[Statement]:
    """By structure alone. Raises BatchError."""
    found = []
    for number, batch in enumerate(batches):
        with about(f"batch {number}"):
            found.append(statement.parse(batch.statement))
    return found
