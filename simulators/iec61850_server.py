"""The child process that holds the native IEC 61850 server: `python -m simulators.iec61850_server`.

First message in: the model (see `simulators.iec61850_model`). Then requests and answers, one for one:

    ["listen"]                          -> [port]
    ["show", time_us, raw, words]       -> [seen before, seen now, written]     one step, as one report
    ["seen"]                            -> [seen]
    ["clock", flags]                    -> []                                   time stamps carry them from now on
    ["plate", place, text]              -> []                                   a text of the device changes

seen: a client has enabled a report control block in this run (its entries are buffered from then on), or the model has none. written:
{number of tag: raw value} that clients have set; it stays. The end of standard input ends the process.

The library calls us from its own threads while this thread may wait for its locks: what waits is called without the interpreter's lock.
"""

import contextlib
import ctypes
import os
import socket
import sys
from typing import Any, Final

from protocols.iec61850.pipe import pack, receive
from simulators.iec61850_orders import Orders

_TYPES: Final = {
    "INT24": "INT32",
    "Enum": "ENUMERATED",
    "Dbpos": "CODEDENUM",
    "Tcmd": "CODEDENUM",
    "Check": "CHECK",
    "Quality": "QUALITY",
    "Timestamp": "TIMESTAMP",
    "EntryTime": "ENTRY_TIME",
    "Octet64": "OCTET_STRING_64",
    "Octet6": "OCTET_STRING_6",
    "Unicode255": "UNICODE_STRING_255",
    "ObjRef": "VISIBLE_STRING_129",
}
LEAP_KNOWN, FAILURE, UNSYNCHRONISED = 0x80, 0x40, 0x20


class Server:
    def __init__(self, iec: Any, model: dict[str, Any]) -> None:
        self._iec = iec
        self._model = iec.IedModel_create("")
        self._nodes: dict[tuple[str, ...], Any] = {}
        self._first: dict[str, Any] = {}
        for domain in dict.fromkeys(leaf[0] for leaf in model["leaves"]):
            self._first[domain] = iec.LogicalDevice_create(domain, self._model)
            self._node(domain, "LLN0")
        self._leaves = [self._leaf(*leaf[:7]) for leaf in model["leaves"]]
        self._blocks = self._reports(model)
        self._server = self._create(model)
        for leaf, (*_, kind, _, value) in zip(self._leaves, model["leaves"], strict=True):
            self._begin(leaf, kind, value)
        self._points = model["points"]
        self._stamped = list(dict.fromkeys(t for _, _, t, _, _ in self._points if t >= 0))
        self._seen = not self._blocks
        self._library = ctypes.CDLL(iec._pyiec61850.__file__)
        self._flags = 0
        self.orders = Orders(iec, self._library, self._server, self._leaves, self._nodes, model)

    def _create(self, model: dict[str, Any]) -> Any:
        iec = self._iec
        if not model["tls"]:
            return iec.IedServer_create(self._model)
        authority, certificate, key = model["tls"]
        tls = iec.TLSConfiguration_create()
        iec.TLSConfiguration_setChainValidation(tls, True)
        iec.TLSConfiguration_setAllowOnlyKnownCertificates(tls, False)
        if not (
            iec.TLSConfiguration_setOwnKeyFromFile(tls, key, None)
            and iec.TLSConfiguration_setOwnCertificateFromFile(tls, certificate)
            and iec.TLSConfiguration_addCACertificateFromFile(tls, authority)
        ):
            raise OSError("the server's key or certificates cannot be read")
        return iec.IedServer_createWithTlsSupport(self._model, tls)

    def _node(self, domain: str, name: str) -> Any:
        if (domain, name) not in self._nodes:
            self._nodes[domain, name] = self._iec.LogicalNode_create(name, self._first[domain])
        return self._nodes[domain, name]

    def _leaf(self, domain: str, node: str, name: str, attribute: str, constraint: str, kind: str, triggers: int) -> Any:
        iec = self._iec
        fc = getattr(iec, f"IEC61850_FC_{constraint}")
        parent = iec.toModelNode(self._node(domain, node))
        path: tuple[str, ...] = (domain, node)
        for part in name.split("."):
            path = (*path, part)
            if path not in self._nodes:
                self._nodes[path] = iec.toModelNode(iec.DataObject_create(part, parent, 0))
            parent = self._nodes[path]
        *outer, last = attribute.split(".")
        for part in outer:
            path = (*path, part)
            if path not in self._nodes:
                iec.DataAttribute_create(part, parent, iec.IEC61850_CONSTRUCTED, fc, 0, 0, 0)
                self._nodes[path] = iec.ModelNode_getChild(parent, part)
            parent = self._nodes[path]
        word = kind.replace("VisString", "VISIBLE_STRING_")
        native = getattr(iec, f"IEC61850_{_TYPES.get(word, word)}", iec.IEC61850_VISIBLE_STRING_255)
        bits = ((1, iec.TRG_OPT_DATA_CHANGED), (2, iec.TRG_OPT_QUALITY_CHANGED), (4, iec.TRG_OPT_DATA_UPDATE))
        return iec.DataAttribute_create(last, parent, native, fc, sum(flag for bit, flag in bits if triggers & bit), 0, 0)

    def _reports(self, model: dict[str, Any]) -> list[Any]:
        iec = self._iec
        for domain, node, name, entries in model["sets"]:
            data_set = iec.DataSet_create(name, self._node(domain, node))
            for entry in entries:
                iec.DataSetEntry_create(data_set, entry, -1, None)
        triggers = iec.TRG_OPT_DATA_CHANGED | iec.TRG_OPT_QUALITY_CHANGED | iec.TRG_OPT_DATA_UPDATE | iec.TRG_OPT_GI | iec.TRG_OPT_INTEGRITY
        options = iec.RPT_OPT_SEQ_NUM | iec.RPT_OPT_TIME_STAMP | iec.RPT_OPT_REASON_FOR_INCLUSION | iec.RPT_OPT_ENTRY_ID
        blocks = []
        for domain, node, name, buffered, identity, data_set, revision, buffer_ms, integrity_ms in model["blocks"]:
            home = self._node(domain, node)
            blocks.append(
                iec.ReportControlBlock_create(
                    name, home, identity, buffered, data_set or None, revision, triggers, options, buffer_ms, integrity_ms
                )
            )
        return blocks

    def _begin(self, leaf: Any, kind: str, value: str) -> None:
        """The value that the model gives, where it can be read."""
        iec = self._iec
        with contextlib.suppress(ValueError):
            if not value:
                return
            if kind.startswith("VisString"):
                iec.IedServer_updateVisibleStringAttributeValue(self._server, leaf, value[:255])
            elif kind.startswith("FLOAT"):
                iec.IedServer_updateFloatAttributeValue(self._server, leaf, float(value))
            elif kind in ("INT8", "INT16", "INT32", "Enum"):
                iec.IedServer_updateInt32AttributeValue(self._server, leaf, int(value))
            elif kind == "BOOLEAN":
                iec.IedServer_updateBooleanAttributeValue(self._server, leaf, value in ("true", "1"))

    def listen(self, host: str) -> int:
        """The library cannot tell which port it took, so we look for a free one and try again if it is gone."""
        iec = self._iec
        iec.IedServer_setLocalIpAddress(self._server, host)
        for _ in range(20):
            port = _free_port(host)
            iec.IedServer_start(self._server, port)
            if iec.IedServer_isRunning(self._server):
                return port
        raise OSError(f"cannot listen on {host}")

    @property
    def seen(self) -> bool:
        if not self._seen:
            self._seen = any(self._iec.ReportControlBlock_getRptEna(block) for block in self._blocks)
        return self._seen

    def clock(self, flags: int) -> None:
        self._flags = flags

    def plate(self, place: str, text: str) -> None:
        iec = self._iec
        node = iec.IedModel_getModelNodeByObjectReference(self._model, place)
        iec.IedServer_updateVisibleStringAttributeValue(self._server, iec.toDataAttribute(node), text)

    def show(self, time_us: int, raw: list[Any], words: list[int]) -> list[Any]:
        iec, server = self._iec, self._server
        moment = iec.Timestamp()
        iec.Timestamp_clearFlags(moment)
        iec.Timestamp_setSubsecondPrecision(moment, 20)
        iec.Timestamp_setLeapSecondKnown(moment, bool(self._flags & LEAP_KNOWN))
        iec.Timestamp_setClockFailure(moment, bool(self._flags & FAILURE))
        iec.Timestamp_setClockNotSynchronized(moment, bool(self._flags & UNSYNCHRONISED))
        iec.Timestamp_setTimeInNanoseconds(moment, time_us * 1000)
        self._library.IedServer_lockDataModel(ctypes.c_void_p(int(server)))
        try:
            before = self.seen
            for t in self._stamped:
                iec.IedServer_updateTimestampAttributeValue(server, self._leaves[t], moment)
            for (_, q, _, _, _), word in zip(self._points, words, strict=True):
                if q >= 0:
                    iec.IedServer_updateQuality(server, self._leaves[q], word)
            written = dict(self.orders.written)
            for number, ((attribute, _, _, kind, _), value) in enumerate(zip(self._points, raw, strict=True)):
                self._update(self._leaves[attribute], kind, written.get(number, value))
        finally:
            iec.IedServer_unlockDataModel(server)
        return [before, self.seen, written]

    def _update(self, attribute: Any, kind: str, value: Any) -> None:
        iec, server = self._iec, self._server
        if attribute.type == iec.IEC61850_CODEDENUM:
            iec.IedServer_updateDbposValue(server, attribute, int(value) & 3)
        elif kind == "bool":
            iec.IedServer_updateBooleanAttributeValue(server, attribute, bool(value))
        elif kind == "float32":
            iec.IedServer_updateFloatAttributeValue(server, attribute, value)
        elif kind == "float64":
            double = iec.MmsValue_newDouble(value)
            iec.IedServer_updateAttributeValue(server, attribute, double)
            iec.MmsValue_delete(double)
        elif kind.startswith("u"):
            iec.IedServer_updateUnsignedAttributeValue(server, attribute, int(value))
        elif kind == "int64":
            iec.IedServer_updateInt64AttributeValue(server, attribute, int(value))
        else:
            iec.IedServer_updateInt32AttributeValue(server, attribute, int(value))


def _free_port(host: str) -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    model = receive(sys.stdin.buffer)
    import pyiec61850.pyiec61850 as iec

    server = Server(iec, model)
    with contextlib.suppress(EOFError):
        while True:
            answer: Any = []
            match receive(sys.stdin.buffer):
                case ["listen"]:
                    answer = [server.listen(model["host"])]
                case ["show", time_us, raw, words]:
                    answer = server.show(time_us, raw, words)
                case ["seen"]:
                    answer = [server.seen]
                case ["clock", flags]:
                    server.clock(flags)
                case ["plate", place, text]:
                    server.plate(place, text)
            sys.stdout.buffer.write(pack(answer))
            sys.stdout.buffer.flush()
    os._exit(0)  # native threads do not survive an orderly exit


if __name__ == "__main__":
    main()
