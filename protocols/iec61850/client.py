"""One association with a device, in the child process: what the model has, reading objects, values as columns. The binding's quirks stay here.

Now and then the library calls a connection connected whose every request it then refuses as lost; another one is opened instead, and the
useless one is left alone: destroying a connection is not safe. TLS is IEC 62351-3: the peer's certificate must chain to ours to trust, or be
the one that is named; IEC 61850 names no hosts in certificates.
"""

import array
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Final, NoReturn

from protocols.iec61850.pipe import pack
from protocols.iec61850.plan import CLOCK_FAILURE, CLOCK_UNSYNCHRONISED
from protocols.iec61850.unlocked import Unlocked

ASSOCIATIONS: Final = 5
ALIVE_S: Final = 1.0
VALUE, GONE, MISFIT = range(3)
CONNECTION_LOST: Final = 3
LINK_ERRORS: Final = frozenset({1, CONNECTION_LOST, 6, 20})  # libiec61850: not connected, lost, too many calls, timeout


class Output:
    """Whole messages only, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def send(self, *message: Any) -> None:
        with self._lock:
            try:
                self._stream.write(pack(list(message)))
                self._stream.flush()
            except OSError:
                os._exit(0)  # nobody reads us any more

    def fail(self, severity: str, text: str) -> NoReturn:
        self.send("error", severity, text)
        os._exit(1)


class Columns:
    """Samples of one type of number."""

    def __init__(self, kind: str = "d") -> None:
        self.points, self.times = array.array("H"), array.array("q")
        self.values: array.array[Any] = array.array(kind)
        self.words, self.kinds = array.array("H"), array.array("B")

    def add(self, point: int, time_us: int, value: float | int, word: int, kind: int) -> None:
        self.points.append(point)
        self.times.append(time_us)
        self.values.append(value)
        self.words.append(word)
        self.kinds.append(kind)

    def octets(self) -> list[bytes]:
        return [column.tobytes() for column in (self.points, self.times, self.values, self.words, self.kinds)]


class Sheet:
    """What one report or poll gave: numbers as doubles, and those of 64 bits as they are. flags: of the newest of its time stamps."""

    def __init__(self) -> None:
        self.time_us = self.flags = 0
        self.columns = Columns()
        self.wide: Columns | None = None

    def add(self, point: int, time_us: int, value: float | int | None, word: int, *, wide: bool) -> None:
        columns = self.columns
        if wide:
            columns = self.wide = self.wide or Columns("q")
        columns.add(point, time_us, 0 if value is None else value, word, MISFIT if value is None else VALUE)

    def gone(self, points: Iterable[int]) -> None:
        for point in points:
            self.columns.add(point, 0, 0.0, 0, GONE)

    def message(self, repeat: bool, entry: bytes) -> list[Any]:
        return ["data", *self.columns.octets(), repeat, entry, *(self.wide.octets() if self.wide else [])]

    def __len__(self) -> int:
        return len(self.columns.points) + (len(self.wide.points) if self.wide else 0)


class Client:
    def __init__(self, iec: Any, request: dict[str, Any], output: Output) -> None:
        self.iec, self.request, self.output = iec, request, output
        self.unlocked = Unlocked(iec)
        self.connection: Any = None
        self.objects: dict[str, list[int]] = {}
        for number, (reference, _, constraint, _, _) in enumerate(request["points"]):
            self.objects.setdefault(f"{reference}[{constraint}]", []).append(number)
        self.specifications: dict[str, Any] = {}
        self._nodes: dict[str, Any] = {}
        self._keep: list[Any] = []
        self._clock, self._clock_us, self._told = 0, 0, 0

    def connect(self) -> None:
        self._associate()
        missing = []
        said = time.monotonic()
        for member, points in self.objects.items():
            found = self._specification(member)
            if found is None:
                missing += points
            else:
                self.specifications[member] = found
            if time.monotonic() - said > ALIVE_S:
                said = time.monotonic()
                self.output.send("alive")
        if not self.connected:
            self.output.fail("unreachable", "the association was lost while reading the model")
        self.output.send("open", missing)

    def _specification(self, member: str) -> Any:
        """The type of a data object, None where the device has none. Asked per logical node and constraint: that is a request for many of
        them; one for each where a device does not answer that."""
        node, constraint = self.split(member)
        reference, _, path = node.partition(".")
        key = self._node_of(member)
        if key not in self._nodes:
            found, error = self.ask(self.iec.IedConnection_getVariableSpecification, reference, constraint)
            self._nodes[key] = None if error else found
        if self._nodes[key] is not None:
            return self.iec.MmsVariableSpecification_getNamedVariableRecursive(self._nodes[key], path.replace(".", "$"))
        found, error = self.ask(self.iec.IedConnection_getVariableSpecification, node, constraint)
        return None if error else found

    def _associate(self) -> None:
        """Until an association carries requests."""
        iec, request = self.iec, self.request
        for _ in range(ASSOCIATIONS):
            self.connection = self._created()
            iec.IedConnection_setConnectTimeout(self.connection, request["timeout_ms"])
            iec.IedConnection_setRequestTimeout(self.connection, request["timeout_ms"])
            _, error = iec.IedConnection_connect(self.connection, request["host"], request["port"])
            if error:
                self.output.fail("unreachable", f"no {'TLS ' if request['tls'] else ''}association (error {error})")
            _, error = self._trial()
            if error != CONNECTION_LOST:
                return
            self._keep.append(self.connection)
            iec.IedConnection_abort(self.connection)
        self.output.fail("unreachable", "the association carries no requests")

    def _trial(self) -> tuple[Any, int]:
        if not self.objects:
            return self.iec.IedConnection_getLogicalDeviceList(self.connection)  # type: ignore[no-any-return]
        member = next(iter(self.objects))
        return self.iec.IedConnection_getVariableSpecification(self.connection, *self.split(member))  # type: ignore[no-any-return]

    def _created(self) -> Any:
        iec = self.iec
        if not self.request["tls"]:
            return iec.IedConnection_create()
        tls = iec.TLSConfiguration_create() if hasattr(iec, "TLSConfiguration_create") else None
        if tls is None:
            self.output.fail("setup", "this build of libiec61850 has no TLS; nothing is sent in clear. Install pyiec61850-ng >= 1.6.1")
        self._keep.append(tls)
        iec.TLSConfiguration_setClientMode(tls)
        iec.TLSConfiguration_setMinTlsVersion(tls, iec.TLS_VERSION_TLS_1_2)
        iec.TLSConfiguration_setChainValidation(tls, True)
        iec.TLSConfiguration_setTimeValidation(tls, True)
        authority, certificate, key, peer, revoked = self.request["tls"]
        iec.TLSConfiguration_setAllowOnlyKnownCertificates(tls, bool(peer))
        steps = [
            (iec.TLSConfiguration_setOwnKeyFromFile, (key, None), "key_file"),
            (iec.TLSConfiguration_setOwnCertificateFromFile, (certificate,), "certificate_file"),
            (iec.TLSConfiguration_addCACertificateFromFile, (authority,), "ca_file"),
            *([(iec.TLSConfiguration_addAllowedCertificateFromFile, (peer,), "server_certificate_file")] if peer else []),
            *([(iec.TLSConfiguration_addCRLFromFile, (revoked,), "crl_file")] if revoked else []),
        ]
        for load, arguments, name in steps:
            if not load(tls, *arguments):
                self.output.fail("setup", f'"{name}" {arguments[0]} cannot be used: expected a PEM or DER file without a password')
        return iec.IedConnection_createWithTlsSupport(tls)

    def ask(self, request: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
        """(answer, error of the object). The link's own errors end the process."""
        answer, error = request(self.connection, *arguments)
        if error in LINK_ERRORS:
            self.output.fail("unreachable", f"no answer to a request (error {error})")
        return answer, error

    @property
    def connected(self) -> bool:
        return bool(self.iec.IedConnection_getState(self.connection) == self.iec.IED_STATE_CONNECTED)

    def listed(self, found: Any) -> Iterator[str]:
        """The texts of the library's list."""
        element = self.iec.LinkedList_getNext(found) if found is not None else None
        while element:
            yield self.iec.toCharP(element.data)
            element = self.iec.LinkedList_getNext(element)

    def plan(self, members: Iterable[str]) -> list[tuple[str, list[str]]]:
        """What to read for these data objects: a logical node's constraint as a whole where we want half of it or more."""
        groups: dict[str, list[str]] = {}
        for member in members:
            node, _, constraint = member.partition("[")
            groups.setdefault(f"{node.partition('.')[0]}[{constraint}", []).append(member)
        reads: list[tuple[str, list[str]]] = []
        for whole, wanted in groups.items():
            specification = self._nodes.get(self._node_of(wanted[0]))
            tops = {self.split(member)[0].split(".")[1] for member in wanted}
            if len(wanted) > 1 and specification and 2 * len(tops) >= self.iec.MmsVariableSpecification_getSize(specification):
                reads.append((whole, wanted))
            else:
                reads += [(member, [member]) for member in wanted]
        return reads

    def poll(self, reads: list[tuple[str, list[str]]]) -> None:
        """As planned. A node that cannot be read as a whole is read by its objects from then on."""
        sheet = Sheet()
        apart: list[tuple[str, list[str]]] = []
        for number, (reference, members) in enumerate(reads):
            value, error = self.ask(self.unlocked.read_object, *self.split(reference))
            if (value is None or error) and reference != members[0]:
                apart += [(member, [member]) for member in members]
                reads[number] = ("", [])
                continue
            self._take(reference, members, None if error else value, sheet)
            if value is not None:
                self.iec.MmsValue_delete(value)
        if len(sheet):
            self.give(sheet, False, b"")
        if apart:
            reads[:] = [*filter(lambda read: read[1], reads), *apart]
            self.poll(apart)

    def _take(self, reference: str, members: list[str], value: Any, sheet: Sheet) -> None:
        iec = self.iec
        for member in members:
            found = value
            if value is not None and reference != member:
                found = None
                if iec.MmsValue_getType(value) == iec.MMS_STRUCTURE:
                    path = self.split(member)[0].partition(".")[2].replace(".", "$")
                    found = iec.MmsVariableSpecification_getChildValue(self._nodes[self._node_of(member)], value, path)
            self.extract(member, found, sheet)

    def _node_of(self, member: str) -> str:
        node, constraint = self.split(member)
        return f"{node.partition('.')[0]}[{constraint}]"

    def give(self, sheet: Sheet, repeat: bool, entry: bytes) -> None:
        if sheet.time_us:
            self._clock, self._clock_us = sheet.flags, sheet.time_us
        self.output.send(*sheet.message(repeat, entry))

    def probe(self) -> None:
        """Something small is read, so that a dead peer is noticed."""
        for member in list(self.specifications)[:1]:
            value, error = self.ask(self.unlocked.read_object, *self.split(member))
            if value is None or error:
                self.output.fail("unreachable", f"no answer to a read (error {error})")
            self.iec.MmsValue_delete(value)

    def extract(self, member: str, value: Any, sheet: Sheet) -> None:
        """The points of one data object: on the library's thread where a report brings it."""
        iec, specification, points = self.iec, self.specifications[member], self.request["points"]
        if value is None or iec.MmsValue_getType(value) != iec.MMS_STRUCTURE:
            sheet.gone(self.objects[member])
            return
        word = iec.MmsVariableSpecification_getChildValue(specification, value, "q")
        stamp = iec.MmsVariableSpecification_getChildValue(specification, value, "t")
        time_us, flags = self.unlocked.time(stamp) if stamp else (0, 0)
        if time_us > sheet.time_us:
            sheet.time_us, sheet.flags = time_us, flags
        quality = iec.Quality_fromMmsValue(word) & 0xFFFF if word else 0
        for point in self.objects[member]:
            _, attribute, _, wanted, _ = points[point]
            found = iec.MmsVariableSpecification_getChildValue(specification, value, attribute)
            sheet.add(point, time_us, None if found is None else self.number(found, wanted), quality, wide=wanted == "int64")

    def tell_clock(self) -> None:
        """If what the device says of its clock has changed. A clock that was never anything but well is not worth a word."""
        if self._clock != self._told and (self._told or self._clock & (CLOCK_FAILURE | CLOCK_UNSYNCHRONISED)):
            self._told = self._clock
            self.output.send("clock", self._clock, self._clock_us)

    def number(self, value: Any, wanted: str) -> float | int | None:
        """None where the device's type is another than the map's."""
        iec = self.iec
        kind = iec.MmsValue_getType(value)
        if wanted.startswith("float"):
            return float(iec.MmsValue_toDouble(value)) if kind == iec.MMS_FLOAT else None
        if wanted == "bool":
            return float(iec.MmsValue_getBoolean(value)) if kind == iec.MMS_BOOLEAN else None
        if kind == iec.MMS_BIT_STRING:
            return int(iec.MmsValue_getBitStringAsIntegerBigEndian(value))
        return int(iec.MmsValue_toInt64(value)) if kind in (iec.MMS_INTEGER, iec.MMS_UNSIGNED) else None

    def text(self, reference: str, constraint: str) -> str | None:
        """None where there is no text to read."""
        iec = self.iec
        value, error = self.ask(self.unlocked.read_object, reference, getattr(iec, f"IEC61850_FC_{constraint}"))
        if value is None or error:
            return None
        found = iec.MmsValue_toString(value) if iec.MmsValue_getType(value) in (iec.MMS_VISIBLE_STRING, iec.MMS_STRING) else None
        iec.MmsValue_delete(value)
        return found

    def split(self, member: str) -> tuple[str, int]:
        reference, _, constraint = member[:-1].partition("[")
        return reference, getattr(self.iec, f"IEC61850_FC_{constraint}")
