"""HTTP for readers: what is answered, what is refused, and to whom."""

import asyncio
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cloud.telemetry import window
from protocols import quality
from protocols.batch.columns import ClockRecord, Group
from protocols.batch.statement import Payload
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem, tag_table

WINDOW = {"from_us": 0, "to_us": 10**12}
INT64 = (1 << 63) - 1


async def _tag(hub: TestHub, token: dict[str, str], name: str = "plc1.t0") -> int:
    return next(int(row["id"]) for row in (await hub.client.get("/v1/tags", headers=token)).json() if row["name"] == name)


async def test_gateways_tags_and_latest_values_are_listed(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=2)
    token = await hub.token()
    assert (await hub.client.get("/v1/latest", headers=token)).json() == {}
    await gateway.post(gateway.seal(), backlog=7)
    (row,) = (await hub.client.get("/v1/gateways", headers=token)).json()
    assert (row["name"], row["urn"], row["backlog"], row["batches"], row["samples"]) == ("rig1", "urn:qz:gw:rig1", 7, 1, 6)
    assert row["receipt_us"] >= row["enrolled_us"]
    tags = (await hub.client.get("/v1/tags", headers=token)).json()
    assert [(tag["name"], tag["unit"], tag["type"], tag["gateway"], tag["asset"]) for tag in tags] == [
        ("plc1.t0", "bar", "int32", "rig1", "pump1"),
        ("plc1.t1", "bar", "int32", "rig1", "pump1"),
    ]
    latest = (await hub.client.get("/v1/latest", headers=token)).json()
    assert latest == {str(tags[0]["id"]): [3_000_000, 0.04, 0], str(tags[1]["id"]): [3_000_000, 0.05, 0]}


async def test_a_gateway_is_listed_with_what_it_told_of_its_buffer_and_its_clock(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=2)
    token = await hub.token()

    async def listed() -> dict[str, Any]:
        (row,) = (await hub.client.get("/v1/gateways", headers=token)).json()
        return dict(row)

    before = await listed()
    assert [before[name] for name in ("told_us", "oldest_us", "full_us", "clock")] == [None] * 4
    clocked = replace(gateway.payload(), clock=ClockRecord(2, -1_500, 20_000, bytes(16), 5))
    await gateway.post(gateway.seal(clocked), backlog=7, oldest_us=1_700_000_000_000_000, full_in_s=3_600)
    row = await listed()
    assert row["oldest_us"] == 1_700_000_000_000_000
    assert row["full_us"] == row["told_us"] + 3_600_000_000
    assert row["clock"] == {"source": "synchronised", "offset_us": -1_500, "error_us": 20_000}
    await gateway.post(gateway.seal(), backlog=0, oldest_us=1_700_000_000_000_000)
    row = await listed()
    assert (row["oldest_us"], row["full_us"], row["clock"]["offset_us"]) == (None, None, -1_500)


async def test_a_window_takes_its_beginning_and_leaves_its_end(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    token = await hub.token()
    path = f"/v1/tags/{await _tag(hub, token)}/samples"
    body = (await hub.client.get(path, params={"from_us": 1_000_000, "to_us": 3_000_000}, headers=token)).json()
    assert (body["tag"]["name"], body["samples"], body["times_us"]) == ("plc1.t0", 2, [1_000_000, 2_000_000])
    assert (body["values"], body["quality"]) == ([0.0, 0.04], [0, 0])


@pytest.mark.parametrize("what", ["samples", "completeness"])
async def test_several_tags_are_answered_as_each_of_them_alone_in_the_order_asked(hub: TestHub, what: str) -> None:
    gateway = await hub.gateway(tags=3)
    await gateway.send(gateway.seal())
    token = await hub.token()
    wanted = [await _tag(hub, token, f"plc1.t{n}") for n in (2, 0)]
    params = {"from_us": 1_000_000, "to_us": 3_000_000, **({"points": 100} if what == "samples" else {})}
    alone = [(await hub.client.get(f"/v1/tags/{tag}/{what}", params=params, headers=token)).json() for tag in wanted]
    together = await hub.client.get(f"/v1/{what}", params={**params, "tags": ",".join(map(str, wanted))}, headers=token)
    assert together.json() == alone
    assert alone[0] != alone[1]


async def test_samples_of_several_tags_come_with_their_gaps_when_asked(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=2)
    await gateway.send(gateway.seal())
    token = await hub.token()
    params = {"from_us": 0, "to_us": 9_000_000, "tags": ",".join([str(await _tag(hub, token, f"plc1.t{n}")) for n in (0, 1)])}
    complete = (await hub.client.get("/v1/completeness", params=params, headers=token)).json()
    given = (await hub.client.get("/v1/samples", params={**params, "gaps": "true"}, headers=token)).json()
    assert [one["gaps"] for one in given] == [one["gaps"] for one in complete]
    assert [one["complete"] for one in complete] == [not one["gaps"] for one in given]
    assert all("gaps" not in one for one in (await hub.client.get("/v1/samples", params=params, headers=token)).json())


async def test_a_gateway_is_listed_with_the_end_of_its_key_and_its_configuration(hub: TestHub) -> None:
    await hub.gateway("rig1")
    await hub.gateway("rig2")
    token = await hub.token()

    async def listed() -> dict[str, Any]:
        return {row["name"]: row for row in (await hub.client.get("/v1/gateways", headers=token)).json()}

    row = (await listed())["rig1"]
    assert row["key"] == {"state": "good", "ends_us": None}
    told = (await hub.client.get("/v1/gateways/rig1/configuration", headers=token)).json()
    assert row["configuration"] == {name: told[name] for name in ("state", "reason", "version")}
    ended = await hub.client.post("/v1/gateways/rig1/revocation", headers=await hub.token(scopes=("write:gateways",)))
    assert ended.status_code == 200, ended.text
    after = await listed()
    (key,) = (await hub.client.get("/v1/gateways/rig1/keys", headers=token)).json()["keys"]
    assert after["rig1"]["key"] == {"state": "ended", "ends_us": key["ends_us"]}
    assert after["rig2"]["key"] == {"state": "good", "ends_us": None}


async def test_what_is_no_number_is_null(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1, table=False)
    gateway.table = tag_table("rig1", 1, ("float64",), "1")
    await gateway.put_table()
    values = np.array([[1.5], [math.nan], [math.inf], [7.0]])
    codes = np.array([[0], [0], [quality.UNCERTAIN], [quality.BAD_SENSOR_FAILURE]], np.uint32)
    group = Group(np.zeros(1, np.uint32), np.arange(4, dtype=np.int64), values, codes)
    await gateway.send(gateway.seal(Payload(gateway.table.digest, (group,))))
    token = await hub.token()
    tag = await _tag(hub, token)
    for _ in range(2):
        body = (await hub.client.get(f"/v1/tags/{tag}/samples", params=WINDOW, headers=token)).json()
        assert (body["values"], body["quality"]) == ([1.5, None, None, None], codes[:, 0].tolist())
        await hub.hub.compactor.compact(1)
    assert (await hub.client.get("/v1/latest", headers=token)).json()[str(tag)] == [3, None, quality.BAD_SENSOR_FAILURE]


@pytest.mark.parametrize("points", [8, 100, 1000])
async def test_points_bound_the_answer_and_the_whole_number_is_told(hub: TestHub, points: int) -> None:
    gateway = await hub.gateway(tags=1)
    await gateway.send(gateway.seal(gateway.payload(rows=500)))
    token = await hub.token()
    reply = await hub.client.get(f"/v1/tags/{await _tag(hub, token)}/samples", params={**WINDOW, "points": points}, headers=token)
    body = reply.json()
    assert body["samples"] == 500
    assert len(body["times_us"]) == len(body["values"]) == len(body["quality"]) <= points
    assert (min(body["values"]), max(body["values"])) == (0.0, 4.99)


@pytest.mark.parametrize(
    ("path", "slug", "status"),
    [
        ("/v1/tags/{tag}/samples", "invalid-request", 422),
        ("/v1/tags/{tag}/samples?from_us=5&to_us=5", "invalid-request", 422),
        ("/v1/tags/{tag}/samples?from_us=6&to_us=5", "invalid-request", 422),
        ("/v1/tags/{tag}/samples?from_us=x&to_us=5", "invalid-request", 422),
        (f"/v1/tags/{{tag}}/samples?from_us=0&to_us={INT64 + 1}", "invalid-request", 422),
        ("/v1/tags/{tag}/samples?from_us=0&to_us=9&points=7", "invalid-request", 422),
        ("/v1/tags/{tag}/samples?from_us=0&to_us=9&points=100001", "invalid-request", 422),
        ("/v1/tags/{tag}/completeness?from_us=9&to_us=0", "invalid-request", 422),
        ("/v1/gateways/1/completeness?from_us=9&to_us=0", "invalid-request", 422),
        ("/v1/bundles?tag={tag}&from_us=9&to_us=0", "invalid-request", 422),
        ("/v1/bundles?tag=0&from_us=0&to_us=1", "invalid-request", 422),
        ("/v1/tags/0/samples?from_us=0&to_us=9", "invalid-request", 422),
        ("/v1/tags/a/samples?from_us=0&to_us=9", "invalid-request", 422),
        ("/v1/samples?tags={tag}&from_us=9&to_us=0", "invalid-request", 422),
        ("/v1/samples?tags=&from_us=0&to_us=9", "invalid-request", 422),
        ("/v1/samples?tags={tag},&from_us=0&to_us=9", "invalid-request", 422),
        ("/v1/samples?tags={tag}&from_us=0&to_us=9&points=5001", "invalid-request", 422),
        (f"/v1/samples?tags={','.join('1' * 25)}&from_us=0&to_us=9", "invalid-request", 422),
        ("/v1/samples?tags={tag},999999&from_us=0&to_us=9", "not-found", 404),
        ("/v1/completeness?tags={tag}&from_us=9&to_us=0", "invalid-request", 422),
        ("/v1/completeness?tags=0&from_us=0&to_us=9", "not-found", 404),
        (f"/v1/tags/{INT64}/samples?from_us=0&to_us=9", "not-found", 404),
        (f"/v1/gateways/{INT64}/completeness?from_us=0&to_us=9", "not-found", 404),
        (f"/v1/bundles?tag={INT64}&from_us=0&to_us=9", "not-found", 404),
    ],
)
async def test_a_wrong_question_is_a_problem(hub: TestHub, path: str, slug: str, status: int) -> None:
    await hub.gateway()
    token = await hub.token()
    reply = await hub.client.get(path.format(tag=await _tag(hub, token)), headers=token)
    assert (problem(reply), reply.status_code) == (slug, status)


@pytest.mark.parametrize(("from_us", "to_us"), [(-INT64, INT64), (-INT64, -INT64 + 1), (INT64 - 1, INT64)])
async def test_the_widest_and_the_farthest_windows_are_answered(hub: TestHub, from_us: int, to_us: int) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    token = await hub.token()
    for path in (f"/v1/tags/{await _tag(hub, token)}/samples", f"/v1/tags/{await _tag(hub, token)}/completeness"):
        reply = await hub.client.get(path, params={"from_us": from_us, "to_us": to_us}, headers=token)
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/tags/{tag}/samples",
        "/v1/tags/{tag}/completeness",
        "/v1/gateways/{gateway}/completeness",
        "/v1/bundles?tag={tag}",
        "/v1/samples",
        "/v1/completeness",
    ],
)
async def test_another_tenants_things_do_not_exist(hub: TestHub, path: str) -> None:
    gateway = await hub.gateway("rig1", "other")
    await gateway.send(gateway.seal())
    ((tag, number),) = hub.rows("SELECT min(tag_id), min(gateway_id) FROM tag")
    url, params = path.format(tag=tag, gateway=number).partition("?tag=")[0], {**WINDOW, "tag": tag, "tags": tag}
    assert (await hub.client.get(url, params=params, headers=await hub.token("other"))).status_code == 200
    assert problem(await hub.client.get(url, params=params, headers=await hub.token())) == "not-found"
    assert problem(await hub.client.get(url, params=params)) == "unauthorized"
    for listing in ("/v1/gateways", "/v1/tags"):
        assert (await hub.client.get(listing, headers=await hub.token())).json() == []
    assert (await hub.client.get("/v1/latest", headers=await hub.token())).json() == {}


async def test_an_answer_has_a_largest_size(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_SAMPLES", 5)
    gateway = await hub.gateway()
    await gateway.send(gateway.seal(), gateway.seal())
    token = await hub.token()
    path = f"/v1/tags/{await _tag(hub, token)}/samples"
    assert problem(await hub.client.get(path, params=WINDOW, headers=token)) == "too-large"
    assert (await hub.client.get(path, params={**WINDOW, "to_us": 5_000_000}, headers=token)).json()["samples"] == 3


async def test_many_readers_at_once_are_all_answered(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(*(gateway.seal() for _ in range(10)))
    token = await hub.token()
    path = f"/v1/tags/{await _tag(hub, token)}/samples"
    hub.hub.tables._known.clear()  # each has to look its tag table up, and none may wait for a second connection
    replies = await asyncio.gather(*(hub.client.get(path, params=WINDOW, headers=token) for _ in range(24)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
