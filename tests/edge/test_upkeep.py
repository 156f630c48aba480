"""Keys are replaced and certificates renewed in time; what fails is told, tried again, and costs nothing else."""

import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from edge import config, enrolment, upkeep
from edge.cli import main
from edge.enrolment import CurrentSigner, Enrolment
from edge.hubtls import Tls
from edge.upkeep import DAY_US, Upkeep, due_us
from protocols.secret import Secret, SecretMissing
from protocols.signing import Ed25519Signer
from tests.edge.test_enrolment import Hub
from tests.edge.test_reload import MAP, devices
from tests.fakes import FakeClock

NOW_US = 1_790_000_000_000_000


class Kept:
    """A gateway that is enrolled, its upkeep, and a hub that takes keys."""

    def __init__(self, folder: Path, hub_table: str) -> None:
        (folder / "small.toml").write_text(MAP)
        text = devices("a").replace('name = "rig1"', 'name = "rig1"\nhub = "http://hub"', 1)
        (folder / "gateway.toml").write_text(f"{text}\n[hub]\n{hub_table}\n")
        self.config = config.load(folder / "gateway.toml")
        self.data = self.config.data
        self.first = enrolment.load_or_make_key(self.data)
        (self.data / "enrolment.json").write_text(json.dumps(asdict(Enrolment("t", "urn:qz:gw:rig1", "o", "k"))))
        self.hub, self.clock = Hub(self.first), FakeClock(NOW_US)
        self.client = self.hub.client()
        tls = Tls("http://hub", self.config.access, self.data)
        self.upkeep = Upkeep(self.config, CurrentSigner(self.first), self.client, tls, self.clock)

    def made(self, days_ago: float) -> None:
        at_ns = int((NOW_US - days_ago * DAY_US) * 1000)
        os.utime(self.data / "gateway.key", ns=(at_ns, at_ns))

    @property
    def key(self) -> bytes:
        return Ed25519Signer.load(self.data / "gateway.key").key_id


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path, "rotate_days = 90")
    yield made
    await made.client.aclose()


async def test_key_is_replaced_when_it_is_old_enough_and_not_before(kept: Kept) -> None:
    kept.made(days_ago=80)
    await kept.upkeep.look()
    assert kept.key == kept.first.key_id
    kept.made(days_ago=91)
    await kept.upkeep.look()
    assert kept.key != kept.first.key_id
    assert kept.upkeep.causes == ()
    assert set(enrolment.former_keys(kept.data)) == {kept.first.key_id}


async def test_key_is_never_replaced_unless_asked_for(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "rotate_days = 0")
    kept.made(days_ago=3000)
    await kept.upkeep.look()
    assert kept.key == kept.first.key_id
    await kept.client.aclose()


async def test_rotation_that_fails_is_told_and_tried_again_later_and_later(kept: Kept) -> None:
    kept.made(days_ago=91)
    kept.hub.replies = [httpx.Response(503, text="busy"), httpx.Response(503, text="busy")]
    await kept.upkeep.look()
    assert "key rotation: the hub refused the new key: 503 busy" in kept.upkeep.causes[0]
    await kept.upkeep.look()  # too early
    assert len(kept.hub.replies) == 1
    kept.clock.advance(upkeep.LOOK_EVERY_US)
    await kept.upkeep.look()
    assert (kept.hub.replies, kept.key) == ([], kept.first.key_id)
    kept.clock.advance(2 * upkeep.LOOK_EVERY_US)
    await kept.upkeep.look()
    assert kept.key != kept.first.key_id
    assert kept.upkeep.causes == ()


def test_gateways_enrolled_on_one_day_do_not_come_on_one_day_again() -> None:
    days = {due_us(0, 90, Ed25519Signer.generate().key_id) // DAY_US for _ in range(60)}
    assert min(days) >= 80
    assert max(days) <= 90
    assert len(days) > 3


async def test_key_that_others_can_read_is_told_with_what_to_do(kept: Kept) -> None:
    (kept.data / "gateway.key").chmod(0o644)
    (cause,) = kept.upkeep.causes
    assert "chmod 600" in cause
    assert "edge rotate" in cause


def test_key_of_the_site_is_read_by_reference_and_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Ed25519Signer.generate()
    signer.save(tmp_path / "site.pem")
    monkeypatch.setenv("SITE_KEY", (tmp_path / "site.pem").read_text())
    for reference in (tmp_path / "site.pem", Secret("env", "SITE_KEY")):
        assert enrolment.load_or_make_key(tmp_path / "data", reference).key_id == signer.key_id
    assert not (tmp_path / "data").exists()
    monkeypatch.setenv("SITE_KEY", "canary-314159")
    with pytest.raises(ValueError, match="env:SITE_KEY: not an unencrypted PEM") as caught:
        enrolment.load_or_make_key(tmp_path, Secret("env", "SITE_KEY"))
    assert "canary" not in str(caught.value)
    monkeypatch.delenv("SITE_KEY")
    with pytest.raises(SecretMissing, match="env:SITE_KEY"):
        enrolment.load_or_make_key(tmp_path, Secret("env", "SITE_KEY"))


@pytest.mark.parametrize(
    ("command", "words"),
    [(("rotate",), "not rotated"), (("accept-fork", "--why", "restored"), "the agent does not answer")],
    ids=["rotate", "accept-fork"],
)
def test_command_that_cannot_be_done_says_why_for_people_and_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], words: str
) -> None:
    kept = Kept(tmp_path, "")
    (kept.data / "enrolment.json").unlink()
    name, *rest = command
    assert main([name, str(tmp_path / "gateway.toml"), *rest]) == 1
    assert words in capsys.readouterr().err
    assert main([name, str(tmp_path / "gateway.toml"), *rest, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert words in answer["error"]
