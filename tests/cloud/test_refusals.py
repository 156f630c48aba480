"""Every way a batch is refused: the slug, the finding, and that nothing else is stored."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
import zstandard

from protocols.batch import cose, statement
from protocols.batch.columns import Group
from protocols.batch.statement import CHAIN, CONTENT_TYPE, TYPE
from protocols.devicemap import TagTable
from protocols.signing import Ed25519Signer
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import Gateway, problem, tag_table


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _raw(gateway: Gateway, frame: bytes) -> bytes:
    """A correctly signed statement around any payload bytes."""
    labels = {
        cose.CONTENT_TYPE: CONTENT_TYPE,
        cose.CLAIMS: {1: gateway.urn, 2: "telemetry"},
        cose.TYPE: TYPE,
        CHAIN: ["live", 1, 1, bytes(32)],
    }
    return cose.seal(labels, frame, gateway.signer)


async def _flipped_payload(gateway: Gateway) -> bytes:
    sealed = gateway.seal()
    return _flip(sealed, len(sealed) - 70)


async def _trailing(gateway: Gateway) -> bytes:
    return gateway.seal() + b"\x01"


async def _truncated(gateway: Gateway) -> bytes:
    return gateway.seal()[:-1]


async def _unprotected(gateway: Gateway) -> bytes:
    sealed = gateway.seal()
    at = 4 + len(cose.unseal(sealed).protected)
    return sealed[:at].replace(b"", b"") + sealed[at:].replace(b"\xa0", b"\xa1\x01\x01", 1)


async def _indefinite(gateway: Gateway) -> bytes:
    sealed = gateway.seal()
    return sealed[:1] + b"\x9f" + sealed[2:] + b"\xff"


async def _wrong_algorithm(gateway: Gateway) -> bytes:
    other = Ed25519Signer(gateway.signer._private, algorithm=-8)
    return statement.seal(statement.Header(gateway.urn, "live", 1, 1, statement.START), gateway.payload(), other)


async def _bomb(gateway: Gateway) -> bytes:
    return _raw(gateway, zstandard.ZstdCompressor(level=19).compress(bytes(64 << 20)))


async def _no_content_size(gateway: Gateway) -> bytes:
    return _raw(gateway, zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100))


async def _not_a_payload(gateway: Gateway) -> bytes:
    return _raw(gateway, zstandard.ZstdCompressor().compress(b"not CBOR at all"))


async def _other_stream(gateway: Gateway) -> bytes:
    return gateway.seal(stream="alarms")


async def _unknown_tag(gateway: Gateway) -> bytes:
    group = Group(np.array([99], np.uint32), np.array([1], np.int64), np.array([[1]], np.int32))
    return gateway.seal(replace(gateway.payload(), groups=(group,)))


async def _wrong_type(gateway: Gateway) -> bytes:
    group = Group(np.array([0], np.uint32), np.array([1], np.int64), np.array([[1.5]], np.float64))
    return gateway.seal(replace(gateway.payload(), groups=(group,)))


async def _unknown_table(gateway: Gateway) -> bytes:
    return gateway.seal(replace(gateway.payload(), table_digest=bytes(32)))


async def _wrong_gateway(gateway: Gateway) -> bytes:
    return gateway.seal(gateway="urn:qz:gw:rig2")


async def _huge_seq(gateway: Gateway) -> bytes:
    return gateway.seal(seq=1 << 63, prev=bytes(32))


CASES: list[tuple[str, int, Callable[[Gateway], Awaitable[bytes]]]] = [
    ("bad-signature", 400, _flipped_payload),
    ("malformed-batch", 400, _truncated),
    ("malformed-batch", 400, _unprotected),
    ("malformed-batch", 400, _indefinite),
    ("wrong-algorithm", 400, _wrong_algorithm),
    ("bomb", 413, _bomb),
    ("malformed-batch", 400, _no_content_size),
    ("malformed-batch", 400, _not_a_payload),
    ("malformed-batch", 400, _other_stream),
    ("malformed-batch", 400, _unknown_tag),
    ("malformed-batch", 400, _wrong_type),
    ("malformed-batch", 400, _huge_seq),
    ("unknown-tag-table", 424, _unknown_table),
    ("wrong-gateway", 403, _wrong_gateway),
]


@pytest.mark.parametrize(("slug", "status", "make"), CASES, ids=[case[2].__name__.strip("_") for case in CASES])
async def test_a_refused_batch_leaves_a_finding_and_nothing_else(
    hub: TestHub, slug: str, status: int, make: Callable[[Gateway], Awaitable[bytes]]
) -> None:
    gateway = await hub.gateway()
    reply = await gateway.post(await make(gateway))
    assert (problem(reply), reply.status_code, reply.json()["index"]) == (slug, status, 0)
    assert hub.stored() == (0, 0, 0)
    parsed = "seq" in reply.json()
    assert hub.rows("SELECT slug FROM finding") == ([(slug,)] if parsed else [])


async def test_a_batch_before_the_bad_one_stays_stored(hub: TestHub) -> None:
    gateway = await hub.gateway()
    good, bad, after = gateway.seal(), gateway.seal(), gateway.seal()
    reply = await gateway.post(good, _flip(bad, len(bad) - 1), after)
    assert (problem(reply), reply.json()["index"], reply.json()["seq"]) == ("bad-signature", 1, 2)
    assert hub.rows("SELECT seq FROM batch") == [(1,)]
    await gateway.send(good, bad, after)


async def test_bytes_after_the_last_batch_are_refused_and_the_batch_stays(hub: TestHub) -> None:
    gateway = await hub.gateway()
    reply = await gateway.post(await _trailing(gateway))
    assert (problem(reply), reply.json()["index"]) == ("malformed-batch", 1)
    assert hub.stored()[0] == 1


async def test_an_unknown_key_is_counted_but_belongs_to_no_tenant(hub: TestHub) -> None:
    stranger = Gateway(hub.client, "rig1")
    reply = await stranger.post(stranger.seal())
    assert (problem(reply), reply.status_code) == ("unknown-key", 401)
    assert hub.rows("SELECT count(*) FROM finding") == [(0,)]
    assert 'qenergyz_refusals_total{slug="unknown-key"} 1.0' in (await hub.client.get("/metrics")).text


async def test_a_request_carries_batches_of_one_gateway(hub: TestHub) -> None:
    one, two = await hub.gateway("rig1"), await hub.gateway("rig2")
    reply = await one.post(one.seal(), two.seal())
    assert (problem(reply), reply.json()["index"]) == ("wrong-gateway", 1)


async def test_too_many_batches_and_too_long_bodies_are_refused(run_hub: RunHub) -> None:
    async with run_hub(statements=2, statement_bytes=1000, body_bytes=2000) as hub:
        gateway = await hub.gateway()
        reply = await gateway.post(*(gateway.seal() for _ in range(3)))
        assert (problem(reply), reply.json()["index"]) == ("too-large", 2)
        assert problem(await hub.client.post("/v1/batches", content=bytes(2001))) == "too-large"

        async def stream():  # type: ignore[no-untyped-def]
            for _ in range(10):
                yield bytes(500)

        reply = await hub.client.post("/v1/batches", content=stream())
        assert (problem(reply), reply.status_code) == ("too-large", 413)
        noise = np.random.default_rng(1).integers(-(1 << 30), 1 << 30, (75, 4)).astype(np.int32)
        payload = gateway.payload(rows=75)
        large = await gateway.post(gateway.seal(replace(payload, groups=(replace(payload.groups[0], values=noise),))))
        assert (problem(large), large.json()["index"]) == ("too-large", 0)


async def test_a_flood_is_pushed_back(run_hub: RunHub) -> None:
    async with run_hub(batches_per_second=1.0, batches_burst=2.0) as hub:
        gateway = await hub.gateway()
        await gateway.send(gateway.seal(), gateway.seal())
        reply = await gateway.post(gateway.seal())
        assert (problem(reply), reply.status_code) == ("too-many-requests", 429)
        assert int(reply.headers["retry-after"]) >= 1


async def test_another_batch_under_a_stored_number_is_kept_beside_the_first(hub: TestHub) -> None:
    gateway = await hub.gateway()
    first, following = gateway.seal(), gateway.seal()
    await gateway.send(first, following)
    gateway.heads.clear()
    other = gateway.seal(gateway.payload(first=77))
    for _ in range(2):
        reply = await gateway.post(other)
        assert (problem(reply), reply.status_code, reply.json()["seq"]) == ("equivocation", 409, 1)
    assert hub.rows("SELECT statement FROM batch WHERE seq = 1") == [(first,)]
    assert hub.rows("SELECT statement, stored FROM equivocation") == [(other, statement.entry_hash(first))]
    assert hub.rows("SELECT slug FROM finding") == [("equivocation",)] * 2
    assert "qenergyz_equivocations_total 2.0" in (await hub.client.get("/metrics")).text


async def test_equivocation_within_one_request_is_seen(hub: TestHub) -> None:
    gateway = await hub.gateway()
    first = gateway.seal()
    gateway.heads.clear()
    reply = await gateway.post(first, gateway.seal(gateway.payload(first=77)))
    assert (problem(reply), reply.json()["index"]) == ("equivocation", 1)
    assert hub.rows("SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM equivocation)") == [(1, 1)]


async def test_a_batch_that_does_not_continue_its_chain_is_refused(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    reply = await gateway.post(gateway.seal(prev=b"\x01" * 32))
    assert (problem(reply), reply.status_code) == ("chain-broken", 409)
    assert hub.stored() == (1, 1, 0)


async def test_a_late_batch_that_its_successor_does_not_continue_is_refused(hub: TestHub) -> None:
    gateway = await hub.gateway()
    gateway.seal()
    await gateway.send(gateway.seal())  # 2 arrives first
    gateway.heads.clear()
    assert problem(await gateway.post(gateway.seal(gateway.payload(first=77)))) == "chain-broken"
    assert hub.rows("SELECT seq FROM batch") == [(2,)]


async def test_streams_and_epochs_have_chains_of_their_own(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal(), gateway.seal(stream="backfill"), gateway.seal(stream="event"), gateway.seal(epoch=2))
    assert hub.stored()[0] == 4


@pytest.mark.parametrize("way", ["digest", "gateway", "signature", "text", "algorithm", "key"])
async def test_a_tag_table_is_refused_for_the_right_reason(hub: TestHub, way: str) -> None:
    gateway = await hub.gateway(table=False)
    signed = statement.sign_tag_table(gateway.table.text, gateway.urn, gateway.signer)
    digest = gateway.table.digest.hex()
    foreign: TagTable = tag_table("rig2", 2)
    body, path, slug = {
        "digest": (signed, "00" * 32, "wrong-digest"),
        "gateway": (statement.sign_tag_table(foreign.text, gateway.urn, gateway.signer), foreign.digest.hex(), "wrong-gateway"),
        "signature": (_flip(signed, len(signed) - 1), digest, "bad-signature"),
        "text": (statement.sign_tag_table("{}", gateway.urn, gateway.signer), hashlib.sha256(b"{}").hexdigest(), "malformed-tag-table"),
        "algorithm": (
            statement.sign_tag_table(gateway.table.text, gateway.urn, Ed25519Signer(gateway.signer._private, algorithm=-8)),
            digest,
            "wrong-algorithm",
        ),
        "key": (statement.sign_tag_table(gateway.table.text, gateway.urn, Ed25519Signer.generate()), digest, "unknown-key"),
    }[way]
    assert problem(await hub.client.put(f"/v1/tag-tables/{path}", content=body)) == slug
    assert hub.rows("SELECT count(*) FROM tag_table") == [(0,)]
    assert hub.rows("SELECT slug FROM finding") == ([] if slug == "unknown-key" else [(slug,)])


async def test_a_tag_table_sent_again_is_known(hub: TestHub) -> None:
    gateway = await hub.gateway()
    assert (await gateway.put_table()).status_code == 200


async def test_a_tag_keeps_its_id_over_tag_tables(hub: TestHub) -> None:
    gateway = await hub.gateway()
    before = dict(hub.rows("SELECT name, tag_id FROM tag"))
    assert (await gateway.put_table(tag_table("rig1", 6, scale="0.5"))).status_code == 201
    after = dict(hub.rows("SELECT name, tag_id FROM tag"))
    assert {name: after[name] for name in before} == before
    assert len(after) == 6
