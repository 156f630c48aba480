"""Vouchers, tokens and names: how they look, how they are hashed, and what an enrolment has to prove. Pure.

Secrets are 256 random bits, so a plain SHA-256 is enough to store them by; they are shown once, when they are made.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

from cloud.identity.actor import Actor, person_ref
from cloud.identity.roles import KIND_SCOPES, OTHER_KINDS, allows
from cloud.identity.roles import SCOPES as SCOPES  # noqa: PLC0414  # who makes tokens asks here for what they may hold
from protocols.batch.errors import BadSignature
from protocols.enrolment import enrolment_proof
from protocols.signing import Verifier

VOUCHER_PREFIX: Final = "qzv_"
TOKEN_PREFIX: Final = "qzt_"  # noqa: S105  # a prefix, not a secret
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: always within one tenant. person_id, role, session_id: of a signed-in person, None for a program with an API token.
    strong_us: when the person last proved who they are.
    """

    tenant_id: int
    tenant: str
    name: str
    scopes: tuple[str, ...]
    person_id: int | None = None
    role: str | None = None
    session_id: int | None = None
    strong_us: int = 0

    @property
    def actor(self) -> Actor:
        return Actor(self.tenant_id, person_ref(self.person_id) if self.person_id is not None else f"token/{self.name}")

    def may(self, scope: str) -> bool:
        return allows(self.scopes, scope)

    def sees(self, kind: str) -> bool:
        """Whether results and evidence of this kind are for them."""
        return self.may(KIND_SCOPES.get(kind, OTHER_KINDS))


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
