"""What the commands say while the agent itself runs: it is asked how it is, and no device gets a second connection."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config
from edge.cli import main
from edge.onboarding.status import health_of
from tests.edge.onboarding.conftest import DEAD, ROOT, device


@pytest.fixture
def running(gateway: Path) -> Iterator[Path]:
    """An agent that reads the simulated devices, and one that is dead."""
    text = gateway.read_text().partition('\n[[device]]\nname = "opcua"')[0]
    gateway.write_text(text + device("modbus", DEAD, name="dead"))
    data = config.load(gateway).data
    with subprocess.Popen([sys.executable, str(ROOT / "qenergyz.py"), "edge", "run", str(gateway)], stderr=subprocess.DEVNULL) as agent:
        until = time.monotonic() + 30
        while not any(one["up"] for one in (health_of(data) or {}).get("devices", ())):
            assert time.monotonic() < until, "the agent reads nothing"
            time.sleep(0.05)
        yield gateway
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(20) == 0


def test_doctor_asks_the_agent_and_bundle_has_its_health(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(running), "--json"]) == 1
    checks = {(check["check"], check["about"]): check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["device", "modbus"]["outcome"] == "PASS"
    assert "samples so far" in checks["device", "modbus"]["said"]
    assert checks["device", "dead"]["outcome"] == "FAIL"
    assert checks["agent", ""]["outcome"] == "WARN"
    assert checks["port", ""]["outcome"] == "PASS"
    assert checks["buffer", ""]["outcome"] == "PASS"
    assert checks["schema version", ""]["outcome"] == "PASS"
    assert checks["key permissions", ""]["said"].startswith("1 files")
    assert main(["support-bundle", str(running), "--out", str(running.parent / "b.zip")]) == 0
    with zipfile.ZipFile(running.parent / "b.zip") as archive:
        assert {one["name"] for one in json.loads(archive.read("health.json"))["devices"]} == {"modbus", "dead"}
    assert main(["test", str(running), "modbus"]) == 5


def test_nobody_answers_where_no_agent_runs(tmp_path: Path) -> None:
    assert health_of(tmp_path) is None
    (tmp_path / "agent.json").write_text('{"url": "http://127.0.0.1:1"}')
    assert health_of(tmp_path) is None
