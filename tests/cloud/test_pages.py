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
OWN = [path for path in (*MODULES, *pages.STATIC.rglob("*.css")) if path.parent != VENDOR]
IMPORT = re.compile(r"""(?m)^import\b[^"';(]*["']([^"']+)["']""")
LATER = re.compile(r"""\bimport\(["']([^"']+)["']\)""")
PAGES = sorted(path.stem for path in (pages.STATIC / "pages").glob("*.mjs"))
ASKED = ("/v1/session", "/v1/stream")  # by every page beside its files


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
    text = module.read_text()
    for target in (*IMPORT.findall(text), *LATER.findall(text)):
        assert target.startswith(("./", "../")), target
        assert (module.parent / target).is_file()


def reached(*modules: str) -> set[str]:
    """What these modules import, and what that imports; not what is fetched when it is needed."""
    names, waiting = set(modules), [pages.STATIC / name for name in modules]
    while waiting:
        module = waiting.pop()
        found = {(module.parent / target).resolve() for target in IMPORT.findall(module.read_text())}
        new = {str(path.relative_to(pages.STATIC)) for path in found} - names
        names |= new
        waiting += [pages.STATIC / name for name in new]
    return names


@pytest.mark.parametrize("page", PAGES)
def test_the_first_load_of_a_page_is_small_and_of_few_files(page: str) -> None:
    named = set(re.findall(r"""(?:src|href)="/([^"]+)\"""", pages.document(""))) - {"manifest.webmanifest"}
    names = {"index.html", *named, *reached("app.mjs", f"pages/{page}.mjs")}
    sizes = {name: len(gzip.compress((pages.STATIC / name).read_bytes())) for name in names}
    assert sum(sizes.values()) <= 120_000, sizes
    assert len(names) + len(ASKED) <= 15, sorted(names)


def test_every_module_is_reached_from_the_application() -> None:
    found, before = reached("app.mjs"), set[str]()
    while found != before:
        before = found
        later = [(pages.STATIC / name).parent / target for name in found for target in LATER.findall((pages.STATIC / name).read_text())]
        found = found | reached(*(str(path.resolve().relative_to(pages.STATIC)) for path in later))
    assert {str(path.relative_to(pages.STATIC)) for path in MODULES} == found


def test_the_modules_are_short_and_few() -> None:
    lines = {str(path): len(path.read_text().splitlines()) for path in OWN}
    assert max(lines.values()) <= 400, lines
    assert sum(lines.values()) <= 9_000


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(pages.STATIC)))
def test_nothing_is_fetched_from_elsewhere_and_nothing_stands_inline(path: Path) -> None:
    assert not re.search(r"""https?://(?!www\.w3\.org/)|@import|url\(|innerHTML|\beval\(|\sstyle="|new Function""", path.read_text())


def test_the_document_has_no_script_and_no_style_of_its_own() -> None:
    assert not re.search(r"https?:(?!//www\.w3\.org/)|<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", pages.document(""))


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        ("ar.dark", 'lang="ar" dir="rtl" data-theme="dark"'),
        ("en.light", 'lang="en" dir="ltr" data-theme="light"'),
        ('ar."><script>', 'lang="en" dir="ltr" data-theme="system"'),
        ("", 'lang="en" dir="ltr" data-theme="system"'),
    ],
)
async def test_the_document_is_written_in_the_readers_language_and_theme(hub: TestHub, look: str, expected: str) -> None:
    assert f"<html {expected}>" in pages.document(look)
    reply = await hub.client.get("/fleet")
    assert reply.headers["vary"] == "cookie"
    assert reply.headers["cache-control"] == "no-cache"


def test_the_hub_answers_the_addresses_that_the_pages_know() -> None:
    known = set(re.findall(r'path: "/([a-z]+)"', (pages.STATIC / "place.mjs").read_text()))
    assert known <= set(pages.ROUTES)


@pytest.mark.parametrize("name", ["app.mjs", "app.css", "icon.svg", "vendor/core.mjs", "manifest.webmanifest", "i18n/ar.json"])
async def test_a_file_is_served_as_what_it_is(hub: TestHub, name: str) -> None:
    reply = await hub.client.get(f"/{name}")
    kinds = {".css": "text/css", ".mjs": "javascript", ".svg": "image/svg+xml", ".webmanifest": "json", ".json": "application/json"}
    assert reply.status_code == 200
    assert kinds[Path(name).suffix] in reply.headers["content-type"]
    assert reply.headers["cache-control"] == "no-cache"
    assert (await hub.client.get(f"/{name}", headers={"if-none-match": reply.headers["etag"]})).status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/fleet", 200),
        ("GET", "/assets/WELL-A", 200),
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


@pytest.mark.parametrize("path", ["/app.css", "/ui.mjs", "/vendor/core.mjs"])
async def test_files_are_compressed_for_who_takes_it(hub: TestHub, path: str) -> None:
    squeezed = await hub.client.get(path, headers={"accept-encoding": "gzip"})
    whole = await hub.client.get(path, headers={"accept-encoding": "identity"})
    assert (squeezed.headers["content-encoding"], "content-encoding" in whole.headers) == ("gzip", False)
    assert squeezed.content == whole.content
    assert int(squeezed.headers["content-length"]) < len(whole.content) / 2
    again = await hub.client.get(path, headers={"accept-encoding": "gzip", "if-none-match": squeezed.headers["etag"]})
    assert again.status_code == 304


async def test_what_the_api_says_is_not_compressed(hub: TestHub) -> None:
    reply = await hub.client.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert len(reply.content) > pages.LEAST_SQUEEZED
    assert "content-encoding" not in reply.headers
