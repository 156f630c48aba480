"""Signing in at a company's own identity provider, with a real one on loopback that can also lie."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import Browser, add_person, execute, slug, team
from tests.cloud.identity.provider import CLIENT, SECRET, Claims, IdentityProvider

HUB = "http://localhost"
TARA = {"sub": "u-17", "preferred_username": "Tara", "name": "Tara T.", "groups": ["staff", "desk-traders"]}


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    made = IdentityProvider(dict(TARA))
    server = made.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
async def ada(hub: TestHub, provider: IdentityProvider) -> Browser:
    """An admin who has entered the provider."""
    browser = await team(hub, "ada", Role.ADMIN)
    roles = {"desk-traders": "trader", "rig-crew": "operator"}
    entered = {"issuer": provider.issuer, "client_id": CLIENT, "secret_file": "company.oidc", "claim": "groups", "roles": roles}
    made = await browser.ask("PUT", "/v1/tenant", headers={"if-match": '"0"'}, json={"provider": entered})
    assert made.status_code == 200, made.text
    hub.hub.config.keys.mkdir(parents=True, exist_ok=True)
    (hub.hub.config.keys / "company.oidc").write_text(SECRET + "\n")
    return browser


async def begin(hub: TestHub, to: str = "/risk") -> tuple[str, str]:
    """Where the browser is sent, and its cookie."""
    hub.client.cookies.clear()
    reply = await hub.client.get(f"{HUB}/v1/oidc/default/login", params={"to": to})
    assert reply.status_code == 303, reply.text
    cookie = reply.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    hub.client.cookies.clear()
    return reply.headers["location"], cookie.partition("=")[2].partition(";")[0]


async def come_back(hub: TestHub, code: str, state: str, cookie: str, tenant: str = "default") -> Any:
    reply = await hub.client.get(
        f"{HUB}/v1/oidc/{tenant}/callback", params={"code": code, "state": state}, headers={"cookie": f"qz_oidc={cookie}"}
    )
    hub.client.cookies.clear()
    return reply


async def sign_in(hub: TestHub, provider: IdentityProvider) -> Any:
    address, cookie = await begin(hub)
    return await come_back(hub, *provider.approve(address), cookie)


async def test_a_person_of_the_company_comes_in_and_is_made_with_the_mapped_role(
    hub: TestHub, ada: Browser, provider: IdentityProvider
) -> None:
    reply = await sign_in(hub, provider)
    assert (reply.status_code, reply.headers["location"]) == (303, "/risk")
    session = next(one for one in reply.headers.get_list("set-cookie") if one.startswith("qz_session="))
    assert "SameSite=strict" in session
    headers = {"cookie": session.partition(";")[0]}
    told = (await hub.client.get("/v1/session", headers=headers)).json()
    assert (told["name"], told["display"], told["role"]) == ("tara", "Tara T.", "trader")
    assert (await sign_in(hub, provider)).status_code == 303
    assert hub.rows("SELECT count(*) FROM person WHERE subject = 'u-17'") == [(1,)]
    assert (await Browser(hub.client).sign_in("tara", password="")).status_code in (401, 422)


async def test_the_role_follows_the_provider_and_nobody_without_one_comes_in(
    hub: TestHub, ada: Browser, provider: IdentityProvider
) -> None:
    await sign_in(hub, provider)
    provider.claims["groups"] = "rig-crew"
    assert (await sign_in(hub, provider)).status_code == 303
    assert hub.rows("SELECT role FROM person WHERE subject = 'u-17'") == [("operator",)]
    for nothing in (["staff"], None, {"desk-traders": 1}, 7):
        provider.claims["groups"] = nothing
        assert slug(await sign_in(hub, provider)) == "wrong-credentials"
    provider.claims |= {"sub": "u-18"}
    assert slug(await sign_in(hub, provider)) == "wrong-credentials"
    assert hub.rows("SELECT count(*) FROM person WHERE subject <> ''") == [(1,)]


async def test_nobody_becomes_somebody_by_being_called_the_same(hub: TestHub, ada: Browser, provider: IdentityProvider) -> None:
    mine = await add_person(hub, "tara", Role.RISK_MANAGER)
    await sign_in(hub, provider)
    assert hub.rows("SELECT name, role FROM person WHERE subject = 'u-17'") == [("tara-2", "trader")]
    assert hub.rows(f"SELECT subject, role FROM person WHERE person_id = {mine}") == [("", "risk_manager")]


async def test_a_disabled_person_stays_out(hub: TestHub, ada: Browser, provider: IdentityProvider) -> None:
    await sign_in(hub, provider)
    execute(hub, "UPDATE person SET disabled_us = 1 WHERE subject = 'u-17'")
    assert slug(await sign_in(hub, provider)) == "wrong-credentials"
    assert hub.rows("SELECT count(*) FROM person WHERE subject <> ''") == [(1,)]


OTHER = ECKey.generate_key("P-256", {"kid": "one"})
STRANGE = ECKey.generate_key("P-256", {"kid": "unheard of"})
LIES: dict[str, Callable[[Claims], Claims]] = {
    "wrong nonce": lambda claims: claims | {"nonce": "another"},
    "wrong audience": lambda claims: claims | {"aud": "another client"},
    "for somebody else too": lambda claims: claims | {"aud": [CLIENT, "another"]},
    "wrong issuer": lambda claims: claims | {"iss": "https://evil.example"},
    "expired": lambda claims: claims | {"iat": int(time.time()) - 900, "exp": int(time.time()) - 300},
    "from the future": lambda claims: claims | {"iat": int(time.time()) + 900},
    "without subject": lambda claims: {key: value for key, value in claims.items() if key != "sub"},
    "without nonce": lambda claims: {key: value for key, value in claims.items() if key != "nonce"},
    "without expiry": lambda claims: {key: value for key, value in claims.items() if key != "exp"},
}


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _none(claims: Claims) -> str:
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def _hmac(claims: Claims) -> str:
    text = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
    return text + "." + base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha256")).decode().rstrip("=")


def _signed(key: ECKey) -> Callable[[Claims], str]:
    return lambda claims: jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])


FORGERIES: dict[str, Callable[[Claims], str]] = {
    "alg none": _none,
    "client secret as key": _hmac,
    "wrong key": _signed(OTHER),
    "unheard-of key": _signed(STRANGE),
    "no token": lambda _: "a.b.c",
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_id_token_that_says_something_wrong_lets_nobody_in(
    hub: TestHub, ada: Browser, provider: IdentityProvider, lie: str
) -> None:
    provider.lie = LIES[lie]
    reply = await sign_in(hub, provider)
    assert (slug(reply), "set-cookie" in reply.headers) == ("wrong-credentials", False)
    assert hub.rows("SELECT count(*) FROM person WHERE subject <> ''") == [(0,)]


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_id_token_lets_nobody_in(hub: TestHub, ada: Browser, provider: IdentityProvider, forgery: str) -> None:
    provider.sign = FORGERIES[forgery]
    assert slug(await sign_in(hub, provider)) == "wrong-credentials"
    assert hub.rows("SELECT count(*) FROM person WHERE subject <> ''") == [(0,)]


async def test_a_state_is_good_once_and_only_in_the_browser_that_began(hub: TestHub, ada: Browser, provider: IdentityProvider) -> None:
    address, cookie = await begin(hub)
    code, state = provider.approve(address)
    _, other = await begin(hub)
    for wrong in (other, "", "AAAA", cookie[:-8] + "AAAAAAAA"):
        assert slug(await come_back(hub, code, state, wrong)) == "wrong-credentials"
    assert slug(await come_back(hub, code, "another", cookie)) == "wrong-credentials"
    await hub.tenant("other")
    assert slug(await come_back(hub, code, state, cookie, "other")) == "not-found"
    assert (await come_back(hub, code, state, cookie)).status_code == 303
    provider.asked[code] = {}
    assert slug(await come_back(hub, code, state, cookie)) == "wrong-credentials"


async def test_a_key_that_the_provider_changed_is_fetched(hub: TestHub, ada: Browser, provider: IdentityProvider) -> None:
    await sign_in(hub, provider)
    provider.key = ECKey.generate_key("P-256", {"kid": "two", "use": "sig", "alg": "ES256"})
    assert (await sign_in(hub, provider)).status_code == 303


async def test_a_page_to_come_back_to_is_one_of_ours(hub: TestHub, ada: Browser, provider: IdentityProvider) -> None:
    for wrong in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        address, cookie = await begin(hub, wrong)
        reply = await come_back(hub, *provider.approve(address), cookie)
        assert reply.headers["location"] == "/"


async def test_a_provider_that_is_not_what_it_should_be_is_not_used(hub: TestHub, ada: Browser, provider: IdentityProvider) -> None:
    plain = await hub.client.get("http://hub.example.com/v1/oidc/default/login")
    assert slug(plain) == "unavailable"  # http is for loopback only
    provider.name = "http://127.0.0.1:1"
    assert slug(await hub.client.get(f"{HUB}/v1/oidc/default/login")) == "unavailable"
    assert slug(await hub.client.get(f"{HUB}/v1/oidc/nobody/login")) == "not-found"


async def test_no_claim_makes_an_admin(ada: Browser, provider: IdentityProvider) -> None:
    entered = {"issuer": provider.issuer, "client_id": CLIENT, "secret_file": "company.oidc", "claim": "groups", "roles": {"it": "admin"}}
    made = await ada.ask("PUT", "/v1/tenant", headers={"if-match": '"1"'}, json={"provider": entered})
    assert slug(made) == "invalid-request"
