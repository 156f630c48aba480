"""Drafts of filings: written from what is booked and stated, judged, asked for by one person, and filed when another agrees.

For the way from a request to `Filings.keep`. Not for what a file says (`deal_rows`) and not for the answers of authorities (`filed`).
Rules: a draft is kept only when its file has no gap and fails no layer; agreeing files exactly the bytes of the draft, or, where the
deals or the filing moved on meanwhile, nothing.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final

from cloud import texts
from cloud.compliance import register_store
from cloud.compliance.deal_facts import PREFIX
from cloud.compliance.profile import Profile, parse_profile
from cloud.compliance.trading_profile import NO_TRADING
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.actor import Actor
from cloud.identity.approval_store import Approval
from cloud.identity.approvals import Approvals
from cloud.identity.credentials import Principal
from cloud.reports import checks, deal_rows, profile_codes, store
from cloud.reports.deal_rows import Built, Reporter, Source, Stated
from cloud.reports.due import Event
from cloud.reports.filed import STOR, File, Filings, refuse
from cloud.reports.filings import Action
from cloud.reports.layers import Validation
from cloud.reports.registered import by_deal, merged, profiled, registered
from cloud.reports.store import Draft, StoredFiling
from cloud.reports.told import Gap, Incomplete
from cloud.reports.written import action_of, written
from cloud.texts import Text
from cloud.trading import store as trading_store
from cloud.trading.deals import Deal
from protocols.batch import evidence
from protocols.clock import Clock

FILE: Final = "file"  # the approval
FILE_STOR: Final = "file-stor"  # of a STOR: who is not to know of conduct is not shown that it was asked for
MOST_DEALS: Final = 500  # in one report


@dataclass(frozen=True, slots=True)
class Period:
    """Both days included: of delivery for the quarterly report, of the conclusion for every other. book: None is any."""

    first: date
    last: date
    book: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to be reported. told: per deal what they state beside the booking; common: the same for all. period: the deals that
    fall into it, instead of deals by name."""

    kind: str
    subject: str
    told: Mapping[str, Mapping[str, str]]
    common: Mapping[str, str] = field(default_factory=dict)
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class Made:
    draft: Draft
    approval: Approval
    validation: Validation


class Drafts:
    def __init__(self, db: Database, clock: Clock, threads: Executor, filings: Filings, approvals: Approvals) -> None:
        self._db, self._clock, self._threads, self._filings, self._approvals = db, clock, threads, filings, approvals

    async def of_deals(self, principal: Principal, wanted: Wanted) -> Made:
        """Raises Problem: "wrong-file" with `gaps` by deal and field or with `layers`, "not-found", "conflict"."""
        tenant_id = principal.tenant_id
        async with self._db.tenant(tenant_id) as connection:
            action = await self._filings.next(connection, tenant_id, wanted.kind, wanted.subject)
            deals = await self._deals(connection, tenant_id, wanted)
            profile = await profile_of(connection, tenant_id)
            subjects = [PREFIX + deal.id for deal in deals]
            facts = await register_store.known(connection, tenant_id, self._clock.now_us(), subjects)
        if absent := sorted(set(wanted.told) - {deal.id for deal in deals}):
            raise Problem("not-found", f"there is no deal {', '.join(absent[:20])}", deals=absent)
        if gone := [Gap(deal.id, "cancelled", "the deal is cancelled: cancel its filing instead") for deal in deals if deal.cancelled]:
            raise lacking(gone)
        reporter, trading = reporter_in(profile), profile.trading if profile else NO_TRADING
        known = by_deal(((one.kind, one.subject, one.document) for one in facts), PREFIX)
        stated, gaps = [], []
        for deal in deals:
            said = registered(wanted.kind, known.get(deal.id, {}), reporter.lei)
            told, contradictions = merged(deal.id, {**wanted.common, **wanted.told.get(deal.id, {})}, said)
            stated.append(Stated(deal, {**profiled(wanted.kind, deal, trading), **told}))
            gaps += contradictions
        if gaps:
            raise lacking(gaps)
        source = Source(wanted.kind, action, reporter, tuple(stated))
        return await self.keep(principal, wanted.kind, wanted.subject, deal_rows.encode(source))

    async def _deals(self, connection: Connection, tenant_id: int, wanted: Wanted) -> tuple[Deal, ...]:
        if wanted.period is None:
            return await trading_store.chosen(connection, tenant_id, list(wanted.told))
        period, now_us = wanted.period, self._clock.now_us()
        found = await trading_store.deals(connection, tenant_id, now_us)
        chosen = [deal for deal in found if period.book in (None, deal.book) and period.first <= _day_of(deal, wanted.kind) <= period.last]
        if not chosen:
            raise Problem("not-found", f"no deal falls into {period.first} to {period.last}")
        if len(chosen) > MOST_DEALS:
            raise Problem("too-large", f"{len(chosen)} deals fall into this time, {MOST_DEALS} are reported at once: take a shorter one")
        return tuple(chosen)

    async def of_cancellation(self, principal: Principal, filing_id: int) -> Made:
        """Of what was filed last, said again with the authority's word for never having been."""
        tenant_id = principal.tenant_id
        async with self._db.tenant(tenant_id) as connection:
            found = await store.get(connection, tenant_id, filing_id)
            if found is None:
                raise Problem("not-found", f"there is no filing {filing_id}")
            await self._filings.next(connection, tenant_id, found.kind, found.subject, cancels=True)
            last = await self._source(connection, tenant_id, found)
        before = deal_rows.decode(last)
        source = deal_rows.encode(Source(before.kind, Action.CANCELLATION, before.reporter, before.deals))
        return await self.keep(principal, found.kind, found.subject, source, cancels=True)

    async def keep(
        self,
        principal: Principal,
        kind: str,
        subject: str,
        source: bytes,
        *,
        cancels: bool = False,
        below: Mapping[str, bytes] | None = None,
    ) -> Made:
        """The draft of a source, and the question to a second person."""
        async with self._db.tenant(principal.tenant_id) as connection:
            profile = await profile_text(connection, principal.tenant_id)
        built, validation = await asyncio.get_running_loop().run_in_executor(self._threads, _written, kind, source, profile)
        now_us = self._clock.now_us()
        term, day = (built.event.term, built.event.day) if built.event else ("", None)
        draft = Draft(
            kind, subject, cancels, now_us, principal.actor.by, now_us, source, built.data, built.rows, term, day, below or {}
        )  # fmt: skip
        async with self._db.tenant(principal.tenant_id) as connection:
            draft_id = await store.add_draft(connection, principal.tenant_id, draft)
            sha256 = evidence.digest(built.data).hex()
            asked = FILE_STOR if kind == STOR else FILE
            body = {"draft": draft_id, "kind": kind, "subject": subject, "rows": built.rows, "sha256": sha256}
            approval = await self._approvals.ask(connection, principal, asked, f"draft/{draft_id}", body)
        return Made(replace(draft, id=draft_id), approval, validation)

    async def file(self, connection: Connection, actor: Actor, approval: Approval) -> None:
        """What is done when the second person has agreed."""
        draft = await store.draft(connection, actor.tenant_id, approval.body["draft"])
        if draft is None:
            raise Problem("not-found", f"there is no draft {approval.body['draft']}")
        await store.lock(connection, actor.tenant_id)
        await self._check_standing(connection, actor.tenant_id, draft)
        profile = await profile_text(connection, actor.tenant_id)
        validation = await asyncio.get_running_loop().run_in_executor(self._threads, judged, draft, profile)
        event = Event(draft.due_term, draft.event) if draft.event is not None else None
        file = File(
            draft.kind, draft.subject, draft.file, draft.rows, draft.as_of_us, validation, draft.below, event, draft.source, draft.cancels,
            draft.id, profile,
        )  # fmt: skip
        await self._filings.keep(connection, actor, file)

    async def _check_standing(self, connection: Connection, tenant_id: int, draft: Draft) -> None:
        """Raises Problem "conflict" where the deals or the filing are not any more what the draft says."""
        following, said = (
            await self._filings.next(connection, tenant_id, draft.kind, draft.subject, cancels=draft.cancels),
            action_of(draft.source),
        )
        if following is not said:
            raise Problem("conflict", f"the draft is a {said.value}, by now this would be a {following.value}: make another draft")
        if draft.kind not in deal_rows.KINDS:
            return
        source = deal_rows.decode(draft.source)
        stands = {
            deal.id: deal.version for deal in await trading_store.chosen(connection, tenant_id, [one.deal.id for one in source.deals])
        }
        moved = [one.deal.id for one in source.deals if stands.get(one.deal.id) != one.deal.version]
        if moved and not draft.cancels:
            raise Problem("conflict", f"deal {', '.join(moved[:20])} was amended since the draft was made: make another draft", deals=moved)

    async def _source(self, connection: Connection, tenant_id: int, found: StoredFiling) -> bytes:
        row = await evidence_store.get(connection, tenant_id, found.versions[-1].evidence)
        digest = row.row.inputs.contents.get("source") if row is not None else None
        source = await evidence_store.content(connection, tenant_id, digest) if digest is not None else None
        if source is None or found.kind not in deal_rows.KINDS:
            raise Problem("conflict", f"a filing of the kind {found.kind} was not made from deals; whoever made it cancels it")
        return source


def _day_of(deal: Deal, kind: str) -> date:
    return max(leg.last for leg in deal.legs) if kind == "FERC-EQR" else datetime.fromtimestamp(deal.known_us / 1e6, UTC).date()


def _written(kind: str, source: bytes, profile: bytes) -> tuple[Built, Validation]:
    try:
        built = written(kind, source)
    except Incomplete as error:
        raise lacking(error.gaps) from error
    validation = checks.check(kind, built.data, profile_codes.of_text(kind, profile))
    refuse(validation)
    return built, validation


def judged(draft: Draft, profile: bytes) -> Validation:
    """By the codes of this profile."""
    return checks.check(draft.kind, draft.file, profile_codes.of_text(draft.kind, profile))


def lacking(gaps: tuple[Gap, ...] | list[Gap]) -> Problem:
    listed = [{"deal": one.deal, "field": one.field, "expected": one.expected} for one in gaps]
    first = gaps[0]
    where = f"deal {first.deal}" if first.deal else "the report"
    detail = f"{len(gaps)} gaps, nothing was written; the first: {where}, {first.field}: {first.expected}"
    return Problem("wrong-file", detail[:2000], gaps=listed[:200])


async def profile_text(connection: Connection, tenant_id: int) -> bytes:
    """Empty where there is none."""
    held = await texts.newest(connection, tenant_id, Text.PROFILE)
    return b"" if held is None else held.text.encode()


async def profile_of(connection: Connection, tenant_id: int) -> Profile | None:
    held = await texts.newest(connection, tenant_id, Text.PROFILE)
    return None if held is None else parse_profile(held.text)


def reporter_in(profile: Profile | None) -> Reporter:
    """Empty where there is no profile: then it is a gap."""
    if profile is None:
        return Reporter("", "", "")
    return Reporter(profile.participant.name, profile.participant.lei, profile.participant.acer_code)


async def reporter_of(connection: Connection, tenant_id: int) -> Reporter:
    return reporter_in(await profile_of(connection, tenant_id))
