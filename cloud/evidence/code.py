"""What computed an evidence row: versions, the digest of the rules' sources, and the processor features that decide last bits."""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

import numpy as np


@cache
def code(*areas: str) -> Mapping[str, str]:
    """areas: the packages of the hub whose rules made the row."""
    from threadpoolctl import threadpool_info

    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]  # the only place that tells
    blas = ", ".join(sorted({f"{one['internal_api']} {one['version']} {one.get('architecture', '')}" for one in threadpool_info()}))
    return {
        "qenergyz": metadata.version("qenergyz"),
        "areas": " ".join(areas),
        "rules": _digest(areas),
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
        "numpy": np.__version__,
        "scipy": metadata.version("scipy"),
        "blas": blas,
        "processor": next((name for name in ("AVX512_SKX", "AVX2", "ASIMD") if features.get(name)), platform.machine()),
    }


def _digest(areas: tuple[str, ...]) -> str:
    """Of the sources and data files of the areas, sub-packages included."""
    found = hashlib.sha256()
    for area in areas:
        for name, content in sorted(_files(resources.files("cloud") / area, area)):
            found.update(f"{name}\0".encode() + content + b"\0")
    return found.hexdigest()


def _files(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            found += _files(item, f"{name}/{item.name}")
        elif item.name.endswith((".py", ".toml")):
            found.append((f"{name}/{item.name}", item.read_bytes()))
    return found


def steady() -> None:
    """One thread for linear algebra: how it splits sums must not depend on the number of cores. For the life of the process."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")
