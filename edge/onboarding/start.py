"""`qenergyz edge init`: a gateway file that passes `check`, from a few questions or from options alone.

Questions are asked on a terminal only. A device is `NAME=MAP@ADDRESS`; maps are those that ship with the product and those beside the file.
Nothing is connected to, and nothing that exists is overwritten without `--yes`.
"""

import argparse
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.onboarding.output import CONFLICT, OK, USAGE, Output, Stop
from protocols.tomlfile import ConfigError, nearest, quoted

FILE: Final = "gateway.toml"
_LOOKS: Final = {
    "modbus": "192.0.2.11:502",
    "opcua": "opc.tcp://192.0.2.21:4840",
    "mqtt": "mqtt://192.0.2.31:1883",
    "iec61850": "192.0.2.41:102",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device as it is asked for."""

    name: str
    map: str
    address: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="where to write gateway.toml (here)")
    parser.add_argument("--name", help="of the gateway")
    parser.add_argument("--hub", help='address of the hub, e.g. "https://hub.example:8400"; left out: collect only')
    parser.add_argument("--device", action="append", metavar="NAME=MAP@ADDRESS", help="a device; may be given several times")
    parser.add_argument("--maps", action="store_true", help="list the device maps that there are, and end")
    parser.add_argument("--no-input", action="store_true", help="ask nothing")
    parser.add_argument("--yes", action="store_true", help="overwrite an existing file")


def run(options: argparse.Namespace, out: Output) -> int:
    out.say("reading the device maps ...")
    maps = shipped(options.folder)
    if options.maps:
        for name, protocol in maps.items():
            out.data(f"{name:32} {protocol}")
        return OK
    path: Path = options.folder / FILE
    if path.exists() and not options.yes:
        raise Stop(CONFLICT, f"{path} exists", "give another folder, or --yes to overwrite it")
    asking = sys.stdin.isatty() and not options.no_input
    wanted = [parse_device(text, maps) for text in options.device or ()]
    name, hub = options.name, options.hub
    if asking:
        name = name or _ask(out, "name of the gateway", _default_name())
        hub = _ask(out, "address of the hub (empty: collect only)", "") if hub is None else hub
        wanted = wanted or _ask_devices(out, maps)
    if not name or not wanted:
        missing = "--name" if not name else "--device NAME=MAP@ADDRESS"
        raise Stop(USAGE, f"{missing} is missing, and nobody can be asked", "qenergyz edge init --maps lists the maps")
    text = gateway_text(name, hub or "", wanted, maps)
    _write(path, text)
    out.data(f"{path} written: gateway {name}, {len(wanted)} device{'s' * (len(wanted) > 1)}")
    out.say(f"next: qenergyz edge test {path} {wanted[0].name}")
    return OK


def shipped(folder: Path) -> dict[str, str]:
    """Names of device maps with their protocols, those beside the file first. Reads no more of a map than that."""
    from protocols.devicemap import PROTOCOLS, SHIPPED

    found: dict[str, str] = {}
    for place in (folder / "devices", folder, SHIPPED):
        for path in sorted(place.glob("*.toml")):
            text = path.read_text(encoding="utf-8", errors="replace")
            protocol = re.search(rf"^\s*\[?({'|'.join(PROTOCOLS)})\b", text, re.MULTILINE)
            if protocol and re.search(r"^\s*device_map\s*=", text, re.MULTILINE):
                found.setdefault(path.stem, protocol[1])
    return found


def parse_device(text: str, maps: dict[str, str]) -> Wanted:
    """Raises Stop."""
    match = re.fullmatch(r"([^=@]+)=([^=@]+)@(.+)", text)
    if not match:
        raise Stop(USAGE, f'expected NAME=MAP@ADDRESS, found "{text}"', "for example well1=qenergyz_well_modbus@192.0.2.11:502")
    _known(match[2], maps)
    return Wanted(match[1].strip(), match[2].strip(), match[3].strip())


def _known(name: str, maps: dict[str, str]) -> None:
    if name.strip() not in maps:
        raise Stop(USAGE, f'there is no device map "{name.strip()}"{nearest(name, maps)}', "qenergyz edge init --maps lists them")


def gateway_text(name: str, hub: str, wanted: list[Wanted], maps: dict[str, str]) -> str:
    """Pure."""
    lines = ["# Written by `qenergyz edge init`. Every key: firmware_configs/README.md; then `qenergyz edge check` this file.", "[gateway]"]
    lines.append(f"name = {quoted(name)}")
    lines.append(
        f"hub  = {quoted(hub)}" if hub else '# hub = "https://hub.example:8400"   # without a hub samples are collected and kept here'
    )
    for one in wanted:
        lines += ["", "[[device]]", f"name    = {quoted(one.name)}", f"map     = {quoted(one.map)}", f"address = {quoted(one.address)}"]
        if maps.get(one.map) == "modbus":
            lines.append("unit    = 1")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Only what passes `check`. Raises Stop."""
    from edge import config

    new_folder = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        config.load(part)
        part.replace(path)
    except (ConfigError, OSError) as error:
        part.unlink(missing_ok=True)
        if new_folder:
            path.parent.rmdir()
        said = error.message if isinstance(error, ConfigError) else str(error)
        raise Stop(USAGE, said, "nothing was written; correct the option") from error


def _default_name() -> str:
    return re.sub(r"[^\w.-]", "-", socket.gethostname().partition(".")[0]) or "gateway1"


def _ask(out: Output, question: str, default: str) -> str:
    out.say(f"{question}{f' [{default}]' if default else ''}:")
    return (sys.stdin.readline() or "").strip() or default


def _ask_devices(out: Output, maps: dict[str, str]) -> list[Wanted]:
    found: list[Wanted] = []
    out.say("device maps: " + ", ".join(maps))
    while True:
        chosen = _ask(out, "device map of the next device (empty: no more)" if found else "device map of the first device", "")
        if not chosen:
            return found
        if chosen not in maps:
            out.say(f'there is no device map "{chosen}"{nearest(chosen, maps)}')
            continue
        name = _ask(out, "its name", f"device{len(found) + 1}")
        address = _ask(out, f'its address, like "{_LOOKS[maps[chosen]]}"', "")
        if address:
            found.append(Wanted(name, chosen, address))
