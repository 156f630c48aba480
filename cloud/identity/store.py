"""SQL of tenants, gateways, their keys, vouchers and tokens."""

from dataclasses import dataclass
from typing import Any

from cloud.db import Connection, Database
from cloud.identity.credentials import Principal


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant_id: int
    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class Voucher:
    tenant_id: int
    gateway: str
    expires_us: int
    used_us: int | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An enrolled key and the gateway it belongs to. batches_per_second: quota of the tenant, None without one."""

    tenant_id: int
    gateway_id: int
    kid: bytes
    algorithm: int
    public: bytes
    not_before_us: int
    revoked_us: int | None
    urn: str
    gateway: str
    batches_per_second: float | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    kid: bytes
    algorithm: int
    not_before_us: int
    revoked_us: int | None

    def state(self, now_us: int) -> str:
        if self.revoked_us is None:
            return "good"
        return "good until" if now_us < self.revoked_us else "ended"


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    name: str
    urn: str
    last_seen_us: int | None
    backlog: int
    keys: tuple[ListedKey, ...]

    def document(self, now_us: int) -> dict[str, Any]:
        keys = [
            {
                "kid": key.kid.hex(),
                "algorithm": key.algorithm,
                "not_before_us": key.not_before_us,
                "ends_us": key.revoked_us,
                "state": key.state(now_us),
            }
            for key in self.keys
        ]
        return {"gateway": self.name, "urn": self.urn, "last_seen_us": self.last_seen_us, "backlog": self.backlog, "keys": keys}


async def tenants(db: Database) -> list[Tenant]:
    async with db.jobs() as connection:
        cursor = await connection.execute("SELECT tenant_id, name, origin FROM tenant ORDER BY tenant_id")
        rows: list[Any] = await cursor.fetchall()
    return [Tenant(*row) for row in rows]


async def ensure_tenant(db: Database, name: str, hub: str, at_us: int) -> Tenant:
    async with db.jobs() as connection:
        await connection.execute(
            "INSERT INTO tenant (name, origin, created_us) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
            (name, f"{hub}/{name}", at_us),
        )
        cursor = await connection.execute("SELECT tenant_id, name, origin FROM tenant WHERE name = %s", (name,))
        row: Any = await cursor.fetchone()
    return Tenant(*row)


async def tenant_by_name(db: Database, name: str) -> Tenant | None:
    return next((tenant for tenant in await tenants(db) if tenant.name == name), None)


async def tenant_by_id(db: Database, tenant_id: int) -> Tenant:
    async with db.tenant(tenant_id) as connection:
        cursor = await connection.execute("SELECT tenant_id, name, origin FROM tenant WHERE tenant_id = %s", (tenant_id,))
        row: Any = await cursor.fetchone()
    if row is None:
        raise LookupError(f"tenant {tenant_id}")
    return Tenant(*row)


async def add_voucher(db: Database, tenant_id: int, hashed: bytes, gateway: str, created_us: int, expires_us: int) -> None:
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "INSERT INTO voucher (tenant_id, hash, gateway, created_us, expires_us) VALUES (%s, %s, %s, %s, %s)",
            (tenant_id, hashed, gateway, created_us, expires_us),
        )


async def find_voucher(db: Database, hashed: bytes) -> Voucher | None:
    async with db.credential(hashed) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, gateway, expires_us, used_us FROM voucher WHERE hash = %s AND ended_us IS NULL", (hashed,)
        )
        row: Any = await cursor.fetchone()
    return Voucher(*row) if row else None


async def use_voucher(connection: Connection, tenant_id: int, hashed: bytes, at_us: int) -> bool:
    """True for the one caller who gets it. Part of the transaction that enrols the key."""
    cursor = await connection.execute(
        "UPDATE voucher SET used_us = %s WHERE tenant_id = %s AND hash = %s AND used_us IS NULL AND ended_us IS NULL AND expires_us > %s",
        (at_us, tenant_id, hashed, at_us),
    )
    return cursor.rowcount == 1


async def enrol(
    connection: Connection, tenant_id: int, gateway: str, urn: str, kid: bytes, algorithm: int, public: bytes, at_us: int
) -> bool:
    """Make the gateway where it is new and give it the key. False when another gateway already has this key."""
    cursor = await connection.execute(
        "INSERT INTO gateway (tenant_id, name, urn, enrolled_us) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (tenant_id, name) DO UPDATE SET enrolled_us = excluded.enrolled_us RETURNING gateway_id",
        (tenant_id, gateway, urn, at_us),
    )
    row: Any = await cursor.fetchone()
    cursor = await connection.execute(
        "INSERT INTO gateway_key (tenant_id, gateway_id, kid, algorithm, public, not_before_us) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (kid) DO NOTHING",
        (tenant_id, row[0], kid, algorithm, public, at_us),
    )
    return cursor.rowcount == 1


async def find_key(db: Database, kid: bytes) -> KeyRow | None:
    async with db.credential(kid) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, gateway_id, kid, algorithm, public, not_before_us, revoked_us FROM gateway_key WHERE kid = %s", (kid,)
        )
        key: Any = await cursor.fetchone()
        if key is None:
            return None
        await connection.execute("SELECT set_config('app.tenant', %s, true)", (str(key[0]),))
        cursor = await connection.execute(
            "SELECT urn, name, (SELECT (document->>'batches_per_second')::float8 FROM tenant_setting WHERE tenant_id = gateway.tenant_id)"
            " FROM gateway WHERE tenant_id = %s AND gateway_id = %s",
            (key[0], key[1]),
        )
        gateway: Any = await cursor.fetchone()
    return KeyRow(*key, *gateway)


async def gateway_keys(db: Database, tenant_id: int) -> list[GatewayKeys]:
    """Every gateway with its keys, oldest first."""
    async with db.tenant(tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT gateway.name, urn, last_seen_us, backlog, kid, algorithm, not_before_us, revoked_us FROM gateway"
            " LEFT JOIN gateway_key USING (tenant_id, gateway_id) WHERE tenant_id = %s ORDER BY gateway.name, not_before_us",
            (tenant_id,),
        )
        rows: list[Any] = await cursor.fetchall()
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return [
        GatewayKeys(name, of[0][1], of[0][2], of[0][3], tuple(ListedKey(*row[4:]) for row in of if row[4] is not None))
        for name, of in found.items()
    ]


async def key_ends(connection: Connection, tenant_id: int, now_us: int) -> dict[int, dict[str, Any]]:
    """By gateway: how its key stands that has no end or, where all have one, ends last. Without a key: ended."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (gateway_id) gateway_id, kid, algorithm, not_before_us, revoked_us FROM gateway"
        " LEFT JOIN gateway_key USING (tenant_id, gateway_id) WHERE tenant_id = %s ORDER BY gateway_id, revoked_us DESC NULLS FIRST",
        (tenant_id,),
    )
    rows: list[Any] = await cursor.fetchall()
    return {row[0]: {"state": ListedKey(*row[1:]).state(now_us) if row[1] else "ended", "ends_us": row[4]} for row in rows}


async def has_gateway(db: Database, tenant_id: int, gateway: str) -> bool:
    async with db.tenant(tenant_id) as connection:
        cursor = await connection.execute("SELECT 1 FROM gateway WHERE tenant_id = %s AND name = %s", (tenant_id, gateway))
        return await cursor.fetchone() is not None


async def add_key(connection: Connection, old: KeyRow, kid: bytes, algorithm: int, public: bytes, at_us: int, old_ends_us: int) -> bool:
    """Give the gateway of `old` another key and let the old one end; an end that was set before is not moved. False when the key is known."""
    cursor = await connection.execute(
        "INSERT INTO gateway_key (tenant_id, gateway_id, kid, algorithm, public, not_before_us) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (kid) DO NOTHING",
        (old.tenant_id, old.gateway_id, kid, algorithm, public, at_us),
    )
    if cursor.rowcount != 1:
        return False
    await connection.execute(
        "UPDATE gateway_key SET revoked_us = %s WHERE tenant_id = %s AND kid = %s AND revoked_us IS NULL",
        (old_ends_us, old.tenant_id, old.kid),
    )
    return True


async def revoke_keys(db: Database, tenant_id: int, gateway: str, at_us: int) -> int:
    """In a transaction of its own."""
    async with db.tenant(tenant_id) as connection:
        return await revoke(connection, tenant_id, gateway, at_us)


async def revoke(connection: Connection, tenant_id: int, gateway: str, at_us: int) -> int:
    """All keys of a gateway that are good at `at_us`, those in their overlap too; returns how many."""
    cursor = await connection.execute(
        "UPDATE gateway_key SET revoked_us = %s FROM gateway WHERE gateway.tenant_id = %s AND gateway.name = %s"
        " AND gateway_key.tenant_id = gateway.tenant_id AND gateway_key.gateway_id = gateway.gateway_id"
        " AND (revoked_us IS NULL OR revoked_us > %s)",
        (at_us, tenant_id, gateway, at_us),
    )
    return cursor.rowcount


async def add_token(
    db: Database, tenant_id: int, hashed: bytes, name: str, scopes: tuple[str, ...], created_us: int, expires_us: int | None
) -> None:
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "INSERT INTO api_token (tenant_id, hash, name, scopes, created_us, expires_us) VALUES (%s, %s, %s, %s, %s, %s)",
            (tenant_id, hashed, name, list(scopes), created_us, expires_us),
        )


async def find_principal(db: Database, hashed: bytes, at_us: int) -> Principal | None:
    async with db.credential(hashed) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, name, scopes FROM api_token WHERE hash = %s AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > %s)",
            (hashed, at_us),
        )
        token: Any = await cursor.fetchone()
        if token is None:
            return None
        await connection.execute("SELECT set_config('app.tenant', %s, true)", (str(token[0]),))
        cursor = await connection.execute("SELECT name FROM tenant WHERE tenant_id = %s", (token[0],))
        tenant: Any = await cursor.fetchone()
    return Principal(token[0], tenant[0], token[1], tuple(token[2]))
