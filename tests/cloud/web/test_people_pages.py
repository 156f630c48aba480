"""One's own account and the pages of admins, in a real browser."""

import base64
import itertools
import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from cloud.identity import totp
from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import PASSWORD, add_person, execute
from tests.cloud.web.axe import grave
from tests.cloud.web.browser import Site, Tab

NUMBERS = itertools.count()


def somebody(site: Site, role: Role) -> str:
    """A new person of the role, who belongs to one test."""
    name = f"{role.value.replace('_', '-')}-{next(NUMBERS)}"

    async def add(hub: TestHub) -> None:
        await add_person(hub, name, role)

    site.run(add)
    return name


def arrive(tab: Tab, site: Site, role: Role, path: str) -> str:
    name = somebody(site, role)
    tab.sign_in(name)
    tab.open(path)
    return name


def dialog(page: Page, name: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("dialog", name=name, exact=isinstance(name, str))


def quiet(tab: Tab, *codes: str) -> None:
    """Answers that the test asked for are no faults of the page."""
    tab.faults = [fault for fault in tab.faults if not any(code in fault for code in codes)]


def test_preferences_hold_after_a_reload_and_on_another_machine(site: Site, tab: Tab) -> None:
    name = arrive(tab, site, Role.TRADER, "/account")
    tab.page.get_by_label("Gains and losses").select_option("green-red")
    expect(tab.page.locator("html")).to_have_attribute("data-gains", "green-red")
    tab.page.get_by_label("Time zone").select_option("America/Guyana")
    expect(tab.page.get_by_role("status").filter(has_text="Kept").first).to_be_visible()
    site.until(lambda: tab.context.request.get(f"{site.url}/v1/session").json()["preferences"].get("zone") == "America/Guyana", "the zone")
    tab.context.clear_cookies()
    tab.sign_in(name)
    tab.open("/account")
    expect(tab.page.get_by_label("Time zone")).to_have_value("America/Guyana")
    expect(tab.page.locator("html")).to_have_attribute("data-gains", "green-red")
    quiet(tab, "404", "401")


def test_a_password_is_changed_and_the_old_one_is_worth_nothing(site: Site, tab: Tab) -> None:
    name = arrive(tab, site, Role.OPERATOR, "/account")
    tab.page.get_by_label("Present password").fill(PASSWORD)
    tab.page.locator("input[name=fresh]").fill("a much longer password 17")
    tab.page.get_by_label("New password again").fill("a much longer passwort 17")
    tab.page.get_by_role("button", name="Change password").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("differ")
    tab.page.get_by_label("New password again").fill("a much longer password 17")
    tab.page.get_by_role("button", name="Change password").click()
    expect(tab.page.get_by_role("status").filter(has_text="The password was changed")).to_be_visible()
    fresh = tab.context.request
    assert fresh.post(f"{site.url}/v1/session", data={"name": name, "password": PASSWORD}).status == 401
    assert fresh.post(f"{site.url}/v1/session", data={"name": name, "password": "a much longer password 17"}).status == 201
    quiet(tab, "404")


def test_one_time_codes_are_set_up_and_recovery_codes_are_shown_once(site: Site, tab: Tab) -> None:
    name = arrive(tab, site, Role.TRADER, "/account")
    tab.page.get_by_role("button", name="Set up one-time codes").click()
    setting_up = dialog(tab.page, "Set up one-time codes")
    expect(setting_up.get_by_role("img", name="Picture of the key")).to_be_visible()
    key = setting_up.locator("code.key").inner_text().replace(" ", "")
    uri = setting_up.get_by_role("link").get_attribute("href")
    assert uri is not None
    assert uri.startswith("otpauth://totp/")
    assert f"secret={key}" in uri
    setting_up.get_by_label("One-time code").fill("000000")
    setting_up.get_by_role("button", name="Turn on").click()
    expect(setting_up.get_by_role("alert")).to_contain_text("the code does not fit")
    setting_up.get_by_label("One-time code").fill(code_of(key))
    setting_up.get_by_role("button", name="Turn on").click()
    shown = dialog(tab.page, "Recovery codes")
    expect(shown.get_by_role("listitem")).to_have_count(10)
    first = shown.get_by_role("listitem").first.inner_text()
    with tab.page.expect_download() as kept:
        shown.get_by_role("button", name="Download").click()
    assert first in kept.value.path().read_text()
    shown.get_by_role("button", name="I have kept them").click()
    expect(tab.page.locator("main")).not_to_contain_text(first)
    expect(tab.page.get_by_role("button", name="Turn off")).to_be_visible()
    assert tab.context.request.post(f"{site.url}/v1/session", data={"name": name, "password": PASSWORD}).status == 202
    quiet(tab, "401", "404")


def code_of(key: str) -> str:
    return totp.code(base64.b32decode(key), int(time.time()))


def with_authenticator(tab: Tab) -> None:
    """A passkey of this machine that says yes; passkeys need a name for the host, numbers are none."""
    session = tab.context.new_cdp_session(tab.page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, "automaticPresenceSimulation": True}})
    tab.site = Site(tab.site.url.replace("127.0.0.1", "localhost"), tab.site.database_url)


def test_a_passkey_is_added_signs_in_and_steps_up(site: Site, tab: Tab) -> None:
    with_authenticator(tab)
    name = arrive(tab, site, Role.ADMIN, "/account")
    passkeys = tab.page.get_by_role("region", name="Passkeys")
    passkeys.get_by_label("Name of the new passkey").fill("this machine")
    passkeys.get_by_role("button", name="Add a passkey").click()
    dialog(tab.page, "Recovery codes").get_by_role("button", name="I have kept them").click()
    expect(passkeys.get_by_role("listitem")).to_contain_text("this machine")
    tab.context.clear_cookies()
    tab.page.goto(f"{tab.site.url}/account")
    tab.page.get_by_label("Name").fill(name)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Sign in").click()
    tab.page.get_by_role("button", name="Use a passkey").click()
    expect(tab.page.get_by_role("heading", name="My account")).to_be_visible()
    site.run(make_stale)
    passkeys.get_by_role("button", name="Remove this machine").click()
    dialog(tab.page, "Prove that it is you").get_by_role("button", name="Use a passkey").click()
    expect(passkeys).to_contain_text("None yet.")
    quiet(tab, "401", "403")


async def make_stale(hub: TestHub) -> None:
    """As if everybody had proved themselves an hour ago."""
    execute(hub, "UPDATE session SET strong_us = strong_us - 3600000000")


QR_TEXTS = [
    "a",
    "otpauth://totp/Qenergyz:default:trader?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Qenergyz&digits=6&period=30",
    "x" * 230,
    "y" * 271,
]


def test_the_picture_of_a_text_reads_back_as_the_text(tab: Tab) -> None:
    tab.sign_in("trader")
    tab.open("/account")
    draw = "async (texts) => { const { modules } = await import('/people/qr.mjs'); return texts.map(modules); }"
    *grids, too_long = tab.page.evaluate(draw, [*QR_TEXTS, "z" * 272])
    assert [read_qr(grid) for grid in grids] == QR_TEXTS
    assert too_long is None
    quiet(tab, "404")


BLOCKS = {
    1: (7, [19]),
    2: (10, [34]),
    3: (15, [55]),
    4: (20, [80]),
    5: (26, [108]),
    6: (18, [68] * 2),
    7: (20, [78] * 2),
    8: (24, [97] * 2),
    9: (30, [116] * 2),
}
BLOCKS |= {10: (18, [68, 68, 69, 69])}
CENTRES = {2: [6, 18], 3: [6, 22], 4: [6, 26], 5: [6, 30], 6: [6, 34], 7: [6, 22, 38], 8: [6, 24, 42], 9: [6, 26, 46], 10: [6, 28, 50]}


def fixed(size: int, version: int) -> set[tuple[int, int]]:
    """Where no data stand: finders with format, timing, alignment, version."""
    found = {(row, column) for row in range(9) for column in range(9)}
    found |= {(row, column) for row in range(9) for column in range(size - 8, size)} | {
        (row, column) for row in range(size - 8, size) for column in range(9)
    }
    found |= {(6, at) for at in range(size)} | {(at, 6) for at in range(size)}
    for row, column in itertools.product(CENTRES.get(version, []), repeat=2):
        if (row, column) not in ((6, 6), (6, size - 7), (size - 7, 6)):
            found |= {(row + y, column + x) for y in range(-2, 3) for x in range(-2, 3)}
    if version >= 7:
        found |= {(row, column) for row in range(6) for column in range(size - 11, size - 8)}
        found |= {(column, row) for row in range(6) for column in range(size - 11, size - 8)}
    return found


def read_qr(grid: list[list[int]]) -> str:
    """By the standard, for level L and mask 0, both of which the format must say; every block must be free of errors."""
    size = len(grid)
    version = (size - 17) // 4
    assert int("".join(str(grid[8][at]) for at in (0, 1, 2, 3, 4, 5, 7, 8)), 2) == 0b11101111
    taken, bits, up = fixed(size, version), [], True
    for right in [at for at in range(size - 1, 0, -2) if at > 6] + [5, 3, 1]:
        for row in range(size - 1, -1, -1) if up else range(size):
            bits += [grid[row][column] ^ ((row + column) % 2 == 0) for column in (right, right - 1) if (row, column) not in taken]
        up = not up
    stream = [int("".join(str(int(bit)) for bit in bits[at : at + 8]), 2) for at in range(0, len(bits) - 7, 8)]
    checks, lengths = BLOCKS[version]
    blocks: list[list[int]] = [[] for _ in lengths]
    at = 0
    for column in range(max(lengths)):
        for block, length in zip(blocks, lengths, strict=True):
            if column < length:
                block.append(stream[at])
                at += 1
    data = [byte for block in blocks for byte in block]
    for _ in range(checks):
        for block in blocks:
            block.append(stream[at])
            at += 1
    assert all(syndromes(block, checks) == [0] * checks for block in blocks)
    text = "".join(f"{byte:08b}" for byte in data)
    width = 8 if version < 10 else 16
    assert text[:4] == "0100"
    length = int(text[4 : 4 + width], 2)
    return bytes(int(text[4 + width + 8 * n : 12 + width + 8 * n], 2) for n in range(length)).decode()


def multiplied(one: int, other: int) -> int:
    found = 0
    for bit in range(8):
        if other >> bit & 1:
            found ^= one << bit
    for bit in range(14, 7, -1):
        if found >> bit & 1:
            found ^= 0x11D << (bit - 8)
    return found


def syndromes(block: list[int], count: int) -> list[int]:
    found, power = [], 1
    for _ in range(count):
        value = 0
        for byte in block:
            value = multiplied(value, power) ^ byte
        found.append(value)
        power = multiplied(power, 2)
    return found


def test_another_session_is_seen_and_ended(site: Site, tab: Tab) -> None:
    name = somebody(site, Role.OPERATOR)
    tab.sign_in(name)
    with tab.page.context.browser.new_context() as other:  # type: ignore[union-attr]
        assert other.request.post(f"{site.url}/v1/session", data={"name": name, "password": PASSWORD}).status == 201
        tab.open("/account")
        table = tab.page.locator("section.table[aria-label=Sessions]")
        expect(table.locator("tbody tr")).to_have_count(2)
        table.get_by_role("button", name="End", exact=True).click()
        expect(table.locator("tbody tr")).to_have_count(1)
        assert other.request.get(f"{site.url}/v1/session").status == 401
    quiet(tab, "404")


def test_an_invited_person_comes_in_by_the_address(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/admin")
    name = f"guest-{next(NUMBERS)}"
    tab.page.get_by_role("button", name="Invite somebody").click()
    form = dialog(tab.page, "Invite somebody")
    form.get_by_label("Name to sign in with").fill(name)
    form.get_by_label("Shown as").fill("A guest")
    form.get_by_label("Role").select_option("esg_analyst")
    form.get_by_role("button", name="Invite", exact=True).click()
    address = dialog(tab.page, "Address of the invitation").get_by_role("textbox").input_value()
    assert address.startswith(f"{site.url}/welcome?tenant=default#invitation=")
    dialog(tab.page, "Address of the invitation").get_by_role("button", name="Close").click()
    expect(tab.page.locator("section.table[aria-label=People]")).to_contain_text(name)
    with tab.page.context.browser.new_context() as other:  # type: ignore[union-attr]
        page = other.new_page()
        page.goto(address)
        page.get_by_label("New password").fill("a password of the guest 17")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("header .who")).to_contain_text("A guest")


def test_two_admins_who_change_one_person_do_not_overwrite_each_other(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/account")
    other = somebody(site, Role.OPERATOR)
    tab.open(f"/admin?person={other}")
    mine = dialog(tab.page, other)
    expect(mine.get_by_label("Shown as")).to_be_visible()
    person = next(one for one in tab.context.request.get(f"{site.url}/v1/people?limit=500").json()["people"] if one["name"] == other)
    csrf = tab.context.request.get(f"{site.url}/v1/session").json()["csrf"]
    faster = tab.context.request.patch(
        f"{site.url}/v1/people/{person['id']}",
        data={"display": "Changed by another"},
        headers={"x-csrf": csrf, "if-match": f'"{person["version"]}"'},
    )
    assert faster.status == 200
    mine.get_by_label("Role").select_option("auditor")
    mine.get_by_role("button", name="Keep").click()
    expect(mine.get_by_role("alert")).to_contain_text("Somebody else changed this meanwhile")
    expect(mine.get_by_role("alert")).to_contain_text("Changed by another")
    expect(mine.get_by_label("Shown as")).to_have_value("Changed by another")
    expect(mine.get_by_label("Role")).to_have_value("operator")
    mine.get_by_label("Role").select_option("auditor")
    mine.get_by_role("button", name="Keep").click()
    expect(mine.get_by_role("alert")).to_have_count(0)
    expect(mine.get_by_label("Role")).to_have_value("auditor")
    quiet(tab, "412", "404")


def test_what_cannot_be_undone_asks_for_the_name(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/account")
    other = somebody(site, Role.OPERATOR)
    tab.open(f"/admin?person={other}")
    dialog(tab.page, other).get_by_role("button", name="Reset", exact=True).click()
    sure = dialog(tab.page, "Reset")
    act = sure.get_by_role("button", name="Reset", exact=True)
    expect(act).to_be_disabled()
    sure.get_by_role("textbox").fill("somebody else")
    expect(act).to_be_disabled()
    sure.get_by_role("textbox").fill(other)
    act.click()
    expect(dialog(tab.page, "Address of the invitation")).to_be_visible()
    assert tab.context.request.post(f"{site.url}/v1/session", data={"name": other, "password": PASSWORD}).status == 401
    quiet(tab, "404")


def test_an_admin_comes_in_only_when_a_second_person_agrees(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/account")
    other = somebody(site, Role.OPERATOR)
    tab.open(f"/admin?person={other}")
    mine = dialog(tab.page, other)
    mine.get_by_label("Role").select_option("admin")
    mine.get_by_role("button", name="Keep").click()
    expect(tab.page.get_by_role("status").filter(has_text="waits for a second person")).to_be_visible()
    tab.open("/admin?part=approvals")
    table = tab.page.locator("section.table[aria-label=Approvals]")
    table.locator("tr", has_text=other).get_by_role("button").first.click()
    expect(tab.page.get_by_role("dialog")).to_contain_text("You asked for this")
    officer = somebody(site, Role.COMPLIANCE_OFFICER)
    with tab.page.context.browser.new_context() as second:  # type: ignore[union-attr]
        second.request.post(f"{site.url}/v1/session", data={"name": officer, "password": PASSWORD})
        page = second.new_page()
        page.goto(f"{site.url}/approvals")
        page.locator("section.table[aria-label=Approvals] tr", has_text=other).get_by_role("button").first.click()
        page.get_by_role("dialog").get_by_label("Reason").fill("agreed at the meeting")
        page.get_by_role("dialog").get_by_role("button", name="Agree").click()
        expect(page.get_by_role("status").filter(has_text="Agreed, and done")).to_be_visible()
    people = tab.context.request.get(f"{site.url}/v1/people?limit=500").json()["people"]
    assert {one["name"]: one["role"] for one in people}[other] == "admin"
    quiet(tab, "404")


def test_a_token_is_shown_once_works_and_is_ended_by_its_name(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/admin?part=tokens")
    tab.page.get_by_role("button", name="New API token").click()
    form = dialog(tab.page, "New API token")
    form.get_by_label("What it is for").fill("a picture of tags")
    form.get_by_label("read:field").check()
    form.get_by_role("button", name="Make").click()
    shown = dialog(tab.page, "API token")
    token = shown.get_by_role("textbox").input_value()
    shown.get_by_role("button", name="Close").click()
    bearer = {"authorization": f"Bearer {token}", "cookie": ""}
    assert tab.context.request.get(f"{site.url}/v1/tags", headers=bearer).status == 200
    assert token not in tab.page.content()
    tab.page.locator("tr", has_text="a picture of tags").get_by_role("button", name="End").click()
    dialog(tab.page, "End").get_by_role("textbox").fill("a picture of tags")
    dialog(tab.page, "End").get_by_role("button", name="End").click()
    expect(tab.page.locator("tr", has_text="a picture of tags")).to_have_count(0)


def test_a_voucher_is_made_and_listed_without_its_secret(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/admin?part=vouchers")
    tab.page.get_by_label("Gateway to enrol").fill("rig-17")
    tab.page.get_by_role("button", name="Make a voucher").click()
    secret = dialog(tab.page, "Voucher").get_by_role("textbox").input_value()
    dialog(tab.page, "Voucher").get_by_role("button", name="Close").click()
    expect(tab.page.locator("section.table[aria-label='Open vouchers']")).to_contain_text("rig-17")
    assert secret not in tab.page.content()


def test_settings_of_the_tenant_are_kept_and_the_loser_is_told(site: Site, tab: Tab) -> None:
    arrive(tab, site, Role.ADMIN, "/admin?part=tenant")
    people = tab.page.get_by_label("Most people")
    people.fill("400")
    tab.page.get_by_label("Jurisdiction").select_option("GY")
    tab.page.get_by_role("button", name="Keep").click()
    expect(tab.page.get_by_role("heading", name="Settings of the tenant")).to_contain_text(re.compile(r"version [1-9]"))
    before = tab.context.request.get(f"{site.url}/v1/tenant").json()
    assert (before["people"], before["jurisdiction"]) == (400, "GY")
    csrf = tab.context.request.get(f"{site.url}/v1/session").json()["csrf"]
    body = {key: value for key, value in before.items() if key not in ("tenant", "version")} | {"people": 350}
    faster = tab.context.request.put(f"{site.url}/v1/tenant", data=body, headers={"x-csrf": csrf, "if-match": f'"{before["version"]}"'})
    assert faster.status == 200
    people.fill("300")
    tab.page.get_by_role("button", name="Keep").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("400 → 350")
    expect(people).to_have_value("350")
    quiet(tab, "412")


def test_the_journal_tells_who_did_what_with_the_digest_in_the_log(site: Site, tab: Tab) -> None:
    name = arrive(tab, site, Role.ADMIN, "/account")
    other = somebody(site, Role.OPERATOR)
    tab.open(f"/admin?person={other}")
    dialog(tab.page, other).get_by_role("button", name="Disable").click()
    expect(dialog(tab.page, other).get_by_role("button", name="Enable")).to_be_visible()
    tab.open("/admin?part=journal")
    newest = site.until(
        lambda: next(
            (one for one in tab.context.request.get(f"{site.url}/v1/journal").json()["journal"] if one["subject_name"] == other), None
        ),
        "the action",
    )
    row = tab.page.locator("section.table[aria-label=Journal] tr", has_text=other)
    expect(row).to_contain_text(name)
    assert newest is not None
    expect(row).to_contain_text(newest["digest"][:16])
    quiet(tab, "404")


@pytest.mark.parametrize(("width", "language"), [(360, "ar"), (768, "en"), (1440, "ar")])
def test_the_pages_fit_their_window(tab: Tab, width: int, language: str) -> None:
    tab.look(language, "dark")
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.sign_in("admin")
    for path in ("/account", "/admin", "/admin?part=tenant", "/admin?part=tokens", "/approvals"):
        tab.open(path)
        expect(tab.page.locator("main section").first).to_be_visible()
        tab.fits()
    quiet(tab, "404")


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("ar", "dark")])
def test_parts_and_dialogs_of_the_admin_page_are_for_everybody(tab: Tab, language: str, theme: str) -> None:
    tab.look(language, theme)
    tab.sign_in("admin")
    for query in ("part=approvals", "part=tokens", "part=vouchers", "part=tenant", "part=journal", "person=operator"):
        tab.open(f"/admin?{query}")
        expect(tab.page.locator("[aria-busy=true], .skeleton")).to_have_count(0)
        assert grave(tab) == [], query
    expect(tab.page.get_by_role("dialog")).to_have_count(1)
