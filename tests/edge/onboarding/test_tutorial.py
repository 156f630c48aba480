"""The tutorial is typed into a terminal, as it stands, in an empty folder: five commands to live values. Show 3 of the issue."""

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.edge.onboarding.conftest import ROOT

PAGE = (ROOT / "docs" / "tutorials" / "first-values.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[0].splitlines()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "qenergyz"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "qenergyz.py"}" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "empty").mkdir()
    child = pexpect.spawn(
        "bash", ["--norc", "--noprofile"], cwd=str(tmp_path / "empty"), encoding="utf-8", timeout=30, dimensions=(50, 250), echo=False
    )
    child.sendline(f"PATH='{tmp_path / 'bin'}':$PATH; PS1=''; PS2=''; set -m; echo ready-$((1+1))")
    child.expect("ready-2")
    yield child
    child.sendline("kill %1; wait; exit")
    child.close(force=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def typed(terminal: Any, command: str) -> tuple[str, int]:
    """What is shown, and the exit code."""
    terminal.sendline(f"{command}\necho exit-code-$?-")
    terminal.expect(r"exit-code-(\d+)-")
    return terminal.before, int(terminal.match[1])


def test_tutorial_leads_from_an_empty_folder_to_live_values(terminal: Any) -> None:
    assert len(COMMANDS) <= 5
    port = str(free_port())
    serve, init, check, try_it, live = (command.replace("5020", port).replace("10s", "3s") for command in COMMANDS)
    terminal.sendline(serve)
    terminal.sendline("until grep -qs 127.0.0.1 sim.log; do sleep 0.05; done; echo served-$((1+1))")
    terminal.expect("served-2")
    shown, code = typed(terminal, init)
    assert (code, "gateway.toml written" in shown) == (0, True), shown
    shown, code = typed(terminal, check)
    assert (code, "nothing wrong" in shown) == (0, True), shown
    shown, code = typed(terminal, try_it)
    assert (code, "8 of 8 tags good" in shown) == (0, True), shown
    for line in ("ok   resolve", "ok   connect", "ok   authenticate", "ok   read"):
        assert line in PAGE
        assert line in shown
    shown, code = typed(terminal, live)
    assert code == 0, shown
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} +p_pdg +\S+ -> \S+ Pa", shown), shown
    assert "\x1b[3" not in shown


def test_ctrl_c_ends_live_without_a_trace(terminal: Any) -> None:
    terminal.sendline(
        "qenergyz edge init . --name r --device w=qenergyz_well_modbus@127.0.0.1:1 --no-input; qenergyz edge live gateway.toml"
    )
    terminal.expect("nothing listens")
    terminal.sendintr()
    shown, code = typed(terminal, "true")
    terminal.sendline("echo done-$((1+1))")
    terminal.expect("done-2")
    assert code == 0
    assert "Traceback" not in shown
