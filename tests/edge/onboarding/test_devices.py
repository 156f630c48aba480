"""Test, live, dry-run and browse against a simulated device of each protocol, and against devices that fail in every way that has its own answer."""

import asyncio
import errno
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.agent import sole_agent
from edge.cli import main
from edge.onboarding import devices, dryrun, probe
from edge.onboarding.advice import advise
from edge.onboarding.output import Output
from protocols import quality
from protocols.devicemap import load_device_map
from protocols.driver import DeviceUnreachable
from simulators.opcua_nodesets import POLICIES as SERVED
from simulators.opcua_nodesets import NodesetServer, Secured
from tests.edge.onboarding.conftest import DEAD, MAPS, ROOT, device
from tests.protocols.mqtt.brokers import WITHOUT, embedded, mosquitto
from tests.protocols.opcua.certificates import certificate, key


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("protocol", MAPS)
def test_device_is_read_step_by_step(gateway: Path, protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(gateway), protocol, "--json"]) == 0
    (found,) = answers(capsys)
    assert [step["name"] for step in found["steps"]] == ["resolve", "connect", "authenticate", "read"]
    assert all(step["ok"] and step["seconds"] >= 0 for step in found["steps"])
    assert len(found["values"]) == len(load_device_map(ROOT / f"firmware_configs/devices/{MAPS[protocol]}.toml").tags)
    assert all(value["value"] is not None and value["quality"] == "good" for value in found["values"])


def test_values_are_shown_with_units(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(gateway), "modbus"]) == 0
    shown = capsys.readouterr()
    assert "8 of 8 tags good" in shown.out
    assert [line.split()[-1] for line in shown.out.splitlines() if "p_pdg" in line] == ["Pa"]
    assert "\x1b" not in shown.out + shown.err


def test_device_that_is_not_in_the_file_is_offered_by_its_likeness(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(gateway), "modbsu"]) == 3
    assert 'did you mean "modbus"?' in capsys.readouterr().err


def test_wrong_file_ends_with_2_and_says_where(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.write_text(gateway.read_text().replace("name = ", "nam = ", 1))
    assert main(["test", str(gateway), "modbus"]) == 2
    assert "gateway.toml:1:" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", MAPS)
def test_closed_port_ends_with_7_and_a_next_step(tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = {"opcua": "opc.tcp://", "mqtt": "mqtt://"}.get(protocol, "")
    (tmp_path / "gateway.toml").write_text('[gateway]\nname = "rig1"\n' + device(protocol, prefix + DEAD))
    assert main(["test", str(tmp_path / "gateway.toml"), protocol, "--json"]) == 7
    (found,) = answers(capsys)
    failed = found["steps"][-1]
    assert (failed["name"], failed["ok"]) == ("connect", False)
    assert "nothing listens at" in failed["said"]
    assert failed["next_step"]
    assert "ConnectionRefusedError" in failed["detail"]


def test_name_that_nobody_knows_fails_while_resolving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text('[gateway]\nname = "rig1"\n' + device("modbus", "plc.invalid:502"))
    assert main(["test", str(tmp_path / "gateway.toml"), "modbus"]) == 7
    assert "FAIL resolve" in capsys.readouterr().out


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held = []
        threading.Thread(target=lambda: held.append(_accept(listening)), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def _accept(listening: Any) -> list[Any]:
    held = []
    try:
        while True:
            held.append(listening.accept())
    except OSError:
        return held


def test_silent_device_ends_with_7_and_progress_is_told_meanwhile(tmp_path: Path, silent: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text('[gateway]\nname = "rig1"\n' + device("modbus", silent, 'timeout = "1s"\n'))
    assert main(["test", str(tmp_path / "gateway.toml"), "modbus"]) == 7
    shown = capsys.readouterr()
    assert "FAIL read" in shown.out
    assert "unit number" in shown.out
    assert shown.err.count("still read") >= 2


def test_pinned_certificate_of_another_server_ends_with_4(
    gateway: Path, field: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.write_text('[gateway]\nname = "rig1"\n' + device("opcua", field["opcua"], f'fingerprint = "{"ab" * 32}"\n'))
    assert main(["test", str(gateway), "opcua"]) == 4
    assert "FAIL authenticate" in capsys.readouterr().out


@WITHOUT
async def test_refused_password_ends_with_4_and_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("canary-3141\n")
    (tmp_path / "users").write_text("")
    async with mosquitto(tmp_path, ["allow_anonymous false", f"password_file {tmp_path / 'users'}"]) as broker:
        (tmp_path / "gateway.toml").write_text(
            '[gateway]\nname = "rig1"\n' + device("mqtt", f"mqtt://127.0.0.1:{broker.port}", 'username = "me"\npassword_file = "secret"\n')
        )
        assert await asyncio.to_thread(main, ["test", str(tmp_path / "gateway.toml"), "mqtt", "--verbose"]) == 4
        assert await asyncio.to_thread(main, ["browse", str(tmp_path / "gateway.toml"), "mqtt"]) == 4
    shown = capsys.readouterr()
    assert "refuses this client" in shown.out
    assert "canary-3141" not in shown.out + shown.err


async def test_trial_leaves_no_session_at_the_broker_and_takes_nobodys(tmp_path: Path) -> None:
    async with embedded() as broker:
        (tmp_path / "gateway.toml").write_text(
            '[gateway]\nname = "rig1"\n'
            + device("mqtt", f"mqtt://127.0.0.1:{broker.port}", 'client_id = "agents-own"\nprimary_host = "host"\n')
        )
        (found,) = config.load(tmp_path / "gateway.toml").devices
        trial = devices.on_trial(found)
        assert (trial.settings.share, trial.settings.primary_host) == ("", "")
        async with devices.opened(trial):
            assert [name for name in broker._sessions if name.startswith("qenergyz-trial-")]
        assert "agents-own" not in broker._sessions
        async with asyncio.timeout(5):
            while [name for name in broker._sessions if name.startswith("qenergyz-trial-")]:
                await asyncio.sleep(0.01)


async def test_nobody_publishes(tmp_path: Path) -> None:
    async with embedded() as broker:
        (tmp_path / "gateway.toml").write_text('[gateway]\nname = "rig1"\n' + device("mqtt", f"mqtt://127.0.0.1:{broker.port}"))
        (found,) = config.load(tmp_path / "gateway.toml").devices
        trial = await probe.try_device(found, Output(), 0.3)
    assert trial.code == 7
    assert trial.failed is not None
    assert "wells/mqtt" in trial.failed.next_step


@pytest.mark.parametrize("command", [["test", "modbus"], ["live"], ["dry-run"], ["browse", "modbus"]], ids=lambda words: words[0])
def test_running_agent_is_not_disturbed_unless_asked_for(gateway: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    data = config.load(gateway).data
    data.mkdir()
    with sole_agent(data):
        assert main([command[0], str(gateway), *command[1:]]) == 5
        assert "--beside" in capsys.readouterr().err
    assert not devices.agent_runs(data)


def test_device_is_read_beside_the_agent_when_asked_for(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = config.load(gateway).data
    data.mkdir()
    with sole_agent(data):
        assert main(["test", str(gateway), "modbus", "--beside"]) == 0
    assert "second connection" in capsys.readouterr().err


def test_live_shows_changes_of_all_protocols(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", str(gateway), "--for", "3s", "--json"]) == 0
    found = answers(capsys)
    assert {line["tag"].partition(".")[0] for line in found if "tag" in line} == set(MAPS)
    changed = [line for line in found if "before" in line]
    assert changed
    assert all(line["before"] != line["value"] for line in changed)


def test_live_goes_on_when_one_device_is_dead(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.write_text(gateway.read_text() + device("modbus", DEAD, name="dead"))
    assert main(["live", str(gateway), "--for", "2s"]) == 0
    shown = capsys.readouterr()
    assert "modbus.p_pdg" in shown.out
    assert " -> " in shown.out
    assert shown.err.count("dead: nothing listens") == 1


def test_live_of_a_dead_device_ends_with_7(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('[gateway]\nname = "rig1"\n' + device("modbus", DEAD))
    assert main(["live", str(tmp_path / "gateway.toml"), "--for", "300ms"]) == 7


def test_live_ends_with_130_when_interrupted(gateway: Path) -> None:
    command = [sys.executable, str(ROOT / "qenergyz.py"), "edge", "live", str(gateway), "modbus"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert "p_pdg" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_dry_run_counts_and_keeps_nothing(gateway: Path, field: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(gateway.parent.rglob("*"))
    assert main(["dry-run", str(gateway), "--cycles", "2", "--json"]) == 0
    (found,) = answers(capsys)
    by_name = {one["device"]: one for one in found["devices"]}
    assert set(by_name) == set(field)
    assert by_name["modbus"]["expected_polls"] == 2
    assert by_name["modbus"]["samples_per_day"] > 0
    assert by_name["modbus"]["bytes_per_day"] > 0
    assert any("36 words" in line for line in by_name["modbus"]["plan"])
    assert sorted(gateway.parent.rglob("*")) == before


def test_dry_run_tells_what_fails_beside_what_works(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.write_text(gateway.read_text().partition('\n[[device]]\nname = "opcua"')[0] + device("modbus", DEAD, name="dead"))
    assert main(["dry-run", str(gateway), "--cycles", "1"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL nothing listens" in shown
    assert "8 samples per cycle" in shown


def test_server_is_browsed_by_pattern_and_as_a_map(gateway: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["browse", str(gateway), "opcua", "**/p_*", "--json"]) == 0
    assert {"p_pdg", "p_tpt"} <= {line["path"].rpartition("/")[2] for line in answers(capsys)}
    assert main(["browse", str(gateway), "opcua", "opcua/*", "--map", "browsed"]) == 0
    (tmp_path / "browsed.toml").write_text(capsys.readouterr().out)
    assert len(load_device_map(tmp_path / "browsed.toml").tags) == 8


def test_ied_is_browsed_and_as_a_map(gateway: Path, field: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["browse", str(gateway), "iec61850", "*TotW*", "--json"]) == 0
    assert any("TotW" in line.get("path", "") for line in answers(capsys))
    assert main(["browse", f"iec61850://{field['iec61850']}", "--map", "browsed"]) == 0
    (tmp_path / "browsed.toml").write_text(capsys.readouterr().out)
    assert load_device_map(tmp_path / "browsed.toml").tags


def test_modbus_device_is_asked_for_its_identification(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["browse", str(gateway), "modbus", "--json"]) == 0
    assert answers(capsys)[0]["vendor"] == "Qenergyz"


def test_topics_are_heard_at_a_broker_of_the_older_version(field: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["browse", field["mqtt"], "wells/#", "--wait", "2.5", "--json"]) == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["payload"] for line in shown.out.splitlines()] == ["json"]
    assert 'version = "3.1.1"' in shown.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["opc.tcp://me:canary@127.0.0.1:1"], "credentials"),
        (["ftp://127.0.0.1"], "opc.tcp://"),
        (["mqtt://127.0.0.1:1", "--map", "x"], "do not describe themselves"),
        (["mqtt://127.0.0.1:1", "a", "b"], "one pattern"),
    ],
    ids=["credentials", "unknown", "no map", "unquoted pattern"],
)
def test_browse_of_what_cannot_be_meant_ends_with_2(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["browse", *words]) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert "canary" not in shown.out + shown.err


async def test_first_contact_with_a_secured_server_ends_with_4_and_lines_to_paste(tmp_path: Path) -> None:
    server = NodesetServer((), Secured(tuple(SERVED), key("server"), certificate("server")))
    await server.start()
    try:
        path = tmp_path / "gateway.toml"
        path.write_text('[gateway]\nname = "rig1"\n' + device("opcua", server.address))
        trial = await probe.try_device(config.load(path).devices[0], Output(), 2.0)
        assert (trial.code, trial.failed and trial.failed.name) == (4, "authenticate")
        assert trial.failed is not None
        pasted = "\n".join(line for line in trial.failed.next_step.splitlines() if " = " in line and "or, to go" not in line)
        path.write_text('[gateway]\nname = "rig1"\n' + device("opcua", server.address, pasted))
        trial = await probe.try_device(config.load(path).devices[0], Output(), 2.0)
        assert "no namespace" in str(
            trial.failed and trial.failed.said
        )  # the identity is accepted now; it is another server than the map's
        assert trial.code == 1
    finally:
        await server.stop()


OTHER = """device_map = "other"
maker = "x"
models = ["x"]
modbus = { timeout = "1s" }
tags = [{ name = "far", at = "holding:60000", type = "uint16", every = "1h" }, { name = "farther", at = "input:60010", type = "int16" }]
"""


def test_map_of_another_device_ends_with_1_and_tells_the_quality(
    field: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.toml").write_text(OTHER)
    text = f'[gateway]\nname = "rig1"\n[[device]]\nname = "pump"\nmap = "other"\naddress = "{field["modbus"]}"\n'
    (tmp_path / "gateway.toml").write_text(text)
    assert main(["test", str(tmp_path / "gateway.toml"), "pump"]) == 1
    shown = capsys.readouterr().out
    assert "0 of 2 tags good" in shown
    assert "bad_configuration" in shown
    assert "compare the addresses" in shown


def test_cycle_of_a_dry_run_is_a_minute_at_most(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(OTHER)
    path = tmp_path / "gateway.toml"
    path.write_text('[gateway]\nname = "rig1"\n[[device]]\nname = "pump"\nmap = "other"\naddress = "127.0.0.1:1"\n')
    (found,) = config.load(path).devices
    assert dryrun._cycle_us(found) == 60_000_000
    assert dryrun._expected(found, 60_000_000) == {0: 1, 1: 60}


def test_substation_is_tried_by_polling_so_that_no_report_is_taken(gateway: Path) -> None:
    found = devices.find(config.load(gateway), "iec61850")
    assert found.map.options.mode == "report"
    assert devices.on_trial(found).map.options.mode == "poll"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (socket.gaierror(-2, "unknown"), 7, "DNS"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 7, "502"),
        (OSError(errno.ENETUNREACH, "unreachable"), 7, "network"),
        (ssl.SSLCertVerificationError(1, "self-signed"), 4, "ca_file"),
        (TimeoutError(), 7, "unit number"),
    ],
    ids=["name", "refused", "no way", "tls", "silence"],
)
def test_cause_deep_inside_a_failure_leads_to_its_own_advice(gateway: Path, error: Exception, code: int, says: str) -> None:
    found = devices.find(config.load(gateway), "modbus")
    outer = DeviceUnreachable('device "modbus": no connection', quality.BAD_NO_COMMUNICATION)
    outer.__cause__ = error
    advice = advise(outer if not isinstance(error, TimeoutError) else error, found)
    assert advice.code == code
    assert says in advice.next_step
    assert type(error).__name__ in advice.detail
