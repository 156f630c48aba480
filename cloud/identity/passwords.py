"""Passwords as Argon2id hashes, and secrets that must be readable again (one-time code keys) sealed under a key of the hub. Blocking: call in threads.

Argon2id with the parameters of RFC 9106, 4 (second recommended option: 64 MiB, 3 passes, 4 lanes), which argon2-cffi has as its default.
"""

import contextlib
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LEAST_LENGTH: Final = 12
MOST_LENGTH: Final = 200
_NONCE: Final = 12
_hasher: Final = PasswordHasher()


class WeakPassword(ValueError):
    """What is wrong with a chosen password, in a sentence."""


def check_strength(password: str, *names: str) -> None:
    """NIST SP 800-63B, 3.1.1.2: length counts, not kinds of characters; the person's own names are refused. Raises WeakPassword."""
    if not LEAST_LENGTH <= len(password) <= MOST_LENGTH:
        raise WeakPassword(f"expected {LEAST_LENGTH} to {MOST_LENGTH} characters, found {len(password)}")
    if len(set(password)) < 5:
        raise WeakPassword("expected at least 5 different characters")
    if any(len(name) >= 4 and name.lower() in password.lower() for name in names):
        raise WeakPassword("the password must not contain your name or login")


def hash_password(password: str) -> str:
    return _hasher.hash(password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


def is_password(stored: str, given: str) -> bool:
    """Takes as long for a person who is not there or has no password (stored is empty) as for one who is."""
    try:
        return _hasher.verify(stored or _nobody(), given) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


class Sealer:
    """AES-256-GCM under a key file of the hub, made on first use. `place` says whose secret it is, so that rows cannot be swapped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def _key(self) -> AESGCM:
        try:
            key = self._path.read_bytes()
        except FileNotFoundError:
            key = self._make()
        if len(key) != 32:
            raise ValueError(f"{self._path}: expected 32 bytes, found {len(key)}; restore the file from the backup of the hub's keys")
        return AESGCM(key)

    def _make(self) -> bytes:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        making = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(AESGCM.generate_key(256))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another hub process made it in the same moment: its key counts
            self._path.hardlink_to(making)
        making.unlink()
        return self._path.read_bytes()

    def seal(self, secret: bytes, place: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._key.encrypt(nonce, secret, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises ValueError when the key is another or the secret belongs elsewhere."""
        try:
            return self._key.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
        except InvalidTag as error:
            raise ValueError(f"a secret of {place} does not open under {self._path.name}") from error
