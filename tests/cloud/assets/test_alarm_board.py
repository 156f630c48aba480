"""What readers of the live stream are told of alarms: all of it, in order, or how much they missed."""

import asyncio
import json

from cloud.assets import alarm_board, alarm_rules
from cloud.assets.alarm_board import KEPT, Boards
from cloud.assets.alarm_rules import HEALTH, Name, Standing
from cloud.assets.alarm_store import Stored
from cloud.assets.alarms import Event

NOW = 1_717_200_000_000_000


def stored(number: int, event: Event = Event.RAISE, before: Standing | None = None, asset: str = "") -> Stored:
    name = Name(asset or f"pump {number}", HEALTH)
    return Stored(number, alarm_rules.step(before or Standing(), name, event, NOW + number, "hub"))


def numbers(boards: Boards, after: int) -> list[int] | None:
    found = boards.since(1, after)
    return None if found is None else [json.loads(shown)["id"] for _, shown in found]


def test_first_is_told_what_is_not_at_rest_and_then_each_transition_once() -> None:
    boards = Boards()
    boards.add(1, [stored(1), (raised := stored(2, asset="A"))])
    newest, standing = boards.standing_now(1)
    assert (newest, [number for number, _ in standing]) == (2, [1, 2])
    assert numbers(boards, newest) == []
    boards.add(1, [stored(2, asset="A"), acknowledged := stored(3, Event.ACKNOWLEDGE, raised.transition.after, "A")])
    boards.add(1, [acknowledged, stored(4, Event.CLEAR, acknowledged.transition.after, "A")])
    found = [json.loads(shown) for _, shown in boards.since(1, newest) or ()]
    assert [(one["id"], one["event"], one["state"]) for one in found] == [(3, "acknowledge", "acknowledged"), (4, "clear", "normal")]
    assert [number for number, _ in boards.standing_now(1)[1]] == [1]


def test_who_is_too_far_behind_is_sent_to_the_journal() -> None:
    boards = Boards()
    boards.add(1, [stored(number) for number in range(1, KEPT + 8)])
    assert numbers(boards, 6) is None
    assert numbers(boards, 7) == list(range(8, KEPT + 8))


async def test_a_reader_waits_for_its_own_tenant_only() -> None:
    boards = Boards()
    waiting = asyncio.ensure_future(boards.wait(1, 0))
    boards.add(2, [stored(1)])
    await asyncio.sleep(0)
    assert not waiting.done()
    boards.add(1, [stored(2)])
    await asyncio.wait_for(waiting, 5)
    assert alarm_board.KEPT == KEPT
