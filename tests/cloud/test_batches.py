"""POST /v1/batches: what is stored, what is answered, what is refused."""

import pytest

from protocols.batch import checkpoint, merkle
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import Reply, problem


async def test_a_batch_is_answered_with_a_receipt_that_verifies(hub: TestHub) -> None:
    gateway = await hub.gateway()
    reply = await gateway.send(gateway.seal())
    assert reply.size == 1
    assert hub.rows("SELECT samples, gaps, t_min_us, t_max_us FROM batch") == [(12, 0, 1_000_000, 3_000_000)]


async def test_many_batches_of_one_request_get_receipts_of_one_checkpoint(hub: TestHub) -> None:
    gateway = await hub.gateway()
    reply = await gateway.send(*(gateway.seal() for _ in range(40)))
    assert reply.size == 40


async def test_a_replayed_batch_is_stored_once_and_gets_the_same_leaf(hub: TestHub) -> None:
    gateway = await hub.gateway()
    first = gateway.seal()
    one = await gateway.send(first)
    again = await gateway.send(first)
    assert one.receipts == again.receipts
    assert hub.stored() == (1, 1, 0)


async def test_the_reply_proves_that_the_log_only_grew(hub: TestHub) -> None:
    gateway = await hub.gateway()
    old = checkpoint.verify((await gateway.send(gateway.seal(), gateway.seal(), gateway.seal())).checkpoint, gateway.enrolment["log_key"])
    reply = await gateway.send(gateway.seal(), gateway.seal(), size=3)
    new = checkpoint.verify(reply.checkpoint, gateway.enrolment["log_key"])
    merkle.verify_consistency(old.size, new.size, old.root, new.root, reply.proof)


@pytest.mark.parametrize("order", [(2, 0, 1), (2, 1, 0), (1, 0, 2)], ids=str)
async def test_batches_may_arrive_out_of_order(hub: TestHub, order: tuple[int, ...]) -> None:
    gateway = await hub.gateway()
    sealed = [gateway.seal() for _ in range(3)]
    for at in order:
        await gateway.send(sealed[at])
    assert hub.rows("SELECT seq FROM batch ORDER BY seq") == [(1,), (2,), (3,)]


async def test_entries_left_by_a_crash_are_integrated_at_the_next_start(run_hub: RunHub) -> None:
    async with run_hub(receipt_wait_s=0.3) as before:
        gateway = await before.gateway()
        await gateway.send(gateway.seal())
        await before.hub.log.__aexit__()  # as if the process died between insert and integration
        late = gateway.seal()
        reply = Reply.read((await gateway.post(late)).content)
        assert (reply.size, reply.receipts) == (1, [None])
    async with run_hub() as after:
        gateway.client = after.client
        assert (await gateway.send(late)).size == 2


async def test_an_unreadable_body_is_a_problem(hub: TestHub) -> None:
    assert problem(await hub.client.post("/v1/batches", content=b"\x00")) == "malformed-batch"
    assert problem(await hub.client.post("/v1/batches", content=b"")) == "malformed-batch"
