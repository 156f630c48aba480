"""What axe finds serious or critical on the page as it stands, and targets that are too small to hit."""

from axe_playwright_python.sync_playwright import Axe

from tests.cloud.web.browser import Tab
from tests.cloud.web.test_accessibility import LEAST_PX, SMALL


def grave(tab: Tab) -> list[str]:
    found = Axe().run(tab.page).response["violations"]
    told = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found if one["impact"] in ("serious", "critical")]
    return [*told, *tab.page.evaluate(SMALL, LEAST_PX)]
