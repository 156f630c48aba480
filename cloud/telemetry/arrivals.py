"""What has just been stored, told to whoever works on it next: the compactor, the reaction.

Told after the commit. Bounded and coalescing: a listener that falls behind is told the tenant, but no longer each batch, and looks
into the table itself. Lost with the process: the table is the truth, this only saves looking.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_KEYS: Final = 4096


@dataclass(frozen=True, slots=True)
class BatchKey:
    gateway_id: int
    stream: str
    epoch: int
    seq: int


class Listener:
    def __init__(self) -> None:
        self._waiting: dict[int, list[BatchKey] | None] = {}
        self._some = asyncio.Event()

    def tell(self, tenant_id: int, keys: Iterable[BatchKey]) -> None:
        known = self._waiting.setdefault(tenant_id, [])
        if known is not None:
            known.extend(keys)
            if len(known) > MAX_KEYS:
                self._waiting[tenant_id] = None
        self._some.set()

    async def take(self) -> dict[int, tuple[BatchKey, ...] | None]:
        """Everything since the last call, at least one tenant. None: too many to name."""
        await self._some.wait()
        self._some.clear()
        taken, self._waiting = self._waiting, {}
        return {tenant_id: None if keys is None else tuple(keys) for tenant_id, keys in taken.items()}


class Arrivals:
    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self) -> Listener:
        listener = Listener()
        self._listeners.append(listener)
        return listener

    def publish(self, tenant_id: int, keys: Iterable[BatchKey]) -> None:
        told = tuple(keys)
        for listener in self._listeners:
            listener.tell(tenant_id, told)
