"""Device maps and devices for the tests, written as an engineer would."""

from pathlib import Path

from protocols.devicemap import Device, DeviceMap, load_device_map
from protocols.mqtt.plan import MqttSettings

JSON = 'payload = "json", topic = "site/{device}", time = "$.t"'
SPARKPLUG = 'payload = "sparkplug", group = "g", node = "{device}"'
PUMP = '{ name = "p", at = "$.p", type = "float64", quality_at = "$.q" },\n{ name = "n", at = "$.n[1]", type = "uint16" }'


def device_map(folder: Path, tags: str, mqtt: str = JSON) -> DeviceMap:
    """tags: the inside of the `tags` list; mqtt: the inside of the `mqtt` table."""
    path = folder / "bench.toml"
    path.write_text(f'device_map = "bench"\nmaker = "Bench"\nmodels = ["one"]\nmqtt = {{ {mqtt} }}\ntags = [\n{tags}\n]\n')
    return load_device_map(path)


def device(the_map: DeviceMap, address: str = "mqtt://127.0.0.1:0", first_id: int = 0) -> Device:
    return Device("pump", the_map, address, MqttSettings(version="3.1.1", keepalive_s=5), first_id=first_id)
