"""All that a device shows of its model, in the child process: logical devices, attributes with type, data sets, report control blocks."""

from collections.abc import Iterator
from typing import Any, Final

from protocols.iec61850.client import Client

READ: Final = ("MX", "ST", "SP", "DC")


class Listing:
    def __init__(self, client: Client) -> None:
        self._client, self._iec = client, client.iec

    def message(self) -> list[Any]:
        """["model", [[domain, [[node, object, attribute, constraint, type, bits]...], units, sets, blocks]...]]."""
        found, error = self._client.ask(self._iec.IedConnection_getLogicalDeviceList)
        if error:
            self._client.output.fail("unreachable", f"the device does not list its logical devices (error {error})")
        return ["model", [self._device(domain) for domain in sorted(self._client.listed(found))]]

    def _device(self, domain: str) -> list[Any]:
        names, _ = self._client.ask(self._iec.IedConnection_getLogicalDeviceVariables, domain)
        parts = sorted({tuple(name.split("$")) for name in self._client.listed(names)})
        objects = [(node, constraint, name) for node, constraint, name in (part for part in parts if len(part) == 3)]
        attributes = [
            [node, *found]
            for node, constraint, name in objects
            if constraint in READ
            for found in self._object(domain, node, constraint, name)
        ]
        units = {
            f"{part[0]}.{'.'.join(part[2:-2])}": self._units(domain, part)
            for part in parts
            if part[1:2] == ("CF",) and part[-2:] == ("units", "SIUnit")
        }
        return [domain, attributes, units, self._sets(domain), self._blocks(domain, objects)]

    def _object(self, domain: str, node: str, constraint: str, name: str) -> Iterator[list[Any]]:
        iec = self._iec
        reference = f"{domain}/{node}.{name}"
        specification, error = self._client.ask(
            iec.IedConnection_getVariableSpecification, reference, getattr(iec, f"IEC61850_FC_{constraint}")
        )
        if specification is None or error:
            return
        for path, kind, size in self._leaves(specification, ()):
            yield [name, ".".join(path), constraint, kind, size]

    def _leaves(self, specification: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
        iec = self._iec
        kind = iec.MmsVariableSpecification_getType(specification)
        if kind != iec.MMS_STRUCTURE:
            yield path, kind, iec.MmsVariableSpecification_getSize(specification)
            return
        for number in range(iec.MmsVariableSpecification_getSize(specification)):
            child = iec.MmsVariableSpecification_getChildSpecificationByIndex(specification, number)
            yield from self._leaves(child, (*path, iec.MmsVariableSpecification_getName(child)))

    def _units(self, domain: str, part: tuple[str, ...]) -> list[str]:
        """SIUnit and multiplier, as the numbers of their enumerations."""
        iec = self._iec
        found = []
        for last in ("SIUnit", "multiplier"):
            reference = f"{domain}/{part[0]}.{'.'.join(part[2:-1])}.{last}"
            value, error = self._client.ask(self._client.unlocked.read_object, reference, iec.IEC61850_FC_CF)
            number = None if value is None or error else self._client.number(value, "int32")
            found.append("" if number is None else str(number))
            if value is not None:
                iec.MmsValue_delete(value)
        return found

    def _sets(self, domain: str) -> list[list[Any]]:
        iec = self._iec
        found, error = self._client.ask(iec.IedConnection_getLogicalDeviceDataSets, domain)
        sets = []
        for name in [] if error else self._client.listed(found):
            reference = f"{domain}/{name.replace('$', '.')}"
            members, error = self._client.ask(iec.IedConnection_getDataSetDirectory, reference, None)
            sets.append([reference, [] if error else list(self._client.listed(members))])
        return sets

    def _blocks(self, domain: str, objects: list[tuple[str, str, str]]) -> list[list[Any]]:
        iec = self._iec
        blocks = []
        for node, constraint, name in objects:
            if constraint not in ("BR", "RP"):
                continue
            reference = f"{domain}/{node}.{constraint}.{name}"
            handle = iec.ClientReportControlBlock_create(reference)
            _, error = self._client.ask(iec.IedConnection_getRCBValues, reference, handle)
            if not error:
                data_set = (iec.ClientReportControlBlock_getDataSetReference(handle) or "").replace("$", ".")
                taken = bool(iec.ClientReportControlBlock_getRptEna(handle))
                blocks.append([f"{node}.{constraint}.{name}", data_set, taken, iec.ClientReportControlBlock_getConfRev(handle)])
        return blocks
