"""`make screenshots`: pictures of every page from a running demonstration, as the people see them who use it. Not a test: look at them.

python -m tests.cloud.web.screenshots FOLDER [--after SECONDS] [--url URL --logins FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from cloud.identity import totp
from tests.cloud.web.browser import CHROMIUM

SIZES: Final = {"wide": (1440, 900), "tablet": (768, 1024), "phone": (360, 740)}
LOOKS: Final = ("en.light", "en.dark", "ar.light", "ar.dark")


@dataclass(frozen=True, slots=True)
class Shot:
    """One page as one role sees it. steps: selectors that are clicked first. all_sizes: in every size and look, else wide English, both themes."""

    name: str
    role: str
    path: str
    steps: tuple[str, ...] = ()
    all_sizes: bool = True


SHOTS: Final = (
    Shot("login", "", "/"),
    Shot("home", "trader", "/"),
    Shot("fleet", "field_engineer", "/fleet"),
    Shot("gateway", "field_engineer", "/fleet/rig1"),
    Shot("enrol", "field_engineer", "/enrol"),
    Shot("sites", "operator", "/sites"),
    Shot("assets", "operator", "/assets"),
    Shot("asset", "operator", "/assets/WELL-A"),
    Shot("alarms", "operator", "/alarms"),
    Shot("supply", "trader", "/supply"),
    Shot("desk", "trader", "/desk"),
    Shot("risk", "risk_manager", "/risk"),
    Shot("outages", "operator", "/outages"),
    Shot("compliance", "compliance_officer", "/compliance"),
    Shot("esg", "esg_analyst", "/esg"),
    Shot("verify", "auditor", "/verify"),
    Shot("admin", "admin", "/admin"),
    Shot("account", "operator", "/account"),
)


@contextmanager
def demonstration() -> Iterator[dict[str, Any]]:
    """The demo's address and logins; the demo ends with the block."""
    with tempfile.TemporaryDirectory(prefix="qenergyz-shots-") as folder:
        data = Path(folder) / "demo"
        command = [sys.executable, "-m", "qenergyz", "demo", "--scenario", "dhsv", "--data", str(data)]
        with (Path(folder) / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield _logins(process, data / "logins.json")
            finally:
                process.terminate()
                process.wait(60)


def _logins(process: "subprocess.Popen[bytes]", path: Path) -> dict[str, Any]:
    until = time.monotonic() + 180
    while time.monotonic() < until and process.poll() is None:
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            return found
        time.sleep(0.2)
    raise SystemExit("the demonstration did not come up")


def sign_in(browser: Browser, url: str, person: dict[str, Any] | None, size: tuple[int, int], look: str) -> Page:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    context.add_cookies([{"name": "qz_look", "value": look, "url": url}])
    if person:
        reply = context.request.post(f"{url}/v1/session", data={"name": person["name"], "password": person["password"]})
        if reply.status == 202:
            code = totp.code(bytes.fromhex(person["totp"]), int(time.time()))
            answer = {"challenge": reply.json()["challenge"], "code": code}
            reply = context.request.post(f"{url}/v1/session/second", data=answer)
        if reply.status != 201:
            raise SystemExit(f"{person['name']} cannot sign in: {reply.text()}")
    return context.new_page()


def take(browser: Browser, found: dict[str, Any], folder: Path, only: Sequence[str]) -> int:
    people = {person["role"]: person for person in found["people"]}
    taken = 0
    for look in LOOKS:
        for size, pixels in SIZES.items():
            pages: dict[str, Page] = {}
            for shot in SHOTS:
                if only and shot.name not in only:
                    continue
                if shot.role not in pages:
                    pages[shot.role] = sign_in(browser, found["url"], people.get(shot.role), pixels, look)
                page = pages[shot.role]
                page.goto(found["url"] + shot.path)
                page.wait_for_timeout(1_500)  # values come, charts are drawn
                for step in shot.steps:
                    page.locator(step).first.click()
                    page.wait_for_timeout(700)
                page.screenshot(path=folder / f"{shot.name}-{size}-{look.replace('.', '-')}.png", full_page=size != "wide")
                taken += 1
            for page in pages.values():
                page.context.close()
    return taken


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cloud.web.screenshots", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--after", type=float, default=90.0, help="seconds that the demonstration runs before (default %(default)s)")
    parser.add_argument("--logins", type=Path, help="of a demonstration that runs already: its logins.json")
    parser.add_argument("--only", action="append", default=[], choices=[shot.name for shot in SHOTS])
    options = parser.parse_args(argv)
    if not CHROMIUM.exists():
        print("Debian's chromium is needed: make system", file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if options.logins:
            taken = take(browser, json.loads(options.logins.read_text()), options.folder, options.only)
        else:
            with demonstration() as found:
                print(f"the demonstration runs at {found['url']}; pictures in {options.after:.0f} s", flush=True)
                time.sleep(options.after)
                taken = take(browser, found, options.folder, options.only)
        browser.close()
    print(f"{taken} pictures in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
