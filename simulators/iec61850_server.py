"""The child process that holds the native IEC 61850 server: `python -m simulators.iec61850_server`.

First message in: the model (see `simulators.iec61850`). Then requests and answers, one for one:

    ["listen"]                          -> [port]
    ["show", time_us, raw, words]       -> [seen before, seen now]     one step, as one report
    ["seen"]                            -> [seen]

seen: a client has enabled the report control block in this run (its entries are buffered from then on), or the model has none. The end
of standard input ends the process.
"""

import contextlib
import os
import socket
import sys
from typing import Any, Final

from protocols.iec61850.pipe import pack, receive

DATASET: Final = "ds01"
_TYPES: Final = {
    "bool": "BOOLEAN",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "uint8": "INT8U",
    "uint16": "INT16U",
    "uint32": "INT32U",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
}


class Server:
    def __init__(self, iec: Any, model: dict[str, Any]) -> None:
        self._iec = iec
        self._model = iec.IedModel_create(model["ied"])
        self._device = iec.LogicalDevice_create(model["ld"], self._model)
        self._first = iec.LogicalNode_create("LLN0", self._device)
        self._nodes = {"LLN0": self._first}
        self._parents: dict[str, Any] = {}
        self._shown: dict[str, tuple[Any, Any]] = {}
        self._values = [self._point(*point) for point in model["points"]]
        self._objects = [f"{node}.{name}" for node, name, _, _, _ in model["points"]]
        self._kinds = [kind for _, _, _, _, kind in model["points"]]
        self._block = self._report(model["block"], model["points"]) if model["block"] else None
        self._server = iec.IedServer_create(self._model)
        self._seen = self._block is None

    def _point(self, node: str, name: str, attribute: str, constraint: str, kind: str) -> Any:
        """The value attribute, with q and t beside it in its data object."""
        iec = self._iec
        fc = getattr(iec, f"IEC61850_FC_{constraint}")
        if node not in self._nodes:
            self._nodes[node] = iec.LogicalNode_create(node, self._device)
        parent = iec.toModelNode(self._nodes[node])
        path = node
        for part in name.split("."):
            path += f".{part}"
            if path not in self._parents:
                self._parents[path] = iec.toModelNode(iec.DataObject_create(part, parent, 0))
            parent = self._parents[path]
        if path not in self._shown:
            q = iec.DataAttribute_create("q", parent, iec.IEC61850_QUALITY, fc, iec.TRG_OPT_QUALITY_CHANGED, 0, 0)
            t = iec.DataAttribute_create("t", parent, iec.IEC61850_TIMESTAMP, fc, 0, 0, 0)
            self._shown[path] = (q, t)
        *outer, last = attribute.split(".")
        for part in outer:
            path += f".{part}"
            if path not in self._parents:
                iec.DataAttribute_create(part, parent, iec.IEC61850_CONSTRUCTED, fc, 0, 0, 0)
                self._parents[path] = iec.ModelNode_getChild(parent, part)
            parent = self._parents[path]
        double_point = node.startswith(("XCBR", "XSWI")) and name == "Pos"
        native = iec.IEC61850_CODEDENUM if double_point else getattr(iec, f"IEC61850_{_TYPES[kind]}")
        return iec.DataAttribute_create(last, parent, native, fc, iec.TRG_OPT_DATA_CHANGED | iec.TRG_OPT_DATA_UPDATE, 0, 0)

    def _report(self, name: str, points: list[list[str]]) -> Any:
        iec = self._iec
        dataset = iec.DataSet_create(DATASET, self._first)
        for entry in dict.fromkeys(f"{node}${fc}${name.replace('.', '$')}" for node, name, _, fc, _ in points):
            iec.DataSetEntry_create(dataset, entry, -1, None)
        triggers = iec.TRG_OPT_DATA_CHANGED | iec.TRG_OPT_QUALITY_CHANGED | iec.TRG_OPT_DATA_UPDATE | iec.TRG_OPT_GI | iec.TRG_OPT_INTEGRITY
        options = iec.RPT_OPT_SEQ_NUM | iec.RPT_OPT_TIME_STAMP | iec.RPT_OPT_REASON_FOR_INCLUSION | iec.RPT_OPT_ENTRY_ID
        return iec.ReportControlBlock_create(name, self._first, f"{name}_report", True, DATASET, 1, triggers, options, 0, 0)

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
            self._seen = bool(self._iec.ReportControlBlock_getRptEna(self._block))
        return self._seen

    def show(self, time_us: int, raw: list[Any], words: list[int]) -> list[bool]:
        iec, server = self._iec, self._server
        moment = iec.Timestamp()
        iec.Timestamp_clearFlags(moment)
        iec.Timestamp_setSubsecondPrecision(moment, 20)
        iec.Timestamp_setTimeInNanoseconds(moment, time_us * 1000)
        iec.IedServer_lockDataModel(server)
        try:
            before = self.seen
            for name, word in zip(self._objects, words, strict=True):
                q, t = self._shown[name]
                iec.IedServer_updateTimestampAttributeValue(server, t, moment)
                iec.IedServer_updateQuality(server, q, word)
            for attribute, kind, value in zip(self._values, self._kinds, raw, strict=True):
                self._update(attribute, kind, value)
        finally:
            iec.IedServer_unlockDataModel(server)
        return [before, self.seen]

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
            iec.IedServer_updateUnsignedAttributeValue(server, attribute, value)
        else:
            iec.IedServer_updateInt32AttributeValue(server, attribute, value)


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
            sys.stdout.buffer.write(pack(answer))
            sys.stdout.buffer.flush()
    os._exit(0)  # native threads do not survive an orderly exit


if __name__ == "__main__":
    main()
