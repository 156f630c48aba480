"""The first message to the child process: which device, what of it, and how. Pure.

Keys: host, port, timeout_ms, tls (paths: ca, certificate, key, peer, revoked; "" = none; empty = in clear), mode (report, poll, browse), reports (references
on the wire), integrity_ms, dynamic, entries (block key -> id of the last durable entry), points ([data object, attribute, constraint, type,
every_ms]), writable (numbers of points), texts ([reference, constraint, every_ms]), originator, interlock, synchro.
"""

from collections.abc import Mapping
from typing import Any

from protocols.devicemap import Device
from protocols.iec61850.plan import Look, Mode, Options, Settings, parse_point, parse_text


def _link(address: str, settings: Settings) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    tls = settings.tls
    paths = [tls.ca_file, tls.certificate_file, tls.key_file, tls.server_certificate_file, tls.crl_file] if tls else []
    return {
        "host": host.strip("[]"),
        "port": int(port),
        "timeout_ms": settings.timeout_us // 1000,
        "tls": [str(path) if path else "" for path in paths],
    }


def request_of(device: Device, entries: Mapping[int, bytes]) -> dict[str, Any]:
    options: Options = device.map.options
    settings: Settings = device.settings or Settings()
    points = []
    for tag in device.map.tags:
        point = parse_point(tag.at)
        every_us = tag.extra.every_us if isinstance(tag.extra, Look) and tag.extra.every_us else options.every_us
        reference = f"{options.domain_of(point.ld)}/{point.node}.{point.object}"
        points.append([reference, point.attribute.replace(".", "$"), point.constraint, tag.type.value, every_us // 1000])
    texts = []
    for text in device.map.texts:
        try:
            ld, reference, constraint = parse_text(text.at)
        except ValueError:  # a text that cannot be read costs nothing else
            ld, reference, constraint = "", text.at, "DC"
        texts.append([f"{options.domain_of(ld)}/{reference}", constraint, text.every_us // 1000])
    return {
        **_link(device.address, settings),
        "mode": options.mode.value,
        "reports": [options.block(report) for report in options.reports] if options.mode is Mode.REPORT else [],
        "integrity_ms": options.integrity_us // 1000,
        "dynamic": options.dynamic,
        "entries": dict(entries),
        "points": points,
        "writable": [number for number, tag in enumerate(device.map.tags) if tag.write is not None],
        "texts": texts,
        "originator": settings.originator,
        "interlock": settings.interlock_check,
        "synchro": settings.synchro_check,
    }


def browse_request(address: str, settings: Settings) -> dict[str, Any]:
    lists: dict[str, Any] = {key: [] for key in ("reports", "points", "writable", "texts")}
    return {**_link(address, settings), **lists, "mode": "browse", "entries": {}, "originator": settings.originator}
