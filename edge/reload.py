"""Follows the gateway's file and its device maps while the agent runs.

Every second the files are looked at; once they changed and have been still for a look, what they say is checked, and only what passes is
applied. A file with an error changes nothing, and health says which. SIGHUP looks at once. Not for the change of devices itself
(`edge/devices.py`). `[gateway]`, `[buffer]` and `[health]` are read at the start only: what changed there is told as pending.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge import config
from edge.config import GatewayConfig
from edge.devices import Change, ChangeFailed
from protocols.clock import Clock
from protocols.configuration import SyncState
from protocols.tomlfile import ConfigError

log = logging.getLogger("qenergyz.edge")
LOOK_EVERY_US: Final = 1_000_000
WRITING: Final = "a file is being changed"
RETRY_US: Final = 30_000_000  # after a change that could not be applied, although the files are in order
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class Sync:
    """How the running agent stands to its files. since_us: of this state and reason; changes: applied since the start."""

    state: SyncState = SyncState.IN_SYNC
    reason: str = ""
    since_us: int = 0
    changes: int = 0


def watched(running: GatewayConfig) -> tuple[Path, ...]:
    """The file, the maps in use, and every file that could become a map or stand before one that ships with the product."""
    beside = [path for folder in config.map_folders(running.path) for path in folder.glob("*.toml")]
    return tuple(sorted({running.path, *beside, *(device.map.path for device in running.devices)}))


def stamp(paths: Iterable[Path]) -> Stamp:
    """Differs when a file was written, replaced or removed; reads no file."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            seen = path.stat()
            found.append((str(path), seen.st_ino, seen.st_size, seen.st_mtime_ns ^ seen.st_ctime_ns))
    return tuple(found)


def digest(paths: Iterable[Path]) -> bytes:
    """Of names and contents; a file that cannot be read counts as absent."""
    whole = hashlib.sha256()
    for path in paths:
        with contextlib.suppress(OSError):
            whole.update(hashlib.sha256(str(path).encode()).digest() + hashlib.sha256(path.read_bytes()).digest())
    return whole.digest()


def restart_needed(running: GatewayConfig, found: GatewayConfig) -> str:
    """The keys that changed and are read at the start only, as a sentence; "" for none."""
    keys = {
        "[gateway] hub": running.hub != found.hub,
        "[buffer]": running.buffer != found.buffer,
        "[health]": running.health != found.health,
        "[hub]": running.access != found.access,
    }
    changed = [key for key, differs in keys.items() if differs]
    return f"restart the agent for the change of {', '.join(changed)}" if changed else ""


class Reload:
    """`run` until cancelled; `look_now` from a signal. apply: makes the devices of a checked file run; raises ChangeFailed."""

    def __init__(self, running: GatewayConfig, apply: Callable[[GatewayConfig], Awaitable[Change]], clock: Clock) -> None:
        self._running, self._apply, self._clock = running, apply, clock
        self._last = self._judged = stamp(watched(running))
        self._judged_content = digest(watched(running))
        self._retry_us: int | None = None
        self._asked = asyncio.Event()
        self._looking = asyncio.Lock()
        self._verdict: tuple[SyncState, str] = (SyncState.IN_SYNC, "")
        self.sync = Sync(since_us=clock.now_us())

    def look_now(self) -> None:
        self._asked.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_US / 1e6):
                    await self._asked.wait()
            await self.look(at_once=self._asked.is_set())

    async def judge_now(self) -> tuple[SyncState, str]:
        """What the files are found to be, after they were applied if that is possible."""
        await self.look(at_once=True)
        return self._verdict

    async def look(self, *, at_once: bool = False) -> None:
        async with self._looking:
            await self._look(at_once)

    async def _look(self, at_once: bool) -> None:
        self._asked.clear()
        seen = stamp(watched(self._running))
        still, self._last = seen == self._last, seen
        due = self._retry_us is not None and self._clock.monotonic_us() >= self._retry_us
        if not (at_once or due or seen != self._judged):
            return
        if not (at_once or due or still):
            self._show(SyncState.PENDING, WRITING)
            return
        content = await asyncio.to_thread(lambda: digest(watched(self._running)))
        if at_once or due or content != self._judged_content:
            await self._judge()
        else:
            self._show(*self._verdict)
        self._judged, self._judged_content = seen, content

    async def _judge(self) -> None:
        self._retry_us = None
        try:
            found = await asyncio.to_thread(config.load, self._running.path)
            if (found.name, found.data) != (self._running.name, self._running.data):
                raise ChangeFailed("the file is now that of another gateway (name or data folder); restart the agent if that is meant")
        except (ConfigError, ChangeFailed, OSError) as error:
            self._note(SyncState.FAILED, str(error))
            return
        try:
            change = await self._apply(found)
        except ChangeFailed as error:
            self._retry_us = self._clock.monotonic_us() + RETRY_US
            self._note(SyncState.FAILED, str(error))
            return
        pending = restart_needed(self._running, found)
        self._running = _now_running(self._running, found)
        if change:
            self.sync.changes += 1
            names = [sorted(device.name for device in group) for group in (change.stopped, change.started)]
            log.info("devices_changed stopped=%s started=%s kept=%d", ",".join(names[0]), ",".join(names[1]), len(change.kept))
        self._note(SyncState.PENDING if pending else SyncState.IN_SYNC, pending)

    def _note(self, state: SyncState, reason: str) -> None:
        """What the files were found to be. A line in the log when that begins, and when all is well again."""
        if (state, reason) != self._verdict:
            if state is SyncState.FAILED:
                log.error("configuration_refused reason=%s", reason)
            elif state is SyncState.PENDING:
                log.warning("configuration_pending reason=%s", reason)
            else:
                log.info("configuration_in_sync")
        self._verdict = (state, reason)
        self._show(state, reason)

    def _show(self, state: SyncState, reason: str) -> None:
        if (self.sync.state, self.sync.reason) != (state, reason):
            self.sync.state, self.sync.reason, self.sync.since_us = state, reason, self._clock.now_us()


def _now_running(before: GatewayConfig, found: GatewayConfig) -> GatewayConfig:
    """The devices of the new file under the settings that the agent was started with."""
    return replace(before, devices=found.devices, table=found.table)
