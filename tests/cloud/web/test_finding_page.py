"""A finding opened in a browser: a page without scripts, whose look the hub's content policy lets in."""

from tests.cloud.conftest import TestHub
from tests.cloud.web.browser import Site, Tab


def test_a_finding_looks_as_it_is_meant_to_under_the_content_policy(site: Site, tab: Tab) -> None:
    async def register(hub: TestHub) -> None:
        token = await hub.token(scopes=("write:compliance",))
        facts = {"service": "catering", "share_pct": "90"}
        reply = await hub.client.put("/v1/facts/LocalSpend/canteen", json=facts, headers=token)
        assert reply.status_code < 300, reply.text

    site.run(register)
    tab.sign_in("compliance-officer")
    told: list[str] = []
    tab.page.on("console", lambda message: told.append(message.text))
    tab.page.goto(f"{site.url}/v1/findings/G-09/canteen")
    assert tab.page.locator("h1").inner_text().startswith("G-09 ")
    look = "element => [getComputedStyle(element).borderCollapse, getComputedStyle(element.querySelector('td')).borderTopWidth]"
    assert tab.page.locator("table").first.evaluate(look) == ["collapse", "1px"]
    assert [text for text in told if "Content Security Policy" in text] == []
