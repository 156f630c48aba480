"""What the first load of every page costs: few requests, few bytes.

Counted as a browser does in a context of its own: document, modules, styles, calls of the API and the stream, until nothing more is asked for
in QUIET_MS. What the worker of the offline shell fetches afterwards is not counted.
"""

import gzip
import time
from urllib.parse import urlsplit

import pytest

from tests.cloud.web.browser import Site, Tab
from tests.cloud.web.test_accessibility import PAGES

MOST_REQUESTS = 15
MOST_BYTES = 120_000  # of files, compressed
QUIET_MS = 1_500
WORKER = ("/sw.js", "/offline.mjs")


def settled(tab: Tab) -> list[str]:
    """Addresses in the order in which they were asked for."""
    deadline, quiet_s, known = time.monotonic() + 30, time.monotonic(), 0
    while time.monotonic() - quiet_s < QUIET_MS / 1000:
        tab.page.wait_for_timeout(50)
        if len(tab.requests) != known:
            known, quiet_s = len(tab.requests), time.monotonic()
        assert quiet_s < deadline, f"requests go on and on: {tab.requests[-5:]}"
    return [urlsplit(url)._replace(scheme="", netloc="").geturl() for url in tab.requests]


@pytest.mark.parametrize("page", PAGES)
def test_the_first_load_of_a_page_is_small(site: Site, tab: Tab, page: str) -> None:
    role, path = PAGES[page]
    if role:
        tab.sign_in(role)
    tab.open(path)
    asked = [url for url in settled(tab) if url not in WORKER]
    tab.faults = [fault for fault in tab.faults if role or "401" not in fault]  # who is not signed in is told so
    files = [tab.context.request.get(f"{site.url}{url}").body() for url in set(asked) if not url.startswith("/v1/")]
    assert len(asked) <= MOST_REQUESTS, asked
    assert sum(len(gzip.compress(body, mtime=0)) for body in files) < MOST_BYTES
