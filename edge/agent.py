"""Composition root of the gateway: builds buffer, pollers, forwarder and health page, and keeps every task alive.

One supervised task per device, one for the buffer, one for the hub. A task that fails is logged once, restarted with backoff, and shown in
health. The agent starts and stays useful with every device and the hub absent.
"""

import asyncio
import fcntl
import functools
import json
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from edge import enrolment as enrolments
from edge.commands import Gate
from edge.config import GatewayConfig
from edge.control import ControlSocket
from edge.forwarder import TIMEOUT, Forwarder
from edge.health import HealthPage, Report, TaskState
from edge.intake import Intake
from edge.poller import Poller
from protocols import tasks
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import Driver, open_driver

log = logging.getLogger("qenergyz.edge")
RESTART_FIRST_S: Final = 0.2
RESTART_LONGEST_S: Final = 10.0


class AlreadyRunning(Exception):
    """Another agent has this data folder: two would number the same batches."""


@contextmanager
def sole_agent(data: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go of it when the process ends, however it ends. Raises AlreadyRunning."""
    with (data / "agent.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"another agent runs on {data}; stop it first, or give this gateway a data folder of its own") from error
        yield


class Agent:
    """`run` until `stop` is set. State for `status` is written to `<data>/agent.json`."""

    def __init__(self, config: GatewayConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        signer = enrolments.load_or_make_key(config.data)
        self._enrolment = enrolments.read(config.data)
        self._intake = Intake(config.data / "buffer.db", config.buffer, config.urn, config.table, signer, clock)
        self._pollers = [Poller(device, functools.partial(self._driver, device), self._intake.append, clock) for device in config.devices]
        self._forwarder: Forwarder | None = None
        self._tasks: list[TaskState] = []

    async def _driver(self, device: Device) -> Driver:
        return open_driver(device, self._clock, await self._intake.call(self._intake.buffer.delivered, device.name))

    async def run(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(sole_agent(self._config.data))
            await self._intake.open()
            stack.push_async_callback(self._intake.close)
            kept = await self._intake.call(self._intake.buffer.last_blocks)
            for poller in self._pollers:
                poller.resume(kept)
            if self._config.hub and self._enrolment:
                client = await stack.enter_async_context(httpx.AsyncClient(timeout=TIMEOUT, verify=_authorities(self._config.hub)))
                self._forwarder = Forwarder(self._intake, self._config.hub, self._enrolment, self._clock, client)
                self._intake.on_sealed(self._forwarder.wake)
            elif self._config.hub:
                log.warning("not_enrolled hub=%s next_step='qenergyz edge enrol'", self._config.hub)
            control = ControlSocket(self._config.data, Gate(self._config.devices, self._intake, self._clock, self._send), self._clock)
            await control.start()
            stack.push_async_callback(control.stop)
            page = HealthPage(self._config.health, self.report)
            url = await page.start()
            stack.push_async_callback(page.stop)
            self._write_state(url)
            stack.callback((self._config.data / "agent.json").unlink, missing_ok=True)
            log.info("agent_started gateway=%s devices=%d health=%s", self._config.name, len(self._pollers), url)
            await self._work(stop)
        log.info("agent_stopped gateway=%s collected=%d", self._config.name, self._intake.collected)

    async def _send(self, device: str, index: int, raw: float, expected: float | None) -> None:
        await next(poller for poller in self._pollers if poller.state.name == device).write(index, raw, expected)

    async def _work(self, stop: asyncio.Event) -> None:
        """Pollers stop first, then the intake commits and seals what is left, then the forwarder."""
        intake = asyncio.create_task(self._supervise("intake", self._intake.run))
        forwarder = asyncio.create_task(self._supervise("forwarder", self._forwarder.run)) if self._forwarder else None
        pollers = [asyncio.create_task(self._supervise(f"device {poller.state.name}", poller.run)) for poller in self._pollers]
        await stop.wait()
        for group in (pollers, [intake], [forwarder] if forwarder else []):
            await tasks.end(*group)

    async def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        state = TaskState(name)
        self._tasks.append(state)
        while True:
            try:
                await work()
                return
            except Exception as error:  # the supervising loop: whatever it was, the task must run again
                now_us = self._clock.now_us()
                if str(error) != state.cause:
                    log.exception("task_failed task=%s", name)
                state.restarts, state.last_failure_us, state.cause = state.restarts + 1, now_us, str(error) or type(error).__name__
                state.recent_us = [*state.recent_us[-9:], now_us]
            await self._clock.sleep_us(int(min(RESTART_LONGEST_S, RESTART_FIRST_S * 2 ** min(state.restarts, 8)) * 1e6))

    async def report(self) -> Report:
        return Report(
            gateway=self._config.name,
            now_us=self._clock.now_us(),
            collected=self._intake.collected,
            dropped=self._intake.dropped,
            full_since_us=self._intake.full_since_us,
            backlog=await self._intake.backlog(),
            hub=self._forwarder.state if self._forwarder else None,
            devices=tuple(poller.state for poller in self._pollers),
            tasks=tuple(self._tasks),
        )

    def _write_state(self, url: str) -> None:
        fresh = self._config.data / "agent.json.new"
        fresh.write_text(json.dumps({"url": url, "pid": os.getpid(), "gateway": self._config.name}))
        fresh.replace(self._config.data / "agent.json")


def _authorities(hub: str) -> ssl.SSLContext | bool:
    """Loading those that everybody trusts takes 40 ms and 2 MiB. A hub without TLS needs none: then nobody is trusted, rather than anybody."""
    return True if hub.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
