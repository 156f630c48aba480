"""Enrolment, vouchers, tokens, revocation."""

import time
from pathlib import Path

import pytest

from cloud.identity import store
from protocols.batch import checkpoint
from protocols.signing import Ed25519Signer
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import Gateway, problem


async def test_enrolment_names_tenant_gateway_and_log(hub: TestHub) -> None:
    gateway = await hub.gateway("rig1")
    assert gateway.enrolment["tenant"] == "default"
    assert gateway.enrolment["gateway"] == "urn:qz:gw:rig1"
    assert checkpoint.LogKey.parse(gateway.enrolment["log_key"]).name == gateway.enrolment["origin"] == "hub.localhost/default"


async def test_a_voucher_is_good_for_one_key(hub: TestHub) -> None:
    voucher = await hub.voucher("rig1")
    assert (await Gateway(hub.client, "rig1").enrol(voucher)).status_code == 201
    again = await Gateway(hub.client, "rig1").enrol(voucher)
    assert (again.status_code, problem(again)) == (403, "bad-voucher")
    assert hub.rows("SELECT count(*) FROM gateway_key") == [(1,)]


async def test_the_same_enrolment_may_be_sent_again_when_its_reply_was_lost(hub: TestHub) -> None:
    voucher = await hub.voucher("rig1")
    gateway = Gateway(hub.client, "rig1")
    first = await gateway.enrol(voucher)
    again = await gateway.enrol(voucher)
    assert (again.status_code, again.json()) == (201, first.json())
    assert hub.rows("SELECT count(*) FROM gateway_key") == [(1,)]


@pytest.mark.parametrize(
    ("made_for", "hours", "used_by"),
    [("rig1", -0.1, "rig1"), ("rig1", 1.0, "rig2"), (None, 1.0, "rig1")],
    ids=["expired", "for another gateway", "never issued"],
)
async def test_other_vouchers_are_refused(hub: TestHub, made_for: str | None, hours: float, used_by: str) -> None:
    voucher = await hub.voucher(made_for, hours=hours) if made_for else "qzv_invented"
    reply = await Gateway(hub.client, used_by).enrol(voucher)
    assert (reply.status_code, problem(reply)) == (403, "bad-voucher")
    assert hub.rows("SELECT count(*) FROM gateway") == [(0,)]


async def test_a_proof_of_another_key_is_refused_and_the_voucher_stays_good(hub: TestHub) -> None:
    voucher = await hub.voucher("rig1")
    public, other = Ed25519Signer.generate().public, Ed25519Signer.generate()
    reply = await hub.client.post(
        "/v1/enrolments",
        json={"voucher": voucher, "gateway": "rig1", "algorithm": -19, "public_key": public.hex(), "proof": other.sign(b"x").hex()},
    )
    assert (reply.status_code, problem(reply)) == (403, "bad-proof")
    assert (await Gateway(hub.client, "rig1").enrol(voucher)).status_code == 201


@pytest.mark.parametrize("algorithm", [-8, -7, 0, -48, 5], ids=str)
async def test_algorithms_outside_the_closed_set_cannot_be_enrolled(hub: TestHub, algorithm: int) -> None:
    reply = await hub.client.post(
        "/v1/enrolments",
        json={"voucher": "v", "gateway": "g", "algorithm": algorithm, "public_key": "00" * 32, "proof": "00"},
    )
    assert problem(reply) == "wrong-algorithm"


async def test_a_key_cannot_be_enrolled_twice_even_in_another_tenant(hub: TestHub) -> None:
    first = await hub.gateway("rig1")
    second = Gateway(hub.client, "rig9", signer=first.signer)
    reply = await second.enrol(await hub.voucher("rig9", "other"))
    assert problem(reply) == "bad-proof"
    assert hub.rows("SELECT name FROM gateway") == [("rig1",)]


async def test_a_revoked_key_is_refused_when_the_looked_up_key_expires(run_hub: RunHub) -> None:
    async with run_hub(key_validity_s=0.0) as hub:
        gateway = await hub.gateway()
        await gateway.send(gateway.seal())
        assert await store.revoke_keys(hub.hub.db, 1, "rig1", time.time_ns() // 1000) == 1
        assert problem(await gateway.post(gateway.seal())) == "revoked-key"
        assert hub.rows("SELECT slug FROM finding") == [("revoked-key",)]
        assert hub.stored() == (1, 1, 0)


async def test_a_gateway_may_be_enrolled_again_with_a_new_key(hub: TestHub) -> None:
    await hub.gateway("rig1")
    second = await hub.gateway("rig1", table=False)
    await second.put_table()
    await second.send(second.seal(epoch=2))
    assert hub.rows("SELECT count(*) FROM gateway") == [(1,)]


async def test_reads_need_a_token_with_the_scope(hub: TestHub) -> None:
    assert problem(await hub.client.get("/v1/gateways")) == "unauthorized"
    assert problem(await hub.client.get("/v1/gateways", headers={"authorization": "Bearer qzt_wrong"})) == "unauthorized"
    assert problem(await hub.client.get("/v1/gateways", headers={"authorization": "Basic eDp5"})) == "unauthorized"
    assert problem(await hub.client.get("/v1/gateways", headers=await hub.token(scopes=()))) == "forbidden"
    assert (await hub.client.get("/v1/gateways", headers=await hub.token())).status_code == 200


async def test_a_token_shows_its_own_tenant_only(hub: TestHub) -> None:
    gateway = await hub.gateway("rig1")
    await gateway.send(gateway.seal())
    other = await hub.token("other")
    assert (await hub.client.get("/v1/gateways", headers=other)).json() == []
    assert (await hub.client.get("/v1/tags", headers=other)).json() == []
    tag = hub.rows("SELECT min(tag_id) FROM tag")[0][0]
    reply = await hub.client.get(f"/v1/tags/{tag}/samples", params={"from_us": 0, "to_us": 10**15}, headers=other)
    assert (reply.status_code, problem(reply)) == (404, "not-found")
    assert problem(await hub.client.get("/v1/log/checkpoint", headers=other)) == "not-found"


async def test_secrets_are_stored_hashed_and_log_keys_are_private(hub: TestHub, tmp_path: Path) -> None:
    voucher = await hub.voucher("rig1")
    await hub.gateway("rig2")
    assert voucher not in str(hub.rows("SELECT * FROM voucher"))
    key = tmp_path / "data" / "keys" / "log-1.pem"
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
