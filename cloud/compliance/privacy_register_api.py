"""HTTP of the register of processing activities, with the tenant's retention, legal holds and erasures."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud.bookings import Asker, answer
from cloud.compliance import privacy_register
from cloud.db import Database
from cloud.identity import tenants
from cloud.identity.credentials import Principal


def routes(db: Database, reader: Asker) -> APIRouter:
    router = APIRouter(tags=["privacy"])

    @router.get("/v1/privacy/register")
    async def get_register(principal: Annotated[Principal, Depends(reader)]) -> Response:
        """What the program does with personal data (GDPR, art. 30), retention as this tenant set it, legal holds that stand, and erasures done.
        Activities outside of the hub are not in it."""
        async with db.tenant(principal.tenant_id) as connection:
            settings = await tenants.read(connection, principal.tenant_id)
            holds, erased = await privacy_register.holds_and_erasures(connection, principal.tenant_id)
        return answer(
            {
                "tenant": principal.tenant,
                "jurisdiction": settings.jurisdiction or None,
                "activities": [asdict(one) for one in privacy_register.shipped()],
                "retention_days": settings.retention_days,
                "legal_holds": holds,
                "erased_people": erased,
            }
        )

    return router
