"""The gate before bookings: no deal in the books of a unit while something is known of it that the market was not told.

REMIT art. 3(1): neither acquiring or disposing of, nor trying to. What is refused is refused as a whole, kept in the journal, and counted
as an order by R-03. Cancellations pass. Art. 3(4)(b): trades that cover the loss of an unplanned outage pass once a second person agreed,
on the side that covers and up to the volume lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from cloud.db import Connection, Database
from cloud.disclosure import blocks
from cloud.disclosure.blocks import Block, Cover
from cloud.disclosure.times import moment
from cloud.errors import Problem
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from cloud.trading import store as trading_store
from cloud.trading.deals import Deal
from protocols.clock import Clock

LAW: Final = "REMIT art. 3"
LIFTED: Final = "the message is published, or the outage is withdrawn with a reason"
_MWH: Final[Mapping[str, Decimal]] = {
    "kWh": Decimal("0.001"),
    "MWh": Decimal(1),
    "GWh": Decimal(1000),
    "TWh": Decimal(1_000_000),
}


class OrderGate:
    def __init__(self, db: Database, clock: Clock, record: Record) -> None:
        self._db, self._clock, self._record = db, clock, record

    async def check(self, connection: Connection, principal: Principal, deals: Sequence[Deal]) -> None:
        """Raises Problem "order-blocked"."""
        living = [deal for deal in deals if not deal.cancelled]
        if not living:
            return
        tenant_id = principal.tenant_id
        present = await blocks.present(connection, tenant_id)
        if not present:
            return
        were_in = await trading_store.books_of(connection, tenant_id, [deal.id for deal in living])
        books = {deal.id: {deal.book} | were_in.get(deal.id, set()) for deal in living}
        stopped = []
        for block in present:
            touched = [deal for deal in living if books[deal.id] & set(block.books)]
            if touched and not await self._covers(connection, tenant_id, block, touched):
                stopped.append((block, sorted(set().union(*(books[deal.id] for deal in touched)) & set(block.books))))
        if stopped:
            raise _blocked(stopped)

    async def refused(self, principal: Principal, deals: Sequence[Deal], problem: Problem) -> None:
        now_us = self._clock.now_us()
        async with self._db.tenant(principal.tenant_id) as connection:
            for one in problem.members["blocks"]:
                for book in one["books"]:
                    arguments = (one["event"], book, now_us, principal.actor.by, len(deals))
                    await blocks.refuse(connection, principal.tenant_id, *arguments)
                detail = {"deals": [deal.id for deal in deals[:20]], "count": len(deals), "books": one["books"], "law": LAW}
                await self._record(connection, principal.actor, "refuse-orders", f"outage/{one['event']}", detail)

    async def _covers(self, connection: Connection, tenant_id: int, block: Block, deals: Sequence[Deal]) -> bool:
        """Whether all of them are cover that was agreed to; they are counted as such."""
        cover = await blocks.cover(connection, tenant_id, block.event)
        if cover is None:
            return False
        volumes = [covering_mwh(deal, cover) for deal in deals]
        known = [volume for volume in volumes if volume is not None]
        if len(known) < len(volumes) or sum(known, Decimal(0)) > cover.left_mwh:
            return False
        now_us = self._clock.now_us()
        for deal, volume in zip(deals, known, strict=True):
            await blocks.use_cover(connection, tenant_id, block.event, deal.id, deal.version, volume, now_us)
        return True


def covering_mwh(deal: Deal, cover: Cover) -> Decimal | None:
    """The energy of a new deal whose every leg is on the covering side; None where it is none, or in a unit that is no energy."""
    if deal.version > 1 or deal.option is not None or any(leg.side.value != cover.side or leg.volume.unit not in _MWH for leg in deal.legs):
        return None
    return sum((leg.volume.value * _MWH[leg.volume.unit] for leg in deal.legs), Decimal(0))


def _blocked(stopped: Iterable[tuple[Block, list[str]]]) -> Problem:
    told: list[dict[str, Any]] = [
        {"event": block.event, "unit": block.unit, "books": books, "since_us": block.since_us, "law": LAW, "lifted_when": LIFTED}
        for block, books in stopped
    ]
    first = told[0]
    detail = (
        f'book "{first["books"][0]}" may not deal: an outage of unit "{first["unit"]}" (event {first["event"]}) is known since'
        f" {moment(first['since_us']).isoformat(timespec='seconds')} and not published ({LAW}); it may again when {LIFTED}."
        " Cancellations and cover trades that were agreed to pass"
    )
    return Problem("order-blocked", detail, blocks=told)
