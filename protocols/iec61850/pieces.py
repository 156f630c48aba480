"""Data sets whose members are attributes ("TotW.mag.f", "TotW.q", "TotW.t") and not whole data objects, in the child process.

A report brings the attributes that have changed. A sample needs its quality too: the last one that came, since a change of it is reported.
Its time is the one that came with it, else the report's; never an older one. An object whose value or quality is not in the data set is
not brought by it.
"""

from typing import Any

from protocols.iec61850.client import Client, Sheet


class Pieces:
    def __init__(self, client: Client, members: list[str]) -> None:
        self._client = client
        self._places: dict[int, tuple[str, str]] = {}
        parts: dict[str, set[str]] = {}
        for number, member in enumerate(members):
            if found := self._place(member):
                self._places[number] = found
                parts.setdefault(found[0], set()).add(found[1])
        self.brought = {
            one for one, names in parts.items() if "q" in names and all(self._covered(point, names) for point in client.objects[one])
        }
        self._places = {number: place for number, place in self._places.items() if place[0] in self.brought}
        self._values: dict[int, float | int | None] = {}
        self._words: dict[str, int] = {}
        self._changed: dict[str, int] = {}  # data object -> time that came with it, 0 = none

    def __bool__(self) -> bool:
        return bool(self._places)

    def _place(self, member: str) -> tuple[str, str] | None:
        """The data object among those we read, and the attribute below it."""
        reference, _, constraint = member.partition("[")
        while "." in reference:
            reference = reference.rpartition(".")[0]
            if f"{reference}[{constraint}" in self._client.specifications:
                return f"{reference}[{constraint}", member.partition("[")[0][len(reference) + 1 :].replace(".", "$")
        return None

    def _covered(self, point: int, names: set[str]) -> bool:
        attribute = self._client.request["points"][point][1]
        return any(attribute == name or attribute.startswith(f"{name}$") for name in names)

    def take(self, number: int, value: Any) -> None:
        """Member number of the data set has come."""
        if number not in self._places or value is None:
            return
        client, (one, name) = self._client, self._places[number]
        self._changed.setdefault(one, 0)
        if name == "q":
            self._words[one] = client.iec.Quality_fromMmsValue(value) & 0xFFFF
        elif name == "t":
            self._changed[one] = client.unlocked.time(value)[0]
        else:
            self._take_value(one, name, value)

    def _take_value(self, one: str, name: str, value: Any) -> None:
        client = self._client
        for point in client.objects[one]:
            _, attribute, _, wanted, _ = client.request["points"][point]
            found = value if attribute == name else None
            if attribute.startswith(f"{name}$"):
                part = client.iec.MmsVariableSpecification_getNamedVariableRecursive(client.specifications[one], name)
                found = client.iec.MmsVariableSpecification_getChildValue(part, value, attribute[len(name) + 1 :])
            if attribute == name or found is not None:
                self._values[point] = None if found is None else client.number(found, wanted)

    def give(self, sheet: Sheet, report_us: int) -> None:
        """A sample of each point of every object that has changed, as soon as its value and quality are known."""
        client = self._client
        for one, time_us in self._changed.items():
            for point in client.objects[one]:
                if one in self._words and point in self._values:
                    wide = client.request["points"][point][3] == "int64"
                    sheet.add(point, time_us or report_us, self._values[point], self._words[one], wide=wide)
        self._changed = {}
