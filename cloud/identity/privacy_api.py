"""HTTP of a person's data: what is held, erasure, legal holds."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import privacy
from cloud.identity.credentials import Principal
from cloud.identity.gate import Gate, secret_answer
from cloud.identity.me_api import Id, Me, Myself
from cloud.identity.people import People
from cloud.identity.people_api import asked_json
from cloud.identity.privacy import Privacy


class Hold(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "court order 17/2026"}]})
    reason: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]+$")]


def routes(db: Database, people: People, privacy_of: Privacy, gate: Gate, myself: Myself) -> APIRouter:
    router = APIRouter(tags=["people"])
    holder = Annotated[Principal, Depends(gate.needs("write:tenant"))]

    @router.get("/v1/me/data", tags=["me"])
    async def get_my_data(who: Annotated[Me, Depends(myself.known)]) -> Response:
        """Everything the hub holds about whoever asks, except what would let others in as them."""
        _, person = who
        async with db.tenant(person.tenant_id) as connection:
            return secret_answer(await privacy.everything(connection, person))

    @router.get("/v1/people/{person_id}/data")
    async def get_data(principal: Annotated[Principal, Depends(gate.needs("read:people"))], person_id: Id) -> Response:
        """The same about somebody else, for an answer to their request."""
        async with db.tenant(principal.tenant_id) as connection:
            person = await people.find(connection, principal.tenant_id, person_id)
            return secret_answer(await privacy.everything(connection, person))

    @router.post("/v1/people/{person_id}/erasure", status_code=202)
    async def erase(principal: Annotated[Principal, Depends(gate.needs("write:people"))], person_id: Id) -> Response:
        """Asks for it; done when somebody else has agreed to the approval. 409 while there is a legal hold."""
        async with db.tenant(principal.tenant_id) as connection:
            person = await people.find(connection, principal.tenant_id, person_id)
            approval = await privacy_of.ask(connection, principal, person)
        return secret_answer({"approval": asked_json(approval)}, 202)

    @router.put("/v1/people/{person_id}/hold", status_code=204)
    async def hold(principal: holder, person_id: Id, body: Hold) -> Response:
        """From now on nobody erases this person's data."""
        async with db.tenant(principal.tenant_id) as connection:
            person = await people.find(connection, principal.tenant_id, person_id)
            await privacy_of.hold(connection, principal, person, body.reason)
        return Response(status_code=204)

    @router.delete("/v1/people/{person_id}/hold", status_code=204)
    async def end_hold(principal: holder, person_id: Id) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            person = await people.find(connection, principal.tenant_id, person_id)
            if person.held_us is None:
                raise Problem("not-found", f"there is no hold on person {person_id}")
            await privacy_of.hold(connection, principal, person, None)
        return Response(status_code=204)

    return router
