"""What is held about a person, erasing it, and what stops that."""

import asyncio
import hashlib
import time
from typing import Any

import pytest

from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import PASSWORD, Browser, slug, team


@pytest.fixture
async def ada(hub: TestHub) -> Browser:
    return await team(hub, "ada", Role.ADMIN)


@pytest.fixture
async def carl(hub: TestHub) -> Browser:
    return await team(hub, "carl", Role.COMPLIANCE_OFFICER)


async def erase(ada: Browser, carl: Browser, person: int) -> Any:
    asked = await ada.ask("POST", f"/v1/people/{person}/erasure")
    assert asked.status_code == 202, asked.text
    decision = {"agree": True, "reason": "the person asked for it"}
    return await carl.ask("POST", f"/v1/approvals/{asked.json()['approval']['id']}/decision", json=decision)


async def test_a_person_gets_everything_that_is_held_about_them_and_no_secret(hub: TestHub, ada: Browser) -> None:
    tara = await team(hub, "tara", Role.TRADER)
    key, codes = await tara.set_up_totp(int(time.time()))
    made = await tara.ask("POST", "/v1/tokens", json={"name": "screen", "scopes": ["read:deals"], "days": 1})
    mine = await tara.ask("GET", "/v1/me/data")
    found = mine.json()
    assert (found["person"]["name"], found["person"]["has_totp"]) == ("tara", True)
    assert [one["name"] for one in found["api_tokens"]] == ["screen"]
    assert [one["name"] for one in found["actions"]] == ["set-up-totp", "make-token"]
    assert (len(found["sessions"]), found["recovery_codes"]) == (1, [{"made": 10, "used": 0}])
    for secret in (PASSWORD, "argon2", key.hex(), codes[0], tara.cookie, made.json()["token"]):
        assert secret not in mine.text
    assert (await ada.ask("GET", f"/v1/people/{tara.person}/data")).json()["person"] == found["person"]


async def test_an_erased_person_is_a_pseudonym_everywhere_and_the_log_still_holds(hub: TestHub, ada: Browser, carl: Browser) -> None:
    tara = await team(hub, "tara-surname", Role.TRADER)
    await tara.set_up_totp(int(time.time()))
    await tara.ask("POST", "/v1/tokens", json={"name": "screen", "scopes": ["read:deals"], "days": 1})
    before = hub.rows("SELECT digest FROM action ORDER BY action_id")
    assert (await erase(ada, carl, tara.person)).json()["subject_name"] == f"erased-{tara.person}"
    for table in (
        "person",
        "session",
        "passkey",
        "recovery_code",
        "challenge",
        "refresh_token",
        "action",
        "approval",
        "api_token",
        "log_entry",
    ):
        assert "surname" not in str(hub.rows(f"SELECT t::text FROM {table} t")).lower(), table
    actions = hub.rows("SELECT digest, document FROM action ORDER BY action_id")
    assert [row[0] for row in actions[: len(before)]] == [row[0] for row in before]
    assert all(hashlib.sha256(text.encode()).digest() == digest for digest, text in actions)
    async with asyncio.timeout(20):
        while hub.rows("SELECT count(*) FROM log_entry WHERE position IS NULL") != [(0,)]:
            await asyncio.sleep(0.05)
    logged = {row[0] for row in hub.rows("SELECT entry FROM log_entry")}
    assert {row[0] for row in actions} <= logged
    journal = (await carl.ask("GET", "/v1/journal", params={"by": f"person/{tara.person}"})).json()["journal"]
    assert {one["by_name"] for one in journal} == {f"erased-{tara.person}"}
    assert (await tara.ask("GET", "/v1/session")).status_code == 401
    assert (await tara.sign_in("tara-surname")).status_code == 401
    assert slug(await ada.ask("GET", f"/v1/people/{tara.person}")) == "not-found"
    again = {"name": "tara-surname", "display": "Another Tara", "role": "operator"}
    assert (await ada.ask("POST", "/v1/people", json=again)).status_code == 201


async def test_a_legal_hold_stops_the_erasure_also_when_it_was_agreed_to(hub: TestHub, ada: Browser, carl: Browser) -> None:
    tara = await team(hub, "tara", Role.TRADER)
    asked = await ada.ask("POST", f"/v1/people/{tara.person}/erasure")
    assert (await ada.ask("PUT", f"/v1/people/{tara.person}/hold", json={"reason": "court order 17"})).status_code == 204
    path = f"/v1/approvals/{asked.json()['approval']['id']}/decision"
    stopped = await carl.ask("POST", path, json={"agree": True, "reason": "yes"})
    assert slug(stopped) == "conflict"
    assert "court order 17" in stopped.json()["detail"]
    assert hub.rows("SELECT name FROM person WHERE name = 'tara'") == [("tara",)]
    assert slug(await ada.ask("POST", f"/v1/people/{tara.person}/erasure")) == "conflict"
    assert (await ada.ask("DELETE", f"/v1/people/{tara.person}/hold")).status_code == 204
    assert (await carl.ask("POST", path, json={"agree": True, "reason": "now"})).json()["state"] == "agreed"


async def test_nobody_erases_themselves_or_the_last_admin(hub: TestHub, ada: Browser, carl: Browser) -> None:
    assert slug(await ada.ask("POST", f"/v1/people/{ada.person}/erasure")) == "forbidden"
    bob = await team(hub, "bob", Role.ADMIN)
    asked = await bob.ask("POST", f"/v1/people/{ada.person}/erasure")
    version = (await ada.ask("GET", f"/v1/people/{bob.person}")).headers["etag"]
    assert (await ada.ask("PATCH", f"/v1/people/{bob.person}", headers={"if-match": version}, json={"disabled": True})).status_code == 200
    path = f"/v1/approvals/{asked.json()['approval']['id']}/decision"
    assert slug(await carl.ask("POST", path, json={"agree": True, "reason": "yes"})) == "conflict"
    assert hub.rows("SELECT count(*) FROM person WHERE erased_us IS NOT NULL") == [(0,)]
