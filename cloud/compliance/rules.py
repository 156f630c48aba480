"""What a rule is, and how one is evaluated: outcome, finding, and the key under which it gives the same bytes again.

For running rules over facts. Not for the rules themselves (emir, mifid, remit, cftc, csrd, guyana, sharia) nor for their list (table).
Rules kept here: the decorator only attaches facts about the rule; an evaluation is a pure function of its key (rule version,
parameters, scenarios, as_of, facts); what a rule cannot know is INDETERMINATE; worst of several is FAIL, then INDETERMINATE, then PASS.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from cloud import document
from cloud.compliance.owners import owner_of
from cloud.compliance.parameters import ParameterSet, Undetermined
from cloud.compliance.trace import Law, Node, QuietLaw, QuietTrace, Trace, as_json, as_text, plain_facts

F = TypeVar("F")


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105 - an outcome, no password
    FAIL = "FAIL"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    INDETERMINATE = "INDETERMINATE"


_WORST = (Outcome.FAIL, Outcome.INDETERMINATE, Outcome.PASS, Outcome.NOT_APPLICABLE)
_LEANT_ON = tuple(f"cloud.compliance.{name}" for name in ("deadlines", "identifiers", "owners", "parameters", "trace", "workdays"))


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    why: str


class Severity(StrEnum):
    BREACH = "breach"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule(Generic[F]):
    """`applies_from`: before that day there is no duty. `about`: the kind of facts it judges."""

    id: str
    title: str
    cites: tuple[str, ...]
    applies_from: date
    params: tuple[str, ...]
    about: type[F]
    judge: Callable[[F, Law, Trace], Verdict]
    severity: Severity = Severity.BREACH

    @property
    def version(self) -> str:
        return _version(self.judge)

    @property
    def owner(self) -> str:
        """Whose duty it is to answer for a finding."""
        return owner_of(self.id)


@dataclass(frozen=True, slots=True)
class Key:
    """Evaluating it again gives the same bytes."""

    rule: str
    rule_version: str
    parameters: str
    scenarios: tuple[str, ...]
    as_of: date
    facts: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What facts are judged by: the law, its day, and what is supposed."""

    parameters: ParameterSet
    as_of: date
    scenarios: frozenset[str] = frozenset()

    def check(self) -> None:
        """Raises ValueError for a scenario no parameter has."""
        if unknown := self.scenarios - self.parameters.known_scenarios():
            known = ", ".join(sorted(self.parameters.known_scenarios()))
            raise ValueError(f"unknown scenario {min(unknown)}; known: {known}")

    @property
    def supposed(self) -> tuple[str, ...]:
        return tuple(sorted(self.scenarios))

    def head(self, rule: Rule[Any]) -> str:
        """All of a finding's key but the facts."""
        return "\0".join((rule.id, rule.version, self.parameters.digest, *self.supposed, self.as_of.isoformat()))


class Finding(NamedTuple):
    """A verdict with its key. Its trace is written when somebody asks: the rule decides once more, the same way. head: the key but the facts."""

    rule: Rule[Any]
    subject: str
    facts: object
    facts_hash: str
    terms: Terms
    verdict: Verdict
    head: str

    @property
    def key(self) -> Key:
        terms = self.terms
        return Key(self.rule.id, self.rule.version, terms.parameters.digest, terms.supposed, terms.as_of, self.facts_hash)

    @property
    def title(self) -> str:
        return self.rule.title

    @property
    def cites(self) -> tuple[str, ...]:
        return self.rule.cites

    @property
    def severity(self) -> Severity:
        return self.rule.severity

    @property
    def owner(self) -> str:
        return self.rule.owner

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome

    @property
    def why(self) -> str:
        return self.verdict.why

    @property
    def trace(self) -> tuple[Node, ...]:
        terms = self.terms
        law = Law(terms.parameters, terms.as_of, terms.scenarios)
        trace = Trace(law)
        _verdict(self.rule, self.facts, law, trace)
        return trace.nodes()

    @property
    def digest(self) -> bytes:
        """SHA-256 of key, subject, outcome and reason. The trace follows from the key and is not hashed again."""
        verdict = self.verdict
        return document.digest("\0".join((self.head, self.facts_hash, self.subject, verdict.outcome.value, verdict.why)).encode())

    def document(self) -> dict[str, Any]:
        head = {
            name: plain_facts(getattr(self, name)) for name in ("key", "subject", "title", "cites", "severity", "owner", "outcome", "why")
        }
        return head | {"trace": [as_json(node) for node in self.trace]}

    def canonical(self) -> bytes:
        return document.encode(self.document())

    def text(self) -> str:
        """For a person who has to be able to follow and to check it."""
        under = f", supposing {', '.join(self.key.scenarios)}" if self.key.scenarios else ""
        head = [
            f"{self.key.rule} {self.title}: {self.outcome.value}",
            f"  {self.why}",
            f"  on {self.subject}, law as of {self.key.as_of}{under}",
            *(f"  source: {one}" for one in self.cites),
        ]
        ends = [f"  rule {self.key.rule_version[:12]}, parameters {self.key.parameters[:12]}, facts {self.key.facts[:12]}"]
        return "\n".join([*head, *(as_text(node, 1) for node in self.trace), *ends])


def rule(
    id: str,
    title: str,
    about: type[F],
    cites: tuple[str, ...],
    applies_from: date,
    params: tuple[str, ...] = (),
    severity: Severity = Severity.BREACH,
) -> Callable[[Callable[[F, Law, Trace], Verdict]], Rule[F]]:
    def attached(judge: Callable[[F, Law, Trace], Verdict]) -> Rule[F]:
        return Rule(id, title, cites, applies_from, params, about, judge, severity)

    return attached


def passed(why: str) -> Verdict:
    return Verdict(Outcome.PASS, why)


def failed(why: str) -> Verdict:
    return Verdict(Outcome.FAIL, why)


def not_applicable(why: str) -> Verdict:
    return Verdict(Outcome.NOT_APPLICABLE, why)


def indeterminate(why: str) -> Verdict:
    return Verdict(Outcome.INDETERMINATE, why)


def held(holds: bool, kept: str, broken: str) -> Verdict:
    return passed(kept) if holds else failed(broken)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """NOT_APPLICABLE where nothing applied, or nothing was asked."""
    return min(outcomes, key=_WORST.index, default=Outcome.NOT_APPLICABLE)


def evaluate(
    one: Rule[F], subject: str, facts: F, parameters: ParameterSet, as_of: date, scenarios: frozenset[str] = frozenset()
) -> Finding:
    if not isinstance(facts, one.about):
        raise TypeError(f"{one.id} judges {one.about.__name__}, not {type(facts).__name__}")
    return evaluate_all((one,), subject, facts, parameters, as_of, scenarios)[0]


def evaluate_all(
    rules: Iterable[Rule[Any]], subject: str, facts: object, parameters: ParameterSet, as_of: date, scenarios: frozenset[str] = frozenset()
) -> tuple[Finding, ...]:
    """A finding of each rule that judges this kind of facts; the facts are hashed once."""
    terms = Terms(parameters, as_of, scenarios)
    terms.check()
    return tuple(Judge(terms).findings([one for one in rules if isinstance(facts, one.about)], subject, facts))


class Judge:
    """Applies rules to facts under one law, many times."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._law = QuietLaw(terms.parameters, terms.as_of, terms.scenarios)
        self._trace = QuietTrace(self._law)
        self._heads: dict[str, str] = {}

    def findings(self, rules: Iterable[Rule[Any]], subject: str, facts: object) -> list[Finding]:
        """rules: those that judge this kind of facts."""
        hashed, law, trace, terms = facts_hash(facts), self._law, self._trace, self.terms
        return [Finding(one, subject, facts, hashed, terms, _verdict(one, facts, law, trace), self._head(one)) for one in rules]

    def _head(self, rule: Rule[Any]) -> str:
        found = self._heads.get(rule.id)
        if found is None:
            found = self._heads[rule.id] = self.terms.head(rule)
        return found


def _verdict(one: Rule[F], facts: F, law: Law, trace: Trace) -> Verdict:
    if law.as_of < one.applies_from:
        return not_applicable(f"in force from {one.applies_from} only")
    try:
        return one.judge(facts, law, trace)
    except Undetermined as reason:
        return indeterminate(str(reason))


def facts_hash(facts: object) -> str:
    """Of the canonical document of the facts."""
    plain = {"kind": type(facts).__name__, "facts": plain_facts(facts)}
    try:
        text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)  # the same bytes as document.encode, ten times sooner
    except TypeError:  # a whole number of more than 64 bits
        text = document.encode(plain)
    return document.digest(text).hex()


@cache
def _version(judge: Callable[..., Verdict]) -> str:
    """Of the module a rule stands in and of what all rules lean on: a helper changes the answer as well as the rule does."""
    texts = [judge.__qualname__, *(_source(name) for name in (judge.__module__, *_LEANT_ON))]
    return document.digest("\0".join(texts).encode()).hex()


@cache
def _source(module: str) -> str:
    return inspect.getsource(import_module(module))
