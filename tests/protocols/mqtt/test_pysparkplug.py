"""Sparkplug B against a second implementation, `pysparkplug`, both ways, and our bytes against Google's protobuf with its schema.

pysparkplug asks for an older paho-mqtt than ours; it is installed without its dependencies, and the one method that it misses is given here.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import quality
from protocols.devicemap import SHIPPED, Device, load_device_map
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.sparkplug import DataSet, Metric, Payload, Template, decode_payload, encode_payload
from simulators.face import Step, TruthLog
from simulators.mqtt import MqttFace
from tests.protocols.mqtt.brokers import Served, samples, until
from tests.protocols.mqtt.maps import device_map
from tests.protocols.mqtt.test_driver import followed, make_durable
from tests.protocols.mqtt.test_sparkplug import metrics

theirs: Any = pytest.importorskip("pysparkplug", reason="pysparkplug is not installed (pip install --no-deps pysparkplug, and protobuf)")
wire: Any = pytest.importorskip("pysparkplug._protobuf", reason="protobuf is not installed")
T0 = 1_700_000_000_000_000
TAGS = (
    '{ name = "p", at = "oil/p", type = "float64" },\n{ name = "n", at = "oil/n", type = "int16" },\n'
    '{ name = "e", at = "grid[1]", type = "float64" },\n{ name = "on", at = "on", type = "bool" }'
)


@pytest.fixture(autouse=True)
def newer_paho(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paho.Client, "message_retry_set", lambda client, retry: None, raising=False)


def their_metric(name: str, value: Any, kind: str, number: int = 0) -> Any:
    return theirs.Metric(timestamp=T0 // 1000 + number, name=name, datatype=getattr(theirs.DataType, kind), value=value)


def readings(number: int) -> list[Any]:
    return [
        their_metric("oil/p", number / 4, "DOUBLE", number),
        their_metric("oil/n", -number, "INT16", number),
        their_metric("grid", (0.5, float(number)), "DOUBLE_ARRAY", number),
        their_metric("on", number % 2 == 0, "BOOLEAN", number),
    ]


@pytest.mark.parametrize("below", [False, True], ids=["the node itself", "a device below it"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_our_driver_follows_their_edge_node(below: bool, tmp_path: Path, served: Served) -> None:
    the_map = device_map(tmp_path, TAGS, 'payload = "sparkplug", group = "g", node = "{device}"' + (', device = "d"' if below else ""))
    async with followed(the_map, served) as field:
        commands: list[Any] = []
        node = theirs.EdgeNode("g", "pump", [] if below else readings(0), cmd_callback=lambda _, message: commands.append(message))
        if below:
            node.register(theirs.Device("d", readings(0)))
        await asyncio.to_thread(node.connect, "127.0.0.1", port=served.port)
        found: list[tuple[int, int, float, int]] = []

        async def read(count: int) -> None:
            while len(found) < count:
                async with asyncio.timeout(10):
                    frame = await field.driver.read()
                found.extend(samples(frame))
                await make_durable(frame)

        await read(4)
        for number in range(1, 20):
            await asyncio.to_thread(*((node.update_device, "d") if below else (node.update,)), readings(number))
        await read(80)
        await asyncio.to_thread(node.disconnect)
    assert sorted(found) == sorted(
        row
        for number in range(20)
        for row in (
            (10, T0 + 1000 * number, number / 4, 0),
            (11, T0 + 1000 * number, -number, 0),
            (12, T0 + 1000 * number, float(number), 0),
            (13, T0 + 1000 * number, int(number % 2 == 0), 0),
        )
    )
    assert field.driver.rebirths == field.driver.malformed == 0


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[MqttFace, Device, io.StringIO]]:
    truth = io.StringIO()
    face = MqttFace(TruthLog(truth))
    unplaced = Device("well_1", load_device_map(SHIPPED / "qenergyz_well_sparkplug.toml"), "mqtt://127.0.0.1:0")
    await face.start([unplaced], [Step(T0, np.arange(8.0), np.zeros(8, np.uint32))])
    try:
        yield face, unplaced, truth
    finally:
        await face.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_their_client_reads_our_simulated_node_and_its_answer_to_a_rebirth() -> None:
    heard: list[Any] = []
    async with simulated() as (face, device, _):
        port = int(face.address_of(device).rpartition(":")[2])
        host = theirs.Client(client_id="host")
        for kind in ("NBIRTH", "DBIRTH", "DDATA"):
            topic = theirs.Topic(
                message_type=theirs.MessageType[kind],
                group_id="wells",
                edge_node_id="well_1",
                device_id="sensors" if kind[0] == "D" else None,
            )
            host.subscribe(topic, theirs.QoS.AT_LEAST_ONCE, lambda _, message: heard.append(message))
        await asyncio.to_thread(host.connect, "127.0.0.1", port=port)
        await until(lambda: face.broker.followed("spBv1.0/wells/DDATA/well_1/sensors"))
        rebirth = theirs.NCmd(timestamp=T0 // 1000, metrics=(their_metric("Node Control/Rebirth", True, "BOOLEAN"),))
        topic = theirs.Topic(message_type=theirs.MessageType.NCMD, group_id="wells", edge_node_id="well_1")
        host.publish(theirs.Message(topic, rebirth, theirs.QoS.AT_LEAST_ONCE, retain=False), include_dtypes=True)
        await until(lambda: len(heard) >= 2)
        for number in range(1, 6):
            await face.publish(device, Step(T0 + 1000 * number, np.arange(8.0) + number, np.zeros(8, np.uint32)))
        await until(lambda: len([one for one in heard if isinstance(one.payload, theirs.DData)]) >= 5)
        await asyncio.to_thread(host.disconnect)
    node, below = heard[0].payload, heard[1].payload
    assert {metric.name for metric in node.metrics} >= {"bdSeq", "Node Control/Rebirth"}
    assert [metric.name for metric in below.metrics] == [tag.at for tag in device.map.tags]
    last = [one.payload for one in heard if isinstance(one.payload, theirs.DData)][-1]
    assert [metric.value for metric in last.metrics] == [float(place + 5) for place in range(8)]
    assert [one.payload.seq for one in heard[1:]] == [(heard[1].payload.seq + place) % 256 for place in range(len(heard) - 1)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_their_node_takes_our_command_and_confirms_it(tmp_path: Path, served: Served) -> None:
    tags = '{ name = "sp", at = "setpoint", type = "float64", write = { min = 0, max = 100 } }'
    async with followed(device_map(tmp_path, tags, 'payload = "sparkplug", group = "g", node = "{device}"'), served) as field:

        def obey(node: Any, message: Any) -> None:
            told = [metric for metric in message.payload.metrics if metric.name == "setpoint"]
            if told:
                node.update([their_metric("setpoint", told[0].value, "DOUBLE", 5)])

        node = theirs.EdgeNode("g", "pump", [their_metric("setpoint", 10.0, "DOUBLE")], cmd_callback=obey)
        await asyncio.to_thread(node.connect, "127.0.0.1", port=served.port)
        async with asyncio.timeout(10):
            assert [value for _, _, value, _ in samples(await field.driver.read())] == [10.0]
            reading = asyncio.create_task(field.driver.read())
            await field.driver.write(0, 42.5, 10.0)
            assert [(value, code) for _, _, value, code in samples(await reading)] == [(42.5, quality.GOOD)]
        await asyncio.to_thread(node.disconnect)


@settings(max_examples=80, deadline=None)
@given(st.lists(metrics, max_size=5), st.none() | st.integers(0, 2**63), st.none() | st.integers(0, 255))
def test_google_protobuf_reads_what_we_write_and_writes_the_same(found: list[Metric], stamp: int | None, seq: int | None) -> None:
    data = encode_payload(Payload(stamp, seq, tuple(found)))
    read = wire.Payload.FromString(data)
    assert [metric.name for metric in read.metrics] == [metric.name for metric in found]
    for metric, ours in zip(read.metrics, found, strict=True):
        assert metric.is_historical == ours.historical
        assert (metric.alias if metric.HasField("alias") else None) == ours.alias
        value = getattr(metric, metric.WhichOneof("value"))
        whole = isinstance(ours.value, int) and not isinstance(ours.value, bool)
        assert (value - ours.value) % 2**32 == 0 if whole else value == ours.value  # negative ones are their bit pattern
    assert decode_payload(read.SerializeToString()) == decode_payload(data)


scalars = st.one_of(
    st.tuples(st.just(DataType.INT32), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(DataType.UINT64), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(DataType.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
    st.tuples(st.just(DataType.STRING), st.text(max_size=5)),
)
structured = st.one_of(
    st.lists(scalars, min_size=1, max_size=4).map(
        lambda cells: (
            DataType.DATASET,
            DataSet(tuple(f"c{i}" for i in range(len(cells))), tuple(int(k) for k, _ in cells), (tuple(v for _, v in cells),) * 2),
        )
    ),
    st.lists(scalars, max_size=4).map(
        lambda members: (
            DataType.TEMPLATE,
            Template(tuple(Metric(f"m{i}", v, k) for i, (k, v) in enumerate(members)), "ref", "1"),
        )
    ),
    st.lists(st.integers(-(2**15), 2**15 - 1), max_size=9).map(lambda values: (DataType.INT16_ARRAY, tuple(values))),
    st.lists(st.booleans(), max_size=20).map(lambda values: (DataType.BOOLEAN_ARRAY, tuple(values))),
    st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=4), max_size=4).map(
        lambda values: (DataType.STRING_ARRAY, tuple(values))
    ),
    st.lists(st.integers(0, 2**64 - 1), max_size=4).map(lambda values: (DataType.DATETIME_ARRAY, tuple(values))),
    st.binary(max_size=9).map(lambda value: (DataType.BYTES, value)),
)


@settings(max_examples=80, deadline=None)
@given(structured)
def test_structures_survive_googles_protobuf(pair: tuple[DataType, Any]) -> None:
    payload = Payload(1, 2, (Metric("s", pair[1], pair[0], 3),))
    rewritten = wire.Payload.FromString(encode_payload(payload)).SerializeToString()
    assert decode_payload(rewritten) == decode_payload(encode_payload(payload)) == payload


PACKED: list[tuple[str, Any]] = [
    ("INT8_ARRAY", (-1, 5)),
    ("UINT16_ARRAY", (1, 65_535)),
    ("INT64_ARRAY", (-(2**60), 3)),
    ("FLOAT_ARRAY", (1.5, -2.25)),
    ("BOOLEAN_ARRAY", (True, False, True, True, False, True, False, False, True)),
    ("STRING_ARRAY", ("a", "", "é")),
]


@pytest.mark.parametrize(("kind", "value"), PACKED, ids=[kind for kind, _ in PACKED])
def test_arrays_are_packed_as_they_pack_them(kind: str, value: Any) -> None:
    data = theirs.NData(timestamp=1, seq=0, metrics=(their_metric("a", value, kind),)).encode(include_dtypes=True)
    (found,) = decode_payload(data).metrics
    assert found.value == value
    back = theirs.NData.decode(encode_payload(Payload(1, 0, (Metric("a", value, DataType[kind], 1),))))
    assert back.metrics[0].value == value
