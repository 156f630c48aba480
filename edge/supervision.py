"""Keeps tasks alive: whatever one fails of, it is logged once, started again with backoff, and counted for health.

Not for devices that do not answer: that is no failure of a task (`edge/poller.py`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from protocols import tasks
from protocols.clock import Clock

log = logging.getLogger("qenergyz.edge")
RESTART_FIRST_S: Final = 0.2
RESTART_LONGEST_S: Final = 10.0
RECENT_US: Final = 60_000_000
MANY: Final = 3  # failures within RECENT_US: a person is needed
SAID_AGAIN_US: Final = 3_600_000_000  # the same cause is logged again after so long


@dataclass(slots=True)
class TaskState:
    """A supervised task: how often it was restarted, and when last (gateway microseconds)."""

    name: str
    restarts: int = 0
    last_failure_us: int = 0
    cause: str = ""
    recent_us: list[int] = field(default_factory=list)

    def recent(self, now_us: int) -> list[int]:
        """Failures of the last minute; none of a time that has not come, when the clock was set back."""
        return [at_us for at_us in self.recent_us if 0 <= now_us - at_us < RECENT_US]


class Supervisor:
    """`start` tasks, `end` them by name; `states` are those of the tasks that have not been ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, TaskState] = {}

    @property
    def states(self) -> tuple[TaskState, ...]:
        return tuple(self._states.values())

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        if name in self._running:
            raise ValueError(f"task {name} runs already")
        state = self._states[name] = TaskState(name)
        self._running[name] = asyncio.create_task(self._keep_alive(state, work), name=name)

    async def end(self, *names: str) -> None:
        """Names that do not run are passed over. The names are free when it returns."""
        await tasks.end(*(self._running[name] for name in names if name in self._running))
        for name in names:
            self._running.pop(name, None)
            self._states.pop(name, None)

    async def _keep_alive(self, state: TaskState, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                return
            except Exception as error:  # the supervising loop: whatever it was, the task must run again
                now_us, cause = self._clock.now_us(), str(error) or type(error).__name__
                if cause != state.cause or now_us - state.last_failure_us > SAID_AGAIN_US:
                    log.exception("task_failed task=%s", state.name)
                state.restarts, state.last_failure_us, state.cause = state.restarts + 1, now_us, cause
                state.recent_us = [*state.recent_us[-9:], now_us]
            backoff_s = RESTART_FIRST_S * 2 ** min(len(state.recent(self._clock.now_us())), 8)
            await self._clock.sleep_us(int(min(RESTART_LONGEST_S, backoff_s) * 1e6))
