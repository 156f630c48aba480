"""The child process that holds the native MMS client: `python -m protocols.iec61850.worker`.

First message in: what to read (see `Iec61850Driver`). Messages out, each a list:

    ["open", [[point, status], ...]]          associated; these points do not exist
    ["data", points, times_us, values, words, kinds, repeat, entry]     columns as bytes: uint16, int64, float64, uint16, uint8
    ["alive"]                                 once a second
    ["error", "unreachable" | "setup", text]  and the process ends

kinds: 0 value, 1 access denied or gone, 2 not of the expected type. repeat: the device only repeats what it has (general interrogation,
integrity). entry: id of the buffered report's entry, to go on from after a cut. The end of standard input ends the process, at once:
native threads do not survive an orderly exit of the interpreter.
"""

import array
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, Final, NoReturn

from protocols.iec61850.pipe import pack, receive
from protocols.iec61850.unlocked import Unlocked

ALIVE_S: Final = 1.0
PROBE_S: Final = 5.0
TICK_S: Final = 0.05
ASSOCIATIONS: Final = 5
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
    def __init__(self) -> None:
        self.points, self.times = array.array("H"), array.array("q")
        self.values, self.words, self.kinds = array.array("d"), array.array("H"), array.array("B")

    def add(self, point: int, time_us: int, value: float, word: int, kind: int) -> None:
        self.points.append(point)
        self.times.append(time_us)
        self.values.append(value)
        self.words.append(word)
        self.kinds.append(kind)

    def message(self, repeat: bool, entry: bytes) -> list[Any]:
        return ["data", *(column.tobytes() for column in (self.points, self.times, self.values, self.words, self.kinds)), repeat, entry]


class Client:
    """One association, with the binding's quirks kept inside."""

    def __init__(self, iec: Any, request: dict[str, Any], output: Output) -> None:
        self._iec, self._request, self._output = iec, request, output
        self._unlocked = Unlocked(iec)
        self._connection: Any = None
        self._objects: dict[str, list[int]] = {}
        for number, (reference, _, constraint, _) in enumerate(request["points"]):
            self._objects.setdefault(f"{reference}[{constraint}]", []).append(number)
        self._specifications: dict[str, Any] = {}
        self._members: list[str] = []
        self._keep: list[Any] = []

    def connect(self) -> None:
        self._associate()
        missing = []
        for member, points in self._objects.items():
            reference, constraint = self._split(member)
            found, error = self._ask(self._iec.IedConnection_getVariableSpecification, reference, constraint)
            if error or found is None:
                missing += points
            else:
                self._specifications[member] = found
        if not self.connected:
            self._output.fail("unreachable", "the association was lost while reading the model")
        self._output.send("open", missing)

    def _associate(self) -> None:
        """Until an association carries requests.

        Now and then the library calls a connection connected whose every request it then refuses as lost; another one is
        opened instead. The useless one is left alone: destroying it is not safe.
        """
        iec, request = self._iec, self._request
        for _ in range(ASSOCIATIONS):
            self._connection = iec.IedConnection_create()
            iec.IedConnection_setConnectTimeout(self._connection, request["timeout_ms"])
            iec.IedConnection_setRequestTimeout(self._connection, request["timeout_ms"])
            _, error = iec.IedConnection_connect(self._connection, request["host"], request["port"])
            if error:
                self._output.fail("unreachable", f"no association (error {error})")
            _, error = iec.IedConnection_getVariableSpecification(self._connection, *self._split(next(iter(self._objects))))
            if error != CONNECTION_LOST:
                return
            self._keep.append(self._connection)
            iec.IedConnection_abort(self._connection)
        self._output.fail("unreachable", "the association carries no requests")

    def _ask(self, request: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
        """(answer, error of the object). The link's own errors end the process."""
        answer, error = request(self._connection, *arguments)
        if error in LINK_ERRORS:
            self._output.fail("unreachable", f"no answer to a request (error {error})")
        return answer, error

    @property
    def connected(self) -> bool:
        return bool(self._iec.IedConnection_getState(self._connection) == self._iec.IED_STATE_CONNECTED)

    def subscribe(self) -> None:
        """Buffered reports from where we left off, or from now on with a general interrogation first."""
        iec, domain = self._iec, self._request["domain"]
        name = f"{domain}/{self._request['report']}"
        block = iec.ClientReportControlBlock_create(name)
        _, error = self._ask(iec.IedConnection_getRCBValues, name, block)
        if error:
            self._output.fail("setup", f'report control block "{name}" cannot be read (error {error})')
        if iec.ClientReportControlBlock_getRptEna(block):
            self._output.fail("unreachable", f'report control block "{name}" is in use by another client')
        dataset = iec.ClientReportControlBlock_getDataSetReference(block).replace("$", ".")
        self._members = self._directory(dataset)
        self._listen(name, iec.ClientReportControlBlock_getRptId(block))
        if not (self._request["entry"] and self._enable(block, self._request["entry"])) and not self._enable(block, b""):
            self._output.fail("unreachable", f'report control block "{name}" cannot be enabled')

    def _directory(self, dataset: str) -> list[str]:
        iec = self._iec
        found, error = self._ask(iec.IedConnection_getDataSetDirectory, dataset, None)
        if error:
            self._output.fail("setup", f'data set "{dataset}" cannot be read (error {error})')
        members = []
        element = iec.LinkedList_getNext(found)
        while element:
            members.append(iec.toCharP(element.data))
            element = iec.LinkedList_getNext(element)
        return members

    def _listen(self, name: str, report_id: str) -> None:
        iec, client, output = self._iec, self, self._output

        class Handler(iec.RCBHandler):  # type: ignore[misc, name-defined]
            def trigger(self) -> None:
                try:
                    client.report(self._client_report)
                except Exception as error:
                    output.fail("unreachable", f"report not understood: {error!r}")

        handler, subscriber = Handler(), iec.RCBSubscriber()
        self._keep += [handler, subscriber]
        subscriber.setIedConnection(self._connection)
        subscriber.setRcbReference(name)
        subscriber.setRcbRptId(report_id)
        subscriber.setEventHandler(handler)
        if not subscriber.subscribe():
            output.fail("unreachable", f'no reports from "{name}"')

    def _enable(self, block: Any, entry: bytes) -> bool:
        iec = self._iec
        triggers = iec.TRG_OPT_DATA_CHANGED | iec.TRG_OPT_QUALITY_CHANGED | iec.TRG_OPT_DATA_UPDATE | iec.TRG_OPT_GI
        if self._request["integrity_ms"]:
            triggers |= iec.TRG_OPT_INTEGRITY
        iec.ClientReportControlBlock_setTrgOps(block, triggers)
        iec.ClientReportControlBlock_setIntgPd(block, self._request["integrity_ms"])
        fields = iec.RPT_OPT_SEQ_NUM | iec.RPT_OPT_TIME_STAMP | iec.RPT_OPT_REASON_FOR_INCLUSION | iec.RPT_OPT_ENTRY_ID
        iec.ClientReportControlBlock_setOptFlds(block, fields | iec.RPT_OPT_BUFFER_OVERFLOW)
        iec.ClientReportControlBlock_setRptEna(block, True)
        mask = iec.RCB_ELEMENT_TRG_OPS | iec.RCB_ELEMENT_OPT_FLDS | iec.RCB_ELEMENT_INTG_PD | iec.RCB_ELEMENT_RPT_ENA
        buffered = bool(iec.ClientReportControlBlock_isBuffered(block))
        if buffered and entry:
            iec.ClientReportControlBlock_setEntryId(block, self._octets(entry))
            mask |= iec.RCB_ELEMENT_ENTRY_ID
        else:
            if buffered:
                iec.ClientReportControlBlock_setPurgeBuf(block, True)
                mask |= iec.RCB_ELEMENT_PURGE_BUF
            iec.ClientReportControlBlock_setGI(block, True)
            mask |= iec.RCB_ELEMENT_GI
        _, error = self._ask(self._unlocked.set_block_values, block, mask, False)
        return not error

    def _octets(self, octets: bytes) -> Any:
        value = self._iec.MmsValue_newOctetString(len(octets), len(octets))
        for number, octet in enumerate(octets):
            self._iec.MmsValue_setOctetStringOctet(value, number, octet)
        return value

    def report(self, report: Any) -> None:
        """On the library's thread, while the report lives."""
        iec, columns = self._iec, Columns()
        values = iec.ClientReport_getDataSetValues(report)
        reasons = 0
        for number, member in enumerate(self._members):
            reason = iec.ClientReport_getReasonForInclusion(report, number)
            if reason == iec.IEC61850_REASON_NOT_INCLUDED:
                continue
            reasons |= reason
            if member in self._specifications:
                self._extract(member, iec.MmsValue_getElement(values, number), columns)
        found = iec.ClientReport_getEntryId(report)
        entry = bytes(iec.MmsValue_getOctetStringOctet(found, at) for at in range(iec.MmsValue_getOctetStringSize(found))) if found else b""
        repeat = not reasons & ~(iec.IEC61850_REASON_GI | iec.IEC61850_REASON_INTEGRITY)
        self._output.send(*columns.message(repeat, entry))

    def polled(self, reporting: bool) -> list[str]:
        """What no report brings."""
        return [member for member in self._specifications if not (reporting and member in self._members)]

    def poll(self, members: Iterable[str]) -> None:
        iec, columns = self._iec, Columns()
        for member in members:
            reference, constraint = self._split(member)
            value, error = self._ask(self._unlocked.read_object, reference, constraint)
            if value is None or error:
                self._gone(member, columns)
                continue
            self._extract(member, value, columns)
            iec.MmsValue_delete(value)
        if columns.points:
            self._output.send(*columns.message(False, b""))

    def probe(self) -> None:
        """Something small is read, so that a dead peer is noticed."""
        for member in list(self._specifications)[:1]:
            value, error = self._ask(self._unlocked.read_object, *self._split(member))
            if value is None or error:
                self._output.fail("unreachable", f"no answer to a read (error {error})")
            self._iec.MmsValue_delete(value)

    def _gone(self, member: str, columns: Columns) -> None:
        for point in self._objects[member]:
            columns.add(point, 0, 0.0, 0, GONE)

    def _extract(self, member: str, value: Any, columns: Columns) -> None:
        iec, specification = self._iec, self._specifications[member]
        if value is None or iec.MmsValue_getType(value) != iec.MMS_STRUCTURE:
            self._gone(member, columns)
            return
        word = iec.MmsVariableSpecification_getChildValue(specification, value, "q")
        stamp = iec.MmsVariableSpecification_getChildValue(specification, value, "t")
        time_us = self._time_us(stamp) if stamp else 0
        quality = iec.Quality_fromMmsValue(word) if word else 0
        for point in self._objects[member]:
            _, attribute, _, wanted = self._request["points"][point]
            found = iec.MmsVariableSpecification_getChildValue(specification, value, attribute)
            number = None if found is None else self._number(found, wanted)
            columns.add(point, time_us, 0.0 if number is None else number, quality, MISFIT if number is None else VALUE)

    def _time_us(self, stamp: Any) -> int:
        """Binary fractions of 60 ns, to the nearest microsecond."""
        moment = self._iec.Timestamp()
        self._iec.Timestamp_fromMmsValue(moment, stamp)
        return int((self._iec.Timestamp_getTimeInNs(moment) + 500) // 1000)

    def _number(self, value: Any, wanted: str) -> float | None:
        iec = self._iec
        kind = iec.MmsValue_getType(value)
        if wanted.startswith("float"):
            return float(iec.MmsValue_toDouble(value)) if kind == iec.MMS_FLOAT else None
        if wanted == "bool":
            return float(iec.MmsValue_getBoolean(value)) if kind == iec.MMS_BOOLEAN else None
        if kind == iec.MMS_BIT_STRING:
            return float(iec.MmsValue_getBitStringAsIntegerBigEndian(value))
        return float(iec.MmsValue_toInt64(value)) if kind in (iec.MMS_INTEGER, iec.MMS_UNSIGNED) else None

    def _split(self, member: str) -> tuple[str, int]:
        reference, _, constraint = member[:-1].partition("[")
        return reference, getattr(self._iec, f"IEC61850_FC_{constraint}")


def main() -> None:
    output = Output(sys.stdout.buffer)
    request = receive(sys.stdin.buffer)
    try:
        import pyiec61850.pyiec61850 as iec
    except ImportError as error:
        output.fail("setup", f"IEC 61850 needs the package pyiec61850-ng ({error}); install qenergyz[iec61850]")
    threading.Thread(target=_end_with_input, daemon=True).start()
    client = Client(iec, request, output)
    client.connect()
    reporting = request["mode"] == "report"
    if reporting:
        client.subscribe()
    _run(client, output, client.polled(reporting), request["every_ms"] / 1000)


def _run(client: Client, output: Output, polled: Sequence[str], every_s: float) -> NoReturn:
    now = time.monotonic()
    due, alive, probe = now, now, now + PROBE_S
    while True:
        if not client.connected:
            output.fail("unreachable", "the device closed the association")
        now = time.monotonic()
        if polled and now >= due:
            client.poll(polled)
            due = max(due + every_s, now)
        if now >= alive:
            output.send("alive")
            alive = now + ALIVE_S
        if now >= probe:
            client.probe()
            probe = now + PROBE_S
        time.sleep(max(0.0, min(TICK_S, due - now)) if polled else TICK_S)


def _end_with_input() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
