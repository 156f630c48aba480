"""API tokens and vouchers made over HTTP, and the keys of a gateway."""

import time
from typing import Any

import pytest

from cloud.identity.roles import ROLES, SCOPES, Role, allows, grantable
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway
from tests.cloud.identity.people import Browser, execute, slug, team


async def make(browser: Browser, *scopes: str, days: float = 1.0) -> Any:
    return await browser.ask("POST", "/v1/tokens", json={"name": "screen", "scopes": list(scopes), "days": days})


async def test_a_token_is_shown_once_and_ends_when_its_time_is_over(hub: TestHub) -> None:
    tara = await team(hub, "tara", Role.TRADER)
    made = (await make(tara, "read:deals", "read:market")).json()
    listed = (await tara.ask("GET", "/v1/tokens")).json()["tokens"]
    assert [(one["id"], one["scopes"], one["made_by"]["name"]) for one in listed] == [(made["id"], ["read:deals", "read:market"], "tara")]
    assert made["token"] not in str(listed)
    assert made["token"] not in str(hub.rows("SELECT api_token::text FROM api_token"))
    bearer = {"authorization": f"Bearer {made['token']}"}
    assert (await hub.client.get("/v1/deals", headers=bearer)).status_code == 200
    assert (await hub.client.get("/v1/risk/settings", headers=bearer)).status_code == 403
    execute(hub, f"UPDATE api_token SET expires_us = expires_us - {2 * 86_400_000_000}")
    assert (await hub.client.get("/v1/deals", headers=bearer)).status_code == 401
    assert (await tara.ask("GET", "/v1/tokens")).json()["tokens"] == []


async def test_a_token_may_nothing_that_its_maker_may_not(hub: TestHub) -> None:
    olga, rita = await team(hub, "olga", Role.OPERATOR), await team(hub, "rita", Role.RISK_MANAGER)
    for scope in ("read:deals", "write:people", "read", "nonsense"):
        assert slug(await make(olga, "read:field", scope)) == "forbidden"
    assert (await make(rita, "read")).status_code == 201  # has everything that it means
    assert slug(await make(olga, "read:field", days=367)) == "invalid-request"


@pytest.mark.parametrize("role", Role)
def test_no_token_of_a_role_reaches_beyond_the_role(role: Role) -> None:
    reached = {scope for scope in SCOPES if any(allows((held,), scope) for held in grantable(ROLES[role]))}
    assert reached - {"read"} == set(ROLES[role]) - {"read"}


async def test_a_token_makes_no_token_and_agrees_to_nothing(hub: TestHub) -> None:
    ada = await team(hub, "ada", Role.ADMIN)
    token = (await make(ada, "approve", "write:people")).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    body = {"name": "more", "scopes": ["approve"], "days": 1}
    assert slug(await hub.client.post("/v1/tokens", json=body, headers=bearer)) == "forbidden"
    decision = {"agree": True, "reason": "as a program"}
    assert slug(await hub.client.post("/v1/approvals/1/decision", json=decision, headers=bearer)) == "forbidden"
    wish = {"name": "eve", "display": "Eve", "role": "admin"}
    assert slug(await hub.client.post("/v1/people", json=wish, headers=bearer)) == "forbidden"
    assert hub.rows("SELECT count(*) FROM person WHERE name = 'eve'") == [(0,)]


async def test_a_token_is_ended_by_its_maker_or_by_an_admin(hub: TestHub) -> None:
    tara, olga = await team(hub, "tara", Role.TRADER), await team(hub, "olga", Role.OPERATOR)
    ada = await team(hub, "ada", Role.ADMIN)
    first, second = (await make(tara, "read:deals")).json(), (await make(tara, "read:deals")).json()
    assert (await olga.ask("GET", "/v1/tokens")).json()["tokens"] == []
    assert len((await ada.ask("GET", "/v1/tokens")).json()["tokens"]) == 2
    assert slug(await olga.ask("DELETE", f"/v1/tokens/{first['id']}")) == "forbidden"
    assert (await tara.ask("DELETE", f"/v1/tokens/{first['id']}")).status_code == 204
    assert (await ada.ask("DELETE", f"/v1/tokens/{second['id']}")).status_code == 204
    assert slug(await ada.ask("DELETE", f"/v1/tokens/{second['id']}")) == "not-found"
    for one in (first, second):
        assert (await hub.client.get("/v1/deals", headers={"authorization": f"Bearer {one['token']}"})).status_code == 401
    told = [(row["action"], row["by_name"]) for row in (await ada.ask("GET", "/v1/journal")).json()["journal"]]
    assert told == [("end-token", "ada"), ("end-token", "tara"), ("make-token", "tara"), ("make-token", "tara")]


async def test_a_voucher_lets_one_gateway_in_once_and_its_key_can_be_compared(hub: TestHub) -> None:
    fred = await team(hub, "fred", Role.FIELD_ENGINEER)
    made = (await fred.ask("POST", "/v1/vouchers", json={"gateway": "rig-7", "hours": 2})).json()
    assert abs(made["ends_us"] - time.time_ns() // 1000 - 7_200_000_000) < 60_000_000
    listed = await fred.ask("GET", "/v1/vouchers")
    assert [(one["gateway"], one["made_by"]["name"]) for one in listed.json()["vouchers"]] == [("rig-7", "fred")]
    assert made["voucher"] not in listed.text
    gateway = Gateway(hub.client, "rig-7")
    assert (await gateway.enrol(made["voucher"])).status_code == 201
    assert (await fred.ask("GET", "/v1/vouchers")).json()["vouchers"] == []
    keys = (await fred.ask("GET", "/v1/gateways/rig-7/keys")).json()["keys"]
    assert [(key["kid"], key["algorithm"], key["state"]) for key in keys] == [(gateway.signer.key_id.hex(), -19, "good")]
    assert slug(await fred.ask("GET", "/v1/gateways/rig-8/keys")) == "not-found"


async def test_a_withdrawn_voucher_lets_nobody_in(hub: TestHub) -> None:
    fred = await team(hub, "fred", Role.FIELD_ENGINEER)
    made = (await fred.ask("POST", "/v1/vouchers", json={"gateway": "rig-7"})).json()
    assert (await fred.ask("DELETE", f"/v1/vouchers/{made['id']}")).status_code == 204
    assert slug(await fred.ask("DELETE", f"/v1/vouchers/{made['id']}")) == "not-found"
    assert slug(await Gateway(hub.client, "rig-7").enrol(made["voucher"])) == "bad-voucher"
    assert slug(await fred.ask("POST", "/v1/vouchers", json={"gateway": "Rig 7"})) == "invalid-request"


async def test_vouchers_and_revocations_are_in_the_journal(hub: TestHub) -> None:
    fred, carl = await team(hub, "fred", Role.FIELD_ENGINEER), await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    first = (await fred.ask("POST", "/v1/vouchers", json={"gateway": "rig-7"})).json()
    await Gateway(hub.client, "rig-7").enrol(first["voucher"])
    second = (await fred.ask("POST", "/v1/vouchers", json={"gateway": "rig-8"})).json()
    await fred.ask("DELETE", f"/v1/vouchers/{second['id']}")
    assert (await fred.ask("POST", "/v1/gateways/rig-7/revocation")).json()["revoked"] == 1
    found = (await carl.ask("GET", "/v1/journal", params={"by": f"person/{fred.person}"})).json()["journal"]
    assert [(one["action"], one["subject"]) for one in reversed(found)] == [
        ("make-voucher", "gateway/rig-7"),
        ("make-voucher", "gateway/rig-8"),
        ("end-voucher", "gateway/rig-8"),
        ("revoke-keys", "gateway/rig-7"),
    ]


async def test_a_pushed_configuration_is_in_the_journal_with_the_entry_it_is_in_the_log_by(hub: TestHub) -> None:
    fred, carl = await team(hub, "fred", Role.FIELD_ENGINEER), await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    await hub.gateway("rig1")
    path = "/v1/gateways/rig1/configuration"
    assert (await fred.ask("PUT", path, content='[hub]\nurl = "x"\n', headers={"if-match": '"0"'})).status_code == 201
    (found,) = (await carl.ask("GET", "/v1/journal", params={"action": "push-configuration"})).json()["journal"]
    assert (found["by_name"], found["subject"], found["detail"]["version"]) == ("fred", "gateway/rig1", 1)
    assert hub.rows("SELECT encode(entry, 'hex') FROM log_entry WHERE kind = 'configuration'") == [(found["detail"]["entry"],)]
