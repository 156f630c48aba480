"""Who signs and who verifies: algorithm, key id, and the two operations. Private keys in files; hardware keys are another module.

The set of algorithms is closed (RFC 9864 numbers): -19 Ed25519 for keys in software, -9 ES256 on P-256 for keys in a TPM or
HSM, -48 ML-DSA-44 reserved. -8 (EdDSA) and -7 (ES256) are the deprecated numbers of the same mathematics; a verifier is made
for them only to check foreign examples. The algorithm belongs to the enrolled key and is never taken from a message.
"""

import hashlib
import os
from pathlib import Path
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocols.batch import cbor
from protocols.batch.errors import BadSignature

ED25519: Final = -19
ESP256: Final = -9
ML_DSA_44: Final = -48  # reserved: no key can be enrolled with it yet
EDDSA_COMPATIBILITY: Final = -8
ES256_COMPATIBILITY: Final = -7


class Signer(Protocol):
    @property
    def algorithm(self) -> int: ...
    @property
    def key_id(self) -> bytes: ...
    @property
    def public(self) -> bytes:
        """The raw public key as it is enrolled: 32 bytes for Ed25519."""

    def sign(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    @property
    def algorithm(self) -> int: ...
    @property
    def key_id(self) -> bytes: ...
    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when the signature fits, else raise BadSignature."""


class Ed25519Signer:
    def __init__(self, private: Ed25519PrivateKey, algorithm: int = ED25519) -> None:
        self._private = private
        self.algorithm = algorithm
        self.public = private.public_key().public_bytes_raw()
        self.key_id = ed25519_key_id(self.public)

    @classmethod
    def generate(cls) -> Self:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes, algorithm: int = ED25519) -> Self:
        """The key of RFC 8032's 32-byte secret; for tests and known vectors."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed), algorithm)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From an unencrypted PKCS#8 PEM file. Raises ValueError when it holds anything else, OSError when it cannot be read."""
        return cls.from_pem(path.read_bytes(), str(path))

    @classmethod
    def from_pem(cls, pem: bytes, place: str) -> Self:
        """place: named in the error, which never holds the key. Raises ValueError."""
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise ValueError(f"{place}: not an unencrypted PEM private key") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError(f"{place}: expected an Ed25519 key, found {type(private).__name__}")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key for its owner alone (mode 0600), durably. Raises FileExistsError rather than replace a key."""
        pem = self._private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def verifier(self) -> "Ed25519Verifier":
        return Ed25519Verifier(self.public, self.algorithm)


class Ed25519Verifier:
    """RFC 8032 verification; a signature with S not below the group order is refused (5.1.7), so it cannot be varied."""

    def __init__(self, public: bytes, algorithm: int = ED25519) -> None:
        if len(public) != 32:
            raise ValueError(f"an Ed25519 public key has 32 bytes, found {len(public)}")
        self._public = Ed25519PublicKey.from_public_bytes(public)
        self.algorithm = algorithm
        self.public = public
        self.key_id = ed25519_key_id(public)

    def verify(self, message: bytes, signature: bytes) -> None:
        try:
            self._public.verify(signature, message)
        except InvalidSignature as error:
            raise BadSignature("the Ed25519 signature does not fit the bytes and the key") from error


class ES256Verifier:
    """ECDSA on P-256 with SHA-256, signature r || s (RFC 9053, 2.1). ECDSA signatures can be varied: never use one as an identity."""

    def __init__(self, x: bytes, y: bytes, algorithm: int = ESP256) -> None:
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        self._public = numbers.public_key()
        self.algorithm = algorithm
        self.public = b"\x04" + x + y
        self.key_id = hashlib.sha256(cbor.encode({1: 2, -1: 1, -2: x, -3: y})).digest()

    def verify(self, message: bytes, signature: bytes) -> None:
        if len(signature) != 64:
            raise BadSignature(f"an ES256 signature has 64 bytes, found {len(signature)}")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            self._public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise BadSignature("the ES256 signature does not fit the bytes and the key") from error


def enrolled_verifier(algorithm: int, public: bytes) -> Verifier:
    """From an enrolled key. Raises ValueError for an algorithm outside the closed set or a malformed key."""
    if algorithm == ED25519:
        return Ed25519Verifier(public)
    if algorithm == ESP256:
        if len(public) != 65 or public[0] != 4:
            raise ValueError("a P-256 public key is 65 bytes, uncompressed (04 x y)")
        return ES256Verifier(public[1:33], public[33:])
    raise ValueError(f"algorithm {algorithm} cannot be enrolled: expected {ED25519} (Ed25519) or {ESP256} (ES256 on P-256)")


def ed25519_key_id(public: bytes) -> bytes:
    """kid = SHA-256 of the deterministic COSE_Key {1: OKP, -1: Ed25519, -2: x} (RFC 9679)."""
    return hashlib.sha256(cbor.encode({1: 1, -1: 6, -2: public})).digest()
