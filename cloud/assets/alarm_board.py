"""How the alarms of each tenant stand, in the memory of this process, and what readers of the live stream have not been told yet.

The journal is the truth: a board is its newest rows and is brought up to date from it. Transitions are not conflated: a reader is told
each one in its order, or how many it has missed because it read too slowly. Bounded: the last KEPT transitions of a tenant.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from cloud.assets import alarm_store
from cloud.assets.alarm_documents import transition_json
from cloud.assets.alarm_rules import Name, Present, Standing
from cloud.assets.alarm_store import Stored
from cloud.assets.alarms import State
from cloud.db import Connection

KEPT: Final = 1_000


@dataclass(slots=True)
class _Board:
    loaded: bool = False
    last: int = 0  # number of the newest transition that is in here
    newest: dict[Name, Stored] = field(default_factory=dict)
    present: dict[Name, Standing] = field(default_factory=dict)
    told: int = 0  # how many transitions there have been for readers
    recent: deque[bytes] = field(default_factory=lambda: deque(maxlen=KEPT))
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Boards:
    """All tenants' boards. Not for threads."""

    def __init__(self) -> None:
        self._boards: dict[int, _Board] = {}

    async def refresh(self, connection: Connection, tenant_id: int) -> Present:
        """How all alarms that ever changed stand by now. Only before the transaction itself adds to the journal."""
        board = self._board(tenant_id)
        if board.loaded:
            self.add(tenant_id, await alarm_store.after(connection, tenant_id, board.last))
        else:
            self._take(board, await alarm_store.newest_of_each(connection, tenant_id))
            board.loaded = True
        return board.present

    def add(self, tenant_id: int, stored: Iterable[Stored]) -> None:
        """Transitions that have been committed, in order. What is known already changes nothing."""
        board = self._board(tenant_id)
        new = self._take(board, stored)
        if new:
            board.told += len(new)
            board.recent.extend(orjson.dumps(transition_json(one)) for one in new)
            board.changed.set()
            board.changed = asyncio.Event()

    def present(self, tenant_id: int) -> Present:
        return self._board(tenant_id).present

    def standing_now(self, tenant_id: int) -> tuple[int, list[bytes]]:
        """(how many transitions readers have been told of, the last one of each alarm that is not at rest, in order)."""
        board = self._board(tenant_id)
        shown = [stored for stored in board.newest.values() if stored.transition.after.alarm.state is not State.NORMAL]
        return board.told, [orjson.dumps(transition_json(one)) for one in sorted(shown, key=lambda stored: stored.id)]

    def since(self, tenant_id: int, told: int) -> tuple[int, int, list[bytes]]:
        """(new count, how many are no longer kept, the transitions after the first `told`)."""
        board = self._board(tenant_id)
        behind = board.told - told
        kept = min(behind, len(board.recent))
        return board.told, behind - kept, list(board.recent)[len(board.recent) - kept :]

    async def wait(self, tenant_id: int, told: int) -> None:
        """Return when there are more than `told`."""
        board = self._board(tenant_id)
        while board.told <= told:
            await board.changed.wait()

    def _board(self, tenant_id: int) -> _Board:
        return self._boards.setdefault(tenant_id, _Board())

    @staticmethod
    def _take(board: _Board, stored: Iterable[Stored]) -> list[Stored]:
        new = [one for one in stored if one.id > board.last]
        for one in new:
            board.newest[one.transition.name] = one
            board.present[one.transition.name] = one.transition.after
        board.last = max((one.id for one in new), default=board.last)
        return new


class AlarmFeed:
    """Alarms as one reader of the live stream sees them: first the last transition of each that is not at rest, then every transition."""

    def __init__(self, boards: Boards, tenant_id: int) -> None:
        self._boards, self._tenant_id = boards, tenant_id
        self._told: int | None = None

    def news(self) -> list[tuple[str, bytes]]:
        if self._told is None:
            self._told, found = self._boards.standing_now(self._tenant_id)
            return [("alarm", shown) for shown in found]
        self._told, skipped, found = self._boards.since(self._tenant_id, self._told)
        lost = [orjson.dumps({"skipped": skipped})] if skipped else []
        return [("alarm", shown) for shown in (*lost, *found)]

    async def wait(self) -> None:
        await self._boards.wait(self._tenant_id, self._told or 0)
