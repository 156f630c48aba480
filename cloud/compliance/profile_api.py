"""HTTP of the compliance profile: a TOML text by version; a code that is wrong refuses it."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from cloud import texts
from cloud.assets.model import parse_model
from cloud.bookings import Asker, text_body
from cloud.compliance.profile import Profile, absent, parse_profile
from cloud.compliance.trace import plain_facts
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from cloud.identity.versions import IfMatch
from cloud.texts import Text
from cloud.texts_http import keep, text_of, versioned
from protocols.clock import Clock
from protocols.tomlfile import ConfigError


def routes(db: Database, clock: Clock, reader: Asker, writer: Asker, changed: Callable[[int], None], record: Record) -> APIRouter:
    """changed: called with the tenant after a profile is committed."""
    router = APIRouter(tags=["compliance"])

    @router.put("/v1/compliance/profile", openapi_extra=text_body("application/toml"))
    async def put_profile(principal: Annotated[Principal, Depends(writer)], request: Request, if_match: IfMatch = None) -> Response:
        """Who takes part in markets, and the units whose unavailability has to be told: the next version, unless it is the newest already.
        `absent`: parts that the asset model does not have."""
        text = text_of(await request.body())
        try:
            profile = parse_profile(text)
        except ConfigError as error:
            raise Problem("invalid-request", str(error)[:2000]) from error
        tenant_id = principal.tenant_id
        async with db.tenant(tenant_id) as connection:
            before = await texts.newest_digest(connection, tenant_id, Text.PROFILE)
            stored = await keep(connection, tenant_id, Text.PROFILE, text, clock.now_us(), if_match)
            if stored.digest != before:
                detail = {"version": stored.version, "sha256": stored.digest.hex()}
                await record(connection, principal.actor, "hand-in-profile", "compliance-profile", detail)
            missing = await _absent(connection, tenant_id, profile)
        changed(tenant_id)
        return versioned({"version": stored.version, "sha256": stored.digest.hex(), "absent": missing}, stored)

    @router.get("/v1/compliance/profile")
    async def get_profile(principal: Annotated[Principal, Depends(reader)]) -> Response:
        """Participant and units as they stand, the text they come from, and parts that the asset model does not have."""
        async with db.tenant(principal.tenant_id) as connection:
            stored = await texts.newest(connection, principal.tenant_id, Text.PROFILE)
            if stored is None:
                raise Problem("not-found", "there is no compliance profile yet; hand one in with PUT /v1/compliance/profile")
            profile = parse_profile(stored.text)
            missing = await _absent(connection, principal.tenant_id, profile)
        told: dict[str, Any] = {"version": stored.version, "sha256": stored.digest.hex(), **plain_facts(profile)}
        return versioned(told | {"absent": missing, "text": stored.text}, stored)

    return router


async def _absent(connection: Connection, tenant_id: int, profile: Profile) -> list[str]:
    model = await texts.newest(connection, tenant_id, Text.MODEL)
    return list(absent(profile, {asset.name for asset in parse_model(model.text).assets} if model else ()))
