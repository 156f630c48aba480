"""What the stages of a tenant are computed from besides samples: model, settings, deals, calendars, quotes, read when they have changed."""

import asyncio
from dataclasses import dataclass

from cloud import texts
from cloud.assets.model import Model, parse_model
from cloud.db import Connection
from cloud.market import store as market_store
from cloud.reaction import stages
from cloud.reaction.stages import Contents
from cloud.risk.desk import Desk
from cloud.risk.settings import DeskSettings, parse_settings
from cloud.texts import Text
from cloud.trading import store as trading_store


@dataclass(frozen=True, slots=True)
class Setup:
    """The asset model and the desk's settings with the texts that rows name."""

    model: Model
    model_text: bytes
    model_digest: bytes
    settings: DeskSettings
    settings_text: bytes
    settings_digest: bytes


@dataclass(frozen=True, slots=True)
class Booked:
    """A desk at one moment, read from the very bytes that a row names. revision: of quotes and of deals, to see whether it is still true."""

    desk: Desk
    contents: Contents
    revision: tuple[int, int]


async def read_setup(connection: Connection, tenant_id: int, known: Setup | None) -> Setup | None:
    """None as long as there is no model or there are no settings."""
    digests = tuple([await texts.newest_digest(connection, tenant_id, kind) for kind in (Text.MODEL, Text.SETTINGS)])
    if known is not None and digests == (known.model_digest, known.settings_digest):
        return known
    model = await texts.newest(connection, tenant_id, Text.MODEL)
    settings = await texts.newest(connection, tenant_id, Text.SETTINGS)
    if model is None or settings is None:
        return None
    model_text, settings_text = model.text.encode(), settings.text.encode()
    return Setup(parse_model(model.text), model_text, model.digest, parse_settings(settings_text), settings_text, settings.digest)


async def asset_names(connection: Connection, tenant_id: int) -> frozenset[str]:
    """Of the newest model; none as long as there is no model."""
    model = await texts.newest(connection, tenant_id, Text.MODEL)
    return frozenset() if model is None else frozenset(asset.name for asset in (await asyncio.to_thread(parse_model, model.text)).assets)


async def revision(connection: Connection, tenant_id: int) -> tuple[int, int]:
    return await market_store.revision(connection, tenant_id), await trading_store.revision(connection, tenant_id)


async def read_booked(
    connection: Connection, tenant_id: int, settings: DeskSettings, as_of_us: int, now: tuple[int, int], known: Booked | None
) -> Booked:
    """The book's deals and the newest quotes of its products, as known at as_of_us. What has not changed since `known` is not read again."""
    same = known is not None and known.desk.settings == settings
    if known is not None and same and known.revision[1] == now[1]:
        deals, calendars = known.contents.deals, known.contents.calendars
    else:
        own = [deal for deal in await trading_store.deals(connection, tenant_id, as_of_us) if deal.book == settings.book]
        deals, calendars = stages.write_deals(own), stages.write_calendars(await trading_store.calendars(connection, tenant_id))
    products = {product.name for product in settings.products}
    quotes = [quote for quote in await market_store.latest_quotes(connection, tenant_id, as_of_us) if quote.product in products]
    contents = Contents(deals, calendars, stages.write_quotes(quotes))
    return Booked(stages.read_desk(contents, settings), contents, now)
