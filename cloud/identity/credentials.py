"""Vouchers, tokens and names: how they look, how they are hashed, and what an enrolment has to prove. Pure.

Secrets are 256 random bits, so a plain SHA-256 is enough to store them by; they are shown once, when they are made.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

from protocols.batch.errors import BadSignature
from protocols.enrolment import enrolment_proof
from protocols.signing import Verifier

VOUCHER_PREFIX: Final = "qzv_"
TOKEN_PREFIX: Final = "qzt_"  # noqa: S105  # a prefix, not a secret
SCOPES: Final = ("read", "write:market", "write:deals", "write:assets", "write:gateways")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: always within one tenant."""

    tenant_id: int
    tenant: str
    name: str
    scopes: tuple[str, ...]


def make_secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def is_name(text: str) -> bool:
    """Names of gateways and tenants stand in URNs and log origins."""
    return _NAME.fullmatch(text) is not None


def is_signed(verifier: Verifier, signature: bytes, text: bytes) -> bool:
    try:
        verifier.verify(text, signature)
    except BadSignature:
        return False
    return True


def is_possessed(verifier: Verifier, proof: bytes, voucher: str, gateway: str, public: bytes) -> bool:
    return is_signed(verifier, proof, enrolment_proof(voucher, gateway, public))
