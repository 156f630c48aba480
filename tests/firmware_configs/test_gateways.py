"""The example gateway files are right as they stand, remarks included."""

from pathlib import Path

import pytest

from edge.cli import main
from protocols.devicemap import SHIPPED

PROFILES = sorted((SHIPPED.parent / "gateways").glob("*.toml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profile_passes_the_strict_check(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", str(path)]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_rig_refinery_substation_and_solar_plant_have_one() -> None:
    assert {"rig", "refinery", "substation", "solar"} <= {path.stem for path in PROFILES}
