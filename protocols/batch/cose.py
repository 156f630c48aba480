"""COSE_Sign1 (RFC 9052, 4.2): the envelope around statements, tag tables and receipts.

`seal` and `unseal` are the strict form of the profile: tag 18, deterministic protected header. `verify_sign1` is the general
form with its lenient corners (no tag, algorithm in the unprotected header), kept for foreign examples; nothing of the hub uses it.
"""

from dataclasses import dataclass
from typing import Any, Final

from protocols.batch import cbor
from protocols.batch.errors import BadSignature, MalformedBatch, WrongAlgorithm
from protocols.signing import Signer, Verifier

TAG: Final = 18
ALGORITHM: Final = 1
CONTENT_TYPE: Final = 3
KEY_ID: Final = 4
CLAIMS: Final = 15  # CWT claims (RFC 9597): 1 issuer, 2 subject, 6 issued at
TYPE: Final = 16  # RFC 9596


@dataclass(frozen=True, slots=True)
class Sign1:
    """protected: the bytes that are signed; header: their value. payload is None when it travels detached."""

    protected: bytes
    header: dict[Any, Any]
    unprotected: dict[Any, Any]
    payload: bytes | None
    signature: bytes

    def to_be_signed(self, detached: bytes | None = None, external: bytes = b"") -> bytes:
        payload = self.payload if detached is None else detached
        if payload is None:
            raise MalformedBatch("the payload is detached and was not given")
        return to_be_signed(self.protected, payload, external)

    def check(self, verifier: Verifier, detached: bytes | None = None) -> None:
        """Algorithm, key and signature against the verifier enrolled for the key. Raises WrongAlgorithm or BadSignature."""
        algorithm, key_id = self.header.get(ALGORITHM), self.header.get(KEY_ID)
        if algorithm != verifier.algorithm:
            raise WrongAlgorithm(f"algorithm {algorithm} in the header, {verifier.algorithm} is enrolled for the key")
        if key_id != verifier.key_id:
            raise BadSignature("the header names another key than the one it is verified with")
        verifier.verify(self.to_be_signed(detached), self.signature)


def to_be_signed(protected: bytes, payload: bytes, external: bytes = b"") -> bytes:
    """Sig_structure of RFC 9052, 4.4."""
    return cbor.encode(["Signature1", protected, external, payload])


def seal(header: dict[Any, Any], payload: bytes, signer: Signer) -> bytes:
    """A signed statement with an empty unprotected header; algorithm and key id come from the signer."""
    protected = cbor.encode({ALGORITHM: signer.algorithm, KEY_ID: signer.key_id, **header})
    return pack(protected, {}, payload, signer.sign(to_be_signed(protected, payload)))


def pack(protected: bytes, unprotected: dict[Any, Any], payload: bytes | None, signature: bytes) -> bytes:
    return cbor.encode(cbor.Tag(TAG, [protected, unprotected, payload, signature]))


def unseal(data: bytes, *, foreign: bool = False) -> Sign1:
    """Structure only, no cryptography. foreign: the protected header's keys may stand in any order. Raises MalformedBatch."""
    match cbor.decode_strict(data):
        case cbor.Tag(18, [bytes(protected), dict(unprotected), bytes() | None as payload, bytes(signature)]):
            header = cbor.decode_strict(protected, any_key_order=foreign)
        case _:
            raise MalformedBatch("expected a tagged COSE_Sign1 of [protected, unprotected, payload, signature]")
    if not isinstance(header, dict):
        raise MalformedBatch("the protected header is not a map")
    return Sign1(protected, header, unprotected, payload, signature)


def verify_sign1(data: bytes, verifier: Verifier, external: bytes = b"") -> Sign1:
    """Any COSE_Sign1 by the letter of RFC 9052: with or without its tag, algorithm in either header."""
    item = cbor.decode_strict(data)
    if isinstance(item, cbor.Tag):
        if item.number != TAG:
            raise MalformedBatch(f"tag {item.number} is not COSE_Sign1")
        item = item.value
    match item:
        case [bytes(protected), dict(unprotected), bytes() | None as payload, bytes(signature)]:
            header = cbor.decode_strict(protected) if protected else {}
        case _:
            raise MalformedBatch("expected a COSE_Sign1 of [protected, unprotected, payload, signature]")
    if not isinstance(header, dict):
        raise MalformedBatch("the protected header is not a map")
    algorithm = header.get(ALGORITHM, unprotected.get(ALGORITHM))
    if algorithm != verifier.algorithm:
        raise WrongAlgorithm(f"algorithm {algorithm} in the header, {verifier.algorithm} is enrolled for the key")
    sign1 = Sign1(protected if header else b"", header, unprotected, payload, signature)  # RFC 9052, 3: an empty map counts as no bytes
    verifier.verify(sign1.to_be_signed(external=external), signature)
    return sign1
