"""What the hub tells a collector: ingest goes on with the agent's trace, then the log is sealed."""

import asyncio
from pathlib import Path

import httpx

from cloud.app import create_app
from cloud.config import HubConfig
from tests.cloud.conftest import LIMITS, TestHub
from tests.cloud.gateway import SEQUENCE
from tests.fakes import RecordedTracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_ingest_goes_on_with_the_trace_of_the_agent_and_the_log_is_sealed(database_url: str, tmp_path: Path) -> None:
    tracing = RecordedTracing()
    app = create_app(HubConfig(tmp_path / "data", limits=LIMITS), database_url, tracing=tracing)
    async with app.state.hub, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub", timeout=30) as client:
        gateway = await TestHub(app.state.hub, client, database_url).gateway()
        sealed = gateway.seal()
        reply = await client.post("/v1/batches", content=sealed, headers={**SEQUENCE, "traceparent": PARENT})
        assert reply.status_code == 200
        async with asyncio.timeout(5):
            while not tracing.named("seal"):
                await asyncio.sleep(0.01)
    ((parent, ingest),) = [(parent, found) for name, parent, found in tracing.spans if name == "ingest"]
    assert (parent, ingest) == (PARENT, {"bytes": len(sealed)})
    assert tracing.named("seal")[0]["entries"] == 1
    assert {key for _, _, found in tracing.spans for key in found} <= {"bytes", "tenant", "entries", "size", "results"}
