"""HTTP of one's own account: preferences and sessions. Passwords and codes are in factors_api, what another person may change in people_api."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.errors import Problem
from cloud.identity import people_store, session_store
from cloud.identity.credentials import Principal
from cloud.identity.gate import PERSON, Gate, admits, secret_answer
from cloud.identity.login import Door
from cloud.identity.people_store import Person

Id = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
Me = tuple[Principal, Person]


ViewText = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]


class Preferences(BaseModel):
    """How the pages look to this person. language: of the pages; digits: of numbers in Arabic pages; zone: an IANA name, "site" or "browser"."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"language": "en", "theme": "system"}]})
    language: Annotated[str, Field(pattern="^(en|ar)$")] = "en"
    theme: Annotated[str, Field(pattern="^(system|light|dark)$")] = "system"
    digits: Annotated[str, Field(pattern="^(latn|arab)$")] = "latn"
    zone: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+\-/]{1,64}$")] = "UTC"
    gains: Annotated[str, Field(pattern="^(blue-orange|green-red)$")] = "blue-orange"
    views: Annotated[dict[ViewText, ViewText], Field(max_length=100)] = {}


class Myself:
    """Dependencies of routes that are for a signed-in person only."""

    def __init__(self, door: Door, gate: Gate) -> None:
        self._door, self._gate = door, gate

    @admits(PERSON)
    async def known(self, request: Request) -> Me:
        principal = await self._gate.known(request)
        if principal.person_id is None:
            raise Problem("forbidden", "this is for a person who is signed in, not for an API token")
        async with self._door.db.tenant(principal.tenant_id) as connection:
            person = await people_store.by_id(connection, principal.tenant_id, principal.person_id)
        if person is None:
            raise Problem("unauthorized", "the session has ended; sign in again")
        return principal, person

    @admits(PERSON)
    async def fresh(self, request: Request) -> Me:
        """Who has proved just now who they are."""
        principal, person = await self.known(request)
        self._gate.check_strong(principal)
        return principal, person


def routes(door: Door, myself: Myself, idle_s: float) -> APIRouter:
    router = APIRouter(tags=["me"], prefix="/v1/me")
    clock = door.clock
    me = Annotated[Me, Depends(myself.known)]

    @router.put("/preferences")
    async def put_preferences(who: me, body: Preferences) -> Response:
        _, person = who
        async with door.db.tenant(person.tenant_id) as connection:
            await people_store.prefer(connection, person.tenant_id, person.id, body.model_dump())
        return secret_answer(body.model_dump())

    @router.get("/sessions")
    async def get_sessions(who: me) -> Response:
        principal, person = who
        async with door.db.tenant(person.tenant_id) as connection:
            arguments = (connection, person.tenant_id, person.id, clock.now_us(), int(idle_s * 1e6))
            found = await session_store.sessions(*arguments)
        return secret_answer([{**one, "current": one["id"] == principal.session_id} for one in found])

    @router.delete("/sessions/{session_id}", status_code=204)
    async def end_session(who: me, session_id: Id) -> Response:
        _, person = who
        async with door.db.tenant(person.tenant_id) as connection:
            mine = await session_store.sessions(connection, person.tenant_id, person.id, clock.now_us(), int(idle_s * 1e6))
            if session_id not in {one["id"] for one in mine}:
                raise Problem("not-found", f"you have no session {session_id}")
            await session_store.end_session(connection, person.tenant_id, session_id, clock.now_us())
        return Response(status_code=204)

    return router
