"""Device maps for the tests, written as an engineer would."""

from pathlib import Path

from protocols.devicemap import Device, DeviceMap, load_device_map
from protocols.modbus.plan import ModbusSettings


def device_map(folder: Path, tags: str, modbus: str = "") -> DeviceMap:
    """tags: the inside of the `tags` list; modbus: the inside of the `modbus` table."""
    path = folder / "bench.toml"
    path.write_text(f'device_map = "bench"\nmaker = "Bench"\nmodels = ["one"]\nmodbus = {{ {modbus} }}\ntags = [\n{tags}\n]\n')
    return load_device_map(path)


def device(the_map: DeviceMap, address: str = "127.0.0.1:0", unit: int = 1, first_id: int = 0) -> Device:
    return Device("pump", the_map, address, ModbusSettings(unit), first_id=first_id)
