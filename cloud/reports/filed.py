"""What is filed and what was answered: the next version of a filing with its file, its signed manifest, its evidence row and its journal entry.

For whoever decided that something is filed; called inside the transaction of that decision, so that all of it stands or nothing does.
Not for making a file and not for sending it. Rules: a file that fails a layer is refused; a layer that could not run is told as
INDETERMINATE, never as passed; which version comes next is the state machine's word (`filings`); what a kind of filing is that no
authority answers counts as taken when it is made.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import metadata
from typing import Any, Final

from cloud.db import Connection
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.evidence.code import code
from cloud.identity.actor import Actor, Record
from cloud.identity.credentials import Principal
from cloud.reports import due, filings, manifest, store
from cloud.reports.due import Event
from cloud.reports.errors import ReportError
from cloud.reports.filings import Answer, Filing, Reason, Version
from cloud.reports.layers import Outcome, Validation
from cloud.reports.store import StoredFiling, StoredVersion
from protocols.batch import evidence
from protocols.batch.evidence import Inputs, Row
from protocols.clock import Clock
from protocols.signing import Signer

KIND: Final = "filing"  # of the evidence row
STOR: Final = "STOR"
CONDUCT: Final = "stor"  # of the evidence row of a STOR, which is not for everybody who sees filings
UNANSWERED: Final = frozenset({"UMM"})  # published, not handed to an authority: no answer will come
MOST_FAULTS: Final = 50  # told of one layer


@dataclass(frozen=True, slots=True)
class File:
    """What is filed. rows: reported records. validation: as `checks.check` judged exactly these bytes. source: what `deal_rows` built them
    from, empty where something else did. draft_id: of the draft that was agreed to. profile: the text whose codes it was judged by,
    empty where there is none."""

    kind: str
    subject: str
    data: bytes
    rows: int
    as_of_us: int
    validation: Validation
    below: Mapping[str, bytes] = field(default_factory=dict)
    event: Event | None = None
    source: bytes = b""
    cancels: bool = False
    draft_id: int | None = None
    profile: bytes = b""


@dataclass(frozen=True, slots=True)
class Filed:
    """evidence: digest of the row that tells it."""

    filing_id: int
    version: Version
    evidence: bytes


class Filings:
    def __init__(self, clock: Clock, record: Record, signer: Callable[[int], Signer]) -> None:
        """signer: of a tenant's manifests."""
        self._clock, self._record, self._signer = clock, record, signer

    async def next(self, connection: Connection, tenant_id: int, kind: str, subject: str, *, cancels: bool = False) -> filings.Action:
        """What the next version would be, for whoever writes the file. Raises Problem "conflict" where nothing may follow."""
        found = await store.find(connection, tenant_id, kind, subject)
        return _follow(found, kind, subject, "0" * 64, 0, self._clock.now_us(), cancels).versions[-1].action

    async def keep(self, connection: Connection, actor: Actor, file: File) -> Filed:
        """In the caller's transaction. Raises Problem: "wrong-file" naming layer, check and place; "conflict" where nothing may follow."""
        refuse(file.validation)
        tenant_id, now_us = actor.tenant_id, self._clock.now_us()
        await store.lock(connection, tenant_id)
        found = await store.find(connection, tenant_id, file.kind, file.subject)
        digest = evidence.digest(file.data)
        version = _follow(found, file.kind, file.subject, digest.hex(), file.rows, now_us, file.cancels).versions[-1]
        signed = self._signed(tenant_id, file)
        row = row_of(file, version, signed)
        contents = {evidence.digest(one): one for one in _contents(file, signed).values()}
        made = await evidence_store.append(connection, tenant_id, row, contents, now_us)
        filing_id = found.id if found else await store.begin(connection, tenant_id, file.kind, file.subject)
        told = row.output["due"]
        day = date.fromisoformat(told["day"]) if told.get("day") else None
        kept = StoredVersion(
            version, evidence.digest(signed), made, actor.by, file.validation.outcome.value, day, told["status"], file.draft_id
        )
        await store.add_version(connection, tenant_id, filing_id, kept)
        detail = {"kind": file.kind, "version": version.number, "action": version.action.value, "sha256": version.file_sha256}
        await self._record(connection, actor, "file", f"filing/{filing_id}", detail)
        return Filed(filing_id, version, made)

    async def answer(
        self, connection: Connection, actor: Actor, filing_id: int, number: int, reference: str, reasons: tuple[Reason, ...]
    ) -> StoredFiling:
        """What the authority said to a version; no reasons: accepted. The same answer again changes nothing. Raises Problem."""
        await store.lock(connection, actor.tenant_id)
        found = await store.get(connection, actor.tenant_id, filing_id)
        if found is None:
            raise Problem("not-found", f"there is no filing {filing_id}")
        if found.kind in UNANSWERED:
            raise Problem("conflict", f"a filing of the kind {found.kind} is published, no authority answers it")
        given = Answer(number, self._clock.now_us(), reference, reasons)
        try:
            after = filings.answered(found.filing, given)
        except ReportError as error:
            raise Problem("conflict", str(error)) from error
        if len(after.answers) > len(found.answers):
            await store.add_answer(connection, actor.tenant_id, filing_id, given, actor.by)
            said = "accepted" if given.accepted else "rejected"
            detail = {"kind": found.kind, "version": number, "answer": said, "reference": reference}
            await self._record(connection, actor, "answer-filing", f"filing/{filing_id}", detail)
        return StoredFiling(found.id, found.kind, found.subject, found.versions, after.answers)

    def _signed(self, tenant_id: int, file: File) -> bytes:
        as_of = datetime.fromtimestamp(file.as_of_us / 1e6, UTC).date()
        rules = code("compliance", "reports")["rules"]
        told = manifest.of(file.kind, file.data, rules, file.rows, as_of, f"qenergyz {metadata.version('qenergyz')}")
        return manifest.as_json(manifest.sign(told, self._signer(tenant_id)))


def hidden(principal: Principal) -> list[str]:
    """Kinds of filings that they are not even told were made."""
    return [] if principal.sees(CONDUCT) else [STOR]


Keep = Callable[[Connection, Actor, File], Awaitable[Filed]]


def refuse(validation: Validation) -> None:
    """Raises Problem for a file that fails a layer, with all that was found."""
    if validation.outcome is not Outcome.FAIL:
        return
    first = validation.faults[0]
    detail = f"{first.layer.value}: {first.check} at {first.place}: {first.message}; correct what the file says, nothing was filed"
    raise Problem("wrong-file", detail[:2000], layers=layers_json(validation))


def layers_json(validation: Validation) -> list[dict[str, Any]]:
    return [
        {
            "layer": one.layer.value,
            "outcome": one.outcome.value,
            "reason": one.reason,
            "found": len(one.faults),
            "faults": [
                {"check": fault.check, "place": fault.place, "line": fault.line, "message": fault.message}
                for fault in one.faults[:MOST_FAULTS]
            ],
        }
        for one in validation.results
    ]


def row_of(file: File, version: Version, signed: bytes) -> Row:
    named = {name: evidence.digest(content) for name, content in _contents(file, signed).items()}
    event = {"term": file.event.term, "day": file.event.day.isoformat()} if file.event else {}
    told = {"kind": file.kind, "version": version.number, "action": version.action.value, "event": event}
    output = output_of(file.data, signed, file.validation, event) | ({"built": evidence.digest(file.data).hex()} if file.source else {})
    inputs = Inputs(rows=file.below, contents=named)
    kind = CONDUCT if file.kind == STOR else KIND
    return Row(kind, f"{file.kind} {file.subject}", file.as_of_us, inputs, told, 0, code("compliance", "reports"), output)


def _contents(file: File, signed: bytes) -> dict[str, bytes]:
    more = {"source": file.source, "profile": file.profile}
    return {"file": file.data, "manifest": signed, **{name: content for name, content in more.items() if content}}


def output_of(data: bytes, signed: bytes, validation: Validation, event: Mapping[str, str]) -> dict[str, Any]:
    """What the row says: of exactly these bytes, and the same whenever it is computed again. Raises ReportError for a broken manifest."""
    told = manifest.from_json(signed).manifest
    return {
        "outcome": validation.outcome.value,
        "layers": layers_json(validation),
        "sha256": evidence.digest(data).hex(),
        "rows": told.rows,
        "manifest": {"sha256": told.file_sha256, "rules": told.rule_set_sha256, "as_of": told.as_of.isoformat()},
        "due": due_json(event),
    }


def due_json(event: Mapping[str, str]) -> dict[str, Any]:
    """The day by which it has to be there; INDETERMINATE with its reason where no term or calendar tells it."""
    if not event:
        return {"status": "INDETERMINATE", "reason": "no term is stated for this kind of filing"}
    try:
        found = due.shipped().due(event["term"], date.fromisoformat(event["day"]))
    except ReportError as error:
        return {"status": "INDETERMINATE", "reason": str(error)}
    return {
        "day": found.day.isoformat(),
        "status": found.status,
        "term": event["term"],
        "from": event["day"],
        "reference": found.term.reference,
    }


def as_taken(found: StoredFiling) -> Filing:
    """The filing as the rules see it; where no authority answers, each version counts as accepted when it was made."""
    filing = found.filing
    if found.kind not in UNANSWERED:
        return filing
    taken = tuple(Answer(one.number, one.made_us, "published") for one in filing.versions)
    return Filing(filing.id, filing.kind, filing.versions, taken)


def _follow(found: StoredFiling | None, kind: str, subject: str, sha256: str, rows: int, now_us: int, cancels: bool) -> Filing:
    try:
        if found is None:
            if cancels:
                raise ReportError(f"filing {kind} {subject}", "nothing was filed that could be cancelled")
            return filings.begun(f"{kind} {subject}", kind, sha256, rows, now_us)
        step = filings.cancelled if cancels else filings.amended
        return step(as_taken(found), sha256, rows, now_us)
    except ReportError as error:
        raise Problem("conflict", str(error)) from error
