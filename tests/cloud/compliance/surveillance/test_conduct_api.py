"""Order events over HTTP, alerts, and what people do about them."""

from typing import Any

import pytest

from cloud.evidence import bundles
from cloud.evidence.again import recompute
from cloud.identity.roles import Role
from cloud.recompute import REGISTRY
from protocols.batch import pedigree
from tests.cloud.compliance.surveillance.feed import QUIET, SPOOF, START_US, WASH, S, hand_in
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import execute, slug, team

COUNTS = "SELECT (SELECT count(*) FROM order_events), (SELECT count(*) FROM evidence), (SELECT count(*) FROM conduct_alert)"


class Watch:
    def __init__(self, hub: TestHub) -> None:
        self.hub = hub

    async def open(self) -> "Watch":
        self.token = await self.hub.token(scopes=("read", "write:deals"))
        self.clara, self.dora = [await team(self.hub, name, Role.COMPLIANCE_OFFICER) for name in ("clara", "dora")]
        return self

    async def send(self, document: Any) -> Any:
        return await self.hub.client.post("/v1/orders/events", json=document, headers=self.token)

    async def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.clara.ask("GET", "/v1/conduct/alerts")).json()["alerts"]
        return found

    async def step(self, alert: int, step: str, who: Any = None, **body: Any) -> Any:
        return await (who or self.clara).ask("POST", f"/v1/conduct/alerts/{alert}/{step}", json=body)

    async def run(self, from_s: float, to_s: float, **asked: Any) -> dict[str, Any]:
        body = {"from_us": START_US + round(from_s * S), "to_us": START_US + round(to_s * S), **asked}
        reply = await self.clara.ask("POST", "/v1/conduct/runs", json=body)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found


@pytest.fixture
async def watch(hub: TestHub) -> Watch:
    return await Watch(hub).open()


async def test_a_hand_in_is_kept_once_and_a_hole_or_another_text_is_refused(watch: Watch) -> None:
    first, again = await watch.send(hand_in(QUIET)), await watch.send(hand_in(QUIET))
    assert (first.status_code, again.status_code, first.json()["stored"], again.json()["stored"]) == (201, 200, True, False), first.text
    before = watch.hub.rows(COUNTS)
    refused = [
        await watch.send(hand_in(QUIET, 4)),  # 3 comes next
        await watch.send(hand_in(QUIET, 1, account="south")),
        await watch.send(hand_in([(1, "d", "placed", "buy", 1.0, 1)], 3)),  # earlier than what is there
        await watch.send(hand_in(QUIET, 3, side="both")),
    ]
    assert [slug(reply) for reply in refused] == ["conflict", "conflict", "conflict", "invalid-request"]
    assert watch.hub.rows(COUNTS) == before
    listed = (await watch.clara.ask("GET", "/v1/orders/events")).json()["hand_ins"]
    assert [(one["source"], one["first"], one["last"]) for one in listed] == [("desk", 1, 2)]


async def test_an_alert_is_found_across_hand_ins_and_never_twice(watch: Watch) -> None:
    await watch.send(hand_in(SPOOF[:3]))
    assert await watch.alerts() == []
    await watch.send(hand_in(SPOOF[3:], 4))
    (alert,) = await watch.alerts()
    assert (alert["pattern"], alert["owner"], alert["state"]) == ("spoofing", "Example", "open")
    await watch.send(hand_in(QUIET, 5))
    ran = await watch.run(-10, 100)
    assert (ran["new"], ran["known"], ran["hand_ins"]) == ([], [alert["id"]], 3)
    assert len(await watch.alerts()) == 1
    assert watch.hub.rows("SELECT count(*) FROM evidence WHERE kind = 'alert'") == [(1,)]


async def test_a_run_uses_what_only_people_know_and_says_what_did_not_run(watch: Watch) -> None:
    await watch.send(hand_in([WASH[0], WASH[2]]))
    assert (await watch.run(0, 100))["not_run"] == {"marking the close": "nobody stated settlements with the volume of their window"}
    settlement = {
        "instrument": "TTF",
        "end_us": START_US + 15 * S,
        "volume": 10,
        "price_before": 30,
        "price": 30.3,
        "linked": {"Example": 100},
    }
    (number,) = (await watch.run(0, 100, settlements=[settlement]))["new"]
    told = (await watch.clara.ask("GET", f"/v1/conduct/alerts/{number}")).json()
    assert (told["pattern"], told["found"]["orders"]) == ("marking the close", ["desk/a"])


async def test_orders_in_a_blocked_book_are_told_from_the_outages_knowledge_time(watch: Watch) -> None:
    execute(
        watch.hub,
        "INSERT INTO order_block (tenant_id, event, message, unit, books, since_us)"
        f" VALUES (1, 'E-1', 1, 'Block 1', '{{north}}', {START_US + 19 * S})",
    )
    await watch.send(hand_in(QUIET))
    (alert,) = await watch.alerts()
    assert alert["pattern"] == "trading on an outage before publication"
    told = (await watch.clara.ask("GET", f"/v1/conduct/alerts/{alert['id']}")).json()
    assert (told["found"]["outage"], told["found"]["measures"]) == ("E-1", {"seconds known": 1.0})


async def test_only_the_analyst_decides_once_and_the_reasons_are_kept_either_way(watch: Watch) -> None:
    await watch.send(hand_in([*SPOOF, *WASH]))
    second, first = [one["id"] for one in await watch.alerts()]
    decision = {"decision": "no further action", "reasons": "two desks, one plan"}
    assert slug(await watch.step(first, "decision", **decision)) == "conflict"  # nobody took it
    assert (await watch.step(first, "assignment")).json()["state"] == "assigned"
    assert slug(await watch.step(first, "decision", watch.dora, **decision)) == "conflict"
    assert (await watch.step(first, "notes", watch.dora, text="asked the desk")).status_code == 200
    assert (await watch.step(first, "decision", **decision)).json()["state"] == "closed"
    assert slug(await watch.step(first, "decision", decision="STOR", reasons="changed my mind")) == "conflict"
    assert (await watch.step(second, "assignment", analyst=watch.dora.person)).json()["analyst"] == watch.dora.person
    told = {one["id"]: one for one in await watch.alerts()}
    assert [step["text"] for step in told[first]["steps"]] == ["", "asked the desk", "two desks, one plan"]
    assert len(watch.hub.rows("SELECT 1 FROM action WHERE name LIKE '%-alert'")) == 4


async def test_nothing_of_the_hub_can_take_an_alert_back(watch: Watch) -> None:
    await watch.send(hand_in(SPOOF))
    granted = watch.hub.rows(
        "SELECT privilege_type FROM information_schema.role_table_grants WHERE grantee = 'qenergyz_app'"
        " AND table_name IN ('conduct_alert', 'conduct_step', 'order_events')"
    )
    assert {name for (name,) in granted} == {"SELECT", "INSERT"}
    assert len(await watch.alerts()) == 1


async def test_the_desk_hands_in_but_does_not_see_what_is_found(watch: Watch) -> None:
    trader = await team(watch.hub, "tom", Role.TRADER)
    reply = await trader.ask("POST", "/v1/orders/events", json=hand_in(SPOOF))
    assert reply.status_code == 201
    assert "alert" not in reply.text
    assert slug(await trader.ask("GET", "/v1/conduct/alerts")) == "forbidden"


async def test_an_alert_is_found_again_from_its_bundle(watch: Watch) -> None:
    for at, rows in ((1, SPOOF[:2]), (3, SPOOF[2:])):
        await watch.send(hand_in(rows, at))
    (alert,) = await watch.alerts()
    hub = watch.hub.hub
    report = pedigree.verify(await bundles.export(hub.windows, hub.log, 1, bytes.fromhex(alert["evidence"])))
    assert report.pedigree is not None
    compared = list(recompute(report.pedigree, REGISTRY))
    assert len(compared) == 3
    assert [one.differences for one in compared] == [()] * 3
