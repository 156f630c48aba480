"""A tenant's settings over HTTP: versions, quotas, and what needs two people."""

from typing import Any

import pytest

from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway
from tests.cloud.identity.people import Browser, slug, team


@pytest.fixture
async def ada(hub: TestHub) -> Browser:
    return await team(hub, "ada", Role.ADMIN)


async def put(browser: Browser, version: int, **settings: Any) -> Any:
    return await browser.ask("PUT", "/v1/tenant", headers={"if-match": f'"{version}"'}, json=settings)


async def test_settings_are_versions_and_the_loser_is_told(ada: Browser) -> None:
    first = await ada.ask("GET", "/v1/tenant")
    assert (first.headers["etag"], first.json()["zone"]) == ('"0"', "UTC")
    made = await put(ada, 0, jurisdiction="GY", zone="America/Guyana", people=9)
    assert (made.status_code, made.headers["etag"], made.json()["settings"]["jurisdiction"]) == (200, '"1"', "GY")
    lost = await put(ada, 0, jurisdiction="US")
    assert (lost.status_code, lost.json()["version"]) == (412, 1)
    assert (await put(ada, 1, jurisdiction="GY", zone="America/Guyana", people=9)).headers["etag"] == '"1"'  # nothing changed
    assert slug(await ada.ask("PUT", "/v1/tenant", json={})) == "precondition-needed"
    for wrong in ({"zone": "Atlantis/Centre"}, {"jurisdiction": "XX"}, {"people": 0}, {"colour": "red"}):
        assert slug(await put(ada, 1, **wrong)) == "invalid-request"


async def test_everybody_sees_law_and_zone_and_only_who_may_sees_the_rest(hub: TestHub, ada: Browser) -> None:
    await put(ada, 0, jurisdiction="NO", people=9)
    olga = await team(hub, "olga", Role.OPERATOR)
    assert (await olga.ask("GET", "/v1/tenant")).json() == {"tenant": "default", "version": 1, "jurisdiction": "NO", "zone": "UTC"}
    assert (await ada.ask("GET", "/v1/tenant")).json()["people"] == 9


async def test_keeping_data_for_a_shorter_time_needs_two(hub: TestHub, ada: Browser) -> None:
    carl = await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    await put(ada, 0, retention_days=3650)
    asked = await put(ada, 1, retention_days=30, zone="Europe/Oslo")
    shown = asked.json()["settings"]
    assert (asked.status_code, shown["retention_days"], shown["zone"]) == (202, 3650, "Europe/Oslo")
    path = f"/v1/approvals/{asked.json()['approval']['id']}/decision"
    assert (await carl.ask("POST", path, json={"agree": True, "reason": "as the law says"})).status_code == 200
    now = (await ada.ask("GET", "/v1/tenant")).json()
    assert (now["retention_days"], now["zone"], now["version"]) == (30, "Europe/Oslo", 3)
    assert (await put(ada, 3, retention_days=60, zone="Europe/Oslo")).status_code == 200


async def test_no_more_people_are_invited_than_the_quota(ada: Browser) -> None:
    await put(ada, 0, people=2)
    replies = [await ada.ask("POST", "/v1/people", json={"name": n, "display": n, "role": "operator"}) for n in ("olga", "otto")]
    assert [slug(reply) if reply.status_code > 299 else "" for reply in replies] == ["", "quota"]
    assert "2 people" in replies[1].json()["detail"]


async def test_no_more_gateways_enrol_than_the_quota(hub: TestHub, ada: Browser) -> None:
    await put(ada, 0, gateways=1)
    await hub.gateway("rig1")
    refused = await Gateway(hub.client, "rig2").enrol(await hub.voucher("rig2"))
    assert (refused.status_code, slug(refused)) == (403, "quota")
    assert (await Gateway(hub.client, "rig1").enrol(await hub.voucher("rig1"))).status_code == 201  # the same one, with another key
