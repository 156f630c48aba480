"""A hub that is really served, with a field and a desk in it, and a real browser to look at its pages.

    def test_...(site: Site, tab: Tab) -> None:
        tab.sign_in("operator")
        tab.open("/alarms")

One hub and one browser per test process; what a test changes in the hub it changes for the tests after it, so tests assert what they
did themselves. Playwright drives Debian's chromium; nothing else is downloaded.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import httpx
import uvicorn
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from cloud.app import create_app
from cloud.config import HubConfig
from cloud.db import Database
from cloud.identity.roles import Role
from tests.cloud.conftest import LIMITS, TestHub
from tests.cloud.disclosure.field import PROFILE
from tests.cloud.esg.field import PNEUMATICS
from tests.cloud.identity.people import PASSWORD, add_person
from tests.cloud.reaction.desk import Desk

CHROMIUM: Final = Path("/usr/bin/chromium")
PATIENCE_MS: Final = 15_000
TITLE: Final = 'title = "Sources of the field"\n'
T = TypeVar("T")


@dataclass
class Site:
    """The hub at `url`; `run` does something with the means of an operator (`TestHub`) and of a field (`Desk`)."""

    url: str
    database_url: str
    token: dict[str, str] = field(default_factory=dict)
    _desk: dict[str, Any] = field(default_factory=dict)

    def run(self, work: Callable[[TestHub], Awaitable[T]]) -> T:
        async def go() -> T:
            async with Database(self.database_url, LIMITS) as db, httpx.AsyncClient(base_url=self.url, timeout=30) as client:
                shim: Any = SimpleNamespace(db=db, config=SimpleNamespace(name="hub.localhost"))
                return await work(TestHub(shim, client, self.database_url))

        with ThreadPoolExecutor(1) as thread:  # playwright's own loop runs in this one
            return thread.submit(asyncio.run, go()).result()

    def get(self, path: str, **parameters: Any) -> Any:
        reply = httpx.get(f"{self.url}{path}", params=parameters, headers=self.token, timeout=30)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def until(self, holds: Callable[[], T], what: str) -> T:
        """The first answer that is true."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if found := holds():
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited 30 s for {what}")

    def open_desk(self) -> None:
        """Two wells on two rigs, their model, a book, who tells the market of them, a source of emissions, and results down to the risk."""

        async def fill(hub: TestHub) -> None:
            desk = await Desk(hub).open()
            await _hand_in(hub)
            await desk.send(12)
            self._desk["second"], self._desk["rigs"], self.token = desk.second, desk.rigs, desk.token
            for role in Role:
                await add_person(hub, role.value.replace("_", "-"), role)

        self.run(fill)
        self.until(lambda: {"health", "forecast", "risk"} <= {one["kind"] for one in self.get("/v1/results")}, "results")

    def send(self, seconds: int = 5, offset: float = 0.0, rigs: tuple[str, ...] = ("rig1", "rig2")) -> None:
        """More samples of both wells; those of rig1 are moved by `offset`."""

        async def more(hub: TestHub) -> None:
            desk = Desk(hub, self.token, self._desk["rigs"], self._desk["second"])
            for gateway in desk.rigs.values():
                gateway.client = hub.client
            await desk.send(seconds, offset, rigs=rigs)
            self._desk["second"] = desk.second

        self.run(more)

    def judged(self) -> None:
        """All that was sent stands in the newest row of health."""
        sent_us = 1_000_000 * (999 + self._desk["second"]) + 1

        def there() -> bool:
            found = [one for one in self.get("/v1/results") if one["kind"] == "health"]
            return any(one["sensed_us"] is not None and one["sensed_us"][1] >= sent_us for one in found)

        self.until(there, "the health of what was sent")


async def _hand_in(hub: TestHub) -> None:
    """The compliance profile and the inventory of sources."""
    headers = {**await hub.token(scopes=("read", "write:compliance", "write:esg")), "content-type": "application/toml"}
    for path, text in (("/v1/compliance/profile", PROFILE), ("/v1/esg/inventory", TITLE + PNEUMATICS)):
        reply = await hub.client.put(path, content=text, headers=headers)
        assert reply.status_code == 200, reply.text
    today = datetime.now(UTC).date()
    accounted = await hub.client.get(
        "/v1/esg/emissions", params={"from": f"{today - timedelta(days=6)}", "to": f"{today}"}, headers=headers
    )
    assert accounted.status_code == 200, accounted.text


@contextmanager
def served(database_url: str, folder: Path) -> Iterator[Site]:
    """A hub in a thread of its own, on a free port."""
    limits = replace(LIMITS, sign_ins_per_minute=6000.0, sign_ins_burst=1000.0)
    app = create_app(HubConfig(folder / "hub", limits=limits), database_url)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, name="hub", daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the hub did not start"
            time.sleep(0.02)
        yield Site(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", database_url)
    finally:
        app.state.hub.closing.set()
        server.should_exit = True
        thread.join(timeout=20)


@dataclass
class Tab:
    """A page of the browser. `faults`: what it wrote to its console as an error or threw; empty at the end of a good test."""

    site: Site
    page: Page
    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def look(self, language: str = "en", theme: str = "light") -> None:
        """How the next document is written."""
        self.context.add_cookies([{"name": "qz_look", "value": f"{language}.{theme}", "url": self.site.url}])

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """By the API, as a page does it; through the form in the test that is about the form."""
        reply = self.context.request.post(f"{self.site.url}/v1/session", data={"name": name, "password": password})
        assert reply.status == 201, reply.text()

    def open(self, path: str) -> None:
        """Loaded, and the frame stands."""
        self.page.goto(f"{self.site.url}{path}")
        expect(self.page.locator("main h1, main h2, main .card").first).to_be_visible()

    def fits(self) -> None:
        """Nothing sticks out of the page sideways."""
        wide = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], f"{self.page.url}: {wide[0]} px of content in {wide[1]} px"


@contextmanager
def tab_of(playwright: Playwright, site: Site, width: int = 1440, height: int = 900) -> Iterator[Tab]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    try:
        context = browser.new_context(viewport={"width": width, "height": height})
        yield Tab(site, context.new_page(), context)
    finally:
        browser.close()
