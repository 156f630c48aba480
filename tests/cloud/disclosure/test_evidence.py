"""What a published message rests on can be proven and computed again, away from the hub."""

from pathlib import Path

from cloud import recompute
from cloud.disclosure.watch import Watch
from cloud.reports.layers import Layer
from tests.cloud.conftest import TestHub
from tests.cloud.disclosure.field import EVENT, open_field

WRITTEN = (
    "SELECT (SELECT count(*) FROM outage_step), (SELECT count(*) FROM evidence WHERE kind IN ('capacity', 'umm', 'finding')),"
    " (SELECT count(*) FROM action)"
)


async def test_the_bundle_of_a_published_message_is_computed_again_equal(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub)
    await field.draft()
    await field.publish()
    found = await field.get(f"/v1/outages/{EVENT}")
    filing = next(one for one in await field.get("/v1/evidence?kind=filing") if one["subject"] == f"UMM {EVENT}")
    row = await field.desk.row(filing["id"])
    assert {one["layer"]: one["outcome"] for one in row["output"]["layers"]} == dict.fromkeys(Layer, "PASS")
    assert "profile" in row["inputs"]["contents"]
    for name, digest in (("message", found["evidence"]), ("filing", filing["id"]), ("finding", found["findings"][0]["evidence"])):
        path = tmp_path / f"{name}.qzb"
        path.write_bytes(await field.desk.bundle(digest))
        assert recompute.main([str(path)]) == 0, name


async def test_the_message_names_the_samples_that_raised_it(hub: TestHub) -> None:
    field = await open_field(hub)
    drafted = await field.draft()
    row = await field.desk.row(drafted["evidence"])
    assert set(row["inputs"]["rows"]) == {"began", "seen", "capacity"}
    seen = await field.desk.row(row["inputs"]["rows"]["seen"])
    assert {one["gateway"] for one in seen["inputs"]["batches"]} <= {"urn:qz:gw:rig1", "urn:qz:gw:rig2"}
    assert row["inputs"]["rows"]["capacity"] in drafted["message"]["remarks"]
    assert row["inputs"]["rows"]["seen"] in drafted["message"]["remarks"]


async def test_a_pass_that_finds_nothing_new_writes_nothing_even_after_a_restart(hub: TestHub, tmp_path: Path) -> None:
    field = await open_field(hub)
    await field.draft()
    await field.desk.send(3, 400.0)
    await field.seen()
    parts = hub.hub
    fresh = Watch(parts.db, parts.clock, parts.ledger, parts.results.publish, parts.log.wake, parts._tenant_ids, tmp_path)
    before = hub.rows(WRITTEN)
    assert not await fresh.look(1)
    assert hub.rows(WRITTEN) == before
