"""From an alert to the report that is filed about it."""

import json
from typing import Any

import pytest

from cloud import texts
from cloud.evidence import bundles
from cloud.evidence.again import recompute
from cloud.identity.roles import Role
from cloud.recompute import REGISTRY
from cloud.reports import checks, stor, xmlfile
from cloud.texts import Text
from protocols.batch import pedigree
from tests.cloud.compliance.surveillance.feed import QUIET, SPOOF, hand_in
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import slug, team

LEI = "213800KUD8LAJWSQ9D15"
PROFILE = f'[participant]\nname = "Example Energy"\nlei = "{LEI}"\nparty = "NFC-"\n'
TOLD: dict[str, Any] = {
    "authority": "AMF", "capacity": "dealing on own account", "contact": "compliance@example.com", "persons": [{"name": "Example", "lei": LEI}],
}  # fmt: skip


class Office:
    def __init__(self, hub: TestHub) -> None:
        self.hub = hub

    async def open(self) -> "Office":
        self.clara, self.dora = [await team(self.hub, name, Role.COMPLIANCE_OFFICER) for name in ("clara", "dora")]
        async with self.hub.hub.db.tenant(1) as connection:
            await texts.add(connection, 1, Text.PROFILE, PROFILE, 1)
        token = await self.hub.token(scopes=("write:deals",))
        reply = await self.hub.client.post("/v1/orders/events", json=hand_in([*SPOOF, *QUIET]), headers=token)
        assert reply.status_code == 201, reply.text
        (self.alert,) = [one["id"] for one in (await self.clara.ask("GET", "/v1/conduct/alerts")).json()["alerts"]]
        return self

    async def decide(self, decision: str) -> None:
        for step, body in (("assignment", {}), ("decision", {"decision": decision, "reasons": "no economic reason for the large bid"})):
            assert (await self.clara.ask("POST", f"/v1/conduct/alerts/{self.alert}/{step}", json=body)).status_code == 200

    async def draft(self, told: dict[str, Any] = TOLD) -> Any:
        return await self.clara.ask("POST", f"/v1/conduct/alerts/{self.alert}/stor", json=told)

    async def agree(self, draft: Any, who: Any = None) -> Any:
        body = {"agree": True, "reason": "read it"}
        return await (who or self.dora).ask("POST", f"/v1/approvals/{draft.json()['approval']}/decision", json=body)


@pytest.fixture
async def office(hub: TestHub) -> Office:
    return await Office(hub).open()


async def test_an_alert_becomes_a_report_that_a_second_person_files(office: Office) -> None:
    await office.decide("STOR")
    draft = await office.draft()
    assert draft.status_code == 201, draft.text
    assert slug(await office.agree(draft, office.clara)) == "forbidden"
    assert (await office.agree(draft)).status_code == 200
    (filing,) = (await office.clara.ask("GET", "/v1/filings")).json()["filings"]
    assert filing["versions"][0]["outcome"] == "PASS"  # our schema, and the only LEI is the profile's
    told = stor.of(xmlfile.read((await office.clara.ask("GET", f"/v1/filings/{filing['id']}/file")).content))
    assert (told.reporter_lei, told.instrument, told.pattern, told.reasons) == (
        LEI,
        "TTF",
        "spoofing",
        "no economic reason for the large bid",
    )
    assert [(line.order, line.action) for line in told.lines] == [
        ("desk/big", "placed"), ("desk/small", "placed"), ("desk/small", "filled"), ("desk/big", "cancelled"),
    ]  # fmt: skip
    assert (told.persons[0].lei, told.persons[0].accounts, len(told.attachments)) == (LEI, "north", 1)


@pytest.mark.parametrize("decision", ["no further action", ""])
async def test_what_was_not_decided_to_be_reported_is_not(office: Office, decision: str) -> None:
    for one in filter(None, [decision]):
        await office.decide(one)
    assert slug(await office.draft()) == "conflict"


async def test_a_person_without_code_is_a_gap_and_a_wrong_code_fails_the_checksum_layer(office: Office) -> None:
    await office.decide("STOR")
    lacking = await office.draft({**TOLD, "persons": [{"name": "Example"}]})
    assert (slug(lacking), lacking.json()["gaps"][0]["field"]) == ("wrong-file", "persons[0]")
    wrong = await office.draft({**TOLD, "persons": [{"name": "Example", "lei": LEI[:-1] + "6"}]})
    assert {one["layer"]: one["outcome"] for one in wrong.json()["layers"]}["checksum"] == "FAIL"


async def test_a_filed_report_is_computed_again_with_the_alert_below_it(office: Office) -> None:
    await office.decide("STOR")
    await office.agree(await office.draft())
    (filing,) = (await office.clara.ask("GET", "/v1/filings")).json()["filings"]
    hub = office.hub.hub
    data = await bundles.export(hub.windows, hub.log, 1, bytes.fromhex(filing["versions"][0]["evidence"]))
    report = pedigree.verify(data)
    assert report.pedigree is not None
    compared = list(recompute(report.pedigree, REGISTRY))
    assert {one.name.split(" ")[0] for one in compared} == {"orders", "alert", "stor"}
    assert [one.differences for one in compared] == [()] * 3


async def test_who_may_not_read_conduct_is_not_told_that_a_report_exists(office: Office) -> None:
    await office.decide("STOR")
    draft = await office.draft()
    rita, aud = await team(office.hub, "rita", Role.RISK_MANAGER), await team(office.hub, "aud", Role.AUDITOR)
    number = draft.json()["approval"]
    assert [one["action"] for one in (await rita.ask("GET", "/v1/approvals")).json()["approvals"]] == []
    assert [one["action"] for one in (await aud.ask("GET", "/v1/approvals")).json()["approvals"]] == ["file-stor"]
    assert slug(await rita.ask("POST", f"/v1/approvals/{number}/decision", json={"agree": True, "reason": "yes"})) == "not-found"
    await office.agree(draft)
    (filing,) = (await aud.ask("GET", "/v1/filings")).json()["filings"]
    row, token = filing["versions"][0]["evidence"], await office.hub.token(scopes=("read", "read:compliance", "write:compliance"))

    async def status(address: str) -> tuple[int, int, int]:
        program = await office.hub.client.get(address, headers=token)
        return (await rita.ask("GET", address)).status_code, program.status_code, (await aud.ask("GET", address)).status_code

    told = {address: await status(address) for address in (
        f"/v1/filings/{filing['id']}", f"/v1/filings/{filing['id']}/file", f"/v1/filings/{filing['id']}/manifest",
        f"/v1/filing-drafts/{draft.json()['id']}", f"/v1/filing-drafts/{draft.json()['id']}/file",
        f"/v1/evidence/{row}", f"/v1/evidence/{row}/bundle",
    )}  # fmt: skip
    assert set(told.values()) == {(404, 404, 200)}, told
    for address, member in (("/v1/filings", "filings"), ("/v1/filing-drafts", "drafts")):
        assert (await rita.ask("GET", address)).json()[member] == []
        assert (await office.hub.client.get(f"{address}?limit=1", headers=token)).json()[member] == []
    asked = {"version": 1, "reference": "R-7"}
    assert slug(await office.hub.client.post(f"/v1/filings/{filing['id']}/answers", json=asked, headers=token)) == "not-found"
    kinds = {one["kind"] for one in (await office.hub.client.get("/v1/evidence", headers=token)).json()}
    assert kinds.isdisjoint({"orders", "alert", "stor"})


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("<action>new", "<action>old", "STOR-X-ACTION"),
        ("<first>2026-11-", "<first>2027-11-", "STOR-X-TIME"),
        ("<instrument>TTF</instrument>", "", "STOR-S-XSD"),
        ("<name>Example</name>", "<nom>Example</nom>", "STOR-S-XSD"),
    ],
)
async def test_a_broken_report_fails_by_its_layer(office: Office, old: str, new: str, check: str) -> None:
    await office.decide("STOR")
    draft = (await office.draft()).json()
    text = (await office.clara.ask("GET", f"/v1/filing-drafts/{draft['id']}/file")).text
    assert old in text
    found = checks.check("STOR", text.replace(old, new, 1).encode())
    assert check in {fault.check for fault in found.faults}, json.dumps([fault.message for fault in found.faults])
