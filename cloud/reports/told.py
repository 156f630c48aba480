"""What people state of a deal for a report beside what was booked: read field by field, everything missing or wrong listed at once.

Not for what a field means to an authority: each kind of report asks for its own. Rules: nothing is guessed; a field that nobody stated and
that the booking does not say is a gap with its name and deal; a field that no report of the kind knows is a gap too, as a misspelling
would otherwise be left out silently.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True, slots=True)
class Gap:
    """deal: empty where it concerns the whole report."""

    deal: str
    field: str
    expected: str


class Incomplete(Exception):
    """A report cannot be written; nothing was."""

    def __init__(self, gaps: Collection[Gap]) -> None:
        super().__init__("; ".join(f"{one.deal or 'report'}.{one.field}: {one.expected}" for one in gaps))
        self.gaps = tuple(gaps)


class Told:
    """The stated fields of one deal. What is asked for and not there is noted in `gaps` and answered by a stand-in that is never written."""

    def __init__(self, deal: str, stated: Mapping[str, str], gaps: list[Gap]) -> None:
        self._deal, self._stated, self._gaps = deal, stated, gaps
        self._asked: set[str] = set()

    def lack(self, field: str, expected: str) -> None:
        self._gaps.append(Gap(self._deal, field, expected))

    def text(self, field: str, expected: str, default: str | None = None) -> str:
        self._asked.add(field)
        if field in self._stated:
            return self._stated[field]
        if default is None:
            self.lack(field, f"missing, expected {expected}")
            return ""
        return default

    def maybe(self, field: str) -> str | None:
        self._asked.add(field)
        return self._stated.get(field)

    def one_of(self, field: str, options: Collection[str], default: str | None = None) -> str:
        found = self.text(field, f"one of {', '.join(options)}", default)
        if found and found not in options:
            self.lack(field, f"expected one of {', '.join(options)}, found {found[:60]!r}")
        return found

    def number(self, field: str, expected: str, default: Decimal | None = None) -> Decimal:
        found = self.text(field, expected, None if default is None else str(default))
        try:
            value = Decimal(found or 1)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            self.lack(field, f"expected {expected}, found {found[:60]!r}")
            return Decimal(1)
        return value

    def day(self, field: str, expected: str, default: date) -> date:
        found = self.text(field, expected, default.isoformat())
        try:
            return date.fromisoformat(found)
        except ValueError:
            self.lack(field, f"expected {expected}, found {found[:60]!r}")
            return default

    def moment(self, field: str, default_us: int) -> datetime:
        """When it was agreed, in UTC."""
        default = datetime.fromtimestamp(default_us / 1e6, UTC)
        found = self.text(field, "a time with its zone", default.isoformat())
        moment = _moment(found)
        if moment is None or moment.tzinfo is None:
            self.lack(field, f"expected a time with its zone such as 2026-03-31T10:00:00Z, found {found[:60]!r}")
            return default
        return moment.astimezone(UTC)

    def done(self) -> None:
        for field in self._stated.keys() - self._asked:
            self.lack(field, f"is no field of this report; known are {', '.join(sorted(self._asked))}")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
