"""Coming in, staying in and going out, as a browser and as a program."""

import base64
import hmac
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from cloud.identity import login, totp
from cloud.identity.access import AccessTokens, Holder
from cloud.identity.roles import ROLES, Role
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.identity.people import PASSWORD, Browser, add_person, execute, slug

HOLDER = Holder(1, "default", 7, "tara", "trader", 1_000_000)


@pytest.fixture
async def tara(hub: TestHub) -> Browser:
    browser = Browser(hub.client, person=await add_person(hub, "tara", Role.TRADER))
    assert (await browser.sign_in("Tara ")).status_code == 201
    return browser


async def test_a_session_says_who_it_is_of_and_what_they_may_do(tara: Browser) -> None:
    session = (await tara.ask("GET", "/v1/session")).json()
    assert (session["name"], session["role"], session["tenant"]) == ("tara", "trader", "default")
    assert set(session["scopes"]) == ROLES[Role.TRADER]
    assert session["csrf"] == tara.csrf


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(hub: TestHub) -> None:
    await add_person(hub, "olga", Role.OPERATOR)
    reply = await Browser(hub.client).sign_in("olga")
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert reply.headers["cache-control"] == "no-store"


async def test_a_write_by_cookie_needs_the_sessions_own_csrf_token(tara: Browser, hub: TestHub) -> None:
    await add_person(hub, "otto", Role.OPERATOR)
    other = Browser(hub.client)
    await other.sign_in("otto")
    for wrong in ("", other.csrf, tara.csrf[:-1]):
        reply = await tara.ask("PUT", "/v1/me/preferences", csrf=wrong, json={})
        assert (reply.status_code, slug(reply)) == (403, "csrf")
    assert (await tara.ask("PUT", "/v1/me/preferences", json={"language": "ar"})).json()["language"] == "ar"


async def test_a_session_that_was_signed_out_or_is_old_or_idle_is_over(run_hub: RunHub) -> None:
    async with run_hub(session_s=3600.0, session_idle_s=600.0) as hub:
        await add_person(hub, "tara", Role.TRADER)
        browser = Browser(hub.client)
        await browser.sign_in("tara")
        assert (await browser.ask("DELETE", "/v1/session")).status_code == 204
        assert (await browser.ask("GET", "/v1/session")).status_code == 401
        for column, back_s in (("ends_us", 7200), ("seen_us", 700)):
            await browser.sign_in("tara")
            assert (await browser.ask("GET", "/v1/tags")).status_code == 200
            execute(hub, f"UPDATE session SET {column} = {column} - {back_s * 1_000_000}")
            assert (await browser.ask("GET", "/v1/tags")).status_code == 401


async def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nothing(hub: TestHub) -> None:
    await add_person(hub, "tara", Role.TRADER)
    browser = Browser(hub.client)
    unknown = await browser.sign_in("nobody")
    wrong = await browser.sign_in("tara", password="not the password")
    elsewhere = await browser.sign_in("tara", tenant="no-such-tenant")
    assert unknown.status_code == 401
    assert unknown.json() == wrong.json() == elsewhere.json()


async def test_ten_wrong_answers_close_the_door_for_a_quarter_of_an_hour_to_the_right_one_too(hub: TestHub) -> None:
    await add_person(hub, "tara", Role.TRADER)
    browser = Browser(hub.client)
    told = [(await browser.sign_in("tara", password="guess")).json() for _ in range(login.MOST_FAILURES)]
    closed = await browser.sign_in("tara")
    assert closed.status_code == 401
    assert all(one == closed.json() for one in told)
    execute(hub, f"UPDATE person SET locked_us = locked_us - {login.LOCKED_US}")
    assert (await browser.sign_in("tara")).status_code == 201


async def test_a_flood_of_guesses_from_one_address_is_slowed_before_any_password_is_looked_at(run_hub: RunHub) -> None:
    async with run_hub(sign_ins_per_minute=1.0, sign_ins_burst=3.0) as hub:
        replies = [await Browser(hub.client).sign_in("nobody") for _ in range(4)]
        assert [reply.status_code for reply in replies] == [401, 401, 401, 429]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 61


async def test_with_a_second_factor_the_password_alone_opens_nothing(tara: Browser) -> None:
    key, _ = await tara.set_up_totp(int(time.time()))
    begun = await tara.sign_in("tara")
    assert begun.status_code == 202
    assert begun.json()["second_factors"] == ["totp", "recovery"]
    assert "set-cookie" not in begun.headers
    challenge = begun.json()["challenge"]
    wrong = await tara.client.post("/v1/session/second", json={"challenge": challenge, "code": "000000"})
    assert slug(wrong) == "wrong-credentials"
    code = totp.code(key, int(time.time()) + 30)
    done = await tara.client.post("/v1/session/second", json={"challenge": challenge, "code": code})
    assert done.status_code == 201
    tara.take(done)
    again = (await tara.sign_in("tara")).json()["challenge"]
    for used in (challenge, again):  # the challenge is used up, and so is the code
        reply = await tara.client.post("/v1/session/second", json={"challenge": used, "code": code})
        assert slug(reply) == "wrong-credentials"


async def test_a_recovery_code_opens_once(tara: Browser) -> None:
    _, codes = await tara.set_up_totp(int(time.time()))
    assert len(set(codes)) == login.RECOVERY_CODES
    replies = []
    for _ in range(2):
        challenge = (await tara.sign_in("tara")).json()["challenge"]
        replies.append(await tara.client.post("/v1/session/second", json={"challenge": challenge, "recovery": codes[0].upper()}))
    assert [reply.status_code for reply in replies] == [201, 401]


async def test_a_code_that_was_seen_over_the_shoulder_is_good_once_even_when_two_come_at_once(tara: Browser) -> None:
    import asyncio

    key, _ = await tara.set_up_totp(int(time.time()))
    challenges = [(await tara.sign_in("tara")).json()["challenge"] for _ in range(4)]
    code = totp.code(key, int(time.time()) + 30)
    posts = (tara.client.post("/v1/session/second", json={"challenge": challenge, "code": code}) for challenge in challenges)
    replies = await asyncio.gather(*posts)
    assert sorted(reply.status_code for reply in replies) == [201, 401, 401, 401]


async def test_what_needs_a_fresh_proof_asks_for_one_and_then_goes_through(tara: Browser, hub: TestHub) -> None:
    execute(hub, "UPDATE session SET strong_us = strong_us - 301000000")
    asked = await tara.ask("POST", "/v1/deals", json={})
    assert (asked.status_code, slug(asked)) == (403, "step-up")
    assert slug(await tara.ask("POST", "/v1/session/step-up", json={"password": "wrong"})) == "wrong-credentials"
    assert slug(await tara.ask("POST", "/v1/session/step-up", json={"password": PASSWORD, "code": "1"})) == "invalid-request"
    assert (await tara.ask("POST", "/v1/session/step-up", json={"password": PASSWORD})).status_code == 200
    assert slug(await tara.ask("POST", "/v1/deals", json={})) == "invalid-request"


async def test_who_has_a_second_factor_steps_up_with_it_and_not_with_the_password(tara: Browser) -> None:
    key, _ = await tara.set_up_totp(int(time.time()))
    assert slug(await tara.ask("POST", "/v1/session/step-up", json={"password": PASSWORD})) == "invalid-request"
    code = totp.code(key, int(time.time()) + 30)
    assert (await tara.ask("POST", "/v1/session/step-up", json={"code": code})).status_code == 200


async def test_a_new_password_ends_every_other_session(tara: Browser, hub: TestHub) -> None:
    other = Browser(hub.client)
    await other.sign_in("tara")
    weak = await tara.ask("PUT", "/v1/me/password", json={"old": PASSWORD, "new": "tara likes oil"})
    assert "must not contain your name" in weak.json()["detail"]
    assert (await tara.ask("PUT", "/v1/me/password", json={"old": PASSWORD, "new": "an entirely new phrase"})).status_code == 204
    assert (await tara.ask("GET", "/v1/session")).status_code == 200
    assert (await other.ask("GET", "/v1/session")).status_code == 401
    assert (await other.sign_in("tara")).status_code == 401


async def test_one_sees_and_ends_ones_own_sessions_and_nobody_elses(tara: Browser, hub: TestHub) -> None:
    await add_person(hub, "otto", Role.OPERATOR)
    otto = Browser(hub.client)
    await otto.sign_in("otto")
    theirs = (await otto.ask("GET", "/v1/me/sessions")).json()[0]["id"]
    second = Browser(hub.client)
    await second.sign_in("tara")
    mine = (await tara.ask("GET", "/v1/me/sessions")).json()
    assert [one["current"] for one in sorted(mine, key=lambda one: one["id"])] == [True, False]
    assert (await tara.ask("DELETE", f"/v1/me/sessions/{theirs}")).status_code == 404
    assert (await tara.ask("DELETE", f"/v1/me/sessions/{max(one['id'] for one in mine)}")).status_code == 204
    assert (await second.ask("GET", "/v1/session")).status_code == 401
    assert (await otto.ask("GET", "/v1/session")).status_code == 200


async def test_a_change_of_ones_proofs_is_an_entry_of_the_tenants_log(tara: Browser, hub: TestHub) -> None:
    await tara.set_up_totp(int(time.time()))
    found = hub.rows("SELECT by, name, subject, kind FROM action JOIN log_entry ON entry = digest")
    assert found == [(f"person/{tara.person}", "set-up-totp", f"person/{tara.person}", "action")]


async def test_no_secret_is_stored_as_it_is(tara: Browser, hub: TestHub) -> None:
    key, codes = await tara.set_up_totp(int(time.time()))
    text = str(hub.rows("SELECT person::text FROM person") + hub.rows("SELECT recovery_code::text FROM recovery_code"))
    text += str(hub.rows("SELECT session::text FROM session") + hub.rows("SELECT challenge::text FROM challenge"))
    for secret in (PASSWORD, key.hex(), tara.cookie, codes[0], tara.cookie.encode().hex()):
        assert secret not in text


async def program(hub: TestHub, **body: Any) -> Any:
    return await hub.client.post("/v1/access-tokens", json=body)


async def test_a_refresh_token_is_good_once_and_its_second_use_ends_the_family(hub: TestHub) -> None:
    await add_person(hub, "tara", Role.TRADER)
    first = (await program(hub, name="tara", password=PASSWORD)).json()
    assert (await hub.client.get("/v1/deals", headers={"authorization": f"Bearer {first['access_token']}"})).status_code == 200
    second = (await program(hub, refresh_token=first["refresh_token"])).json()
    assert (await program(hub, refresh_token=first["refresh_token"])).status_code == 401
    assert (await program(hub, refresh_token=second["refresh_token"])).status_code == 401
    assert hub.rows("SELECT by, name, subject FROM action") == [("hub", "refresh-token-reused", "person/1")]
    other = (await program(hub, name="tara", password=PASSWORD)).json()
    assert (await program(hub, refresh_token=other["refresh_token"])).status_code == 201


async def test_a_program_for_a_person_with_a_second_factor_gives_its_code(hub: TestHub, tara: Browser) -> None:
    key, _ = await tara.set_up_totp(int(time.time()))
    assert slug(await program(hub, name="tara", password=PASSWORD)) == "invalid-request"
    assert slug(await program(hub, name="tara", password=PASSWORD, code="000000")) == "wrong-credentials"
    assert (await program(hub, name="tara", password=PASSWORD, code=totp.code(key, int(time.time()) + 30))).status_code == 201


def test_an_access_token_is_good_for_ten_minutes(tmp_path: Any) -> None:
    tokens = AccessTokens(tmp_path / "access.pem", "hub")
    token = tokens.issue(HOLDER, 1_000_000_000_000_000)
    held = tokens.read(token, 1_000_000_599_000_000)
    assert held is not None
    assert (held.tenant_id, held.person_id, held.role, set(held.scopes)) == (1, 7, "trader", set(ROLES[Role.TRADER]))
    assert tokens.read(token, 1_000_000_600_000_000) is None
    assert (tmp_path / "access.pem").stat().st_mode & 0o777 == 0o600


def forged(path: Any, alg: str = "Ed25519", typ: str = "at+jwt", drop: str = "", key: Any = None, **changes: Any) -> str:
    claims = {
        "iss": "hub",
        "aud": "qenergyz",
        "iat": 1_000_000,
        "exp": 1_000_600,
        "auth_time": 1,
        "sub": "7",
        "tid": 1,
        "tenant": "default",
    }
    claims |= {"name": "tara", "role": "trader"} | changes
    claims.pop(drop, None)
    return jwt.encode({"alg": alg, "typ": typ}, claims, key or OKPKey.import_key(path.read_bytes()), algorithms=[alg])


@pytest.mark.parametrize(
    "changes",
    [{"iss": "another hub"}, {"aud": "another"}, {"exp": 999_999}, {"role": "emperor"}, {"exp": 2_000_000}, {"typ": "JWT"}, {"tid": "x"}]
    + [{"drop": name} for name in ("iss", "aud", "exp", "iat", "tid", "role", "sub", "auth_time")],
    ids=str,
)
def test_an_access_token_with_a_wrong_or_missing_claim_is_refused(tmp_path: Any, changes: dict[str, Any]) -> None:
    tokens = AccessTokens(tmp_path / "access.pem", "hub")
    tokens.issue(HOLDER, 1)
    assert tokens.read(forged(tmp_path / "access.pem"), 1_000_100_000_000) is not None
    assert tokens.read(forged(tmp_path / "access.pem", **changes), 1_000_100_000_000) is None


def confused(body: str, public: bytes) -> str:
    """The classic: HS256 with the public key as the secret."""
    text = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"at+jwt"}').decode().rstrip("=") + "." + body
    return text + "." + base64.urlsafe_b64encode(hmac.digest(public, text.encode(), "sha256")).decode().rstrip("=")


def test_a_token_signed_with_another_algorithm_or_key_is_refused(tmp_path: Any) -> None:
    tokens = AccessTokens(tmp_path / "access.pem", "hub")
    tokens.issue(HOLDER, 1)
    path = tmp_path / "access.pem"
    public = OKPKey.import_key(path.read_bytes()).as_pem(private=False)
    ours = forged(path)
    head, body, signature = ours.split(".")
    bad = [
        confused(body, public),
        forged(path, key=OKPKey.generate_key("Ed25519")),
        f"{head}.{body}.",
        "a.b.c",
        "",
    ]
    bad += [f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}.", f"{head}.{body}.{signature[::-1]}", ours + "." + signature]
    assert [tokens.read(token, 1_000_100_000_000) for token in bad] == [None] * len(bad)
    assert tokens.read(forged(path, "EdDSA"), 1_000_100_000_000) is None
