"""What an OPC UA device map and device may say. Pure: no network, no OPC UA library.

The namespace is named by its URI; its index is the server's own affair and is asked for at every connect. What an address may be is
said in `address.py`. Nothing here is a secret: passwords and keys are named by their files, relative to the gateway's file.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from protocols.devicemap import DeviceMap, TagType
from protocols.opcua.address import parse
from protocols.secret import Secret, parse_secret
from protocols.tomlfile import Section

POLICIES: Final = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")  # best first
DEPRECATED: Final = ("Basic256", "Basic128Rsa15")  # SHA-1: taken only when a person names them
MODES: Final = ("SignAndEncrypt", "Sign")
NONE: Final = "none"
IDENTITY_FOLDER: Final = "opcua-identity"


class Trigger(enum.StrEnum):
    """When a server notifies: on a new status or value, or on a new source time as well (every sample)."""

    VALUE = "value"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Options:
    """sampling_us 0 = as fast as the server can. max_silence_us: how long nothing may be heard before the link is doubted.

    events: notifier nodes whose events and alarms are taken. history: what an outage hid is read from the server's history.
    """

    namespace: str
    publishing_us: int = 100_000
    sampling_us: int = 0
    queue_size: int = 1000
    trigger: Trigger = Trigger.TIMESTAMP
    max_silence_us: int = 60_000_000
    events: tuple[str, ...] = ()
    history: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """security: a policy's name, "none", or "" = not said yet. fingerprint: SHA-256 of the one server certificate that is accepted (hex).

    trust: folder with `certificates`, `issuers` and `crls`. certificate_host: the host name that the server's certificate carries, where
    it is not the address's. identity: folder of our own application key and certificate, made once.
    """

    timeout_us: int = 4_000_000
    security: str = ""
    mode: str = "SignAndEncrypt"
    fingerprint: str = ""
    trust: Path | None = None
    certificate_host: str = ""
    identity: Path | None = None
    username: str = ""
    password_file: Path | Secret | None = None
    user_certificate: Path | None = None
    user_key: Path | None = None


@dataclass(frozen=True, slots=True)
class TagOptions:
    """What a tag says beside the common keys. sampling_us None = as the map says. deadband: raw units, or percent of the node's EURange.

    heartbeat_us: a tag with a deadband that was not heard of for so long is read.
    """

    sampling_us: int | None = None
    deadband: float = 0.0
    percent: bool = False
    heartbeat_us: int = 60_000_000


def parse_options(section: Section) -> Options:
    options = Options(
        namespace=section.text("namespace"),
        publishing_us=section.duration_us("publishing", "100ms"),
        sampling_us=section.duration_us("sampling", "0ms"),
        queue_size=section.integer("queue_size", 1000, low=1, high=100_000),
        trigger=Trigger(section.choice("trigger", [trigger.value for trigger in Trigger], "timestamp")),
        max_silence_us=section.duration_us("max_silence", "60s"),
        events=section.texts("events", []),
        history=section.boolean("history", False),
    )
    if options.publishing_us < 1000:
        raise section.error("publishing", '"publishing": expected at least 1ms')
    if options.max_silence_us < 10_000_000:
        raise section.error("max_silence", '"max_silence": expected at least 10s')
    for at in options.events:
        try:
            whole = not parse(at).path
        except ValueError as error:
            raise section.error("events", f'"events": {error}') from error
        if not whole:
            raise section.error("events", f'"events": a notifier is a whole node, found "{at}"')
    return options


def parse_tag(section: Section, kind: TagType) -> TagOptions | None:
    """None for a tag that says nothing of its own."""
    absolute, percent = section.number("server_deadband", None), section.number("server_deadband_percent", None)
    heartbeat_us = section.duration_us("heartbeat", "60s")
    if absolute is not None and percent is not None:
        raise section.error("server_deadband", 'expected "server_deadband" or "server_deadband_percent", found both')
    key, deadband = ("server_deadband", absolute) if percent is None else ("server_deadband_percent", percent)
    if deadband is not None:
        if not 0 < deadband < (float("inf") if percent is None else 100):
            raise section.error(key, f'"{key}": expected above 0{"" if percent is None else " and below 100"}, found {deadband}')
        if kind is TagType.BOOL or "labels" in section or section.boolean("counter", False):
            raise section.error(key, "a truth value, enumeration or counter is never thinned")
    elif "heartbeat" in section:
        raise section.error("heartbeat", f'"heartbeat" needs a "{key}"')
    sampling_us = section.duration_us("every", "1s") if "every" in section else None
    if deadband is None and sampling_us is None:
        return None
    return TagOptions(sampling_us, deadband or 0.0, percent is not None, heartbeat_us)


def parse_settings(section: Section) -> Settings:
    settings = Settings(
        timeout_us=section.duration_us("timeout", "4s"),
        security=section.choice("security", (*POLICIES, *DEPRECATED, NONE), ""),
        mode=section.choice("mode", MODES, "SignAndEncrypt"),
        fingerprint=section.text("fingerprint", "").replace(":", "").lower(),
        trust=_path(section, "trust"),
        certificate_host=section.text("certificate_host", ""),
        identity=_path(section, "identity") or section.path.parent / IDENTITY_FOLDER,
        username=section.text("username", ""),
        password_file=parse_secret(section, "password_file"),
        user_certificate=_path(section, "user_certificate"),
        user_key=_path(section, "user_key"),
    )
    _check(section, settings)
    return settings


def _path(section: Section, key: str) -> Path | None:
    text = section.text(key, "")
    return section.path.parent / text if text else None


def _check_address(section: Section) -> None:
    try:
        parts = urlsplit(section.text("address", ""))
        usable = parts.scheme == "opc.tcp" and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        usable = False
    if not usable:
        raise section.error("address", f'"address": expected "opc.tcp://host:port/path"{_found(section)}')
    if parts.username is not None or parts.password is not None:
        raise section.error("address", '"address": a user stands in "username" and "password_file", never in an address')


def _found(section: Section) -> str:
    """What stands there, unless a password may be in it."""
    address = section.text("address", "")
    return "" if "@" in address else f', found "{address}"'


def _check(section: Section, settings: Settings) -> None:
    if "address" in section:
        _check_address(section)
    if settings.timeout_us < 100_000:
        raise section.error("timeout", '"timeout": expected at least 100ms')
    if settings.fingerprint and not re.fullmatch(r"[0-9a-f]{64}", settings.fingerprint):
        raise section.error("fingerprint", '"fingerprint": expected a SHA-256, 64 hexadecimal digits')
    if settings.security in (*POLICIES, *DEPRECATED) and not settings.fingerprint and settings.trust is None:
        raise section.error("security", '"security" needs a "fingerprint" or a "trust" folder: without one, any server would be believed')
    if settings.security in ("", NONE) and "mode" in section:
        raise section.error("mode", '"mode" needs a "security" policy')
    if (settings.password_file is None) != (not settings.username):
        raise section.error("username", '"username" and "password_file" go together')
    if (settings.user_certificate is None) != (settings.user_key is None):
        raise section.error("user_certificate", '"user_certificate" and "user_key" go together')
    if settings.username and settings.user_certificate:
        raise section.error("username", 'expected "username" or "user_certificate", found both')


def text_problems(device_map: DeviceMap) -> Iterable[tuple[int, str]]:
    """What is wrong with the texts of a map: position and sentence."""
    for index, text in enumerate(device_map.texts):
        try:
            parse(text.at, "device")
        except ValueError as error:
            yield index, str(error)


def problems(device_map: DeviceMap) -> Iterable[tuple[int, str]]:
    seen: dict[str, str] = {}
    for index, tag in enumerate(device_map.tags):
        try:
            parse(tag.at)
        except ValueError as error:
            yield index, str(error)
        else:
            if tag.at in seen:
                yield index, f'address "{tag.at}" is already read by tag "{seen[tag.at]}"'
        seen.setdefault(tag.at, tag.name)
        if tag.quality_at:
            yield index, "an OPC UA value carries its own quality; leave out quality_at"


def identifier(at: str, device: str) -> str | int:
    """The node's identifier inside its namespace: text or number (what a simulated device can be built from)."""
    found = parse(at, device).identifier
    if not isinstance(found, str | int):
        raise ValueError(f'"{at}": expected a text or a number')
    return found
