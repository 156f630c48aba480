"""cloud/reports/filed.py: versions, manifest, evidence and journal of what is filed, in one transaction."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from cloud.errors import Problem
from cloud.evidence import bundles
from cloud.evidence import store as evidence_store
from cloud.evidence.again import recompute
from cloud.identity.actor import Actor
from cloud.recompute import REGISTRY
from cloud.reports import checks, manifest
from cloud.reports.due import Event
from cloud.reports.filed import File, Filings
from cloud.reports.filings import Action, Reason
from protocols.batch import pedigree
from tests.cloud.conftest import TestHub

SAMPLE = Path(__file__).parents[2] / "data" / "reports" / "remit"
LEI, WRONG_LEI = "213800KUD8LAJWSQ9D15", "213800KUD8LXJWSQ9D15"
RIGHT = sorted(SAMPLE.glob("*.xml"))[0].read_text().replace("a1b2c3d4e5f6g7h8i9l0", LEI)
RIGHT = RIGHT.replace("10YEU-EUROPOW--8", "10YFR-RTE------C").replace("Z1234567Y.EU", "T1241247G.EU")
OFFICER = Actor(1, "person/1")
NOON_US = 1_767_700_800_000_000  # 2026-01-06


def file(text: str = RIGHT) -> File:
    event = Event("remit-table1-standard", date(2026, 1, 5))
    return File("REMIT-1", "power of January", text.encode(), 2, NOON_US, checks.check("REMIT-1", text.encode()), event=event)


@pytest.fixture
def filings(hub: TestHub) -> Filings:
    return hub.hub.filings


async def test_what_is_filed_has_its_manifest_its_row_and_its_due_day(hub: TestHub, filings: Filings) -> None:
    async with hub.hub.db.tenant(1) as connection:
        made = await filings.keep(connection, OFFICER, file())
    async with hub.hub.db.tenant(1) as connection:
        stored = await evidence_store.get(connection, 1, made.evidence)
        assert stored is not None
        row = stored.row
        kept = await evidence_store.contents(connection, 1, list(row.inputs.contents.values()))
    assert (made.version.number, made.version.action, row.kind, row.subject) == (1, Action.NEW, "filing", "REMIT-1 power of January")
    assert row.output["due"]["day"] == "2026-01-06"
    assert row.output["due"]["status"] == "unconfirmed"  # the calendar is not confirmed
    assert row.output["outcome"] == "INDETERMINATE"  # nobody loaded the codes in force
    signed = manifest.from_json(kept[row.inputs.contents["manifest"]])
    manifest.verify(signed, kept[row.inputs.contents["file"]], hub.hub.log_keys.signer(1).verifier())
    assert hub.rows("SELECT name, subject FROM action WHERE name = 'file'") == [("file", f"filing/{made.filing_id}")]


async def test_a_file_with_a_wrong_check_digit_is_refused_and_nothing_is_kept(hub: TestHub, filings: Filings) -> None:
    before = hub.rows("SELECT (SELECT count(*) FROM evidence), (SELECT count(*) FROM filing), (SELECT count(*) FROM action)")
    with pytest.raises(Problem) as caught:
        async with hub.hub.db.tenant(1) as connection:
            await filings.keep(connection, OFFICER, file(RIGHT.replace(LEI, WRONG_LEI, 1)))
    layers = {one["layer"]: one for one in caught.value.members["layers"]}
    assert (caught.value.slug, layers["schema"]["outcome"], layers["checksum"]["outcome"]) == ("wrong-file", "PASS", "FAIL")
    assert layers["checksum"]["faults"][0]["place"].endswith("idOfMarketParticipant/lei")
    assert hub.rows("SELECT (SELECT count(*) FROM evidence), (SELECT count(*) FROM filing), (SELECT count(*) FROM action)") == before


async def test_nothing_follows_an_unanswered_version_and_a_rejected_first_one_is_filed_as_new(hub: TestHub, filings: Filings) -> None:
    async with hub.hub.db.tenant(1) as connection:
        made = await filings.keep(connection, OFFICER, file())
    changed = file(RIGHT.replace(">1.5<", ">1.25<").replace("</REMITTable1>", "\n</REMITTable1>"))
    with pytest.raises(Problem, match="not answered yet"):
        async with hub.hub.db.tenant(1) as connection:
            await filings.keep(connection, OFFICER, changed)
    async with hub.hub.db.tenant(1) as connection:
        await filings.answer(connection, OFFICER, made.filing_id, 1, "R-1", (Reason("REJ-7", "TradeReport[1]", "unknown contract"),))
        again = await filings.keep(connection, OFFICER, changed)
        await filings.answer(connection, OFFICER, made.filing_id, 2, "R-2", ())
        third = await filings.keep(connection, OFFICER, file())
    assert [one.version.action for one in (made, again, third)] == [Action.NEW, Action.NEW, Action.AMENDMENT]


async def test_messages_that_nobody_answers_follow_each_other(hub: TestHub, filings: Filings) -> None:
    async with hub.hub.db.tenant(1) as connection:
        first = await filings.keep(connection, OFFICER, replace(file(), kind="UMM"))
        second = await filings.keep(connection, OFFICER, replace(file(RIGHT + "\n"), kind="UMM"))
        with pytest.raises(Problem, match="no authority answers"):
            await filings.answer(connection, OFFICER, first.filing_id, 1, "R", ())
    assert (first.version.action, second.version.action) == (Action.NEW, Action.AMENDMENT)


async def test_a_filing_is_computed_again_from_its_bundle(hub: TestHub, filings: Filings) -> None:
    async with hub.hub.db.tenant(1) as connection:
        made = await filings.keep(connection, OFFICER, file())
    hub.hub.log.wake(1)
    data = await bundles.export(hub.hub.windows, hub.hub.log, 1, made.evidence)
    report = pedigree.verify(data)
    assert report.ok
    assert report.pedigree is not None
    (compared,) = recompute(report.pedigree, REGISTRY)
    assert (compared.name, compared.differences) == ("filing REMIT-1 power of January", ())
