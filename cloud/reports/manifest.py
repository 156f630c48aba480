"""The signed statement that goes with a filing: which bytes, under which rules, how many rows, as of when, made by which program.

For proving later that a file is the one that was made and approved. Not for sending it. Rules: the statement is canonical JSON behind
a line that names its kind, so that no signature of another purpose fits; the signature is checked before anything in it is believed.
"""

import re
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Final

from cloud import document
from cloud.reports.errors import ReportError
from protocols.batch.errors import BadSignature
from protocols.signing import Signer, Verifier

PURPOSE: Final = b"qenergyz filing manifest 1\n"
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """rule_set: SHA-256 of the rules and parameters in force. rows: reported records. generator: program and version."""

    kind: str
    file_sha256: str
    rule_set_sha256: str
    rows: int
    as_of: date
    generator: str

    def __post_init__(self) -> None:
        for name in ("file_sha256", "rule_set_sha256"):
            if not _HASH.fullmatch(getattr(self, name)):
                raise ReportError(f"manifest.{name}", f"expected 64 hexadecimal digits, found {getattr(self, name)[:70]!r}")
        if self.rows < 0 or not self.kind or not self.generator:
            raise ReportError("manifest", f"expected a kind, a generator and no negative rows, found {self.rows}")


@dataclass(frozen=True, slots=True)
class Signed:
    manifest: Manifest
    algorithm: int
    key_id: bytes
    signature: bytes


def of(kind: str, data: bytes, rule_set_sha256: str, rows: int, as_of: date, generator: str) -> Manifest:
    return Manifest(kind, sha256(data).hexdigest(), rule_set_sha256, rows, as_of, generator)


def statement(manifest: Manifest) -> bytes:
    """What is signed."""
    return PURPOSE + document.encode({**asdict(manifest), "as_of": manifest.as_of.isoformat()})


def sign(manifest: Manifest, signer: Signer) -> Signed:
    return Signed(manifest, signer.algorithm, signer.key_id, signer.sign(statement(manifest)))


def verify(signed: Signed, data: bytes, verifier: Verifier) -> None:
    """Return when key, signature and bytes fit. Raises ReportError that says which of them does not."""
    if (signed.algorithm, signed.key_id) != (verifier.algorithm, verifier.key_id):
        raise ReportError("manifest.key", "signed by another key than the one it is checked with")
    try:
        verifier.verify(statement(signed.manifest), signed.signature)
    except BadSignature as error:
        raise ReportError("manifest.signature", "does not fit the manifest") from error
    found = sha256(data).hexdigest()
    if found != signed.manifest.file_sha256:
        raise ReportError("manifest.file_sha256", f"expected {signed.manifest.file_sha256}, the file has {found}")


def as_json(signed: Signed) -> bytes:
    told = {**asdict(signed.manifest), "as_of": signed.manifest.as_of.isoformat()}
    return document.encode(
        {"manifest": told, "algorithm": signed.algorithm, "key_id": signed.key_id.hex(), "signature": signed.signature.hex()}
    )


def from_json(data: bytes) -> Signed:
    """Raises ReportError for what is no signed manifest: unknown, doubled and missing keys, wrong kinds."""
    try:
        outer = document.Fields(document.parse(data), "signed")
        inner = outer.fields("manifest")
        manifest = Manifest(
            inner.text("kind"), inner.text("file_sha256"), inner.text("rule_set_sha256"), inner.integer("rows", 0, 10**9),
            inner.day("as_of"), inner.text("generator"),
        )  # fmt: skip
        inner.done()
        signed = Signed(manifest, outer.integer("algorithm", -(10**6), 10**6), _bytes(outer, "key_id"), _bytes(outer, "signature"))
        outer.done()
    except document.DocumentError as error:
        raise ReportError("signed manifest", str(error)) from error
    return signed


def _bytes(fields: Any, key: str) -> bytes:
    text = fields.text(key)
    if not re.fullmatch(r"([0-9a-f]{2})+", text):
        raise ReportError(f"signed.{key}", "expected hexadecimal digits")
    return bytes.fromhex(text)
