"""What `doctor` looks at on this machine: each check takes what it judges and gives PASS, WARN or FAIL with a fix. Nothing is changed.

Not for the network: hub and devices are in `hubchecks` and `doctor`.
"""

import enum
import os
import shutil
import socket
import sqlite3
import stat
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from edge.bufferfile import QUICK_CHECK_BYTES, SCHEMA_VERSION, BufferTrouble
from edge.bufferkey import read_vault
from edge.clockwatch import NTP, UNKNOWN
from protocols.batch.columns import ClockRecord
from protocols.secret import Secret

OLDEST_PYTHON: Final = (3, 11)
LEAST_FILES: Final = 256
EARLIEST_US: Final = 1_735_689_600_000_000  # 2025: this program is younger
LARGEST_ERROR_US: Final = 1_000_000
LIBRARIES: Final = {"modbus": (), "opcua": ("asyncua",), "mqtt": ("paho",), "iec61850": ("pyiec61850",)}
EXTRAS: Final = {"asyncua": "edge", "paho": "edge", "httpx": "edge", "pyiec61850": "iec61850"}


class Outcome(enum.StrEnum):
    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """about: what it looked at where there are several, such as a device. fix: what to do, unless it passed."""

    name: str
    outcome: Outcome
    said: str
    fix: str = ""
    about: str = ""

    def document(self) -> dict[str, str]:
        return {"check": self.name, "about": self.about, "outcome": self.outcome.value, "said": self.said, "fix": self.fix}


def passed(name: str, said: str, about: str = "") -> Check:
    return Check(name, Outcome.PASS, said, about=about)


def warned(name: str, said: str, fix: str, about: str = "") -> Check:
    return Check(name, Outcome.WARN, said, fix, about)


def failed(name: str, said: str, fix: str, about: str = "") -> Check:
    return Check(name, Outcome.FAIL, said, fix, about)


def python(version: tuple[int, ...]) -> Check:
    text = ".".join(map(str, version[:3]))
    if version[:2] < OLDEST_PYTHON:
        return failed("python", f"Python {text}", f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")
    return passed("python", f"Python {text}")


def system(name: str, release: str, machine: str) -> Check:
    said = f"{name} {release} on {machine}"
    if name != "Linux":
        return failed("system", said, "run the agent on Linux: it relies on flock, epoll and the kernel's clock status")
    if machine not in ("x86_64", "aarch64"):
        return warned("system", said, "only x86_64 and aarch64 are tested; run the tests of the project on this machine")
    return passed("system", said)


def open_files(soft: int, devices: int) -> Check:
    needed = LEAST_FILES + 8 * devices
    if 0 <= soft < needed:
        return warned(
            "open files",
            f"this user may open {soft} files",
            f"raise the limit to {needed} (LimitNOFILE= in the systemd unit, or ulimit -n)",
        )
    return passed("open files", f"{soft if soft >= 0 else 'unlimited'}")


def clock(record: ClockRecord, now_us: int) -> Check:
    if now_us < EARLIEST_US:
        return failed(
            "clock", "the clock is years behind", "set it (timedatectl set-ntp true), and give the gateway a battery-backed clock"
        )
    if record.source == UNKNOWN:
        return warned(
            "clock", "the kernel does not say whether the clock is disciplined", "run chrony or systemd-timesyncd on this machine"
        )
    if record.source != NTP:
        return warned("clock", "the clock is not synchronised", "run chrony or systemd-timesyncd: timedatectl set-ntp true")
    if record.error_us > LARGEST_ERROR_US:
        return warned("clock", f"synchronised, but off by up to {record.error_us / 1e6:.1f} s", "choose a nearer time server")
    return passed("clock", f"synchronised, off by {record.offset_us / 1e3:+.3f} ms, at most {record.error_us / 1e3:.0f} ms")


def folder(data: Path) -> Check:
    place = data if data.exists() else next(parent for parent in data.parents if parent.exists())
    if data.exists() and not data.is_dir():
        return failed("data folder", f"{data} is no folder", 'move the file away, or name another folder as "data"')
    if not os.access(place, os.W_OK | os.X_OK):
        return failed("data folder", f"{place} cannot be written", f"give it to the user of the agent: chown -R {_user()} {place}")
    return passed("data folder", f"{data}" if data.exists() else f"{data} will be made at the first start")


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


def disk(free: int, stored: int, max_bytes: int) -> Check:
    """stored: bytes that the buffer has taken already."""
    needed = max(0, max_bytes - stored)
    said = f"{free / 1e9:.1f} GB free, the buffer may still take {needed / 1e9:.1f} GB"
    if free < 50_000_000:
        return failed("disk", said, "free some space: below 50 MB samples are lost soon")
    if free < needed:
        return warned("disk", said, f'free some space, or set max_size = "{max(1, (free + stored) * 8 // 10 // 1_000_000)}MB" in [buffer]')
    return passed("disk", said)


def disk_of(data: Path, max_bytes: int) -> Check:
    place = data if data.exists() else next(parent for parent in data.parents if parent.exists())
    stored = sum(path.stat().st_size for path in data.glob("buffer.db*")) if data.is_dir() else 0
    return disk(shutil.disk_usage(place).free, stored, max_bytes)


def buffer(path: Path) -> tuple[Check, Check]:
    """The buffer file, and the version of its tables. Opened for reading only; an agent may be writing."""
    if not path.exists():
        return passed("buffer", "none yet"), passed("schema version", f"none yet, this agent writes {SCHEMA_VERSION}")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            small = path.stat().st_size <= QUICK_CHECK_BYTES
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if small else "ok"
            counts = dict(connection.execute("SELECT state, count(*) FROM batch GROUP BY state").fetchall()) if version else {}
    except sqlite3.OperationalError as error:
        return warned("buffer", f"cannot be read: {error}", "run this as the user of the agent"), schema_version(-1)
    except sqlite3.DatabaseError as error:
        problem, version, counts = str(error), -1, {}
    if problem != "ok":
        said = f"damaged: {problem}"
        fix = "start the agent: it sets the file aside, begins a new one and reports the gap; keep the set-aside file for support"
        first = failed("buffer", said, fix)
    else:
        first = passed("buffer", f"sound; batches: {', '.join(f'{count} {state}' for state, count in counts.items()) or 'none'}")
    return first, schema_version(version)


def schema_version(found: int) -> Check:
    if found < 0:
        return warned("schema version", "cannot be read", "see the check of the buffer")
    if 0 < found < SCHEMA_VERSION:
        return passed("schema version", f"{found}, becomes {SCHEMA_VERSION} at the next start")
    if found not in (0, SCHEMA_VERSION):
        said = f"the buffer has schema {found}, this agent knows {SCHEMA_VERSION}"
        return failed("schema version", said, "start the version that wrote it, let it drain, then upgrade")
    return passed("schema version", f"{found or 'none yet'}")


def buffer_key(reference: Path | Secret | None) -> Check:
    """Of the encryption at rest: there, 32 bytes, and for the agent's user alone."""
    name = "buffer key"
    if reference is None:
        return passed(name, "none: the buffer is not encrypted")
    make = (
        f"openssl rand -hex 32 > {reference}; chmod 600 {reference}"
        if isinstance(reference, Path)
        else "put it there: openssl rand -hex 32"
    )
    if isinstance(reference, Secret) and not _there(str(reference)):
        return warned(name, f"{reference} is not there for this command", "it need be there for the agent only: look at its systemd unit")
    try:
        read_vault(reference)
    except BufferTrouble as error:
        return failed(name, str(error), f"restore the key that the buffer was written with, or for a new buffer: {make}")
    if isinstance(reference, Path) and stat.S_IMODE(reference.stat().st_mode) & 0o077:
        return failed(name, f"{reference} has mode {stat.S_IMODE(reference.stat().st_mode):04o}", f"chmod 600 {reference}")
    return passed(name, f"{reference}: 32 bytes")


def key_permissions(paths: Iterable[Path]) -> Check:
    """Keys and passwords are for the agent's user alone."""
    there = [path for path in paths if path.exists()]
    open_ones = [path for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_ones:
        said = ", ".join(f"{path} has mode {stat.S_IMODE(path.stat().st_mode):04o}" for path in open_ones)
        return failed("key permissions", said, f"chmod 600 {' '.join(map(str, open_ones))}")
    return passed("key permissions", f"{len(there)} files for their owner only")


def secret_files(named: Mapping[str, Path], elsewhere: Mapping[str, str]) -> Check:
    """named: files that the gateway's file refers to, by "device: key"; elsewhere: what stands in an environment or with systemd."""
    missing = [f"{what} {path}" for what, path in named.items() if not os.access(path, os.R_OK)]
    if missing:
        return failed("secret files", f"cannot be read: {', '.join(missing)}", "write them, readable for the user of the agent (mode 0600)")
    unset = [f"{what} {reference}" for what, reference in elsewhere.items() if not _there(reference)]
    if unset:
        fix = "they need be there for the agent only: look at the environment and the LoadCredential= of its systemd unit"
        return warned("secret files", f"not there for this command: {', '.join(unset)}", fix)
    return passed("secret files", f"{len(named) + len(elsewhere)} named, all readable")


def _there(reference: str) -> bool:
    source, _, name = reference.partition(":")
    if source == "env":
        return bool(os.environ.get(name))
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and os.access(Path(folder or "/") / name, os.R_OK)


def secret_paths(config: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Every file with credentials that a gateway file names, and every reference elsewhere. The file has been loaded before."""
    document: dict[str, Any] = tomllib.loads(config.read_text(encoding="utf-8"))
    keys = ("password_file", "key_file", "user_key", "ca_file", "certificate_file", "user_certificate")
    given = {
        f"{device.get('name', '?')}: {key}": device[key]
        for device in document.get("device", ())
        for key in keys
        if isinstance(device.get(key), str) and device[key]
    }
    hub = document.get("hub", {})
    given |= {f"hub: {key}": hub[key] for key in ("key", "client_key", "client_cert", "ca") if hub.get(key)}
    elsewhere = {what: text for what, text in given.items() if text.startswith(("env:", "credential:"))}
    return {what: config.parent / text for what, text in given.items() if what not in elsewhere}, elsewhere


def health_port(listen: tuple[str, int], agent_runs: bool) -> Check:
    host, port = listen
    if agent_runs or port == 0:
        return passed("port", "held by the running agent" if agent_runs else "the health page takes any free port")
    try:
        with closing(socket.create_server((host, port))):
            pass
    except OSError as error:
        return failed("port", f"{host}:{port} cannot be listened on: {error.strerror}", 'end who uses it, or change "listen" in [health]')
    if host not in ("127.0.0.1", "::1", "localhost"):
        return warned(
            "port", f"the health page will be open to others at {host}:{port}", 'set listen = "127.0.0.1:..." unless that is meant'
        )
    return passed("port", f"{host}:{port} is free")


def libraries(protocols: Iterable[str], hub: bool) -> Check:
    wanted = {library for protocol in protocols for library in LIBRARIES.get(protocol, ())} | ({"httpx"} if hub else set())
    missing = sorted(library for library in wanted if find_spec(library) is None)
    if missing:
        extras = ",".join(sorted({EXTRAS[library] for library in missing}))
        return failed("libraries", f"missing: {', '.join(missing)}", f'pip install "qenergyz[{extras}]"')
    return passed("libraries", f"{', '.join(sorted(wanted)) or 'none needed'}")


def serial_lines(paths: Iterable[str]) -> Check:
    unusable = [path for path in paths if not os.access(path, os.R_OK | os.W_OK)]
    if unusable:
        fix = "plug the adapter in and add the user of the agent to the group of the line: usermod -aG dialout " + _user()
        return failed("serial lines", f"cannot be used: {', '.join(unusable)}", fix)
    return passed("serial lines", "usable, or none needed")
