"""HTTP of the register of facts: what people hand in because the hub cannot derive it, by version."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud.bookings import NO_NUL, Asker, Filter, Moment, answer, json_body, read_body
from cloud.compliance import facts_json, knowledge, register_store
from cloud.compliance.asking import KindName, Rules, Subject, check_subject, kind_of
from cloud.compliance.deal_facts import PREFIX
from cloud.compliance.kinds import KINDS
from cloud.compliance.register_store import Registered
from cloud.db import Connection
from cloud.document import parse
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.identity.versions import IfMatch, etag, followed, outrun
from protocols.tomlfile import ConfigError

MOST_FACTS: Final = 500  # on a page


def routes(rules: Rules, reader: Asker, writer: Asker) -> APIRouter:
    router = APIRouter(tags=["compliance"])
    who = Annotated[Principal, Depends(reader)]
    author = Annotated[Principal, Depends(writer)]

    @router.put("/v1/facts/{kind}/{subject:path}", openapi_extra=json_body({"type": "object"}))
    async def put_facts(principal: author, request: Request, kind: KindName, subject: Subject, if_match: IfMatch = None) -> Response:
        """What the hub cannot derive, as JSON of one kind of facts: the next version, unless it is the newest already. Of a deal it fills what the
        deal does not say, and may not contradict it. If-Match, where given, names the version it follows."""
        about, known_us = kind_of(kind), rules.clock.now_us()
        check_subject(subject)

        def checked(data: bytes) -> Any:
            given = parse(data)
            facts_json.read(about, given, known_us)
            return facts_json.normal(about, given)

        given = await read_body(request, rules.threads, checked)
        follows = None if if_match is None else followed(if_match)
        async with rules.db.tenant(principal.tenant_id) as connection:
            try:
                arguments = (connection, principal.tenant_id, kind, subject, given, known_us, principal.actor.by, follows)
                stored, new = await register_store.add(*arguments)
            except register_store.Outrun as error:
                raise outrun(follows or 0, error.present) from error
            if new:
                await _check_deal(rules, connection, principal.tenant_id, stored)
                detail = {"version": stored.version, "sha256": stored.digest.hex()}
                await rules.record(connection, principal.actor, "register-facts", f"facts/{kind}/{subject}", detail)
        reply = answer(_registered_json(stored) | {"new": new})
        reply.headers.update(etag(stored.version))
        return reply

    @router.get("/v1/facts")
    async def get_all_facts(
        principal: who,
        kind: Filter = None,
        known_us: Moment = None,
        limit: Annotated[int, Query(ge=1, le=MOST_FACTS)] = 100,
        after: Annotated[str | None, Query(max_length=400, pattern=NO_NUL, description="`next` of the page before")] = None,
    ) -> Response:
        """The newest of each kind and subject that was known then. `kinds`: what may be handed in, with the fields of each."""
        at_us = rules.clock.now_us() if known_us is None else known_us
        first, _, second = (after or "/").partition("/")
        async with rules.db.tenant(principal.tenant_id) as connection:
            found = await register_store.page(connection, principal.tenant_id, at_us, kind, limit + 1, (first, second))
        shown = found[:limit]
        following = f"{shown[-1].kind}/{shown[-1].subject}" if len(found) > limit else None
        kinds = {name: list(facts_json.readers(one)) for name, one in KINDS.items()}
        return answer({"known_us": at_us, "facts": [_registered_json(one) for one in shown], "next": following, "kinds": kinds})

    @router.get("/v1/facts/{kind}/{subject:path}")
    async def get_facts(principal: who, kind: KindName, subject: Subject, known_us: Moment = None) -> Response:
        """The newest that was known then, and every version with who handed it in."""
        kind_of(kind)
        async with rules.db.tenant(principal.tenant_id) as connection:
            versions = await register_store.versions(connection, principal.tenant_id, kind, subject)
        known = [one for one in versions if known_us is None or one.known_us <= known_us]
        if not known:
            raise Problem("not-found", f'no {kind} of "{subject}" was registered by then')
        listed = [{"version": one.version, "known_us": one.known_us, "by": one.by, "sha256": one.digest.hex()} for one in versions]
        reply = answer(_registered_json(known[-1]) | {"versions": listed})
        reply.headers.update(etag(known[-1].version))
        return reply

    return router


async def _check_deal(rules: Rules, connection: Connection, tenant_id: int, stored: Registered) -> None:
    """Of a deal only what does not contradict it is taken; the transaction ends with the Problem."""
    if not stored.subject.startswith(PREFIX):
        return
    known = await knowledge.read(connection, tenant_id, stored.known_us, (stored.subject,), rules.filed)
    if not known.booked:
        raise Problem("not-found", f"there is no deal {stored.subject.removeprefix(PREFIX)}; book it first, then register facts of it")
    try:
        found = known.state().contradictions
    except ConfigError as error:
        raise Problem("conflict", f"the profile cannot be read: {error}") from error
    if wrong := [one for one in found if one.kind == stored.kind]:
        raise Problem("invalid-request", wrong[0].detail, faults=[one.detail for one in wrong])


def _registered_json(one: Registered) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "subject": one.subject,
        "version": one.version,
        "known_us": one.known_us,
        "by": one.by,
        "sha256": one.digest.hex(),
        "facts": one.document,
    }
