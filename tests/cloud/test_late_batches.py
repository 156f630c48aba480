"""A hub that was away for longer than the overlap of keys: what waits on the gateway is not lost."""

import asyncio
from pathlib import Path

import numpy as np
import psycopg
import pytest

from edge import enrolment
from edge.buffer import LIVE
from edge.config import BufferConfig, Policies
from edge.enrolment import CurrentSigner
from edge.forwarder import Forwarder, ForwardError
from edge.intake import Intake
from protocols.clock import SystemClock
from protocols.frame import Block, Frame
from tests.cloud.conftest import TestHub
from tests.edge.test_forwarder import GATEWAY, TABLE


async def seal(intake: Intake, signer: CurrentSigner, value: int) -> None:
    now_us = SystemClock().now_us()
    block = Block(np.zeros(1, np.uint32), np.array([now_us], np.int64), np.array([[value]], np.int32))
    await intake.call(intake.buffer.append, [Frame("d", now_us, [block])])
    await intake.call(intake.buffer.seal, GATEWAY, signer, LIVE, now_us)


@pytest.mark.parametrize("revoked", [False, True], ids=["rotated", "revoked and enrolled again"])
async def test_batches_and_tag_table_of_an_ended_key_drain_through_a_new_one(hub: TestHub, tmp_path: Path, revoked: bool) -> None:
    data = tmp_path / "data"
    await enrolment.enrol(hub.client, "http://hub", "rig1", await hub.voucher("rig1"), data)
    signer = CurrentSigner(enrolment.load_or_make_key(data))
    config = BufferConfig(max_bytes=50_000_000, policies=Policies(), commit_every_us=1000, seal_every_us=1_000_000)
    intake = Intake(data / "buffer.db", config, GATEWAY, TABLE, signer, SystemClock())
    await intake.open()
    try:
        await seal(intake, signer, 1)
        if not revoked:
            await enrolment.rotate(hub.client, "http://hub", data)
        with psycopg.connect(hub.database_url) as connection:
            connection.execute("UPDATE gateway_key SET revoked_us = 1 WHERE kid = %s", (signer.key_id,))
        if revoked:
            await enrolment.enrol(hub.client, "http://hub", "rig1", await hub.voucher("rig1"), data, renew=True)
        found = enrolment.read(data)
        assert found is not None
        forwarder = Forwarder(intake, "http://hub", found, SystemClock(), hub.client)
        with pytest.raises(ForwardError, match="revoked-key"):
            await forwarder.send_once()
        signer.use(enrolment.load_or_make_key(data))
        intake.former = enrolment.former_keys(data)
        await seal(intake, signer, 2)
        async with asyncio.timeout(20):
            while (await intake.backlog()).sealed_batches:
                await forwarder.send_once()
        assert hub.rows("SELECT count(*) FROM batch") == [(2,)]
        assert (await intake.backlog()).sealed_batches == 0
        assert len(hub.rows("SELECT digest FROM vouched")) >= 1
    finally:
        await intake.close()
