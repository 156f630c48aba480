"""Which deals were reported, as the filings say: what the rules of compliance are told instead of asking a person.

Reported is a deal whose filing the authority has accepted, from the day that version was filed; a filing that was cancelled since, and the
cancellation accepted, reports nothing. The rest of what a filing says is not repeated here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud.compliance.deal_facts import PREFIX
from cloud.compliance.facts import Derivative, Swap, WholesaleDeal
from cloud.compliance.knowledge import Reported
from cloud.compliance.trace import day_of
from cloud.db import Connection
from cloud.document import parse
from cloud.reports.filings import Action

# kind of filing -> facts it is about, and what else follows from having filed it in this form
ABOUT: Final[Mapping[str, tuple[type, Mapping[str, Any]]]] = {
    "EMIR": (Derivative, {}),
    "REMIT-1": (WholesaleDeal, {"table": 1}),
    "CFTC-45": (Swap, {}),
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A version that the authority accepted."""

    filing_id: int
    number: int
    kind: str
    action: Action
    made_us: int
    deals: tuple[str, ...]


async def reported(connection: Connection, tenant_id: int, known_us: int) -> Reported:
    """By kind of facts and subject, as the answers received by then say. Inside the caller's tenant transaction."""
    cursor = await connection.execute(
        "SELECT filing_id, number, filing.kind, action, version.made_us, source FROM filing_version AS version"
        " JOIN filing USING (tenant_id, filing_id) JOIN filing_answer AS answer USING (tenant_id, filing_id, number)"
        " JOIN filing_draft AS draft USING (tenant_id, draft_id)"
        " WHERE tenant_id = %s AND filing.kind = ANY(%s) AND answer.received_us <= %s AND reasons = '[]'::jsonb"
        " ORDER BY filing_id, number",
        (tenant_id, sorted(ABOUT), known_us),
    )
    rows: list[Any] = await cursor.fetchall()
    return follow(Accepted(row[0], row[1], row[2], Action(row[3]), row[4], _deals(row[5])) for row in rows)


async def answered(connection: Connection, tenant_id: int) -> int:
    """How many answers there are: what `reported` says does not change while this does not."""
    cursor = await connection.execute("SELECT count(*) FROM filing_answer WHERE tenant_id = %s", (tenant_id,))
    row: Any = await cursor.fetchone()
    return int(row[0])


def follow(accepted: Iterable[Accepted]) -> Reported:
    """Versions of each filing in order."""
    standing: dict[int, list[Accepted]] = {}
    for one in accepted:
        if one.action is Action.CANCELLATION:
            standing.pop(one.filing_id, None)
        else:
            standing.setdefault(one.filing_id, []).append(one)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sorted((one for versions in standing.values() for one in versions), key=lambda one: one.made_us):
        about, more = ABOUT[one.kind]
        for deal in one.deals:
            found.setdefault((about.__name__, PREFIX + deal), {"reported_on": day_of(one.made_us), **more})
    return found


def _deals(source: str) -> tuple[str, ...]:
    return tuple(one["deal"]["id"] for one in parse(source)["deals"])
