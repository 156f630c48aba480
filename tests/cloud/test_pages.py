"""The page's files: what is shipped, under which licence, how large, and with which headers."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from cloud.web import pages
from tests.cloud.conftest import TestHub

VENDOR = pages.STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "MANIFEST.json").read_text())["files"]
MODULES = sorted(pages.STATIC.rglob("*.mjs"))
SHARED = ("app.css", "api.mjs", "chart.mjs", "token.mjs", "icon.svg", "vendor/core.mjs", "vendor/uplot.mjs", "vendor/uplot.css")
FIRST_LOADS = {
    "index.html": (*SHARED, "app.mjs"),
    "desk.html": (*SHARED, "desk.mjs", "desk/results.mjs", "desk/risk.mjs", "desk/supply.mjs", "desk/trail.mjs", "desk/words.mjs"),
}
SHIPPED = sorted({*FIRST_LOADS, *(name for names in FIRST_LOADS.values() for name in names)})
IMPORT = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']""")


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: str(entry["file"]))
def test_a_vendored_file_is_the_one_in_the_manifest_and_its_licence_is_beside_it(entry: dict[str, object]) -> None:
    assert hashlib.sha256((VENDOR / str(entry["file"])).read_bytes()).hexdigest() == entry["sha256"]
    licences = (VENDOR / "LICENSES.txt").read_text()
    packages = entry["packages"]
    assert isinstance(packages, list)
    assert packages
    for package in packages:
        assert package["licence"] in ("MIT", "Apache-2.0")
        assert f"== {package['name']} ==" in licences


def test_every_vendored_script_and_style_is_in_the_manifest() -> None:
    shipped = {path.name for path in VENDOR.iterdir() if path.suffix in (".mjs", ".css")}
    assert shipped == {entry["file"] for entry in MANIFEST}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(pages.STATIC)))
def test_modules_import_only_files_that_are_beside_them(module: Path) -> None:
    for target in IMPORT.findall(module.read_text()):
        assert target.startswith(("./", "../")), target
        assert (module.parent / target).is_file()


def reached(page: str) -> set[str]:
    """What a page loads: what its document names, and what those modules import."""
    names = set(re.findall(r"""(?:src|href)="([^"]+)\"""", (pages.STATIC / page).read_text()))
    waiting = [pages.STATIC / name for name in names if name.endswith(".mjs")]
    while waiting:
        module = waiting.pop()
        found = {(module.parent / target).resolve() for target in IMPORT.findall(module.read_text())}
        new = {str(path.relative_to(pages.STATIC)) for path in found} - names
        names |= new
        waiting += [pages.STATIC / name for name in new]
    return names


@pytest.mark.parametrize("page", FIRST_LOADS)
def test_the_first_load_of_a_page_is_small_and_of_few_files(page: str) -> None:
    names = {page, *FIRST_LOADS[page]}
    assert reached(page) | {page} == names
    sizes = {name: len(gzip.compress((pages.STATIC / name).read_bytes())) for name in names}
    assert sum(sizes.values()) <= 120_000, sizes
    assert len(names) <= 15


def test_every_module_and_style_belongs_to_a_page_and_is_not_long() -> None:
    shipped = (*MODULES, *pages.STATIC.rglob("*.css"))
    assert {str(path.relative_to(pages.STATIC)) for path in shipped} <= set(SHIPPED)
    assert all(len(path.read_text().splitlines()) <= 400 for path in shipped if path.parent != VENDOR)


@pytest.mark.parametrize("page", FIRST_LOADS)
def test_nothing_is_fetched_from_elsewhere_and_nothing_stands_inline(page: str) -> None:
    html = (pages.STATIC / page).read_text()
    assert not re.search(r"https?:|//|<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", html)
    for name in FIRST_LOADS[page]:
        if name.endswith((".mjs", ".css")) and name not in ("vendor/core.mjs", "vendor/uplot.mjs"):
            text = (pages.STATIC / name).read_text()
            assert not re.search(r"https?://|@import|url\(|innerHTML|\beval\(|\sstyle=", text), name


@pytest.mark.parametrize("name", SHIPPED)
async def test_a_file_is_served_as_what_it_is(hub: TestHub, name: str) -> None:
    reply = await hub.client.get(f"/{name}")
    kinds = {".html": "text/html", ".css": "text/css", ".mjs": "javascript", ".svg": "image/svg+xml"}
    assert reply.status_code == 200
    assert kinds[Path(name).suffix] in reply.headers["content-type"]
    assert (await hub.client.get(f"/{name}", headers={"if-none-match": reply.headers["etag"]})).status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/nothing", 404),
        ("GET", "/../config.py", 404),
        ("GET", "/v1/tags", 401),
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/batches", 405),
        ("POST", "/v1/batches", 400),
        ("POST", "/v1/enrolments", 422),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
    ],
)
async def test_every_answer_has_the_security_headers(hub: TestHub, method: str, path: str, status: int) -> None:
    reply = await hub.client.request(method, path)
    assert reply.status_code == status
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert (reply.headers["x-content-type-options"], reply.headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_an_answer_to_an_error_nobody_expected_has_them_too(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(hub.hub, "health", fail)
    reply = await hub.client.get("/health")
    assert reply.status_code == 500
    assert "script-src 'self'" in reply.headers["content-security-policy"]
