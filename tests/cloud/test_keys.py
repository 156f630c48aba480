"""Keys of gateways over time: rotation with overlap, revocation within a minute."""

import base64
import hashlib
import time

import httpx
import psycopg
import pytest

from cloud.identity import store
from cloud.identity.keyring import KeyRing
from protocols import signed
from protocols.batch import bundle
from protocols.enrolment import rotation_text
from protocols.signing import Ed25519Signer
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import SEQUENCE, Gateway, problem
from tests.fakes import FakeClock

DAY_US = 86_400_000_000


async def rotate(gateway: Gateway, new: Ed25519Signer, overlap_s: int = 3600, **changes: str) -> httpx.Response:
    old = gateway.signer
    text = rotation_text(gateway.urn, old.key_id, new.public, overlap_s)
    body = {"old_key_id": old.key_id.hex(), "algorithm": -19, "public_key": new.public.hex(), "overlap_s": overlap_s}
    body |= {"proof": new.sign(text).hex(), "endorsement": old.sign(text).hex()}
    return await gateway.client.post("/v1/keys", json=body | changes)


async def test_both_keys_are_taken_during_the_overlap_even_in_one_request(hub: TestHub) -> None:
    gateway, new = await hub.gateway(), Ed25519Signer.generate()
    by_old = gateway.seal()
    assert (await rotate(gateway, new)).status_code == 201
    gateway.signer = new
    await gateway.send(by_old, gateway.seal())
    await gateway.send(gateway.seal())
    assert hub.stored() == (3, 3, 0)


async def test_old_key_ends_with_the_overlap_and_the_new_one_stays(run_hub: RunHub) -> None:
    async with run_hub(key_validity_s=0.0) as hub:
        gateway, new = await hub.gateway(), Ed25519Signer.generate()
        old_id = gateway.signer.key_id
        ends_us = (await rotate(gateway, new, 60)).json()["old_ends_us"]
        assert abs(ends_us - time.time_ns() // 1000 - 60_000_000) < 30_000_000
        keys = KeyRing(hub.hub.db, FakeClock(), 30.0, 16)
        old, fresh = await keys.get(old_id), await keys.get(new.key_id)
        assert old is not None
        assert fresh is not None
        assert [old.is_valid(ends_us - 1), old.is_valid(ends_us)] == [True, False]
        assert fresh.is_valid(ends_us + DAY_US)


async def test_rotation_that_lost_its_reply_may_be_sent_again_and_moves_nothing(hub: TestHub) -> None:
    gateway, new = await hub.gateway(), Ed25519Signer.generate()
    first, again = await rotate(gateway, new), await rotate(gateway, new)
    assert (again.status_code, again.json()) == (201, first.json())
    assert hub.rows("SELECT count(*) FROM gateway_key") == [(2,)]


@pytest.mark.parametrize("member", ["proof", "endorsement"])
async def test_rotation_needs_both_signatures(hub: TestHub, member: str) -> None:
    gateway = await hub.gateway()
    wrong = Ed25519Signer.generate().sign(b"x").hex()
    assert problem(await rotate(gateway, Ed25519Signer.generate(), **{member: wrong})) == "bad-proof"
    assert hub.rows("SELECT count(*) FROM gateway_key WHERE revoked_us IS NULL") == [(1,)]


async def test_key_of_another_gateway_cannot_be_taken_over(hub: TestHub) -> None:
    gateway, other = await hub.gateway("rig1"), await hub.gateway("rig2", "other")
    assert problem(await rotate(gateway, other.signer)) == "bad-proof"
    assert hub.rows("SELECT count(*) FROM gateway_key WHERE revoked_us IS NULL") == [(2,)]


async def test_unknown_and_revoked_keys_hand_nothing_over(hub: TestHub) -> None:
    stranger = Gateway(hub.client, "rig7")
    assert problem(await rotate(stranger, Ed25519Signer.generate())) == "unknown-key"
    gateway = await hub.gateway()
    await store.revoke_keys(hub.hub.db, 1, "rig1", time.time_ns() // 1000)
    assert problem(await rotate(gateway, Ed25519Signer.generate())) == "revoked-key"


async def test_revocation_is_effective_within_a_minute(hub: TestHub) -> None:
    gateway = await hub.gateway()
    clock = FakeClock()
    keys = KeyRing(hub.hub.db, clock, 30.0, 16)  # as in production
    before = await keys.get(gateway.signer.key_id)
    assert before is not None
    now_us = time.time_ns() // 1000
    await store.revoke_keys(hub.hub.db, 1, "rig1", now_us)
    waited_us = 0
    while (key := await keys.get(gateway.signer.key_id)) is not None and key.is_valid(now_us + waited_us):
        clock.advance(1_000_000)
        waited_us += 1_000_000
    assert 0 < waited_us <= 60_000_000


async def test_revocation_by_api_ends_the_keys_of_an_overlap_too(run_hub: RunHub) -> None:
    async with run_hub(key_validity_s=0.0) as hub:
        gateway, new = await hub.gateway(), Ed25519Signer.generate()
        await rotate(gateway, new)
        assert problem(await hub.client.post("/v1/gateways/rig1/revocation", headers=await hub.token())) == "forbidden"
        allowed = await hub.token(scopes=("write:gateways",))
        reply = await hub.client.post("/v1/gateways/rig1/revocation", headers=allowed)
        assert reply.json() == {"gateway": "urn:qz:gw:rig1", "revoked": 2}
        assert problem(await gateway.post(gateway.seal())) == "revoked-key"
        gateway.signer = new
        assert problem(await gateway.post(gateway.seal())) == "revoked-key"
        assert problem(await hub.client.post("/v1/gateways/rig9/revocation", headers=allowed)) == "not-found"
        others = await hub.token("other", scopes=("write:gateways",))
        assert problem(await hub.client.post("/v1/gateways/rig1/revocation", headers=others)) == "not-found"


async def test_bundle_over_a_rotation_verifies_with_both_keys(hub: TestHub) -> None:
    gateway, new = await hub.gateway(), Ed25519Signer.generate()
    await gateway.send(gateway.seal())
    await rotate(gateway, new)
    gateway.signer = new
    await gateway.send(gateway.seal())
    tag = hub.rows("SELECT min(tag_id) FROM tag")[0][0]
    reply = await hub.client.get("/v1/bundles", params={"tag": tag, "from_us": 0, "to_us": 10**9}, headers=await hub.token())
    report = bundle.verify(reply.content, gateway.enrolment["log_key"])
    assert report.ok
    assert report.bundle
    assert len(report.bundle.batches) == 2


def vouched(gateway: Gateway, *statements: bytes) -> dict[str, str]:
    """The present key's word for them."""
    return {
        "vouched": base64.b64encode(
            signed.seal("vouched", gateway.urn, gateway.urn, [hashlib.sha256(one).digest() for one in statements], gateway.signer)
        ).decode()
    }


async def post_vouched(gateway: Gateway, headers: dict[str, str], *statements: bytes) -> httpx.Response:
    return await gateway.client.post(
        "/v1/batches", params={"size": 0, "backlog": 0}, content=b"".join(statements), headers={**SEQUENCE, **headers}
    )


async def ended(hub: TestHub) -> tuple[Gateway, list[bytes]]:
    """A gateway with a new key, and two batches that its old key signed before it ended."""
    gateway, new = await hub.gateway(), Ed25519Signer.generate()
    old, waiting = gateway.signer, [gateway.seal(), gateway.seal()]
    await rotate(gateway, new)
    with psycopg.connect(hub.database_url) as connection:
        connection.execute("UPDATE gateway_key SET revoked_us = 1 WHERE kid = %s", (old.key_id,))
    hub.hub.keys.forget(old.key_id)
    gateway.signer = new
    return gateway, waiting


async def test_batches_of_an_ended_key_are_taken_on_the_word_of_the_present_one(hub: TestHub) -> None:
    gateway, waiting = await ended(hub)
    assert problem(await gateway.post(*waiting)) == "revoked-key"
    later = gateway.seal()
    reply = await post_vouched(gateway, vouched(gateway, *waiting), *waiting, later)
    assert reply.status_code == 200, reply.text
    assert hub.rows("SELECT count(*) FROM batch") == [(3,)]
    ((digest, statement),) = hub.rows("SELECT digest, statement FROM vouched")
    assert hashlib.sha256(statement).digest() == digest
    assert hub.rows("SELECT entry FROM log_entry WHERE kind = 'vouched'") == [(digest,)]


async def test_word_covers_only_the_batches_that_it_names(hub: TestHub) -> None:
    gateway, waiting = await ended(hub)
    reply = await post_vouched(gateway, vouched(gateway, waiting[0]), *waiting)
    assert (problem(reply), reply.json()["index"]) == ("revoked-key", 1)
    assert hub.rows("SELECT count(*) FROM batch") == [(1,)]


async def test_word_of_another_gateway_or_of_the_ended_key_itself_is_worth_nothing(hub: TestHub) -> None:
    gateway, waiting = await ended(hub)
    other = await hub.gateway("rig2")
    assert problem(await post_vouched(gateway, vouched(other, *waiting), *waiting)) == "revoked-key"
    with psycopg.connect(hub.database_url) as connection:
        connection.execute("UPDATE gateway_key SET revoked_us = 1")
    hub.hub.keys.forget(gateway.signer.key_id)
    assert problem(await post_vouched(gateway, vouched(gateway, *waiting), *waiting)) == "revoked-key"
    assert hub.rows("SELECT count(*) FROM batch") == [(0,)]


@pytest.mark.parametrize("word", ["%%%", "aGVsbG8=", "A" * 9000], ids=["no base64", "no COSE", "too long"])
async def test_word_that_is_none_is_refused_as_malformed(hub: TestHub, word: str) -> None:
    gateway = await hub.gateway()
    reply = await post_vouched(gateway, {"vouched": word}, gateway.seal())
    assert reply.status_code in (400, 413)
    assert hub.rows("SELECT count(*) FROM batch") == [(0,)]
