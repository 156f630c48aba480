"""The queries behind controls: what the database says now, in one order. Inside the caller's tenant transaction; only reading.

People are told by number, as the journal tells them. Not for judging what is found.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cloud.audit import store as audit_store
from cloud.db import Connection
from cloud.errors import Problem
from protocols.batch import checkpoint, merkle
from protocols.batch.errors import BadSignature, MalformedBatch

MOST_ENTRIES: Final = 2_000_000
MOST_ROWS: Final = 20_000
_AT_ONCE: Final = 4_000
Row = dict[str, Any]
Query = Callable[[Connection, int], Awaitable[list[Row]]]


async def _ask(connection: Connection, query: str, tenant_id: int) -> list[Row]:
    cursor = await connection.execute(query, {"tenant": tenant_id, "most": MOST_ROWS})
    rows: list[Any] = await cursor.fetchall()
    names = [column.name for column in cursor.description or ()]
    return [{name: value.hex() if isinstance(value, bytes) else value for name, value in zip(names, row, strict=True)} for row in rows]


async def access(connection: Connection, tenant_id: int) -> list[Row]:
    people = await _ask(
        connection,
        "SELECT 'person' AS kind, 'person/' || person_id AS who, role, disabled_us IS NOT NULL AS disabled, created_us,"
        " (SELECT to_char(to_timestamp(max(seen_us) / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM session"
        "  WHERE session.tenant_id = person.tenant_id AND session.person_id = person.person_id) AS last_seen"
        " FROM person WHERE tenant_id = %(tenant)s AND erased_us IS NULL ORDER BY person_id LIMIT %(most)s",
        tenant_id,
    )
    tokens = await _ask(
        connection,
        "SELECT 'token' AS kind, 'token/' || name AS who, scopes, created_us, expires_us AS ends_us, made_by FROM api_token"
        " WHERE tenant_id = %(tenant)s AND revoked_us IS NULL ORDER BY token_id LIMIT %(most)s",
        tenant_id,
    )
    return [*people, *tokens]


async def factors(connection: Connection, tenant_id: int) -> list[Row]:
    return await _ask(
        connection,
        "SELECT role, count(*)::integer AS people, (count(*) FILTER (WHERE totp IS NOT NULL OR EXISTS (SELECT FROM passkey"
        "  WHERE passkey.tenant_id = person.tenant_id AND passkey.person_id = person.person_id)))::integer AS with_factor"
        " FROM person WHERE tenant_id = %(tenant)s AND erased_us IS NULL AND disabled_us IS NULL GROUP BY role ORDER BY role LIMIT %(most)s",
        tenant_id,
    )


async def approvals(connection: Connection, tenant_id: int) -> list[Row]:
    return await _ask(
        connection,
        "SELECT approval_id AS approval, action, subject, asked_by, asked_us, decided_by, decided_us, agreed, reason FROM approval"
        " WHERE tenant_id = %(tenant)s ORDER BY approval_id DESC LIMIT %(most)s",
        tenant_id,
    )


async def timeline(connection: Connection, tenant_id: int) -> list[Row]:
    return await _ask(
        connection,
        "SELECT at_us, what, detail FROM ("
        " SELECT at_us, 'refused batch' AS what, slug AS detail, finding_id AS number FROM finding WHERE tenant_id = %(tenant)s"
        " UNION ALL SELECT received_us, 'contradicting batch', stream || '/' || epoch || '/' || seq, seq FROM equivocation"
        "  WHERE tenant_id = %(tenant)s"
        " UNION ALL SELECT at_us, name, subject, action_id FROM action WHERE tenant_id = %(tenant)s"
        "  AND name IN ('revoke-keys', 'refuse-orders', 'reset-person', 'end-token')"
        ") AS happened ORDER BY at_us DESC, what, detail, number LIMIT %(most)s",
        tenant_id,
    )


async def keys(connection: Connection, tenant_id: int) -> list[Row]:
    return await _ask(
        connection,
        "SELECT gateway.name AS gateway, kid AS key, algorithm, not_before_us, revoked_us AS ends_us FROM gateway_key"
        " JOIN gateway USING (tenant_id, gateway_id) WHERE tenant_id = %(tenant)s ORDER BY gateway.name, not_before_us, kid LIMIT %(most)s",
        tenant_id,
    )


async def gateways(connection: Connection, tenant_id: int) -> list[Row]:
    return await _ask(
        connection,
        "SELECT gateway.name AS gateway, urn, enrolled_us, newest.kid AS key, newest.algorithm, newest.revoked_us AS ends_us FROM gateway"
        " LEFT JOIN LATERAL (SELECT kid, algorithm, revoked_us FROM gateway_key WHERE gateway_key.tenant_id = gateway.tenant_id"
        "  AND gateway_key.gateway_id = gateway.gateway_id ORDER BY revoked_us DESC NULLS FIRST, not_before_us DESC LIMIT 1) AS newest ON true"
        " WHERE gateway.tenant_id = %(tenant)s ORDER BY gateway.name LIMIT %(most)s",
        tenant_id,
    )


async def isolation(connection: Connection, tenant_id: int) -> list[Row]:
    """Every table with a tenant in it, and the role that this very transaction runs as."""
    tables = await _ask(
        connection,
        "SELECT 'table' AS kind, c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AND count(p.polname) > 0 AS right,"
        " c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced, count(p.polname)::integer AS policies"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped"
        " LEFT JOIN pg_policy AS p ON p.polrelid = c.oid WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        " GROUP BY c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity ORDER BY c.relname LIMIT %(most)s",
        tenant_id,
    )
    role = await _ask(
        connection,
        "SELECT 'role' AS kind, rolname AS name, NOT rolsuper AND NOT rolbypassrls AS right, rolsuper AS superuser, rolbypassrls AS bypasses"
        " FROM pg_roles WHERE rolname = current_user",
        tenant_id,
    )
    return [*tables, *role]


QUERIES: Final[Mapping[str, Query]] = {
    "Q-01": access,
    "Q-02": factors,
    "Q-03": approvals,
    "Q-07": timeline,
    "Q-09": keys,
    "Q-10": isolation,
    "Q-11": gateways,
}
_DIGESTS: Final = {
    "evidence rows": "SELECT count(*), count(*) FILTER (WHERE sha256(document) <> digest) FROM evidence WHERE tenant_id = %s",
    "evidence contents": "SELECT count(*), count(*) FILTER (WHERE sha256(content) <> digest) FROM evidence_content WHERE tenant_id = %s",
    "actions": "SELECT count(*), count(*) FILTER (WHERE sha256(convert_to(document, 'UTF8')) <> digest) FROM action WHERE tenant_id = %s",
    "evidence rows in the log": "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM log_entry WHERE log_entry.tenant_id ="
    " evidence.tenant_id AND log_entry.entry = evidence.digest)) FROM evidence WHERE tenant_id = %s",
    "actions in the log": "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM log_entry WHERE log_entry.tenant_id ="
    " action.tenant_id AND log_entry.entry = action.digest)) FROM action WHERE tenant_id = %s",
    "batches in the log": "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM log_entry WHERE log_entry.tenant_id ="
    " batch.tenant_id AND log_entry.log_id = batch.log_id AND log_entry.entry = batch.entry)) FROM batch WHERE tenant_id = %s",
}


async def integrity(connection: Connection, tenant_id: int, log_key: str) -> list[Row]:
    """The newest checkpoint against its key and against the tree of all entries below it; documents against their digests."""
    stored = await audit_store.latest_checkpoint(connection, tenant_id)
    rows: list[Row] = []
    if stored is not None:
        if stored.size > MOST_ENTRIES:
            raise Problem("too-large", f"the log has {stored.size} entries, at most {MOST_ENTRIES} are computed anew at once")
        try:
            signed = checkpoint.verify(stored.text, log_key)
            right = (signed.size, signed.root) == (stored.size, stored.root)
        except (BadSignature, MalformedBatch):
            right = False
        rows.append({"check": "signature of the newest checkpoint", "right": right, "count": stored.size})
        found = await _root(connection, tenant_id, stored.size)
        rows.append({"check": "root of all entries", "right": found == stored.root, "count": stored.size, "root": stored.root.hex()})
    for name, query in _DIGESTS.items():
        cursor = await connection.execute(query, (tenant_id,))
        counted: Any = await cursor.fetchone()
        rows.append({"check": name, "right": counted[1] == 0, "count": counted[0], "wrong": counted[1]})
    return rows


async def _root(connection: Connection, tenant_id: int, size: int) -> bytes | None:
    """None when an entry below the size is missing."""
    tree = merkle.Tree()
    while tree.size < size:
        cursor = await connection.execute(
            "SELECT entry FROM log_entry WHERE tenant_id = %s AND position >= %s AND position < %s ORDER BY position",
            (tenant_id, tree.size, min(size, tree.size + _AT_ONCE)),
            binary=True,
        )
        entries: list[Any] = await cursor.fetchall()
        if len(entries) != min(size - tree.size, _AT_ONCE):
            return None
        for (entry,) in entries:
            tree.append(merkle.leaf_hash(bytes(entry)))
    return tree.root()
