"""People for tests: made in the database as `qenergyz hub person` does, and a browser's way of asking."""

import base64
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from cloud.identity import people_store, totp
from cloud.identity.passwords import hash_password
from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub

PASSWORD = "correct horse battery staple"
_HASHED = hash_password(PASSWORD)


async def add_person(hub: TestHub, name: str, role: Role, tenant: str = "default") -> int:
    found = await hub.tenant(tenant)
    async with hub.hub.db.tenant(found.tenant_id) as connection:
        person_id = await people_store.add(connection, found.tenant_id, tenant, name, name.title(), role.value, 1, _HASHED)
    assert person_id is not None
    return person_id


def slug(reply: httpx.Response) -> str:
    """Of a problem; the whole answer where it is none."""
    kind = reply.json().get("type", "") if reply.content else ""
    return str(kind).rpartition(":")[2] or f"{reply.status_code} {reply.text}"


def execute(hub: TestHub, statement: str) -> None:
    """As the superuser: what time or another hand would do."""
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


async def team(hub: TestHub, name: str, role: Role, tenant: str = "default") -> "Browser":
    """A new person, signed in."""
    person = await add_person(hub, name, role, tenant)
    browser = Browser(hub.client, person=person)
    assert (await browser.sign_in(name, tenant)).status_code == 201
    return browser


@dataclass
class Browser:
    """Keeps a cookie and a CSRF token as a page does."""

    client: httpx.AsyncClient
    csrf: str = ""
    cookie: str = ""
    person: int = 0

    async def sign_in(self, name: str, tenant: str = "default", password: str = PASSWORD) -> httpx.Response:
        reply = await self.client.post("/v1/session", json={"tenant": tenant, "name": name, "password": password})
        self.take(reply)
        return reply

    def take(self, reply: httpx.Response) -> None:
        self.client.cookies.clear()
        if reply.status_code == 201:
            self.cookie = reply.cookies["qz_session"]
            self.csrf = reply.json()["csrf"]

    async def ask(self, method: str, path: str, csrf: str | None = None, **more: Any) -> httpx.Response:
        headers = {"cookie": f"qz_session={self.cookie}", "x-csrf": self.csrf if csrf is None else csrf, **more.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **more)

    async def set_up_totp(self, now_s: int) -> tuple[bytes, list[str]]:
        """The key, and the recovery codes."""
        begun = (await self.ask("POST", "/v1/me/totp")).json()
        key = base64.b32decode(begun["key"])
        done = await self.ask("PUT", "/v1/me/totp", json={"challenge": begun["challenge"], "code": totp.code(key, now_s)})
        assert done.status_code == 200, done.text
        return key, done.json()["recovery_codes"]
