"""The whole way: an asset fails, its message is drafted, confirmed, agreed to by somebody else, published, and ended."""

from cloud.reports import umm
from tests.cloud.conftest import TestHub
from tests.cloud.disclosure.field import EVENT, open_field
from tests.cloud.identity.people import slug


async def test_a_failed_well_becomes_a_published_message(hub: TestHub) -> None:
    field = await open_field(hub)
    drafted = await field.draft()
    message = drafted["message"]
    assert (message["unavailable"], message["available"], message["installed"]) == ("60", "40", "100")
    assert message["unavailability"] == "Unplanned"
    assert drafted["judgement"] == "disclose"
    assert drafted["blocks_orders"]
    assert "health" in message["reason"]
    confirmed = await field.step(field.olga, "confirmation", {"remarks": "valve closed, seen on site"})
    assert confirmed.status_code == 200, confirmed.text
    assert confirmed.json()["clock"]["left_s"] > 3_500
    assert confirmed.json()["clock"]["status"] == "unconfirmed"
    asked = await field.step(field.olga, "publication")
    assert asked.json()["state"] == "publication asked"
    refused = await field.agree(field.olga, asked.json()["approval"])
    assert slug(refused) == "forbidden"
    assert (await field.agree(field.carl, asked.json()["approval"])).status_code == 200
    published = await field.event("published")
    assert not published["blocks_orders"]
    feed = await hub.client.get("/v1/umm.atom", headers=field.token)
    (told,) = umm.read_feed(feed.content)
    assert (told.id, told.remarks) == (f"{EVENT}_001", "valve closed, seen on site")
