"""Small signed documents between a gateway and its hub: COSE_Sign1 around deterministic CBOR, one kind each.

The kind stands in the protected content type, so that a signature for one purpose is never one for another. Who issued a document and whom it is
about are claims (RFC 9597), as in batches. Not for batches, tag tables and receipts: these have forms of their own in `protocols.batch`.
"""

from dataclasses import dataclass
from typing import Any, Final

from protocols.batch import cbor, cose
from protocols.batch.errors import MalformedBatch
from protocols.signing import Signer, Verifier

LONGEST: Final = 2 << 20
_LABELS: Final = {cose.ALGORITHM, cose.KEY_ID, cose.CONTENT_TYPE, cose.CLAIMS}


@dataclass(frozen=True, slots=True)
class Signed:
    """issuer: who says it; subject: whom it is about. content is not to be believed before `verify` has returned."""

    issuer: str
    subject: str
    content: Any
    key_id: bytes
    sign1: cose.Sign1

    def verify(self, verifier: Verifier) -> None:
        """Raises WrongAlgorithm or BadSignature."""
        self.sign1.check(verifier)


def seal(kind: str, issuer: str, subject: str, content: Any, signer: Signer) -> bytes:
    return cose.seal({cose.CONTENT_TYPE: _content_type(kind), cose.CLAIMS: {1: issuer, 2: subject}}, cbor.encode(content), signer)


def parse(data: bytes, kind: str) -> Signed:
    """Structure only, no cryptography. Raises MalformedBatch."""
    if len(data) > LONGEST:
        raise MalformedBatch(f"a signed document of {len(data)} bytes, {LONGEST} are allowed")
    sign1 = cose.unseal(data)
    if set(sign1.header) != _LABELS or sign1.unprotected or sign1.payload is None:
        raise MalformedBatch("a signed document has algorithm, key id, content type and claims in its protected header, and a payload")
    if sign1.header[cose.CONTENT_TYPE] != _content_type(kind):
        raise MalformedBatch(f'expected the content type "{_content_type(kind)}", found {sign1.header[cose.CONTENT_TYPE]!r}')
    match sign1.header[cose.CLAIMS], sign1.header[cose.KEY_ID]:
        case {1: str(issuer), 2: str(subject), **rest}, bytes(key_id) if not rest:
            return Signed(issuer, subject, cbor.decode_strict(sign1.payload), key_id, sign1)
    raise MalformedBatch("the claims of a signed document are issuer and subject, its key id is bytes")


def _content_type(kind: str) -> str:
    return f"application/vnd.qenergyz.{kind}+cbor"
