"""Receipts: the log's signed answer that a batch stands in its tree (RFC 9942, verifiable data structure 1 = RFC 9162 SHA-256).

One signature over the root serves every receipt of one checkpoint: `sign_root` once, `issue` per batch. A verifier recomputes
the root from the batch it holds and checks the signature over that root; a root or a leaf carried along is never trusted.
The same path can lead to the same root in trees of several sizes, so our receipts also sign the size (label -70002); receipts
without that label verify, and then the size must be taken from a checkpoint.
"""

from dataclasses import dataclass
from typing import Any, Final

from protocols.batch import cbor, cose, merkle
from protocols.batch.errors import MalformedBatch
from protocols.batch.statement import entry_hash
from protocols.signing import Signer, Verifier

DATA_STRUCTURE: Final = 395
PROOFS: Final = 396
TREE_SIZE: Final = -70002  # private label, in the protected header
INCLUSION: Final = -1
CONSISTENCY: Final = -2
RFC9162_SHA256: Final = 1
MAX_RECEIPT: Final = 8 << 10


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """What all receipts of one checkpoint have in common."""

    size: int
    root: bytes
    protected: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    size: int
    index: int
    root: bytes
    issued_s: int


@dataclass(frozen=True, slots=True)
class InclusionReceipt:
    """Parsed, not verified."""

    sign1: cose.Sign1
    size: int
    index: int
    path: tuple[bytes, ...]

    @property
    def issuer(self) -> str:
        return str(self.sign1.header[cose.CLAIMS][1])

    def root(self, leaf: bytes) -> bytes:
        """The root that `leaf` (a leaf hash) leads to. Raises BadProof."""
        return merkle.root_from_inclusion(leaf, self.index, self.size, self.path)


@dataclass(frozen=True, slots=True)
class ConsistencyReceipt:
    """Parsed, not verified."""

    sign1: cose.Sign1
    old_size: int
    new_size: int
    path: tuple[bytes, ...]

    def new_root(self, old_root: bytes) -> bytes:
        """The root of the new tree, when the old root fits the proof. Raises BadProof."""
        old, new = merkle.roots_from_consistency(self.old_size, self.new_size, old_root, self.path)
        if old != old_root:
            raise merkle.BadProof("consistency proof does not begin at the old root")
        return new


def sign_root(size: int, root: bytes, origin: str, issued_s: int, signer: Signer) -> SignedRoot:
    """origin: the log's name, as in its checkpoints. issued_s: the checkpoint's time in seconds UTC."""
    header = {
        cose.ALGORITHM: signer.algorithm,
        cose.KEY_ID: signer.key_id,
        cose.CLAIMS: {1: origin, 6: issued_s},
        DATA_STRUCTURE: RFC9162_SHA256,
        TREE_SIZE: size,
    }
    protected = cbor.encode(header)
    return SignedRoot(size, root, protected, signer.sign(cose.to_be_signed(protected, root)))


def issue(signed: SignedRoot, index: int, path: list[bytes]) -> bytes:
    """The receipt of leaf `index`; `path` is its inclusion proof in the tree of `signed.size`."""
    proof = cbor.encode([signed.size, index, path])
    return cose.pack(signed.protected, {PROOFS: {INCLUSION: [proof]}}, None, signed.signature)


def verify(receipt: bytes, statement_or_entry: bytes, log: Verifier, origin: str) -> VerifiedReceipt:
    """The receipt proves that the batch (its bytes, or its 32-byte entry hash) stands in the log. Raises BatchError otherwise."""
    entry = statement_or_entry if len(statement_or_entry) == 32 else entry_hash(statement_or_entry)
    parsed = parse(receipt)
    match parsed.sign1.header:
        case {15: {1: str(issuer), 6: issued_s, **more}, **labels} if cbor.are_ints(issued_s, labels.get(1)) and not more:
            pass
        case _:
            raise MalformedBatch("the receipt's header has no algorithm, or other claims than issuer and time")
    signed_size = labels.pop(TREE_SIZE, parsed.size)
    if labels.keys() != {1, 4, DATA_STRUCTURE} or issued_s < 0:
        raise MalformedBatch("the receipt's header has other labels, or a time before 1970")
    if not cbor.are_ints(signed_size) or signed_size != parsed.size:
        raise MalformedBatch(f"the proof is for a tree of {parsed.size}, the log has signed size {signed_size}")
    if issuer != origin:
        raise MalformedBatch(f'the receipt is of the log "{issuer}", expected "{origin}"')
    root = parsed.root(merkle.leaf_hash(entry))
    parsed.sign1.check(log, detached=root)
    return VerifiedReceipt(parsed.size, parsed.index, root, issued_s)


def parse(receipt: bytes, *, foreign: bool = False) -> InclusionReceipt:
    """With exactly one inclusion proof; an empty path is the proof in a tree of size 1. Raises MalformedBatch.

    foreign: of another log, which need not sort the keys of its header.
    """
    sign1 = _unseal(receipt, foreign)
    match _only_proof(sign1, INCLUSION):
        case [size, index, list(path)] if cbor.are_ints(size, index) and 0 <= index < size and all(_is_hash(part) for part in path):
            return InclusionReceipt(sign1, size, index, tuple(path))
    raise MalformedBatch("an inclusion proof is [size, index, path of 32-byte hashes]")


def parse_consistency(receipt: bytes, *, foreign: bool = False) -> ConsistencyReceipt:
    """With exactly one consistency proof. Raises MalformedBatch."""
    sign1 = _unseal(receipt, foreign)
    match _only_proof(sign1, CONSISTENCY):
        case [old, new, list(path)] if cbor.are_ints(old, new) and 0 < old < new and all(_is_hash(part) for part in path):
            return ConsistencyReceipt(sign1, old, new, tuple(path))
    raise MalformedBatch("a consistency proof is [old size, new size, path of 32-byte hashes]")


def _unseal(receipt: bytes, foreign: bool) -> cose.Sign1:
    if len(receipt) > MAX_RECEIPT:
        raise MalformedBatch(f"a receipt of {len(receipt)} bytes, {MAX_RECEIPT} are allowed")
    sign1 = cose.unseal(receipt, foreign=foreign)
    if sign1.payload is not None:
        raise MalformedBatch("a receipt's payload is detached: the root is recomputed, never carried")
    if sign1.header.get(DATA_STRUCTURE) != RFC9162_SHA256 or not cbor.are_ints(sign1.header[DATA_STRUCTURE]):
        raise MalformedBatch("header 395 must be 1 (RFC 9162, SHA-256)")
    return sign1


def _only_proof(sign1: cose.Sign1, kind: int) -> Any:
    match sign1.unprotected:
        case {396: dict(proofs), **more} if not more and proofs.keys() == {kind}:
            pass
        case _:
            raise MalformedBatch("the unprotected header holds proofs of one kind and nothing else")
    match proofs[kind]:
        case [bytes(proof)]:
            return cbor.decode_strict(proof)
    raise MalformedBatch("expected exactly one proof")


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32
