"""HTTP of signing in at a company's own identity provider: out to it, and back.

Between the two the browser keeps state, nonce and PKCE verifier in a cookie that only the hub can read and write. It is SameSite=Lax, because the
provider sends the browser back from another site; it is worth nothing but this one return, within ten minutes, once.
"""

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from cloud.errors import Problem
from cloud.identity import oidc, people_store, session_store, store, tenants
from cloud.identity.actor import Actor
from cloud.identity.login import Door
from cloud.identity.oidc import Begun, Providers, refused
from cloud.identity.people_store import Person
from cloud.identity.roles import Role
from cloud.identity.session_api import Sessions
from cloud.identity.store import Tenant
from cloud.identity.tenants import Provider, Tenants
from cloud.identity.throttle import Throttle

COOKIE: Final = "qz_oidc"
PLACE: Final = "sign-in at a provider"
LENGTH_US: Final = 600 * 1_000_000
NAMES: Final = 20  # tried when a name is taken
TenantName = Annotated[str, InPath(max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Given = Annotated[str, Query(max_length=4096, pattern=r"^[^\x00]*$")]


class CompanySignIn:
    """keys: folder of the client secrets. origin: as in HubConfig."""

    def __init__(self, door: Door, providers: Providers, tenants_of: Tenants, keys: Path, origin: str | None) -> None:
        self._door, self._providers, self._tenants = door, providers, tenants_of
        self._keys, self._origin = keys, origin

    async def begin(self, request: Request, name: str, to: str) -> tuple[str, str]:
        """The address at the provider, and the cookie. Raises Problem."""
        tenant, provider = await self._provider(name)
        begun = Begun.make()
        address = await self._providers.address(provider, begun, self._callback(request, name), self._is_local(request))
        ends_us = self._door.clock.now_us() + LENGTH_US
        kept = [tenant.tenant_id, begun.state, begun.nonce, begun.verifier, to, ends_us]
        sealed = self._door.sealer.seal(json.dumps(kept).encode(), PLACE)
        return address, base64.urlsafe_b64encode(sealed).decode()

    async def finish(self, request: Request, name: str, code: str, state: str) -> tuple[Person, str]:
        """The person, and the page they were going to. Raises Problem."""
        tenant, provider = await self._provider(name)
        begun, to, ends_us = self._kept(request, tenant)
        if not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise refused("the answer is not to what this browser asked")
        async with self._door.db.tenant(tenant.tenant_id) as connection:
            hashed = hashlib.sha256(state.encode()).digest()
            if not await session_store.use_state(connection, tenant.tenant_id, hashed, ends_us, self._door.clock.now_us()):
                raise refused("it was used before")
        try:
            secret = (self._keys / provider.secret_file).read_text().strip()
        except OSError as error:
            raise Problem("unavailable", f"the hub's operator has to put the client secret into {provider.secret_file}") from error
        callback, local = self._callback(request, name), self._is_local(request)
        claims = await self._providers.claims(provider, begun, code, callback, secret, local)
        role = oidc.role_of(provider, claims)
        if role is None:
            raise refused(f'nothing in the claim "{provider.claim}" gives a role here; ask an admin')
        return await self._person(tenant, provider, claims, Role(role)), to

    async def _provider(self, name: str) -> tuple[Tenant, Provider]:
        tenant = await store.tenant_by_name(self._door.db, name)
        if tenant is not None:
            async with self._door.db.tenant(tenant.tenant_id) as connection:
                provider = (await tenants.read(connection, tenant.tenant_id)).provider
            if provider is not None:
                return tenant, provider
        raise Problem("not-found", "there is no such way in; sign in with name and password")

    def _kept(self, request: Request, tenant: Tenant) -> tuple[Begun, str, int]:
        try:
            sealed = base64.urlsafe_b64decode(request.cookies.get(COOKIE, ""))
            tenant_id, state, nonce, verifier, to, ends_us = json.loads(self._door.sealer.open(sealed, PLACE))
        except ValueError as error:
            raise refused("this browser did not begin it here") from error
        if tenant_id != tenant.tenant_id or ends_us <= self._door.clock.now_us():
            raise refused("it took too long, or was begun for another tenant")
        return Begun(state, nonce, verifier), to, ends_us

    def _callback(self, request: Request, name: str) -> str:
        origin = self._origin or f"{request.url.scheme}://{request.url.netloc}"
        return f"{origin}/v1/oidc/{name}/callback"

    def _is_local(self, request: Request) -> bool:
        return request.url.hostname in oidc.LOOPBACK

    async def _person(self, tenant: Tenant, provider: Provider, claims: Any, role: Role) -> Person:
        """Made on the first sign-in; on later ones the role follows the provider, except an admin's, which two people gave."""
        now_us, tenant_id = self._door.clock.now_us(), tenant.tenant_id
        async with self._door.db.tenant(tenant_id) as connection:
            await people_store.lock(connection, tenant_id)
            found = await people_store.by_subject(connection, tenant_id, provider.issuer, claims["sub"])
            if found is None:
                await self._tenants.room_for_person(connection, tenant_id)
                display = str(claims.get("name") or claims["sub"]).replace("\0", "")[:100]
                for name in _names(claims):
                    subject = (provider.issuer, claims["sub"])
                    arguments = (connection, tenant_id, tenant.name, name, display, role.value, now_us, "", subject)
                    if (person_id := await people_store.add(*arguments)) is not None:
                        break
                else:
                    raise refused("you are disabled here, or too many have your name")
                found = await people_store.by_id(connection, tenant_id, person_id)
                assert found is not None
                await self._door.record(connection, Actor(tenant_id, found.ref), "first-sign-in", found.ref, {"role": role.value})
            elif found.role not in (role, Role.ADMIN):
                await people_store.change(
                    connection, tenant_id, found.id, found.version, display=found.display, role=role.value, disabled_us=None
                )
                detail = {"role": {"from": found.role, "to": role.value}, "provider": True}
                await self._door.record(connection, Actor(tenant_id, found.ref), "change-person", found.ref, detail)
                found = await people_store.by_id(connection, tenant_id, found.id)
                assert found is not None
        return found


def _names(claims: Any) -> list[str]:
    """Login names to try. Nobody becomes a person who is there already by being called the same."""
    said = str(claims.get("preferred_username") or claims.get("email") or claims["sub"]).lower()
    plain = re.sub(r"[^a-z0-9._@+-]", "-", said).lstrip("._@+-")[:56] or "person"
    return [plain, *(f"{plain}-{number}" for number in range(2, NAMES))]


def routes(sign_in: CompanySignIn, sessions: Sessions, throttle: Throttle) -> APIRouter:
    router = APIRouter(tags=["session"])

    @router.get("/v1/oidc/{tenant}/login", status_code=303)
    async def login(request: Request, tenant: TenantName, to: Given = "/") -> Response:
        """Sends the browser to the tenant's identity provider. to: the page to come back to."""
        throttle.take(request)
        address, kept = await sign_in.begin(
            request, tenant, to if re.fullmatch(r"/[A-Za-z0-9]?[^\\\x00-\x20]*", to) and to[:2] != "//" else "/"
        )
        reply = Response(status_code=303, headers={"location": address, "cache-control": "no-store"})
        secure = request.url.scheme == "https"
        reply.set_cookie(COOKIE, kept, max_age=LENGTH_US // 1_000_000, httponly=True, samesite="lax", secure=secure, path="/v1/oidc")
        return reply

    @router.get("/v1/oidc/{tenant}/callback", status_code=303)
    async def callback(request: Request, tenant: TenantName, code: Given = "", state: Given = "", error: Given = "") -> Response:
        """The provider sends the browser back here. 303 to the page, with a session."""
        throttle.take(request)
        if error or not code or not state:
            raise refused("the provider did not agree")
        person, to = await sign_in.finish(request, tenant, code, state)
        begun = await sessions.begin(request, person, ("fed",))
        reply = Response(status_code=303, headers={"location": to, "cache-control": "no-store"})
        for value in begun.headers.getlist("set-cookie"):
            reply.headers.append("set-cookie", value)
        reply.delete_cookie(COOKIE, path="/v1/oidc")
        return reply

    return router
