"""The alarms of one tenant in the process that leads its reaction: from what a pass has seen to rows of the journal.

    watch.refresh(connection)             with what the pass reads
    if watch.due(model, seen, now): ...   whether anything is to be written; nothing is written otherwise
    stored = watch.write(connection, now) in the transaction of the pass's rows; watch.wrote(stored) after its commit

Delays that have begun live in memory and begin anew with the process; everything else comes from the journal.
"""

from collections.abc import Mapping, Sequence

from cloud.assets import alarm_rules, alarm_store
from cloud.assets.alarm_board import Boards
from cloud.assets.alarm_rules import Name, Observed
from cloud.assets.alarm_store import Stored
from cloud.assets.assess import AssetHealth
from cloud.assets.model import Model
from cloud.db import Connection


class AlarmWatch:
    def __init__(self, boards: Boards, tenant_id: int) -> None:
        self._boards, self._tenant_id = boards, tenant_id
        self._assets: frozenset[str] = frozenset()
        self._seen: dict[str, tuple[Observed, ...]] = {}  # by site, of its last pass
        self._observed: tuple[Observed, ...] = ()  # of the present pass
        self._pending: dict[Name, int] = {}
        self._later: dict[Name, int] = {}

    def forget(self) -> None:
        """Another process may have been at work."""
        self._seen.clear()
        self._observed = ()
        self._pending, self._later = {}, {}

    async def refresh(self, connection: Connection) -> None:
        await self._boards.refresh(connection, self._tenant_id)

    def due(self, model: Model, seen: Mapping[str, tuple[Sequence[AssetHealth], bytes]], now_us: int) -> bool:
        """Whether alarms change. seen: (healths, digest of their row) of the sites that have advanced."""
        present = self._boards.present(self._tenant_id)
        self._assets = frozenset(asset.name for asset in model.assets)
        for site, (healths, evidence) in seen.items():
            self._seen[site] = alarm_rules.observe(model, healths, evidence, present)
        waiting = (
            {site for site, found in self._seen.items() if any(one.name in self._pending for one in found)} if self._pending else set()
        )
        self._observed = tuple(one for site in sorted({*seen, *waiting}) for one in self._seen[site])
        planned, later = self._plan(now_us)
        if not planned:
            self._pending = later
        return bool(planned)

    async def write(self, connection: Connection, now_us: int) -> list[Stored]:
        """Planned again on what stands once nobody else can write: an operator or another process may have been there."""
        await alarm_store.lock(connection, self._tenant_id)
        await self._boards.refresh(connection, self._tenant_id)
        planned, self._later = self._plan(now_us)
        return await alarm_store.append(connection, self._tenant_id, planned)

    def wrote(self, stored: Sequence[Stored]) -> None:
        self._pending = self._later
        self._boards.add(self._tenant_id, stored)

    def _plan(self, now_us: int) -> tuple[tuple[alarm_rules.Transition, ...], dict[Name, int]]:
        present = self._boards.present(self._tenant_id)
        return alarm_rules.plan(present, self._observed, self._pending, now_us, self._assets)
