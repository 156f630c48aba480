"""Expected production beside what is sold: from the newest forecast to positions."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from cloud.market.periods import DAY_US
from cloud.reaction import production
from protocols.batch import evidence
from protocols.batch.evidence import Inputs, Row
from tests.cloud.conftest import TestHub
from tests.cloud.reaction.desk import Desk

NOW = 20_000 * DAY_US
MODEL, OLDER, SETTINGS = bytes(32), bytes([1]) * 32, bytes([2]) * 32


def forecast(
    subject: str = "crude", *, age_us: int = 0, model: bytes = MODEL, unit: str = "bbl", expected: tuple[float, ...] = (1.0,)
) -> Row:
    inputs = Inputs({}, {"model": model, "settings": SETTINGS})
    output = {"product": "WTI", "place": "Cushing", "unit": unit, "start_us": NOW, "expected": np.array(expected)}
    return evidence.decode(evidence.encode(Row("forecast", subject, NOW - age_us, inputs, {}, 1, {"qenergyz": "test"}, output)))


def test_volumes_are_booked_to_six_places_in_the_days_of_the_forecast() -> None:
    first, second = production.lines([forecast(expected=(1000.12345649, 0.0))], {SETTINGS: "main"})
    assert (first.key.book, first.key.product, first.key.place, first.unit, first.expected) == ("main", "WTI", "Cushing", "bbl", True)
    assert str(first.volume) == "1000.123456"
    assert second.volume == 0
    assert second.key.bucket.from_us == first.key.bucket.to_us == NOW + DAY_US


def test_streams_in_another_unit_are_not_added_to_the_first() -> None:
    found = production.lines([forecast("b", unit="t"), forecast("a"), forecast("c")], {SETTINGS: "main"})
    assert [line.unit for line in found] == ["bbl", "bbl"]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([], []),
        ([forecast("a"), forecast("b", age_us=DAY_US)], ["a", "b"]),
        ([forecast("a"), forecast("b", age_us=2 * DAY_US)], ["a"]),
        ([forecast("a"), forecast("b", age_us=1, model=OLDER)], ["a"]),
        ([forecast("a", age_us=3 * DAY_US)], []),
    ],
    ids=["nothing", "all hold", "one is too old", "one is of a model before", "all are too old"],
)
def test_only_what_is_still_expected_counts(rows: list[Row], kept: list[str]) -> None:
    assert [row.subject for row in production.current(rows, NOW)] == kept


async def positions(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    reply = await desk.hub.client.get("/v1/positions", params=query, headers=desk.token)
    assert reply.status_code == 200, reply.text
    assert reply.json()["faults"] == []
    return list(reply.json()["positions"])


async def test_positions_show_sold_expected_and_open_of_each_day(hub: TestHub) -> None:
    desk = await Desk(hub).open()
    assert {row["expected"] for row in await positions(desk)} == {"0"}
    await desk.send(12)
    await desk.settled()
    found = await desk.result("forecast")
    expected = found["output"]["expected"]
    rows = {row["start_us"]: row for row in await positions(desk, book="main", product="WTI")}
    start_us = found["output"]["start_us"]
    days = [rows[start_us + day * DAY_US] for day in range(len(expected))]
    assert [float(row["expected"]) for row in days] == pytest.approx(expected, abs=1e-6)
    for row in days:
        assert Decimal(row["sold"]) > 0
        assert Decimal(row["open"]) == Decimal(row["bought"]) - Decimal(row["sold"]) + Decimal(row["expected"])
    assert {Decimal(row["expected"]) for at, row in rows.items() if at >= start_us + len(expected) * DAY_US} == {Decimal(0)}
    assert await positions(desk, book="other") == []
    assert {Decimal(row["expected"]) for row in await positions(desk, as_of_us=found["as_of_us"] - 60_000_000)} <= {Decimal(0)}


async def test_a_tenant_expects_nothing_of_the_production_of_another(hub: TestHub) -> None:
    desk = await Desk(hub).open()
    await desk.send(12)
    await desk.settled()
    await hub.tenant("other")
    theirs = Desk(hub, token=await hub.token("other"))
    assert await positions(theirs) == []
