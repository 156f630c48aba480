"""How every command speaks: something at once, JSON alone on standard output, an example in its help, completion, and never a secret."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.enrolment import load_or_make_key
from edge.onboarding import bundle, commands, masking
from edge.onboarding.completion import bash, fish, words, zsh
from edge.onboarding.masking import Masker
from protocols.tomlfile import TomlFile
from tests.edge.onboarding.conftest import DEAD, ROOT, device, qenergyz

CANARY = "canary-27182818"
CONNECTING = ("test", "live", "dry-run", "browse", "doctor")


def test_commands_are_imported_when_they_are_used() -> None:
    code = "import sys, edge.cli, edge.onboarding.commands; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "asyncua", "paho", "httpx", "cryptography", "edge.config", "edge.onboarding.probe"} & set(loaded)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_first_words_come_before_anything_slow_is_imported(name: str) -> None:
    """A clock would measure the machine: counted is what has been imported when the first line is written."""
    arguments = {"decode": ["--raw", "0000"], "completion": ["bash"], "schema": ["map"], "discover": ["--range", "127.0.0.1"]}.get(
        name, ["absent.toml"]
    )
    more = {"test": ["x"], "browse": ["x"], "support-bundle": ["--out", "absent.zip"], "init": ["--maps"]}.get(name, [])
    code = f"""
import sys
class First:
    def write(self, text):
        if text.strip():
            loaded = set(sys.modules)
            sys.__stdout__.write(" ".join(sorted(loaded & {{"numpy", "asyncua", "paho.mqtt.client", "httpx", "cryptography"}})) or "nothing")
            sys.__stdout__.flush()
            import os
            os._exit(0)
    def flush(self): pass
    def isatty(self): return False
sys.stdout = sys.stderr = First()
from edge.cli import main
main({[name, *arguments, *more]!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "nothing" or name in ("init", "completion")


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_has_an_example_whose_options_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"Example: qenergyz edge {name}" in shown
    example = commands.COMMANDS[name][2].split()
    assert all(word in shown for word in example if word.startswith("--"))
    assert ("--json" in shown) is (name in commands.READING)


def test_command_that_does_not_exist_is_offered_by_its_likeness(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docter"]) == 2
    assert 'did you mean "doctor"?' in capsys.readouterr().err


@pytest.mark.parametrize("name", CONNECTING)
def test_error_is_json_too_while_standard_error_is_noisy(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text('[gateway]\nname = "rig1"\n')
    rest = ["x"] if name in ("test", "browse") else []
    code = main([name, str(tmp_path / "gateway.toml"), *rest, "--json"])
    shown = capsys.readouterr()
    assert code == (1 if name == "doctor" else 2)
    assert json.loads(shown.out)["ok"] is False
    assert shown.err


# -- secrets


@pytest.fixture
def unsafe(tmp_path: Path) -> Path:
    """A gateway with a secret in every place where one could be, allowed or not."""
    (tmp_path / "secret").write_text(CANARY + "\n")
    (tmp_path / "key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'# the password is {CANARY}\n[gateway]\nname = "rig1"\nhub = "http://me:{CANARY}@127.0.0.1:1"\n'
        + device("mqtt", "mqtt://" + DEAD, 'username = "me"\npassword_file = "secret"\n')
        + device("modbus", DEAD)
        + '[hub]\nkey = "key.pem"\nca = "secret"\nclient_cert = "secret"\nclient_key = "key.pem"\n'
    )
    data = tmp_path / "rig1-data"
    data.mkdir()
    load_or_make_key(data)
    (tmp_path / "agent.log").write_text(
        f'device_down password={CANARY}\nauthorization: Bearer {CANARY}\n{{"token": "{CANARY}"}}\nhttps://a:{CANARY}@hub.example\n'
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n"
    )
    return path


def everything(folder: Path) -> list[str]:
    """What must not be seen: the canary in its usual disguises, and the gateway's own key."""
    key = (folder / "rig1-data" / "gateway.key").read_text()
    lines = [line for line in key.splitlines() if line and not line.startswith("-----")]
    return [CANARY, CANARY.encode().hex(), base64.b64encode(CANARY.encode()).decode(), *lines]


CALLS = {
    "test": ["test", "{config}", "mqtt", "--verbose"],
    "test of modbus": ["test", "{config}", "modbus", "--verbose"],
    "live": ["live", "{config}", "--for", "300ms"],
    "dry-run": ["dry-run", "{config}", "--cycles", "1"],
    "browse": ["browse", "{config}", "mqtt", "--wait", "0.2"],
    "browse of an address": ["browse", f"mqtt://me:{CANARY}@127.0.0.1:1"],
    "decode": ["decode", "--raw", "0001"],
    "discover": ["discover", "--range", "127.0.0.1/32", "--ports", "1"],
    "doctor": ["doctor", "{config}", "--wait", "0.5"],
    "support-bundle": ["support-bundle", "{config}", "--out", "{folder}/b.zip", "--log", "{folder}/agent.log"],
    "check": ["check", "{config}"],
    "status": ["status", "{config}"],
    "enrol": ["enrol", "{config}", "--voucher", CANARY],
    "rotate": ["rotate", "{config}"],
    "accept-fork": ["accept-fork", "{config}", "--why", "restored"],
    "init": [
        "init",
        "{folder}/new",
        "--name",
        "a b",
        "--hub",
        f"ftp://me:{CANARY}@x",
        "--device",
        "a=qenergyz_well_modbus@x:1",
        "--no-input",
    ],
}


@pytest.mark.parametrize("json_wanted", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("call", CALLS)
def test_canary_is_in_no_output(unsafe: Path, call: str, json_wanted: bool, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [word.format(config=unsafe, folder=unsafe.parent) for word in CALLS[call]]
    main([*arguments, *(["--json"] if json_wanted and arguments[0] not in ("init", "enrol") else [])])
    shown = capfd.readouterr()
    assert [secret for secret in everything(unsafe.parent) if secret in shown.out + shown.err] == []
    assert shown.out + shown.err


WRONG = {
    "secret in the file": ('name = "rig1"\n', f'name = "rig1"\npassword = "{CANARY}"\n'),
    "secret of the wrong type": ('password_file = "secret"', f'password = ["{CANARY}"]'),
    "hub with credentials of the wrong kind": ("http://me", "ftp://me"),
    "secret that spoils the file": ('name = "rig1"\n', f'name = "rig1"\ntoken = {CANARY}\n'),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_canary_is_in_no_error_and_in_no_bundle(unsafe: Path, wrong: str, capfd: pytest.CaptureFixture[str]) -> None:
    unsafe.write_text(unsafe.read_text().replace(*WRONG[wrong], 1))
    for arguments in (["check", str(unsafe)], ["test", str(unsafe), "mqtt"], ["doctor", str(unsafe)]):
        assert main(arguments) in (1, 2)
    out = unsafe.parent / "b.zip"
    main(["support-bundle", str(unsafe), "--out", str(out)])
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err
    assert CANARY not in contents(out)


def contents(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


def test_bundle_has_what_support_needs_and_no_secret(unsafe: Path) -> None:
    out = unsafe.parent / "b.zip"
    assert main(["support-bundle", str(unsafe), "--out", str(out), "--log", str(unsafe.parent / "agent.log")]) == 0
    with zipfile.ZipFile(out) as archive:
        assert set(archive.namelist()) == {"doctor.json", "versions.json", "gateway.toml", "log.txt"}
        checks = json.loads(archive.read("doctor.json"))
        text = archive.read("gateway.toml").decode()
        assert "device_down" in archive.read("log.txt").decode()
        assert json.loads(archive.read("versions.json"))["qenergyz"]
    assert {"device", "hub", "python"} <= {check["check"] for check in checks}
    assert 'name = "rig1"' in text
    assert TomlFile(unsafe, text).root.section("gateway").text("hub") == "http://***@127.0.0.1:1"
    assert [secret for secret in everything(unsafe.parent) if secret in contents(out)] == []
    assert out.stat().st_mode & 0o077 == 0
    assert main(["support-bundle", str(unsafe), "--out", str(out)]) == 5


def test_bundle_has_the_sites_own_maps_but_no_unknown_values(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        f'device_map = "own"\nlicence = "{CANARY}"\n[modbus]\n[[tags]]\nname = "a"\nlabels = {{ 1 = "on" }}\n'
    )
    text = bundle.masked_toml(tmp_path / "own.toml")
    assert 'licence = "***"' in text
    assert '1 = "on"' in text


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("password", True),
        ("api_key", True),
        ("hub_token", True),
        ("pin", True),
        ("password_file", False),
        ("spinning", False),
        ("key", False),
    ],
)
def test_key_that_holds_a_secret_is_known_by_its_name(key: str, secret: bool) -> None:
    assert masking.is_secret(key) is secret


@settings(max_examples=50)
@given(st.text(alphabet="abcXYZ0123456789!$%&*()_+=-", min_size=4, max_size=24), st.text(max_size=30), st.text(max_size=30))
def test_known_secret_is_never_in_a_masked_text(secret: str, before: str, after: str) -> None:
    if secret in masking.MASK:
        return
    assert secret not in Masker([secret]).masked(f"{before}{secret}{after}").replace(masking.MASK, "\0")


# -- completion


def run_bash(script: str, line: list[str]) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in line)
    code = f'{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}; _qenergyz_edge; echo "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_commands_and_options() -> None:
    script = bash(words())
    assert run_bash(script, ["qenergyz", "ed"]) == ["edge"]
    assert run_bash(script, ["qenergyz", "edge", "do"]) == ["doctor"]
    assert run_bash(script, ["qenergyz", "edge", "test", "--w"]) == ["--wait"]
    assert run_bash(script, ["qenergyz", "edge", "import", "suns"]) == ["sunspec"]


@pytest.mark.parametrize(("shell", "make"), [("bash", bash), ("zsh", zsh), ("fish", fish)])
def test_completion_names_every_command_and_parses_where_the_shell_is_there(shell: str, make: Any, tmp_path: Path) -> None:
    script = make(words())
    assert all(name in script for name in (*commands.COMMANDS, "run", "check", "enrol", "import"))
    (tmp_path / "script").write_text(script)
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, check=False).returncode == 0


def test_output_that_nobody_reads_ends_quietly() -> None:
    command = f"'{sys.executable}' qenergyz.py edge schema map | head -c 1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert "Traceback" not in done.stderr


def test_first_feedback_as_a_process() -> None:
    done = qenergyz("test", "absent.toml", "x")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "reading absent.toml ..."


async def test_voucher_that_a_hub_repeats_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f"voucher {CANARY} is spent".encode()
        writer.write(b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as hub:
        port = hub.sockets[0].getsockname()[1]
        (tmp_path / "gateway.toml").write_text(f'[gateway]\nname = "rig1"\nhub = "http://127.0.0.1:{port}"\n' + device("modbus", DEAD))
        (tmp_path / "voucher").write_text(CANARY + "\n")
        arguments = ["enrol", str(tmp_path / "gateway.toml"), "--voucher", f"@{tmp_path / 'voucher'}"]
        assert await asyncio.to_thread(main, arguments) == 1
    shown = capsys.readouterr()
    assert "is spent" in shown.err
    assert CANARY not in shown.out + shown.err
