"""HTTP of rules in the hub: their list, runs, and findings with their traces."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud.bookings import NO_NUL, Asker, Filter, Moment, answer, json_body, read_body
from cloud.compliance import facts_json, findings, html, knowledge, rule_list, runner
from cloud.compliance.asking import Day, Id, Rules, Scenario, Subject, check_subject, off_loop, rule_of
from cloud.compliance.deal_facts import Contradiction
from cloud.compliance.findings import MOST_FINDINGS, Wanted
from cloud.compliance.rules import Finding, Outcome
from cloud.compliance.runner import MOST_SUBJECTS, Asked, NothingKnown
from cloud.compliance.trace import day_of, instant
from cloud.document import DocumentError, parse
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from protocols.tomlfile import ConfigError

STYLESHEET: Final = "/v1/findings.css"
RUN: Final = json_body({"type": "object"})


@dataclass(frozen=True, slots=True)
class RunBody:
    """What POST /v1/rules/run takes."""

    as_of: date | None = None
    known_us: int | None = None
    scenarios: tuple[str, ...] | None = None
    subjects: tuple[str, ...] | None = None


def routes(rules: Rules, reader: Asker, writer: Asker) -> APIRouter:
    router = APIRouter(tags=["compliance"])
    _include_rules(router, rules, reader)
    _include_findings(router, rules, reader, writer)
    return router


def _include_rules(router: APIRouter, rules: Rules, reader: Asker) -> None:
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/rules")
    async def get_rules(_: who, as_of: Day = None, scenario: Scenario = []) -> Response:  # noqa: B006 - FastAPI copies it
        """Every rule with its citations, owner and figures on the day of law; those that do not run, with the reason; patterns watched for.
        `review_due`: nobody looked at a figure for 12 months."""
        return answer(rule_list.rules_json(rules.law, as_of or rules.today(), rules.supposed(scenario)))

    @router.get("/v1/rules/{rule}")
    async def get_rule(_: who, rule: Id, as_of: Day = None, scenario: Scenario = []) -> Response:  # noqa: B006
        """One rule with its figures on the day of law."""
        return answer(rule_list.rule_json(rule_of(rule), rules.law, as_of or rules.today(), rules.supposed(scenario)))


def _include_findings(router: APIRouter, rules: Rules, reader: Asker, writer: Asker) -> None:
    who = Annotated[Principal, Depends(reader)]
    author = Annotated[Principal, Depends(writer)]

    @router.post("/v1/rules/run", openapi_extra=RUN)
    async def post_run(principal: author, request: Request) -> Response:
        """Judge every deal and registered fact by every rule that applies, as known at `known_us` under the law of `as_of`; each area of law is
        one evidence row. What is as it was in the newest row writes none. `contradictions`: facts that do not count until they are corrected."""
        body = await read_body(request, rules.threads, _read_run)
        asked = Asked(
            rules.clock.now_us() if body.known_us is None else body.known_us,
            body.as_of,
            rules.supposed(body.scenarios or ()),
            body.subjects,
        )
        async with rules.db.tenant(principal.tenant_id) as connection:
            known = await knowledge.read(connection, principal.tenant_id, asked.known_us, asked.subjects, rules.filed)
        made, contradictions = await off_loop(rules, lambda: runner.make(known, asked, rules.law))
        async with rules.db.tenant(principal.tenant_id) as connection:
            stored = await runner.store(connection, principal.tenant_id, made, rules.clock.now_us())
            if fresh := [one for one in stored if one.fresh]:
                detail = {"rows": {one.area: one.digest.hex() for one in fresh}, "known_us": asked.known_us}
                await rules.record(connection, principal.actor, "run-rules", "rules", detail)
        rules.changed(principal.tenant_id)
        return answer(
            {
                "as_of": str(asked.as_of or day_of(asked.known_us)),
                "known_us": asked.known_us,
                "scenarios": sorted(asked.scenarios),
                "areas": [
                    {"area": one.area, "evidence": one.digest.hex(), "known_us": one.known_us, "new": one.fresh, "counts": one.counts}
                    for one in stored
                ],
                "contradictions": [asdict(one) for one in contradictions],
            }
        )

    @router.get("/v1/findings")
    async def get_findings(
        principal: who,
        outcome: Outcome | None = None,
        rule: Filter = None,
        subject: Filter = None,
        as_of: Day = None,
        scenario: Scenario = [],  # noqa: B006
        limit: Annotated[int, Query(ge=1, le=MOST_FINDINGS)] = 100,
        cursor: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="`next` of the page before")] = None,
    ) -> Response:
        """Findings of the newest run of all subjects, area by area, then those of outages (`outages`) by event; `as_of` and `scenario` choose runs of another day of law or of scenarios."""
        asked = Asked(rules.clock.now_us(), as_of, rules.supposed(scenario))
        return answer(await findings.page(rules, principal.tenant_id, asked, Wanted(outcome, rule, subject), limit, cursor))

    @router.get(STYLESHEET, response_class=Response, responses={200: {"content": {"text/css": {"schema": {"type": "string"}}}}})
    async def get_style(_: who) -> Response:
        """How a finding looks as a page."""
        return Response(html.STYLE, media_type="text/css", headers={"cache-control": "private, max-age=3600"})

    @router.get(
        "/v1/findings/{rule}/{subject:path}",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}, "text/html": {"schema": {"type": "string"}}}}},
    )
    async def get_finding(
        principal: who,
        request: Request,
        rule: Id,
        subject: Subject,
        as_of: Day = None,
        known_us: Moment = None,
        scenario: Scenario = [],  # noqa: B006
    ) -> Response:
        """One finding with its trace, judged now as known at `known_us` under the law of `as_of`; as JSON, or as Accept says as text/plain or
        text/html."""
        one = rule_of(rule)
        check_subject(subject)
        asked = Asked(rules.clock.now_us() if known_us is None else known_us, as_of, rules.supposed(scenario))
        async with rules.db.tenant(principal.tenant_id) as connection:
            try:
                finding, contradictions = await runner.explain(connection, principal.tenant_id, one, subject, asked, rules.law, rules.filed)
            except NothingKnown as error:
                raise Problem("not-found", f"{error}; hand it in with PUT /v1/facts/{one.about.__name__}/{subject}") from error
            except ConfigError as error:
                raise Problem("conflict", f"the profile cannot be read: {error}") from error
        return _shown(request, finding, asked.known_us, contradictions)


def _shown(request: Request, finding: Finding, known_us: int, contradictions: tuple[Contradiction, ...]) -> Response:
    wanted = request.headers.get("accept", "").lower()
    headers = {"vary": "accept"}
    if "text/html" in wanted:
        page = html.page(finding, instant(known_us), contradictions, STYLESHEET)
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)
    if "text/plain" in wanted:
        lines = [finding.text(), f"  facts as known at {instant(known_us)}", *(f"  contradiction: {one.detail}" for one in contradictions)]
        return Response("\n".join(lines) + "\n", media_type="text/plain; charset=utf-8", headers=headers)
    document = finding.document() | {
        "known_us": known_us,
        "digest": finding.digest.hex(),
        "facts": facts_json.write(finding.facts),
        "contradictions": [asdict(one) for one in contradictions],
    }
    reply = answer(document)
    reply.headers.update(headers)
    return reply


def _read_run(data: bytes) -> RunBody:
    found = RunBody(**facts_json.values(RunBody, parse(data) if data else {}, "run"))
    if found.subjects is not None and not 0 < len(found.subjects) <= MOST_SUBJECTS:
        raise DocumentError(f"run.subjects: expected 1 to {MOST_SUBJECTS}, found {len(found.subjects)}; leave it out to judge all")
    return found
