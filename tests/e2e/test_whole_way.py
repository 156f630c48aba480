"""From register to receipt to proof, as a stranger would try it: the demo unattended, then an auditor's check of its bundle."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocols.batch import bundle

ROOT = Path(__file__).resolve().parents[2]
FLIPS = 60
STEPS = (
    "container",
    "digest",
    "checkpoint signature",
    "key",
    "statement signature",
    "receipt inclusion",
    "receipt signature",
    "tag table",
    "chain",
    "samples",
)


def qenergyz(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qenergyz", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True)
class Demo:
    done: subprocess.CompletedProcess[str]
    result: dict[str, Any]
    folder: Path

    @property
    def bundle(self) -> Path:
        return Path(self.result["bundle"])


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """One unattended run for all tests of this file."""
    if importlib.util.find_spec("pyiec61850") is None:
        pytest.skip("the demo serves IEC 61850, and pyiec61850 is not installed")
    folder = Path(tempfile.mkdtemp(prefix="qz-demo-"))
    try:
        done = qenergyz("demo", "--for", "4s", "--json", folder / "demo.json", "--data", folder / "data")
        file = folder / "demo.json"
        yield Demo(done, json.loads(file.read_text()) if file.exists() else {}, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_demo_ends_well(demo: Demo) -> None:
    assert demo.done.returncode == 0, demo.done.stdout + demo.done.stderr


def test_demo_carries_all_four_protocols(demo: Demo) -> None:
    assert set(demo.result["protocols"]) == {"modbus", "opcua", "mqtt", "iec61850"}
    assert min(demo.result["protocols"].values()) > 0


def test_demo_loses_doubles_and_alters_nothing(demo: Demo) -> None:
    assert {word: demo.result[word] for word in ("lost", "doubled", "wrong")} == {"lost": 0, "doubled": 0, "wrong": 0}
    assert demo.result["collected"] == demo.result["stored"] == sum(demo.result["protocols"].values())


def test_demo_verifies_receipts(demo: Demo) -> None:
    assert demo.result["receipts_verified"] > 0


def test_demo_leaves_no_process_behind(demo: Demo) -> None:
    left = [path.name for path in Path("/proc").glob("[0-9]*") if str(demo.folder).encode() in _command_line(path)]
    assert not left


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("keep me")
    done = qenergyz("demo", "--for", "1s", "--data", tmp_path)
    assert done.returncode == 1
    assert "was not made by the demo" in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "keep me"


def test_verify_proves_the_bundle(demo: Demo) -> None:
    done = qenergyz("verify", demo.bundle)
    assert done.returncode == 0, done.stdout
    assert "PROVEN: well1.p_tpt of urn:qz:gw:rig1" in done.stdout


def test_verify_names_the_steps_it_took(demo: Demo) -> None:
    document = json.loads(qenergyz("verify", "--json", demo.bundle).stdout)
    assert tuple(step["name"] for step in document["steps"]) == STEPS
    assert document["failed"] is None
    assert document["samples"] > 0


def test_verify_takes_the_key_that_the_enrolment_gave(demo: Demo) -> None:
    enrolment = json.loads((demo.folder / "data" / "rig1-data" / "enrolment.json").read_text())
    assert qenergyz("verify", demo.bundle, "--key", enrolment["log_key"]).returncode == 0


def test_verify_refuses_the_key_of_another_log(demo: Demo) -> None:
    from protocols.batch.checkpoint import LogKey
    from protocols.signing import Ed25519Signer

    origin = json.loads((demo.folder / "data" / "rig1-data" / "enrolment.json").read_text())["origin"]
    stranger = LogKey(origin, Ed25519Signer.generate().public)
    done = qenergyz("verify", demo.bundle, "--key", stranger.text)
    assert done.returncode == 1
    assert "NOT PROVEN: checkpoint signature" in done.stdout


def test_flipped_byte_ends_verify_with_1_and_the_step(demo: Demo, tmp_path: Path) -> None:
    data = bytearray(demo.bundle.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / "changed.qzb"
    changed.write_bytes(data)
    done = qenergyz("verify", changed)
    assert done.returncode == 1
    assert any(line.startswith("FAIL  ") and line[6:].startswith(STEPS) for line in done.stdout.splitlines())
    assert "NOT PROVEN: " in done.stdout


def failing_step(data: bytes) -> str | None:
    return bundle.verify(data).failed


def test_flipped_bytes_all_over_the_bundle_are_found(demo: Demo) -> None:
    data = demo.bundle.read_bytes()
    step = len(data) / FLIPS
    places = {0, len(data) - 1, *(int(number * step) for number in range(FLIPS))}
    unnoticed = [at for at in places if failing_step(_flipped(data, at)) not in STEPS]
    assert not unnoticed


@pytest.mark.slow
def test_every_flipped_byte_of_the_bundle_is_found(demo: Demo) -> None:
    data = demo.bundle.read_bytes()
    unnoticed = [at for at in range(len(data)) if failing_step(_flipped(data, at)) not in STEPS]
    assert not unnoticed


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999], ids=["empty", "a tenth", "half", "all but the end"])
def test_cut_bundle_is_not_proven(demo: Demo, share: float) -> None:
    data = demo.bundle.read_bytes()
    assert failing_step(data[: int(len(data) * share)]) == "container"


def test_longer_bundle_is_not_proven(demo: Demo) -> None:
    assert failing_step(demo.bundle.read_bytes() + b"\0") == "container"


def test_verify_says_2_when_there_is_no_file(tmp_path: Path) -> None:
    assert qenergyz("verify", tmp_path / "nothing.qzb").returncode == 2
