"""Two tenants who both have everything: thousands of random requests of the one show and change nothing of the other.

Everything the other has says a secret that no request ever says, in names, texts and values. Requests do say the other's plain names, digests and
identifiers, wherever a name, a digest or a number is asked for.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from cloud.evidence import store as evidence_store
from cloud.identity.credentials import make_secret
from cloud.identity.roles import SCOPES, Role
from cloud.trading.documents import calendar_json, deal_json
from tests.cloud.conftest import TestHub
from tests.cloud.evidence.chains import MODEL_CONTENT, health
from tests.cloud.identity.people import Browser, execute, team
from tests.cloud.identity.requests import Asked, Maker
from tests.cloud.market.test_api import MARCH, quote_json
from tests.cloud.reaction.desk import MODEL
from tests.cloud.trading.agreements import CALENDARS, deal

OURS, THEIRS = "ours", "theirs"
SEED = 20_261_123


@dataclass
class World:
    """secrets: never said in a request of another tenant. words, numbers: names, digests and identifiers, which are. documents: what was handed in."""

    tenant_id: int
    bearer: dict[str, str]
    people: list[Browser]
    secrets: set[str]
    words: list[str]
    numbers: list[int]
    documents: dict[str, Any]


async def world(hub: TestHub, tenant: str) -> World:
    """A tenant with gateway, samples, health, deals, quotes, people, tokens, vouchers, approvals and configuration."""
    tenant_id = (await hub.tenant(tenant)).tenant_id
    bearer = await hub.token(tenant, tuple(SCOPES))
    secret = f"{tenant}hidden"
    rig = f"{tenant}-rig"
    gateway, hidden = await hub.gateway(rig, tenant), await hub.gateway(f"{secret}-rig", tenant)
    model = MODEL.replace("rig2/plc1.t0", f"{rig}/plc1.t2").replace("rig2/plc1.t1", f"{rig}/plc1.t3").replace("rig1/", f"{rig}/")
    model = model.replace('"A"', f'"{secret}-a"').replace('"B"', f'"{secret}-b"')
    documents: dict[str, Any] = {
        "PUT /v1/calendars": [calendar_json(*key, held) for key, held in CALENDARS.items()],
        "POST /v1/deals": deal_json(deal(f"{tenant}-deal", book=f"{secret}-book", counterparty=f"{secret}-buyer")),
        "PUT /v1/quotes": [{**quote_json(MARCH), "price": "31.7" if tenant == THEIRS else "30.5"}],
        "PUT /v1/assets": model,
    }
    for name, body in documents.items():
        method, path = name.split()
        given = {"content": body} if isinstance(body, str) else {"json": body}
        reply = await hub.client.request(method, path, headers=bearer, **given)
        assert reply.status_code < 300, (name, reply.text)
    batches = [gateway.seal() for _ in range(5)]
    await gateway.send(*batches)
    await hidden.send(hidden.seal())
    async with hub.hub.db.tenant(tenant_id) as connection:
        evidence = await evidence_store.append(connection, tenant_id, health(f"{secret}-a", batches), MODEL_CONTENT, 11)
    ada, tara = await team(hub, f"{tenant}-ada", Role.ADMIN, tenant), await team(hub, f"{tenant}-tara", Role.TRADER, tenant)
    carl = await team(hub, f"{tenant}-carl", Role.COMPLIANCE_OFFICER, tenant)
    invited = {"name": f"{tenant}-bob", "display": f"{secret} Bob", "role": "admin"}
    made = [
        await ada.ask("POST", "/v1/people", json=invited),
        await ada.ask("POST", "/v1/tokens", json={"name": f"{secret}-token", "scopes": ["read:field"], "days": 9}),
        await ada.ask("POST", "/v1/vouchers", json={"gateway": f"{secret}-next"}),
        await ada.ask("PUT", f"/v1/gateways/{rig}/configuration", content=f'# {secret}\n[hub]\nurl = "x"\n', headers={"if-match": '"0"'}),
    ]
    assert [reply.status_code for reply in made] == [202, 201, 201, 201], [reply.text for reply in made]
    await settled(hub, tenant_id)
    tags = [row[0] for row in hub.rows(f"SELECT tag_id FROM tag WHERE tenant_id = {tenant_id}")]
    identities = [reply.json()["id"] for reply in made[1:3]] + [made[0].json()["approval"]["id"], made[0].json()["person"]["id"]]
    words = [
        rig,
        f"{tenant}-deal",
        invited["name"],
        evidence.hex(),
        gateway.table.digest.hex(),
        gateway.signer.key_id.hex(),
    ]
    numbers = [*tags, *identities, *(one.person for one in (ada, tara, carl)), tenant_id]
    secrets = {secret, *(reply.json()[key] for reply, key in zip(made[:3], ("invitation", "token", "voucher"), strict=True))}
    return World(tenant_id, bearer, [ada, tara, carl], secrets, words, numbers, documents)


async def settled(hub: TestHub, tenant_id: int) -> None:
    """Nothing more is done in the background for this tenant."""
    while await hub.hub.compactor.compact(tenant_id):
        pass
    hub.hub.log.wake(tenant_id)
    async with asyncio.timeout(60):
        while hub.rows(f"SELECT count(*) FROM log_entry WHERE tenant_id = {tenant_id} AND position IS NULL") != [(0,)]:
            await asyncio.sleep(0.05)


def rows_of(hub: TestHub, tenant_id: int) -> dict[str, Any]:
    """A digest of everything of the tenant, by table."""
    tables = hub.rows("SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant_id' AND table_schema = 'public'")
    assert len(tables) > 30
    query = "SELECT count(*), md5(string_agg(row::text, ',' ORDER BY row::text)) FROM {} AS row WHERE tenant_id = {}"
    return {name: hub.rows(query.format(name, tenant_id)) for (name,) in tables}


def restore(hub: TestHub, ours: World) -> None:
    """Undo what the random requests did to those who ask them."""
    people = ", ".join(str(one.person) for one in ours.people)
    execute(hub, f"UPDATE person SET disabled_us = NULL, locked_us = 0 WHERE person_id IN ({people})")
    execute(hub, f"UPDATE session SET ended_us = NULL WHERE person_id IN ({people})")
    execute(hub, f"UPDATE api_token SET revoked_us = NULL WHERE tenant_id = {ours.tenant_id}")


async def send(hub: TestHub, ours: World, asked: Asked, rng: random.Random) -> Any:
    headers = dict(asked.headers)
    if asked.body is not None:
        headers["content-type"] = "application/json"
    browser = rng.choice([None, *ours.people])
    ask: Any = {"params": list(asked.query), "content": asked.body}
    if browser is None:
        return await hub.client.request(asked.method, asked.path, headers={**ours.bearer, **headers}, **ask)
    return await browser.ask(asked.method, asked.path, headers=headers, **ask)


async def bombard(hub: TestHub, count: int) -> Counter[str]:
    """Answers of 2xx by operation. Fails on the first leak."""
    theirs, ours = await world(hub, THEIRS), await world(hub, OURS)
    before = rows_of(hub, theirs.tenant_id)
    hub.hub.closing.set()  # so that streams end
    rng = random.Random(SEED)
    words = [*theirs.words, *theirs.words, *ours.words, OURS, "gas", "TTF", "health", "x", "999999", "' OR 1=1 --", make_secret("qzt_")]
    document = hub.client._transport.app.openapi()  # type: ignore[attr-defined]
    maker = Maker(document, words, [*theirs.numbers, *theirs.numbers, *ours.numbers], rng, ours.documents)
    shown: Counter[str] = Counter()
    for number in range(count):
        if number % 50 == 0:
            restore(hub, ours)
        asked = maker.make()
        reply = await send(hub, ours, asked, rng)
        assert reply.status_code < 500 or asked.path == "/health", (asked, reply.text)
        found = [mark for mark in theirs.secrets if mark.encode() in reply.content]
        assert found == [], (asked, reply.text)
        shown[asked.operation] += reply.is_success
    assert rows_of(hub, theirs.tenant_id) == before
    return shown


async def test_1500_random_requests_show_and_change_nothing_of_another_tenant(hub: TestHub) -> None:
    shown = await bombard(hub, 1_500)
    assert sum(1 for count in shown.values() if count) >= 30, shown  # the requests are good enough to be answered


@pytest.mark.slow
async def test_10000_random_requests_show_and_change_nothing_of_another_tenant(hub: TestHub) -> None:
    shown = await bombard(hub, 10_000)
    assert sum(1 for count in shown.values() if count) >= 40, shown


async def test_the_marks_would_be_seen_if_the_other_tenant_asked(hub: TestHub) -> None:
    theirs = await world(hub, THEIRS)
    paths = ("/v1/gateways", "/v1/deals", "/v1/assets", "/v1/evidence", "/v1/people", "/v1/tokens", "/v1/vouchers", "/v1/tags")
    replies = [await theirs.people[0 if path != "/v1/deals" else 1].ask("GET", path) for path in paths]
    assert [path for path, reply in zip(paths, replies, strict=True) if not any(mark in reply.text for mark in theirs.secrets)] == []
