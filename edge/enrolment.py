"""The gateway's identity: a key made here that never leaves, and what the hub said when it took the gateway in.

Files in the data folder: `gateway.key` (PKCS#8, mode 0600) and `enrolment.json` (public facts: tenant, origin, log key). `rotate` replaces the
key: the new one waits in `gateway.key.next` until the hub has it, so that a rotation cut off anywhere is finished by the next one. A running
agent takes up the new key by itself; batches that were signed before keep their signature, which the hub takes until the overlap ends.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import httpx

from protocols.enrolment import enrolment_proof, rotation_text
from protocols.signing import Ed25519Signer, Signer

KEY: Final = "gateway.key"
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


def load_or_make_key(data: Path) -> Ed25519Signer:
    path = data / KEY
    if path.exists():
        return Ed25519Signer.load(path)
    data.mkdir(parents=True, exist_ok=True)
    signer = Ed25519Signer.generate()
    signer.save(path)
    return signer


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


async def enrol(client: httpx.AsyncClient, hub: str, name: str, voucher: str, data: Path) -> Enrolment:
    """Prove possession of the key, spend the voucher, write `enrolment.json`. Raises EnrolmentError, httpx.HTTPError."""
    signer = load_or_make_key(data)
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
    fresh = data / "enrolment.json.new"
    fresh.write_text(json.dumps(asdict(enrolment), indent=1))
    fresh.replace(data / "enrolment.json")
    return enrolment


async def rotate(client: httpx.AsyncClient, hub: str, data: Path, overlap_s: int = OVERLAP_S) -> int:
    """Replace the key; returns when the old one ends (microseconds). Raises EnrolmentError, httpx.HTTPError: then the old key stays."""
    enrolment = read(data)
    if enrolment is None:
        raise EnrolmentError(f"{data}: not enrolled, so there is no key to replace; run `qenergyz edge enrol`")
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
    (data / f"{KEY}.next").replace(data / KEY)
    _make_durable(data)
    return int(reply.json()["old_ends_us"])


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
