"""Passkeys as a second step and for a step-up, with an authenticator in software that can also lie."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cloud.identity.passkeys import Party
from cloud.identity.passkeys_api import Passkeys
from cloud.identity.roles import STEP_UP_S, Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.authenticator import FLAG, Authenticator
from tests.cloud.identity.people import Browser, execute, slug, team


@pytest.fixture
async def tara(hub: TestHub) -> Browser:
    return await team(hub, "tara", Role.TRADER)


async def add(browser: Browser, key: Authenticator, label: str = "laptop", **changes: Any) -> Any:
    options = (await browser.ask("POST", "/v1/me/passkeys/options")).json()
    body = {"challenge": options["challenge"], "label": label, "credential": key.create(options, **changes)}
    return await browser.ask("POST", "/v1/me/passkeys", json=body)


async def ask(browser: Browser) -> dict[str, Any]:
    """The options for the second step of a new sign-in."""
    begun = (await browser.sign_in("tara")).json()
    assert begun["second_factors"][0] == "passkey"
    return dict((await browser.client.post("/v1/session/passkey/options", json={"challenge": begun["challenge"]})).json())


async def answer(browser: Browser, options: dict[str, Any], credential: dict[str, Any]) -> Any:
    return await browser.client.post("/v1/session/passkey", json={"challenge": options["challenge"], "credential": credential})


async def test_a_passkey_is_the_second_step_of_a_sign_in(hub: TestHub, tara: Browser) -> None:
    key = Authenticator()
    made = await add(tara, key)
    assert made.status_code == 201
    assert len(made.json()["recovery_codes"]) == 10
    options = await ask(tara)
    inside = await answer(tara, options, key.get(options))
    assert (inside.status_code, inside.json()["name"]) == (201, "tara")
    tara.take(inside)
    assert (await tara.ask("GET", "/v1/deals")).status_code == 200
    assert hub.rows("SELECT methods FROM session ORDER BY session_id DESC LIMIT 1") == [(["pwd", "hwk", "mfa"],)]


async def test_an_answer_is_good_once_and_only_for_what_was_asked_last(tara: Browser) -> None:
    key = Authenticator(count=None)
    await add(tara, key)
    first = await ask(tara)
    said = key.get(first)
    assert (await answer(tara, first, said)).status_code == 201
    assert slug(await answer(tara, first, said)) == "wrong-credentials"
    second = await ask(tara)
    assert slug(await answer(tara, second, said)) == "wrong-credentials"  # the answer to another challenge
    assert slug(await answer(tara, second, key.get(second))) == "wrong-credentials"  # a challenge is used up by a wrong answer too


LIES: dict[str, Callable[[], dict[str, Any]]] = {
    "another origin": lambda: {"origin": "https://hub.evil.example"},
    "another host": lambda: {"host": "evil.example"},
    "another challenge": lambda: {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    "another key": lambda: {"key": ec.generate_private_key(ec.SECP256R1())},
    "nobody there": lambda: {"flags": FLAG(0)},
    "another kind": lambda: {"kind": "webauthn.create"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_refused(tara: Browser, lie: str) -> None:
    key = Authenticator()
    await add(tara, key)
    options = await ask(tara)
    assert slug(await answer(tara, options, key.get(options, **LIES[lie]()))) == "wrong-credentials"


@pytest.mark.parametrize("lie", ["another origin", "another host", "another challenge"])
async def test_a_lie_adds_no_passkey(hub: TestHub, tara: Browser, lie: str) -> None:
    assert slug(await add(tara, Authenticator(), **LIES[lie]())) == "wrong-credentials"
    assert hub.rows("SELECT count(*) FROM passkey") == [(0,)]


@pytest.mark.parametrize(
    "credential", [{}, {"id": 7}, {"rawId": "", "response": {}}, {"id": "x", "rawId": "x", "response": {"signature": "%"}}]
)
async def test_rubbish_is_refused(tara: Browser, credential: dict[str, Any]) -> None:
    await add(tara, Authenticator())
    options = await ask(tara)
    assert slug(await answer(tara, options, credential)) == "wrong-credentials"
    new = (await tara.ask("GET", "/v1/session")).status_code
    assert new == 200
    begun = (await tara.ask("POST", "/v1/me/passkeys/options")).json()
    body = {"challenge": begun["challenge"], "label": "x", "credential": credential}
    assert slug(await tara.ask("POST", "/v1/me/passkeys", json=body)) == "wrong-credentials"


async def test_a_copy_of_an_authenticator_is_refused_and_recorded(hub: TestHub, tara: Browser) -> None:
    key = Authenticator()
    await add(tara, key)
    copy = Authenticator(key.key, key.id, key.count)
    for _ in range(2):
        options = await ask(tara)
        assert (await answer(tara, options, key.get(options))).status_code == 201
    options = await ask(tara)
    assert slug(await answer(tara, options, copy.get(options))) == "wrong-credentials"
    assert hub.rows("SELECT by, subject FROM action WHERE name = 'passkey-cloned'") == [("hub", f"person/{tara.person}")]


async def test_a_passkey_of_somebody_else_opens_nothing(hub: TestHub, tara: Browser) -> None:
    await add(tara, Authenticator(id=b"of tara"))
    olga, theirs = await team(hub, "olga", Role.OPERATOR), Authenticator(id=b"of olga")
    await add(olga, theirs)
    options = await ask(tara)
    options["publicKey"]["allowCredentials"].append({"id": "b2Ygb2xnYQ", "type": "public-key"})
    assert slug(await answer(tara, options, theirs.get(options))) == "wrong-credentials"


async def test_ten_wrong_answers_close_the_door(tara: Browser) -> None:
    key = Authenticator()
    await add(tara, key)
    waiting = [await ask(tara) for _ in range(11)]
    for options in waiting[:10]:
        assert (await answer(tara, options, key.get(options, **LIES["another key"]()))).status_code == 401
    assert slug(await answer(tara, waiting[10], key.get(waiting[10]))) == "wrong-credentials"


async def test_a_passkey_steps_a_session_up(hub: TestHub, tara: Browser) -> None:
    key = Authenticator()
    await add(tara, key)
    execute(hub, f"UPDATE session SET strong_us = strong_us - {int(STEP_UP_S + 1) * 1_000_000}")
    assert slug(await tara.ask("POST", "/v1/me/passkeys/options")) == "step-up"
    options = (await tara.ask("POST", "/v1/session/passkey/options", json={})).json()
    stranger = await tara.client.post("/v1/session/passkey", json={"challenge": options["challenge"], "credential": {}})
    assert slug(stranger) == "unauthorized"
    done = await tara.ask("POST", "/v1/session/passkey", json={"challenge": options["challenge"], "credential": key.get(options)})
    assert done.status_code == 201
    assert (await tara.ask("POST", "/v1/me/passkeys/options")).status_code == 201


async def test_passkeys_are_listed_and_removed_by_their_owner(hub: TestHub, tara: Browser) -> None:
    await add(tara, Authenticator(id=b"\xff\x00one"), "laptop")
    await add(tara, Authenticator(id=b"two"), "phone")
    olga = await team(hub, "olga", Role.OPERATOR)
    listed = (await tara.ask("GET", "/v1/me/passkeys")).json()["passkeys"]
    assert [one["label"] for one in listed] == ["laptop", "phone"]
    assert slug(await olga.ask("DELETE", f"/v1/me/passkeys/{listed[0]['id']}")) == "not-found"
    assert (await tara.ask("DELETE", f"/v1/me/passkeys/{listed[0]['id']}")).status_code == 204
    assert slug(await tara.ask("DELETE", "/v1/me/passkeys/A")) == "not-found"
    assert [one["label"] for one in (await tara.ask("GET", "/v1/me/passkeys")).json()["passkeys"]] == ["phone"]


async def test_behind_a_proxy_the_configured_origin_counts(hub: TestHub) -> None:
    from fastapi import Request

    request = Request({"type": "http", "scheme": "http", "server": ("10.0.0.1", 8400), "path": "/", "headers": [], "query_string": b""})
    party: Party = Passkeys(hub.hub.door, "https://hub.example.com:8443").party(request)
    assert (party.host, party.origin) == ("hub.example.com", "https://hub.example.com:8443")
    asked: Party = Passkeys(hub.hub.door, None).party(request)
    assert (asked.host, asked.origin) == ("10.0.0.1", "http://10.0.0.1:8400")
