"""The explanation of a finding: a tree of steps with inputs, parameters, formula and value, as text for a lawyer and as JSON.

A rule writes its steps here while it decides. Not a log: no times of the machine, so that the same facts give the same bytes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from typing import Any, TypeVar

from cloud.compliance.parameters import ParameterSet, Undetermined, Used, Value, plain

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """One step. `inputs` are facts, `parameters` what the law says, `value` what follows by `formula`."""

    name: str
    formula: str
    value: str
    inputs: tuple[tuple[str, str], ...] = ()
    parameters: tuple[Used, ...] = ()
    children: tuple["Node", ...] = ()


class Law:
    """The parameters in force on `as_of` under the scenarios of the run; a rule asks it and it keeps what was asked."""

    def __init__(self, parameters: ParameterSet, as_of: date, scenarios: frozenset[str] = frozenset()) -> None:
        self.parameters, self.as_of, self.scenarios = parameters, as_of, scenarios
        self.asked: list[Used] = []

    def _used(self, name: str, at: date | None) -> Value:
        used = self.parameters.used(name, at or self.as_of, self.scenarios)
        self.asked.append(used)
        return used.value

    def ended(self, name: str) -> bool:
        """Whether the value was in force once and is no more: the duty is over, which is not the same as not known."""
        found = self.parameters.parameters[name].at(self.as_of, self.scenarios)
        return found is not None and found.ended

    def number(self, name: str, at: date | None = None) -> Decimal:
        value = self._used(name, at)
        if not isinstance(value, Decimal):
            raise TypeError(f"{name} is {value!r}, the rule wants a number")
        return value

    def text(self, name: str, at: date | None = None) -> str:
        value = self._used(name, at)
        if not isinstance(value, str):
            raise TypeError(f"{name} is {value!r}, the rule wants a text")
        return value

    def texts(self, name: str, at: date | None = None) -> tuple[str, ...]:
        value = self._used(name, at)
        if not isinstance(value, tuple):
            raise TypeError(f"{name} is {value!r}, the rule wants a list of texts")
        return value


def state(found: str, *known: str) -> str:
    """A parameter that is one of a few words. Undetermined where the law says another one: no rule guesses what that means."""
    if found not in known:
        raise Undetermined(f"expected {' or '.join(known)}, the law says {found}")
    return found


class Trace:
    def __init__(self, law: Law) -> None:
        self._law = law
        self._inputs: list[tuple[str, str]] = []
        self._levels: list[list[Node]] = [[]]

    def known(self, name: str, value: T | None) -> T:
        """The fact, noted as an input of the next step; a missing one ends the rule as INDETERMINATE."""
        if value is None:
            raise Undetermined(f"missing fact: {name}")
        self._inputs.append((name, _told(name, value)))
        return value

    def step(self, name: str, formula: str, value: T) -> T:
        """What follows from the facts and parameters asked for since the last step."""
        self._levels[-1].append(Node(name, formula, _told(name, value), *self._taken()))
        return value

    @contextmanager
    def part(self, name: str, formula: str) -> Iterator[None]:
        """Steps written inside belong below one of this name."""
        self._levels.append([])
        yield
        below = tuple(self._levels.pop())
        self._levels[-1].append(Node(name, formula, below[-1].value if below else "", (), (), below))

    def nodes(self) -> tuple[Node, ...]:
        """Every step; what was asked for after the last one, or before the rule gave up, stands in one of its own."""
        while len(self._levels) > 1:
            below = tuple(self._levels.pop())
            self._levels[-1].append(Node("left undecided", "", "", (), (), below))
        if self._inputs or self._law.asked:
            self._levels[-1].append(Node("asked for", "", "", *self._taken()))
        return tuple(self._levels[0])

    def _taken(self) -> tuple[tuple[tuple[str, str], ...], tuple[Used, ...]]:
        taken = tuple(self._inputs), tuple(self._law.asked)
        self._inputs.clear()
        self._law.asked.clear()
        return taken


class QuietLaw(Law):
    """Answers as Law does and remembers nothing: for a verdict whose steps nobody reads."""

    def _used(self, name: str, at: date | None) -> Value:
        return self.parameters.used(name, at or self.as_of, self.scenarios).value


class QuietTrace(Trace):
    """Of the same verdict as Trace, without nodes."""

    def known(self, name: str, value: T | None) -> T:
        if value is None:
            raise Undetermined(f"missing fact: {name}")
        return value

    def step(self, name: str, formula: str, value: T) -> T:  # noqa: ARG002
        return value

    @contextmanager
    def part(self, name: str, formula: str) -> Iterator[None]:  # noqa: ARG002
        yield


def instant(moment_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).isoformat()


def day_of(moment_us: int) -> date:
    """In UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).date()


def _told(name: str, value: object) -> str:
    if name.endswith("_us") and isinstance(value, int):
        return instant(value)
    if name.endswith("_us") and isinstance(value, tuple):
        return "[" + ", ".join(instant(one) for one in value) + "]"
    return shown(value)


def said(name: str, value: str, joint: str = " is ") -> str:
    """A named value as a phrase: "known at 2026-01-01T00:00:00+00:00" for an instant."""
    return f"{name.removesuffix('_us')} at {value}" if name.endswith("_us") else f"{name}{joint}{value}"


def shown(value: object) -> str:
    """One way to write each kind of value, for people and for hashes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple | list | frozenset):
        return "[" + ", ".join(shown(one) for one in (sorted(value) if isinstance(value, frozenset) else value)) + "]"
    if (names := getattr(type(value), "__dataclass_fields__", None)) is not None:
        return "(" + ", ".join(f"{name.replace('_', ' ')} {_known(getattr(value, name))}" for name in names) + ")"
    return str(value)


def _known(value: object) -> str:
    return "not known" if value is None else shown(value)


def as_json(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "formula": node.formula,
        "value": node.value,
        "inputs": [list(pair) for pair in node.inputs],
        "parameters": [
            {"id": u.id, "value": plain(u.value), "unit": u.unit, "from": str(u.start), "reference": u.reference, "status": u.status.value}
            for u in node.parameters
        ],
        "children": [as_json(child) for child in node.children],
    }


def as_text(node: Node, depth: int = 0) -> str:
    """Indented lines: the step, the facts it took, the law it took with its date and source, and what follows."""
    pad = "  " * depth
    lines = [pad + (said(node.name, node.value, " = ") if node.value else node.name)]
    if node.formula:
        lines.append(f"{pad}  because {node.formula}")
    lines += [f"{pad}  fact: {said(name, value)}" for name, value in node.inputs]
    lines += [f"{pad}  law: {u.id} is {shown(u.value)} {u.unit} from {u.start} ({u.status.value}; {u.reference})" for u in node.parameters]
    return "\n".join([*lines, *(as_text(child, depth + 1) for child in node.children)])


def plain_facts(value: object) -> Any:
    """A tree of facts as canonical JSON takes it; a kind nobody foresaw is an error, not a guess."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is date:
        return value.isoformat()  # type: ignore[attr-defined]  # its type was just looked at
    if isinstance(value, Enum | Decimal | date | datetime):
        return shown(value)
    if isinstance(value, tuple):
        return [plain_facts(one) for one in value]
    if isinstance(value, frozenset):
        return _sorted(value)
    if isinstance(value, Mapping):
        return {str(key): plain_facts(one) for key, one in value.items()}
    if not hasattr(kind, "__dataclass_fields__"):
        raise TypeError(f"{kind.__name__} is no fact")
    return {name: plain_facts(getattr(value, name)) for name in _names(kind)}  # type: ignore[arg-type]  # mypy takes the hash of instances for that of the class


_AS_IT_IS = frozenset((type(None), str, bool, int))


@lru_cache(maxsize=1024)
def _sorted(values: frozenset[Any]) -> list[Any]:
    """Holidays are the same for thousands of deals."""
    return sorted(plain_facts(one) for one in values)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)
