"""`qenergyz sim serve` gives any device map, SCL file or nodeset a face that moves."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocols.clock import SystemClock
from protocols.devicemap import DeviceMaps, parse_devices
from protocols.driver import open_driver
from protocols.tomlfile import ConfigError, TomlFile
from simulators import serving

DATA = Path(__file__).parents[1] / "data"
SCL = DATA / "iec61850_scl" / "scd_with_dai_test.xml"
NODESETS = DATA / "opcua_nodesets"


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """Addresses by device."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "qenergyz", "sim", "serve", *arguments, "--ready", str(ready)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 40
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield json.loads(ready.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


async def test_served_map_moves_at_the_address_that_is_printed(tmp_path: Path) -> None:
    with running(tmp_path, "sel_751", "--name", "relay", "--unit", "7", "--rate", "20") as addresses:
        text = f'[[device]]\nname = "relay"\nmap = "sel_751"\naddress = "{addresses["relay"]}"\nunit = 7\n'
        (device,) = parse_devices(TomlFile(tmp_path / "g.toml", text).root.sections("device"), DeviceMaps())
        driver = open_driver(device, SystemClock())
        await driver.open()
        frames = [await driver.read() for _ in range(4)]
        await driver.close()
    assert len({frame.blocks[0].values.tobytes() for frame in frames if frame.blocks[0].values.size > 10}) > 1


def test_every_ied_of_an_scl_file_is_served(tmp_path: Path) -> None:
    pytest.importorskip("pyiec61850")
    served = serving.of_scl(SCL)
    with running(tmp_path, str(SCL)) as addresses:
        assert set(addresses) == {device.name for device in served.scenario.devices}
        assert all(address.startswith("127.0.0.1:") and not address.endswith(":0") for address in addresses.values())


def test_nodesets_are_served_together(tmp_path: Path) -> None:
    files = [str(NODESETS / f"Opc.{name}.NodeSet2.xml.gz") for name in ("Ua.Di", "MDIS")]
    with running(tmp_path, *files) as addresses:
        assert addresses["nodesets"].startswith("opc.tcp://127.0.0.1:")


def test_what_cannot_be_served_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='did you mean "sel_751"'):
        serving.find("sel_715")
    (tmp_path / "x.xml").write_text("<other/>")
    assert serving.root_of(tmp_path / "x.xml") == "other"
    command = [sys.executable, "-m", "qenergyz", "sim", "serve", str(tmp_path / "x.xml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "x.xml" in done.stderr
