"""The gateway's configuration file: TOML into frozen values. Checking never touches the network or the buffer."""

import enum
from dataclasses import dataclass
from pathlib import Path

from edge import tagids
from protocols.devicemap import Device, DeviceMaps, TagTable, parse_devices
from protocols.enrolment import gateway_urn
from protocols.frame import Priority
from protocols.secret import Secret, parse_secret
from protocols.tomlfile import Section, TomlFile


class WhenFull(enum.StrEnum):
    """What happens to a class of data when the buffer is full: `edge.buffercap` says how."""

    DROP_OLDEST = "drop_oldest"
    THIN_OUT = "thin_out"
    STOP_NEWEST = "stop_newest"


@dataclass(frozen=True, slots=True)
class Policies:
    """By class. Events are dropped last, the oldest first."""

    normal: WhenFull = WhenFull.DROP_OLDEST
    bulk: WhenFull = WhenFull.THIN_OUT
    critical: WhenFull = WhenFull.DROP_OLDEST

    def of(self, priority: Priority) -> WhenFull:
        known = {Priority.BULK: self.bulk, Priority.NORMAL: self.normal, Priority.CRITICAL: self.critical}
        return known.get(priority, WhenFull.DROP_OLDEST)


@dataclass(frozen=True, slots=True)
class BufferConfig:
    """max_bytes: cap of the stored bytes. commit_every_us: a sample is durable at most this much after it was read. seal_every_us: 1-10 s.
    key: where the key stands that encrypts it; None = plain."""

    max_bytes: int
    policies: Policies
    commit_every_us: int
    seal_every_us: int
    key: Path | Secret | None = None


@dataclass(frozen=True, slots=True)
class HubAccess:
    """How the agent meets its hub. rotate_days: age at which the gateway's key is replaced, 0 = never by itself. key: the gateway's key where the
    site keeps it itself. ca: authorities that the hub's certificate is held against; None = those that this machine trusts. client_*: the
    operator's own certificate; None = the one that the hub issued, where it did. remote_configuration: the hub may change devices.
    """

    rotate_days: int = 0
    key: Path | Secret | None = None
    ca: Path | Secret | None = None
    client_cert: Path | Secret | None = None
    client_key: Path | Secret | None = None
    remote_configuration: bool = False


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """data: folder of buffer, key and enrolment. hub: base URL, "" = collect only. health: (host, port) of the local health page. path: the file. otlp: base URL of a
    collector for OpenTelemetry spans, "" = none are made."""

    name: str
    data: Path
    hub: str
    buffer: BufferConfig
    health: tuple[str, int]
    devices: tuple[Device, ...]
    table: TagTable
    path: Path
    access: HubAccess = HubAccess()
    otlp: str = ""

    @property
    def urn(self) -> str:
        return gateway_urn(self.name)


def load(path: Path) -> GatewayConfig:
    """Raises ConfigError naming file, line and key."""
    return parse(TomlFile.read(path))


def parse(file: TomlFile) -> GatewayConfig:
    """As `load`, of a text that stands in place of the file's."""
    root, path = file.root, file.path
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
    access = _access(root.section("hub", optional=True))
    otlp = _telemetry(root.section("telemetry", optional=True))
    maps = DeviceMaps(map_folders(path))
    devices = tagids.place(parse_devices(root.sections("device", optional=True), maps), tagids.read(data))
    if not devices:
        raise root.error(None, "expected at least one [[device]] table")
    root.done()
    return GatewayConfig(name, data, hub, buffer, health, devices, TagTable.build(gateway_urn(name), devices), path, access, otlp)


def map_folders(path: Path) -> tuple[Path, ...]:
    """Where the device maps of a gateway's file are looked for before those that ship with the product."""
    return path.parent / "devices", path.parent


def _buffer(section: Section) -> BufferConfig:
    config = BufferConfig(
        max_bytes=section.size("max_size", "1GB"),
        policies=Policies(
            normal=_when_full(section, "when_full", WhenFull.DROP_OLDEST),
            bulk=_when_full(section, "when_full_bulk", WhenFull.THIN_OUT),
            critical=_when_full(section, "when_full_critical", WhenFull.DROP_OLDEST),
        ),
        commit_every_us=section.duration_us("commit_every", "80ms"),
        seal_every_us=section.duration_us("seal_every", "5s"),
        key=parse_secret(section, "key"),
    )
    if not 1_000 <= config.commit_every_us <= 100_000:
        raise section.error("commit_every", '"commit_every": expected 1ms to 100ms, because a sample is not safe before it')
    if not 100_000 <= config.seal_every_us <= 10_000_000:
        raise section.error("seal_every", '"seal_every": expected 100ms to 10s')
    if config.max_bytes < 1_000_000:
        raise section.error("max_size", '"max_size": expected at least 1MB')
    section.done()
    return config


def _when_full(section: Section, key: str, default: WhenFull) -> WhenFull:
    return WhenFull(section.choice(key, [one.value for one in WhenFull], default.value))


def _access(section: Section) -> HubAccess:
    access = HubAccess(
        rotate_days=section.integer("rotate_days", 0, low=0, high=3650),
        key=parse_secret(section, "key"),
        ca=parse_secret(section, "ca"),
        client_cert=parse_secret(section, "client_cert"),
        client_key=parse_secret(section, "client_key"),
        remote_configuration=section.boolean("remote_configuration", False),
    )
    section.done()
    if (access.client_cert is None) != (access.client_key is None):
        given = "client_cert" if access.client_cert else "client_key"
        raise section.error(given, '"client_cert" and "client_key" go together: name both, or neither to use what the hub issued')
    if access.key is not None and access.rotate_days:
        raise section.error("rotate_days", '"rotate_days": the agent cannot replace a key that it does not keep; leave out this or "key"')
    return access


def _telemetry(section: Section) -> str:
    otlp = section.text("otlp", "")
    if otlp and not otlp.startswith(("http://", "https://")):
        raise section.error("otlp", f'"otlp": expected http://... or https://... of an OTLP/HTTP collector, found "{otlp}"')
    if "@" in otlp:
        raise section.error("otlp", '"otlp": no user or password here; the variable OTEL_EXPORTER_OTLP_HEADERS of the agent is for them')
    section.done()
    return otlp


def _health(section: Section) -> tuple[str, int]:
    listen = section.text("listen", "127.0.0.1:0")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise section.error("listen", f'"listen": expected host:port, found "{listen}"')
    section.done()
    return host, int(port)
