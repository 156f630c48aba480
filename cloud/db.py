"""The database: migrations, the pool, and the only three ways to open a transaction.

    async with db.tenant(tenant_id) as connection: ...     rows of one tenant
    async with db.credential(hash) as connection: ...      the one row found by a credential, before the tenant is known
    async with db.jobs() as connection: ...                the list of tenants

Isolation is the database's work (row security, forced); this module only states who asks. The application role owns nothing, and its
settings last for one transaction. `Unavailable` says the database cannot be reached at the moment; nothing was committed that was
reported as committed.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from cloud.config import Limits

MIGRATIONS: Final = Path(__file__).parent / "migrations"
ROLLBACK_S: Final = 5.0  # a connection that does not even roll back is closed
_MIGRATION_LOCK: Final = 0x716E6572  # any number that only migrations use
_BEGIN: Final = "BEGIN; SET LOCAL ROLE qenergyz_app; SET LOCAL app.tenant = {}; SET LOCAL app.credential = {}; SET LOCAL app.job = {}"

_AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout, PoolClosed)

Connection = psycopg.AsyncConnection[tuple[object, ...]]


class Unavailable(Exception):
    """The database cannot be reached; try again later."""


class MigrationError(Exception):
    """The database was made by another version of the migrations."""


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, in order, each in its own transaction. Returns the names applied. Raises MigrationError when an applied file was changed."""
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    applied = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration (name text PRIMARY KEY, sha256 text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
        )
        known: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM schema_migration").fetchall())
        if unknown := sorted(set(known) - {file.name for file in files}):
            raise MigrationError(f"the database has migrations this version does not know: {', '.join(unknown)}; use the newer version")
        for file in files:
            text = file.read_text(encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            if file.name in known:
                if known[file.name] != digest:
                    raise MigrationError(f"{file.name} was changed after it had been applied; migrations only go forward")
                continue
            with connection.transaction():
                connection.execute(sql.SQL(text))
                connection.execute("INSERT INTO schema_migration (name, sha256) VALUES (%s, %s)", (file.name, digest))
            applied.append(file.name)
    return applied


async def _assume_role(connection: Connection) -> None:
    await connection.execute("SET ROLE qenergyz_app")


class Database:
    """The pool. `async with Database(url, limits) as db`."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._size = limits.connections + 1
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=2,
            max_size=limits.connections,
            open=False,
            timeout=limits.connection_wait_s,
            reconnect_timeout=5.0,
            kwargs={"autocommit": True, "application_name": "qenergyz hub", "connect_timeout": 5},
            configure=_assume_role,
            name="hub",
        )

    async def __aenter__(self) -> "Database":
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close(timeout=2.0)

    def tenant(self, tenant_id: int) -> AbstractAsyncContextManager[Connection]:
        return self._transaction(tenant=str(tenant_id))

    def credential(self, credential: bytes) -> AbstractAsyncContextManager[Connection]:
        return self._transaction(credential=credential.hex())

    def jobs(self) -> AbstractAsyncContextManager[Connection]:
        return self._transaction(job="tenants")

    @asynccontextmanager
    async def _transaction(self, tenant: str = "0", credential: str = "", job: str = "") -> AsyncIterator[Connection]:
        """Every setting is stated anew and ends with the transaction, so a pooled connection carries nothing from one user to the next.
        Tenant 0 is nobody.
        """
        begin = sql.SQL(_BEGIN).format(tenant, credential, job)
        try:
            connection = await self._begin(begin)
            try:
                yield connection
                await connection.execute("COMMIT")
            finally:
                await self._give_back(connection)
        except _AWAY as error:
            raise Unavailable(str(error).strip() or type(error).__name__) from error

    async def _begin(self, begin: sql.Composed) -> Connection:
        """A connection with an open transaction. One that died in the pool, as all do when the database restarts, is replaced."""
        for _ in range(self._size):
            connection = await self._pool.getconn()
            try:
                await connection.execute(begin)
            except psycopg.OperationalError:
                await self._pool.putconn(connection)
            except BaseException:
                await self._give_back(connection)
                raise
            else:
                return connection
        raise psycopg.OperationalError("every connection is broken")

    async def _give_back(self, connection: Connection) -> None:
        """Whatever happened, no transaction stays open."""
        try:
            if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                async with asyncio.timeout(ROLLBACK_S):
                    await connection.rollback()
        except (psycopg.Error, TimeoutError):
            await connection.close()
        finally:
            await self._pool.putconn(connection)

    async def alive(self) -> str | None:
        """None, or why the database cannot be used."""
        try:
            async with self.jobs() as connection:
                await connection.execute("SELECT 1")
        except Unavailable as error:
            return str(error)
        return None
