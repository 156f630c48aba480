"""How the alarms of each tenant stand, in the memory of this process, and what readers of the live stream have not been told yet.

The journal is the truth: a board is its newest rows and is brought up to date from it. Transitions are not conflated: a reader is told
each one in its order. Bounded: the last KEPT transitions of a tenant; older ones are in the journal.
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
from cloud.db import Connection, Database
from cloud.telemetry.live import Frame

KEPT: Final = 1_000


Told = tuple[int, bytes]  # number and JSON of a transition


def told(one: Stored) -> Told:
    return one.id, orjson.dumps(transition_json(one))


@dataclass(slots=True)
class _Board:
    loaded: bool = False
    last: int = 0  # number of the newest transition that is in here
    newest: dict[Name, Stored] = field(default_factory=dict)
    present: dict[Name, Standing] = field(default_factory=dict)
    floor: int = 0  # every transition with a number above is in `recent`
    recent: deque[Told] = field(default_factory=lambda: deque(maxlen=KEPT))
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
            board.loaded, board.floor = True, board.last
        return board.present

    def add(self, tenant_id: int, stored: Iterable[Stored]) -> None:
        """Transitions that have been committed, in order. What is known already changes nothing."""
        board = self._board(tenant_id)
        for one in self._take(board, stored):
            if len(board.recent) == KEPT:
                board.floor = board.recent[0][0]
            board.recent.append(told(one))
            board.changed.set()
        if board.changed.is_set():
            board.changed = asyncio.Event()

    def present(self, tenant_id: int) -> Present:
        return self._board(tenant_id).present

    def standing_now(self, tenant_id: int) -> tuple[int, list[Told]]:
        """(number of the newest transition, the last one of each alarm that is not at rest, in order)."""
        board = self._board(tenant_id)
        shown = [stored for stored in board.newest.values() if stored.transition.after.alarm.state is not State.NORMAL]
        return board.last, [told(one) for one in sorted(shown, key=lambda stored: stored.id)]

    def since(self, tenant_id: int, number: int) -> list[Told] | None:
        """The transitions after this number; None where they are kept in the journal only."""
        board = self._board(tenant_id)
        if number < board.floor:
            return None
        return [one for one in board.recent if one[0] > number] if number < board.last else []

    def version(self, tenant_id: int) -> int:
        """The number of the newest transition."""
        return self._board(tenant_id).last

    async def wait(self, tenant_id: int, number: int) -> None:
        """Return when there is a newer one."""
        board = self._board(tenant_id)
        while board.last <= number:
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
    """Alarms as one reader of the live stream sees them: first the last transition of each that is not at rest, then every transition.

    after: number of the last transition that this reader was told in a stream before; then the ones after it come first, none twice. What a
    slow reader has missed is read from the journal, a page at a time.
    """

    def __init__(self, boards: Boards, db: Database, tenant_id: int, after: int | None = None) -> None:
        self._boards, self._db, self._tenant_id = boards, db, tenant_id
        self._number: int | None = None
        self._after = after

    async def news(self) -> list[Frame]:
        if self._number is None:
            return await self._first()
        found = self._boards.since(self._tenant_id, self._number)
        if found is None:
            async with self._db.tenant(self._tenant_id) as connection:
                found = [told(one) for one in await alarm_store.after(connection, self._tenant_id, self._number, KEPT)]
        return self._tell(found)

    async def _first(self) -> list[Frame]:
        async with self._db.tenant(self._tenant_id) as connection:
            await self._boards.refresh(connection, self._tenant_id)
        newest, standing = self._boards.standing_now(self._tenant_id)
        if self._after is not None and self._after <= newest:
            self._number = self._after
            return await self.news()
        self._number = newest
        return [*(_frame(*one) for one in standing), Frame("alive", b"{}", f"a{newest}")]  # what came before is not asked for again

    def _tell(self, found: list[Told]) -> list[Frame]:
        self._number = found[-1][0] if found else self._number
        return [_frame(*one) for one in found]


def _frame(number: int, shown: bytes) -> Frame:
    return Frame("alarm", shown, f"a{number}")
