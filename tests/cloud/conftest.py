"""Real PostgreSQL for the hub's tests: one cluster per test process, one database per test, copied from a migrated template."""

import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cloud.app import create_app
from cloud.config import HubConfig, Limits
from cloud.db import migrate
from cloud.hub import Hub
from cloud.identity import store
from cloud.identity.credentials import TOKEN_PREFIX, VOUCHER_PREFIX, hash_secret, make_secret
from cloud.postgres import Cluster
from tests.cloud.gateway import Gateway

HOUR_US = 3_600_000_000
LIMITS = Limits(
    receipt_wait_s=5.0,
    integrate_interval_s=0.005,
    sweep_interval_s=0.1,
    connections=6,
    connection_wait_s=5.0,
    push_back_s=0.0,
    requests_per_minute=1e9,
    requests_burst=1e9,
)
_numbers = itertools.count()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="qz-pg-"))
    made = Cluster(folder / "pg", {"fsync": "off", "full_page_writes": "off"})
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    migrate(cluster.url("migrated"))
    return "migrated"


@pytest.fixture
def database_url(cluster: Cluster, template: str) -> Iterator[str]:
    name = f"t{next(_numbers)}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[arg-type]
        yield cluster.url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


class TestHub:
    """A hub with its client, and the means an operator has."""

    __test__ = False

    def __init__(self, hub: Hub, client: httpx.AsyncClient, database_url: str) -> None:
        self.hub, self.client, self.database_url = hub, client, database_url

    async def tenant(self, name: str = "default") -> store.Tenant:
        return await store.ensure_tenant(self.hub.db, name, self.hub.config.name, 1)

    async def voucher(self, gateway: str, tenant: str = "default", hours: float = 1.0) -> str:
        secret = make_secret(VOUCHER_PREFIX)
        now_us = time.time_ns() // 1000
        tenant_id = (await self.tenant(tenant)).tenant_id
        await store.add_voucher(self.hub.db, tenant_id, hash_secret(secret), gateway, now_us - 2 * HOUR_US, now_us + int(hours * HOUR_US))
        return secret

    async def token(self, tenant: str = "default", scopes: tuple[str, ...] = ("read",)) -> dict[str, str]:
        secret = make_secret(TOKEN_PREFIX)
        await store.add_token(self.hub.db, (await self.tenant(tenant)).tenant_id, hash_secret(secret), "test", scopes, 1, None)
        return {"authorization": f"Bearer {secret}"}

    async def gateway(self, name: str = "rig1", tenant: str = "default", *, table: bool = True, tags: int = 4) -> Gateway:
        made = Gateway(self.client, name, tags=tags)
        assert (await made.enrol(await self.voucher(name, tenant))).status_code == 201
        if table:
            assert (await made.put_table()).status_code == 201
        return made

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """As the superuser, who sees every tenant."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def stored(self) -> tuple[int, int, int]:
        """Batches, log entries, equivocations: what a refusal must not change."""
        return self.rows("SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM log_entry), (SELECT count(*) FROM equivocation)")[0]  # type: ignore[return-value]


RunHub = Callable[..., Any]


@pytest.fixture
def run_hub(database_url: str, tmp_path: Path) -> RunHub:
    """`async with run_hub(**limits) as hub`; may be called again to restart it on the same data."""

    @asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[TestHub]:
        app = create_app(HubConfig(tmp_path / "data", limits=replace(LIMITS, **changes)), database_url)
        async with (
            app.state.hub,
            httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://hub", timeout=30) as client,
        ):
            yield TestHub(app.state.hub, client, database_url)

    return run


@pytest.fixture
async def hub(run_hub: RunHub) -> AsyncIterator[TestHub]:
    async with run_hub() as running:
        yield running


Make = Callable[..., Awaitable[Gateway]]
