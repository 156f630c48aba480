"""Filings over HTTP: draft, second person, file, answer, amendment, cancellation; nothing half filed."""

import json
from typing import Any

import pytest

from cloud import texts
from cloud.compliance import register_store
from cloud.evidence import bundles
from cloud.evidence.again import recompute
from cloud.identity.roles import Role
from cloud.recompute import REGISTRY
from cloud.reports import emir, manifest, remit
from cloud.reports.columns import Coded
from cloud.texts import Text
from protocols.batch import pedigree
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.identity.people import Browser, slug, team

LEI, WRONG_LEI, OTHER, ZONE, UPI = (
    "213800KUD8LAJWSQ9D15",
    "213800KUD8LXJWSQ9D15",
    "54930084UKLVMY22DS16",
    "10YFR-RTE------C",
    "QZ17F5PN51JM",
)
PROFILE = f"""[participant]
name = "Example Energy"
lei = "{LEI}"
acer_code = "T1241247G.EU"
party = "NFC-"
"""
CALENDAR = {"product": "power", "place": "FR", "first": "2026-01-01", "last": "2027-12-31", "closed": []}
DEAL: dict[str, Any] = {
    "id": "D-1", "version": 1, "known_us": 1_795_422_600_000_000 - 20 * 86_400_000_000, "book": "north", "counterparty": "Acme", "kind": "forward",
    "legs": [
        {
            "side": "sell", "product": "power", "place": "FR", "volume": {"value": "7440", "unit": "MWh"}, "first": "2026-12-01",
            "last": "2026-12-31", "price": {"fixed": {"value": "41.50", "currency": "EUR", "unit": "MWh"}}, "physical": True,
            "granularity": "day", "zone": "Europe/Paris",
        }
    ],
    "terms": {"take_or_pay": "0", "shortfall": "buy-back", "penalty": "0", "force_majeure": False}, "cancelled": False,
}  # fmt: skip
REMIT = {
    "uti": LEI + "01", "counterparty": OTHER, "market": "XBIL", "contract": "standard", "load": "BL", "commodity": "EL", "delivery_point": ZONE,
}  # fmt: skip


class Office:
    """A deal, a profile, and the people around them."""

    def __init__(self, hub: TestHub) -> None:
        self.hub = hub

    async def open(self) -> "Office":
        self.token = await self.hub.token(scopes=("read", "write:deals", "write:compliance"))
        self.clara, self.dora = [await team(self.hub, name, Role.COMPLIANCE_OFFICER) for name in ("clara", "dora")]
        self.rita = await team(self.hub, "rita", Role.RISK_MANAGER)
        async with self.hub.hub.db.tenant(1) as connection:
            await texts.add(connection, 1, Text.PROFILE, PROFILE, 1)
        assert (await self.hub.client.put("/v1/calendars", json=[CALENDAR], headers=self.token)).status_code == 200
        await self.book(DEAL)
        return self

    async def book(self, deal: dict[str, Any]) -> None:
        reply = await self.hub.client.post("/v1/deals", json=deal, headers=self.token)
        assert reply.status_code == 201, reply.text

    async def draft(self, told: dict[str, str], kind: str = "REMIT-1", deal: str = "D-1", subject: str = "december") -> Any:
        return await self.clara.ask("POST", "/v1/filings", json={"kind": kind, "subject": subject, "deals": [{"deal": deal, "told": told}]})

    async def decide(self, draft: Any, who: Browser | None = None, *, agree: bool = True) -> Any:
        path = f"/v1/approvals/{draft.json()['approval']}/decision"
        return await (who or self.dora).ask("POST", path, json={"agree": agree, "reason": "looked at it"})

    async def answer(self, version: int, *reasons: dict[str, str], filing: int | None = None) -> Any:
        filing = filing or (await self.filings())[0]["id"]
        body = {"version": version, "reference": f"R-{version}", "reasons": reasons}
        return await self.clara.ask("POST", f"/v1/filings/{filing}/answers", json=body)

    async def filings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.clara.ask("GET", "/v1/filings")).json()["filings"]
        return found


@pytest.fixture
async def office(hub: TestHub) -> Office:
    return await Office(hub).open()


REASON = {"code": "REJ-2", "place": "TradeReport[1]", "message": "unknown market"}


async def test_a_draft_is_filed_when_somebody_else_agrees_and_can_be_fetched_with_its_manifest(office: Office) -> None:
    draft = await office.draft(REMIT)
    assert draft.status_code == 201, draft.text
    assert {one["layer"]: one["outcome"] for one in draft.json()["layers"]} == {
        "schema": "PASS", "checksum": "PASS", "cross-field": "PASS", "reference data": "INDETERMINATE",
    }  # fmt: skip
    assert await office.filings() == []
    assert (await office.decide(draft)).status_code == 200
    (filing,) = await office.filings()
    assert (filing["kind"], filing["state"], filing["versions"][0]["action"]) == ("REMIT-1", "sent", "new")
    file = await office.clara.ask("GET", f"/v1/filings/{filing['id']}/file")
    shown = await office.clara.ask("GET", f"/v1/filing-drafts/{draft.json()['id']}/file")
    signed = manifest.from_json((await office.clara.ask("GET", f"/v1/filings/{filing['id']}/manifest")).content)
    assert file.content == shown.content
    manifest.verify(signed, file.content, office.hub.hub.log_keys.signer(1).verifier())
    assert (await office.clara.ask("GET", "/v1/filing-drafts")).json()["drafts"][0]["state"] == "agreed"


async def test_who_drafted_does_not_agree_and_neither_does_who_may_not_file(office: Office) -> None:
    draft = await office.draft(REMIT)
    assert [slug(await office.decide(draft, who)) for who in (office.clara, office.rita)] == ["forbidden", "forbidden"]
    assert slug(
        await office.hub.client.post("/v1/filings", json={"kind": "EMIR", "subject": "x", "deals": [{"deal": "D-1"}]}, headers=office.token)
    )
    assert await office.filings() == []


async def test_a_declined_draft_files_nothing(office: Office) -> None:
    draft = await office.draft(REMIT)
    assert (await office.decide(draft, agree=False)).status_code == 200
    assert await office.filings() == []
    assert (await office.clara.ask("GET", f"/v1/filing-drafts/{draft.json()['id']}")).json()["state"] == "declined"


async def test_a_wrong_check_digit_is_told_by_the_checksum_layer_although_the_schema_accepts_it(office: Office) -> None:
    reply = await office.draft({**REMIT, "counterparty": WRONG_LEI})
    assert (reply.status_code, slug(reply)) == (422, "wrong-file")
    layers = {one["layer"]: one for one in reply.json()["layers"]}
    assert (layers["schema"]["outcome"], layers["checksum"]["outcome"]) == ("PASS", "FAIL")
    (fault,) = layers["checksum"]["faults"]
    assert (fault["check"], fault["place"]) == ("ID-LEI-CHECK", "/REMITTable1/TradeList/TradeReport/otherMarketParticipant/lei")
    assert (await office.clara.ask("GET", "/v1/filing-drafts")).json()["drafts"] == []


async def test_what_is_missing_is_listed_by_deal_and_field_and_nothing_is_kept(office: Office) -> None:
    reply = await office.draft({"uti": LEI + "01"}, "EMIR")
    assert (reply.status_code, slug(reply)) == (422, "wrong-file")
    assert {(gap["deal"], gap["field"]) for gap in reply.json()["gaps"]} == {("D-1", "counterparty"), ("D-1", "upi")}
    assert slug(await office.draft(REMIT, deal="D-9")) == "not-found"
    assert office.hub.rows("SELECT (SELECT count(*) FROM filing_draft), (SELECT count(*) FROM approval)") == [(0, 0)]


async def test_a_rejected_filing_is_filed_again_as_new_an_accepted_one_is_amended_then_cancelled(office: Office) -> None:
    await office.decide(await office.draft(REMIT))
    assert slug(await office.draft(REMIT)) == "conflict"  # not answered yet
    assert (await office.answer(1, REASON)).json()["state"] == "rejected"
    await office.decide(await office.draft({**REMIT, "contract_name": "BASE"}))
    assert (await office.answer(2)).json()["state"] == "accepted"
    await office.decide(await office.draft({**REMIT, "contract_name": "BASE DEC"}))
    assert (await office.answer(3)).json()["state"] == "accepted"
    (filing,) = await office.filings()
    draft = await office.clara.ask("POST", f"/v1/filings/{filing['id']}/cancellation")
    assert draft.status_code == 201, draft.text
    await office.decide(draft)
    assert (await office.answer(4)).json()["state"] == "cancelled"
    (filing,) = await office.filings()
    assert [one["action"] for one in filing["versions"]] == ["new", "new", "amendment", "cancellation"]
    files = [(await office.clara.ask("GET", f"/v1/filings/{filing['id']}/file?version={number}")).text for number in (1, 2, 3, 4)]
    assert [text.partition("<actionType>")[2][0] for text in files] == ["N", "N", "M", "E"]


async def test_a_second_draft_is_refused_when_the_first_was_filed_and_a_deal_may_not_move_under_a_draft(office: Office) -> None:
    first, second = await office.draft(REMIT), await office.draft({**REMIT, "contract_name": "BASE"})
    await office.decide(first)
    assert slug(await office.decide(second)) == "conflict"
    third = await office.draft({**REMIT, "contract_name": "X"}, subject="other")
    await office.book({**DEAL, "version": 2, "book": "south"})
    assert slug(await office.decide(third)) == "conflict"
    assert len(await office.filings()) == 1


async def test_nothing_is_half_filed_when_the_hub_dies_in_the_decision(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = await office.draft(REMIT)

    async def die(*_: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(office.hub.hub.filings, "_record", die)  # the last step of the transaction
        assert (await office.decide(draft)).status_code == 500
    counts = (
        "SELECT (SELECT count(*) FROM filing), (SELECT count(*) FROM filing_version), (SELECT count(*) FROM evidence WHERE kind = 'filing')"
    )
    assert office.hub.rows(counts) == [(0, 0, 0)]
    assert (await office.clara.ask("GET", "/v1/filing-drafts")).json()["drafts"][0]["state"] == "open"
    assert (await office.decide(draft)).status_code == 200
    assert office.hub.rows(counts) == [(1, 1, 1)]


async def test_an_emir_report_names_the_parties_of_profile_and_request(office: Office) -> None:
    told = {"uti": LEI + "01", "counterparty": OTHER, "upi": UPI, "sub_product": "ELEC"}
    await office.decide(await office.draft(told, "EMIR"))
    (filing,) = await office.filings()
    (report,) = emir.read((await office.clara.ask("GET", f"/v1/filings/{filing['id']}/file")).content)
    assert (report.derivative.reporter, report.derivative.other, report.derivative.side) == (LEI, OTHER, "SLLR")
    assert filing["versions"][0]["due_status"] == "unconfirmed"


async def test_a_filing_of_deals_is_written_and_judged_again_from_its_bundle(office: Office) -> None:
    await office.decide(await office.draft(REMIT))
    row = bytes.fromhex((await office.filings())[0]["versions"][0]["evidence"])
    hub = office.hub.hub
    report = pedigree.verify(await bundles.export(hub.windows, hub.log, 1, row))
    assert report.pedigree is not None
    assert [one.differences for one in recompute(report.pedigree, REGISTRY)] == [()]
    source = json.loads(next(one for one in report.pedigree.contents_by_digest.values() if one.startswith(b'{"action"')))
    assert source["deals"][0]["deal"]["id"] == "D-1"


async def test_a_period_takes_the_deals_that_were_concluded_in_it_with_what_is_common_to_all(office: Office) -> None:
    await office.book({**DEAL, "id": "D-2", "book": "south"})
    common = {name: text for name, text in REMIT.items() if name != "uti"} | {"uti": LEI + "09"}
    period = {"first": "2026-11-01", "last": "2026-11-30"}

    async def draft(**more: Any) -> Any:
        body = {"kind": "REMIT-1", "subject": "november", "common": common, **more}
        return await office.clara.ask("POST", "/v1/filings", json=body)

    assert (await draft(period={**period, "book": "south"})).json()["rows"] == 1
    assert (await draft(period={**period, "book": "south"})).json()["state"] == "open"
    both = await draft(period=period)
    assert "REMIT-X-UTI" in {fault["check"] for one in both.json()["layers"] for fault in one["faults"]}  # one UTI for two deals
    assert slug(await draft(period={"first": "2025-01-01", "last": "2025-12-31"})) == "not-found"
    assert [slug(await draft()), slug(await draft(period=period, deals=[{"deal": "D-1"}]))] == ["invalid-request", "invalid-request"]


async def test_identifiers_of_the_register_are_not_asked_for_again_and_may_not_be_contradicted(office: Office) -> None:
    async with office.hub.hub.db.tenant(1) as connection:
        facts = {"uti": LEI + "01", "upi": UPI, "leis": [LEI, OTHER]}
        await register_store.add(connection, 1, "Derivative", "deal/D-1", facts, 1, "person/1")
    assert (await office.draft({}, "EMIR")).status_code == 201
    wrong = await office.draft({"uti": LEI + "02"}, "EMIR")
    assert (slug(wrong), [gap["field"] for gap in wrong.json()["gaps"]]) == ("wrong-file", ["uti"])


async def test_what_the_profile_says_of_counterparty_and_product_holds_where_nobody_states_it(office: Office) -> None:
    profile = f"""{PROFILE}
[[product]]
name = "power"
place = "FR"
commodity = "electricity"
eu_delivery = true
market = "bilateral"

[[counterparty]]
name = "Acme"
lei = "{OTHER}"
"""
    async with office.hub.hub.db.tenant(1) as connection:
        await texts.add(connection, 1, Text.PROFILE, profile, 2)
    told = {"uti": LEI + "01", "contract": "standard", "load": "BL", "delivery_point": ZONE}
    draft = await office.draft(told)
    assert draft.status_code == 201, draft.text
    (trade,) = remit.read((await office.clara.ask("GET", f"/v1/filing-drafts/{draft.json()['id']}/file")).content).trades
    assert (trade.other, trade.market) == (Coded("lei", OTHER), Coded("bil", "XBIL"))
    stated = await office.draft({**told, "counterparty": "T1241247G.EU"}, subject="other")
    (trade,) = remit.read((await office.clara.ask("GET", f"/v1/filing-drafts/{stated.json()['id']}/file")).content).trades
    assert trade.other == Coded("ace", "T1241247G.EU")


async def test_a_draft_outlives_the_hub_and_is_decided_after_it_starts_again(run_hub: RunHub) -> None:
    async with run_hub() as hub:
        office = await Office(hub).open()
        draft = await office.draft(REMIT)
    async with run_hub() as again:
        office.hub = again
        for browser in (office.clara, office.dora):
            browser.client = again.client
        assert (await office.decide(draft)).status_code == 200
        assert [one["state"] for one in await office.filings()] == ["sent"]
