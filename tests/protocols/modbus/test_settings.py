"""The device's own keys in a gateway's file."""

from pathlib import Path

import pytest

from protocols.devicemap import Device, DeviceMaps, parse_devices
from protocols.modbus.settings import Credentials, ModbusSettings
from protocols.tomlfile import ConfigError, TomlFile
from tests.protocols.modbus.maps import device_map


def parsed(folder: Path, keys: str) -> Device:
    device_map(folder, '{ name = "a", at = "holding:1", type = "int16" }')
    path = folder / "gateway.toml"
    path.write_text(f'[[device]]\nname = "d"\nmap = "bench"\n{keys}\n')
    (device,) = parse_devices(TomlFile.read(path).root.sections("device"), DeviceMaps((folder,)))
    return device


def test_limits_of_the_device_stand_beside_its_address(tmp_path: Path) -> None:
    keys = 'address = "rtu:///dev/ttyUSB0?baud=9600"\nunit = 17\nmax_words = 20\nmax_gap = 0\ntimeout = "300ms"\nmin_pause = "20ms"\nretries = 2'
    assert parsed(tmp_path, keys).settings == ModbusSettings(17, 20, 0, 300_000, 20_000, 2)
    assert parsed(tmp_path, 'address = "plc:502"').settings == ModbusSettings()


def test_files_of_tls_are_beside_the_gateway_file(tmp_path: Path) -> None:
    keys = 'address = "tls://plc"\nca_file = "ca.pem"\ncertificate_file = "own.pem"\nkey_file = "/keys/own.key"\nrole = "Operator"\nserver_name = "plc7"'
    expected = Credentials(tmp_path / "ca.pem", tmp_path / "own.pem", Path("/keys/own.key"), "plc7", "Operator")
    assert parsed(tmp_path, keys).settings.tls == expected


REFUSED = {
    "an address that is none": ('address = "http://plc"', '"address": expected one of'),
    "TLS without files": ('address = "tls://plc"', '"ca_file" is missing'),
    "files without TLS": ('address = "plc"\nca_file = "ca.pem"', "for addresses that begin with tls://"),
    "a role without TLS": ('address = "plc"\nrole = "Operator"', "for addresses that begin with tls://"),
    "a unit above the last": ('address = "plc"\nunit = 256', "0 to 255"),
    "the unit of everybody on a serial line": ('address = "rtu:///dev/ttyS0"\nunit = 0', "1 to 247"),
    "more words than a request can ask for": ('address = "plc"\nmax_words = 126', "4 to 125"),
    "no time at all": ('address = "plc"\ntimeout = "0s"', "longer than nothing"),
    "too many retries": ('address = "plc"\nretries = 6', "0 to 5"),
    "an unknown key": ('address = "plc"\nbaud = 9600', 'unknown key "baud"'),
}


@pytest.mark.parametrize(("keys", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_device_is_refused_for(keys: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.toml:\d+: ") as refusal:
        parsed(tmp_path, keys)
    assert sentence in str(refusal.value)
