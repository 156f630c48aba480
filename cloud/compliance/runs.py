"""A run of rules: facts of many subjects judged under one law, as one evidence row of kind "finding".

    row, contents, findings = runs.finding_row("emir", rules, stated, Run(terms, known_us))

The row names the facts and the law as contents and holds the findings as columns; `again` judges the same contents once more. Columns are
short: a text that many findings share is written once and counted by index. Not for finding the facts (deal_facts, register) nor for SQL.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from cloud import document
from cloud.compliance import facts_json, law_json
from cloud.compliance.kinds import KINDS
from cloud.compliance.rules import Finding, Judge, Outcome, Rule, Terms
from cloud.evidence.code import code
from protocols.batch import evidence
from protocols.batch.evidence import Inputs, Row

KIND: Final = "finding"
FACTS: Final = "facts"
LAW: Final = "law"
MOST_FINDINGS: Final = 120_000  # in one row: its document holds them
OUTCOMES: Final = tuple(Outcome)
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Stated:
    """Facts of one subject: "deal/D-17", "portfolio/Acme"."""

    subject: str
    facts: object


@dataclass(frozen=True, slots=True)
class Run:
    """The law of a day with what is supposed, and the moment whose knowledge counts."""

    terms: Terms
    known_us: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding of a stored run."""

    rule: str
    subject: str
    outcome: Outcome
    why: str
    digest: bytes


def judge(rules: Iterable[Rule[Any]], stated: Iterable[Stated], terms: Terms) -> list[Finding]:
    """In the order of the facts, then of the rules."""
    by_kind: dict[type, list[Rule[Any]]] = {}
    for rule in rules:
        by_kind.setdefault(rule.about, []).append(rule)
    judge_one = Judge(terms)
    found: list[Finding] = []
    for one in stated:
        found += judge_one.findings(by_kind.get(type(one.facts), ()), one.subject, one.facts)
    return found


def finding_row(
    subject: str, rules: Sequence[Rule[Any]], stated: Sequence[Stated], run: Run
) -> tuple[Row, Mapping[bytes, bytes], list[Finding]]:
    """The row, its contents by digest, and the findings. Raises ValueError where there are more than one row holds."""
    findings = judge(rules, stated, run.terms)
    if len(findings) > MOST_FINDINGS:
        raise ValueError(f"expected at most {MOST_FINDINGS} findings in a row, found {len(findings)}: judge fewer subjects at once")
    contents = {FACTS: write_facts(stated), LAW: law_json.write(run.terms.parameters)}
    digests = {name: evidence.digest(content) for name, content in contents.items()}
    parameters = {
        "rules": [one.id for one in rules],
        "as_of": run.terms.as_of.isoformat(),
        "known_us": run.known_us,
        "scenarios": list(run.terms.supposed),
    }
    row = Row(KIND, subject, run.known_us, Inputs({}, digests), parameters, 0, code("compliance"), output(findings))
    return row, {digests[name]: content for name, content in contents.items()}, findings


def output(findings: Sequence[Finding]) -> dict[str, Any]:
    """Columns of equal length; rule, subject and why are indices into their texts, outcome into `outcomes`."""
    rules, subjects, whys = _Texts(), _Texts(), _Texts()
    columns = {
        "rule": [rules.index(one.rule.id) for one in findings],
        "subject": [subjects.index(one.subject) for one in findings],
        "why": [whys.index(one.verdict.why) for one in findings],
    }
    outcomes = [OUTCOMES.index(one.verdict.outcome) for one in findings]
    return {
        "rules": rules.texts,
        "subjects": subjects.texts,
        "whys": whys.texts,
        "outcomes": [one.value for one in OUTCOMES],
        **{name: np.array(column, np.uint32) for name, column in columns.items()},
        "outcome": np.array(outcomes, np.int16),
        "digests": b"".join(one.digest for one in findings),
        "counts": {one.value: outcomes.count(at) for at, one in enumerate(OUTCOMES)},
    }


class _Texts:
    def __init__(self) -> None:
        self._at: dict[str, int] = {}

    def index(self, text: str) -> int:
        return self._at.setdefault(text, len(self._at))

    @property
    def texts(self) -> list[str]:
        return list(self._at)


def chosen(
    found: Mapping[str, Any], outcome: Outcome | None = None, rule: str | None = None, subject: str | None = None
) -> NDArray[np.intp]:
    """Positions of the findings that are asked for, in the order of the row."""
    takes = np.full(len(evidence.array(found["outcome"])), True)
    for name, texts, wanted in (("outcome", "outcomes", outcome), ("rule", "rules", rule), ("subject", "subjects", subject)):
        if wanted is not None:
            at = found[texts].index(wanted) if wanted in found[texts] else len(found[texts])
            takes &= evidence.array(found[name]) == at
    return np.flatnonzero(takes)


def read_output(found: Mapping[str, Any], at: NDArray[np.intp] | None = None) -> list[Judged]:
    """The findings of a stored row at these positions, or all."""
    at = chosen(found) if at is None else at
    rule, subject, why, outcome = (evidence.array(found[name])[at].tolist() for name in ("rule", "subject", "why", "outcome"))
    rules, subjects, whys, digests = found["rules"], found["subjects"], found["whys"], found["digests"]
    kinds = [Outcome(one) for one in found["outcomes"]]
    return [
        Judged(rules[one], subjects[about], kinds[how], whys[because], digests[place * _DIGEST_BYTES : (place + 1) * _DIGEST_BYTES])
        for one, about, because, how, place in zip(rule, subject, why, outcome, at.tolist(), strict=True)
    ]


def write_facts(stated: Iterable[Stated]) -> bytes:
    """Canonical, one to a line."""
    lines = (
        orjson.dumps([one.subject, type(one.facts).__name__, facts_json.write(one.facts)], option=orjson.OPT_SORT_KEYS) for one in stated
    )
    return b"[" + b",\n".join(lines) + b"]"


def read_facts(data: bytes) -> tuple[Stated, ...]:
    """Inverse of `write_facts`. Raises DocumentError."""
    return tuple(Stated(subject, facts_json.read(KINDS[kind], value, 0, subject)) for subject, kind, value in document.parse(data))


def terms_of(row: Row, law: bytes) -> Terms:
    """Of a stored row. law: its content."""
    parameters = row.parameters
    return Terms(law_json.read(law), date.fromisoformat(parameters["as_of"]), frozenset(parameters["scenarios"]))
