"""Inviting, changing, disabling and resetting people, and what needs two of them."""

import asyncio
from typing import Any

import psycopg
import pytest

from cloud.identity.roles import ROLES, STEP_UP_S, Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import PASSWORD, Browser, add_person, execute, slug, team


@pytest.fixture
async def ada(hub: TestHub) -> Browser:
    return await team(hub, "ada", Role.ADMIN)


async def invite(admin: Browser, name: str, role: str = "operator") -> Any:
    return await admin.ask("POST", "/v1/people", json={"name": name, "display": name.title(), "role": role})


async def change(admin: Browser, person: Any, version: int | None = None, **changes: Any) -> Any:
    headers = {"if-match": f'"{person["version"] if version is None else version}"'}
    return await admin.ask("PATCH", f"/v1/people/{person['id']}", headers=headers, json=changes)


async def accept(hub: TestHub, invitation: str, password: str = PASSWORD) -> Any:
    return await hub.client.post("/v1/invitations", json={"invitation": invitation, "password": password})


async def test_an_invited_person_chooses_a_password_and_is_in(hub: TestHub, ada: Browser) -> None:
    made = await invite(ada, "Olga")
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert (made.json()["person"]["name"], made.json()["person"]["state"]) == ("olga", "invited")
    weak = await accept(hub, made.json()["invitation"], "short")
    assert slug(weak) == "invalid-request"
    inside = await accept(hub, made.json()["invitation"])
    assert (inside.status_code, inside.json()["role"]) == (201, "operator")
    browser = Browser(hub.client)
    browser.take(inside)
    assert (await browser.ask("GET", "/v1/tags")).status_code == 200
    assert (await browser.sign_in("olga")).status_code == 201


async def test_an_invitation_is_good_once_for_three_days_and_only_the_newest_one(hub: TestHub, ada: Browser) -> None:
    made = (await invite(ada, "olga")).json()
    again = (await ada.ask("POST", f"/v1/people/{made['person']['id']}/reset")).json()
    assert slug(await accept(hub, made["invitation"])) == "wrong-credentials"
    assert (await accept(hub, again["invitation"])).status_code == 201
    assert slug(await accept(hub, again["invitation"])) == "wrong-credentials"
    late = (await invite(ada, "otto")).json()["invitation"]
    execute(hub, f"UPDATE challenge SET ends_us = ends_us - {3 * 86_400_000_000}")
    assert slug(await accept(hub, late)) == "wrong-credentials"


async def test_a_name_that_is_taken_is_refused(ada: Browser) -> None:
    assert slug(await invite(ada, "Ada")) == "conflict"


async def test_of_two_who_change_a_person_at_once_the_loser_is_told(hub: TestHub, ada: Browser) -> None:
    person = (await invite(ada, "olga")).json()["person"]
    bob = await team(hub, "bob", Role.ADMIN)
    replies = await asyncio.gather(change(ada, person, role="trader"), change(bob, person, role="auditor"))
    assert sorted(reply.status_code for reply in replies) == [200, 412]
    lost = next(reply for reply in replies if reply.status_code == 412)
    won = next(reply for reply in replies if reply.status_code == 200).json()["person"]
    assert lost.json()["version"] == won["version"] == 2
    now = await ada.ask("GET", f"/v1/people/{person['id']}")
    assert (now.json()["role"], now.headers["etag"]) == (won["role"], '"2"')


async def test_a_change_says_which_version_it_follows(ada: Browser) -> None:
    person = (await invite(ada, "olga")).json()["person"]
    assert slug(await ada.ask("PATCH", f"/v1/people/{person['id']}", json={"role": "trader"})) == "precondition-needed"
    assert slug(await ada.ask("PATCH", f"/v1/people/{person['id']}", headers={"if-match": "x"}, json={})) == "invalid-request"
    assert slug(await ada.ask("PATCH", "/v1/people/999999", headers={"if-match": '"1"'}, json={})) == "not-found"


async def test_a_disabled_person_is_out_at_once_with_every_token(hub: TestHub, ada: Browser) -> None:
    tara = await team(hub, "tara", Role.TRADER)
    made = await tara.ask("POST", "/v1/tokens", json={"name": "screen", "scopes": ["read:deals"], "days": 1})
    program = {"authorization": f"Bearer {made.json()['token']}"}
    assert (await hub.client.get("/v1/deals", headers=program)).status_code == 200
    person = (await ada.ask("GET", f"/v1/people/{tara.person}")).json()
    assert (await change(ada, person, disabled=True)).json()["person"]["state"] == "disabled"
    assert (await tara.ask("GET", "/v1/deals")).status_code == 401
    assert (await hub.client.get("/v1/deals", headers=program)).status_code == 401
    assert (await tara.sign_in("tara")).status_code == 401


async def test_a_new_role_counts_in_open_sessions_and_ends_tokens_that_go_beyond_it(hub: TestHub, ada: Browser) -> None:
    tara = await team(hub, "tara", Role.TRADER)
    made = [
        (await tara.ask("POST", "/v1/tokens", json={"name": scope, "scopes": [scope], "days": 1})).json()["token"]
        for scope in ("read:deals", "read:field")
    ]
    person = (await ada.ask("GET", f"/v1/people/{tara.person}")).json()
    assert (await change(ada, person, role="operator")).status_code == 200
    assert (await tara.ask("GET", "/v1/deals")).status_code == 403
    replies = [await hub.client.get("/v1/tags", headers={"authorization": f"Bearer {token}"}) for token in made]
    assert [reply.status_code for reply in replies] == [401, 200]


async def test_a_reset_takes_password_factors_and_sessions(hub: TestHub, ada: Browser) -> None:
    import time

    tara = await team(hub, "tara", Role.TRADER)
    await tara.set_up_totp(int(time.time()))
    again = await ada.ask("POST", f"/v1/people/{tara.person}/reset")
    assert again.json()["person"]["second_factors"] == []
    assert (await tara.ask("GET", "/v1/session")).status_code == 401
    assert (await tara.sign_in("tara")).status_code == 401
    assert (await accept(hub, again.json()["invitation"], "quite another password")).status_code == 201
    assert slug(await ada.ask("POST", f"/v1/people/{ada.person}/reset")) == "forbidden"


async def test_nobody_changes_their_own_role_and_one_admin_is_always_left(hub: TestHub, ada: Browser) -> None:
    me = (await ada.ask("GET", f"/v1/people/{ada.person}")).json()
    for wish in ({"role": "trader"}, {"disabled": True}):
        assert slug(await change(ada, me, **wish)) == "forbidden"
    assert (await change(ada, me, display="Ada L.")).json()["person"]["display"] == "Ada L."
    bob = await team(hub, "bob", Role.ADMIN)
    people = {one["name"]: one for one in (await ada.ask("GET", "/v1/people")).json()["people"]}
    ways = [change(ada, people["bob"], disabled=True), change(bob, people["ada"], disabled=True)]
    replies = await asyncio.gather(*ways)
    assert sorted(reply.status_code for reply in replies) in ([200, 401], [200, 409])
    assert hub.rows("SELECT count(*) FROM person WHERE role = 'admin' AND disabled_us IS NULL") == [(1,)]


async def test_an_admin_who_never_came_in_is_not_counted_as_one(hub: TestHub, ada: Browser) -> None:
    bob = await team(hub, "bob", Role.ADMIN)
    execute(hub, "UPDATE person SET password = '' WHERE name = 'bob'")
    me = (await bob.ask("GET", f"/v1/people/{ada.person}")).json()
    assert slug(await change(bob, me, role="trader")) == "conflict"


async def test_an_admin_comes_in_only_when_somebody_else_has_agreed(hub: TestHub, ada: Browser) -> None:
    carl = await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    made = await invite(ada, "bob", "admin")
    assert made.status_code == 202
    assert slug(await accept(hub, made.json()["invitation"])) == "wrong-credentials"
    enabled = await change(ada, made.json()["person"], disabled=False)
    assert slug(enabled) == "conflict"
    path = f"/v1/approvals/{made.json()['approval']['id']}/decision"
    assert slug(await ada.ask("POST", path, json={"agree": True, "reason": "I say so"})) == "forbidden"
    assert (await carl.ask("POST", path, json={"agree": True, "reason": "known to me"})).json()["state"] == "agreed"
    assert slug(await carl.ask("POST", path, json={"agree": False, "reason": "after all"})) == "conflict"
    assert (await accept(hub, made.json()["invitation"])).json()["role"] == "admin"


async def test_a_declined_or_expired_request_changes_nothing(hub: TestHub, ada: Browser) -> None:
    carl = await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    tara = await team(hub, "tara", Role.TRADER)
    person = (await ada.ask("GET", f"/v1/people/{tara.person}")).json()
    asked = await change(ada, person, role="admin", display="Tara T.")
    assert (asked.status_code, asked.json()["person"]["role"], asked.json()["person"]["display"]) == (202, "trader", "Tara T.")
    path = f"/v1/approvals/{asked.json()['approval']['id']}/decision"
    assert (await carl.ask("POST", path, json={"agree": False, "reason": "why"})).json()["state"] == "declined"
    asked = await change(ada, asked.json()["person"], role="admin")
    execute(hub, f"UPDATE approval SET ends_us = ends_us - {4 * 86_400_000_000}")
    path = f"/v1/approvals/{asked.json()['approval']['id']}/decision"
    assert (await carl.ask("POST", path, json={"agree": True, "reason": "late"})).json()["state"] == "expired"
    assert hub.rows("SELECT role FROM person WHERE name = 'tara'") == [("trader",)]


async def test_who_cannot_decide_sees_only_what_they_asked_for(hub: TestHub, ada: Browser) -> None:
    carl, tara = await team(hub, "carl", Role.COMPLIANCE_OFFICER), await team(hub, "tara", Role.TRADER)
    await invite(ada, "bob", "admin")
    seen = [len((await one.ask("GET", "/v1/approvals")).json()["approvals"]) for one in (ada, carl, tara)]
    assert seen == [1, 1, 0]
    first = (await carl.ask("GET", "/v1/approvals")).json()["approvals"][0]
    assert (first["asked_by"]["name"], first["subject_name"], first["state"]) == ("ada", "bob", "open")


async def test_an_approval_says_whether_whoever_looks_may_decide_it(hub: TestHub, ada: Browser) -> None:
    carl, rita, aud = [
        await team(hub, name, role)
        for name, role in (("carl", Role.COMPLIANCE_OFFICER), ("rita", Role.RISK_MANAGER), ("aud", Role.AUDITOR))
    ]
    asked = (await invite(ada, "bob", "admin")).json()["approval"]
    execute(
        hub,
        "INSERT INTO approval (tenant_id, action, subject, body, asked_by, asked_us, ends_us)"
        f" SELECT tenant_id, 'file', 'draft/1', '{{}}', {ada.person}, asked_us, ends_us FROM approval",
    )

    async def decidable(who: Browser) -> dict[str, bool]:
        return {one["action"]: one["decidable"] for one in (await who.ask("GET", "/v1/approvals")).json()["approvals"]}

    assert await decidable(ada) == {"grant-admin": False, "file": False}  # asked for both
    assert await decidable(rita) == {"grant-admin": True, "file": False}
    assert await decidable(carl) == {"grant-admin": True, "file": True}
    assert await decidable(aud) == {"grant-admin": False, "file": False}
    decision = {"agree": False, "reason": "not now"}
    assert (await rita.ask("POST", f"/v1/approvals/{asked['id']}/decision", json=decision)).json()["decidable"] is False
    assert await decidable(carl) == {"grant-admin": False, "file": True}


async def test_people_are_listed_page_by_page(hub: TestHub, ada: Browser) -> None:
    for name in ("b", "c", "d", "e"):
        await add_person(hub, name, Role.OPERATOR)
    seen: list[str] = []
    after = ""
    while after is not None:
        page = (await ada.ask("GET", "/v1/people", params={"limit": 2, "after": after})).json()
        seen += [one["name"] for one in page["people"]]
        after = page["next"]
    assert seen == ["ada", "b", "c", "d", "e"]
    listed = (await ada.ask("GET", "/v1/people")).text
    assert PASSWORD not in listed
    assert "argon2" not in listed


async def test_changing_people_asks_for_a_fresh_proof_and_looking_at_them_does_not(hub: TestHub, ada: Browser) -> None:
    execute(hub, f"UPDATE session SET strong_us = strong_us - {int(STEP_UP_S + 1) * 1_000_000}")
    assert slug(await invite(ada, "olga")) == "step-up"
    assert (await ada.ask("GET", "/v1/people")).status_code == 200
    assert (await ada.ask("GET", "/v1/vouchers")).status_code == 200
    await ada.ask("POST", "/v1/session/step-up", json={"password": PASSWORD})
    assert (await invite(ada, "olga")).status_code == 201


async def test_the_roles_say_what_everybody_may(hub: TestHub) -> None:
    olga = await team(hub, "olga", Role.OPERATOR)
    told = (await olga.ask("GET", "/v1/roles")).json()
    assert {role: set(held) for role, held in told["roles"].items()} == {role.value: set(held) for role, held in ROLES.items()}


async def test_every_step_is_an_action_in_the_journal_and_an_entry_of_the_log(hub: TestHub, ada: Browser) -> None:
    carl = await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    made = (await invite(ada, "bob", "admin")).json()
    decision = {"agree": True, "reason": "known to me"}
    await carl.ask("POST", f"/v1/approvals/{made['approval']['id']}/decision", json=decision)
    await accept(hub, made["invitation"])
    await ada.ask("POST", f"/v1/people/{made['person']['id']}/reset")
    found: list[Any] = []
    async with asyncio.timeout(20):
        while not found or any(one["position"] is None for one in found):
            found = (await carl.ask("GET", "/v1/journal")).json()["journal"]
    told = [(one["by_name"], one["action"], one["subject_name"]) for one in reversed(found)]
    assert told == [
        ("ada", "invite-person", "bob"),
        ("ada", "ask-approval", "bob"),
        ("carl", "agree", "bob"),
        ("carl", "change-person", "bob"),
        ("bob", "accept-invitation", "bob"),
        ("ada", "reset-person", "bob"),
    ]
    entries = {row[0].hex() for row in hub.rows("SELECT entry FROM log_entry WHERE kind = 'action'")}
    assert {one["digest"] for one in found} == entries
    documents = str(hub.rows("SELECT document FROM action"))
    assert all(name not in documents for name in ("ada", "bob", "carl"))


async def test_a_lock_out_is_in_the_journal(hub: TestHub) -> None:
    carl = await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    await team(hub, "tara", Role.TRADER)
    for _ in range(10):
        await Browser(hub.client).sign_in("tara", password="guess")
    found = (await carl.ask("GET", "/v1/journal", params={"action": "lock-out"})).json()["journal"]
    assert [(one["by"], one["subject_name"]) for one in found] == [("hub", "tara")]


async def test_an_action_cannot_be_changed_by_the_application(hub: TestHub, ada: Browser) -> None:
    await invite(ada, "olga")
    for statement in ("UPDATE action SET by = 'x'", "DELETE FROM action", "UPDATE approval SET body = '{}'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with hub.hub.db.tenant(1) as connection:
                await connection.execute(statement)  # type: ignore[arg-type]
