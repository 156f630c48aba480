"""A simulated device of each protocol, in processes of their own as in the field, and a gateway file that names them."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MAPS = {
    "modbus": "qenergyz_well_modbus",
    "opcua": "qenergyz_well_opcua",
    "mqtt": "qenergyz_well_mqtt",
    "iec61850": "qenergyz_substation_iec61850",
}
DEAD = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """The commands quieten the log of their process, which here is that of the other tests as well."""
    before = {name: logging.getLogger(name).level for name in ("", "qenergyz", "asyncua")}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Addresses by protocol."""
    folder = tmp_path_factory.mktemp("field")
    started = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "qenergyz.py"), "sim", "serve", name, "--name", protocol, "--ready", str(folder / f"{protocol}.json"), "--wait"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        )
        for protocol, name in MAPS.items()
    ]  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not all((folder / f"{protocol}.json").exists() for protocol in MAPS):
            assert time.monotonic() < until, "a simulator does not start"
            time.sleep(0.05)
        for process in started:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        yield {protocol: json.loads((folder / f"{protocol}.json").read_text())[protocol] for protocol in MAPS}
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


def device(protocol: str, address: str, more: str = "", name: str = "") -> str:
    version = 'version = "3.1.1"\n' if protocol == "mqtt" else ""
    return f'\n[[device]]\nname = "{name or protocol}"\nmap = "{MAPS[protocol]}"\naddress = "{address}"\n{version}{more}'


@pytest.fixture
def gateway(field: Mapping[str, str], tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text('[gateway]\nname = "rig1"\n' + "".join(device(protocol, address) for protocol, address in field.items()))
    return path


def qenergyz(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "qenergyz.py"), "edge", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip
