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
FIRST_LOAD = (
    "index.html",
    "app.css",
    "app.mjs",
    "api.mjs",
    "chart.mjs",
    "icon.svg",
    "vendor/core.mjs",
    "vendor/uplot.mjs",
    "vendor/uplot.css",
)
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


def test_the_first_load_is_small() -> None:
    sizes = {name: len(gzip.compress((pages.STATIC / name).read_bytes())) for name in FIRST_LOAD}
    assert sum(sizes.values()) <= 120_000, sizes
    named = {str(path.relative_to(pages.STATIC)) for path in (*MODULES, *pages.STATIC.rglob("*.css"))}
    assert named <= set(FIRST_LOAD)


def test_nothing_is_fetched_from_elsewhere_and_nothing_stands_inline() -> None:
    html = (pages.STATIC / "index.html").read_text()
    assert not re.search(r"https?:|//|<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", html)
    for name in ("app.css", "vendor/uplot.css", "app.mjs", "api.mjs", "chart.mjs"):
        assert not re.search(r"https?://|@import|url\(|innerHTML|\beval\(", (pages.STATIC / name).read_text()), name


@pytest.mark.parametrize("name", FIRST_LOAD)
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
