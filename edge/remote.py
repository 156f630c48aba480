"""Configuration by the hub: asked for, verified, checked like a local file, applied by the reload, taken back when it does not run.

The gateway asks every quarter of a minute with a signed report of how far it is; nothing listens here. What comes is signed by the tenant's log
and has a version above every one known before; older ones are refused, whoever signed them. `edge.remoterules` says what it may change. The file of
the site is replaced as a whole, so that what runs is what stands there; `remote.json` in the data folder remembers version and state. Off unless
the site sets `[hub] remote_configuration = true`.
"""

import asyncio
import hashlib
import json
import logging
import os
import random
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from edge import config, hubtls, remoterules
from edge.config import GatewayConfig
from edge.enrolment import CurrentSigner, Enrolment
from protocols.batch.checkpoint import LogKey
from protocols.batch.errors import BatchError
from protocols.clock import Clock
from protocols.configuration import Configuration, Report, SyncState
from protocols.tomlfile import ConfigError, TomlFile

log = logging.getLogger("qenergyz.edge")
STATE: Final = "remote.json"
ASK_EVERY_US: Final = 15_000_000
LONGEST_WAIT_US: Final = 300_000_000
CHANGED_HERE: Final = "the site changed its file after this version was applied"
Verdict = tuple[SyncState, str]


@dataclass(slots=True)
class State:
    """version: highest that was taken in hand. digest: of the file's text while that version runs. number: of the last report."""

    version: int = 0
    state: SyncState = SyncState.IN_SYNC
    reason: str = ""
    digest: str = ""
    number: int = 0


class Remote:
    """`run` until cancelled. reload: applies what the gateway's file says now and tells how that went."""

    def __init__(
        self,
        running: GatewayConfig,
        enrolment: Enrolment,
        signer: CurrentSigner,
        client: httpx.AsyncClient,
        reload: Callable[[], Awaitable[Verdict]],
        clock: Clock,
    ) -> None:
        self._running, self._enrolment, self._signer, self._client = running, enrolment, signer, client
        self._reload, self._clock = reload, clock
        self._verifier = LogKey.parse(enrolment.log_key).verifier()
        self._path = running.data / STATE
        self.state = self._read()
        self._trouble, self._failures = "", 0

    @property
    def causes(self) -> tuple[str, ...]:
        state, found = self.state, []
        if state.state is SyncState.FAILED:
            found.append(f"remote configuration version {state.version}: {state.reason}")
        if self._trouble:
            found.append(f"remote configuration: {self._trouble}; tried again")
        return tuple(found)

    async def run(self) -> None:
        await asyncio.to_thread(self._begin)
        while True:
            try:
                await self.ask()
                self._note("")
            except (httpx.HTTPError, BatchError, OSError, RefusedByHub, RefusedHere) as error:
                self._note(hubtls.plain(error))
            wait_us = min(LONGEST_WAIT_US, ASK_EVERY_US * 2**self._failures)
            await self._clock.sleep_us(int(wait_us * (0.75 + 0.5 * random.random())))  # noqa: S311

    async def ask(self) -> None:
        """One report and its answer. Raises httpx.HTTPError, BatchError, RefusedByHub, RefusedHere, OSError."""
        await asyncio.to_thread(self._compare)
        state = self.state
        state.number = max(state.number + 1, self._clock.now_us())
        content = Report(state.version, state.state, state.reason, state.number).seal(self._enrolment.gateway, self._signer.present)
        reply = await self._client.post(
            f"{self._running.hub}/v1/configuration-reports", content=content, headers={"content-type": "application/cose"}
        )
        if reply.status_code == 409:
            state.number = max(state.number, _number(reply))
        if reply.status_code == 204:
            return
        if reply.status_code != 200:
            raise RefusedByHub(f"hub answered {reply.status_code} {reply.text[:300]}")
        found = Configuration.open(reply.content, self._enrolment.origin, self._enrolment.gateway, self._verifier)
        if found.version <= state.version:
            raise RefusedHere(f"version {found.version} came again, {state.version} is known: an older one is never applied")
        await self._apply(found)
        await self.ask()

    async def _apply(self, found: Configuration) -> None:
        digest = _digest(found.text)
        self._become(State(found.version, SyncState.PENDING, "being applied", digest, self.state.number))
        path = self._running.path
        try:
            before = await asyncio.to_thread(path.read_text, "utf-8")
            wrong = await asyncio.to_thread(self._objection, before, found.text)
            if wrong:
                self._fail(wrong)
                return
            await asyncio.to_thread(_replace, path, found.text)
            state, reason = await self._reload()
            if state is SyncState.FAILED:
                await asyncio.to_thread(_replace, path, before)
                await self._reload()
                self._fail(f"taken back: {reason}")
                return
        except (OSError, UnicodeDecodeError) as error:
            self._fail(f"{path}: {error}")
            return
        self._become(State(found.version, state, reason, digest, self.state.number))

    def _objection(self, before: str, text: str) -> str:
        try:
            config.parse(TomlFile(self._running.path, text))
        except ConfigError as error:
            return str(error)
        return remoterules.objection(tomllib.loads(before), tomllib.loads(text))

    def _begin(self) -> None:
        """After a start: a version that was being applied when the agent ended either stands in the file, or is asked for again."""
        if self.state.state is SyncState.PENDING:
            if self._digest_here() == self.state.digest:
                self._become(State(self.state.version, SyncState.IN_SYNC, "", self.state.digest, self.state.number))
            else:
                self._become(State(self.state.version - 1, SyncState.PENDING, "cut off while it was applied", "", self.state.number))

    def _compare(self) -> None:
        """Whether the site has changed the file since."""
        state = self.state
        if not state.version or not state.digest:
            return
        same = self._digest_here() == state.digest
        if state.state is SyncState.IN_SYNC and not same:
            self._become(State(state.version, SyncState.FAILED, CHANGED_HERE, state.digest, state.number))
        elif state.reason == CHANGED_HERE and same:
            self._become(State(state.version, SyncState.IN_SYNC, "", state.digest, state.number))

    def _digest_here(self) -> str:
        try:
            return hashlib.sha256(self._running.path.read_bytes()).hexdigest()
        except OSError:
            return ""

    def _fail(self, reason: str) -> None:
        self._become(State(self.state.version, SyncState.FAILED, reason, "", self.state.number))

    def _become(self, state: State) -> None:
        if (state.version, state.state, state.reason) != (self.state.version, self.state.state, self.state.reason):
            level = logging.ERROR if state.state is SyncState.FAILED else logging.INFO
            log.log(level, "remote_configuration version=%d state=%s reason=%s", state.version, state.state.value, state.reason)
        self.state = state
        _replace(self._path, json.dumps(asdict(state)))

    def _read(self) -> State:
        try:
            found: dict[str, Any] = json.loads(self._path.read_text())
            state = SyncState(found["state"])
            return State(int(found["version"]), state, str(found["reason"]), str(found["digest"]), int(found["number"]))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.error("remote_configuration_forgotten path=%s cause=%r", self._path, error)
            return State()

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("remote_configuration_waits cause=%s", trouble)
        self._trouble, self._failures = trouble, min(self._failures + 1, 5) if trouble else 0


class RefusedByHub(Exception):
    """The hub did not answer the report with a configuration."""


class RefusedHere(Exception):
    """What the hub sent is not taken, whatever it says."""


def _number(reply: httpx.Response) -> int:
    try:
        return int(reply.json().get("number", 0))
    except (ValueError, TypeError, AttributeError):
        return 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, readable for whom it was readable before."""
    fresh = path.with_name(f".{path.name}.new")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
