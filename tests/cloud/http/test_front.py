"""What every request passes: its name, its ETag, its content type, its idempotency key, its rate."""

import asyncio
import logging
from typing import Any

import pytest

from cloud.http import idempotency
from cloud.http.conditional import matches
from cloud.http.sniffing import fault
from cloud.trading.documents import deal_json
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import problem
from tests.cloud.reaction.desk import MODEL
from tests.cloud.trading.agreements import deal
from tests.cloud.trading.test_api import put_calendars


def deal_document(identity: str = "D-1") -> Any:
    return deal_json(deal(identity))


async def clerk(hub: TestHub, key: str) -> dict[str, str]:
    await put_calendars(hub)
    return {**await hub.token(scopes=("read", "write:deals")), "idempotency-key": key}


@pytest.mark.parametrize("path", ["/health", "/v1/tags", "/v1/nothing", "/", "/nothing"])
async def test_every_answer_has_a_correlation_id(hub: TestHub, path: str) -> None:
    first, second = [(await hub.client.get(path)).headers["x-correlation-id"] for _ in range(2)]
    assert first != second
    assert (await hub.client.get(path, headers={"x-correlation-id": "desk-7.click_12"})).headers["x-correlation-id"] == "desk-7.click_12"


@pytest.mark.parametrize("given", ["short", "x" * 65, 'quote"in it', "line break"], ids=["short", "long", "quoted", "spaced"])
async def test_a_correlation_id_that_is_not_sane_is_replaced(hub: TestHub, given: str) -> None:
    assert (await hub.client.get("/health", headers={"x-correlation-id": given})).headers["x-correlation-id"] != given


async def test_an_error_of_the_hub_is_logged_by_the_id_that_the_asker_has(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(hub.hub, "health", fail)
    with caplog.at_level(logging.ERROR):
        reply = await hub.client.get("/health")
    assert reply.status_code == 500
    assert reply.headers.get_list("x-correlation-id", split_commas=True) == [reply.headers["x-correlation-id"]]
    assert f"correlation={reply.headers['x-correlation-id']}" in caplog.text


async def test_who_has_the_newest_answer_is_told_so(hub: TestHub) -> None:
    token = await hub.token()
    await hub.gateway()
    reply = await hub.client.get("/v1/tags", headers=token)
    etag = reply.headers["etag"]
    assert etag.startswith('W/"')
    again = await hub.client.get("/v1/tags", headers={**token, "if-none-match": f'"x", {etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    await hub.gateway("rig2")
    changed = await hub.client.get("/v1/tags", headers={**token, "if-none-match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_what_nobody_may_keep_and_refusals_have_no_etag(hub: TestHub) -> None:
    assert "etag" not in (await hub.client.get("/v1/session", headers=await hub.token())).headers
    assert "etag" not in (await hub.client.get("/v1/tags")).headers


@pytest.mark.parametrize(
    ("asked", "expected"), [(b'W/"a"', True), (b'"a"', True), (b"*", True), (b'"b", W/"a"', True), (b'"b"', False), (b"", False)]
)
def test_tags_are_compared_weakly(asked: bytes, expected: bool) -> None:
    assert matches(asked, b'W/"a"') is expected


@pytest.mark.parametrize(
    ("declared", "first", "refused"),
    [
        ("application/json", b' {"a": 1}', False),
        ("application/json; charset=utf-8", b"[]", False),
        ("application/json", b"", False),
        ("application/json", b"PK\x03\x04", True),
        ("application/json", b"day,price", True),
        ("text/csv", b"day,price", False),
        ("text/csv", b"\x1f\x8b\x08", True),
        ("application/toml", b"a = 1\0", True),
        ("multipart/form-data; boundary=x", b"--x", True),
        ("application/cbor-seq", b"\0\x01", False),
        ("", b"\0", False),
    ],
)
def test_a_body_is_what_its_content_type_says(declared: str, first: bytes, refused: bool) -> None:
    assert (fault(declared, first) is not None) is refused


async def test_a_spreadsheet_that_says_it_is_csv_is_refused(hub: TestHub) -> None:
    headers = {**await hub.token(scopes=("write:market",)), "content-type": "text/csv"}
    reply = await hub.client.put("/v1/quotes", content=b"PK\x03\x04 book.xlsx", headers=headers)
    assert (reply.status_code, problem(reply)) == (415, "unsupported-media-type")


async def test_a_request_that_comes_twice_is_done_once(hub: TestHub) -> None:
    headers = await clerk(hub, "click-1")
    first = await hub.client.post("/v1/deals", json=deal_document(), headers=headers)
    assert first.status_code == 201, first.text
    again = await hub.client.post("/v1/deals", json=deal_document(), headers=headers)
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, first.json(), "true")
    assert again.json()["deals"][0]["stored"]  # the second time the route would have said that it was known
    other = await hub.client.post("/v1/deals", json=deal_document("D-2"), headers=headers)
    assert (other.status_code, problem(other)) == (422, "key-used")
    assert hub.rows("SELECT count(*) FROM deal_version") == [(1,)]
    somebody = await hub.token(tenant="another", scopes=("write:deals",))
    fresh = await hub.client.post("/v1/deals", json=deal_document(), headers={**somebody, "idempotency-key": "click-1"})
    assert "idempotency-replayed" not in fresh.headers


async def test_of_two_at_the_same_moment_one_is_done_and_one_waits(hub: TestHub) -> None:
    headers = await clerk(hub, "double-click")
    replies = await asyncio.gather(*(hub.client.post("/v1/deals", json=deal_document(), headers=headers) for _ in range(4)))
    assert hub.rows("SELECT count(*) FROM deal_version") == [(1,)]
    assert {reply.status_code for reply in replies} <= {201, 409}
    assert all(reply.status_code == 201 or problem(reply) == "key-in-use" for reply in replies)
    assert (await hub.client.post("/v1/deals", json=deal_document(), headers=headers)).status_code == 201


async def test_what_was_refused_may_be_sent_again_with_its_key(hub: TestHub) -> None:
    headers = await clerk(hub, "k")
    assert (await hub.client.post("/v1/deals", content=b"[1]", headers=headers)).status_code == 422
    assert (await hub.client.post("/v1/deals", json=deal_document(), headers=headers)).status_code == 201
    assert hub.rows("SELECT count(*) FROM idempotency") == [(1,)]


async def test_a_key_is_free_again_after_a_day_or_when_its_process_died(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await clerk(hub, "k")
    await hub.client.post("/v1/deals", json=deal_document(), headers=headers)
    with_age = "UPDATE idempotency SET begun_us = begun_us - 86500000000 RETURNING 1"
    assert hub.rows(with_age) == [(1,)]
    other = await hub.client.post("/v1/deals", json=deal_document("D-2"), headers=headers)
    assert other.status_code == 201
    assert hub.rows("UPDATE idempotency SET status = NULL RETURNING 1") == [(1,)]
    assert problem(await hub.client.post("/v1/deals", json=deal_document("D-2"), headers=headers)) == "key-in-use"
    monkeypatch.setattr(idempotency, "ABANDONED_US", 0)
    assert (await hub.client.post("/v1/deals", json=deal_document("D-2"), headers=headers)).json()["deals"][0]["stored"] is False


@pytest.mark.parametrize("key", ["x" * 201, "with space"], ids=["long", "spaced"])
async def test_a_key_that_is_none_is_refused(hub: TestHub, key: str) -> None:
    headers = await clerk(hub, key)
    assert problem(await hub.client.post("/v1/deals", json=deal_document(), headers=headers)) == "invalid-request"


async def test_who_asks_too_often_is_told_when_to_come_again(run_hub: RunHub) -> None:
    async with run_hub(requests_per_minute=60.0, requests_burst=5.0) as hub:
        token = await hub.token()
        replies = [await hub.client.get("/v1/tags", headers=token) for _ in range(6)]
        assert [reply.status_code for reply in replies] == [200] * 5 + [429]
        assert int(replies[-1].headers["retry-after"]) >= 1
        assert problem(replies[-1]) == "too-many-requests"
        secret = await hub.token(tenant="another")
        assert (await hub.client.get("/v1/tags", headers=secret)).status_code == 200


async def test_who_follows_an_older_version_is_told_and_nothing_is_stored(hub: TestHub) -> None:
    headers = {**await hub.token(scopes=("read", "write:assets")), "content-type": "application/toml"}
    first = await hub.client.put("/v1/assets", content=MODEL, headers={**headers, "if-match": '"0"'})
    assert (first.status_code, first.headers["etag"]) == (200, '"1"')
    assert (await hub.client.get("/v1/assets", headers={**headers, "if-none-match": '"1"'})).status_code == 304
    late = await hub.client.put("/v1/assets", content=MODEL + "\n# later", headers={**headers, "if-match": '"0"'})
    assert (late.status_code, problem(late), late.json()["version"]) == (412, "precondition-failed", 1)
    assert hub.rows("SELECT count(*) FROM asset_model") == [(1,)]
    assert (await hub.client.put("/v1/assets", content=MODEL + "\n# later", headers={**headers, "if-match": '"1"'})).headers[
        "etag"
    ] == '"2"'


async def test_tags_come_in_pages_and_by_part_of_their_name(hub: TestHub) -> None:
    await hub.gateway(tags=5)
    token = await hub.token()
    everything = {row["id"] for row in (await hub.client.get("/v1/tags", headers=token)).json()}
    found, path = [], "/v1/tags?limit=2"
    while path:
        reply = await hub.client.get(path, headers=token)
        found += [row["id"] for row in reply.json()]
        path = reply.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert found == sorted(everything)
    assert [row["name"] for row in (await hub.client.get("/v1/tags?find=T3", headers=token)).json()] == ["plc1.t3"]
