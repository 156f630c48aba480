"""`qenergyz edge schema map|gateway`: JSON Schema of the two kinds of TOML files, for editors that complete and check while one writes.

A test compares these tables with what the loaders ask for, key by key, so that they cannot drift apart. An editor sees less than `check`,
which knows what goes together: passing the schema is no promise.
"""

import argparse
import functools
import json
from collections.abc import Mapping
from typing import Any, Final

from edge.onboarding.output import OK, Output

Table = Mapping[str, Mapping[str, Any]]

TEXT: Final = {"type": "string"}
FLAG: Final = {"type": "boolean"}
NUMBER: Final = {"type": "number"}
WHOLE: Final = {"type": "integer"}
TEXTS: Final = {"type": "array", "items": TEXT}
ANYTHING: Final[Mapping[str, Any]] = {}
DURATION: Final = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(us|ms|s|min|h|d)$", "description": 'with a unit, such as "250ms" or "5s"'}
SIZE: Final = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(B|kB|MB|GB|KiB|MiB|GiB)$", "description": 'with a unit, such as "64MB"'}


def choice(*words: str) -> Mapping[str, Any]:
    return {"enum": list(words)}


def whole(low: int, high: int | None = None) -> Mapping[str, Any]:
    return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})


GATEWAY: Final[Table] = {
    "name": {"type": "string", "pattern": r"^[\w.-]+$", "description": "of the gateway"},
    "data": {"type": "string", "description": "folder of buffer, key and enrolment; NAME-data beside the file when left out"},
    "hub": {"type": "string", "pattern": "^(https?://.*)?$", "description": "base URL; collect only when left out"},
}
WHEN_FULL: Final = choice("drop_oldest", "thin_out", "stop_newest")
BUFFER: Final[Table] = {
    "max_size": SIZE,
    "when_full": {**WHEN_FULL, "description": "what happens to the data of normal devices at the cap"},
    "when_full_bulk": {**WHEN_FULL, "description": 'of devices with priority = "bulk", which go first'},
    "when_full_critical": {**WHEN_FULL, "description": 'of devices with priority = "critical", which go last but for events'},
    "key": {
        "type": "string",
        "description": "encrypts the buffer: where 32 bytes stand, in hex or base64: a file, env:NAME or credential:NAME",
    },
    "commit_every": DURATION,
    "seal_every": DURATION,
}
TELEMETRY: Final[Table] = {
    "otlp": {"type": "string", "pattern": r"^https?://\S+$", "description": "base URL of an OTLP/HTTP collector for OpenTelemetry spans"}
}
HEALTH: Final[Table] = {"listen": {"type": "string", "pattern": r"^.+:\d+$", "description": "host:port of the local health page"}}
HUB: Final[Table] = {
    "rotate_days": {**whole(0, 3650), "description": "age at which the gateway's key is replaced; 0 = never by itself"},
    "key": {"type": "string", "description": "the gateway's key where the site keeps it: a file, env:NAME or credential:NAME"},
    "ca": {"type": "string", "description": "authorities of the hub's certificate (PEM): a file, env:NAME or credential:NAME"},
    "client_cert": {"type": "string", "description": "certificate shown to the hub (PEM); the one that the hub issued when left out"},
    "client_key": {"type": "string", "description": "its key: a file, env:NAME or credential:NAME, never the key itself"},
    "remote_configuration": {**FLAG, "description": "the hub may change devices"},
}
DEVICE: Final[Table] = {
    "name": {"type": "string", "description": "of this box"},
    "map": {"type": "string", "description": "name of its device map, beside this file or shipped"},
    "address": {"type": "string", "description": "host:port, opc.tcp://host:port, mqtt://host:port, rtu:///dev/ttyUSB0?baud=9600 ..."},
    "asset": TEXT,
    "writable": {**TEXTS, "description": "tags that this site allows to be written"},
    "priority": {**choice("bulk", "normal", "critical"), "description": "whose samples go first when the buffer is full: bulk"},
    "unit": whole(0, 255),
    "max_words": whole(4, 125),
    "max_gap": whole(0, 125),
    "timeout": DURATION,
    "min_pause": DURATION,
    "retries": whole(0, 5),
    "server_name": TEXT,
    "role": TEXT,
    "security": choice(
        "", "Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256", "Basic256", "Basic128Rsa15", "none"
    ),
    "mode": choice("SignAndEncrypt", "Sign"),
    "fingerprint": TEXT,
    "trust": TEXT,
    "certificate_host": TEXT,
    "identity": TEXT,
    "username": TEXT,
    "password_file": {"type": "string", "description": "the password stands in this file, never here"},
    "user_certificate": TEXT,
    "user_key": TEXT,
    "version": choice("3.1.1", "5"),
    "client_id": TEXT,
    "keepalive": DURATION,
    "ca_file": TEXT,
    "certificate_file": TEXT,
    "key_file": TEXT,
    "server_certificate_file": TEXT,
    "crl_file": TEXT,
    "share": TEXT,
    "primary_host": TEXT,
    "originator": TEXT,
    "interlock_check": FLAG,
    "synchro_check": FLAG,
}  # fmt: skip
MAP: Final[Table] = {
    "device_map": {"type": "string", "pattern": r"^\w+$", "description": "equals the file's name"},
    "maker": TEXT,
    "models": TEXTS,
    "source": {"type": "string", "description": "where the list of registers or nodes comes from"},
    "tested_with": ANYTHING,
    "caveats": ANYTHING,
    "version": ANYTHING,
    "golden": {"type": "array", "items": {"type": "object"}, "description": "raw answers with the values that they must become"},
}
MODBUS: Final[Table] = {
    "addressing": choice("zero_based", "one_based"),
    "word_order": choice("ABCD", "CDAB", "BADC", "DCBA"),
    "max_words": whole(4, 125),
    "max_bits": whole(1, 2000),
    "max_gap": whole(0, 125),
    "timeout": DURATION,
    "min_pause": DURATION,
    "source_time": TEXT,
}
OPCUA: Final[Table] = {
    "namespace": TEXT,
    "publishing": DURATION,
    "sampling": DURATION,
    "queue_size": whole(1, 100_000),
    "trigger": choice("value", "timestamp"),
    "max_silence": DURATION,
    "events": TEXTS,
    "history": FLAG,
}
MQTT: Final[Table] = {
    "payload": choice("json", "records", "plain", "sparkplug"),
    "qos": whole(0, 2),
    "time_unit": choice("us", "ms", "s", "iso"),
    "max_silence": DURATION,
    **dict.fromkeys(
        ("topic", "time", "items", "key", "value", "quality", "message_time", "status_topic", "online", "offline", "command"), TEXT
    ),
    **dict.fromkeys(("group", "node", "device"), TEXT),
}
IEC61850: Final[Table] = {
    "ied": TEXT,
    "ld": TEXT,
    "mode": choice("report", "poll"),
    "report": TEXT,
    "reports": TEXTS,
    "integrity": DURATION,
    "every": DURATION,
    "dynamic": FLAG,
    "scl": TEXT,
}
TAG: Final[Table] = {
    "name": {"type": "string", "description": "small letters, digits and _"},
    "at": {"type": "string", "description": "register, node, path or data attribute, in the protocol's own words"},
    "type": choice("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"),
    "unit": TEXT,
    "scale": {"type": "number", "description": "value = raw * scale + offset"},
    "offset": NUMBER,
    "every": DURATION,
    "range": {"type": "array", "items": NUMBER, "minItems": 0, "maxItems": 2},
    "invalid": WHOLE,
    "quality_at": TEXT,
    "vendor": TEXT,
    "labels": {"type": "object", "additionalProperties": TEXT, "propertyNames": {"pattern": r"^[+-]?\d+$"}},
    "counter": FLAG,
    "rollover": whole(2),
    "deadband": {"type": "number", "exclusiveMinimum": 0},
    "max_silence": DURATION,
    "swinging_door": FLAG,
    "write": {
        "type": "object",
        "properties": {"min": NUMBER, "max": NUMBER, "arm": FLAG},
        "required": ["min", "max"],
        "additionalProperties": False,
    },
    "form": choice("bcd", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    "scale_at": TEXT,
    "word_order": choice("ABCD", "CDAB", "BADC", "DCBA"),
    "server_deadband": NUMBER,
    "server_deadband_percent": NUMBER,
    "heartbeat": DURATION,
    "topic": TEXT,
}
DEVICE_TEXT: Final[Table] = {"name": TEXT, "at": TEXT, "length": whole(0, 1024), "every": DURATION, "vendor": ANYTHING}
PROTOCOLS: Final[Mapping[str, tuple[Table, tuple[str, ...]]]] = {
    "modbus": (MODBUS, ()),
    "opcua": (OPCUA, ("namespace",)),
    "mqtt": (MQTT, ("payload",)),
    "iec61850": (IEC61850, ("ied", "ld")),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("map", "gateway"))


def run(options: argparse.Namespace, out: Output) -> int:
    document = schema(options.kind)
    out.json(document)
    out.data(json.dumps(document, indent=1, ensure_ascii=False))
    return OK


def schema(kind: str) -> dict[str, Any]:
    return map_schema() if kind == "map" else gateway_schema()


def _object(table: Table, required: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(table), "required": list(required), "additionalProperties": False}


def _head(title: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}


def gateway_schema() -> dict[str, Any]:
    device = _object(DEVICE, ("name", "map", "address"))
    tables = {
        "gateway": _object(GATEWAY, ("name",)),
        "buffer": _object(BUFFER, ()),
        "health": _object(HEALTH, ()),
        "telemetry": _object(TELEMETRY, ()),
        "hub": _object(HUB, ()),
        "device": {"type": "array", "items": device, "minItems": 1},
    }
    return _head("Qenergyz gateway file") | _object(tables, ("gateway", "device"))


def map_schema() -> dict[str, Any]:
    tables: dict[str, Any] = {
        **MAP,
        **{name: _object(table, required) for name, (table, required) in PROTOCOLS.items()},
        "tags": {"type": "array", "items": _object(TAG, ("name", "at", "type")), "minItems": 1},
        "texts": {"type": "array", "items": _object(DEVICE_TEXT, ("name", "at"))},
    }
    one_protocol = {"oneOf": [{"required": [name]} for name in PROTOCOLS]}
    return _head("Qenergyz device map") | _object(tables, ("device_map", "maker", "models", "tags")) | one_protocol


@functools.cache
def known_keys() -> frozenset[str]:
    """Every key of both files: of others nobody knows whether they hold a secret."""
    tables: tuple[Table, ...] = (GATEWAY, BUFFER, HEALTH, HUB, DEVICE, MAP, TAG, DEVICE_TEXT, *(table for table, _ in PROTOCOLS.values()))
    return frozenset(key for table in tables for key in table) | {"min", "max", "arm"}
