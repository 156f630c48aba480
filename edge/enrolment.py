"""The gateway's identity: a key made here that never leaves, and what the hub said when it took the gateway in.

Files in the data folder: `gateway.key` (PKCS#8, mode 0600) and `enrolment.json` (public facts: tenant, origin, log key).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from protocols.enrolment import enrolment_proof
from protocols.signing import Ed25519Signer


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
    path = data / "gateway.key"
    if path.exists():
        return Ed25519Signer.load(path)
    data.mkdir(parents=True, exist_ok=True)
    signer = Ed25519Signer.generate()
    signer.save(path)
    return signer


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
