"""The path of rules through the hub: deals and registered facts in, findings as evidence out, each explained and proven."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cloud import recompute, texts
from cloud.compliance import runs
from cloud.compliance.kinds import area_of
from cloud.compliance.table import RULES
from cloud.texts import Text
from cloud.trading.documents import deal_json
from tests.cloud.compliance.desk_deals import FRIDAY_US, OWN, PROFILE, booked, leg
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import problem

SCOPES = ("read", "write:deals", "write:compliance")
CALENDARS = [
    {"product": product, "place": place, "first": "2020-01-01", "last": "2040-12-31", "closed": []}
    for product, place in (("gas", "TTF"), ("power", "DE"), ("WTI", "Cushing"))
]


class Office:
    """A compliance officer's program with two deals: a financial forward on gas and one with delivery."""

    def __init__(self, hub: TestHub) -> None:
        self.hub, self.headers = hub, dict[str, str]()

    async def open(self) -> "Office":
        self.headers = await self.hub.token(scopes=SCOPES)
        await self.told("PUT", "/v1/calendars", CALENDARS)
        await self.book("D-1", leg(physical=False))
        await self.book("D-2", leg())
        await self.profile(PROFILE)
        return self

    async def book(self, name: str, *legs: Any) -> None:
        deal = deal_json(booked(first_us=FRIDAY_US - 300 * 86_400_000_000).deal) | deal_json(
            booked(legs=legs, id=name, known_us=FRIDAY_US - 300 * 86_400_000_000).deal
        )
        await self.told("POST", "/v1/deals", deal)

    async def profile(self, text: str) -> None:
        async with self.hub.hub.db.tenant(1) as connection:
            await texts.add(connection, 1, Text.PROFILE, text, self.hub.hub.clock.now_us())

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = None if body is None else json.dumps(body)
        kind = {"content-type": "application/json"} if body is not None else {}
        return await self.hub.client.request(method, path, content=content, headers={**self.headers, **kind, **headers})

    async def told(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.ask(method, path, body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    async def findings(self, query: str = "") -> dict[tuple[str, str], str]:
        found = await self.told("GET", f"/v1/findings?limit=1000{query}")
        return {(one["rule"], one["subject"]): one["outcome"] for one in found["findings"]}


@pytest.fixture
async def office(hub: TestHub) -> Office:
    return await Office(hub).open()


async def test_a_run_judges_every_deal_and_every_registered_fact(office: Office) -> None:
    await office.told("PUT", "/v1/facts/Undertaking/group", {"employees": 2000, "turnover_eur": "1e9", "third_country": False})
    run = await office.told("POST", "/v1/rules/run", {})
    found = await office.findings()
    assert found["E-01", "deal/D-1"] == "FAIL"
    assert found["E-01", "deal/D-2"] == "INDETERMINATE"
    assert found["R-06", "deal/D-2"] == "INDETERMINATE"
    assert found["C-01", "group"] == "INDETERMINATE"
    assert sum(sum(one["counts"].values()) for one in run["areas"]) == len(found)
    assert all(one["new"] for one in run["areas"])


async def test_a_run_that_finds_the_same_writes_nothing_and_one_that_differs_one_area(office: Office) -> None:
    first = await office.told("POST", "/v1/rules/run", {})
    rows = office.hub.rows("SELECT count(*) FROM evidence")
    again = await office.told("POST", "/v1/rules/run", {})
    assert office.hub.rows("SELECT count(*) FROM evidence") == rows
    assert [one["evidence"] for one in again["areas"]] == [one["evidence"] for one in first["areas"]]
    assert not any(one["new"] for one in again["areas"])
    await office.told("PUT", "/v1/facts/WholesaleDeal/deal/D-1", {"table": 2})
    changed = await office.told("POST", "/v1/rules/run", {})
    assert [one["area"] for one in changed["areas"] if one["new"]] == ["remit"]


async def test_what_is_registered_later_was_not_known_before(office: Office) -> None:
    before_us = office.hub.hub.clock.now_us()
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"reported_on": "2026-01-19", "uti": OWN + "X"})
    path = "/v1/findings/E-01/deal/D-1"
    assert (await office.told("GET", path))["outcome"] == "PASS"
    then = await office.told("GET", f"{path}?known_us={before_us}")
    assert (then["outcome"], then["why"]) == ("FAIL", "not reported by 2026-01-19")
    past = await office.told("POST", "/v1/rules/run", {"known_us": before_us, "subjects": ["deal/D-1"]})
    assert next(one for one in past["areas"] if one["area"] == "emir")["counts"]["FAIL"] == 1
    assert (await office.ask("GET", f"{path}?known_us={before_us - 10**12}")).status_code == 404


async def test_the_finding_of_a_run_is_the_one_that_is_explained(office: Office) -> None:
    await office.told("POST", "/v1/rules/run", {})
    (listed,) = (await office.told("GET", "/v1/findings?rule=E-01&subject=deal/D-1"))["findings"]
    explained = await office.told("GET", "/v1/findings/E-01/deal/D-1")
    assert explained["digest"] == listed["digest"]
    assert (listed["owner"], listed["area"]) == ("market reporting", "emir")
    assert explained["trace"][0]["parameters"][0]["reference"] == "EMIR art. 9(1)"


async def test_a_finding_is_shown_as_json_text_or_page(office: Office) -> None:
    path = "/v1/findings/E-01/deal/D-1"
    text = await office.ask("GET", path, accept="text/plain")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text.startswith("E-01 Derivative reported to a trade repository in time: FAIL\n")
    assert "facts as known at 20" in text.text
    page = await office.ask("GET", path, accept="text/html,*/*")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "EMIR art. 9(1)" in page.text
    assert "style-src 'self'" in page.headers["content-security-policy"]
    assert "<style" not in page.text and "style=" not in page.text  # the browser would drop both
    (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page.text)
    style = await office.ask("GET", sheet)
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "border-collapse" in style.text


async def test_names_in_a_page_are_escaped(office: Office) -> None:
    subject = "<script>alert(1)</script>"
    await office.told("PUT", f"/v1/facts/LocalSpend/{subject}", {"service": "catering", "share_pct": "90"})
    page = await office.ask("GET", f"/v1/findings/G-09/{subject}", accept="text/html")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


async def test_findings_come_in_pages_that_belong_together(office: Office) -> None:
    await office.told("POST", "/v1/rules/run", {})
    whole = (await office.told("GET", "/v1/findings?limit=1000"))["findings"]
    paged: list[Any] = []
    cursor = ""
    while True:
        page = await office.told("GET", f"/v1/findings?limit=7{cursor}")
        paged += page["findings"]
        assert len(page["findings"]) <= 7
        if len(paged) == 7:  # another run in between changes no page that follows
            await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"cleared": True})
            await office.told("POST", "/v1/rules/run", {"subjects": ["deal/D-1"]})
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert paged == whole


async def test_findings_are_filtered(office: Office) -> None:
    await office.told("POST", "/v1/rules/run", {})
    failed = (await office.told("GET", "/v1/findings?outcome=FAIL"))["findings"]
    assert {(one["rule"], one["subject"]) for one in failed} == {("E-01", "deal/D-1")}
    assert {one["subject"] for one in (await office.told("GET", "/v1/findings?subject=deal/D-2"))["findings"]} == {"deal/D-2"}


async def test_a_run_of_a_scenario_stands_beside_the_plain_one(office: Office) -> None:
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"upi": "QZABCDEFGHIJ"})
    await office.told("POST", "/v1/rules/run", {})
    await office.told("POST", "/v1/rules/run", {"scenarios": ["as-stated"]})
    assert (await office.findings())["E-05", "deal/D-1"] == "INDETERMINATE"
    assert (await office.findings("&scenario=as-stated"))["E-05", "deal/D-1"] == "PASS"
    await office.told("POST", "/v1/rules/run", {"as_of": "2010-01-01"})
    assert set((await office.findings("&as_of=2010-01-01")).values()) == {"NOT_APPLICABLE"}


async def test_what_contradicts_a_deal_is_refused_and_nothing_is_stored(office: Office) -> None:
    reply = await office.ask("PUT", "/v1/facts/Derivative/deal/D-1", {"otc": False})
    assert problem(reply) == "invalid-request"
    assert '"otc" is registered as no, the hub derives yes' in reply.json()["detail"]
    assert (await office.ask("GET", "/v1/facts/Derivative/deal/D-1")).status_code == 404
    assert office.hub.rows("SELECT count(*) FROM action WHERE name = 'register-facts'") == [(0,)]


async def test_a_profile_that_comes_to_contradict_what_was_registered_is_told_by_the_run(office: Office) -> None:
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"otc": True, "reported_on": "2026-01-19"})
    await office.profile(PROFILE.replace('market = "bilateral"', 'market = "regulated"'))
    run = await office.told("POST", "/v1/rules/run", {})
    (told,) = run["contradictions"]
    assert (told["subject"], told["kind"]) == ("deal/D-1", "Derivative")
    assert (await office.findings())["E-07", "deal/D-1"] == "INDETERMINATE"
    assert (await office.findings())["E-01", "deal/D-1"] == "PASS"


async def test_facts_of_a_deal_that_is_not_booked_are_refused(office: Office) -> None:
    reply = await office.ask("PUT", "/v1/facts/Derivative/deal/D-9", {"otc": True})
    assert (reply.status_code, reply.json()["detail"]) == (404, "there is no deal D-9; book it first, then register facts of it")


async def test_facts_are_kept_by_version_with_who_handed_them_in(office: Office) -> None:
    path = "/v1/facts/Portfolio/Acme"
    one = await office.ask("PUT", path, {"contracts": 99, "party": "NFC-"})
    assert (one.json()["version"], one.json()["new"], one.headers["etag"]) == (1, True, '"1"')
    assert (await office.told("PUT", path, {"party": "NFC-", "contracts": 99, "disputed_eur": None}))["new"] is False
    assert problem(await office.ask("PUT", path, {"contracts": 100}, **{"if-match": '"0"'})) == "precondition-failed"
    assert (await office.told("PUT", path, {"contracts": 100}))["version"] == 2
    found = await office.told("GET", path)
    assert (found["facts"], [each["by"] for each in found["versions"]]) == ({"contracts": 100}, ["token/test", "token/test"])
    before = await office.told("GET", f"{path}?known_us={found['known_us'] - 1}")
    assert before["facts"] == {"contracts": 99, "party": "NFC-"}
    listed = await office.told("GET", "/v1/facts?kind=Portfolio")
    assert [(each["subject"], each["version"]) for each in listed["facts"]] == [("Acme", 2)]
    assert "contracts" in listed["kinds"]["Portfolio"]


async def test_all_facts_come_in_pages(office: Office) -> None:
    for number in range(5):
        await office.told("PUT", f"/v1/facts/LocalSpend/s{number}", {"service": "catering"})
    seen: list[str] = []
    after = ""
    while True:
        page = await office.told("GET", f"/v1/facts?limit=2{after}")
        seen += [one["subject"] for one in page["facts"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == [f"s{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("method", "path", "body", "slug", "told"),
    [
        ("PUT", "/v1/facts/Nonsense/x", {}, "not-found", "no rule judges facts of the kind"),
        ("PUT", "/v1/facts/Portfolio/x", {"contracts": -1}, "invalid-request", "facts.contracts: expected nothing negative"),
        ("PUT", "/v1/facts/Portfolio/x", {"contract": 1}, "invalid-request", 'unknown key "contract"'),
        ("PUT", "/v1/facts/Portfolio/ x", {}, "invalid-request", "without spaces around"),
        ("POST", "/v1/rules/run", {"scenarios": ["no"]}, "invalid-request", "unknown scenario no"),
        ("POST", "/v1/rules/run", {"subjects": []}, "invalid-request", "expected 1 to 100"),
        ("POST", "/v1/rules/run", {"asof": "2026-01-01"}, "invalid-request", 'unknown key "asof"'),
        ("GET", "/v1/findings?cursor=emir.1.00.1", None, "invalid-request", "cursor"),
        ("GET", "/v1/findings/R-12/x", None, "not-found", "answered elsewhere"),
        ("GET", "/v1/findings/A-01/x", None, "not-found", "watched for"),
        ("GET", "/v1/findings/E-08/x", None, "not-found", "PUT /v1/facts/Portfolio/x"),
        ("GET", "/v1/rules/E-01?scenario=no", None, "invalid-request", "unknown scenario"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(office: Office, method: str, path: str, body: Any, slug: str, told: str) -> None:
    reply = await office.ask(method, path, body)
    assert problem(reply) == slug
    assert told in reply.json()["detail"]


async def test_the_list_of_rules_has_figures_owners_and_what_does_not_run(office: Office) -> None:
    found = await office.told("GET", "/v1/rules?as_of=2026-11-22")
    one = next(each for each in found["rules"] if each["id"] == "E-06")
    figure = next(each for each in one["parameters"] if each["unit"] == "EUR")
    assert (figure["value"], figure["status"], figure["from"]) == ("3000000000", "confirmed", "2012-12-24")
    assert (one["owner"], one["review_due"]) == ("trading compliance", False)
    assert next(each["reason"] for each in found["unbuilt"] if each["id"] == "R-12").startswith("answered elsewhere")
    later = await office.told("GET", "/v1/rules/E-06?as_of=2027-11-23&scenario=emir-3")
    assert (later["review_due"], later["parameters"][0]["value"]) == (True, "4000000000")


async def test_a_run_is_proven_and_recomputed_from_its_bundle(office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"reported_on": "2026-01-19", "uti": OWN + "X", "cleared": False})
    run = await office.told("POST", "/v1/rules/run", {"scenarios": ["as-stated"]})
    for one in run["areas"]:
        reply = await office.ask("GET", f"/v1/evidence/{one['evidence']}/bundle")
        assert reply.status_code == 200, reply.text
        file = tmp_path / f"{one['area']}.qzb"
        file.write_bytes(reply.content)
        assert recompute.main([str(file)]) == 0, capsys.readouterr().out
        assert "EQUAL: 1 rows computed again" in capsys.readouterr().out


async def test_a_run_and_what_was_handed_in_outlive_the_hub(run_hub: RunHub) -> None:
    async with run_hub() as hub:
        office = await Office(hub).open()
        await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"reported_on": "2026-01-19"})
        await office.told("POST", "/v1/rules/run", {})
        found = await office.findings()
    async with run_hub() as hub:
        office.hub = hub
        assert await office.findings() == found
        assert (await office.told("GET", "/v1/facts/Derivative/deal/D-1"))["facts"] == {"reported_on": "2026-01-19"}


async def test_another_tenant_sees_neither_facts_nor_findings(office: Office) -> None:
    await office.told("PUT", "/v1/facts/Portfolio/Acme", {"contracts": 99})
    await office.told("POST", "/v1/rules/run", {})
    stranger = Office(office.hub)
    stranger.headers = await office.hub.token("other", scopes=SCOPES)
    assert await stranger.findings() == {}
    assert (await stranger.told("GET", "/v1/facts"))["facts"] == []
    assert (await stranger.ask("GET", "/v1/findings/E-01/deal/D-1")).status_code == 404


async def test_findings_that_one_row_does_not_hold_stand_in_several(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.told("POST", "/v1/rules/run", {})
    whole = await office.findings()
    monkeypatch.setattr(runs, "MOST_FINDINGS", len([one for one in RULES if area_of(one) == "emir"]))
    await office.told("PUT", "/v1/facts/LocalSpend/x", {"service": "catering"})
    run = await office.told("POST", "/v1/rules/run", {})
    assert [one["area"] for one in run["areas"]].count("emir") == 2
    parted = await office.findings()
    assert {key: outcome for key, outcome in parted.items() if key[1] != "x"} == whole
    pages: list[Any] = []
    cursor = ""
    while True:
        page = await office.told("GET", f"/v1/findings?limit=5{cursor}")
        pages += [(one["rule"], one["subject"]) for one in page["findings"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert (len(pages), set(pages)) == (len(parted), set(parted))
    monkeypatch.undo()
    await office.told("POST", "/v1/rules/run", {})
    assert await office.findings() == parted


async def test_a_uti_that_another_deal_uses_is_found_in_a_run_and_when_one_deal_is_explained(office: Office) -> None:
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"uti": OWN + "X"})
    assert (await office.told("GET", "/v1/findings/E-04/deal/D-1"))["outcome"] == "PASS"
    await office.told("PUT", "/v1/facts/Derivative/deal/D-2", {"uti": OWN + "X", "is_derivative": True})
    await office.told("POST", "/v1/rules/run", {})
    found = await office.findings()
    for deal in ("deal/D-1", "deal/D-2"):
        assert found["E-04", deal] == (await office.told("GET", f"/v1/findings/E-04/{deal}"))["outcome"] == "FAIL"
