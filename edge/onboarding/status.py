"""The running agent's own account of itself, from its health page on this machine."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def health_of(data: Path) -> dict[str, Any] | None:
    """None when it does not answer."""
    try:
        url = json.loads((data / "agent.json").read_text(encoding="utf-8"))["url"]
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:  # noqa: S310 - our own loopback page
                document = json.load(reply)
        except urllib.error.HTTPError as error:  # 503: red
            document = json.load(error)
    except (OSError, ValueError, KeyError):
        return None
    return document if isinstance(document, dict) else None
