"""What an OPC UA device map and device may say. Pure: no network, no OPC UA library.

The namespace is named by its URI; its index is the server's own affair and is asked for at every connect. `at` is "s=<text>" or
"i=<number>" within that namespace; "{device}" in it stands for the device's name.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from protocols.devicemap import DeviceMap
from protocols.tomlfile import Section

_AT = re.compile(r"s=\S(?:.*\S)?|i=\d{1,10}")


class Trigger(enum.StrEnum):
    """When a server notifies: on a new status or value, or on a new source time as well (every sample)."""

    VALUE = "value"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Options:
    """sampling_us 0 = as fast as the server can. max_silence_us: how long nothing may be heard before the link is doubted."""

    namespace: str
    publishing_us: int = 100_000
    sampling_us: int = 0
    queue_size: int = 1000
    trigger: Trigger = Trigger.TIMESTAMP
    max_silence_us: int = 60_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    timeout_us: int = 4_000_000


def parse_options(section: Section) -> Options:
    options = Options(
        namespace=section.text("namespace"),
        publishing_us=section.duration_us("publishing", "100ms"),
        sampling_us=section.duration_us("sampling", "0ms"),
        queue_size=section.integer("queue_size", 1000, low=1, high=100_000),
        trigger=Trigger(section.choice("trigger", [trigger.value for trigger in Trigger], "timestamp")),
        max_silence_us=section.duration_us("max_silence", "60s"),
    )
    if options.publishing_us < 1000:
        raise section.error("publishing", '"publishing": expected at least 1ms')
    if options.max_silence_us < 10_000_000:
        raise section.error("max_silence", '"max_silence": expected at least 10s')
    return options


def parse_settings(section: Section) -> Settings:
    settings = Settings(timeout_us=section.duration_us("timeout", "4s"))
    if settings.timeout_us < 100_000:
        raise section.error("timeout", '"timeout": expected at least 100ms')
    return settings


def problems(device_map: DeviceMap) -> Iterable[tuple[int, str]]:
    seen: dict[str, str] = {}
    for index, tag in enumerate(device_map.tags):
        if not _AT.fullmatch(tag.at):
            yield index, f'expected an address such as "s=Well1.Pressure" or "i=2001", found "{tag.at}"'
        elif tag.at in seen:
            yield index, f'address "{tag.at}" is already read by tag "{seen[tag.at]}"'
        seen.setdefault(tag.at, tag.name)
        if tag.quality_at:
            yield index, "an OPC UA value carries its own quality; leave out quality_at"


def identifier(at: str, device: str) -> str | int:
    """The node's identifier inside its namespace: text or number."""
    kind, _, value = at.partition("=")
    return int(value) if kind == "i" else value.replace("{device}", device)
