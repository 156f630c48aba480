"""The page in a real browser: headless Chromium against a hub process that has been fed through HTTP."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from protocols import quality
from protocols.batch.columns import Group
from protocols.batch.statement import Payload
from tests.cloud.gateway import Gateway

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
HUB = (sys.executable, "-c", "import sys; from cloud.cli import main; sys.exit(main(sys.argv[1:]))")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")


@dataclass
class Page:
    """What a browser saw: the document as it was in the end, and what it wrote to its console."""

    dom: str
    log: str

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.dom))


@dataclass
class Hub:
    url: str
    token: str
    folder: Path

    def open(self, path: str = "/", *more: str, token: bool = True) -> Page:
        """Load a page, let it run for some seconds of its own time, and take down what it shows."""
        profile = tempfile.mkdtemp(dir=self.folder)
        address = f"{self.url}{path}{f'#token={self.token}' if token else ''}"
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=6000", *more, "--dump-dom", address]
        with tempfile.TemporaryFile("w+") as log:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=log, text=True, timeout=60, env=_environment(profile), check=False
            )
            log.seek(0)
            return Page(done.stdout, log.read())


def _environment(profile: str) -> dict[str, str]:
    """No proxy and no home of anybody: the browser meets the hub and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "HOME": profile, "XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile}


def _command(data: Path, *arguments: str) -> str:
    done = subprocess.run([*HUB, *arguments, "--data", str(data)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    folder = Path(tempfile.mkdtemp(prefix="qz-page-"))
    data = folder / "data"
    process = subprocess.Popen(
        [*HUB, "serve", "--data", str(data), "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        url = process.stdout.readline().split()[-1]
        yield Hub(url, _command(data, "token", "--name", "page"), folder)
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def fed(hub: Hub) -> Hub:
    asyncio.run(_feed(hub))
    return hub


async def _feed(hub: Hub) -> None:
    """15 minutes of one reading a second; tag 1 is uncertain for a while and bad for a minute, tag 2 is bad now."""
    rows, now_us = 900, time.time_ns() // 1000
    async with httpx.AsyncClient(base_url=hub.url, timeout=30) as client:
        gateway = Gateway(client, "rig1", tags=3)
        assert (await gateway.enrol(_command(hub.folder / "data", "voucher", "--gateway", "rig1"))).status_code == 201
        await gateway.put_table()
        at = np.arange(rows)
        values = np.stack([5000 + 1000 * np.sin(at / 60), 12_345 + 40 * np.cos(at / 25), 100 + at % 7], axis=1).astype(np.int32)
        values[-1, 0] = 4321
        codes = np.zeros(values.shape, np.uint32)
        codes[300:360, 0] = quality.BAD_SENSOR_FAILURE
        codes[500:560, 0] = quality.UNCERTAIN_LAST_USABLE
        codes[-1, 1] = quality.UNCERTAIN_SENSOR_NOT_ACCURATE
        codes[-30:, 2] = quality.BAD_NO_COMMUNICATION
        times = now_us - 1_000_000 * at[::-1].astype(np.int64)
        for part in np.array_split(at, 10):
            group = Group(np.arange(3, dtype=np.uint32), times[part], values[part], codes[part])
            await gateway.send(gateway.seal(Payload(gateway.table.digest, (group,))))
        await gateway.post(gateway.seal(Payload(gateway.table.digest, ())), backlog=12)


def _faults(page: Page) -> list[str]:
    """Errors of the page itself: its console lines, and policies it broke."""
    return [line for line in page.log.splitlines() if "CONSOLE" in line or "Content Security Policy" in line]


def test_the_page_shows_gateways_tags_with_quality_and_a_chart(fed: Hub) -> None:
    page = fed.open("/?tag=1")
    assert _faults(page) == []
    row = next(row for row in page.dom.split("<tr") if "rig1" in row)
    assert re.search(r"rig1.*?[0-9]+ s ago.*?[0-9]+ s ago.*?11.*?2,700.*?[0-9.]+.*?12", row, re.DOTALL), row
    rows = {name: next(row for row in page.dom.split("<tr") if name in row) for name in ("plc1.t0", "plc1.t1", "plc1.t2")}
    assert re.search(r"43\.21.*bar.*good", rows["plc1.t0"], re.DOTALL)
    assert re.search(r"uncertain.*123.*bar.*uncertain", rows["plc1.t1"], re.DOTALL)
    assert re.search(r"no value.*bar.*bad", rows["plc1.t2"], re.DOTALL)
    assert 'aria-selected="true"' in rows["plc1.t0"]
    assert "<canvas" in page.dom
    assert re.search(r"\blive\b", page.text)


def test_the_page_asks_for_nothing_at_another_origin(fed: Hub) -> None:
    record = fed.folder / "net.json"
    fed.open("/", f"--log-net-log={record}")
    asked = set(re.findall(r'"url":"(https?://[^/"]+)', record.read_text()))
    ours = {origin for origin in asked if origin == fed.url}
    assert ours, "the record of requests names the hub"
    page_made = set(re.findall(r'"initiator":"(http[^"]*)"[^}]*"url":"(https?://[^/"]+)', record.read_text()))
    assert {origin for initiator, origin in page_made if initiator.startswith(fed.url)} <= {fed.url}


def test_without_a_token_the_page_asks_for_one(fed: Hub) -> None:
    page = fed.open("/", token=False)
    assert 'type="password"' in page.dom
    assert "rig1" not in page.text


def test_the_token_does_not_stay_in_the_document(fed: Hub) -> None:
    assert fed.token not in fed.open("/").dom


@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
@pytest.mark.parametrize("size", ["1280,900", "390,844"], ids=["desk", "telephone"])
def test_the_page_paints_at_every_width_in_light_and_dark(fed: Hub, size: str, scheme: str) -> None:
    picture = fed.folder / "page.png"
    picture.unlink(missing_ok=True)
    page = fed.open("/?tag=1", f"--window-size={size}", f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={picture}")
    assert _faults(page) == []
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
