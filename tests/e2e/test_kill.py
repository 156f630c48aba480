"""The kill benchmark in small: agent and hub die in turn under load, nothing is lost, doubled or altered."""

import shutil
import tempfile
from pathlib import Path

import pytest

from benchmarks import kill


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
def test_kills_of_agent_and_hub_lose_double_and_alter_nothing(seed: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="qz-kill-"))
    try:
        found = kill.run(folder, kills=6, seed=seed, rate=25.0)
        assert (found["lost"], found["doubled"], found["wrong"]) == (0, 0, 0), found["examples"]
        assert found["kills"] == {"agent": 3, "hub": 3}
        assert found["stored"] > 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
