"""The gateway's configuration file: TOML into frozen values. Checking never touches the network or the buffer."""

from dataclasses import dataclass
from pathlib import Path

from edge import tagids
from protocols.devicemap import Device, DeviceMaps, TagTable, parse_devices
from protocols.enrolment import gateway_urn
from protocols.tomlfile import Section, TomlFile


@dataclass(frozen=True, slots=True)
class BufferConfig:
    """max_bytes: cap of the stored bytes. commit_every_us: a sample is durable at most this much after it was read. seal_every_us: 1-10 s."""

    max_bytes: int
    drop_oldest: bool
    commit_every_us: int
    seal_every_us: int


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """data: folder of buffer, key and enrolment. hub: base URL, "" = collect only. health: (host, port) of the local health page. path: the file."""

    name: str
    data: Path
    hub: str
    buffer: BufferConfig
    health: tuple[str, int]
    devices: tuple[Device, ...]
    table: TagTable
    path: Path

    @property
    def urn(self) -> str:
        return gateway_urn(self.name)


def load(path: Path) -> GatewayConfig:
    """Raises ConfigError naming file, line and key."""
    root = TomlFile.read(path).root
    gateway = root.section("gateway")
    name = gateway.text("name")
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
        raise gateway.error("name", f'"name": expected letters, digits, "-", "_" or ".", found "{name}"')
    data = (path.parent / gateway.text("data", f"{name}-data")).resolve()
    hub = gateway.text("hub", "").rstrip("/")
    if hub and not hub.startswith(("http://", "https://")):
        raise gateway.error("hub", f'"hub": expected http://... or https://..., found "{hub}"')
    gateway.done()
    buffer = _buffer(root.section("buffer", optional=True))
    health = _health(root.section("health", optional=True))
    maps = DeviceMaps(map_folders(path))
    devices = tagids.place(parse_devices(root.sections("device", optional=True), maps), tagids.read(data))
    if not devices:
        raise root.error(None, "expected at least one [[device]] table")
    root.done()
    return GatewayConfig(name, data, hub, buffer, health, devices, TagTable.build(gateway_urn(name), devices), path)


def map_folders(path: Path) -> tuple[Path, ...]:
    """Where the device maps of a gateway's file are looked for before those that ship with the product."""
    return path.parent / "devices", path.parent


def _buffer(section: Section) -> BufferConfig:
    config = BufferConfig(
        max_bytes=section.size("max_size", "1GB"),
        drop_oldest=section.choice("when_full", ("drop_oldest", "stop_newest"), "drop_oldest") == "drop_oldest",
        commit_every_us=section.duration_us("commit_every", "80ms"),
        seal_every_us=section.duration_us("seal_every", "5s"),
    )
    if not 1_000 <= config.commit_every_us <= 100_000:
        raise section.error("commit_every", '"commit_every": expected 1ms to 100ms, because a sample is not safe before it')
    if not 100_000 <= config.seal_every_us <= 10_000_000:
        raise section.error("seal_every", '"seal_every": expected 100ms to 10s')
    if config.max_bytes < 1_000_000:
        raise section.error("max_size", '"max_size": expected at least 1MB')
    section.done()
    return config


def _health(section: Section) -> tuple[str, int]:
    listen = section.text("listen", "127.0.0.1:0")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise section.error("listen", f'"listen": expected host:port, found "{listen}"')
    section.done()
    return host, int(port)
