"""Calls run one after the other in one thread, and to their end."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from edge.onethread import OneThread


@pytest.fixture
def thread() -> Iterator[OneThread]:
    running = OneThread()
    yield running
    running.stop()


async def test_calls_run_in_the_order_they_were_made(thread: OneThread) -> None:
    seen: list[int] = []
    await asyncio.gather(*(thread.call(lambda number=number: seen.append(number)) for number in range(100)))  # type: ignore[misc]
    assert seen == list(range(100))


async def test_result_and_error_reach_who_asked(thread: OneThread) -> None:
    assert await thread.call(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0)
    assert await thread.call(lambda: 43) == 43


async def test_call_that_nobody_waits_for_any_more_still_runs(thread: OneThread) -> None:
    """A commit that waits behind another call when the agent is stopped must not be forgotten."""
    gate, done = threading.Event(), threading.Event()
    first = asyncio.create_task(thread.call(gate.wait))
    second = asyncio.create_task(thread.call(done.set))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    assert await first
    with pytest.raises(asyncio.CancelledError):
        await second
    await thread.call(lambda: None)
    assert done.is_set()


def test_stop_runs_what_was_handed_over() -> None:
    seen: list[str] = []

    async def hand_over(thread: OneThread) -> None:
        task = asyncio.create_task(thread.call(lambda: seen.append("ran")))
        await asyncio.sleep(0)
        await asyncio.to_thread(thread.stop)
        await task

    asyncio.run(hand_over(OneThread()))
    assert seen == ["ran"]
