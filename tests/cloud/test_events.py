"""Events reach the hub in signed batches of their own stream and are shown as they were signed."""

from protocols.batch.statement import Payload
from protocols.event import Event
from tests.cloud.conftest import TestHub


def event(number: int, kind: str = "alarm") -> Event:
    return Event(
        kind, "plc1", "level high", 1_000_000 * number, 1_000_000 * number + 5, f"message {number}", 700, {"active": True, "x": 1.5}
    )


async def test_events_are_shown_newest_first_with_their_batch(hub: TestHub) -> None:
    gateway = await hub.gateway()
    made = [event(1), event(2, "text"), event(3)]
    first = gateway.seal(Payload(gateway.table.digest, (), (), events=tuple(one.members() for one in made[:2])), stream="event")
    await gateway.send(first, gateway.seal())
    await gateway.send(gateway.seal(Payload(gateway.table.digest, (), (), events=(made[2].members(),)), stream="event"))
    who = await hub.token()
    found = (await hub.client.get("/v1/events", headers=who)).json()
    assert [one["message"] for one in found["events"]] == ["message 3", "message 2", "message 1"]
    assert found["next"] is None
    assert found["events"][0]["gateway"] == "rig1"
    assert found["events"][0]["detail"] == {"active": True, "x": 1.5}
    assert found["events"][0]["batch"]["seq"] == 2
    alarms = (await hub.client.get("/v1/events", params={"kind": "alarm", "gateway": "rig1"}, headers=who)).json()["events"]
    assert [one["source_us"] for one in alarms] == [3_000_000, 1_000_000]


async def test_pages_follow_each_other_and_other_tenants_see_nothing(hub: TestHub) -> None:
    gateway = await hub.gateway()
    for number in range(1, 6):
        await gateway.send(gateway.seal(Payload(gateway.table.digest, (), (), events=(event(number).members(),)), stream="event"))
    who, seen, before = await hub.token(), [], None
    while True:
        page = (await hub.client.get("/v1/events", params={"limit": 2, **({"before": before} if before else {})}, headers=who)).json()
        seen += [one["message"] for one in page["events"]]
        before = page["next"]
        if before is None:
            break
    assert seen == [f"message {number}" for number in (5, 4, 3, 2, 1)]
    other = await hub.token("other")
    assert (await hub.client.get("/v1/events", headers=other)).json() == {"events": [], "next": None}


async def test_signed_record_that_is_no_event_is_shown_as_unknown(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal(Payload(gateway.table.digest, (), (), events=({"kind": 7},)), stream="event"))
    found = (await hub.client.get("/v1/events", headers=await hub.token())).json()["events"]
    assert found[0]["kind"] == "unknown"
    assert "not an event" in found[0]["message"]
