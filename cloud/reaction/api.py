"""HTTP of the reaction: the newest results, and what they are computed by: asset model and desk settings."""

from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from cloud import texts
from cloud.assets.model import Model, parse_model
from cloud.bookings import Asker
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.identity.versions import IfMatch
from cloud.reaction.results import Results
from cloud.risk.settings import SettingsError, parse_settings
from cloud.texts import StoredText, Text
from cloud.texts_http import keep, text_of, versioned
from protocols.clock import Clock
from protocols.tomlfile import ConfigError

TEXT = {"requestBody": {"required": True, "content": {"application/toml": {"schema": {"type": "string"}}}}}
JSON = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def routes(
    db: Database, clock: Clock, results: Results, reader: Asker, asset_writer: Asker, desk_reader: Asker, desk_writer: Asker, changed: Any
) -> APIRouter:
    """changed: called with the tenant after a new model or new settings are committed."""
    router = APIRouter(tags=["reaction"])

    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/results")
    async def get_results(principal: who) -> Response:
        """The newest result of every kind and subject that the asker may see; the stream has them as events "result"."""
        _, found = results.since(principal.tenant_id, principal.sees)
        return Response(b"[" + b",".join(found) + b"]", media_type="application/json")

    @router.put("/v1/assets", openapi_extra=TEXT)
    async def put_assets(principal: Annotated[Principal, Depends(asset_writer)], request: Request, if_match: IfMatch = None) -> Response:
        """The asset model as TOML: the next version, unless it is the newest already. If-Match, where given, names the version it follows."""
        text = text_of(await request.body())
        try:
            parse_model(text)
        except ConfigError as error:
            raise Problem("invalid-request", str(error)) from error
        async with db.tenant(principal.tenant_id) as connection:
            stored = await keep(connection, principal.tenant_id, Text.MODEL, text, clock.now_us(), if_match)
        changed(principal.tenant_id)
        return versioned({"version": stored.version, "sha256": stored.digest.hex()}, stored)

    @router.get("/v1/assets")
    async def get_assets(principal: who) -> Response:
        """Sites, assets with the roles of their tags, streams, and the text they come from."""
        async with db.tenant(principal.tenant_id) as connection:
            stored = await texts.newest(connection, principal.tenant_id, Text.MODEL)
        if stored is None:
            raise Problem("not-found", "there is no asset model yet; hand one in with PUT /v1/assets")
        return versioned({**model_document(stored), "text": stored.text}, stored)

    @router.put("/v1/risk/settings", openapi_extra=JSON)
    async def put_settings(principal: Annotated[Principal, Depends(desk_writer)], request: Request, if_match: IfMatch = None) -> Response:
        """The desk's settings: the next version, unless they are the newest already. If-Match, where given, names the version they follow."""
        body = await request.body()
        text = text_of(body)
        try:
            parse_settings(body).factors()
        except SettingsError as error:
            raise Problem("invalid-request", str(error)) from error
        async with db.tenant(principal.tenant_id) as connection:
            stored = await keep(connection, principal.tenant_id, Text.SETTINGS, text, clock.now_us(), if_match)
        changed(principal.tenant_id)
        return versioned({"version": stored.version, "sha256": stored.digest.hex()}, stored)

    @router.get("/v1/risk/settings")
    async def get_settings(principal: Annotated[Principal, Depends(desk_reader)]) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            stored = await texts.newest(connection, principal.tenant_id, Text.SETTINGS)
        if stored is None:
            raise Problem("not-found", "there are no settings yet; hand them in with PUT /v1/risk/settings")
        return versioned({"version": stored.version, "sha256": stored.digest.hex(), "settings": orjson.loads(stored.text)}, stored)

    return router


def model_document(stored: StoredText) -> dict[str, Any]:
    return {"model": {"version": stored.version, "sha256": stored.digest.hex()}, **_shown(parse_model(stored.text))}


async def model_json(connection: Connection, tenant_id: int) -> bytes:
    """The document without its text; null where none was handed in yet."""
    stored = await texts.newest(connection, tenant_id, Text.MODEL)
    return orjson.dumps(None if stored is None else model_document(stored))


async def model_mark(connection: Connection, tenant_id: int) -> object:
    return await texts.newest_digest(connection, tenant_id, Text.MODEL)


def _shown(model: Model) -> dict[str, Any]:
    assets = [
        {
            "name": asset.name,
            "site": asset.site,
            "class": asset.class_name,
            "nameplate": asset.nameplate,
            "unit": asset.unit,
            "criticality": asset.criticality.value,
            "tags": [asdict(binding) for binding in asset.tags],
        }
        for asset in model.assets
    ]
    streams = [
        {
            "name": stream.name,
            "site": stream.site,
            "product": stream.product,
            "place": stream.place,
            "assets": [asset.name for asset in stream.assets],
        }
        for stream in model.streams
    ]
    return {"sites": [site.name for site in model.sites], "assets": assets, "streams": streams}
