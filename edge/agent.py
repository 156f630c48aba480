"""Composition root of the gateway: builds buffer, devices, forwarder and health page, and keeps every task alive.

One supervised task per device, one for the buffer, one for the hub, one that follows the files (`edge/reload.py`). The agent starts and
stays useful with every device and the hub absent.
"""

import asyncio
import fcntl
import functools
import json
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from edge import enrolment as enrolments
from edge import tagids
from edge.buffer import Backlog
from edge.clockwatch import clock_record
from edge.commands import Gate
from edge.config import GatewayConfig
from edge.control import ControlSocket
from edge.devices import Change, ChangeFailed, RunningDevices
from edge.fill import EVERY_US, Fill, room
from edge.forwarder import TIMEOUT, Forwarder
from edge.health import HealthPage, Report
from edge.hubtls import Tls
from edge.intake import Intake
from edge.loglimit import PerCause
from edge.poller import Poller
from edge.reload import LOOK_EVERY_US, Reload, stamp
from edge.remote import Remote
from edge.supervision import Supervisor
from edge.upkeep import Upkeep
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import Driver, open_driver
from protocols.signing import enrolled_verifier
from protocols.tracing import OFF, Tracing

log = logging.getLogger("qenergyz.edge")
COUNTERS: Final = ("dropped",)  # attributes of drivers that count since they were made


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

    def __init__(self, config: GatewayConfig, clock: Clock, tracing: Tracing = OFF) -> None:
        self._tracing = tracing
        self._config, self._clock = config, clock
        self._signer = enrolments.CurrentSigner(enrolments.load_or_make_key(config.data, config.access.key))
        self._enrolment = enrolments.read(config.data)
        self._intake = Intake(config.data / "buffer.db", config.buffer, config.urn, config.table, self._signer, clock, tracing)
        self._supervisor = Supervisor(clock)
        self._devices = RunningDevices(self._intake, self._supervisor, self._poller, clock)
        self._gate = Gate(config.devices, self._intake, clock, self._send)
        self._reload = Reload(config, self._change, clock)
        self._intake.former = enrolments.former_keys(config.data)
        self._forwarder: Forwarder | None = None
        self._upkeep: Upkeep | None = None
        self._remote: Remote | None = None
        self._fill = Fill()
        self._counted: dict[str, Counted] = {}

    def _poller(self, device: Device) -> Poller:
        keep = functools.partial(self._intake.append, priority=device.priority)
        return Poller(device, functools.partial(self._driver, device), keep, self._clock, self._tracing)

    async def _driver(self, device: Device) -> Driver:
        driver = open_driver(device, self._clock, await self._intake.call(self._intake.buffer.delivered, device.name))
        self._counted.setdefault(device.name, Counted()).next(driver)
        return driver

    async def run(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            stack.callback(self._tracing.close)
            limit = PerCause(self._clock.monotonic_us)
            log.addFilter(limit)
            stack.callback(log.removeFilter, limit)
            stack.enter_context(sole_agent(self._config.data))
            await self._intake.open()
            stack.push_async_callback(self._intake.close)
            tagids.save(self._config.data, tagids.ranges(self._config.devices, tagids.read(self._config.data)))
            kept = await self._intake.call(self._intake.buffer.last_blocks)
            if self._config.hub and self._enrolment:
                tls = Tls(self._config.hub, self._config.access, self._config.data)
                client = await stack.enter_async_context(httpx.AsyncClient(timeout=TIMEOUT, verify=tls.context))
                self._meet_hub(self._enrolment, client, tls)
            elif self._config.hub:
                log.warning("not_enrolled hub=%s next_step='qenergyz edge enrol'", self._config.hub)
            accept = (self._forwarder.accept_fork,) if self._forwarder else ()
            control = ControlSocket(self._config.data, self._gate, self._clock, *accept)
            await control.start()
            stack.push_async_callback(control.stop)
            page = HealthPage(self._config.health, self.report)
            url = await page.start()
            stack.push_async_callback(page.stop)
            self._write_state(url)
            stack.callback((self._config.data / "agent.json").unlink, missing_ok=True)
            stack.enter_context(_on_hangup(self._reload.look_now))
            log.info("agent_started gateway=%s devices=%d health=%s", self._config.name, len(self._config.devices), url)
            stack.push_async_callback(self._end)
            self._supervisor.start("intake", self._intake.run)
            if self._forwarder:
                self._supervisor.start("forwarder", self._forwarder.run)
            self._devices.start(self._config.devices, self._config.table, kept)
            self._supervisor.start("reload", self._reload.run)
            self._supervisor.start("key", self._follow_key)
            self._supervisor.start("fill", self._follow_fill)
            if self._upkeep:
                self._supervisor.start("upkeep", self._upkeep.run)
            if self._remote:
                self._supervisor.start("remote", self._remote.run)
            await stop.wait()
        log.info("agent_stopped gateway=%s collected=%d", self._config.name, self._intake.collected)

    def _meet_hub(self, enrolment: enrolments.Enrolment, client: httpx.AsyncClient, tls: Tls) -> None:
        parts = (self._intake, self._config.hub, enrolment, self._clock, client, self._tracing, tls.explain)
        self._forwarder = Forwarder(*parts, self._full_in_s)
        self._intake.on_sealed(self._forwarder.wake)
        self._upkeep = Upkeep(self._config, self._signer, client, tls, self._clock)
        if self._config.access.remote_configuration:
            self._remote = Remote(self._config, enrolment, self._signer, client, self._reload.judge_now, self._clock)

    async def _end(self) -> None:
        """Devices stop first, then the intake commits and seals what is left, then the forwarder."""
        await self._supervisor.end("remote", "upkeep", "reload", "key", "fill")
        await self._devices.stop()
        await self._supervisor.end("intake")
        await self._supervisor.end("forwarder")

    async def _send(self, device: str, index: int, raw: float, expected: float | None) -> None:
        await self._devices.poller(device).write(index, raw, expected)

    async def _change(self, found: GatewayConfig) -> Change:
        """Make the devices of a checked file run. Raises ChangeFailed."""
        try:
            tagids.save(found.data, tagids.ranges(found.devices, tagids.read(found.data)))
        except OSError as error:
            raise ChangeFailed(f"{found.data}: {error.strerror}") from error
        change = await self._devices.change_to(found.devices, found.table)
        self._gate.devices = self._devices.devices
        return change

    async def _follow_key(self) -> None:
        """Take up a key that `enrolment.rotate` has put in the place of the old one."""
        reference, seen = self._config.access.key, None
        path = reference if isinstance(reference, Path) else self._config.data / enrolments.KEY
        while True:
            found = stamp([path])
            if found != seen:
                signer = enrolments.load_or_make_key(self._config.data, reference)
                if signer.key_id != self._signer.key_id:
                    former = {self._signer.key_id: enrolled_verifier(self._signer.algorithm, self._signer.public)}
                    self._intake.former = self._intake.former | former | enrolments.former_keys(self._config.data)
                    await self._intake.call(self._signer.use, signer)
                    log.info("key_changed key=%s", signer.key_id.hex()[:16])
                seen = found
            await self._clock.sleep_us(LOOK_EVERY_US)

    async def _follow_fill(self) -> None:
        while True:
            self._fill.seen(self._clock.monotonic_us(), _waiting(await self._intake.backlog()))
            await self._clock.sleep_us(EVERY_US)

    def _full_in_s(self, backlog: Backlog) -> float | None:
        free = shutil.disk_usage(self._config.data).free
        return self._fill.full_in_s(room(_waiting(backlog), backlog.total_bytes, self._config.buffer.max_bytes, free))

    async def report(self) -> Report:
        backlog = await self._intake.backlog()
        devices = self._devices.pollers
        counted = {poller.state.name: self._counted[poller.state.name].total() for poller in devices if poller.state.name in self._counted}
        return Report(
            gateway=self._config.name,
            now_us=self._clock.now_us(),
            collected=self._intake.collected,
            dropped=self._intake.dropped,
            full_since_us=self._intake.full_since_us,
            backlog=backlog,
            hub=self._forwarder.state if self._forwarder else None,
            devices=tuple(poller.state for poller in devices),
            tasks=self._supervisor.states,
            sync=self._reload.sync,
            full_in_s=self._full_in_s(backlog),
            clock=clock_record(b""),
            upkeep=(*(self._upkeep.causes if self._upkeep else ()), *(self._remote.causes if self._remote else ())),
            counters={name: found for name, found in counted.items() if found},
            dropped_by=await self._intake.dropped_by(),
            disk_free=shutil.disk_usage(self._config.data).free,
        )

    def _write_state(self, url: str) -> None:
        fresh = self._config.data / "agent.json.new"
        fresh.write_text(json.dumps({"url": url, "pid": os.getpid(), "gateway": self._config.name}))
        fresh.replace(self._config.data / "agent.json")


class Counted:
    """What a device's drivers counted: of the sessions that ended, and of the one that stands."""

    def __init__(self) -> None:
        self._ended: dict[str, int] = {}
        self._driver: Driver | None = None

    def next(self, driver: Driver) -> None:
        self._ended, self._driver = self.total(), driver

    def total(self) -> dict[str, int]:
        now = {name: found for name in COUNTERS if isinstance(found := getattr(self._driver, name, None), int)}
        return {name: self._ended.get(name, 0) + now.get(name, 0) for name in (*self._ended, *(set(now) - set(self._ended)))}


def _waiting(backlog: Backlog) -> int:
    """Bytes that must not be evicted: everything but the acknowledged; open rows are small beside them."""
    return backlog.sealed_bytes


@contextmanager
def _on_hangup(look: Callable[[], None]) -> Iterator[None]:
    """SIGHUP looks at the files at once. Only the main thread can have signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, look)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
