"""The frame of the pages in a real browser: the way in, the address, keys, languages, and a hub that goes away."""

import re
import time

from playwright.sync_api import Route, expect

from cloud.identity import totp
from tests.cloud.identity.people import PASSWORD, Browser, add_person
from tests.cloud.web.browser import Site, Tab


def test_a_person_signs_in_with_a_one_time_code_and_sees_their_pages(site: Site, tab: Tab) -> None:
    async def with_totp(hub: object) -> bytes:
        from cloud.identity.roles import Role

        await add_person(hub, "tessa", Role.TRADER)  # type: ignore[arg-type]
        browser = Browser(hub.client)  # type: ignore[attr-defined]
        await browser.sign_in("tessa")
        key, _ = await browser.set_up_totp(int(time.time()))
        return key

    key = site.run(with_totp)  # type: ignore[arg-type]
    tab.page.goto(f"{site.url}/fleet")
    tab.page.get_by_label("Name").fill("tessa")
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Sign in").click()
    tab.page.get_by_label("One-time code").fill(totp.code(key, int(time.time()) + 30))
    tab.page.get_by_role("button", name="Continue").click()
    expect(tab.page).to_have_title(re.compile("Fleet"))
    assert tab.page.url == f"{site.url}/fleet"
    tab.faults = [fault for fault in tab.faults if "401" not in fault]  # nobody was signed in at first


def test_a_wrong_password_is_told_and_nothing_else(site: Site, tab: Tab) -> None:
    tab.page.goto(site.url)
    tab.page.get_by_label("Name").fill("trader")
    tab.page.get_by_label("Password").fill("not the password")
    tab.page.get_by_role("button", name="Sign in").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("name, password or code are not right")
    assert {fault for fault in tab.faults if "401" not in fault} == set()
    tab.faults.clear()


def test_the_navigation_has_what_the_role_may_open(tab: Tab) -> None:
    tab.sign_in("field-engineer")
    tab.open("/")
    names = tab.page.locator("nav.pages a").all_inner_texts()
    assert "Fleet" in names
    assert not {"Risk", "Desk", "Admin"} & set(names)


def test_the_language_and_the_theme_are_those_of_the_first_paint_and_can_be_changed(tab: Tab) -> None:
    tab.look("ar", "dark")
    tab.sign_in("operator")
    tab.open("/")
    html = tab.page.locator("html")
    expect(html).to_have_attribute("dir", "rtl")
    expect(html).to_have_attribute("data-theme", "dark")
    tab.page.get_by_role("button", name="English").click()
    expect(html).to_have_attribute("dir", "ltr")
    expect(tab.page.get_by_role("heading", name="What needs you")).to_be_visible()
    tab.page.reload()
    expect(html).to_have_attribute("lang", "en")


def test_keys_open_the_help_the_palette_and_the_pages(tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/")
    tab.page.keyboard.press("?")
    expect(tab.page.get_by_role("dialog", name="Keys")).to_be_visible()
    tab.page.keyboard.press("Escape")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    tab.page.keyboard.press("Control+k")
    tab.page.keyboard.type("fleet")
    tab.page.keyboard.press("Enter")
    expect(tab.page).to_have_url(re.compile("/fleet"))
    tab.page.go_back()
    expect(tab.page.get_by_role("heading", name="What needs you")).to_be_visible()
    tab.page.keyboard.press("g")
    tab.page.keyboard.press("f")
    expect(tab.page).to_have_url(re.compile("/fleet"))


def test_the_range_stands_in_the_address_and_goes_from_page_to_page(tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/")
    tab.page.get_by_label("Time range").get_by_role("combobox").select_option("24h")
    expect(tab.page).to_have_url(re.compile("range=24h"))
    tab.page.get_by_role("link", name="Fleet").click()
    expect(tab.page).to_have_url(re.compile("/fleet.*range=24h"))
    tab.page.reload()
    expect(tab.page.get_by_label("Time range").get_by_role("combobox")).to_have_value("24h")


def test_everything_comes_from_the_hub_itself(site: Site, tab: Tab) -> None:
    tab.sign_in("trader")
    tab.open("/")
    expect(tab.page.get_by_text("LIVE")).to_be_visible()
    assert tab.requests
    assert all(url.startswith(site.url) for url in tab.requests)


def test_a_session_that_was_ended_elsewhere_shows_the_way_in_and_keeps_the_address(site: Site, tab: Tab) -> None:
    tab.sign_in("auditor")
    tab.open("/fleet")
    site.run(_end_sessions)
    tab.page.reload()
    expect(tab.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert tab.page.url.endswith("/fleet")
    tab.faults.clear()


async def _end_sessions(hub: object) -> None:
    import psycopg

    with psycopg.connect(hub.database_url, autocommit=True) as connection:  # type: ignore[attr-defined]
        connection.execute("UPDATE session SET ended_us = 1")


def test_many_tabs_share_one_stream_and_another_takes_over_when_the_first_is_closed(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/")
    expect(tab.page.get_by_text("LIVE")).to_be_visible()
    more = [tab.context.new_page() for _ in range(7)]  # with a stream each, the hub would not be reached any more
    asked: list[str] = []
    for page in more:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(site.url)
        expect(page.get_by_text("LIVE")).to_be_visible()
        expect(page.get_by_text("newest sample")).to_be_visible()
    assert not any(url.endswith("/v1/stream") for url in asked)
    tab.page.close()
    for _ in range(100):
        if any(url.endswith("/v1/stream") for url in asked):
            break
        more[0].wait_for_timeout(50)
    assert sum(url.endswith("/v1/stream") for url in asked) == 1
    for page in more:
        expect(page.get_by_text("LIVE")).to_be_visible()


def test_a_tenant_without_a_provider_of_its_own_says_so_on_the_way_in(site: Site, tab: Tab) -> None:
    tab.page.goto(site.url)
    tab.page.locator("summary").click()
    tab.page.get_by_role("button", name="Sign in with the company's account").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("no such way in")
    tab.faults.clear()  # the refusals of the session and of the provider


def test_a_tenant_with_a_provider_sends_the_browser_there_and_back_to_the_page(site: Site, tab: Tab) -> None:
    asked: list[str] = []

    def provider(route: Route) -> None:
        asked.append(route.request.url)
        if route.request.resource_type == "document":
            route.fulfill(status=200, content_type="text/html", body="<h1>the company's sign-in</h1>")
        else:
            route.fulfill(status=303, headers={"location": "/"})

    tab.page.goto(f"{site.url}/alarms")
    tab.page.route("**/v1/oidc/default/login*", provider)
    tab.page.locator("summary").click()
    tab.page.get_by_role("button", name="Sign in with the company's account").click()
    expect(tab.page.get_by_role("heading", name="the company's sign-in")).to_be_visible()
    assert all(url.endswith("?to=%2Falarms") for url in asked)
    tab.faults.clear()
