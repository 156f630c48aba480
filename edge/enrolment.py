"""The gateway's identity: a key made here that never leaves, and what the hub said when it took the gateway in.

Files in the data folder: `gateway.key` (PKCS#8, mode 0600) and `enrolment.json` (public facts: tenant, origin, log key). `rotate` replaces the
key: the new one waits in `gateway.key.next` until the hub has it, so that a rotation cut off anywhere is finished by the next one. A running
agent takes up the new key by itself; batches that were signed before keep their signature, which the hub takes until the overlap ends, and
afterwards on the word of the new key (`vouch`): the public keys of before stand in `former-keys.json`. A site that keeps the key itself names
it by reference (`[hub] key`); then nothing is made here, and only the site can replace it.
"""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import httpx

from protocols import signed
from protocols.enrolment import enrolment_proof, rotation_text
from protocols.secret import Secret, read_secret
from protocols.signing import Ed25519Signer, Ed25519Verifier, Signer, Verifier

KEY: Final = "gateway.key"
CERTIFICATE: Final = "hub-client.pem"  # that the hub issues, and its key (`edge.hubtls`)
FORMER: Final = "former-keys.json"
VOUCHED: Final = "vouched"  # kind of the signed document
OVERLAP_S: Final = 7 * 86_400  # the longest absence of the hub after which batches of the old key are still taken


class EnrolmentError(Exception):
    """The hub did not take the gateway in; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """tenant, gateway URN, log origin, and the tenant log's verification key as C2SP vkey text."""

    tenant: str
    gateway: str
    origin: str
    log_key: str


def load_or_make_key(data: Path, reference: Path | Secret | None = None) -> Ed25519Signer:
    """reference: of a key that the site keeps. Raises ValueError, OSError."""
    if reference is not None:
        return Ed25519Signer.from_pem(read_secret(reference).encode(), str(reference))
    path = data / KEY
    if path.exists():
        return Ed25519Signer.load(path)
    data.mkdir(parents=True, exist_ok=True)
    signer = Ed25519Signer.generate()
    signer.save(path)
    return signer


def open_to_others(data: Path, references: Sequence[Path | Secret | None] = ()) -> str:
    """Which private keys others can read, and what to do, as a sentence; "" when none. Whoever can read the key can sign as this gateway."""
    files = [data / KEY, data / f"{KEY}.next", data / CERTIFICATE, *(one for one in references if isinstance(one, Path))]
    found = [path for path in files if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    names = " ".join(map(str, found))
    return f"others can read {names}: chmod 600 {names}, then replace the key with `qenergyz edge rotate`" if found else ""


class CurrentSigner:
    """The gateway's key of the moment. `use` another only where nothing is being signed: in the buffer's thread."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def algorithm(self) -> int:
        return self._signer.algorithm

    @property
    def key_id(self) -> bytes:
        return self._signer.key_id

    @property
    def public(self) -> bytes:
        return self._signer.public

    def sign(self, message: bytes) -> bytes:
        return self._signer.sign(message)

    @property
    def present(self) -> Signer:
        """One key, where several of its properties have to belong together."""
        return self._signer

    def use(self, signer: Signer) -> None:
        self._signer = signer


def read(data: Path) -> Enrolment | None:
    """What an earlier enrolment wrote, or None."""
    path = data / "enrolment.json"
    if not path.exists():
        return None
    try:
        return Enrolment(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise EnrolmentError(f"{path}: not an enrolment file: {error}; remove it and run `qenergyz edge enrol` again") from error


async def enrol(
    client: httpx.AsyncClient, hub: str, name: str, voucher: str, data: Path, reference: Path | Secret | None = None, *, renew: bool = False
) -> Enrolment:
    """Prove possession of the key, spend the voucher, write `enrolment.json`. renew: with a new key, because the hub has ended the old one.

    Raises EnrolmentError, ValueError, OSError, httpx.HTTPError.
    """
    if renew and reference is not None:
        raise EnrolmentError(f"the site keeps the key as {reference}: put a new one there, then enrol without --new-key")
    renew = renew and (data / KEY).exists()
    signer = _next_key(data) if renew else load_or_make_key(data, reference)
    reply = await client.post(
        f"{hub}/v1/enrolments",
        json={
            "voucher": voucher,
            "gateway": name,
            "algorithm": signer.algorithm,
            "public_key": signer.public.hex(),
            "proof": signer.sign(enrolment_proof(voucher, name, signer.public)).hex(),
        },
    )
    if reply.status_code != 201:
        raise EnrolmentError(
            f"the hub refused: {reply.status_code} {reply.text[:500]}; ask its operator for a fresh voucher for gateway {name}"
        )
    enrolment = Enrolment(**{key: reply.json()[key] for key in ("tenant", "gateway", "origin", "log_key")})
    if renew:
        _take_up_next(data, Ed25519Signer.load(data / KEY))
    fresh = data / "enrolment.json.new"
    fresh.write_text(json.dumps(asdict(enrolment), indent=1))
    fresh.replace(data / "enrolment.json")
    return enrolment


async def rotate(client: httpx.AsyncClient, hub: str, data: Path, overlap_s: int = OVERLAP_S) -> int:
    """Replace the key; returns when the old one ends (microseconds). Raises EnrolmentError, httpx.HTTPError: then the old key stays."""
    enrolment = read(data)
    if enrolment is None:
        raise EnrolmentError(f"{data}: not enrolled, so there is no key to replace; run `qenergyz edge enrol`")
    if not (data / KEY).exists():
        raise EnrolmentError(f"{data / KEY}: missing; a key that the site keeps ([hub] key) only the site can replace")
    old, new = Ed25519Signer.load(data / KEY), _next_key(data)
    text = rotation_text(enrolment.gateway, old.key_id, new.public, overlap_s)
    reply = await client.post(
        f"{hub}/v1/keys",
        json={
            "old_key_id": old.key_id.hex(),
            "algorithm": new.algorithm,
            "public_key": new.public.hex(),
            "overlap_s": overlap_s,
            "proof": new.sign(text).hex(),
            "endorsement": old.sign(text).hex(),
        },
    )
    if reply.status_code != 201:
        raise EnrolmentError(f"the hub refused the new key: {reply.status_code} {reply.text[:500]}; the old key stays in use")
    _take_up_next(data, old)
    return int(reply.json()["old_ends_us"])


def _take_up_next(data: Path, old: Ed25519Signer) -> None:
    former = [*(key.hex() for key in _former(data) if key != old.public), old.public.hex()]
    fresh = data / f"{FORMER}.new"
    fresh.write_text(json.dumps(former))
    fresh.replace(data / FORMER)
    (data / f"{KEY}.next").replace(data / KEY)
    _make_durable(data)


def _former(data: Path) -> list[bytes]:
    try:
        return [bytes.fromhex(key) for key in json.loads((data / FORMER).read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise EnrolmentError(
            f"{data / FORMER}: cannot be used: {error}; restore it, or remove it once every older batch is receipted"
        ) from error


def former_keys(data: Path) -> dict[bytes, Verifier]:
    """Of this gateway before its present key, by key id: they tell its own older batches from damaged ones. Raises EnrolmentError."""
    return {verifier.key_id: verifier for verifier in map(Ed25519Verifier, _former(data))}


def vouch(gateway: str, statements: Sequence[bytes], signer: Signer) -> bytes:
    """The present key's word for batches that an ended one signed: the hub takes them by it."""
    return signed.seal(VOUCHED, gateway, gateway, [hashlib.sha256(one).digest() for one in statements], signer)


def _next_key(data: Path) -> Ed25519Signer:
    """That of a rotation which was cut off, or a new one: the hub may know it already."""
    path = data / f"{KEY}.next"
    if path.exists():
        try:
            return Ed25519Signer.load(path)
        except ValueError:
            path.unlink()  # cut off while it was written, so it was never sent
    made = Ed25519Signer.generate()
    made.save(path)
    _make_durable(data)
    return made


def _make_durable(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
