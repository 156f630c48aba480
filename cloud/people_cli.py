"""`qenergyz hub tenant` and `qenergyz hub person`: a tenant with its settings and first admin, and people, without a page. For the first start,
the demo, and an operator of the hub who has to let somebody in again.

What is done here is an action in the tenant's journal, by "command line".
"""

import argparse
import base64
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cloud.audit import actions
from cloud.audit.actions import Action
from cloud.data_folder import CommandError, find_tenant, running, with_database
from cloud.db import Connection, Database
from cloud.document import is_zone
from cloud.identity import people_store, session_store, store, tenants
from cloud.identity.actor import COMMAND_LINE
from cloud.identity.credentials import hash_secret, is_name, make_secret
from cloud.identity.login import CHALLENGE_PREFIX, totp_uri
from cloud.identity.passwords import Sealer, WeakPassword, check_strength, hash_password
from cloud.identity.people import INVITATION, INVITATION_US
from cloud.identity.people_store import Person
from cloud.identity.roles import Role
from cloud.identity.store import Tenant
from cloud.identity.tenants import JURISDICTIONS, Settings

KEYS: Final = "keys"


def add_parsers(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    tenant_parser = add("tenant", "make a tenant, or change the settings of one, and invite its first admin")
    tenant_parser.add_argument("--name", required=True)
    tenant_parser.add_argument("--admin", metavar="NAME", help="invite this person as admin; their page for choosing a password is printed")
    tenant_parser.add_argument("--jurisdiction", choices=JURISDICTIONS)
    tenant_parser.add_argument("--zone", metavar="ZONE", help="time zone, such as America/Guyana")
    tenant_parser.add_argument("--gateways", type=int, help="how many gateways it may have")
    tenant_parser.add_argument("--people", type=int, help="how many people it may have")
    tenant_parser.add_argument("--batches-per-second", type=float, help="of all its gateways together")
    tenant_parser.add_argument("--retention-days", type=int, help="how long data are to be kept")
    person_parser = add("person", "make a person; the password is generated and printed unless it is given")
    person_parser.add_argument("--name", required=True, help="what they sign in with")
    person_parser.add_argument("--role", required=True, choices=[role.value for role in Role])
    person_parser.add_argument("--display", help="what others see (default: the name)")
    person_parser.add_argument("--tenant", default="default")
    person_parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    person_parser.add_argument("--invite", action="store_true", help="no password: print the page where they choose one")
    person_parser.add_argument("--totp", action="store_true", help="set up one-time codes and print the key for an authenticator")


async def record(connection: Connection, tenant: Tenant, name: str, subject: str, detail: dict[str, Any]) -> None:
    """In the transaction that does it. A running hub finds the entry by itself."""
    await actions.record(connection, tenant.tenant_id, time.time_ns() // 1000, Action(COMMAND_LINE, name, subject, detail))


def tenant(options: argparse.Namespace) -> int:
    if not is_name(options.name) or set("._") & set(options.name):
        raise CommandError(f'--name: expected lower-case letters, digits and "-", found "{options.name}"')
    if options.zone is not None and not is_zone(options.zone):
        raise CommandError(f'--zone: expected a time zone such as America/Guyana, found "{options.zone}"')
    for name in ("gateways", "people", "batches_per_second", "retention_days"):
        if (given := getattr(options, name)) is not None and given <= 0:
            raise CommandError(f"--{name.replace('_', '-')} must be more than 0, found {given}")

    async def make(db: Database) -> tuple[str, str | None]:
        first = (await store.tenants(db))[:1]
        if not first:
            raise CommandError("start the hub once before making tenants: it sets the name that log origins begin with")
        now_us = time.time_ns() // 1000
        made = await store.ensure_tenant(db, options.name, first[0].origin.rpartition("/")[0], now_us)
        async with db.tenant(made.tenant_id) as connection:
            before = await tenants.read(connection, made.tenant_id)
            after = _settings(before, options)
            if after != before:
                await tenants.write(connection, made.tenant_id, after, now_us)
                changed = {key: value for key, value in after.document().items() if before.document()[key] != value}
                await record(connection, made, "change-tenant", "tenant", {"version": after.version + 1, "changed": changed})
            secret = None
            if options.admin:
                secret = await _invite(connection, await _add(connection, made, _Wish(options.admin, options.admin, Role.ADMIN)))
        return made.origin, secret

    origin, invitation = with_database(options, make)
    print(origin)
    if invitation:
        print(f"invitation for {options.admin}, good for 3 days: {_page(options, invitation)}")
    return 0


def _settings(before: Settings, options: argparse.Namespace) -> Settings:
    given = {
        name: getattr(options, name) for name in ("jurisdiction", "zone", "gateways", "people", "batches_per_second", "retention_days")
    }
    return replace(before, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class _Wish:
    """password: hashed, '' = none."""

    name: str
    display: str
    role: Role
    password: str = ""


def person(options: argparse.Namespace) -> int:
    if options.invite and (options.password_stdin or options.totp):
        raise CommandError("--invite lets the person choose a password and second factors; leave out --password-stdin and --totp")
    password = "" if options.invite else _password(options)
    wish = _Wish(options.name, options.display or options.name, Role(options.role), hash_password(password) if password else "")
    sealer = Sealer(Path(options.data).resolve() / KEYS / "people.key")
    key = secrets.token_bytes(20)

    async def make(db: Database) -> str | None:
        found = await find_tenant(db, options.tenant)
        async with db.tenant(found.tenant_id) as connection:
            made = await _add(connection, found, wish)
            if options.totp:
                await people_store.set_totp(connection, made.tenant_id, made.id, sealer.seal(key, made.place), 0)
                await record(connection, found, "set-up-totp", made.ref, {})
            return await _invite(connection, made) if options.invite else None

    invitation = with_database(options, make)
    if invitation:
        print(f"invitation: {_page(options, invitation)}")
    elif not options.password_stdin:
        print(f"password: {password}")
    if options.totp:
        print(f"totp key: {base64.b32encode(key).decode()}")
        print(f"totp uri: {totp_uri(key, options.name.strip().lower(), options.tenant)}")
    return 0


def _password(options: argparse.Namespace) -> str:
    if not options.password_stdin:
        return secrets.token_urlsafe(15)
    given = sys.stdin.readline().rstrip("\r\n")
    try:
        check_strength(given, options.name, options.display or options.name)
    except WeakPassword as error:
        raise CommandError(f"the password: {error}") from error
    return given


async def _add(connection: Connection, found: Tenant, wish: _Wish) -> Person:
    now_us = time.time_ns() // 1000
    arguments = (connection, found.tenant_id, found.name, wish.name, wish.display, wish.role.value, now_us, wish.password)
    person_id = await people_store.add(*arguments)
    if person_id is None:
        raise CommandError(f'tenant "{found.name}" has a person "{wish.name.strip().lower()}" already; choose another name')
    made = await people_store.by_id(connection, found.tenant_id, person_id)
    assert made is not None
    await record(connection, found, "make-person", made.ref, {"role": wish.role.value})
    return made


async def _invite(connection: Connection, made: Person) -> str:
    secret = make_secret(CHALLENGE_PREFIX)
    ends_us = time.time_ns() // 1000 + INVITATION_US
    await session_store.add_challenge(connection, made.tenant_id, hash_secret(secret), made.id, INVITATION, ends_us)
    return secret


def _page(options: argparse.Namespace, invitation: str) -> str:
    """Behind the # it is sent to no server and stands in no log."""
    state = running(options.data)
    return f"{state['url'] if state else 'https://ADDRESS-OF-THE-HUB'}/welcome#invitation={invitation}"
