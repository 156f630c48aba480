"""Confirmations and statements over HTTP: deals through the same booking as all others, faults by element."""

from pathlib import Path
from typing import Any

import pytest

from cloud import texts
from cloud.texts import Text
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import execute, slug

DATA = Path(__file__).parents[2] / "data" / "reports"
OURS = "549300KFSLY4U7N3LL12"
GAS = next(DATA.glob("fpml/com-ex14-*.xml")).read_text()
PROFILE = f'[participant]\nname = "Ours"\nlei = "{OURS}"\nparty = "NFC-"\n'
COUNT = "SELECT count(*) FROM deal_version"


class Desk:
    def __init__(self, hub: TestHub, token: dict[str, str]) -> None:
        self.hub, self.token = hub, token

    async def send(self, text: str, path: str = "/v1/deals/fpml", **params: Any) -> Any:
        headers = {**self.token, "content-type": "application/xml"}
        return await self.hub.client.post(path, params={"book": "GAS", **params}, content=text.encode(), headers=headers)


@pytest.fixture
async def desk(hub: TestHub) -> Desk:
    made = Desk(hub, await hub.token(scopes=("read", "write:deals")))
    async with hub.hub.db.tenant(1) as connection:
        await texts.add(connection, 1, Text.PROFILE, PROFILE, 1)
    leg = (await made.send(GAS, dry_run=True)).json()["deal"]["legs"][0]
    calendar = {"product": leg["product"], "place": leg["place"], "first": "2009-01-01", "last": "2010-12-31", "closed": []}
    assert (await hub.client.put("/v1/calendars", json=[calendar], headers=made.token)).status_code == 200
    return made


async def test_a_confirmation_is_booked_once_however_often_it_comes(desk: Desk) -> None:
    first, second = await desk.send(GAS), await desk.send(GAS)
    assert (first.status_code, second.status_code) == (201, 200), first.text
    assert first.json()["deal"] == second.json()["deal"]
    assert (first.json()["stored"], second.json()["stored"], desk.hub.rows(COUNT)) == (True, False, [(1,)])


async def test_a_dry_run_says_the_deal_and_its_faults_and_books_nothing(desk: Desk) -> None:
    right = await desk.send(GAS, dry_run=True)
    assert (right.status_code, right.json()["faults"], right.json()["deal"]["book"]) == (200, [], "GAS")
    other = next(DATA.glob("fpml/com-ex12-*.xml")).read_text()
    assert [one["cause"] for one in (await desk.send(other, dry_run=True)).json()["faults"]] == ["no calendar for product and place"]
    assert desk.hub.rows(COUNT) == [(0,)]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("<unadjustedDate>2009-06-01", "<unadjustedDate>2009-06-31", "unadjustedDate"),
        ("<price>1.2", "<price>NaN", "fixedPrice/price"),
        ("</dataDocument>", "", "document"),
    ],
    ids=["no such day", "no number", "no end"],
)
async def test_a_malformed_confirmation_names_its_element_and_books_nothing(desk: Desk, old: str, new: str, place: str) -> None:
    assert old in GAS
    reply = await desk.send(GAS.replace(old, new))
    assert (reply.status_code, slug(reply)) == (422, "invalid-request")
    assert place in reply.json()["place"]
    assert desk.hub.rows(COUNT) == [(0,)]


async def test_a_changed_confirmation_is_no_second_first_version(desk: Desk) -> None:
    await desk.send(GAS)
    assert slug(await desk.send(GAS.replace("<price>1.2", "<price>1.3"))) == "version-conflict"


async def test_a_book_that_may_not_be_dealt_in_is_closed_to_confirmations_too(desk: Desk) -> None:
    execute(
        desk.hub,
        "INSERT INTO order_block (tenant_id, event, message, unit, books, since_us) VALUES (1, 'E-1', 1, 'Block 1', '{GAS}', 1)",
    )
    reply = await desk.send(GAS)
    assert (reply.status_code, slug(reply), desk.hub.rows(COUNT)) == (409, "order-blocked", [(0,)])


async def test_without_an_lei_of_ours_no_side_is_guessed(hub: TestHub) -> None:
    reply = await Desk(hub, await hub.token(scopes=("write:deals",))).send(GAS)
    assert (reply.status_code, slug(reply)) == (409, "conflict")


async def test_a_statement_is_listed_with_its_layers(desk: Desk) -> None:
    text = (DATA / "iso20022" / "camt053_001_02.xml").read_text()
    told = (await desk.send(text, "/v1/statements")).json()
    assert len(told["layers"]) == 4
    assert told["statements"][0]["entries"]
    reply = await desk.send("<Document/>", "/v1/statements")
    assert (reply.status_code, slug(reply)) == (422, "invalid-request")
