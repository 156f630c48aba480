"""cloud/evidence/store.py: rows are stored once, with everything they name, and enter the log."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from cloud.evidence import store
from protocols.batch import evidence
from protocols.batch.evidence import BatchRef, Inputs, Row
from tests.cloud.conftest import TestHub
from tests.cloud.evidence.chains import DEALS_CONTENT, MODEL, MODEL_CONTENT, Story, health, ref, risk


@pytest.fixture
async def story(hub: TestHub) -> Story:
    return await Story(hub).tell()


async def test_the_newest_row_of_a_subject_is_the_one_of_the_latest_time_and_comes_with_its_digest(story: Story) -> None:
    later = health("rig1", story.sent["rig1"], at=30)
    corrected = replace(later, output={"index": 0.4})
    async with story.hub.hub.db.tenant(1) as connection:
        for row in (later, health("rig1", [], at=25), corrected):
            await store.append(connection, 1, row, {}, 31)
        assert await store.newest(connection, 1, "health", "rig1") == (evidence.digest(evidence.encode(corrected)), corrected)
        assert await store.newest(connection, 1, "health", "rig9") is None


async def test_appending_a_row_again_changes_nothing(story: Story) -> None:
    before = story.hub.rows("SELECT count(*), max(evidence_id) FROM evidence") + story.hub.rows("SELECT count(*) FROM log_entry")
    async with story.hub.hub.db.tenant(1) as connection:
        assert await store.append(connection, 1, health("rig1", story.sent["rig1"]), MODEL_CONTENT, 999) == story.health["rig1"]
    assert story.hub.rows("SELECT count(*), max(evidence_id) FROM evidence") + story.hub.rows("SELECT count(*) FROM log_entry") == before
    assert story.hub.rows("SELECT count(*) FROM evidence_content") == [(2,)]


async def test_the_same_row_appended_by_two_at_once_is_stored_once(story: Story) -> None:
    states = {evidence.digest(state): state for state in (b"a", b"b", b"c")}
    inputs = Inputs(contents={state.decode(): digest for digest, state in states.items()})
    row = replace(health("rig1", [], at=70), inputs=inputs)

    async def append(contents: dict[bytes, bytes]) -> bytes:
        async with story.hub.hub.db.tenant(1) as connection:
            return await store.append(connection, 1, row, contents, 71)

    made = await asyncio.gather(*(append(dict(sorted(states.items(), reverse=bool(at % 2)))) for at in range(6)))
    assert len(set(made)) == 1
    assert story.hub.rows("SELECT count(*) FROM evidence WHERE as_of_us = 70") == [(1,)]
    assert story.hub.rows("SELECT kind FROM evidence_content ORDER BY kind") == [("a",), ("b",), ("c",), ("deals",), ("model",)]


async def test_a_row_enters_the_log_and_learns_its_position(story: Story) -> None:
    reply = await story.hub.hub.log.receipts(1, [story.risk], wait_s=10)
    assert reply
    assert reply.receipts[0]
    async with story.hub.hub.db.tenant(1) as connection:
        found = await store.get(connection, 1, story.risk)
    assert found
    assert (found.made_us, found.digest, found.row.kind) == (21, story.risk, "risk")
    assert found.position is not None
    assert story.hub.rows("SELECT kind, count(*) FROM log_entry GROUP BY kind ORDER BY kind") == [("batch", 4), ("evidence", 3)]


async def test_pages_run_from_the_row_made_last_to_the_first(story: Story) -> None:
    async with story.hub.hub.db.tenant(1) as connection:
        first = await store.page(connection, 1, None, None, 2)
        second = await store.page(connection, 1, None, None, 2, first[-1].id)
        one_kind = await store.page(connection, 1, "health", None, 10)
        one_subject = await store.page(connection, 1, "health", "rig2", 10)
    assert [row.digest for row in first + second] == [story.risk, story.health["rig2"], story.health["rig1"]]
    assert [row.subject for row in one_kind] == ["rig2", "rig1"]
    assert [(row.subject, row.as_of_us, row.made_us) for row in one_subject] == [("rig2", 10, 11)]


async def test_the_closure_of_a_row_holds_each_row_below_it_once_and_stops_at_the_limit(story: Story) -> None:
    rows = {"risk before": story.risk, "health rig1": story.health["rig1"]}
    async with story.hub.hub.db.tenant(1) as connection:
        top = await store.append(connection, 1, risk(rows, at=40), {}, 41)
        below = await store.closure(connection, 1, top, 100)
        assert {evidence.digest(document) for document in below} == {top, story.risk, *story.health.values()}
        assert len(below) == 4
        assert len(await store.closure(connection, 1, top, 3)) == 3
        assert len(await store.closure(connection, 1, story.health["rig1"], 100)) == 1
        assert await store.closure(connection, 1, bytes(32), 100) == []


async def test_contents_are_kept_by_digest_and_counted_without_reading_them(story: Story) -> None:
    digest = evidence.digest(MODEL)
    async with story.hub.hub.db.tenant(1) as connection:
        assert await store.content(connection, 1, digest) == MODEL
        assert await store.content(connection, 1, bytes(32)) is None
        assert await store.content_bytes(connection, 1, [digest, bytes(32)]) == len(MODEL)
        assert await store.content_bytes(connection, 1, []) == 0
        assert await store.contents(connection, 1, []) == {}


async def test_batches_are_found_by_their_numbers_in_the_order_asked(story: Story) -> None:
    wanted = [ref(story.sent["rig2"][1]), ref(story.sent["rig1"][0]), replace(ref(story.sent["rig1"][0]), seq=99)]
    async with story.hub.hub.db.tenant(1) as connection:
        found = await store.batches(connection, 1, wanted)
    assert [one.statement for one in found] == [story.sent["rig2"][1], story.sent["rig1"][0]]
    assert {one.table_digest for one in found} == {rig.table.digest for rig in story.rigs.values()}


Break = Callable[[Story], Row]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        pytest.param(lambda story: risk({"health rig9": bytes(32)}), 'row "health rig9"', id="row that is not stored"),
        pytest.param(lambda story: health("rig1", [], state=b"carried"), 'content "state"', id="content that is neither given nor stored"),
        pytest.param(
            lambda story: replace(health("rig1", []), inputs=Inputs(batches=(replace(ref(story.sent["rig1"][0]), entry=bytes(32)),))),
            'batch "rig1 live/1/1"',
            id="batch with another entry",
        ),
        pytest.param(
            lambda story: replace(
                health("rig1", []), inputs=Inputs(batches=(replace(ref(story.sent["rig1"][0]), gateway="urn:qz:gw:rig2"),))
            ),
            'batch "rig2 live/1/1"',
            id="batch of another gateway",
        ),
        pytest.param(
            lambda story: replace(health("rig1", []), inputs=Inputs(batches=(BatchRef("urn:qz:gw:rig9", "live", 1, 1, bytes(32)),))),
            'batch "rig9 live/1/1"',
            id="gateway that is not known",
        ),
    ],
)
async def test_a_row_that_could_not_be_proven_is_not_stored(story: Story, row: Break, told: str) -> None:
    before = story.hub.stored(), story.hub.rows("SELECT count(*) FROM evidence")
    with pytest.raises(store.MissingInput, match=told):
        async with story.hub.hub.db.tenant(1) as connection:
            await store.append(connection, 1, row(story), {}, 50)
    assert (story.hub.stored(), story.hub.rows("SELECT count(*) FROM evidence")) == before


async def test_a_content_that_is_not_its_digest_or_that_nobody_names_is_refused(story: Story) -> None:
    async with story.hub.hub.db.tenant(1) as connection:
        with pytest.raises(ValueError, match='content "model" of 5 bytes'):
            await store.append(connection, 1, health("rig1", []), {evidence.digest(MODEL): b"other"}, 50)
        with pytest.raises(ValueError, match="does not name it"):
            await store.append(connection, 1, health("rig1", []), DEALS_CONTENT, 50)


async def test_rows_and_contents_can_neither_be_changed_nor_deleted_by_the_application(story: Story) -> None:
    for change in (
        "UPDATE evidence SET document = ''",
        "DELETE FROM evidence",
        "UPDATE evidence_content SET content = ''",
        "DELETE FROM evidence_content",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with story.hub.hub.db.tenant(1) as connection:
                await connection.execute(change)  # type: ignore[arg-type]


async def test_another_tenant_sees_no_row_and_no_content(story: Story) -> None:
    other = (await story.hub.tenant("other")).tenant_id
    async with story.hub.hub.db.tenant(other) as connection:
        for tenant in (1, other):
            assert await store.get(connection, tenant, story.risk) is None
            assert await store.page(connection, tenant, None, None, 10) == []
            assert await store.closure(connection, tenant, story.risk, 10) == []
            assert await store.contents(connection, tenant, [evidence.digest(MODEL)]) == {}
            assert await store.batches(connection, tenant, [ref(story.sent["rig1"][0])]) == []
    with pytest.raises(store.MissingInput):
        async with story.hub.hub.db.tenant(other) as connection:
            await store.append(connection, other, health("rig1", story.sent["rig1"]), MODEL_CONTENT, 1)
