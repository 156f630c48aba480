"""cloud/db.py and the migrations: tenants stay apart whatever the code above does."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from cloud.config import Limits
from cloud.db import MIGRATIONS, Database, MigrationError, Unavailable, migrate
from tests.cloud.conftest import TestHub

REACHABLE = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull),
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND has_any_column_privilege('qenergyz_app', c.oid, 'SELECT, INSERT, UPDATE')
"""


def test_every_table_the_application_reaches_is_forced_to_one_tenant(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(REACHABLE).fetchall()
    assert len(tables) >= 16
    assert [row for row in tables if not (row[1] and row[2] and row[3] and row[4] >= 1)] == []


def test_the_application_role_owns_nothing_and_cannot_bypass_row_security(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        flags = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'qenergyz_app'"
        ).fetchone()
        owned = connection.execute("SELECT count(*) FROM pg_class WHERE relowner = 'qenergyz_app'::regrole").fetchone()
    assert flags == (False,) * 5
    assert owned == (0,)


def test_each_table_without_a_tenant_is_an_error(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = [row[0] for row in connection.execute(REACHABLE).fetchall()]
        connection.execute("INSERT INTO tenant (name, origin, created_us) VALUES ('a', 'hub/a', 1)")
        connection.execute("SET ROLE qenergyz_app")
        for table in tables:
            with pytest.raises(psycopg.Error, match=r"app\.tenant"):
                connection.execute(f"SELECT * FROM {table}")  # type: ignore[arg-type]
                connection.execute(f"INSERT INTO {table} (tenant_id) VALUES (1)")  # type: ignore[arg-type]


async def test_rows_of_another_tenant_are_neither_read_nor_written(hub: TestHub) -> None:
    mine, other = await hub.tenant("default"), await hub.tenant("other")
    await hub.gateway("rig1")
    async with hub.hub.db.tenant(other.tenant_id) as connection:
        rows = await (await connection.execute("SELECT name FROM gateway")).fetchall()
        changed = await connection.execute("UPDATE gateway SET backlog = 99")
        assert (rows, changed.rowcount) == ([], 0)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                "INSERT INTO gateway (tenant_id, name, urn, enrolled_us) VALUES (%s, 'x', 'urn:x', 1)", (mine.tenant_id,)
            )


async def test_a_pooled_connection_carries_no_tenant_after_an_aborted_request(database_url: str) -> None:
    async with Database(database_url, replace(Limits(), connections=2)) as db:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                async with db.tenant(7) as connection:
                    await connection.execute("SELECT 1")
                    raise ZeroDivisionError
            with pytest.raises(psycopg.errors.SyntaxError):
                async with db.tenant(7) as connection:
                    await connection.execute("nonsense")
            connection = await db._pool.getconn()
            with pytest.raises(psycopg.Error, match=r"integer|app\.tenant"):
                await connection.execute("SELECT * FROM gateway")
            await db._pool.putconn(connection)


async def test_a_cancelled_request_leaves_no_open_transaction(database_url: str) -> None:
    async with asyncio.timeout(60), Database(database_url, replace(Limits(), connections=2, connection_wait_s=20.0)) as db:
        inside = asyncio.Event()

        async def hang() -> None:
            async with db.tenant(7) as connection:
                inside.set()
                await connection.execute("SELECT pg_sleep(60)")

        for _ in range(3):
            inside.clear()
            task = asyncio.create_task(hang())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with db.jobs() as connection:
            rows = await (await connection.execute("SELECT current_setting('app.tenant'), current_user")).fetchall()
        assert rows == [("0", "qenergyz_app")]


async def test_what_was_signed_cannot_be_changed_by_the_application(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    for change in ("UPDATE batch SET statement = ''", "DELETE FROM batch", "DELETE FROM log_entry", "UPDATE log_checkpoint SET root = ''"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with hub.hub.db.tenant(1) as connection:
                await connection.execute(change)  # type: ignore[arg-type]


async def test_a_database_that_is_away_is_unavailable_and_comes_back(database_url: str) -> None:
    async with Database(database_url, replace(Limits(), connections=3)) as db:
        async with db.jobs() as connection:
            await connection.execute("SELECT 1")
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        async with db.jobs() as connection:  # every pooled connection was dead
            await connection.execute("SELECT 1")
    async with Database("postgresql://nobody@127.0.0.1:1/x", replace(Limits(), connection_wait_s=0.2)) as db:
        with pytest.raises(Unavailable):
            async with db.jobs():
                pass
        assert await db.alive()


def test_migrations_apply_once_and_refuse_to_be_changed(database_url: str, tmp_path: Path) -> None:
    assert migrate(database_url) == []
    for file in MIGRATIONS.glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "9999_more.sql").write_text("CREATE TABLE more (tenant_id integer NOT NULL);")
    assert migrate(database_url, tmp_path) == ["9999_more.sql"]
    (tmp_path / "9999_more.sql").write_text("CREATE TABLE less (tenant_id integer NOT NULL);")
    with pytest.raises(MigrationError, match="changed"):
        migrate(database_url, tmp_path)
    with pytest.raises(MigrationError, match="newer"):
        migrate(database_url)


def test_a_failing_migration_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    for file in MIGRATIONS.glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "9999_bad.sql").write_text("CREATE TABLE half (tenant_id integer); SELECT nonsense();")
    with pytest.raises(psycopg.Error):
        migrate(database_url, tmp_path)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
        name = hashlib.sha256((tmp_path / "9999_bad.sql").read_bytes()).hexdigest()
        assert connection.execute("SELECT count(*) FROM schema_migration WHERE sha256 = %s", (name,)).fetchone() == (0,)
