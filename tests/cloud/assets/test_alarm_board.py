"""What readers of the live stream are told of alarms: all of it, in order, or how much they missed."""

import asyncio
import json

from cloud.assets import alarm_board, alarm_rules
from cloud.assets.alarm_board import KEPT, AlarmFeed, Boards
from cloud.assets.alarm_rules import HEALTH, Name, Standing
from cloud.assets.alarm_store import Stored
from cloud.assets.alarms import Event

NOW = 1_717_200_000_000_000


def stored(number: int, event: Event = Event.RAISE, before: Standing | None = None, asset: str = "") -> Stored:
    name = Name(asset or f"pump {number}", HEALTH)
    return Stored(number, alarm_rules.step(before or Standing(), name, event, NOW + number, "hub"))


def told(feed: AlarmFeed) -> list[dict[str, object]]:
    return [json.loads(shown) for name, shown in feed.news() if name == "alarm"]


def test_a_reader_is_told_first_what_is_not_at_rest_and_then_each_transition_once() -> None:
    boards = Boards()
    boards.add(1, [stored(1), (raised := stored(2, asset="A"))])
    feed = AlarmFeed(boards, 1)
    assert [one["id"] for one in told(feed)] == [1, 2]
    assert told(feed) == []
    boards.add(1, [stored(2, asset="A"), acknowledged := stored(3, Event.ACKNOWLEDGE, raised.transition.after, "A")])
    boards.add(1, [acknowledged, stored(4, Event.CLEAR, acknowledged.transition.after, "A")])
    assert [(one["id"], one["event"], one["state"]) for one in told(feed)] == [(3, "acknowledge", "acknowledged"), (4, "clear", "normal")]
    assert [one["id"] for one in told(AlarmFeed(boards, 1))] == [1]


def test_a_reader_that_is_too_slow_is_told_how_many_it_missed() -> None:
    boards = Boards()
    feed = AlarmFeed(boards, 1)
    feed.news()
    boards.add(1, [stored(number) for number in range(1, KEPT + 8)])
    found = told(feed)
    assert found[0] == {"skipped": 7}
    assert [one["id"] for one in found[1:]] == list(range(8, KEPT + 8))


async def test_a_reader_waits_for_its_own_tenant_only() -> None:
    boards = Boards()
    feed = AlarmFeed(boards, 1)
    feed.news()
    waiting = asyncio.ensure_future(feed.wait())
    boards.add(2, [stored(1)])
    await asyncio.sleep(0)
    assert not waiting.done()
    boards.add(1, [stored(2)])
    await asyncio.wait_for(waiting, 5)
    assert alarm_board.KEPT == KEPT
