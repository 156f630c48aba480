"""HTTP of a tenant's settings."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cloud.db import Database
from cloud.document import is_zone
from cloud.identity import tenants
from cloud.identity.credentials import Principal
from cloud.identity.gate import Gate, secret_answer
from cloud.identity.people_api import asked_json
from cloud.identity.roles import Role
from cloud.identity.tenants import Provider, Settings, Tenants
from cloud.identity.versions import IfMatch, etag, followed

Most = Annotated[int | None, Field(ge=1, le=1_000_000)]
EXAMPLE: dict[str, Any] = {"jurisdiction": "GY", "zone": "America/Guyana", "gateways": 50, "people": 40, "retention_days": 3650}


class ProviderBody(BaseModel):
    """secret_file: a file in the folder of the hub's keys that its operator put there. roles: value of the claim -> role, anything but
    admin, which two people of the tenant give; nobody else comes in."""

    model_config = ConfigDict(extra="forbid")
    issuer: Annotated[str, Field(min_length=8, max_length=300, pattern=r"^https?://[^\s?#\x00]+$")]
    client_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
    secret_file: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9][a-z0-9-]*\.oidc$")]
    claim: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
    roles: Annotated[dict[Annotated[str, Field(max_length=200, pattern=r"^[^\x00]+$")], Role], Field(max_length=100)]

    @field_validator("roles")
    @classmethod
    def without_admin(cls, roles: dict[str, Role]) -> dict[str, Role]:
        if Role.ADMIN in roles.values():
            raise ValueError("no claim makes an admin: grant it to a person, which a second one agrees to")
        return roles


class SettingsBody(BaseModel):
    """null: no limit. provider: the company's own identity provider, null for none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})
    jurisdiction: Literal["", "AE", "EU", "GY", "NO", "QA", "SA", "UK", "US"] = ""
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    gateways: Most = None
    people: Most = None
    batches_per_second: Annotated[float | None, Field(gt=0, le=1_000_000)] = None
    retention_days: Annotated[int | None, Field(ge=1, le=36_600)] = None
    provider: ProviderBody | None = None

    @field_validator("zone")
    @classmethod
    def known(cls, zone: str) -> str:
        if "\0" in zone or not is_zone(zone):
            raise ValueError("expected a time zone such as America/Guyana")
        return zone

    def settings(self, version: int) -> Settings:
        plain = self.model_dump(exclude={"provider"})
        provider = None if self.provider is None else Provider(**self.provider.model_dump(mode="json"))
        return Settings(version, **plain, provider=provider)


def routes(db: Database, tenants_of: Tenants, gate: Gate) -> APIRouter:
    router = APIRouter(tags=["tenant"])

    def shown(principal: Principal, found: Settings) -> dict[str, Any]:
        document = {"tenant": principal.tenant, "version": found.version, **found.document()}
        if principal.may("read:people"):
            return document
        return {key: document[key] for key in ("tenant", "version", "jurisdiction", "zone")}

    @router.get("/v1/tenant")
    async def get_tenant(principal: Annotated[Principal, Depends(gate.known)]) -> Response:
        """Law and time zone for everybody; quotas, retention and the identity provider with read:people."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await tenants.read(connection, principal.tenant_id)
        reply = secret_answer(shown(principal, found))
        reply.headers.update(etag(found.version))
        return reply

    @router.put("/v1/tenant")
    async def put_tenant(
        principal: Annotated[Principal, Depends(gate.needs("write:tenant"))], body: SettingsBody, if_match: IfMatch = None
    ) -> Response:
        """If-Match is needed, "0" before anything was set. 202: a shorter retention waits for the approval, everything else is done."""
        async with db.tenant(principal.tenant_id) as connection:
            made, approval = await tenants_of.change(connection, principal, body.settings(followed(if_match)))
        document = {"settings": shown(principal, made), "approval": asked_json(approval)}
        reply = secret_answer(document, 200 if approval is None else 202)
        reply.headers.update(etag(made.version))
        return reply

    return router
