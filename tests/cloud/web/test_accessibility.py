"""Every page in both languages, both themes and at three widths: axe finds nothing serious, nothing sticks out, and targets are large enough."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.cloud.web.browser import Site, Tab

PAGES = {
    "login": ("", "/"),
    "home": ("trader", "/"),
    "fleet": ("field-engineer", "/fleet"),
    "gateway": ("field-engineer", "/fleet/rig1"),
    "enrol": ("field-engineer", "/enrol"),
    "sites": ("operator", "/sites"),
    "assets": ("operator", "/assets"),
    "asset": ("operator", "/assets/A"),
    "alarms": ("operator", "/alarms"),
    "supply": ("trader", "/supply"),
    "desk": ("trader", "/desk"),
    "risk": ("risk-manager", "/risk"),
    "outages": ("operator", "/outages"),
    "findings": ("compliance-officer", "/compliance"),
    "rules": ("compliance-officer", "/compliance?tab=rules"),
    "rule": ("auditor", "/compliance?tab=rules&open=R-02"),
    "conduct": ("compliance-officer", "/compliance?tab=conduct"),
    "filings": ("compliance-officer", "/compliance?tab=filings"),
    "controls": ("auditor", "/compliance?tab=controls"),
    "esg": ("esg-analyst", "/esg"),
    "verify": ("auditor", "/verify"),
    "admin": ("admin", "/admin"),
    "account": ("operator", "/account"),
}
LOOKS = [("en", "light", 1440), ("ar", "dark", 360), ("en", "dark", 768), ("ar", "light", 1440), ("en", "light", 360)]
LEAST_PX = 24  # WCAG 2.2, 2.5.8
SMALL = """least => [...document.querySelectorAll("button, a[href], input, select, summary, [role=button]")].filter(one => {
  const box = one.getBoundingClientRect();
  if (!box.width || !box.height || one.closest(".skip, dialog:not([open])") || getComputedStyle(one).visibility === "hidden") return false;
  const inText = one.tagName === "A" && getComputedStyle(one).display === "inline" && one.parentElement.textContent.trim() !== one.textContent.trim();
  return !inText && (box.height < least - 0.5 || box.width < least - 0.5);
}).map(one => `${one.outerHTML.slice(0, 120)} ${JSON.stringify(one.getBoundingClientRect())}`)"""


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS, ids=str)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_for_everybody(site: Site, tab: Tab, page: str, language: str, theme: str, width: int) -> None:
    role, path = PAGES[page]
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.look(language, theme)
    if role:
        tab.sign_in(role)
    tab.open(path)
    expect(tab.page.locator("[aria-busy=true], .skeleton")).to_have_count(0)
    tab.fits()
    found = Axe().run(tab.page).response["violations"]
    grave = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found if one["impact"] in ("serious", "critical")]
    assert grave == []
    assert tab.page.evaluate(SMALL, LEAST_PX) == []
    tab.faults = [fault for fault in tab.faults if role or "401" not in fault]  # who is not signed in is told so
