"""The worker of the offline shell with the version of the pages written into it: the hash of every file it keeps."""

import hashlib
from pathlib import Path
from typing import Final

import orjson

_LEFT_OUT: Final = ("sw.js", "vendor/LICENSES.txt", "vendor/MANIFEST.json", "vendor/core.source.js")


def shell(static: Path) -> tuple[str, list[str]]:
    """(version, addresses): what the pages need to stand without the hub."""
    digest = hashlib.sha256()
    paths = ["/"]
    for path in sorted(static.rglob("*")):
        name = path.relative_to(static).as_posix()
        if path.is_file() and name not in _LEFT_OUT and not name.startswith("."):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
            if name != "index.html":
                paths.append(f"/{name}")
    return digest.hexdigest()[:16], paths


def worker(static: Path) -> bytes:
    version, paths = shell(static)
    text = (static / "sw.js").read_text(encoding="utf-8")
    text = text.replace('const VERSION = "";', f'const VERSION = "{version}";')
    return text.replace("const FILES = [];", f"const FILES = {orjson.dumps(paths).decode()};").encode()
