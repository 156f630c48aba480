"""Runs of all rules over what a tenant knows, stored as evidence; and one finding explained. SQL is the stores'.

One row per area of law (emir, remit, ...), more where one does not hold its findings. Its subject names the area and what differs from the plain run: another day of law, a scenario,
chosen subjects; so the newest row of "emir" is the newest plain run. A run whose facts, law and code are those of the newest row writes none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from cloud import document
from cloud.compliance import finding_store, knowledge, law_json, runs
from cloud.compliance.deal_facts import Contradiction
from cloud.compliance.finding_store import OUTAGE, PART
from cloud.compliance.kinds import AREAS, area_of
from cloud.compliance.knowledge import Filed, Knowledge, no_filings
from cloud.compliance.parameters import ParameterSet
from cloud.compliance.rules import Finding, Rule, Terms
from cloud.compliance.runs import KIND, Run, Stated
from cloud.compliance.table import RULES
from cloud.compliance.trace import day_of
from cloud.db import Connection
from cloud.evidence import store as evidence_store
from protocols.batch.evidence import Row

PARTS: Final = "parts"  # parameter of a row: how many the area has
MOST_SUBJECTS: Final = 100  # chosen in one run
_LONGEST: Final = 80  # of the part of a row's subject that names what was chosen


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for. as_of None: the day of known_us."""

    known_us: int
    as_of: date | None = None
    scenarios: frozenset[str] = frozenset()
    subjects: tuple[str, ...] | None = None

    def run(self, law: ParameterSet) -> Run:
        """Raises ValueError for an unknown scenario."""
        terms = Terms(law, self.as_of or day_of(self.known_us), self.scenarios)
        terms.check()
        return Run(terms, self.known_us)

    def row_subject(self, area: str, part: int = 1) -> str:
        parts = [area]
        if self.as_of is not None and self.as_of != day_of(self.known_us):
            parts.append(f"on {self.as_of}")
        if self.scenarios:
            parts.append(f"supposing {', '.join(sorted(self.scenarios))}")
        if self.subjects is not None:
            named = ", ".join(sorted(self.subjects))
            parts.append(f"of {named if len(named) <= _LONGEST else document.digest(named.encode()).hex()[:16]}")
        if part > 1:
            return f"{' '.join(parts)}{PART}{part}"
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Made:
    """A row of one area, not stored yet."""

    area: str
    row: Row
    contents: Mapping[bytes, bytes]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stored:
    """fresh: whether it was written now; else it is that of an earlier run which found the same."""

    area: str
    digest: bytes
    known_us: int
    counts: Mapping[str, int]
    fresh: bool


def make(known: Knowledge, asked: Asked, law: ParameterSet) -> tuple[tuple[Made, ...], tuple[Contradiction, ...]]:
    """Every area's row. Pure; off the loop, it takes seconds for thousands of deals. Raises ValueError and ConfigError."""
    run, facts = asked.run(law), known.state()
    made = []
    for area in AREAS:
        rules = [one for one in RULES if area_of(one) == area]
        parts = _parts(facts.stated, rules)
        for number, part in enumerate(parts, start=1):
            row, contents, _ = runs.finding_row(asked.row_subject(area, number), rules, part, run)
            row = replace(row, parameters={**row.parameters, PARTS: len(parts)})
            made.append(Made(area, row, contents, row.output["counts"]))
    return tuple(made), facts.contradictions


def _parts(stated: Sequence[Stated], rules: Sequence[Rule[Any]]) -> list[list[Stated]]:
    """The facts that the rules judge, in as many parts as rows are needed for their findings; at least one."""
    counts = Counter(one.about for one in rules)
    parts: list[list[Stated]] = [[]]
    size = 0
    for one in stated:
        found = counts[type(one.facts)]
        if size + found > runs.MOST_FINDINGS and parts[-1]:
            parts.append([])
            size = 0
        if found:
            parts[-1].append(one)
            size += found
    return parts


async def store(connection: Connection, tenant_id: int, made: Sequence[Made], made_us: int) -> tuple[Stored, ...]:
    """The rows that say something new. Wake the log after the commit."""
    await finding_store.lock(connection, tenant_id)
    stored = []
    for one in made:
        before = await evidence_store.newest(connection, tenant_id, KIND, one.row.subject)
        if before is None and not sum(one.counts.values()):
            continue
        if before is not None and _same(before[1], one.row):
            stored.append(Stored(one.area, before[0], before[1].as_of_us, one.counts, False))
            continue
        digest = await evidence_store.append(connection, tenant_id, one.row, one.contents, made_us)
        stored.append(Stored(one.area, digest, one.row.as_of_us, one.counts, True))
    return tuple(stored)


def _same(before: Row, row: Row) -> bool:
    """Whether only the moment differs, and the earlier one is not later."""
    parameters = {name: value for name, value in row.parameters.items() if name != "known_us"}
    earlier = {name: value for name, value in before.parameters.items() if name != "known_us"}
    found = (before.inputs.contents, earlier, dict(before.code)) == (row.inputs.contents, parameters, dict(row.code))
    return found and before.as_of_us <= row.as_of_us


class NothingKnown(LookupError):
    """No facts of the kind a rule judges are known of the subject."""


async def explain(
    connection: Connection, tenant_id: int, rule: Rule[Any], subject: str, asked: Asked, law: ParameterSet, filed: Filed = no_filings
) -> tuple[Finding, tuple[Contradiction, ...]]:
    """The finding as it is at that moment under that law. Raises NothingKnown, ValueError and ConfigError."""
    if subject.startswith(OUTAGE) and asked.as_of is None:
        followed = await _explain_outage(connection, tenant_id, rule, subject, asked)
        if followed is not None:
            return followed, ()
    found = (await knowledge.read(connection, tenant_id, asked.known_us, (subject,), filed)).state()
    concerned = [one for one in found.stated if isinstance(one.facts, rule.about) and one.subject == subject]
    if not concerned:
        raise NothingKnown(f'of "{subject}" no {rule.about.__name__} is known, which {rule.id} judges')
    (finding,) = runs.judge([rule], concerned, asked.run(law).terms)
    return finding, found.contradictions


async def _explain_outage(connection: Connection, tenant_id: int, rule: Rule[Any], subject: str, asked: Asked) -> Finding | None:
    """Judged again from what the newest row names: the facts of an outage follow its steps. None where there is no such row or fact."""
    row = await finding_store.of_outage(connection, tenant_id, subject, asked.known_us)
    if row is None:
        return None
    held = await evidence_store.contents(connection, tenant_id, list(row.inputs.contents.values()))
    stated, law = (held[row.inputs.contents[name]] for name in (runs.FACTS, runs.LAW))
    concerned = [one for one in runs.read_facts(stated) if isinstance(one.facts, rule.about)]
    terms = Terms(law_json.read(law), date.fromisoformat(row.parameters["as_of"]), asked.scenarios)
    return next(iter(runs.judge([rule], concerned, terms)), None)
