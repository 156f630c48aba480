"""The log of a tenant: sequencer, checkpoints, proofs, tiles."""

import asyncio
import base64

import pytest

from cloud.audit import store, tiles
from protocols.batch import checkpoint, merkle
from protocols.batch.checkpoint import Checkpoint
from tests.cloud.conftest import RunHub, TestHub


async def _append(hub: TestHub, count: int, start: int = 0) -> list[bytes]:
    entries = [merkle.leaf_hash(at.to_bytes(8, "big")) for at in range(start, start + count)]
    async with hub.hub.db.tenant(1) as connection:
        for entry in entries:
            await store.append(connection, 1, "test", entry)
    hub.hub.log.wake(1)
    return entries


async def _checkpoint(hub: TestHub, size: int) -> Checkpoint:
    """Waits until the log has that size."""
    async with asyncio.timeout(20):
        while True:
            found = await hub.hub.log.latest(1)
            if found and found.size >= size:
                return checkpoint.verify(found.text, hub.hub.log.log_key(1, "hub.localhost/default"))
            await asyncio.sleep(0.01)


def _root(hub: TestHub) -> bytes:
    """From every entry, in the order of positions: what an auditor computes."""
    tree = merkle.Tree()
    for (entry,) in hub.rows("SELECT entry FROM log_entry ORDER BY position"):
        tree.append(merkle.leaf_hash(entry))
    return tree.root()


async def test_the_signed_root_is_that_of_all_entries(hub: TestHub) -> None:
    for start in (0, 3, 258, 300):
        await _append(hub, {0: 3, 3: 255, 258: 42, 300: 700}[start], start)
        seen = await _checkpoint(hub, start + 1)
    seen = await _checkpoint(hub, 1000)
    assert (seen.size, seen.root) == (1000, _root(hub))
    assert hub.rows("SELECT count(*), min(position), max(position), count(DISTINCT position) FROM log_entry") == [(1000, 0, 999, 1000)]


async def test_an_entry_that_commits_late_is_not_skipped(hub: TestHub) -> None:
    async with hub.hub.db.tenant(1) as late:
        await store.append(late, 1, "test", b"\x01" * 32)  # has the lower id, commits after the others
        await _append(hub, 5)
        await _checkpoint(hub, 5)
    hub.hub.log.wake(1)
    seen = await _checkpoint(hub, 6)
    assert seen.root == _root(hub)
    assert hub.rows("SELECT log_id, position FROM log_entry ORDER BY log_id LIMIT 1")[0][1] == 5


async def test_entries_of_an_aborted_transaction_never_reach_the_log(hub: TestHub) -> None:
    with pytest.raises(ZeroDivisionError):
        async with hub.hub.db.tenant(1) as connection:
            await store.append(connection, 1, "test", b"\x01" * 32)
            raise ZeroDivisionError
    await _append(hub, 1)
    assert (await _checkpoint(hub, 1)).root == _root(hub)


async def test_two_sequencers_never_sign_two_roots_for_a_size(run_hub: RunHub) -> None:
    async with run_hub() as one, run_hub() as two:
        for start in range(0, 400, 20):
            await _append((one, two)[start // 20 % 2], 20, start)
            (two, one)[start // 20 % 2].hub.log.wake(1)
        seen = await _checkpoint(one, 400)
        assert seen.root == _root(one)
        assert one.hub.log.problems == two.hub.log.problems == []


async def test_a_restarted_sequencer_continues_from_the_right_edge(run_hub: RunHub) -> None:
    for round_ in range(3):
        async with run_hub() as hub:
            await _append(hub, 300, 300 * round_)
            assert (await _checkpoint(hub, 300 * round_ + 300)).root == _root(hub)
            assert len(hub.hub.log._logs[1].edge) <= 2


async def test_a_damaged_log_is_not_continued(run_hub: RunHub) -> None:
    async with run_hub() as hub:
        await _append(hub, 3)
        await _checkpoint(hub, 3)
        hub.rows("UPDATE log_tile SET hashes = substr(hashes, 1, 64) || decode(repeat('00', 32), 'hex') RETURNING 1")
    async with run_hub() as hub:
        await _append(hub, 1, 3)
        async with asyncio.timeout(10):
            while not hub.hub.log.problems:
                await hub.hub.log.receipts(1, [], wait_s=0.01)
        assert "root" in hub.hub.log.problems[0]
        assert (await hub.client.get("/health")).status_code == 503
        assert hub.rows("SELECT max(size) FROM log_checkpoint") == [(3,)]


async def test_consistency_is_proven_between_any_two_sizes(hub: TestHub) -> None:
    seen = {}
    for start, count in ((0, 1), (1, 6), (7, 293), (300, 700)):
        await _append(hub, count, start)
        found = await _checkpoint(hub, start + count)
        seen[found.size] = found
    token = await hub.token()
    sizes = sorted(seen)
    for old in sizes:
        for new in [size for size in sizes if size >= old]:
            reply = await hub.client.get("/v1/log/consistency", params={"old": old, "new": new}, headers=token)
            proof = [base64.b64decode(part) for part in reply.json()["hashes"]]
            merkle.verify_consistency(old, new, seen[old].root, seen[new].root, proof)
    for old, new in ((5, 2000), (9, 3)):
        assert (await hub.client.get("/v1/log/consistency", params={"old": old, "new": new}, headers=token)).status_code == 422


async def test_the_tree_can_be_rebuilt_from_the_served_tiles(hub: TestHub) -> None:
    await _append(hub, 600)
    seen = await _checkpoint(hub, 600)
    token = await hub.token()
    found = {}
    for (level, index), path in {(0, 0): "0/000", (0, 1): "0/001", (0, 2): "0/002.p/88", (1, 0): "1/000.p/2"}.items():
        reply = await hub.client.get(f"/v1/log/tile/{path}", headers=token)
        assert reply.status_code == 200, path
        found[level, index] = reply.content
    assert merkle.root(600, tiles.TileReader(found).node) == seen.root
    for path in ("0/002", "0/003", "0/002.p/89", "1/000", "2/000.p/1", "0/x000/002", "9/000"):
        assert (await hub.client.get(f"/v1/log/tile/{path}", headers=token)).status_code in (404, 422), path


async def test_the_checkpoint_is_served_as_text(hub: TestHub) -> None:
    token = await hub.token()
    assert (await hub.client.get("/v1/log/checkpoint", headers=token)).status_code == 404
    await _append(hub, 2)
    await _checkpoint(hub, 2)
    reply = await hub.client.get("/v1/log/checkpoint", headers=token)
    assert checkpoint.verify(reply.text, hub.hub.log.log_key(1, "hub.localhost/default")).size == 2


async def test_receipts_of_one_reply_belong_to_one_tree_while_the_log_grows(hub: TestHub) -> None:
    gateway = await hub.gateway()
    batches = [gateway.seal() for _ in range(60)]
    replies = await asyncio.gather(*(gateway.post(*batches[at : at + 6], size=0) for at in range(0, 60, 6)))
    assert [reply.status_code for reply in replies] == [200] * 10
    again = await gateway.send(*batches, size=17)  # checks each receipt against the checkpoint
    assert again.size == 60


async def test_a_gateway_that_saw_a_larger_log_is_shown_the_rewound_one(hub: TestHub) -> None:
    gateway = await hub.gateway()
    reply = await gateway.send(gateway.seal(), size=1000)
    assert (reply.size, reply.proof) == (1, [])


async def test_tenants_have_logs_and_keys_of_their_own(hub: TestHub) -> None:
    one, two = await hub.gateway("rig1"), await hub.gateway("rig1", "other")
    assert (await one.send(one.seal())).size == (await two.send(two.seal())).size == 1
    assert one.enrolment["log_key"] != two.enrolment["log_key"]
    assert two.enrolment["origin"] == "hub.localhost/other"
