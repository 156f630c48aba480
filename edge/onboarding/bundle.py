"""`qenergyz edge support-bundle`: a zip of what support needs: configuration, versions, doctor's answers, health, the tail of a log. No secrets.

The configuration is written anew from what was parsed: comments are gone, and values of keys that are not known or sound like a secret are
masked. A file that is no TOML is left out, since nobody can say what in it is secret. Keys, passwords, buffer and samples are never in it.
"""

import argparse
import asyncio
import io
import json
import platform
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from edge.onboarding import devices, masking
from edge.onboarding.output import CONFLICT, OK, Output, Stop

LOG_BYTES: Final = 256_000
_PACKAGES: Final = ("qenergyz", "numpy", "cryptography", "zstandard", "asyncua", "paho-mqtt", "httpx", "pyiec61850-ng")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_config(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    parser.add_argument("--log", type=Path, metavar="FILE", help="a log of the agent, of which the end is taken")
    parser.add_argument("--no-devices", action="store_true", help="do not connect to the devices")
    parser.add_argument("--yes", action="store_true", help="overwrite an existing file")


def run(options: argparse.Namespace, out: Output) -> int:
    if options.out.exists() and not options.yes:
        raise Stop(CONFLICT, f"{options.out} exists", "give another name, or --yes to overwrite it")
    out.say("collecting ...")
    out.masker.learn(masking.of_gateway(options.config))
    files = asyncio.run(_collect(options, out))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, out.masker.masked_log(text))
    options.out.write_bytes(content.getvalue())
    options.out.chmod(0o600)
    out.json({"ok": True, "file": str(options.out), "contents": sorted(files)})
    out.data(f"{options.out}: {', '.join(sorted(files))}; look through it before you send it")
    return OK


async def _collect(options: argparse.Namespace, out: Output) -> dict[str, str]:
    from edge.onboarding.doctor import every_check

    quiet = Output()
    quiet.masker, quiet.say = out.masker, out.say  # type: ignore[method-assign]
    checks = [check.document() async for check in every_check(options.config, quiet, wait_s=3.0, ask_devices=not options.no_devices)]
    files = {"doctor.json": _json(checks), "versions.json": _json(versions()), "gateway.toml": masked_toml(options.config)}
    for path in _maps(options.config):
        files[f"devices/{path.name}"] = masked_toml(path)
    health = await asyncio.to_thread(_health, options.config)
    if health is not None:
        files["health.json"] = _json(health)
    if options.log:
        files["log.txt"] = await asyncio.to_thread(_tail, options.log)
    return files


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0], "system": f"{platform.system()} {platform.release()}", "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _maps(config: Path) -> Iterator[Path]:
    """The site's own device maps: those that ship are known to support."""
    for folder in (config.parent / "devices", config.parent):
        for path in sorted(folder.glob("*.toml")):
            if path != config and re.search(r"^\s*device_map\s*=", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE):
                yield path


def _health(config: Path) -> dict[str, Any] | None:
    from edge import config as configs
    from edge.onboarding.status import health_of
    from protocols.tomlfile import ConfigError

    try:
        return health_of(configs.load(config).data)
    except ConfigError:
        return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}\n"


def masked_toml(path: Path) -> str:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line \d+", str(error))
        return f"# left out: not valid TOML{f' ({place[0]})' if place else ''}\n"
    except (OSError, UnicodeDecodeError):
        return "# left out: cannot be read\n"
    return "\n".join(_lines(document, "")) + "\n"


def _lines(table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Plain values first, then tables: TOML wants it so."""
    from edge.onboarding.schema import known_keys

    nested = {key: value for key, value in table.items() if isinstance(value, Mapping) or _tables(value)}
    nested.pop("golden", None)
    for key, value in table.items():
        if key not in nested and key != "golden":
            hidden = masking.is_secret(key) or not (key in known_keys() or key.isdecimal())  # numbers are those of labels
            yield f"{_bare(key)} = {json.dumps(masking.MASK if hidden else value, ensure_ascii=False, default=str)}"
    for key, value in nested.items():
        place = f"{prefix}{_bare(key)}"
        for one in value if isinstance(value, list) else (value,):
            yield ""
            yield f"[[{place}]]" if isinstance(value, list) else f"[{place}]"
            yield from _lines(one, f"{place}.")


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _bare(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
