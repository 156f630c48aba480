"""Access tokens: JWTs that a program gets for a person, good for ten minutes at most, without a look into the database. Pure but for the key file.

The algorithm is pinned (Ed25519, the fully specified EdDSA of RFC 9864): what a token's header says decides nothing. Issuer, audience, times
and tenant are claims that must be there. Revocation is by expiry; what lasts longer is the refresh token, which the database knows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from cloud.identity.credentials import Principal
from cloud.identity.roles import ROLES, Role
from protocols.signing import Ed25519Signer

ACCESS_S: Final = 600
AUDIENCE: Final = "qenergyz"
_ALGORITHM: Final = "Ed25519"
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a token is for. strong_us: when they last proved who they are."""

    tenant_id: int
    tenant: str
    person_id: int
    name: str
    role: str
    strong_us: int


class AccessTokens:
    def __init__(self, key_file: Path, issuer: str) -> None:
        self._path, self._issuer = key_file, issuer
        self._loaded: Any = None

    @property
    def _key(self) -> Any:
        if self._loaded is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path.exists():
                made = Ed25519Signer.generate()
                try:
                    made.save(self._path)
                except FileExistsError:
                    made = Ed25519Signer.load(self._path)
            self._loaded = OKPKey.import_key(self._path.read_bytes())
        return self._loaded

    def issue(self, holder: Holder, now_us: int) -> str:
        now_s = now_us // 1_000_000
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "iat": now_s,
            "exp": now_s + ACCESS_S,
            "auth_time": holder.strong_us // 1_000_000,
            "sub": str(holder.person_id),
            "tid": holder.tenant_id,
            "tenant": holder.tenant,
            "name": holder.name,
            "role": holder.role,
        }
        return jwt.encode({"alg": _ALGORITHM, "typ": "at+jwt"}, claims, self._key, algorithms=[_ALGORITHM])

    def read(self, token: str, now_us: int) -> Principal | None:
        """None for whatever is not a token of ours that is good at this moment."""
        if len(token) > _LONGEST:
            return None
        now_s = now_us // 1_000_000
        rules = jwt.JWTClaimsRegistry(
            now=lambda: now_s,
            leeway=0,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            decoded = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            rules.validate(decoded.claims)
            claims = decoded.claims
            if decoded.header.get("typ") != "at+jwt" or claims["exp"] - claims["iat"] > ACCESS_S:
                return None
            role = Role(claims["role"])
            return Principal(
                int(claims["tid"]),
                str(claims["tenant"]),
                str(claims["name"]),
                tuple(sorted(ROLES[role])),
                int(claims["sub"]),
                role.value,
                None,
                int(claims["auth_time"]) * 1_000_000,
            )
        except (JoseError, ValueError, KeyError, TypeError):
            return None
