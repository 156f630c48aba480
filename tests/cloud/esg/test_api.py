"""Emissions over HTTP on a real database: from batches to a total, restated, recomputed from a bundle."""

import json
import math
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cloud import recompute
from cloud.esg.accounts import start_of
from cloud.evidence import store as evidence_store
from protocols.batch import evidence
from tests.cloud.conftest import TestHub
from tests.cloud.esg.field import MINUTE_US, POWER, TEXT, Field, yesterday

DAY = yesterday(3)


def of(document: dict[str, Any], source: str) -> dict[str, Any]:
    return next(one for one in document["records"] if one["source"] == source)


async def count(hub: TestHub) -> int:
    return int(hub.rows("SELECT count(*) FROM evidence")[0][0])


async def recomputed(field: Field, digest: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    reply = await field.hub.client.get(f"/v1/evidence/{digest}/bundle", headers=field.token)
    assert reply.status_code == 200, reply.text
    file = folder / "bundle.qzb"
    file.write_bytes(reply.content)
    assert recompute.main([str(file), "--json"]) == 0, capsys.readouterr().out
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


async def test_a_day_of_batches_becomes_a_row_and_a_second_look_makes_none(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    (day,) = (await field.get("emissions", from_=DAY))["days"]
    flare = of(day, "S")
    assert flare["bar"] == "m" * 24
    assert flare["activity"]["value"] == pytest.approx(2.4e6, rel=0.01)
    assert flare["gases_kg"]["ch4_kg"] == pytest.approx(flare["activity"]["value"] * 0.9 * 0.02 * 0.0192)
    assert flare["gases_kg"]["n2o_kg"] is None
    assert of(day, "P")["gases_kg"]["ch4_kg"] == pytest.approx(3 * 6.8 * 24 * 0.8 * 0.0192)
    before = await count(hub)
    assert (await field.get("emissions", from_=DAY))["days"] == [day]
    assert await count(hub) == before


async def test_a_bundle_of_a_total_is_computed_again_to_the_bit(hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY, leave_out=(2,))
    await field.get("emissions", from_=DAY)
    await field.send(start_of(DAY) + 720 * MINUTE_US, 360, power=136.0, stream="backfill")
    await field.whole_day(yesterday(2))
    total = await field.get("totals", from_=DAY, to=yesterday(2))
    report = await recomputed(field, total["id"], tmp_path, capsys)
    assert report["equal"] is True
    assert report["recomputed"] == {"emissions": 3, "inventory": 1}


async def test_a_total_has_no_figure_while_there_are_doubts_and_says_what_is_known(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    found = await field.get("totals", from_=DAY, to=DAY)
    own = found["scopes"]["scope 1"]
    assert own["figure_t"] is None
    assert own["doubts"] == ["S: n2o not estimated"]
    assert own["known_t"] > 100
    assert own["low_t"] < own["known_t"] < own["high_t"]
    bought = found["scopes"]["scope 2, location"]
    assert bought["figure_t"] == pytest.approx(71.95 / 1000, rel=1e-4)  # the last sample stands at 23:59
    stated = await field.get("totals", from_=DAY, to=DAY, scenario="as-stated")
    assert stated["scopes"]["scope 1"]["doubts"] == ["S: flare.n2o is unconfirmed"]
    assert stated["scopes"]["scope 1"]["known_t"] > own["known_t"]
    assert stated["scenario"] == "as-stated"


async def test_two_days_of_a_counter_lose_nothing_at_midnight(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    await field.send(start_of(yesterday(2)), 1440, power=172.0)
    days = (await field.get("emissions", from_=DAY, to=yesterday(2)))["days"]
    assert sum(of(day, "W")["activity"]["value"] for day in days) == pytest.approx(2 * 72.0 - 0.05)


async def test_two_sets_of_potentials_are_two_totals_over_the_same_gases(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    five, six = [(await field.get("totals", from_=DAY, to=DAY, gwp=gwp))["scopes"]["scope 1"] for gwp in ("AR5", "AR6")]
    assert five["gases_kg"] == six["gases_kg"]
    assert six["known_t"] - five["known_t"] == pytest.approx(five["gases_kg"]["ch4_kg"] * 1.8 / 1000)
    assert "gwp: expected one of" in await field.refused("totals", from_=DAY, to=DAY, gwp="AR7")


async def test_a_late_batch_restates_the_day_and_what_was_said_before_stands(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY, leave_out=(2,))
    (first,) = (await field.get("emissions", from_=DAY))["days"]
    assert of(first, "S")["missing_hours"] == 6
    await field.send(start_of(DAY) + 720 * MINUTE_US, 360, power=136.0, stream="backfill")
    (second,) = (await field.get("emissions", from_=DAY))["days"]
    assert of(second, "S")["missing_hours"] == 0
    assert second["known_at_us"] > first["known_at_us"]
    (then,) = (await field.get("emissions", from_=DAY, known_at=first["known_at_us"]))["days"]
    assert then == first
    told = await field.get("restatements", from_=DAY, to=DAY, before=first["known_at_us"], after=second["known_at_us"])
    assert [one["source"] for one in told["restated"]] == ["S"]
    assert told["restated"][0]["before"]["missing_hours"] == 6
    assert told["after"]["scopes"]["scope 1"]["known_t"] > told["before"]["scopes"]["scope 1"]["known_t"]


async def test_a_new_inventory_makes_new_rows_from_the_same_samples(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    (first,) = (await field.get("emissions", from_=DAY))["days"]
    assert (await field.put(TEXT.replace("CH4 = 0.9, CO2 = 0.1", "CH4 = 0.8, CO2 = 0.2"))).status_code == 200
    (second,) = (await field.get("emissions", from_=DAY))["days"]
    ratio = of(second, "S")["gases_kg"]["ch4_kg"] / of(first, "S")["gases_kg"]["ch4_kg"]
    assert ratio == pytest.approx(8 / 9)
    assert of(second, "S")["activity"] == of(first, "S")["activity"]


async def test_a_hub_that_was_started_anew_goes_on_where_the_rows_stand(run_hub: Any) -> None:
    async with run_hub() as hub:
        field = await Field(hub).open()
        await field.whole_day(DAY, leave_out=(3,))
        await field.get("emissions", from_=DAY)
        gateway = field.gateway
    async with run_hub() as hub:
        again = Field(hub, await hub.token(scopes=("read", "write:esg")), gateway)
        gateway.client = hub.client
        await again.send(start_of(DAY) + 1080 * MINUTE_US, 360, power=154.0)
        (day,) = (await again.get("emissions", from_=DAY))["days"]
        assert of(day, "S")["bar"] == "m" * 24
        rows = [evidence.decode(bytes(row[0])) for row in hub.rows("SELECT document FROM evidence WHERE kind = 'emissions'")]
        named = [ref.entry for row in rows for ref in row.inputs.batches]
        assert len(rows) >= 2
        assert len(set(named)) == len(named)  # the new hub reads no batch again that a row of the old one names


async def test_an_interval_has_exactly_its_gases_and_the_same_row_again(
    hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    field = await Field(hub).open()
    start = start_of(DAY)
    await field.send(start, 60, flow=1.0)
    await field.send(start + 60 * MINUTE_US, 60, flow=10.0, power=103.0)
    window = {"from_us": start + 50 * MINUTE_US, "to_us": start + 70 * MINUTE_US}
    (found,) = (await field.get("emissions", **window))["intervals"]
    assert of(found, "S")["activity"]["value"] == pytest.approx((1.0 + 10.0) * 10 * 1e6 / 1440, rel=0.01)
    assert of(found, "S")["known_s"] == 1200
    assert found["doubts"] == ["S: n2o not estimated"]
    assert found["known_t"]["scope 1"] > 0
    assert found["as_stated_kg"]["scope 1"]["n2o_kg"] > found["gases_kg"]["scope 1"]["n2o_kg"] == 0
    assert (await field.get("emissions", **window))["intervals"] == [found]
    assert (await recomputed(field, found["id"], tmp_path, capsys))["equal"] is True
    (half,) = (await field.get("emissions", from_us=start + 110 * MINUTE_US, to_us=start + 130 * MINUTE_US))["intervals"]
    assert any("600 s of 1200 s not measured" in one for one in half["doubts"])


async def test_an_inventory_with_another_unit_than_the_tag_is_refused(hub: TestHub) -> None:
    field = await Field(hub).open()
    reply = await field.put(TEXT.replace('unit = "MMscf/d"', 'unit = "Sm3/h"'))
    assert reply.status_code == 422
    assert "the gateway sends it in MMscf/d" in reply.json()["detail"]
    reply = await field.put("title = 1\n")
    assert "inventory.toml:1:" in reply.json()["detail"]


async def test_batches_in_another_unit_than_the_inventory_are_a_doubt_and_no_number(hub: TestHub) -> None:
    """The tag's unit was changed at the gateway after the inventory was handed in."""
    field = await Field(hub).open(units=("Sm3/h", "degC", "MWh", "bbl/d"), inventory_first=True)
    await field.whole_day(DAY)
    (day,) = (await field.get("emissions", from_=DAY))["days"]
    assert day["refused"] == {"rig1/plc1.t0": "expected MMscf/d, the gateway sends Sm3/h"}
    assert of(day, "S")["missing_hours"] == 24
    own = (await field.get("totals", from_=DAY, to=DAY))["scopes"]["scope 1"]
    assert "rig1/plc1.t0: expected MMscf/d, the gateway sends Sm3/h" in own["doubts"]


async def test_the_open_day_is_accounted_for_without_being_asked(hub: TestHub) -> None:
    field = await Field(hub).open()
    now_us = hub.hub.clock.now_us()
    await field.send(now_us - 10 * MINUTE_US, 8)
    hub.hub.emission_days.follow(1)
    await _until(hub, "SELECT count(*) FROM evidence WHERE kind = 'emissions'")
    (row,) = hub.rows("SELECT count(*) FROM evidence WHERE kind = 'emissions'")
    assert row[0] >= 1


async def test_the_open_day_has_a_new_row_once_a_minute_whatever_comes(hub: TestHub) -> None:
    field = await Field(hub).open()
    today, now_us = yesterday(0), hub.hub.clock.now_us()
    await field.send(now_us - 10 * MINUTE_US, 8)
    (first,) = (await field.get("emissions", from_=today))["days"]
    await field.send(now_us - 2 * MINUTE_US, 1)
    assert (await field.get("emissions", from_=today))["days"] == [first]
    assert f"field {today}: the day is not over" in ((await field.get("totals", from_=today, to=today))["scopes"]["scope 1"]["doubts"])


async def _until(hub: TestHub, query: str) -> None:
    import asyncio

    async with asyncio.timeout(20):
        while not hub.rows(query)[0][0]:
            await asyncio.sleep(0.05)


async def test_measures_are_kept_by_version_and_their_figures_follow(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    period = {"site": "field", "first": str(DAY), "last": str(DAY)}
    assert (
        await field.post({**period, "kind": "safety", "recordables": 3, "lost_time": 4, "near_misses": 0, "hours": 1.0})
    ).status_code == 422
    good = [
        {**period, "kind": "safety", "recordables": 1, "lost_time": 0, "near_misses": 2, "hours": 100_000.0},
        {**period, "kind": "production", "oil_bbl": 72_000.0, "gas_marketed_sm3": 1_000_000.0},
        {**period, "kind": "figure", "name": "paid on time", "value": 0.97, "unit": "1", "reference": "accounts"},
    ]
    reply = await field.post(*good)
    assert reply.status_code == 201, reply.text
    found = {one["name"]: one for one in (await field.get("intensity", from_=DAY, to=DAY))["figures"]}
    assert found["trir"]["value"] == 2.0
    assert found["paid on time"]["value"] == 0.97
    assert found["methane_intensity"]["value"] == pytest.approx((830 + 7.5) / 0.678 / 1e6, rel=0.02)
    assert "no water is registered" in found["oil_in_water_mg_l"]["why"]
    before = reply.json()["known_at_us"]
    await field.post({**good[0], "recordables": 2})
    assert [one["recordables"] for one in (await field.get("measures", from_=DAY, to=DAY))["measures"] if one["kind"] == "safety"] == [2]
    then = await field.get("measures", from_=DAY, to=DAY, known_at=before)
    assert [one["recordables"] for one in then["measures"] if one["kind"] == "safety"] == [1]
    assert hub.rows("SELECT count(*) FROM action WHERE name = 'register-measures'") == [(2,)]


METRICS = """
[[metric]]
name = "recordable cases"
topic = "safety"
figure = "trir"
best = 0.0
worst = 4.0
since = 2026-01-01
reference = "an example"
[[metric]]
name = "methane"
topic = "ghg_methane"
figure = "methane_intensity"
best = 0.0
worst = 0.004
since = 2026-01-01
reference = "an example"
"""


async def test_the_score_is_an_interval_until_enough_is_measured_and_adds_up(
    hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = (
        "[weights]\nghg_methane = 40\nsafety = 40\nair = 4\nwater = 4\nspills_ecology = 4\ncommunity_local_content = 4\n"
        "business_ethics = 2\ngovernance_data_quality = 2\n"
    )
    field = await Field(hub).open(TEXT + METRICS + weights)
    await field.whole_day(DAY)
    empty = await field.get("score", from_=DAY, to=DAY)
    assert (empty["value"], empty["coverage"], empty["low"], empty["high"]) == (None, 0.0, 0.0, 100.0)
    period = {"site": "field", "first": str(DAY), "last": str(DAY)}
    await field.post(
        {**period, "kind": "safety", "recordables": 1, "lost_time": 0, "near_misses": 2, "hours": 200_000.0},
        {**period, "kind": "production", "oil_bbl": 72_000.0, "gas_marketed_sm3": 1_000_000.0},
    )
    found = await field.get("score", from_=DAY, to=DAY)
    assert found["coverage"] == pytest.approx(0.8)
    assert found["low"] < found["value"] < found["high"]
    assert math.fsum(one["points"] for one in found["contributions"] if one["points"] is not None) == pytest.approx(found["value"] - 50)
    assert found["weights_moved"]["low"] <= found["value"] <= found["weights_moved"]["high"]
    assert (await recomputed(field, found["id"], tmp_path, capsys))["recomputed"]["score"] == 1


@pytest.mark.parametrize("path", ["emissions", "totals", "score", "intensity", "leaks"])
async def test_without_an_inventory_one_is_told_what_to_do(hub: TestHub, path: str) -> None:
    field = Field(hub, await hub.token(scopes=("read", "write:esg")))
    assert "hand one in with PUT /v1/esg/inventory" in await field.refused(path, from_=DAY, to=DAY)


async def test_periods_that_cannot_be_are_refused(hub: TestHub) -> None:
    field = await Field(hub).open()
    assert "at most 366 days" in await field.refused("totals", from_="2024-01-01", to="2026-01-01")
    assert "has no site" in await field.refused("totals", from_=DAY, to=DAY, site="x")
    assert "either from and to" in await field.refused("emissions")
    assert "before to_us" in await field.refused("emissions", from_us=2_000_000_000_000_000, to_us=1_900_000_000_000_000)


async def test_a_day_of_more_batches_than_one_row_names_is_a_chain_of_rows(
    hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.esg.days.AT_ONCE", 3)
    field = await Field(hub).open()
    await field.whole_day(DAY, parts=8)
    (day,) = (await field.get("emissions", from_=DAY))["days"]
    assert of(day, "S")["bar"] == "m" * 24
    report = await recomputed(field, day["id"], tmp_path, capsys)
    assert (report["equal"], report["recomputed"]) == (True, {"emissions": 3})


async def test_an_inventory_that_reads_other_tags_begins_the_chain_anew(
    hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    field = await Field(hub).open(TEXT.replace(POWER, ""))
    await field.whole_day(DAY)
    (first,) = (await field.get("emissions", from_=DAY))["days"]
    assert (await field.put(TEXT)).status_code == 200
    (second,) = (await field.get("emissions", from_=DAY))["days"]
    assert of(second, "S") == of(first, "S")
    assert of(second, "W")["bar"] == "m" * 24
    assert (await recomputed(field, second["id"], tmp_path, capsys))["recomputed"] == {"emissions": 1}


async def test_a_row_that_lies_about_its_gases_is_found(hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hub that lies: the row is logged and names true inputs, and its gases are made up."""
    field = await Field(hub).open()
    await field.whole_day(DAY)
    (day,) = (await field.get("emissions", from_=DAY))["days"]
    async with hub.hub.db.tenant(1) as connection:
        stored = await evidence_store.get(connection, 1, bytes.fromhex(day["id"]))
        assert stored is not None
        records = [{**one, "gases_kg": {**one["gases_kg"], "ch4_kg": 1.0}} for one in stored.row.output["records"]]
        lie = replace(stored.row, output={**stored.row.output, "records": records})
        digest = await evidence_store.append(connection, 1, lie, {}, 1)
    hub.hub.log.wake(1)
    reply = await hub.client.get(f"/v1/evidence/{digest.hex()}/bundle", headers=field.token)
    file = tmp_path / "bundle.qzb"
    file.write_bytes(reply.content)
    assert recompute.main([str(file)]) == 1
    assert "records[0].gases_kg.ch4_kg: the row says 1.0" in capsys.readouterr().out


async def test_days_that_are_over_are_not_looked_at_again_until_something_of_them_comes(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    await field.whole_day(yesterday(2))
    days, looked = hub.hub.emission_days, list[str]()
    look = days._look

    async def noted(tenant_id: int, site: str, day: date) -> Any:
        looked.append(str(day))
        return await look(tenant_id, site, day)

    await field.get("totals", from_=DAY, to=yesterday(2))
    monkeypatch.setattr(days, "_look", noted)
    await field.get("totals", from_=DAY, to=yesterday(2))
    assert looked == []
    await field.send(start_of(DAY) + MINUTE_US // 2, 1)
    (first, second) = (await field.get("emissions", from_=DAY, to=yesterday(2)))["days"]
    assert set(looked) == {str(DAY)}
    assert first["known_at_us"] > second["known_at_us"]


async def test_times_beyond_all_days_keep_nobody_from_asking(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    await field.send((1 << 62) + 1, 1)
    await field.send(-(1 << 62), 1)
    assert (await field.get("totals", from_=DAY, to=DAY))["days"] == 1


BALANCE = """
[[balance]]
name = "gas handling"
site = "field"
in = ["gas"]
out = ["gas"]
kg_per_scf = 0.024
"""


async def test_leaks_are_looked_for_and_nothing_of_it_is_an_entry(hub: TestHub) -> None:
    field = await Field(hub).open(TEXT + BALANCE)
    await field.whole_day(DAY)
    (found,) = (await field.get("leaks", from_=DAY, to=DAY))["sections"]
    assert (found["hours"], found["work_order"]) == (24, None)
    assert found["suspects"] == ["gas"]
    (day,) = (await field.get("emissions", from_=DAY))["days"]
    assert {one["source"] for one in day["records"]} == {"S", "P", "W"}


async def test_one_tenant_sees_nothing_of_another(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(DAY)
    await field.get("emissions", from_=DAY)
    other = Field(hub, await hub.token("other", scopes=("read", "write:esg")))
    assert "hand one in" in await other.refused("emissions", from_=DAY)
    assert (await other.put(TEXT)).status_code == 200
    (day,) = (await other.get("emissions", from_=DAY))["days"]
    assert of(day, "S")["missing_hours"] == 24


async def test_the_inventory_is_kept_by_version_and_its_hand_in_is_in_the_journal(hub: TestHub) -> None:
    field = await Field(hub).open()
    found = await field.get("inventory")
    assert (found["version"], found["sites"], found["text"]) == (1, ["field"], TEXT)
    assert [one["id"] for one in found["sources"]] == ["S", "P", "W"]
    assert (await field.put(TEXT)).json()["version"] == 1
    headers = {**field.token, "content-type": "application/toml", "if-match": '"7"'}
    refused = await hub.client.put("/v1/esg/inventory", content=TEXT + "\n", headers=headers)
    assert refused.status_code in (409, 412)
    assert hub.rows("SELECT count(*) FROM action WHERE name = 'hand-in-inventory'") == [(1,)]
