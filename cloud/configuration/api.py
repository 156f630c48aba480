"""HTTP of remote configuration: an operator pushes a gateway file, the gateway asks for it, and both sides see how far it is.

    PUT  /v1/gateways/{name}/configuration   text of a gateway file, If-Match: the version it follows ("0" for the first)
    GET  /v1/gateways/{name}/configuration   the newest version and IN_SYNC, PENDING or FAILED with the reason
    POST /v1/configuration-reports           the gateway's signed report; answers with the newest version, signed by the hub, or 204

Every push is signed with the key of the tenant's log and is an entry of that log. Whether a text is a good gateway file is judged on the gateway,
by the same check as a local one: only there are its maps and its limits. A site has to allow remote configuration; most do not.
"""

import hashlib
import tomllib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from cloud.audit import store as log_store
from cloud.configuration import store
from cloud.configuration.store import Known, Pushed
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from cloud.identity.keyring import KeyRing
from cloud.identity.peer import peer_of
from protocols import configuration, signed
from protocols.batch.errors import BatchError
from protocols.clock import Clock
from protocols.configuration import Configuration, Report, SyncState
from protocols.signing import Signer

LOG_KIND: Final = "configuration"
Asker = Callable[[Request], Awaitable[Principal]]


class State(BaseModel):
    """version: pushed last, 0 = none. state and reason: how the gateway stands to it. reported_*: what the gateway said last, and when."""

    gateway: str
    version: int
    state: SyncState
    reason: str
    text: str
    pushed_by: str
    pushed_us: int
    reported_version: int
    reported_us: int
    asked_us: int


def judge(pushed: int, known: Known | None) -> tuple[SyncState, str]:
    """How a gateway stands to the newest version, 0 = none. Pure."""
    if not pushed:
        return SyncState.IN_SYNC, "nothing was pushed: the gateway runs its own file"
    if known is None:
        return (
            SyncState.PENDING,
            "the gateway has not asked; remote configuration is off unless its site sets remote_configuration = true in [hub]",
        )
    if known.version < pushed:
        return SyncState.PENDING, f"the gateway is at version {known.version}"
    if known.version > pushed:
        return SyncState.FAILED, f"the gateway knows version {known.version}: this hub was restored from a backup; push from there on"
    return SyncState(known.state), known.reason


class Configurations:
    """Pushes and reports over the database. signer: of a tenant's log; origin: its name; wake: its sequencer; record: into the journal."""

    def __init__(
        self,
        db: Database,
        keys: KeyRing,
        clock: Clock,
        signer: Callable[[int], Signer],
        origin: Callable[[int], Awaitable[str]],
        wake: Callable[[int], None],
        record: Record,
    ) -> None:
        self._db, self._keys, self._clock, self._record = db, keys, clock, record
        self._signer, self._origin, self._wake = signer, origin, wake

    async def push(self, principal: Principal, name: str, text: str, follows: int) -> int:
        """Returns the new version. Raises Problem."""
        tenant_id, who = principal.tenant_id, principal.name
        origin = await self._origin(tenant_id)
        async with self._db.tenant(tenant_id) as connection:
            gateway_id, urn = await _gateway(connection, tenant_id, name)
            before = await store.newest(connection, tenant_id, gateway_id)
            known = await store.report(connection, tenant_id, gateway_id)
            present = before.version if before else 0
            if follows not in (present, max(present, known.version if known else 0)):
                raise Problem(
                    "precondition-failed",
                    f"If-Match says {follows}, version {present} is stored; read it, then push again",
                    version=present,
                )
            made = Configuration(follows + 1, text, self._clock.now_us())
            statement = made.seal(origin, urn, self._signer(tenant_id))
            if not await store.add(connection, tenant_id, gateway_id, Pushed(made.version, text, statement, who, made.pushed_us)):
                raise Problem("precondition-failed", f"version {made.version} was pushed in the same moment; read it, then push again")
            entry = hashlib.sha256(statement).digest()
            await log_store.append(connection, tenant_id, LOG_KIND, entry)
            detail = {"version": made.version, "entry": entry.hex()}
            await self._record(connection, principal.actor, "push-configuration", f"gateway/{name}", detail)
        self._wake(tenant_id)
        return made.version

    async def state(self, tenant_id: int, name: str) -> State:
        async with self._db.tenant(tenant_id) as connection:
            gateway_id, urn = await _gateway(connection, tenant_id, name)
            pushed = await store.newest(connection, tenant_id, gateway_id)
            known = await store.report(connection, tenant_id, gateway_id)
        version = pushed.version if pushed else 0
        state, reason = judge(version, known)
        return State(
            gateway=urn,
            version=version,
            state=state,
            reason=reason,
            text=pushed.text if pushed else "",
            pushed_by=pushed.pushed_by if pushed else "",
            pushed_us=pushed.pushed_us if pushed else 0,
            reported_version=known.version if known else 0,
            reported_us=known.since_us if known else 0,
            asked_us=known.asked_us if known else 0,
        )

    async def answer(self, request: Request) -> bytes | None:
        """The newest configuration for a gateway that has an older one. Raises Problem."""
        try:
            found = signed.parse(await request.body(), configuration.REPORT)
            key = await self._keys.get(found.key_id)
            if key is None:
                raise Problem("unknown-key", "no gateway is enrolled with this key; enrol it with a voucher")
            if not key.is_valid(self._clock.now_us()):
                raise Problem("revoked-key", "the key is revoked or not yet valid; enrol a new one")
            found.verify(key.verifier)
            report = Report.of(found)
        except BatchError as error:
            raise Problem("malformed-request" if error.slug == "malformed-batch" else error.slug, str(error)) from error
        if found.issuer != key.urn or found.subject != key.urn:
            raise Problem("wrong-gateway", f"the key is that of {key.urn}, the report is of {found.issuer}")
        if peer := peer_of(request):
            peer.check(key.urn, key.tenant_id)
        async with self._db.tenant(key.tenant_id) as connection:
            if not await store.note(connection, key.tenant_id, key.gateway_id, report, self._clock.now_us()):
                known = await store.report(connection, key.tenant_id, key.gateway_id)
                number = known.number if known else 0
                raise Problem("conflict", f"a report with the number {number} is known; number the next one higher", number=number)
            pushed = await store.newest(connection, key.tenant_id, key.gateway_id)
        return pushed.statement if pushed and pushed.version > report.version else None


async def members(connection: Connection, tenant_id: int) -> dict[int, dict[str, Any]]:
    """By gateway: `configuration`, for the list of all of them."""
    found = {}
    for gateway_id, (version, known) in (await store.stands(connection, tenant_id)).items():
        state, reason = judge(version, known)
        found[gateway_id] = {"configuration": {"state": state.value, "reason": reason, "version": version}}
    return found


async def _gateway(connection: Any, tenant_id: int, name: str) -> tuple[int, str]:
    found = await store.gateway(connection, tenant_id, name)
    if found is None:
        raise Problem("not-found", f'there is no gateway "{name}"')
    return found


def routes(configurations: Configurations, reader: Asker, writer: Asker) -> APIRouter:
    router = APIRouter(tags=["configuration"])

    @router.get("/v1/gateways/{gateway}/configuration")
    async def get_configuration(gateway: str, response: Response, principal: Annotated[Principal, Depends(reader)]) -> State:
        found = await configurations.state(principal.tenant_id, gateway)
        response.headers["ETag"] = f'"{found.version}"'
        return found

    @router.put("/v1/gateways/{gateway}/configuration", status_code=201)
    async def put_configuration(
        gateway: str,
        request: Request,
        response: Response,
        principal: Annotated[Principal, Depends(writer)],
        if_match: Annotated[str | None, Header()] = None,
    ) -> State:
        follows = _version(if_match)
        text = _text(await request.body())
        version = await configurations.push(principal, gateway, text, follows)
        response.headers["ETag"] = f'"{version}"'
        return await configurations.state(principal.tenant_id, gateway)

    @router.post("/v1/configuration-reports", tags=["gateway"])
    async def post_report(request: Request) -> Response:
        """For gateways: the body is signed by an enrolled key, so no token is asked for."""
        found = await configurations.answer(request)
        return Response(found, media_type="application/cose") if found else Response(status_code=204)

    return router


def _version(if_match: str | None) -> int:
    if if_match is None:
        raise Problem("precondition-needed", 'say which version this one follows: If-Match: "3", or "0" when none was pushed')
    text = if_match.strip().strip('"')
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise Problem("invalid-request", f'If-Match: expected a version such as "3", found {if_match!r}')
    return int(text)


def _text(body: bytes) -> str:
    """Only what a reader of TOML takes; the gateway judges the rest."""
    if len(body) > configuration.LONGEST:
        raise Problem("too-large", f"a gateway file of {len(body)} bytes, {configuration.LONGEST} are allowed")
    try:
        text = body.decode("utf-8")
        tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Problem("invalid-request", f"expected the text of a gateway file (TOML): {error}") from error
    return text
