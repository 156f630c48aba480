"""Every device map that ships loads, and its golden vectors give the values they promise."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.devicemap import SHIPPED, DeviceMap, load_device_map, to_engineering

MAPS = sorted(SHIPPED.glob("*.toml"))
GOLDEN = ("modbus", "mqtt")  # protocols whose raw vectors are defined


def decode_modbus(the_map: DeviceMap, raw: dict[str, list[int]]) -> dict[str, float]:
    from protocols.modbus.address import parse_address
    from protocols.modbus.decode import decode, layout
    from protocols.modbus.plan import plan

    cells = {
        (address.area, address.start + offset): word
        for text, words in raw.items()
        for address in (parse_address(text, the_map.options.base),)
        for offset, word in enumerate(words)
    }
    values: dict[str, float] = {}
    for group in plan(the_map):
        image = b"".join(
            cells.get((request.span.area, at), 0).to_bytes(2, "big")
            for request in group.requests
            if not request.span.area.of_bits
            for at in range(request.span.start, request.span.end)
        )
        bits = b"".join(
            np.packbits(
                [cells.get((request.span.area, at), 0) for at in range(request.span.start, request.span.end)], bitorder="little"
            ).tobytes()
            for request in group.requests
            if request.span.area.of_bits
        )
        where = layout(the_map, group)
        for column, (numbers, _) in zip(where.columns, decode(where, image, bits), strict=True):
            for index, number in zip(column.tags.tolist(), numbers, strict=True):
                tag = the_map.tags[index]
                values[tag.name] = float(to_engineering(np.array([number], column.dtype), tag.type, tag.scale, tag.offset)[0])
    return values


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_shipped_map_loads(path: Path) -> None:
    the_map = load_device_map(path)
    assert the_map.tags
    if the_map.protocol in GOLDEN:
        assert the_map.golden, "a shipped map proves itself with golden vectors"


@pytest.mark.parametrize("path", [path for path in MAPS if load_device_map(path).protocol == "modbus"], ids=lambda path: path.stem)
def test_golden_vectors_of_modbus_maps_decode(path: Path) -> None:
    the_map = load_device_map(path)
    for vector in the_map.golden:
        found: dict[str, Any] = decode_modbus(the_map, vector["raw"])
        assert {name: found[name] for name in vector["expect"]} == vector["expect"]


def decode_mqtt(the_map: DeviceMap, raw: dict[str, str]) -> dict[str, float]:
    from protocols.devicemap import Device
    from protocols.mqtt.decode import Columns, JsonReader, Seen, SparkplugReader

    columns, device = Columns(), Device("golden", the_map, "mqtt://127.0.0.1:1883")
    if "hex" in raw:
        SparkplugReader(device).read(raw["topic"], bytes.fromhex(raw["hex"]), 0, columns, Seen())
    else:
        JsonReader(device).read(raw["payload"].encode(), 0, columns)
    values: dict[str, float] = {}
    for block in columns.blocks():
        for index, number in zip(block.tags.tolist(), block.values, strict=True):
            tag = the_map.tags[index]
            values[tag.name] = float(to_engineering(np.array([number]), tag.type, tag.scale, tag.offset)[0])
    return values


@pytest.mark.parametrize("path", [path for path in MAPS if load_device_map(path).protocol == "mqtt"], ids=lambda path: path.stem)
def test_golden_vectors_of_mqtt_maps_decode(path: Path) -> None:
    the_map = load_device_map(path)
    for vector in the_map.golden:
        found = decode_mqtt(the_map, vector["raw"])
        assert {name: found[name] for name in vector["expect"]} == vector["expect"]


def test_protocols_have_their_plan() -> None:
    for protocol in {load_device_map(path).protocol for path in MAPS}:
        assert importlib.import_module(f"protocols.{protocol}.plan").problems
