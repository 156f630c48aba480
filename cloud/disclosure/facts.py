"""What the rules of disclosure need to know of an event: the loss, what was known and published when, and what was dealt in between."""

from cloud.compliance import facts_json, register_store
from cloud.compliance.facts import Outage
from cloud.compliance.profile import Profile
from cloud.db import Connection
from cloud.disclosure import blocks
from cloud.disclosure.event import Event, State
from cloud.disclosure.times import microseconds
from cloud.reports.umm import Unavailability
from cloud.trading import store as trading_store

DELAY = ("delayed", "delay_legitimate", "delay_confidential", "delay_notified")


async def of_event(connection: Connection, tenant_id: int, event: Event, profile: Profile, now_us: int) -> Outage:
    """A delay is what somebody has registered for the subject; nothing registered: nobody delays."""
    message, unit = event.message, profile.unit(event.unit)
    published = event.published if event.draft is None else None
    published_us = None if published is None or published.published is None else microseconds(published.published)
    orders: list[int] = []
    covered, cover = False, await blocks.cover(connection, tenant_id, event.id)
    if unit is not None and event.confirmed_us is not None:
        until_us = now_us if published_us is None else published_us
        dealt = await trading_store.captured(connection, tenant_id, unit.books, event.confirmed_us, until_us)
        refused = [at_us for at_us in await blocks.refusals(connection, tenant_id, event.id) if event.confirmed_us <= at_us < until_us]
        as_cover = await blocks.covered(connection, tenant_id, event.id)
        orders = sorted([*(at_us for _, _, at_us in dealt), *refused])
        covered = bool(dealt) and not refused and all((deal, version) in as_cover for deal, version, _ in dealt)
    lost = message.unavailable if event.state is not State.WITHDRAWN else message.unavailable * 0
    return Outage(
        checked_us=now_us,
        asset_in_scope=unit is not None,
        planned=message.unavailability is Unavailability.PLANNED,
        installed_mw=None if unit is None else unit.mw(message.installed),
        lost_mw=None if unit is None else unit.mw(lost),
        known_us=event.confirmed_us,
        published_us=published_us,
        own_orders_us=tuple(orders),
        cover_only=covered,
        cover_notified=cover is not None and cover.notified_us is not None,
        **await _delay(connection, tenant_id, event, now_us),
    )


async def _delay(connection: Connection, tenant_id: int, event: Event, now_us: int) -> dict[str, bool | None]:
    found = await register_store.newest(connection, tenant_id, Outage.__name__, f"outage/{event.id}", now_us)
    if found is None:
        return {"delayed": False}
    stated = facts_json.values(Outage, found.document)
    return {name: stated.get(name) for name in DELAY}
