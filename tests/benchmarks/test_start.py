"""The benchmark of start and end judges what it has measured; how long that took is for a quiet machine."""

import json
from pathlib import Path

from benchmarks import start


def test_run_counts_samples_and_leaves_none_in_no_batch(tmp_path: Path) -> None:
    start.main(["--runs", "1", "--quick", "--json", str(tmp_path / "start.json")])
    (run,) = json.loads((tmp_path / "start.json").read_text())["runs"]
    assert run["open_samples"] > 0


def test_samples_that_are_left_open_fail_the_run() -> None:
    runs = [start.Run(0.5, 85_000, 0.2, 7, 0)]
    assert [verdict for *_, verdict in start.verdicts(runs)] == ["met", "met", "MISSED"]
