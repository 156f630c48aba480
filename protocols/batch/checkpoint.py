"""Checkpoints: a log's signed size and root as a C2SP signed note (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).

Ed25519 signatures (type 0x01) only. Lines of other signers (witnesses) are kept and not judged. Extension lines are refused:
ours never has any, and nothing may hide in them.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final, Self

from protocols.batch.errors import BadSignature, MalformedBatch
from protocols.signing import Ed25519Verifier, Signer

MAX_NOTE: Final = 64 << 10
_ED25519: Final = 0x01
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class LogKey:
    """A verifier key ("vkey"): who signs notes under which name. `text` is its one written form."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before each signature of the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((_ED25519,)) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes((_ED25519,)) + self.public)}"

    def verifier(self) -> Ed25519Verifier:
        """For the receipts of the same log."""
        return Ed25519Verifier(self.public)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises MalformedBatch when it is no Ed25519 vkey or its key id does not fit."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _unbase64(encoded)
        if len(raw) != 33 or raw[0] != _ED25519 or not _is_name(name):
            raise MalformedBatch("a log key is name+id+base64 of an Ed25519 key (type 0x01)")
        key = cls(name, raw[1:])
        if key.key_id.hex() != key_id:
            raise MalformedBatch(f"the log key of {name} has the id {key.key_id.hex()}, found {key_id}")
        return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    def sign(self, signer: Signer) -> str:
        """The note's text, signed by the log under its origin."""
        return sign_note(self.body, self.origin, signer)


def verifier_key(origin: str, public: bytes) -> str:
    """The vkey text of a log."""
    return LogKey(origin, public).text


def sign_note(body: str, name: str, signer: Signer) -> str:
    """`body` ends with a newline."""
    blob = LogKey(name, signer.public).key_id + signer.sign(body.encode())
    return f"{body}\n{_DASH}{name} {_base64(blob)}\n"


def verify(text: str, log_key: str | LogKey) -> Checkpoint:
    """The checkpoint that the holder of `log_key` signed under its own name. Raises MalformedBatch or BadSignature."""
    key = LogKey.parse(log_key) if isinstance(log_key, str) else log_key
    checkpoint = parse(verify_note(text, key))
    if checkpoint.origin != key.name:
        raise MalformedBatch(f'the checkpoint is of the log "{checkpoint.origin}", signed by "{key.name}"')
    return checkpoint


def verify_note(text: str, key: LogKey) -> str:
    """The signed body of a note. Raises MalformedBatch, or BadSignature when the key has not signed or its signature is wrong."""
    if len(text) > MAX_NOTE or any(ord(char) < 0x20 and char != "\n" for char in text):
        raise MalformedBatch("a note is short text without control characters")
    body, separator, signatures = text.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise MalformedBatch("a note is text, an empty line, and lines of signatures")
    body += "\n"
    ours = [blob for name, blob in map(_signature, signatures[:-1].split("\n")) if name == key.name and blob[:4] == key.key_id]
    if not ours:
        raise BadSignature(f"{key.name} has not signed this note")
    for blob in ours:
        Ed25519Verifier(key.public).verify(body.encode(), blob[4:])
    return body


def parse(body: str) -> Checkpoint:
    """Strictly: origin, size without leading zeros, 32 bytes of root, nothing else. Raises MalformedBatch."""
    lines = body.split("\n")
    if len(lines) != 4 or lines[3]:
        raise MalformedBatch("a checkpoint has three lines: origin, size, root")
    origin, digits, encoded = lines[:3]
    if not _is_name(origin):
        raise MalformedBatch("a checkpoint's origin is a name without blanks and plus signs")
    if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and digits != "0") or len(digits) > 19:
        raise MalformedBatch(f'a checkpoint\'s size is a number without leading zeros, found "{digits}"')
    root = _unbase64(encoded)
    if len(root) != 32:
        raise MalformedBatch(f"a checkpoint's root has 32 bytes, found {len(root)}")
    return Checkpoint(origin, int(digits), root)


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    blob = _unbase64(encoded)
    if not line.startswith(_DASH) or not _is_name(name) or len(blob) < 5:
        raise MalformedBatch("a note's signature line is an em dash, a name, and base64")
    return name, blob


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unbase64(text: str) -> bytes:
    """The bytes, when `text` is their one standard form, else none."""
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if _base64(raw) == text else b""
