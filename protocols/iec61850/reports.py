"""Report control blocks, in the child process: finding a free one, its data set, enabling it, and what each report brings.

A buffered block goes on after the entry that we give it; an unbuffered one, and one that no longer has that entry, begins with a general
interrogation. The library calls `_report` on its own receiving thread: nothing is asked there, that is left for `tick`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from protocols.iec61850.blocks import Header, Verdict, Watch, instances
from protocols.iec61850.client import Client, Sheet
from protocols.iec61850.pieces import Pieces
from protocols.iec61850.plan import block_key

PATIENCE_S: Final = 10.0  # how long we wait for the block that holds our entry: the device may not have noticed yet that we were gone
RETRY_S: Final = 0.5
DATA_SET: Final = "qenergyz"
TAKEN: Final = frozenset({21, 26})  # libiec61850: access denied, temporarily unavailable


@dataclass(slots=True)
class Block:
    """One that is in use. members: of its data set, "LD0/MMXU1.TotW[MX]"; pieces: those that are attributes. made: the data set is ours, to be
    deleted at the end."""

    name: str
    handle: Any
    members: list[str]
    pieces: Pieces
    key: bytes
    watch: Watch
    made: str = ""
    interrogate: bool = False
    keep: list[Any] = field(default_factory=list)


class Reports:
    def __init__(self, client: Client) -> None:
        self._client, self._iec = client, client.iec
        self._request = client.request
        self._entries: dict[int, bytes] = client.request["entries"]
        self._blocks: list[Block] = []

    @property
    def brought(self) -> set[str]:
        """What some report brings."""
        return {member for block in self._blocks for member in (*block.members, *block.pieces.brought)}

    def subscribe(self, alive: Callable[[], None]) -> None:
        """All blocks are read and listened to before the first is enabled: what the binding does with the interpreter's lock held must be over
        before reports come. alive: called while it waits."""
        output = self._client.output
        for wanted in self._request["reports"]:
            name, handle = self._free(wanted, alive)
            if name != wanted:
                output.send("note", wanted, f'report control block "{wanted}" is in use by another client; "{name}" is taken instead', {})
            self._blocks.append(self._prepared(name, handle))
        for block in self._blocks:
            self._listen(block)
        for block in self._blocks:
            self._begin(block)

    def _begin(self, block: Block) -> None:
        output = self._client.output
        entry = self._entries.get(block_key(block.name), b"")
        if entry and self._enable(block, entry):
            return
        block.watch.begin_afresh()
        if not self._enable(block, b""):
            output.fail("unreachable", f'report control block "{block.name}" cannot be enabled')
        if entry:
            text = f'report control block "{block.name}" no longer has the entry that we read last: what changed meanwhile may be lost'
            output.send("note", block.name, text, {"overflow": True})

    def _free(self, wanted: str, alive: Callable[[], None]) -> tuple[str, Any]:
        """The first instance that nobody uses; the one with our entry is waited for."""
        patient_until = time.monotonic() + (PATIENCE_S if block_key(wanted) in self._entries else 0.0)
        while True:
            for name, handle in self._instances(wanted):
                if not self._taken(handle) and self._reserve(handle):
                    return name, handle
                if time.monotonic() < patient_until:
                    break
            if time.monotonic() >= patient_until:
                text = f'report control block "{wanted}" is in use by another client, and so are its further instances'
                self._client.output.fail("unreachable", text)
            time.sleep(RETRY_S)
            alive()

    def _instances(self, wanted: str) -> Iterator[tuple[str, Any]]:
        used = {block.name for block in self._blocks}
        for name in instances(wanted):
            handle = self._iec.ClientReportControlBlock_create(name)
            _, error = self._client.ask(self._iec.IedConnection_getRCBValues, name, handle)
            if error and name == wanted:
                self._client.output.fail("setup", f'report control block "{name}" cannot be read (error {error})')
            if error:
                return
            if name not in used and (name == wanted or name not in self._request["reports"]):
                yield name, handle

    def _taken(self, handle: Any) -> bool:
        iec = self._iec
        reserved = not iec.ClientReportControlBlock_isBuffered(handle) and iec.ClientReportControlBlock_getResv(handle)
        return bool(reserved or iec.ClientReportControlBlock_getRptEna(handle))

    def _reserve(self, handle: Any) -> bool:
        """Many devices ask for it before an unbuffered block is enabled. False: somebody else was quicker."""
        iec = self._iec
        if iec.ClientReportControlBlock_isBuffered(handle):
            return True
        iec.ClientReportControlBlock_setResv(handle, True)
        _, error = self._client.ask(self._client.unlocked.set_block_values, handle, iec.RCB_ELEMENT_RESV, True)
        return error not in TAKEN

    def _prepared(self, name: str, handle: Any) -> Block:
        iec = self._iec
        buffered = bool(iec.ClientReportControlBlock_isBuffered(handle))
        data_set = (iec.ClientReportControlBlock_getDataSetReference(handle) or "").replace("$", ".")
        home = name.rpartition("/")[0]
        ours = f"{home}/{name.rpartition('/')[2].partition('.')[0]}.{DATA_SET}_{name.rpartition('.')[2]}"
        made = ""
        if self._request["dynamic"] and data_set in ("", ours):
            members = self._make_data_set(ours, data_set, handle, name)
            made = "" if buffered else ours
        elif not data_set:
            text = f'report control block "{name}" has no data set; give it one at the device, or set dynamic = true in the device map'
            self._client.output.fail("setup", text)
        else:
            members = self._directory(data_set)
        watch = Watch(buffered, iec.ClientReportControlBlock_getConfRev(handle), self._request["integrity_ms"] / 1000, time.monotonic())
        return Block(name, handle, members, Pieces(self._client, members), block_key(name).to_bytes(2, "big"), watch, made)

    def _make_data_set(self, ours: str, present: str, handle: Any, name: str) -> list[str]:
        """Of what we read and no other block brings. One of ours that already fits stays: a buffered block may have entries of it."""
        iec, ask = self._iec, self._client.ask
        wanted = [member for member in self._client.specifications if member not in self.brought]
        if present == ours and self._directory(ours) == wanted:
            return wanted
        if present:
            self._client.unlocked.clear_data_set(handle)
            ask(self._client.unlocked.set_block_values, handle, iec.RCB_ELEMENT_DATSET, False)
        ask(self._client.unlocked.delete_data_set, ours)
        elements = iec.LinkedList_create()
        for member in wanted:
            iec.LinkedList_addStringCopy(elements, member)
        _, error = ask(iec.IedConnection_createDataSet, ours, elements)
        if error:
            self._client.output.fail("setup", f'the device does not let us create the data set "{ours}" (error {error})')
        iec.ClientReportControlBlock_setDataSetReference(handle, ours.replace(".", "$"))
        _, error = ask(self._client.unlocked.set_block_values, handle, iec.RCB_ELEMENT_DATSET, False)
        if error:
            self._client.output.fail("setup", f'report control block "{name}" does not take the data set "{ours}" (error {error})')
        ask(iec.IedConnection_getRCBValues, name, handle)
        return wanted

    def _directory(self, data_set: str) -> list[str]:
        found, error = self._client.ask(self._iec.IedConnection_getDataSetDirectory, data_set, None)
        if error:
            self._client.output.fail("setup", f'data set "{data_set}" cannot be read (error {error})')
        return list(self._client.listed(found))

    def _listen(self, block: Block) -> None:
        iec, output, bring = self._iec, self._client.output, self._report

        class Handler(iec.RCBHandler):  # type: ignore[misc, name-defined]
            def trigger(self) -> None:
                try:
                    bring(block, self._client_report)
                except Exception as error:
                    output.fail("unreachable", f"report not understood: {error!r}")

        handler, subscriber = Handler(), iec.RCBSubscriber()
        block.keep += [handler, subscriber]
        subscriber.setIedConnection(self._client.connection)
        subscriber.setRcbReference(block.name)
        subscriber.setRcbRptId(iec.ClientReportControlBlock_getRptId(block.handle))
        subscriber.setEventHandler(handler)
        if not subscriber.subscribe():
            output.fail("unreachable", f'no reports from "{block.name}"')

    def _enable(self, block: Block, entry: bytes) -> bool:
        iec, handle, ask = self._iec, block.handle, self._client.ask
        triggers = iec.TRG_OPT_DATA_CHANGED | iec.TRG_OPT_QUALITY_CHANGED | iec.TRG_OPT_DATA_UPDATE | iec.TRG_OPT_GI
        if self._request["integrity_ms"]:
            triggers |= iec.TRG_OPT_INTEGRITY
        iec.ClientReportControlBlock_setTrgOps(handle, triggers)
        iec.ClientReportControlBlock_setIntgPd(handle, self._request["integrity_ms"])
        fields = iec.RPT_OPT_SEQ_NUM | iec.RPT_OPT_TIME_STAMP | iec.RPT_OPT_REASON_FOR_INCLUSION | iec.RPT_OPT_ENTRY_ID
        iec.ClientReportControlBlock_setOptFlds(handle, fields | iec.RPT_OPT_BUFFER_OVERFLOW | iec.RPT_OPT_CONF_REV)
        iec.ClientReportControlBlock_setRptEna(handle, True)
        mask = iec.RCB_ELEMENT_TRG_OPS | iec.RCB_ELEMENT_OPT_FLDS | iec.RCB_ELEMENT_INTG_PD | iec.RCB_ELEMENT_RPT_ENA
        buffered = bool(iec.ClientReportControlBlock_isBuffered(handle))
        if buffered and entry:
            iec.ClientReportControlBlock_setEntryId(handle, self._octets(entry))
            mask |= iec.RCB_ELEMENT_ENTRY_ID
        else:
            if buffered:
                iec.ClientReportControlBlock_setPurgeBuf(handle, True)
                mask |= iec.RCB_ELEMENT_PURGE_BUF
            iec.ClientReportControlBlock_setGI(handle, True)
            mask |= iec.RCB_ELEMENT_GI
        _, error = ask(self._client.unlocked.set_block_values, handle, mask, False)
        return not error

    def _octets(self, octets: bytes) -> Any:
        value = self._iec.MmsValue_newOctetString(len(octets), len(octets))
        for number, octet in enumerate(octets):
            self._iec.MmsValue_setOctetStringOctet(value, number, octet)
        return value

    def _report(self, block: Block, report: Any) -> None:
        """On the library's thread, while the report lives."""
        iec, sheet, specifications = self._iec, Sheet(), self._client.specifications
        self._heed(block, self._header(report))
        values = iec.ClientReport_getDataSetValues(report)
        reasons = 0
        for number, member in enumerate(block.members):
            reason = iec.ClientReport_getReasonForInclusion(report, number)
            if reason == iec.IEC61850_REASON_NOT_INCLUDED:
                continue
            reasons |= reason
            if member in specifications:
                self._client.extract(member, iec.MmsValue_getElement(values, number), sheet)
            elif block.pieces:
                block.pieces.take(number, iec.MmsValue_getElement(values, number))
        if block.pieces:
            block.pieces.give(sheet, iec.ClientReport_getTimestamp(report) * 1000 if iec.ClientReport_hasTimestamp(report) else 0)
        found = iec.ClientReport_getEntryId(report)
        entry = bytes(iec.MmsValue_getOctetStringOctet(found, at) for at in range(iec.MmsValue_getOctetStringSize(found))) if found else b""
        repeat = not reasons & ~(iec.IEC61850_REASON_GI | iec.IEC61850_REASON_INTEGRITY)
        self._client.give(sheet, repeat, block.key + entry if entry else b"")

    def _header(self, report: Any) -> Header:
        iec = self._iec
        return Header(
            iec.ClientReport_getSeqNum(report) if iec.ClientReport_hasSeqNum(report) else None,
            bool(iec.ClientReport_hasSubSeqNum(report)),
            bool(iec.ClientReport_hasBufOvfl(report) and iec.ClientReport_getBufOvfl(report)),
            iec.ClientReport_getConfRev(report) if iec.ClientReport_hasConfRev(report) else None,
        )

    def _heed(self, block: Block, header: Header) -> None:
        for verdict in block.watch.see(header, time.monotonic()):
            match verdict:
                case Verdict.CHANGED:
                    text = f'the configuration of report control block "{block.name}" has changed (revision {header.conf_rev}); it is read again'
                    self._client.output.send("note", block.name, text, {})
                    self._client.output.fail("unreachable", text)
                case Verdict.OVERFLOW:
                    block.interrogate = True
                    text = f'the buffer of report control block "{block.name}" overflowed: the device has dropped entries'
                    self._client.output.send("note", block.name, text, {"overflow": True})
                case Verdict.GAP:
                    block.interrogate = True
                    text = f'reports of "{block.name}" are missing before number {header.number}'
                    self._client.output.send("note", block.name, text, {"missing": block.watch.missing})

    def tick(self, now_s: float) -> None:
        """What the reports asked for; and is somebody silent who should not be?"""
        for block in self._blocks:
            if block.interrogate:
                block.interrogate = False
                self._client.ask(self._client.unlocked.interrogate, block.name)
            if block.watch.silent(now_s):
                text = f'no integrity report from "{block.name}" for three periods'
                self._client.output.fail("unreachable", text)

    def end(self) -> None:
        """Data sets that were made for unbuffered blocks go. Called without haste, but once only."""
        iec, unlocked, connection = self._iec, self._client.unlocked, self._client.connection
        for block in self._blocks:
            if block.made:
                iec.ClientReportControlBlock_setRptEna(block.handle, False)
                unlocked.set_block_values(connection, block.handle, iec.RCB_ELEMENT_RPT_ENA, False)
                unlocked.clear_data_set(block.handle)
                unlocked.set_block_values(connection, block.handle, iec.RCB_ELEMENT_DATSET, False)
                unlocked.delete_data_set(connection, block.made)
