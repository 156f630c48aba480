"""From an operator's push at a real hub to the devices of a running agent, and back to what the hub shows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud.configuration.api import judge
from cloud.configuration.store import Known
from edge import config, enrolment
from edge.enrolment import CurrentSigner
from edge.remote import CHANGED_HERE, RefusedByHub, RefusedHere, Remote
from protocols.batch.errors import BatchError
from protocols.clock import SystemClock
from protocols.configuration import Configuration, Report, SyncState
from protocols.signing import Ed25519Signer
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem
from tests.edge.test_reload import MAP, Site, devices, running

PATH = "/v1/gateways/rig1/configuration"


class Both:
    """A hub, a running agent that is enrolled with it, and its asking, one question at a time."""

    def __init__(self, hub: TestHub, site: Site, remote: Remote) -> None:
        self.hub, self.site, self.remote = hub, site, remote

    async def push(self, text: str, follows: int) -> httpx.Response:
        headers = {**await self.hub.token(scopes=("write:gateways",)), "if-match": f'"{follows}"'}
        return await self.hub.client.put(PATH, content=text, headers=headers)

    async def shown(self) -> dict[str, Any]:
        reply = await self.hub.client.get(PATH, headers=await self.hub.token())
        assert reply.headers["etag"] == f'"{reply.json()["version"]}"'
        found: dict[str, Any] = reply.json()
        return found

    async def stands(self) -> tuple[str, int]:
        found = await self.shown()
        return found["state"], found["version"]

    @property
    def file(self) -> str:
        return (self.site.folder / "gateway.toml").read_text()


def remote_of(hub: TestHub, site: Site) -> Remote:
    data = site.folder / "rig1-data"
    found = enrolment.read(data)
    assert found is not None
    loaded = replace(config.load(site.folder / "gateway.toml"), hub="http://hub")
    signer = CurrentSigner(enrolment.load_or_make_key(data))
    return Remote(loaded, found, signer, hub.client, site.agent._reload.judge_now, SystemClock())


@pytest.fixture
async def both(hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "site").mkdir()
    async with running(tmp_path / "site", monkeypatch) as site:
        await enrolment.enrol(hub.client, "http://hub", "rig1", await hub.voucher("rig1"), site.folder / "rig1-data")
        yield Both(hub, site, remote_of(hub, site))


async def test_pushed_configuration_runs_on_the_gateway_and_is_in_sync(both: Both) -> None:
    assert (await both.push(devices("a", "b", "c"), 0)).status_code == 201
    assert await both.stands() == ("PENDING", 1)
    await both.remote.ask()
    assert await both.stands() == ("IN_SYNC", 1)
    assert both.file == devices("a", "b", "c")
    found = await both.site.health(lambda found: len(found["devices"]) == 3)
    assert [device["name"] for device in found["devices"]] == ["a", "b", "c"]
    assert both.site.field.closed == []


async def test_every_push_is_an_entry_of_the_tenants_log(both: Both) -> None:
    await both.push(devices("a"), 0)
    await both.push(devices("b"), 1)
    assert both.hub.rows("SELECT count(*) FROM log_entry WHERE kind = 'configuration'") == [(2,)]
    assert both.hub.rows("SELECT version, pushed_by FROM gateway_configuration ORDER BY version") == [(1, "test"), (2, "test")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (devices("a", "b").replace('"small"', '"smell"'), 'did you mean "small"'),
        (devices("a", "b").replace('"a"', '"a"\nwritable = ["pressure"]'), "cannot allow writing"),
        (devices("a", "b") + '[hub]\nremote_configuration = true\nkey = "env:OTHER"\n', "[hub] differs"),
        (devices("a", "b").replace('name = "rig1"', 'name = "rig2"'), "[gateway] differs"),
    ],
    ids=["unknown map", "writing", "another key", "another name"],
)
async def test_configuration_that_may_not_be_fails_with_its_reason_and_changes_nothing(both: Both, text: str, words: str) -> None:
    if "writable" in text:
        (both.site.folder / "small.toml").write_text(
            (both.site.folder / "small.toml").read_text().replace('"bar", scale = 0.1', '"bar", scale = 0.1, write = { min = 0, max = 9 }')
        )
    before = both.file
    await both.push(text, 0)
    await both.remote.ask()
    found = await both.shown()
    assert (found["state"], found["version"]) == ("FAILED", 1)
    assert words in found["reason"]
    assert both.file == before
    assert words in both.remote.causes[0]
    await both.push(devices("a", "b", "c"), 1)
    await both.remote.ask()
    assert await both.stands() == ("IN_SYNC", 2)
    assert both.remote.causes == ()


async def test_configuration_that_does_not_run_is_taken_back(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    before = both.file
    real = both.site.agent._reload.judge_now
    verdicts: list[tuple[SyncState, str]] = []

    async def fail_once() -> tuple[SyncState, str]:
        verdicts.append(await real())
        return (SyncState.FAILED, "out of files") if len(verdicts) == 1 else verdicts[-1]

    both.remote._reload = fail_once
    await both.push(devices("c"), 0)
    await both.remote.ask()
    assert "taken back: out of files" in (await both.shown())["reason"]
    assert both.file == before
    assert len(verdicts) == 2
    await both.site.health(lambda found: [device["name"] for device in found["devices"]] == ["a", "b"])


async def test_older_version_is_refused_whoever_signed_it(both: Both) -> None:
    for number in (1, 2):
        await both.push(devices("a", f"c{number}"), number - 1)
        await both.remote.ask()
    ((old,),) = both.hub.rows("SELECT statement FROM gateway_configuration WHERE version = 1")
    both.remote._client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=bytes(old))))
    with pytest.raises(RefusedHere, match="version 1 came again, 2 is known"):
        await both.remote.ask()
    assert both.file == devices("a", "c2")


async def test_configuration_by_another_key_or_for_another_gateway_is_refused(both: Both) -> None:
    found = enrolment.read(both.site.folder / "rig1-data")
    assert found is not None
    forged = [
        Configuration(9, devices("x"), 1).seal(found.origin, found.gateway, Ed25519Signer.generate()),
        Configuration(9, devices("x"), 1).seal(found.origin, "urn:qz:gw:rig2", both.hub.hub.configurations._signer(1)),
    ]
    for content in forged:
        both.remote._client = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _, content=content: httpx.Response(200, content=content))
        )
        with pytest.raises(BatchError):
            await both.remote.ask()
    assert both.file == devices("a", "b")


async def test_site_that_changes_its_file_afterwards_is_shown_as_not_in_sync(both: Both) -> None:
    await both.push(devices("a", "c"), 0)
    await both.remote.ask()
    both.site.write(devices("a"))
    await both.remote.ask()
    assert (await both.shown())["reason"] == CHANGED_HERE
    both.site.write(devices("a", "c"))
    await both.remote.ask()
    assert await both.stands() == ("IN_SYNC", 1)


async def test_version_cut_off_while_it_was_applied_is_asked_for_again(both: Both) -> None:
    await both.push(devices("a", "c"), 0)
    state = {"version": 1, "state": "PENDING", "reason": "being applied", "digest": "0" * 64, "number": 5}
    (both.site.folder / "rig1-data" / "remote.json").write_text(json.dumps(state))
    again = remote_of(both.hub, both.site)
    again._begin()
    await again.ask()
    assert await both.stands() == ("IN_SYNC", 1)
    assert both.file == devices("a", "c")


@pytest.mark.parametrize(
    ("if_match", "slug"),
    [(None, "precondition-needed"), ('"7"', "precondition-failed"), ('"x"', "invalid-request")],
    ids=["none", "stale", "no version"],
)
async def test_push_says_which_version_it_follows(both: Both, if_match: str | None, slug: str) -> None:
    headers = await both.hub.token(scopes=("write:gateways",)) | ({"if-match": if_match} if if_match else {})
    assert problem(await both.hub.client.put(PATH, content=devices("a"), headers=headers)) == slug
    assert both.hub.rows("SELECT count(*) FROM gateway_configuration") == [(0,)]


async def test_push_needs_its_scope_and_its_tenant(both: Both) -> None:
    headers = {"if-match": "0"}
    assert problem(await both.hub.client.put(PATH, content="", headers=headers | await both.hub.token())) == "forbidden"
    others = await both.hub.token("other", scopes=("write:gateways",))
    assert problem(await both.hub.client.put(PATH, content="", headers=headers | others)) == "not-found"
    assert problem(await both.hub.client.get(PATH)) == "unauthorized"
    assert problem(await both.push("[gateway", 0)) == "invalid-request"


async def test_report_cannot_be_repeated_nor_made_by_another_key(both: Both) -> None:
    signer = enrolment.load_or_make_key(both.site.folder / "rig1-data")
    report = Report(1, SyncState.IN_SYNC, "", 1 << 60).seal("urn:qz:gw:rig1", signer)
    assert (await both.hub.client.post("/v1/configuration-reports", content=report)).status_code == 204
    again = await both.hub.client.post("/v1/configuration-reports", content=report)
    assert (problem(again), again.json()["number"]) == ("conflict", 1 << 60)
    stranger = Report(1, SyncState.IN_SYNC, "", 1 << 61).seal("urn:qz:gw:rig1", Ed25519Signer.generate())
    assert problem(await both.hub.client.post("/v1/configuration-reports", content=stranger)) == "unknown-key"
    with pytest.raises(RefusedByHub):  # its clock was a year ahead when it reported last: the next number follows what the hub knows
        await both.remote.ask()
    await both.remote.ask()
    assert both.remote.state.number == (1 << 60) + 1


def test_state_is_pending_until_the_gateway_has_asked() -> None:
    assert judge(2, None)[0] is SyncState.PENDING
    assert "remote_configuration = true" in judge(2, None)[1]
    assert judge(2, Known(1, "IN_SYNC", "", 1, 0, 0))[0] is SyncState.PENDING
    assert judge(2, Known(3, "IN_SYNC", "", 1, 0, 0))[0] is SyncState.FAILED
    assert judge(0, None)[0] is SyncState.IN_SYNC


@pytest.mark.parametrize(("allowed", "asks"), [("", False), ("[hub]\nremote_configuration = true\n", True)], ids=["by default", "allowed"])
async def test_gateway_asks_only_where_its_site_allows_it(
    hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str, asks: bool
) -> None:
    text = devices("a").replace('name = "rig1"', 'name = "rig1"\nhub = "http://127.0.0.1:9"', 1)
    (tmp_path / "gateway.toml").write_text(text + allowed)
    (tmp_path / "small.toml").write_text(MAP)
    await enrolment.enrol(hub.client, "http://hub", "rig1", await hub.voucher("rig1"), tmp_path / "rig1-data")
    async with running(tmp_path, monkeypatch) as site:
        assert ("remote" in {state.name for state in site.agent._supervisor.states}) is asks
