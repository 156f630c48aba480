"""An event through its life over HTTP: declared, corrected, overlapping, recovered, dismissed; restarts and two people at once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloud import recompute
from cloud.disclosure.watch import Watch
from cloud.identity.roles import SCOPES
from cloud.reports import umm
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.disclosure.field import EVENT, PARTS, PROFILE, SECOND, UNIT, UNITS, Field, open_field
from tests.cloud.identity.people import slug

DAY = datetime(2026, 11, 23, tzinfo=UTC)
WHOLE = UNITS + UNIT  # nothing is measured
UNKNOWN_FLOOR = PROFILE.replace("threshold_mw = 10\n", "")


def at_us(hour: int) -> int:
    return int(DAY.replace(hour=hour).timestamp()) * 1_000_000


async def declare(field: Field, start: int, stop: int, unavailable: str, **changes: Any) -> Any:
    body = {
        "unit": "Block 1",
        "start_us": at_us(start),
        "stop_us": at_us(stop),
        "unavailable": unavailable,
        "planned": True,
        "reason": "Work",
    }
    return await field.olga.ask("POST", "/v1/outages", json=body | changes)


async def publish(field: Field, event: str) -> None:
    asked = await field.step(field.olga, "publication", event=event)
    decided = await field.agree(field.carl, asked.json()["approval"])
    assert decided.status_code == 200, decided.text


async def published(field: Field) -> tuple[umm.Umm, ...]:
    return umm.read_feed((await field.hub.client.get("/v1/umm.atom", headers=field.token)).content)


async def test_overlapping_outages_say_their_own_loss_and_what_remains(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub, WHOLE)
    first, second = await declare(field, 10, 12, "30"), await declare(field, 11, 13, "40")
    assert (first.status_code, second.status_code) == (201, 201), second.text
    await publish(field, first.json()["event"])
    await publish(field, second.json()["event"])
    newest, before = await published(field)
    assert (before.available, before.unavailable, before.intervals) == (70, 30, ())
    assert (newest.available, newest.unavailable) == (30, 40)
    assert [(one.start.hour, one.stop.hour, one.available) for one in newest.intervals] == [(11, 12, 30), (12, 13, 60)]
    path = tmp_path / "overlapping.qzb"
    path.write_bytes(await field.desk.bundle((await field.events())[0]["evidence"]))
    assert recompute.main([str(path)]) == 0


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"unit": "Block 9"}, "known: Block 1"),
    ({"stop_us": at_us(9)}, "after start_us"),
    ({"unavailable": "101"}, "exceed 100 installed"),
    ({"unavailable": "0"}, "more than 0"),
    ({"unavailable": "1e3"}, "unavailable"),
    ({"reason": " "}, "reason"),
    ({"colour": "red"}, "colour"),
]


async def test_an_outage_that_cannot_be_is_refused_and_says_why(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    replies = [(await declare(field, 10, 12, **{"unavailable": "30", **changes}), told) for changes, told in REFUSED]
    assert {reply.status_code for reply, _ in replies} == {422}
    assert [told for reply, told in replies if told not in reply.json()["detail"]] == []
    assert await field.events() == []


async def test_one_failure_on_two_units_is_two_messages_of_one_number(hub: TestHub) -> None:
    field = await open_field(hub, PROFILE + SECOND + PARTS)
    await field.draft()
    other = await field.event("draft", "1-22WEXAMPLE-2---K")
    assert (other["number"], other["unit"], other["asset"]) == (1, "Block 2", "A")


async def test_below_or_without_a_confirmed_floor_a_person_reviews(hub: TestHub) -> None:
    field = await open_field(hub, UNKNOWN_FLOOR)
    drafted = await field.draft()
    assert drafted["judgement"] == "review"
    assert "unconfirmed" in drafted["why"]


async def test_a_change_after_it_was_asked_for_is_not_published(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    asked = (await field.step(field.olga, "publication", event=event)).json()["approval"]
    assert (await field.step(field.olga, "confirmation", {"unavailable": "90"}, event=event)).status_code == 200
    assert slug(await field.agree(field.carl, asked)) == "conflict"
    assert (await field.events())[0]["state"] == "confirmed"
    await publish(field, event)
    told = (await field.get(f"/v1/outages/{event}"))["approvals"]
    assert [(one["state"], one["reason"].split(":")[0]) for one in told] == [("declined", "superseded"), ("agreed", "read and checked")]
    assert [one.unavailable for one in await published(field)] == [90]


async def test_the_same_message_is_not_asked_for_twice(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    first, second = [await field.step(who, "publication", event=event) for who in (field.olga, field.carl)]
    assert (first.status_code, slug(second)) == (200, "conflict")
    declined = await field.agree(field.carl, first.json()["approval"], agree=False)
    assert declined.status_code == 200
    await publish(field, event)


async def test_a_correction_does_not_begin_the_clock_anew(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    first = (await declare(field, 10, 12, "30")).json()
    again = await field.step(field.olga, "confirmation", {"remarks": "more is known"}, event=first["event"])
    assert again.json()["clock"]["due_us"] == first["clock"]["due_us"]


async def test_who_saw_an_older_step_is_told_so(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    await field.step(field.olga, "confirmation", {"remarks": "first"}, event=event)
    path = f"/v1/outages/{event}/confirmation"
    late = await field.carl.ask("POST", path, json={"remarks": "second"}, headers={"if-match": '"1"'})
    assert (late.status_code, late.json()["version"]) == (412, 2)


async def test_two_who_agree_at_once_publish_one_message(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    asked = (await field.step(field.olga, "publication", event=event)).json()["approval"]
    replies = await asyncio.gather(*(field.agree(field.carl, asked) for _ in range(4)))
    assert sorted(reply.status_code for reply in replies) == [200, 409, 409, 409]
    assert len(await published(field)) == 1


async def test_a_profile_without_an_acer_code_publishes_nothing(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE.replace('acer_code = "T1241247G.EU"\n', ""))
    event = (await declare(field, 10, 12, "30")).json()["event"]
    asked = (await field.step(field.olga, "publication", event=event)).json()["approval"]
    refused = await field.agree(field.carl, asked)
    assert slug(refused) == "wrong-file"
    assert "ACER" in refused.json()["detail"]
    assert (await field.events())[0]["state"] == "publication asked"
    assert hub.rows("SELECT count(*) FROM evidence WHERE kind = 'filing'") == [(0,)]


async def test_a_published_message_is_taken_back_by_four_eyes(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    await publish(field, event)
    dismissed = await field.step(field.olga, "dismissal", {"reason": "the work was called off"}, event=event)
    assert (dismissed.json()["state"], dismissed.json()["blocks_orders"]) == ("publication asked", True)
    assert slug(await field.agree(field.olga, dismissed.json()["approval"])) == "forbidden"
    assert (await field.agree(field.carl, dismissed.json()["approval"])).status_code == 200
    assert slug(await field.agree(field.carl, dismissed.json()["approval"])) == "conflict"
    newest = (await published(field))[0]
    assert (newest.id, newest.status, newest.remarks) == (f"{event}_002", umm.Status.DISMISSED, "the work was called off")
    assert (await field.events())[0]["state"] == "dismissed"
    assert slug(await field.step(field.olga, "confirmation", {"remarks": "no"}, event=event)) == "outage-state"


async def test_a_dismissal_that_was_declined_can_be_dropped(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    await publish(field, event)
    asked = (await field.step(field.olga, "dismissal", {"reason": "called off"}, event=event)).json()["approval"]
    assert (await field.agree(field.carl, asked, agree=False)).status_code == 200
    dropped = await field.step(field.olga, "withdrawal", {"reason": "it takes place after all"}, event=event)
    assert (dropped.json()["state"], dropped.json()["blocks_orders"]) == ("published", False)
    again = await field.step(field.olga, "confirmation", {"unavailable": "35"}, event=event)
    assert (again.json()["state"], again.json()["message"]["version"]) == ("confirmed", 2)


async def test_recovery_is_drafted_as_the_next_message_and_ends_the_event(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub)
    await field.draft()
    await field.publish()
    await field.event("published")
    for _ in range(12):
        await field.desk.send(10)
        await field.seen()
    drafted = await field.event("draft")
    assert drafted["message"]["version"] == 2
    assert drafted["message"]["stop"] == datetime.fromtimestamp(drafted["recovered_us"] / 1e6, UTC).isoformat()
    assert drafted["blocks_orders"]
    await field.publish()
    ended = await field.event("ended")
    assert ended["published"] == f"{EVENT}_002"
    path = tmp_path / "recovered.qzb"
    path.write_bytes(await field.desk.bundle(ended["evidence"]))
    assert recompute.main([str(path)]) == 0


async def test_the_way_is_walked_across_restarts(run_hub: RunHub) -> None:
    async with run_hub() as hub:
        field = await open_field(hub)
        await field.learn()
        await field.fail(1)

    async with run_hub() as hub:
        field.move(hub)
        await field.fail()
        await field.event("draft")
    async with run_hub() as hub:
        field.move(hub)
        assert (await field.step(field.olga, "confirmation")).status_code == 200
    async with run_hub() as hub:
        field.move(hub)
        approval = (await field.step(field.olga, "publication")).json()["approval"]
    async with run_hub() as hub:
        field.move(hub)
        assert slug(await field.tom.ask("POST", "/v1/deals", json=[])) != "order-blocked"
        assert len((await field.tom.ask("GET", "/v1/blocks")).json()["blocks"]) == 1
        assert (await field.agree(field.carl, approval)).status_code == 200
    async with run_hub() as hub:
        field.move(hub)
        (one,) = await field.events()
        assert (one["state"], one["step"]) == ("published", 4)
        folder = hub.hub.config.data / "umm" / "1"
        async with asyncio.timeout(20):
            while not (folder / f"{EVENT}_001.xml").exists():
                await asyncio.sleep(0.02)
        assert [told.id for told in umm.read_feed((folder / f"{EVENT}_001.xml").read_bytes())] == [f"{EVENT}_001"]


async def test_who_confirmed_does_not_publish_even_where_another_asked(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    assert (await field.step(field.carl, "confirmation", {"remarks": "seen"}, event=event)).status_code == 200
    asked = (await field.step(field.olga, "publication", event=event)).json()["approval"]
    refused = await field.agree(field.carl, asked)
    assert (slug(refused), await published(field)) == ("forbidden", ())


async def test_a_program_does_not_confirm(hub: TestHub) -> None:
    field = await open_field(hub)
    await field.draft()
    refused = await hub.client.post(f"/v1/outages/{EVENT}/confirmation", json={}, headers=field.token)
    assert slug(refused) == "forbidden"


async def test_several_watches_find_one_event(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub)
    await field.learn()
    parts = hub.hub
    watches = [
        Watch(parts.db, parts.clock, parts.ledger, parts.results.publish, parts.log.wake, parts._tenant_ids, tmp_path) for _ in range(3)
    ]
    for _ in range(3):
        await field.desk.send(3, 400.0)
        await field.seen()
        await asyncio.gather(*(watch.look(1) for watch in watches))
    await field.event("draft")
    assert hub.rows("SELECT count(*), max(step) FROM outage") == [(1, 1)]
    units = (await field.get("/v1/capacity"))["units"]
    known = units[0]["capacity"]
    assert (known["available"], known["low"], known["high"]) == ("40", "40", "40")
    assert {name: (part["condition"], part["phase"]) for name, part in known["parts"].items()} == {"A": ("down", "down"), "B": ("up", "up")}


async def test_another_tenant_sees_and_changes_nothing(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    await publish(field, event)
    await hub.tenant("theirs")
    theirs = await hub.token("theirs", tuple(SCOPES))
    paths = (f"/v1/outages/{event}", f"/v1/outages/{event}/files/1")
    assert [(await hub.client.get(path, headers=theirs)).status_code for path in paths] == [404, 404]
    assert (await hub.client.get("/v1/outages", headers=theirs)).json()["outages"] == []
    assert umm.read_feed((await hub.client.get("/v1/umm.atom", headers=theirs)).content) == ()
    refused = await hub.client.post(f"/v1/outages/{event}/withdrawal", json={"reason": "no"}, headers=theirs)
    assert slug(refused) in ("not-found", "outage-state")


async def test_a_delay_that_is_registered_is_judged_by_its_conditions(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    facts = {"delayed": True, "delay_legitimate": True, "delay_confidential": True, "delay_notified": False}
    kept = await hub.client.put(f"/v1/facts/Outage/outage/{event}", json=facts, headers=field.token)
    assert kept.status_code in (200, 201), kept.text
    assert (await field.step(field.olga, "confirmation", {"remarks": "delayed"}, event=event)).status_code == 200
    outcomes = {one["rule"]: one["outcome"] for one in (await field.get(f"/v1/outages/{event}"))["findings"]}
    assert (outcomes["R-02"], outcomes["R-05"]) == ("NOT_APPLICABLE", "FAIL")
