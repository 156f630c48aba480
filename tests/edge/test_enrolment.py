"""The gateway's key is replaced without a moment in which none is good."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from edge import agent as agent_module
from edge import enrolment
from edge.enrolment import Enrolment, EnrolmentError
from protocols.enrolment import rotation_text
from protocols.signing import Ed25519Signer, Ed25519Verifier
from tests.edge.test_reload import running


class Hub:
    """Takes new keys as the real one does; `replies` are sent instead of the next 201."""

    def __init__(self, key: Ed25519Signer) -> None:
        self.keys = {key.key_id.hex(): key.verifier()}
        self.replies: list[httpx.Response | Exception] = []

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        new = Ed25519Verifier(bytes.fromhex(body["public_key"]))
        text = rotation_text("urn:qz:gw:rig1", bytes.fromhex(body["old_key_id"]), new.public, body["overlap_s"])
        self.keys[body["old_key_id"]].verify(text, bytes.fromhex(body["endorsement"]))
        new.verify(text, bytes.fromhex(body["proof"]))
        self.keys[new.key_id.hex()] = new
        if self.replies:
            reply = self.replies.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return reply
        return httpx.Response(201, json={"gateway": "urn:qz:gw:rig1", "old_ends_us": 7})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "rig1-data"
    enrolment.load_or_make_key(folder)
    (folder / "enrolment.json").write_text(json.dumps(asdict(Enrolment("t", "urn:qz:gw:rig1", "o", "k"))))
    return folder


async def test_new_key_replaces_the_old_one_once_the_hub_has_it(data: Path) -> None:
    old = Ed25519Signer.load(data / "gateway.key")
    hub = Hub(old)
    async with hub.client() as client:
        assert await enrolment.rotate(client, "http://hub", data) == 7
    new = Ed25519Signer.load(data / "gateway.key")
    assert new.key_id != old.key_id
    assert new.key_id.hex() in hub.keys
    assert (data / "gateway.key").stat().st_mode & 0o777 == 0o600
    assert not (data / "gateway.key.next").exists()


@pytest.mark.parametrize("trouble", [httpx.ReadError("reply lost"), httpx.Response(503)], ids=["reply lost", "busy"])
async def test_rotation_that_was_cut_off_is_finished_with_the_same_key(data: Path, trouble: httpx.Response | Exception) -> None:
    before = (data / "gateway.key").read_bytes()
    hub = Hub(Ed25519Signer.load(data / "gateway.key"))
    hub.replies = [trouble]
    async with hub.client() as client:
        with pytest.raises((httpx.HTTPError, EnrolmentError)):
            await enrolment.rotate(client, "http://hub", data)
        assert (data / "gateway.key").read_bytes() == before
        await enrolment.rotate(client, "http://hub", data)
    assert len(hub.keys) == 2


async def test_key_cut_off_while_it_was_written_is_made_anew(data: Path) -> None:
    (data / "gateway.key.next").write_bytes(b"-----BEGIN PRIV")
    async with Hub(Ed25519Signer.load(data / "gateway.key")).client() as client:
        assert await enrolment.rotate(client, "http://hub", data) == 7


async def test_gateway_that_is_not_enrolled_has_nothing_to_rotate(tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(EnrolmentError, match="edge enrol"):
            await enrolment.rotate(client, "http://hub", tmp_path)


async def test_running_agent_signs_with_the_new_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "LOOK_EVERY_US", 10_000)
    async with running(tmp_path, monkeypatch) as site:
        data = tmp_path / "rig1-data"
        old = Ed25519Signer.load(data / "gateway.key")
        (data / "enrolment.json").write_text(json.dumps(asdict(Enrolment("t", "urn:qz:gw:rig1", "o", "k"))))
        async with Hub(old).client() as client:
            await enrolment.rotate(client, "http://hub", data)
        new = Ed25519Signer.load(data / "gateway.key")
        buffer = site.agent._intake.buffer
        query = "SELECT statement FROM batch ORDER BY id DESC LIMIT 1"
        async with asyncio.timeout(10):
            while new.key_id not in (await site.agent._intake.call(lambda: buffer._db.execute(query).fetchone()))[0]:
                await asyncio.sleep(0.02)
