"""What a pushed configuration may change: which devices are read, never what guards them. Pure, over parsed TOML.

Everything but `[[device]]` tables stays as the site has it, known keys and keys yet unknown alike: the hub, its keys and references, the buffer, who
may see the health page. Within a device only the keys of FREE may differ. A device that holds credentials, trust or a permission to write keeps its
address and its map too: else the one would be sent elsewhere, and the other would be of another register.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

FREE: Final = frozenset(
    {"name", "map", "address", "asset", "unit", "max_words", "max_gap", "timeout", "min_pause", "retries", "keepalive", "client_id"}
)
WRITABLE: Final = "writable"
Table = Mapping[str, Any]


def objection(local: Table, pushed: Table) -> str:
    """Why the site does not take it, as a sentence; "" when it may be applied."""
    for table in dict.fromkeys((*local, *pushed)):
        if table != "device" and local.get(table) != pushed.get(table):
            return f"[{table}] differs from the site's file: the hub may change [[device]] tables only"
    here = {str(device.get("name")): device for device in local.get("device", ())}
    for device in pushed.get("device", ()):
        name = str(device.get("name"))
        found = _of_known(here[name], device) if name in here else _of_new(device)
        if found:
            return f'device "{name}": {found}'
    return ""


def _of_new(device: Table) -> str:
    guarded = sorted(set(device) - FREE)
    if guarded:
        return f"a new device by the hub cannot have {', '.join(guarded)}; the site has to add it"
    if _credentials(device):
        return "an address by the hub cannot hold credentials"
    return ""


def _of_known(local: Table, pushed: Table) -> str:
    for key in sorted((set(local) | set(pushed)) - FREE - {WRITABLE}):
        if local.get(key) != pushed.get(key):
            return f'"{key}" differs from the site\'s file: only the site can change it'
    more = _texts(pushed.get(WRITABLE)) - _texts(local.get(WRITABLE))
    if more:
        return f"the hub cannot allow writing: {', '.join(sorted(more))}"
    if _scheme(local) != _scheme(pushed):
        return "the kind of its address differs from the site's file: only the site can change how a device is protected"
    if _credentials(pushed) and local.get("address") != pushed.get("address"):
        return "an address by the hub cannot hold credentials"
    if set(local) - FREE - {WRITABLE} or _texts(local.get(WRITABLE)) or _credentials(local):
        for key in ("address", "map"):
            if local.get(key) != pushed.get(key):
                return f'it has credentials, trust or writable tags, so only the site can change its "{key}"'
    return ""


def _texts(found: Any) -> set[str]:
    return {str(one) for one in found} if isinstance(found, list) else set()


def _scheme(device: Table) -> str:
    scheme, separator, _ = str(device.get("address", "")).partition("://")
    return scheme if separator else ""


def _credentials(device: Table) -> bool:
    text = str(device.get("address", ""))
    return "@" in (urlsplit(text).netloc if "://" in text else text)
