"""A company's own identity provider (OpenID Connect Core 1.0, code flow with PKCE): what is asked of it, and whether its answer counts.

Rules: the provider's addresses come from its own discovery document, whose issuer is the configured one; they are https (on loopback http, for a
provider on the same machine as a hub that is used there). An ID token counts when it is signed by a key of the provider's key set with an
asymmetric algorithm, and issuer, audience, nonce and times are right (3.1.3.7). What a token's header says about itself decides nothing.
Redirects are not followed, answers are limited, and what went wrong on the other side is told without its words.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from cloud.errors import Problem
from cloud.identity.tenants import Provider
from protocols.clock import Clock

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))
KEPT_US: Final = 600 * 1_000_000  # how long a discovery document and its keys are trusted
LEEWAY_S: Final = 60
MOST_BYTES: Final = 1 << 20
WAIT_S: Final = 10.0
_ADDRESSES: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has gone to the provider; kept by the browser, sealed."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def make(cls) -> "Begun":
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))


@dataclass(frozen=True, slots=True)
class Known:
    """What the provider says about itself."""

    authorization: str
    token: str
    keys: KeySet
    until_us: int


def refused(why: str) -> Problem:
    return Problem("wrong-credentials", f"the sign-in at the company's identity provider does not count: {why}; begin again")


def check_address(url: str, loopback: bool) -> str:
    """Raises Problem for what is neither https nor, where that is allowed, http on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if loopback and parts.scheme == "http" and parts.hostname in LOOPBACK:
        return url
    raise Problem(
        "unavailable", "the identity provider's addresses must begin with https://; an admin has to correct the tenant's settings"
    )


class Providers:
    """What is known of a provider is kept for ten minutes, and read again for a key nobody has seen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Known] = {}

    async def known(self, issuer: str, loopback: bool, *, fresh: bool = False) -> Known:
        """Raises Problem "unavailable"."""
        found = self._known.get(issuer)
        if found is not None and found.until_us > self._clock.now_us() and not fresh:
            return found
        check_address(issuer, loopback)
        said = await self._json("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
        if said.get("issuer") != issuer:
            raise Problem("unavailable", "the identity provider calls itself by another name than the tenant's settings do")
        authorization, token, jwks = (check_address(str(said.get(name, "")), loopback) for name in _ADDRESSES)
        try:
            keys = KeySet.import_key_set(await self._json("GET", jwks))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Problem("unavailable", "the identity provider's keys cannot be read") from error
        made = self._known[issuer] = Known(authorization, token, keys, self._clock.now_us() + KEPT_US)
        return made

    async def address(self, provider: Provider, begun: Begun, callback: str, loopback: bool) -> str:
        """Where the browser is sent."""
        known = await self.known(provider.issuer, loopback)
        challenge = create_s256_code_challenge(begun.verifier)
        plain = {"nonce": begun.nonce, "code_challenge": challenge, "code_challenge_method": "S256"}
        found = prepare_grant_uri(
            known.authorization,
            provider.client_id,
            "code",
            redirect_uri=callback,
            scope="openid profile email",
            state=begun.state,
            **plain,
        )
        return str(found)

    async def claims(self, provider: Provider, begun: Begun, code: str, callback: str, secret: str, loopback: bool) -> Mapping[str, Any]:
        """Of the person who signed in there. Raises Problem."""
        known = await self.known(provider.issuer, loopback)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": begun.verifier}
        answer = await self._json("POST", known.token, data=form, auth=httpx.BasicAuth(provider.client_id, secret))
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise refused("it gave no ID token")
        try:
            return self._checked(token, known.keys, provider, begun.nonce)
        except _UnknownKey:
            return self._checked(token, (await self.known(provider.issuer, loopback, fresh=True)).keys, provider, begun.nonce)

    def _checked(self, token: str, keys: KeySet, provider: Provider, nonce: str) -> Mapping[str, Any]:
        now_s = self._clock.now_us() // 1_000_000
        rules = jwt.JWTClaimsRegistry(
            now=lambda: now_s,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            rules.validate(decoded.claims)
        except InvalidKeyIdError as error:
            raise _UnknownKey("the ID token is signed by a key that the provider does not have") from error
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise refused(f"its ID token is not right ({getattr(error, 'error', type(error).__name__)})") from error
        claims = decoded.claims
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != provider.client_id:
            raise refused("its ID token is for somebody else too")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255 or "\0" in claims["sub"]:
            raise refused("its ID token names nobody")
        return claims

    async def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        try:
            status, body = await _answer(method, url, **more)
            found = json.loads(body) if status == 200 else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Problem("unavailable", "the identity provider cannot be reached or does not answer with JSON", retry_after_s=5) from error
        if status != 200 and method == "POST":
            raise refused(f"it answered {status}")
        if not isinstance(found, dict):
            raise Problem("unavailable", f"the identity provider answered {status}, without a JSON object")
        return found


async def _answer(method: str, url: str, **more: Any) -> tuple[int, bytes]:
    """Status and body. A connection of its own: people sign in seldom."""
    async with httpx.AsyncClient(follow_redirects=False, timeout=WAIT_S) as client, client.stream(method, url, **more) as reply:
        body = b""
        async for part in reply.aiter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise ValueError("too long an answer")
        return reply.status_code, body


class _UnknownKey(Problem):
    def __init__(self, why: str) -> None:
        super().__init__("wrong-credentials", why)


def role_of(provider: Provider, claims: Mapping[str, Any]) -> str | None:
    """The first mapped value of the claim, which may be a text or a list of them; None lets nobody in."""
    said = claims.get(provider.claim)
    values = said if isinstance(said, list) else [said]
    return next((provider.roles[value] for value in values if isinstance(value, str) and value in provider.roles), None)
