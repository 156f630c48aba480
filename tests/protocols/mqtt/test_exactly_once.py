"""QoS 2: received by us only when durable, each message once whatever breaks in between."""

import asyncio
import json
from pathlib import Path

import pytest

from protocols.frame import Frame
from tests.protocols.mqtt.brokers import SERVED, Served, brokers_with_qos2, samples, serving, until
from tests.protocols.mqtt.maps import PUMP, device_map
from tests.protocols.mqtt.test_driver import followed, make_durable

T = 1_700_000_000_000_000
STAMPED = 'payload = "json", topic = "site/{device}", time = "$.t", qos = 2'
BARE = 'payload = "json", topic = "site/{device}", qos = 2'


def message(number: int) -> str:
    return json.dumps({"t": T + number, "p": float(number), "q": "good"})


def numbers(frame: Frame) -> list[float]:
    return [value for _, _, value, _ in samples(frame)]


@pytest.mark.parametrize("mqtt", [STAMPED, BARE], ids=["with time", "without time"])
async def test_message_is_received_only_after_its_commit_and_then_released(mqtt: str, tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, PUMP, mqtt), served) as field:
        await field.client.send("site/pump", message(1), 2)
        frame = await field.driver.read()
        assert field.tap.pubrecs == []
        await make_durable(frame)
        await until(lambda: len(field.tap.pubrecs) == 1)
        for number in (1, 2):  # the same bytes again are another message, unless they carry a time
            await field.client.send("site/pump", message(number), 2)
        found: list[float] = []
        while 2.0 not in found:
            frame = await field.driver.read()
            found += numbers(frame)
            await make_durable(frame)
    assert found == ([2.0] if mqtt is STAMPED else [1.0, 2.0])


@pytest.mark.parametrize("mqtt", [STAMPED, BARE], ids=["with time", "without time"])
@pytest.mark.parametrize("broker", brokers_with_qos2(SERVED))
async def test_link_cut_at_every_step_neither_loses_nor_doubles(mqtt: str, broker: tuple[str, str], tmp_path: Path) -> None:
    the_map = device_map(tmp_path, PUMP, mqtt)
    found: list[float] = []
    async with serving(*broker, tmp_path) as served, followed(the_map, served) as field:

        async def read_durably(*, acknowledged: bool) -> None:
            async with asyncio.timeout(10):
                frame = await field.driver.read()
            found.extend(numbers(frame))
            if acknowledged:
                await make_durable(frame)

        async def again() -> None:
            field.tap.cut()
            field.tap.hold_answers = False
            await field.driver.close()
            await field.driver.open()

        await field.client.send("site/pump", message(1), 2)
        await read_durably(acknowledged=False)  # cut before the commit: the frame is still on its way to the disk
        await again()
        await field.client.send("site/pump", message(2), 2)
        await read_durably(acknowledged=True)
        field.tap.hold_answers = True  # the answer is lost on the way
        await field.client.send("site/pump", message(3), 2)
        await read_durably(acknowledged=True)
        await until(lambda: bool(field.tap.pubrecs))
        await again()
        await field.client.send("site/pump", message(4), 2)
        await read_durably(acknowledged=True)
    assert found == [1.0, 2.0, 3.0, 4.0]
