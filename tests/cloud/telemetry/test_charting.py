"""Few points of many samples: extremes, gaps and counts stay what they are, compacted or not."""

import numpy as np
import pytest

from cloud.telemetry.series import MINUTE_US
from protocols import quality
from protocols.batch.columns import Group
from protocols.batch.statement import Payload
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway, problem

HOURS = 3
SECONDS = HOURS * 3600
SPIKE, DIP, MISSING = 4_321, 9_000, 7_000
AWAY = (5_000, 6_200)  # seconds without samples
POINTS = 60


async def send(gateway: Gateway, first: int, last: int) -> None:
    """A value a second: a slow wave, one spike and one dip of one sample each, some seconds without a value, and a gap."""
    seconds = np.array([one for one in range(first, last) if not AWAY[0] <= one < AWAY[1]], np.int64)
    values = (1_000 + 100 * np.sin(seconds / 900)).astype(np.int32)
    values[seconds == SPIKE] = 90_000
    values[seconds == DIP] = -90_000
    codes = np.where((seconds >= MISSING) & (seconds < MISSING + 90), quality.BAD_SENSOR_FAILURE, 0).astype(np.uint32)
    group = Group(np.zeros(1, np.uint32), seconds * 1_000_000, values[:, None], codes[:, None])
    await gateway.send(gateway.seal(Payload(gateway.table.digest, (group,), ())))


async def read(hub: TestHub, **window: int) -> dict[str, list[float]]:
    asked = {"from_us": 0, "to_us": SECONDS * 1_000_000, "points": POINTS} | window
    token = await hub.token()
    tag = min(row["id"] for row in (await hub.client.get("/v1/tags", headers=token)).json())
    reply = await hub.client.get(f"/v1/tags/{tag}/samples", params=asked, headers=token)
    assert reply.status_code == 200, reply.text
    found: dict[str, list[float]] = reply.json()
    return found


@pytest.mark.parametrize("compacted", ["all", "some", "nothing"])
async def test_a_chart_keeps_extremes_and_gaps_wherever_the_samples_are(hub: TestHub, compacted: str) -> None:
    gateway = await hub.gateway(tags=1)
    await send(gateway, 0, 8_000)
    if compacted == "some":
        assert await hub.hub.compactor.compact(1) > 0
    await send(gateway, 8_000, SECONDS)
    if compacted == "all":
        assert await hub.hub.compactor.compact(1) > 0
    body = await read(hub)
    shown = list(zip(body["times_us"], body["values"], strict=True))
    assert len(shown) <= POINTS
    assert body["samples"] == SECONDS - (AWAY[1] - AWAY[0])
    values = [value for _, value in shown if value is not None]
    scale = max(values) / 90_000
    assert min(values) == pytest.approx(-90_000 * scale)
    at_us = next(at_us for at_us, value in shown if value == max(values))
    assert abs(at_us - SPIKE * 1_000_000) <= 15 * MINUTE_US
    assert any(value is None and MISSING <= at_us / 1e6 + 60 < MISSING + 180 for at_us, value in shown)
    assert not any((AWAY[0] + 60) * 1e6 <= at_us < (AWAY[1] - 60) * 1e6 for at_us, _ in shown)
    assert body["times_us"] == sorted(body["times_us"])


async def test_the_rims_of_a_window_are_read_to_the_sample(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1)
    await send(gateway, 0, SECONDS)
    assert await hub.hub.compactor.compact(1) > 0
    for first, last in ((SPIKE + 1, SECONDS), (0, SPIKE), (SPIKE - 30, SECONDS), (SPIKE, SPIKE + 4_000)):
        body = await read(hub, from_us=first * 1_000_000, to_us=last * 1_000_000)
        high = max(value for value in body["values"] if value is not None)
        assert (high > 20) is (first <= SPIKE < last), (first, last)
        assert first * 1_000_000 <= min(body["times_us"])
        assert max(body["times_us"]) < last * 1_000_000
        assert body["read"]["from"] == "minutes"  # type: ignore[call-overload]


async def test_a_short_window_is_answered_with_samples(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1)
    await send(gateway, 0, 600)
    assert (await read(hub, points=1000))["read"] == {"from": "samples", "bucket_us": 0}
    assert (await read(hub, from_us=-(1 << 62), to_us=1 << 62))["samples"] == 600
    token = await hub.token()
    assert problem(await hub.client.get("/v1/tags/999/samples?from_us=0&to_us=9&points=8", headers=token)) == "not-found"
