"""The pages in a real browser: what the first load of each costs, when it has painted, and a table of 100,000 rows."""

import asyncio
import gzip
import re
import shutil
from typing import Any, Final

from benchmarks.hub import Hub, running_hub
from cloud.config import Limits
from cloud.db import Database
from cloud.identity import people_store
from cloud.identity import store as identity_store
from cloud.identity.passwords import hash_password
from cloud.identity.roles import ROLES, Role
from cloud.web.pages import STATIC

PASSWORD: Final = "a password for the benchmark"
_LCP: Final = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime)).observe({ type: "largest-contentful-paint", buffered: true });
  setTimeout(() => done(-1), 5000);
})"""
_TABLE: Final = """async () => {
  const { html, render } = await import("/vendor/core.mjs");
  const { Table } = await import("/ui.mjs");
  const box = document.body.appendChild(document.createElement("div"));
  const rows = (offset) => Array.from({ length: 100_000 }, (_, at) => ({ id: at, name: `tag ${at}`, value: at + offset }));
  const columns = [{ name: "name", label: "Name", value: (row) => row.name }, { name: "value", label: "Value", number: true, value: (row) => row.value }];
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const draw = async (offset) => {
    const made = rows(offset);
    const began = performance.now();
    render(html`<${Table} name="bench" title="Bench" columns=${columns} rows=${made} id=${(row) => row.id} />`, box);
    await frame();
    return performance.now() - began;
  };
  const first = await draw(0);
  const updates = [];
  for (let turn = 1; turn <= 10; turn += 1) updates.push(await draw(turn));
  return { first, update: updates.sort((a, b) => a - b)[8], nodes: box.querySelectorAll("tbody tr").length };
}"""


def shown() -> list[tuple[str, str]]:
    """(path, scope) of the pages that the navigation has."""
    text = (STATIC / "place.mjs").read_text(encoding="utf-8")
    return re.findall(r'path: "(/[a-z]+)", name: "[^"]+", title: "[^"]+", scope: "([^"]+)"', text)


async def _people(hub: Hub) -> None:
    async with Database(hub.database_url, Limits()) as db:
        tenant = next(iter(await identity_store.tenants(db)))
        async with db.tenant(tenant.tenant_id) as connection:
            for role in Role:
                arguments = (tenant.tenant_id, tenant.name, role.value, role.value, role.value, 1, hash_password(PASSWORD))
                await people_store.add(connection, *arguments)


def pages() -> dict[str, Any]:
    """Empty where there is no chromium."""
    program = shutil.which("chromium")
    if program is None:
        return {}
    with running_hub() as hub:
        asyncio.run(_people(hub))
        return _measured(hub, program)


def _measured(hub: Hub, program: str) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    each: dict[str, tuple[float, float, float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for path, scope in shown():
            role = next(role for role in Role if scope in ROLES[role])
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            made = context.request.post(f"{hub.url}/v1/session", data={"name": role.value, "password": PASSWORD})
            assert made.status == 201, made.text()
            page = context.new_page()
            asked: list[Any] = []
            page.on("requestfinished", lambda request, asked=asked: asked.append(request))
            page.goto(f"{hub.url}{path}")
            page.locator("main h1, main h2, main .card, main .empty").first.wait_for()
            lcp_ms = page.evaluate(_LCP)
            own = [one for one in asked if not re.search(r"/v1/(?!session$)", one.url)]
            size = sum(len(gzip.compress(one.response().body())) for one in own if one.response().status == 200)
            each[path] = (size / 1000, float(len(own) + 1), lcp_ms)  # and the stream, which does not finish
            context.close()
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(hub.url)
        table = page.evaluate(_TABLE)
        browser.close()
    return {
        "first load kB gz": max(row[0] for row in each.values()),
        "first load requests": max(row[1] for row in each.values()),
        "LCP ms": max(row[2] for row in each.values()),
        "row nodes of 100,000": table["nodes"],
        "100,000 rows first, ms": table["first"],
        "100,000 rows changed, p90 ms": table["update"],
        "each": each,
    }
