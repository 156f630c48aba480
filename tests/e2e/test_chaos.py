"""The table of faults in small: whatever fails, nothing is lost, doubled or altered, and all is well again by itself."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chaos

RECOVERY_S = 30.0


def suffer(*names: str) -> list[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix="qz-chaos-"))
    try:
        return chaos.run(folder, names, seconds=2.0, rate=25.0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def assert_borne(row: dict[str, Any]) -> None:
    assert "failed" not in row, row["failed"]
    assert (row["lost"], row["doubled"], row["wrong"]) == (0, 0, 0), row["examples"]
    assert row["stored"] > 0
    assert row["recovery_s"] < RECOVERY_S


def test_hub_restored_from_a_backup_is_fed_what_it_lost() -> None:
    (row,) = suffer("hub restored from backup")
    assert_borne(row)
    assert row["declared"] == 0


@pytest.mark.slow
def test_quick_part_of_the_table_is_borne() -> None:
    rows = suffer(*chaos.QUICK)
    for row in rows:
        assert_borne(row)
    damaged = next(row for row in rows if row["fault"] == "buffer corrupted")
    assert any("damaged" in gap for gap in damaged["gaps"])


@pytest.mark.slow
def test_agent_bears_an_exception_in_every_task_and_a_clock_that_is_a_year_off_at_its_start() -> None:
    rows = suffer("an exception in any task", "started a year ahead", "started a year behind")
    for row in rows:
        assert_borne(row)
    assert {"intake", "forwarder", "reload", "key", "fill"} <= set(rows[0]["notes"][0].partition(": ")[2].split(", "))
