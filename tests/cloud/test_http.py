"""Every refusal is a problem document; health and metrics answer."""

import pytest

from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem


@pytest.mark.parametrize(
    ("method", "path", "slug", "status"),
    [
        ("GET", "/v1/nothing", "not-found", 404),
        ("DELETE", "/v1/batches", "method-not-allowed", 405),
        ("POST", "/v1/batches?size=-1", "invalid-request", 422),
        ("POST", "/v1/batches?size=x", "invalid-request", 422),
        ("POST", "/v1/batches?size=99999999999999999999", "invalid-request", 422),
        ("PUT", "/v1/tag-tables/xyz", "invalid-request", 422),
        ("PUT", f"/v1/tag-tables/{'0' * 64}", "malformed-tag-table", 400),
        ("POST", "/v1/enrolments", "invalid-request", 422),
    ],
)
async def test_other_requests_get_a_problem_document(hub: TestHub, method: str, path: str, slug: str, status: int) -> None:
    reply = await hub.client.request(method, path)
    assert (problem(reply), reply.status_code) == (slug, status)


async def test_an_enrolment_is_small(hub: TestHub) -> None:
    assert problem(await hub.client.post("/v1/enrolments", content=b"{" + b" " * (1 << 17) + b"}")) == "too-large"


async def test_health_names_the_cause_and_metrics_count(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    document = (await hub.client.get("/health")).json()
    assert document["state"] == "up"
    assert {"database", "sequencer"} <= document["components"].keys()
    text = (await hub.client.get("/metrics")).text
    for line in (
        "qenergyz_batches_total 1.0",
        "qenergyz_samples_total 12.0",
        'qenergyz_log_size{tenant="1"} 1.0',
        "qenergyz_receipt_seconds_count 1.0",
    ):
        assert line in text


async def test_a_database_that_is_away_gives_503_and_comes_back(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    hub.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    await gateway.send(gateway.seal())
    await hub.hub.db._pool.close()
    reply = await gateway.post(gateway.seal())
    assert (problem(reply), reply.status_code) == ("unavailable", 503)
    assert int(reply.headers["retry-after"]) > 0
    assert (await hub.client.get("/health")).json()["components"]["database"]["state"] == "down"
