"""The recorded production sequence of `tests/data/sparkplug_b`, with metrics named by us, through real brokers and along its own clock."""

import asyncio
import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocols.devicemap import DeviceMap
from protocols.mqtt.columns import Columns
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.metrics import Seen, SparkplugReader
from protocols.mqtt.node import Rebirths, birth
from protocols.mqtt.sparkplug import Metric, Payload, encode_payload
from tests.protocols.mqtt.brokers import Served, samples
from tests.protocols.mqtt.maps import device, device_map
from tests.protocols.mqtt.test_driver import followed, make_durable

FILE = Path(__file__).parents[2] / "data" / "sparkplug_b" / "pcap_patterns_part1.csv"
WIDEST = 12  # metrics of the largest message
MAP = 'payload = "sparkplug", group = "org_A", node = "702"'


@dataclass(frozen=True)
class Recorded:
    """seconds: since the capture began. The metrics of message number n are m0, m1 ... with values made of n."""

    seconds: float
    topic: str
    payload: bytes
    device: str
    values: tuple[tuple[str, int, float], ...]


def recorded() -> list[Recorded]:
    lines = [line for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    found = []
    for number, row in enumerate(csv.DictReader(lines)):
        stamp_ms = int(row["payload_timestamp"]) if row["payload_timestamp"] else None
        values = tuple((f"m{place}", stamp_ms or 0, number + place / 10) for place in range(int(row["metric_count"])))
        metrics = tuple(Metric(name, value, DataType.DOUBLE, at_ms) for name, at_ms, value in values)
        payload = encode_payload(Payload(stamp_ms, int(row["seq"]) if row["seq"] else None, metrics))
        found.append(Recorded(float(row["timestamp"]), row["topic"], payload, row["device_id"], values))
    return found


def followed_map(folder: Path, below: str = "") -> DeviceMap:
    tags = ",\n".join(f'{{ name = "m{place}", at = "m{place}", type = "float64" }}' for place in range(WIDEST))
    return device_map(folder, tags, MAP + (f', device = "{below}"' if below else ""))


def expected(below: str) -> Counter[tuple[int, int, float]]:
    """Samples of the node or of one device of it: tag, time, value."""
    ours = [message for message in recorded() if "/702" in message.topic and message.device == below]
    return Counter((int(name[1:]), 1000 * at_ms, value) for message in ours for name, at_ms, value in message.values)


@pytest.mark.parametrize("below", ["", "device_3", "device_4", "device_5"], ids=["the node", "device 3", "device 4", "device 5"])
async def test_nothing_is_lost_or_doubled_although_sequence_numbers_repeat(below: str, tmp_path: Path, served: Served) -> None:
    found: Counter[tuple[int, int, float]] = Counter()
    wanted = expected(below)
    async with followed(followed_map(tmp_path, below), served) as field:
        sends = [field.client._client.publish(message.topic, message.payload, 1) for message in recorded()]
        while found.total() < wanted.total():
            async with asyncio.timeout(10):
                frame = await field.driver.read()
            found.update((tag - 10, time_us, value) for tag, time_us, value, code in samples(frame) if not code)
            await make_durable(frame)
        for sent in sends:
            sent.wait_for_publish(5)
    assert max(len(message.values) for message in recorded()) <= WIDEST
    assert wanted.total() >= 16
    assert found == wanted
    assert field.driver.duplicates == field.driver.malformed == 0
    assert field.driver.rebirths <= 1


def test_gaps_of_the_recording_ask_for_few_rebirths_along_its_own_clock(tmp_path: Path) -> None:
    """Without a limit every message would ask, because the capture begins behind the birth and the node never answers."""
    reader, rebirths = SparkplugReader(device(followed_map(tmp_path))), Rebirths()
    columns, seen = Columns(), Seen()
    asking = 0
    for message in recorded():
        if "/702" in message.topic:
            now_us = round(message.seconds * 1e6)
            heard = reader.read(message.topic, message.payload, now_us, columns, seen, now_us)
            asking += heard.rebirth
            if heard.rebirth:
                rebirths.ask(now_us)
    assert asking > 200
    assert rebirths.count == 4  # at 0, 5, 15 and 35 s of 47 s
    assert sum(block.samples for block in columns.blocks()) == expected("").total()


def test_a_born_node_is_asked_only_for_its_true_gaps(tmp_path: Path) -> None:
    reader, columns, seen = SparkplugReader(device(followed_map(tmp_path))), Columns(), Seen()
    first = next(message for message in recorded() if "/702" in message.topic)
    born = birth(1, 0, ())
    reader.read("spBv1.0/org_A/NBIRTH/702", encode_payload(Payload(1, 20, born.metrics)), 0, columns, seen, 0)
    asked = []
    for message in recorded():
        if "/702" in message.topic:
            now_us = round(message.seconds * 1e6)
            if reader.read(message.topic, message.payload, now_us, columns, seen, now_us).rebirth:
                asked.append(round(message.seconds, 1))
    assert first.seconds == 0
    # Holes at 0.3, 17.2, 21.4 and 37.9 s, each asked about 2 s later. A number 0 that is left out is none; behind a message without any number,
    # which may have been the missing one, the count begins anew.
    assert asked == [2.5, 19.3, 23.6, 40.0]
