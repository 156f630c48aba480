"""`init`: what it writes passes the check, it asks on a terminal only, and it overwrites nothing unasked."""

import sys
from pathlib import Path

import pexpect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import config
from edge.cli import main
from edge.onboarding.start import Wanted, gateway_text, shipped
from protocols.devicemap import SHIPPED
from tests.edge.onboarding.conftest import ROOT

WELL = "well1=qenergyz_well_modbus@192.0.2.11:502"


def test_options_alone_give_a_file_that_passes_the_check(tmp_path: Path) -> None:
    more = ["--device", "meter=schneider_iem3250@192.0.2.12:502", "--device", "well3=qenergyz_well_opcua@opc.tcp://192.0.2.21:4840"]
    assert (
        main(["init", str(tmp_path / "rig"), "--name", "rig1", "--hub", "https://hub.example:8400", "--device", WELL, *more, "--no-input"])
        == 0
    )
    path = tmp_path / "rig" / "gateway.toml"
    assert main(["check", str(path)]) == 0
    loaded = config.load(path)
    assert (loaded.name, loaded.hub) == ("rig1", "https://hub.example:8400")
    assert [(device.name, device.map.name) for device in loaded.devices] == [
        ("well1", "qenergyz_well_modbus"),
        ("meter", "schneider_iem3250"),
        ("well3", "qenergyz_well_opcua"),
    ]
    assert sorted(one.name for one in path.parent.iterdir()) == ["gateway.toml"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(min_size=1, max_size=20), st.sampled_from(["192.0.2.1:502", "a.b:1"]))
def test_any_name_of_a_device_survives_the_file(tmp_path: Path, name: str, address: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(gateway_text("rig1", "", [Wanted(name, "qenergyz_well_modbus", address)], {}), encoding="utf-8", newline="")
    (device,) = config.load(path).devices
    assert (device.name, device.address) == (name, address)


def test_existing_file_is_kept_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text("mine")
    command = ["init", str(tmp_path), "--name", "rig1", "--device", WELL, "--no-input"]
    assert main(command) == 5
    assert "--yes" in capsys.readouterr().err
    assert (tmp_path / "gateway.toml").read_text() == "mine"
    assert main([*command, "--yes"]) == 0
    assert config.load(tmp_path / "gateway.toml").name == "rig1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--name", "rig1", "--device", "well1=qenergyz_wel_modbus@x:1"], 'did you mean "qenergyz_well_modbus"?'),
        (["--name", "rig1", "--device", "well1"], "NAME=MAP@ADDRESS"),
        (["--name", "rig 1", "--device", WELL], 'expected letters, digits, "-"'),
        (["--name", "rig1", "--hub", "hub.example", "--device", WELL], "https://"),
        (["--name", "rig1", "--device", "well1=qenergyz_well_modbus@x:y"], "host:port"),
        (["--name", "rig1", "--device", WELL, "--device", WELL], "used twice"),
        (["--name", "rig1"], "--device NAME=MAP@ADDRESS is missing"),
        (["--device", WELL], "--name is missing"),
    ],
    ids=["map", "form", "gateway", "hub", "address", "twice", "no device", "no name"],
)
def test_what_cannot_be_meant_is_refused_and_nothing_written(
    tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "rig"), *words, "--no-input"]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "rig").exists()


def test_maps_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.toml").write_text('device_map = "own"\n[modbus]\n')
    assert main(["init", str(tmp_path), "--maps"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"own", *(path.stem for path in SHIPPED.glob("*.toml"))}
    assert shipped(tmp_path)["own"] == "modbus"


def test_questions_are_asked_on_a_terminal(tmp_path: Path) -> None:
    child = pexpect.spawn(
        sys.executable, [str(ROOT / "qenergyz.py"), "edge", "init", "rig"], cwd=str(tmp_path), encoding="utf-8", timeout=20
    )
    for question, answer in (
        ("name of the gateway", "rig1"),
        ("address of the hub", ""),
        ("map of the first device", "qenergyz_wel_modbus"),
        ('did you mean "qenergyz_well_modbus"', "qenergyz_well_modbus"),
        ("its name", "well1"),
        ("its address", "192.0.2.11:502"),
        ("next device", ""),
    ):
        child.expect(question)
        child.sendline(answer)
    child.expect("next: qenergyz edge test rig/gateway.toml well1")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert config.load(tmp_path / "rig" / "gateway.toml").devices[0].name == "well1"
