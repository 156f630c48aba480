"""Vouchers, tokens and names: how they look, how they are hashed, and what an enrolment has to prove. Pure.

Secrets are 256 random bits, so a plain SHA-256 is enough to store them by; they are shown once, when they are made.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

from protocols.batch.errors import BadSignature
from protocols.signing import ED25519, ESP256, Ed25519Verifier, ES256Verifier, Verifier

VOUCHER_PREFIX: Final = "qzv_"
TOKEN_PREFIX: Final = "qzt_"  # noqa: S105  # a prefix, not a secret
SCOPES: Final = ("read",)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_PROOF_DOMAIN: Final = b"qenergyz enrolment v1\n"


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


def gateway_urn(name: str) -> str:
    return f"urn:qz:gw:{name}"


def enrolment_proof(voucher: str, gateway: str, public: bytes) -> bytes:
    """What the new key signs to show that its owner holds it and means this gateway."""
    return _PROOF_DOMAIN + voucher.encode() + b"\n" + gateway.encode() + b"\n" + public


def make_verifier(algorithm: int, public: bytes) -> Verifier:
    """From an enrolled key. Raises ValueError for an algorithm outside the closed set or a malformed key."""
    if algorithm == ED25519:
        return Ed25519Verifier(public)
    if algorithm == ESP256:
        if len(public) != 65 or public[0] != 4:
            raise ValueError("a P-256 public key is 65 bytes, uncompressed (04 x y)")
        return ES256Verifier(public[1:33], public[33:])
    raise ValueError(f"algorithm {algorithm} cannot be enrolled: expected {ED25519} (Ed25519) or {ESP256} (ES256 on P-256)")


def is_possessed(verifier: Verifier, proof: bytes, voucher: str, gateway: str, public: bytes) -> bool:
    try:
        verifier.verify(enrolment_proof(voucher, gateway, public), proof)
    except BadSignature:
        return False
    return True
