"""`qenergyz hub prices`: from the service into a hub, and what it says when either refuses."""

import asyncio
from pathlib import Path

import pytest

from cloud.cli import main
from tests.cloud.market.test_feeds import Service, page, row, service


async def run(eia: Service, hub: Service, folder: Path) -> int:
    (folder / "key").write_text("sesame")
    (folder / "token").write_text("qzt_x")
    files = ["--key", f"file:{folder / 'key'}", "--token-file", str(folder / "token")]
    return await asyncio.to_thread(main, ["prices", "--series", "wti", "--from", "2020-04-17", *files, "--eia", eia.url, "--hub", hub.url])


async def test_prices_go_from_the_service_to_the_hub_with_their_attribution(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = page(row("2020-04-17", "18.31"), row("2020-04-20", "-36.98"), row("2020-04-21", None))
    async with service((200, rows)) as eia, service((200, b'{"stored":2}')) as hub:
        assert await run(eia, hub, tmp_path) == 0
    shown = capsys.readouterr()
    assert "2 days of wti, 2 new or corrected" in shown.out
    assert "row 3: the price is missing" in shown.err
    asked = hub.queries[0]
    assert (asked["path"], asked["product"], asked["unit"]) == ("/v1/history", "WTI", "bbl")
    assert "U.S. Energy Information Administration" in asked["source"]


async def test_a_refusal_ends_it_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with service((200, page(row("2020-04-17", "18.31")))) as eia, service((403, b"no scope")) as hub:
        assert await run(eia, hub, tmp_path) == 1
    async with service((200, page())) as eia, service() as hub:
        assert await run(eia, hub, tmp_path) == 1
    shown = capsys.readouterr().err
    assert "403 no scope" in shown
    assert "no price of wti" in shown
    assert "sesame" not in shown
