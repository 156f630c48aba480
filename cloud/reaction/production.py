"""Expected production as lines of positions: the newest volume forecasts of a tenant, booked to the desk's book day by day.

The crossing from estimates to booked numbers is here, by rounding to six decimal places. A forecast that is more than two days old at
the time that is asked for is no expectation any more and is left out; so is one of a stream that the newest model does not have.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from cloud.db import Database
from cloud.evidence import store as evidence_store
from cloud.market.periods import DAY_US
from cloud.reaction import store
from cloud.risk.settings import parse_settings
from cloud.trading.positions import Key, Line
from cloud.trading.schedules import Bucket
from protocols.batch import evidence
from protocols.batch.evidence import Row

OLDEST_US: Final = 2 * DAY_US
PLACE: Final = Decimal("0.000001")


class Production:
    """`await Production(db)(tenant_id, as_of_us)`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, tenant_id: int, as_of_us: int) -> Iterable[Line]:
        async with self._db.tenant(tenant_id) as connection:
            rows = current(await store.forecasts(connection, tenant_id, as_of_us), as_of_us)
            texts = await evidence_store.contents(connection, tenant_id, sorted({row.inputs.contents["settings"] for row in rows}))
        return lines(rows, {digest: parse_settings(text).book for digest, text in texts.items()})


def current(rows: Sequence[Row], as_of_us: int) -> tuple[Row, ...]:
    """Those that still hold: of the model that the newest one rests on, and not too old."""
    if not rows:
        return ()
    model = max(rows, key=lambda row: row.as_of_us).inputs.contents["model"]
    return tuple(row for row in rows if row.inputs.contents["model"] == model and row.as_of_us > as_of_us - OLDEST_US)


def lines(rows: Iterable[Row], books: Mapping[bytes, str]) -> tuple[Line, ...]:
    """One line for each stream and day. books: by the digest of the settings that a row names. Of streams of one product and place in
    different units, those in the unit of the first one by name: volumes of two units have no sum."""
    units: dict[tuple[str, str, str], str] = {}
    found: list[Line] = []
    for row in sorted(rows, key=lambda row: row.subject):
        output, book = row.output, books[row.inputs.contents["settings"]]
        market = (book, output["product"], output["place"])
        if units.setdefault(market, output["unit"]) != output["unit"]:
            continue
        for day, volume in enumerate(evidence.array(output["expected"]).tolist()):
            start_us = output["start_us"] + day * DAY_US
            key = Key(*market, Bucket(start_us, start_us + DAY_US))
            found.append(Line(key, Decimal(volume).quantize(PLACE), output["unit"], expected=True))
    return tuple(found)
