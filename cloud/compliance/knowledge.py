"""What a tenant knew at a moment that the rules ask for: its deals, the register of facts, its profile; and the facts that follow.

`read` asks the database inside the caller's tenant transaction; `Knowledge.state` is pure. Knowing is the hub's: a deal that was handed in
later than the moment was not known then, whatever time it says itself.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud import texts
from cloud.compliance import facts_json, register_store
from cloud.compliance.deal_facts import PREFIX, Booked, Contradiction, DealFacts, View, facts_of, registered_utis
from cloud.compliance.facts import Derivative
from cloud.compliance.kinds import KINDS, OF_DEALS
from cloud.compliance.profile import parse_profile
from cloud.compliance.register_store import Registered
from cloud.compliance.runs import Stated
from cloud.db import Connection
from cloud.document import DocumentError
from cloud.texts import Text
from cloud.trading import store as trading_store

Reported = Mapping[tuple[str, str], Mapping[str, Any]]  # values by kind of facts and subject
Filed = Callable[[Connection, int, int], Awaitable[Reported]]  # of (tenant, known_us): what filings say of deals
_OF_DEALS = frozenset(kind.__name__ for kind in OF_DEALS)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """profile: its text, None where none was handed in."""

    known_us: int
    booked: tuple[Booked, ...]
    registered: tuple[Registered, ...]
    profile: str | None
    subjects: frozenset[str] | None = None
    reported: Reported = field(default_factory=dict)

    def state(self) -> DealFacts:
        """Facts of all deals, then those registered by themselves, and what contradicts. Raises protocols.tomlfile.ConfigError."""
        view = View(None if self.profile is None else parse_profile(self.profile))
        utis = registered_utis((one.kind, one.subject, one.document) for one in self.registered)
        of_deals: dict[str, dict[str, Registered]] = {}
        others: list[Registered] = []
        for one in self.registered:
            if one.kind in _OF_DEALS and one.subject.startswith(PREFIX):
                of_deals.setdefault(one.subject, {})[one.kind] = one
            elif self._asked(one.subject):
                others.append(one)
        stated: list[Stated] = []
        contradictions: list[Contradiction] = []
        for booked in self.booked:
            if self._asked(booked.subject):
                given = {kind: one.document for kind, one in of_deals.get(booked.subject, {}).items()}
                filed = {kind: self.reported.get((kind, booked.subject), {}) for kind in _OF_DEALS}
                found = facts_of(booked, view, given, self.known_us, utis, filed)
                stated += found.stated
                contradictions += found.contradictions
        for one in others:
            self._state_alone(one, stated, contradictions)
        return DealFacts(tuple(stated), tuple(contradictions))

    def _asked(self, subject: str) -> bool:
        return self.subjects is None or subject in self.subjects

    def _state_alone(self, one: Registered, stated: list[Stated], contradictions: list[Contradiction]) -> None:
        try:
            stated.append(Stated(one.subject, facts_json.read(KINDS[one.kind], one.document, self.known_us)))
        except (KeyError, DocumentError) as error:  # handed in under an earlier version of the hub
            contradictions.append(Contradiction(one.subject, one.kind, f"cannot be read any more, hand it in again: {error}"))


async def no_filings(_connection: Connection, _tenant_id: int, _known_us: int) -> Reported:
    return {}


async def read(
    connection: Connection, tenant_id: int, known_us: int, subjects: Sequence[str] | None = None, filed: Filed = no_filings
) -> Knowledge:
    """subjects: only what is about these; others are read as far as theirs are compared with them."""
    only = None if subjects is None else [one.removeprefix(PREFIX) for one in subjects if one.startswith(PREFIX)]
    deals = await trading_store.deals(connection, tenant_id, known_us, known_us, only)
    first = await trading_store.first_known(connection, tenant_id, known_us, only)
    registered = await register_store.known(connection, tenant_id, known_us, None if subjects is None else list(subjects))
    if subjects is not None and (utis := sorted(registered_utis((one.kind, one.subject, one.document) for one in registered))):
        others = await register_store.with_uti(connection, tenant_id, Derivative.__name__, utis, known_us)
        registered = (*registered, *(one for one in others if one.subject not in subjects))
    profile = await texts.newest(connection, tenant_id, Text.PROFILE, known_us)
    chosen = None if subjects is None else frozenset(subjects)
    booked = tuple(Booked(deal, first[deal.id]) for deal in deals)
    reported = await filed(connection, tenant_id, known_us)
    return Knowledge(known_us, booked, registered, None if profile is None else profile.text, chosen, reported)
