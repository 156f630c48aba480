"""What a user installs: the wheel has everything it needs at run time, and the pinned versions satisfy the ranges."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def requirements(project: dict[str, object]) -> list[Requirement]:
    extras: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    texts = [*project["dependencies"], *(text for group in extras.values() for text in group)]  # type: ignore[misc]
    return [Requirement(text) for text in texts if not text.startswith("qenergyz")]


def test_every_requirement_is_pinned_within_its_range(project: dict[str, object]) -> None:
    pinned = pins()
    for requirement in requirements(project):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} but constraints.txt pins {version}"


def test_constraints_name_exact_versions_only() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+", line), line


def test_wheel_carries_recordings_maps_migrations_pages_and_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for pattern in (
        r"qenergyz\.py",
        r"simulators/recordings/.*\.csv\.gz",
        r"simulators/recordings/README\.md",
        r"simulators/scenarios/.*\.toml",
        r"firmware_configs/devices/qenergyz_well_modbus\.toml",
        r"cloud/migrations/0001.*\.sql",
        r"cloud/web/.*\.html",
        r".*LICENSE-3w\.txt",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), f"the wheel has no {pattern}"
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_installed_command_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import qenergyz, sys; sys.exit(qenergyz.main(['edge', 'check', 'missing.toml']))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    assert run.returncode == 2
    assert "missing.toml" in run.stderr
    assert str(ROOT) not in run.stderr
