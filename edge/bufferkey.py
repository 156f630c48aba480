"""Encryption at rest of what the buffer holds: samples, events and batches, each row by itself, with AES-256-GCM.

Every opening of the file draws a salt and derives a key of its own from the configured one (HKDF-SHA256); the nonce is a counter under that key, so
that no pair is ever used twice, copies of the file included. A stored row is MARK, salt, counter, ciphertext with tag. Its associated data name
the table and the row, so that a row which was moved, swapped or altered does not open. Rows without MARK are plain: they were stored before there
was a key.
Protects a gateway or disk that is stolen while the key is not on it. Not for: hiding how much there is and when it came, or stopping somebody who
may write to the file from putting plain rows into it: batches are signed, and the hub refuses what was not.
"""

import base64
import binascii
import hashlib
import os
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.bufferfile import BufferTrouble
from protocols.secret import Secret, SecretMissing, read_secret

KEY_BYTES: Final = 32
MARK: Final = 0xE5  # begins no row of samples, no CBOR map and no signed statement
SALT_BYTES: Final = 16
OVERHEAD: Final = 1 + SALT_BYTES + 8 + 16
SALTS_KEPT: Final = 256
LOOKED_AT: Final = 32
_COUNTER: Final = struct.Struct(">Q")
_OPEN: Final = struct.Struct(">qqqqq")
_PAIR: Final = struct.Struct(">qq")


class WrongKey(BufferTrouble):
    """Nothing was touched: with the right key the file is as it was."""


def open_row(number: int, priority: int, table_id: int, gateway_us: int, samples: int) -> bytes:
    return b"open" + _OPEN.pack(number, priority, table_id, gateway_us, samples)


def event_row(number: int, gateway_us: int) -> bytes:
    return b"event" + _PAIR.pack(number, gateway_us)


def set_aside_row(gateway_us: int) -> bytes:
    return b"set aside" + _PAIR.pack(0, gateway_us)


def batch_row(stream: str, epoch: int, seq: int) -> bytes:
    return b"batch" + _PAIR.pack(epoch, seq) + stream.encode()


class Vault:
    """Closes and opens rows; without a key it passes plain rows through. `identity` is of the functions above."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._salt = os.urandom(SALT_BYTES)
        self._count = 0
        self._of_salt: dict[bytes, AESGCM] = {}

    @property
    def locks(self) -> bool:
        return self._key is not None

    @property
    def key_id(self) -> bytes:
        """Tells keys apart and says nothing of them: they are 256 random bits."""
        return hashlib.sha256(b"qenergyz buffer key id" + (self._key or b"")).digest()[:8] if self._key else b""

    def close(self, identity: bytes, plain: bytes) -> bytes:
        if self._key is None:
            return plain
        self._count += 1
        counter = _COUNTER.pack(self._count)
        return bytes((MARK,)) + self._salt + counter + self._cipher(self._salt).encrypt(bytes(4) + counter, plain, identity)

    def open(self, identity: bytes, stored: bytes) -> bytes:
        """Raises ValueError for a row that was altered, moved, or closed with another key."""
        if not is_closed(stored):
            return stored
        if self._key is None or len(stored) < OVERHEAD:
            raise ValueError("the row is encrypted, and there is no key" if self._key is None else "the row was cut off in the file")
        salt, counter = stored[1 : 1 + SALT_BYTES], stored[1 + SALT_BYTES : 9 + SALT_BYTES]
        try:
            return self._cipher(salt).decrypt(bytes(4) + counter, stored[9 + SALT_BYTES :], identity)
        except InvalidTag:
            raise ValueError("the row was altered or moved in the file") from None

    def _cipher(self, salt: bytes) -> AESGCM:
        found = self._of_salt.get(salt)
        if found is None:
            assert self._key is not None
            if len(self._of_salt) >= SALTS_KEPT:
                self._of_salt.clear()
            derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"qenergyz buffer rows").derive(self._key)
            found = self._of_salt[salt] = AESGCM(derived)
        return found


def is_closed(stored: bytes) -> bool:
    return stored[:1] == bytes((MARK,))


def parse_key(text: str, place: str) -> bytes:
    """64 hex digits, or base64 of 32 bytes. Raises BufferTrouble, which never holds the text."""
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise BufferTrouble(
            f"[buffer] key {place}: expected {KEY_BYTES} bytes as {2 * KEY_BYTES} hex digits or in base64, found {len(text)} characters that are"
            " neither; make one with: openssl rand -hex 32"
        )
    return key


def read_vault(reference: Path | Secret | None) -> Vault:
    """Raises BufferTrouble."""
    if reference is None:
        return Vault()
    try:
        return Vault(parse_key(read_secret(reference), str(reference)))
    except SecretMissing as error:
        raise BufferTrouble(f"[buffer] key: {error}; nothing is kept until it can be read") from error


def check_key(connection: sqlite3.Connection, vault: Vault, path: Path) -> None:
    """Before anything of the file is believed or changed. Raises WrongKey.

    A file says which key it has. When that does not agree, the rows decide: what says so may have been damaged.
    """
    if vault.locks:
        connection.execute("PRAGMA secure_delete = ON").fetchone()  # what was plain before must not stay behind in free pages
    row = connection.execute("SELECT value FROM meta WHERE key = 'key_id'").fetchone()
    known = bytes(row[0]) if row else b""
    if known == vault.key_id:
        return
    closed = list(_closed_rows(connection))
    if closed and known and not vault.locks:
        raise WrongKey(f"{path} is encrypted and [buffer] names no key; name the key that it was written with, or move the file away")
    if closed and vault.locks and not any(_opens(vault, identity, stored) for identity, stored in closed):
        raise WrongKey(
            f"{path} is encrypted with another key than [buffer] key gives; give the one that it was written with, or move the file away"
        )
    connection.execute("DELETE FROM meta WHERE key IN ('key_id', 'all_closed')")
    if vault.locks:
        connection.execute("INSERT INTO meta VALUES ('key_id', ?)", (vault.key_id,))
    connection.commit()


def _closed_rows(connection: sqlite3.Connection) -> Iterator[tuple[bytes, bytes]]:
    """(identity, stored) of encrypted rows: some of the newest and oldest of each kind."""
    for order in ("", "DESC"):
        for *batch, stored in connection.execute(f"SELECT stream, epoch, seq, statement FROM batch ORDER BY id {order} LIMIT {LOOKED_AT}"):  # noqa: S608
            if is_closed(stored):
                yield batch_row(*batch), stored
        rows = connection.execute(
            f"SELECT id, priority, table_id, gateway_us, samples, blocks FROM open ORDER BY id {order} LIMIT {LOOKED_AT}"  # noqa: S608
        )
        for *row, stored in rows:
            if is_closed(stored):
                yield open_row(*row), stored
        for *event, stored in connection.execute(f"SELECT id, gateway_us, record FROM event ORDER BY id {order} LIMIT {LOOKED_AT}"):  # noqa: S608
            if is_closed(stored):
                yield event_row(*event), stored


def _opens(vault: Vault, identity: bytes, stored: bytes) -> bool:
    try:
        vault.open(identity, stored)
    except ValueError:
        return False
    return True
