"""A flood takes what is the flooder's own: counted in answers, never in time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.buckets import Buckets
from cloud.config import Limits
from cloud.errors import Problem
from cloud.telemetry.admission import STRANGER, Admission, Turns
from protocols.signing import Ed25519Signer
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import SEQUENCE, Gateway, problem

NEVER = 1e-6  # tokens per second: what is spent stays spent for the length of a test
FLOOD = 20


@asynccontextmanager
async def sender(hub: TestHub, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose requests come from that address."""
    app = hub.client._transport.app  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as client:
        yield client


async def flood(client: httpx.AsyncClient, *bodies: bytes) -> Counter[str]:
    """Answers by slug; "stored" for a 200. Every 429 says when to come again."""
    found: Counter[str] = Counter()
    for body in bodies:
        reply = await client.post("/v1/batches", content=body, headers=SEQUENCE)
        slug = "stored" if reply.status_code == 200 else problem(reply)
        assert slug != "too-many-requests" or int(reply.headers["retry-after"]) >= 1
        found[slug] += 1
    return found


def forged(gateway: Gateway) -> bytes:
    """A batch of the gateway whose signature does not hold."""
    data = bytearray(gateway.seal())
    data[-1] ^= 1
    return bytes(data)


async def test_rubbish_under_a_gateways_name_takes_nothing_of_its_budget(run_hub: RunHub) -> None:
    limits = {"strangers_per_second": NEVER, "strangers_burst": 5.0, "batches_per_second": NEVER, "batches_burst": 10.0}
    async with run_hub(**limits) as hub, sender(hub, "10.0.0.66") as flooder:
        victim = await hub.gateway()
        rubbish = forged(Gateway(hub.client, "rig1", signer=victim.signer))
        assert await flood(hub.client, victim.seal()) == {"stored": 1}
        assert await flood(flooder, *[rubbish] * FLOOD) == {"bad-signature": 5, "too-many-requests": FLOOD - 5}
        assert await flood(hub.client, *(victim.seal() for _ in range(9))) == {"stored": 9}


async def test_invented_key_ids_share_the_budget_of_their_address(run_hub: RunHub) -> None:
    async with run_hub(strangers_per_second=NEVER, strangers_burst=5.0) as hub, sender(hub, "10.0.0.66") as flooder:
        invented = [Gateway(hub.client, "rig1", signer=Ed25519Signer.generate()).seal() for _ in range(FLOOD)]
        assert await flood(flooder, *invented) == {"unknown-key": 5, "too-many-requests": FLOOD - 5}
        assert await flood(flooder, b"no batch") == {"too-many-requests": 1}
        gateway = await hub.gateway()
        assert await flood(hub.client, gateway.seal()) == {"stored": 1}


async def test_one_gateways_flood_leaves_the_others_all_theirs(run_hub: RunHub) -> None:
    async with run_hub(batches_per_second=NEVER, batches_burst=10.0) as hub:
        greedy, modest = await hub.gateway("greedy"), await hub.gateway("modest")
        mine = [greedy.seal() for _ in range(FLOOD)]
        found, other = await asyncio.gather(flood(hub.client, *mine), flood(hub.client, *(modest.seal() for _ in range(10))))
        assert (found, other) == ({"stored": 10, "too-many-requests": FLOOD - 10}, {"stored": 10})


async def test_a_flooder_that_comes_again_loses_nothing(run_hub: RunHub) -> None:
    async with run_hub(batches_per_second=20.0, batches_burst=2.0) as hub:
        gateway = await hub.gateway()

        async def until_stored(data: bytes) -> int:
            """How often it was turned away."""
            refused = 0
            async with asyncio.timeout(60):
                while (await flood(hub.client, data)) != {"stored": 1}:
                    refused += 1
            return refused

        first = gateway.seal()
        await until_stored(first)
        again = await asyncio.gather(*(until_stored(first) for _ in range(FLOOD)))  # replays cost as much and are receipted as well
        assert sum(again) > 0
        for _ in range(3):
            await until_stored(gateway.seal())
        assert hub.rows("SELECT count(*), count(DISTINCT seq) FROM batch") == [(4, 4)]


async def test_a_gateway_with_two_addresses_has_one_budget(run_hub: RunHub) -> None:
    async with run_hub(batches_per_second=NEVER, batches_burst=4.0) as hub, sender(hub, "10.0.0.2") as second:
        gateway = await hub.gateway()
        assert await flood(hub.client, gateway.seal(), gateway.seal()) == {"stored": 2}
        assert await flood(second, *(gateway.seal() for _ in range(3))) == {"stored": 2, "too-many-requests": 1}


async def test_a_body_that_never_ends_is_refused(run_hub: RunHub) -> None:
    async with run_hub(body_s=0.05) as hub:

        async def half() -> AsyncIterator[bytes]:
            yield bytes(100)
            await asyncio.Event().wait()

        reply = await hub.client.post("/v1/batches", content=half(), headers=SEQUENCE)
        assert (problem(reply), reply.status_code) == ("too-slow", 408)


async def test_an_address_has_a_share_of_the_bodies_on_their_way(run_hub: RunHub) -> None:
    async with run_hub(bodies_per_address=1) as hub, sender(hub, "10.0.0.66") as slow:
        gateway, whole, begun = await hub.gateway(), asyncio.Event(), asyncio.Event()

        async def half() -> AsyncIterator[bytes]:
            yield b"\x00"
            begun.set()
            await whole.wait()

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(slow.post("/v1/batches", content=half(), headers=SEQUENCE))
            await begun.wait()
            assert await flood(slow, gateway.seal()) == {"too-many-requests": 1}
            gateway.heads.clear()
            assert await flood(hub.client, gateway.seal()) == {"stored": 1}
            whole.set()
        assert problem(waiting.result()) == "malformed-batch"
        assert await flood(slow, gateway.seal()) == {"stored": 1}


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 7)), max_size=40))
def test_a_bucket_never_gives_more_than_its_rate_and_burst(steps: list[tuple[float, int]]) -> None:
    bucket, now_s, given_out = Buckets(2.0, 5.0, 10), 0.0, 0.0
    for pause_s, tokens in steps:
        now_s += pause_s
        if bucket.take("one", tokens, now_s) == 0.0:
            given_out += min(tokens, 5.0)
        assert given_out <= 5.0 + 2.0 * now_s + 1e-6


def test_a_bucket_is_right_about_when_to_come_again() -> None:
    bucket = Buckets(2.0, 5.0, 10)
    assert bucket.take("one", 5, 0.0) == 0.0
    wait_s = bucket.take("one", 3, 0.0)
    assert bucket.take("one", 3, wait_s - 0.01) > 0.0
    assert bucket.take("one", 3, wait_s) == 0.0


def test_what_was_charged_has_to_come_back_first() -> None:
    bucket = Buckets(2.0, 5.0, 10)
    assert bucket.take("one", 1, 0.0) == 0.0
    bucket.charge("one", 100)
    assert bucket.take("one", 1, 0.0) == 3.0
    assert bucket.take("one", 1, 3.0) == 0.0


async def test_rubbish_costs_its_address_what_it_weighs(run_hub: RunHub) -> None:
    async with run_hub(strangers_per_second=NEVER, strangers_burst=5.0, token_bytes=100) as hub, sender(hub, "10.0.0.66") as flooder:
        assert await flood(flooder, *[b"\xff" * 500] * 3) == {"malformed-batch": 1, "too-many-requests": 2}


def test_more_than_a_full_bucket_is_let_through_when_it_is_full() -> None:
    bucket = Buckets(2.0, 5.0, 10)
    assert bucket.take("one", 50, 0.0) == 0.0
    assert bucket.take("one", 50, 0.0) == 2.5


async def test_a_line_has_an_end_and_is_forgotten_when_empty() -> None:
    turns = Turns(2)

    async def wait(until: asyncio.Event) -> None:
        async with turns.turn("one"):
            await until.wait()

    go = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(wait(go))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="wait already"):
            async with turns.turn("one"):
                raise AssertionError("a third has no place in the line")
        async with turns.turn("two"):
            go.set()
    assert not turns._lines


def test_large_bodies_count_for_more_than_their_batches() -> None:
    admission = Admission(replace(Limits(), token_bytes=1000), lambda: 0.0)
    assert [admission.weigh(0, 10), admission.weigh(3, 10), admission.weigh(3, 8000)] == [1, 3, 8]


def test_a_key_is_a_stranger_until_it_was_proven_from_that_address() -> None:
    admission = Admission(Limits(), lambda: 0.0)
    assert admission.enter("a", b"key", 1) == ("a", STRANGER)
    admission.prove("a", b"key", (1, 1), 1)
    assert admission.enter("a", b"key", 1) == ("a", b"key")
    assert admission.enter("b", b"key", 1) == ("b", STRANGER)


def test_the_gateways_of_a_tenant_share_its_quota_and_another_tenant_has_its_own() -> None:
    now_s = 0.0
    admission = Admission(Limits(), lambda: now_s)
    admission.prove("a", b"one", (1, 1), 40, quota=2.0)
    admission.prove("a", b"two", (1, 2), 20, quota=2.0)
    with pytest.raises(Problem, match="all gateways of this tenant together") as refused:
        admission.prove("a", b"one", (1, 1), 10, quota=2.0)
    assert refused.value.retry_after_s == 5
    admission.prove("a", b"three", (2, 1), 10, quota=2.0)
    now_s = 5.0
    admission.prove("a", b"one", (1, 1), 10, quota=2.0)
