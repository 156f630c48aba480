"""A task that fails is told once, is at work again by itself, and makes health amber, then red."""

import asyncio
import logging

import pytest

from edge.buffer import Backlog
from edge.causes import WENT_BACK_US, causes_of
from edge.forwarder import ForwarderState
from edge.health import Report
from edge.poller import DeviceState
from edge.reload import Sync
from edge.supervision import Supervisor, TaskState
from protocols.configuration import SyncState
from tests.fakes import FakeClock

NOW = 1_700_000_000_000_000
MINUTE_US = 60_000_000


def report(**changes: object) -> Report:
    backlog = Backlog(0, 0, 0, 0, 0, 0, 0, 0)
    known: dict[str, object] = {
        "gateway": "g", "now_us": NOW, "collected": 0, "dropped": 0, "full_since_us": None, "backlog": backlog, "hub": None,
        "devices": (), "tasks": (), "sync": Sync(SyncState.IN_SYNC, ""),
    }  # fmt: skip
    return Report(**(known | changes))  # type: ignore[arg-type]


async def failing(times: int, error: Exception, clock: FakeClock) -> TaskState:
    """The state of a task that fails so often and then stays at work."""
    left, at_work = times, asyncio.Event()

    async def work() -> None:
        nonlocal left
        if left:
            left -= 1
            raise error
        at_work.set()
        await asyncio.Event().wait()

    supervisor = Supervisor(clock)
    supervisor.start("t", work)
    async with asyncio.timeout(5):
        await at_work.wait()
    (state,) = supervisor.states
    await supervisor.end("t")
    return state


@pytest.mark.parametrize("error", [RuntimeError("odd"), RuntimeError()], ids=["with words", "without words"])
async def test_a_task_that_fails_in_one_way_is_logged_once_and_runs_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "qenergyz.edge"):
        state = await failing(3, error, FakeClock())
    assert [one.getMessage() for one in caplog.records] == ["task_failed task=t"]
    assert (state.restarts, state.cause) == (3, str(error) or "RuntimeError")


@pytest.mark.parametrize(("times", "colour"), [(0, "green"), (1, "amber"), (2, "amber"), (3, "red"), (5, "red")])
async def test_health_is_amber_after_a_failure_and_red_after_three_in_a_minute(times: int, colour: str) -> None:
    clock = FakeClock(NOW)
    state = await failing(times, RuntimeError("odd"), clock)
    assert report(tasks=(state,), now_us=clock.now_us()).document()["state"] == colour
    assert report(tasks=(state,), now_us=clock.now_us() + MINUTE_US).document()["state"] == "green"


async def test_failures_long_ago_do_not_make_a_task_wait_longer() -> None:
    clock = FakeClock()
    state = TaskState("t", restarts=50)
    state.recent_us = [clock.now_us() - 10 * MINUTE_US]
    assert state.recent(clock.now_us()) == []
    assert max(await _waits(2, clock)) <= 1_000_000


async def _waits(times: int, clock: FakeClock) -> list[int]:
    await failing(times, RuntimeError("odd"), clock)
    return clock.slept_us


async def test_a_task_has_its_name_where_python_shows_tasks() -> None:
    supervisor = Supervisor(FakeClock())
    names: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        names.append(task.get_name() if task else "")

    supervisor.start("device plc1", work)
    await asyncio.sleep(0)
    await supervisor.end("device plc1")
    assert names == ["device plc1"]


def hub(**changes: object) -> ForwarderState:
    return ForwarderState(**{"connected": True, "cause": "", **changes})  # type: ignore[arg-type]


def full(**changes: int) -> Backlog:
    names = ("open_samples", "sealed_batches", "sealed_samples", "sealed_bytes", "acknowledged_batches", "refused_batches", "total_bytes")
    return Backlog(**({name: changes.get(name, 0) for name in names} | {"oldest_sealed_us": 0}))


@pytest.mark.parametrize(
    ("changes", "state", "component", "says", "step"),
    [
        ({"devices": (DeviceState("plc1", "modbus", "h:502", cause="refused"),)}, "amber", "device plc1", "refused", "edge test"),
        ({"sync": Sync(SyncState.FAILED, "line 3")}, "amber", "configuration", "line 3", "edge check"),
        ({"full_in_s": 7200.0}, "amber", "buffer", "full in 2.0 h", "max_size"),
        ({"full_since_us": NOW - 5}, "red", "buffer", "buffer full", "without a restart"),
        ({"backlog": full(refused_batches=2)}, "red", "buffer", "2 batches refused", "support-bundle"),
        ({"hub": hub(connected=False, cause="connection refused")}, "amber", "hub", "connection refused", "doctor"),
        ({"hub": hub(connected=False, cause="409 two-agents")}, "amber", "hub", "two-agents", "stop the other agent"),
        ({"hub": hub(connected=False, cause="403 revoked-key")}, "amber", "hub", "revoked-key", "edge enrol"),
        ({"hub": hub(alarm="the log proves none")}, "red", "hub", "proves none", "whoever runs the hub"),
        (
            {"hub": hub(log_went_back_us=NOW - 5), "backlog": full(sealed_batches=7)},
            "amber",
            "hub",
            "restored from a backup",
            "nothing at the site",
        ),
    ],
    ids=["device", "configuration", "soon full", "full", "refused", "hub away", "two agents", "revoked", "dishonest hub", "hub restored"],
)
def test_every_cause_names_its_component_and_the_next_step(
    changes: dict[str, object], state: str, component: str, says: str, step: str
) -> None:
    document = report(**changes).document()
    (found,) = document["components"]
    assert (document["state"], found["state"], found["component"]) == (state, state, component)
    assert says in found["cause"]
    assert step in found["next_step"]
    assert document["causes"] == [{"state": state, "cause": found["cause"]}]


def test_a_hub_that_was_restored_long_ago_is_no_news() -> None:
    assert causes_of(report(hub=hub(log_went_back_us=NOW - WENT_BACK_US - 1))) == []
