"""The floor of `benchmarks.edge`: the bare protocol library reading the same field and only counting.

`python -m benchmarks.edge_bare KIND TAGS EVERY_S ADDRESS...` answers each line on standard input with the number of samples so far.
TAGS and EVERY_S say what is read of each address: registers from 0 on (Modbus), nodes n0, n1 ... (OPC UA), values per message (MQTT).
"""

import asyncio
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

count = 0


def answer() -> None:
    for _ in sys.stdin:
        print(count, flush=True)


async def modbus(address: str, tags: int, every_s: float) -> None:
    from pymodbus.client import AsyncModbusTcpClient

    global count  # noqa: PLW0603 - one number, one writer
    host, _, port = address.rpartition(":")
    client = AsyncModbusTcpClient(host, port=int(port))
    await client.connect()
    blocks = [(start, min(125, tags - start)) for start in range(0, tags, 125)]
    due = time.monotonic()
    while True:
        for start, words in blocks:
            found = await client.read_holding_registers(start, count=words, device_id=1)
            count += len(found.registers)
        due += every_s
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)


class Counting:
    """asyncua's handler."""

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:  # noqa: ARG002
        global count  # noqa: PLW0603
        count += 1


async def opcua(address: str, tags: int) -> None:
    import logging

    from asyncua import Client, ua

    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    async with Client(address) as client:
        index = await client.get_namespace_index("urn:bench")
        subscription = await client.create_subscription(100, Counting())
        nodes = [client.get_node(ua.NodeId(f"n{number}", index)) for number in range(tags)]
        for start in range(0, tags, 500):
            await subscription.subscribe_data_change(nodes[start : start + 500], queuesize=1000)
        await asyncio.Event().wait()


def mqtt(address: str, tags: int) -> None:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.properties import Properties

    def on_message(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        global count  # noqa: PLW0603
        count += tags
        client.ack(message.mid, message.qos)

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=paho.MQTTv5, manual_ack=True)
    client.on_connect = lambda *_: client.subscribe("bench/d0", 1)
    client.on_message = on_message
    parts = urlsplit(address)
    asks = Properties(paho.PacketTypes.CONNECT)
    asks.ReceiveMaximum = 2000
    client.connect(parts.hostname or "", parts.port or 1883, properties=asks)
    client.loop_forever()


def iec61850(address: str) -> list[Any]:
    """libiec61850's binding by itself: buffered reports, every value looked at once."""
    import pyiec61850.pyiec61850 as iec

    from protocols.iec61850.unlocked import Unlocked  # the binding's own call keeps the interpreter's lock and hangs

    class Handler(iec.RCBHandler):  # type: ignore[misc]
        def trigger(self) -> None:
            global count  # noqa: PLW0603
            report = self._client_report
            values = iec.ClientReport_getDataSetValues(report)
            for number in range(iec.MmsValue_getArraySize(values)):
                if iec.ClientReport_getReasonForInclusion(report, number) != iec.IEC61850_REASON_NOT_INCLUDED:
                    value = iec.MmsValue_getElement(values, number)
                    magnitude = iec.MmsValue_getElement(value, 0)
                    iec.MmsValue_toFloat(iec.MmsValue_getElement(magnitude, 0) or magnitude)
                    count += 1

    host, _, port = address.rpartition(":")
    name = "BENCHLD0/LLN0.BR.brcb01"
    for _ in range(5):  # now and then an association carries no requests: `protocols/iec61850/client.py`
        connection = iec.IedConnection_create()
        _, error = iec.IedConnection_connect(connection, host, int(port))
        assert not error, error
        block = iec.ClientReportControlBlock_create(name)
        _, error = iec.IedConnection_getRCBValues(connection, name, block)
        if not error:
            break
    else:
        raise ConnectionError(f"error {error}")
    handler, subscriber = Handler(), iec.RCBSubscriber()
    subscriber.setIedConnection(connection)
    subscriber.setRcbReference(name)
    subscriber.setRcbRptId(iec.ClientReportControlBlock_getRptId(block))
    subscriber.setEventHandler(handler)
    assert subscriber.subscribe()
    iec.ClientReportControlBlock_setTrgOps(block, iec.TRG_OPT_DATA_CHANGED | iec.TRG_OPT_QUALITY_CHANGED | iec.TRG_OPT_DATA_UPDATE)
    iec.ClientReportControlBlock_setOptFlds(block, iec.RPT_OPT_SEQ_NUM | iec.RPT_OPT_REASON_FOR_INCLUSION)
    iec.ClientReportControlBlock_setRptEna(block, True)
    iec.ClientReportControlBlock_setPurgeBuf(block, True)
    mask = iec.RCB_ELEMENT_TRG_OPS | iec.RCB_ELEMENT_OPT_FLDS | iec.RCB_ELEMENT_PURGE_BUF | iec.RCB_ELEMENT_RPT_ENA
    Unlocked(iec).set_block_values(connection, block, mask, False)
    return [connection, handler, subscriber, block]


async def polls(addresses: list[str], tags: int, every_s: float) -> None:
    await asyncio.gather(*(modbus(address, tags, every_s) for address in addresses))


if __name__ == "__main__":
    kind, tags_, every_, *addresses_ = sys.argv[1:]
    threading.Thread(target=answer, daemon=True).start()
    if kind == "modbus":
        asyncio.run(polls(addresses_, int(tags_), float(every_)))
    elif kind == "opcua":
        asyncio.run(opcua(addresses_[0], int(tags_)))
    elif kind == "iec61850":
        kept = iec61850(addresses_[0])  # the binding takes one device of a name per process
        threading.Event().wait()
    else:
        mqtt(addresses_[0], int(tags_))
