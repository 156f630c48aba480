"""What the watch does by itself: planned work, outages that last, live results, files; and what people see of it."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud import recompute
from cloud.assets.alarm_rules import Name, Priority, Standing
from cloud.assets.alarms import Alarm, State
from cloud.disclosure import sight, views
from cloud.disclosure.detector import Judgement
from cloud.disclosure.event import Event
from cloud.disclosure.event import State as EventState
from cloud.disclosure.ledger import Ledger
from cloud.disclosure.stages import STAGES
from cloud.disclosure.watch import Watch
from cloud.evidence.again import recompute as again
from cloud.reports import umm
from protocols.batch import pedigree
from protocols.clock import Clock
from tests.cloud.conftest import TestHub
from tests.cloud.disclosure.field import EVENT, PROFILE, open_field
from tests.cloud.disclosure.test_life import WHOLE, declare, publish
from tests.cloud.reaction.desk import MODEL

MAINTAINED = MODEL.replace(
    '[[site.asset]]\nname = "B"',
    "[[site.asset.maintenance]]\nstart = 1970-01-01T00:00:00Z\nend = 1970-01-03T00:00:00Z\n\n" + '[[site.asset]]\nname = "B"',
)


async def test_work_that_the_model_has_planned_is_drafted_as_planned(hub: TestHub) -> None:
    field = await open_field(hub)
    assert (await field.desk.put("/v1/assets", MAINTAINED)).status_code == 200
    message = (await field.draft())["message"]
    assert (message["unavailability"], message["stop"]) == ("Planned", "1970-01-03T00:00:00+00:00")


async def test_an_outage_that_outlasts_what_was_said_is_told_again(hub: TestHub) -> None:
    field = await open_field(hub)
    drafted = await field.draft()
    stop_us = int((datetime.fromisoformat(drafted["message"]["start"]) + timedelta(minutes=5)).timestamp()) * 1_000_000
    await field.step(field.olga, "confirmation", {"stop_us": stop_us})
    asked = await field.step(field.olga, "publication")
    assert (await field.agree(field.carl, asked.json()["approval"])).status_code == 200
    field.desk.second += 600
    await field.desk.send(3, 400.0)
    later = await field.event("draft")
    assert later["message"]["version"] == 2
    assert datetime.fromisoformat(later["message"]["stop"]) > datetime.now(UTC)
    gone = await field.step(field.olga, "withdrawal", {"reason": "the stop is right"})
    assert (gone.json()["state"], gone.json()["blocks_orders"]) == ("published", False)


async def test_pages_are_told_as_it_happens(hub: TestHub) -> None:
    field = await open_field(hub)
    drafted = await field.draft()
    told = await field.desk.result("outage", lambda one: one["output"]["state"] == "draft")
    assert (told["subject"], told["id"]) == (EVENT, drafted["evidence"])
    await field.step(field.olga, "confirmation")
    assert (await field.desk.result("outage", lambda one: one["output"]["state"] == "confirmed"))["output"]["clock"]["overdue"] is False


class Later:
    """The hub's clock, moved on."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.by_us = clock, 0

    def now_us(self) -> int:
        return self._clock.now_us() + self.by_us


async def test_a_message_that_is_overdue_is_judged_again_once_and_shown(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    parts, shown = hub.hub, list[bytes]()
    clock = Later(parts.clock)
    watch = Watch(
        parts.db, clock, Ledger(clock, parts.record), lambda *told: shown.append(told[3]), parts.log.wake, parts._tenant_ids, tmp_path
    )
    await watch._attend(1, woken=True)
    clock.by_us = 3_601_000_000
    for _ in range(3):
        await watch._attend(1, woken=True)
    assert [json.loads(one)["output"]["clock"]["overdue"] for one in shown] == [False, True]
    rows = [one for one in await field.get("/v1/evidence?kind=finding") if one["subject"] == f"outage/{event}"]
    assert len(rows) == 2


async def test_files_and_feed_of_published_messages_lie_in_the_data_folder(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    event = (await declare(field, 10, 12, "30")).json()["event"]
    await publish(field, event)
    folder = hub.hub.config.data / "umm" / "1"
    async with asyncio.timeout(20):
        while not (folder / "feed.atom").exists():
            await asyncio.sleep(0.02)
    file = await hub.client.get(f"/v1/outages/{event}/files/1", headers=field.token)
    assert (folder / f"{event}_001.xml").read_bytes() == file.content
    assert umm.read_feed((folder / "feed.atom").read_bytes()) == umm.read_feed(file.content)


async def test_lists_are_by_state_and_page_by_page(hub: TestHub) -> None:
    field = await open_field(hub, WHOLE)
    names = [(await declare(field, 10 + at, 12 + at, "30")).json()["event"] for at in range(3)]
    await field.step(field.olga, "dismissal", {"reason": "called off"}, event=names[1])
    assert [one["event"] for one in await field.events("open")] == [names[2], names[0]]
    assert [one["event"] for one in await field.events("withdrawn")] == [names[1]]
    first = await field.get("/v1/outages?limit=2")
    second = await field.get(f"/v1/outages?limit=2&before={first['next']}")
    assert [one["event"] for one in (*first["outages"], *second["outages"])] == names[::-1]
    assert second["next"] is None


async def test_parts_that_the_model_lacks_are_told_and_break_nothing(hub: TestHub) -> None:
    field = await open_field(hub, PROFILE.replace('asset = "B"', 'asset = "Z"'))
    await field.draft()
    assert (await field.get("/v1/outages"))["problems"] == ['unit "Block 1": part "Z" is no asset of the asset model']
    row = (await field.get("/v1/evidence?kind=capacity&limit=1"))[0]
    output = (await field.desk.row(row["id"]))["output"]
    assert (output["available"], output["low"], output["high"]) == ("0", "0", "40")


async def test_an_action_that_was_forged_does_not_compute_again(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub)
    drafted = await field.draft()
    found = pedigree.read(await field.desk.bundle(drafted["evidence"]))
    contents = tuple(one.replace(b'"planned":false', b'"planned":true') for one in found.contents)
    digests = dict(zip(found.contents_by_digest, contents, strict=True))

    class Forged:
        contents_by_digest = digests
        documents, tables, batches, target = found.documents, found.tables, found.batches, found.target

    differing = [one for one in again(Forged, recompute.REGISTRY) if one.differences]  # type: ignore[arg-type]
    assert [one.name.split()[0] for one in differing] == ["umm"]
    assert "Planned" in differing[0].differences[0]
    assert set(STAGES) == {"capacity", "umm"}


def test_the_clock_says_when_it_is_overdue() -> None:
    event = Event("1-X", 1, "Block 1", "A", EventState.CONFIRMED, 0, Judgement.DISCLOSE, "", confirmed_us=1_767_225_600_000_000)
    in_time, late = (views.clock(event, 1_767_225_600_000_000 + minutes * 60_000_000) for minutes in (60, 61))
    assert in_time is not None
    assert late is not None
    assert (in_time["overdue"], in_time["left_s"], late["overdue"], late["left_s"]) == (False, 0, True, -60)
    assert views.clock(replace(event, state=EventState.PUBLISHED), 0) is None


def test_a_reason_is_made_of_alarms_and_has_no_character_that_xml_refuses() -> None:
    alarms = [
        (Name("A", "health"), Standing(Alarm(State.UNACKNOWLEDGED, True), Priority.HIGH, 1, "critical:\x01 rig1/plc1.t0")),
        (Name("A", "stale tags"), Standing(Alarm(), Priority.LOW, 0, "gone")),
        (Name("B", "health"), Standing(Alarm(State.UNACKNOWLEDGED, True), Priority.HIGH, 1, "other")),
    ]
    assert sight.reason(alarms, "A") == "health (high): critical:  rig1/plc1.t0"
    assert sight.reason(alarms, "C") == sight.NO_ALARM
