"""`qenergyz hub rules` over a real database."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud.cli import main
from tests.cloud.compliance.test_api import Office
from tests.cloud.conftest import TestHub

Command = Callable[..., Any]


@pytest.fixture
def command(hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    (tmp_path / "data").mkdir(exist_ok=True)

    async def run(action: str, *arguments: str) -> tuple[int, str, str]:
        where = ("--data", str(tmp_path / "data"), "--database-url", hub.database_url) if action != "list" else ()
        code = await asyncio.to_thread(main, ["rules", action, *arguments, *where])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


async def test_a_run_stores_what_the_api_shows(hub: TestHub, command: Command) -> None:
    office = await Office(hub).open()
    code, out, _ = await command("run", "--json")
    assert code == 0
    counted = sum(sum(one["counts"].values()) for one in json.loads(out)["areas"])
    assert counted == len(await office.findings()) > 0
    (by,) = hub.rows("SELECT by FROM action WHERE name = 'run-rules'")
    assert by == ("command line",)
    code, out, _ = await command("run")
    assert code == 0
    assert all(line.endswith("(as before)") for line in out.splitlines())


async def test_a_finding_is_explained_step_by_step(hub: TestHub, command: Command) -> None:
    await Office(hub).open()
    code, out, _ = await command("explain", "E-01", "--deal", "D-1")
    assert code == 0
    assert out.startswith("E-01 Derivative reported to a trade repository in time: FAIL\n")
    assert "law: eu.emir.report.workdays is 1 working days from 2014-02-12 (confirmed; EMIR art. 9(1))" in out
    code, out, _ = await command("explain", "E-01", "--subject", "deal/D-1", "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "FAIL")
    code, out, _ = await command("explain", "E-01", "--deal", "D-1", "--html")
    assert (code, out.startswith("<!doctype html>")) == (0, True)


async def test_a_scenario_and_a_day_of_law_may_be_chosen(hub: TestHub, command: Command) -> None:
    office = await Office(hub).open()
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"upi": "QZABCDEFGHIJ"})
    assert "E-05 UPI has the form of ISO 4914: INDETERMINATE" in (await command("explain", "E-05", "--deal", "D-1"))[1]
    code, out, _ = await command("explain", "E-05", "--deal", "D-1", "--scenario", "as-stated", "--as-of", "2026-05-01")
    assert code == 0
    assert "PASS" in out.splitlines()[0]
    assert "law as of 2026-05-01, supposing as-stated" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("explain", "E-99", "--deal", "D-1"), "E-99 is no rule"),
        (("explain", "R-12", "--deal", "D-1"), "R-12 does not run: answered elsewhere"),
        (("explain", "E-01", "--deal", "nothing"), 'of "deal/nothing" no Derivative is known'),
        (("explain", "E-01", "--deal", "D-1", "--as-of", "soon"), "--as-of: expected a day"),
        (("explain", "E-01", "--deal", "D-1", "--known-at", "soon"), "--known-at: expected a time"),
        (("explain", "E-01", "--deal", "D-1", "--known-at", "2001-01-01"), "no Derivative is known"),
        (("run", "--scenario", "none"), "unknown scenario none; known: "),
    ],
)
async def test_what_cannot_be_done_is_said(hub: TestHub, command: Command, arguments: tuple[str, ...], told: str) -> None:
    await Office(hub).open()
    code, _, fault = await command(*arguments)
    assert code == 1
    assert told in fault


async def test_the_list_names_owners_figures_and_what_does_not_run(command: Command) -> None:
    code, out, _ = await command("list")
    assert code == 0
    assert "E-01   Derivative reported to a trade repository in time  (market reporting; EMIR art. 9(1)" in out
    assert "R-12   does not run: answered elsewhere" in out
    assert "A-01   is watched for: " in out
    assert "REVIEW IT" in (await command("list", "--as-of", "2028-01-01"))[1]
