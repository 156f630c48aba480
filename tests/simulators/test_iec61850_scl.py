"""SCL files drive the IEC 61850 face: served as the file says, and read back with the map that was made from it."""

import asyncio
import dataclasses
import importlib.util
from pathlib import Path

import pytest

from protocols.devicemap import WriteRule
from protocols.driver import WriteRefused
from protocols.iec61850 import scl
from protocols.iec61850.browse import browse
from simulators.iec61850 import Iec61850Face
from simulators.iec61850_model import model_of_scl
from simulators.iec61850_scl import devices_of_scl
from simulators.wander import WanderSource
from tests.protocols.iec61850.field import START_US, read_until, reading

FILES = Path(__file__).parent.parent / "data" / "iec61850_scl"
needs_library = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")


@pytest.fixture
async def closing():
    opened = []
    yield opened.append
    for thing in reversed(opened):
        await (thing.stop() if hasattr(thing, "stop") else thing.close())


async def shown(closing, device, ied):
    """The face, the source of its values, and the device where it is reached."""
    face, source = Iec61850Face(ieds={device.name: ied} if ied else None), WanderSource(device.map.tags, 1)
    closing(face)
    await face.start([device], [source.step(0, START_US)])
    return face, source, dataclasses.replace(device, address=face.address_of(device))


def writable(device, **rules):
    tags = tuple(dataclasses.replace(tag, write=rules.get(tag.name)) for tag in device.map.tags)
    return dataclasses.replace(device, map=dataclasses.replace(device.map, tags=tags))


def test_the_model_has_what_the_file_says():
    model = model_of_scl(scl.read_scl((FILES / "feeder.cid").read_bytes()).ieds[0])
    kinds = {leaf.place: leaf.kind for leaf in model.leaves}
    assert kinds["FEEDER1MEAS/MMTR1.TotWh.actVal[ST]"] == "INT64"
    assert kinds["FEEDER1CTRL/Q0CSWI1.Pos.SBOw.origin.orIdent[CO]"] == "Octet64"
    assert [(block.name, block.buffered, block.conf_rev) for block in model.blocks] == [
        ("brcb01", True, 3),
        ("brcb02", True, 3),
        ("urcb01", False, 1),
    ]
    assert model.data_sets[1].entries == (
        "FEEDER1CTRL/Q0CSWI1$ST$Pos",
        "FEEDER1CTRL/GGIO1$ST$Ind1",
    )


def test_the_model_has_no_arrays_and_no_data_set_speaks_of_them():
    content = (FILES / "feeder.cid").read_bytes().replace(b'name="mag" fc="MX"', b'name="mag" count="2" fc="MX"')
    model = model_of_scl(scl.read_scl(content.replace(b'doName="TotW" fc="MX"', b'doName="TotW" daName="mag" fc="MX"')).ieds[0])
    assert not any(leaf.attribute.startswith("mag") for leaf in model.leaves)
    assert model.data_sets[0].entries == ("MMXU1$MX$PhV$phsA", "MMTR1$ST$TotWh")


@needs_library
async def test_every_value_of_the_file_is_served_and_moves(closing):
    ((device, ied),) = devices_of_scl(FILES / "feeder.cid")
    face, source, reached = await shown(closing, device, ied)
    driver = reading(closing, reached)
    await driver.open()
    count = len(device.map.tags)
    first = source.step(0, START_US)
    found = {tag: value for tag, _, value, _ in await read_until(driver, count)}
    assert [found[number] for number in range(count)] == pytest.approx(first.values.tolist(), rel=1e-6, abs=1)
    for number in range(1, 40):
        await face.publish(device, source.step(number, START_US + number * 1_000_000))
    power, pos = (
        next(number for number, tag in enumerate(device.map.tags) if tag.name == name) for name in ("meas_mmxu1_totw", "ctrl_q0cswi1_pos")
    )
    seen = {(power, found[power]), (pos, found[pos])}
    async with asyncio.timeout(10):
        while sum(tag == power for tag, _ in seen) < 30 or sum(tag == pos for tag, _ in seen) < 2:
            seen |= {(tag, value) for tag, _, value, _ in await read_until(driver, 1)}


@needs_library
async def test_what_is_browsed_is_what_the_file_says(closing):
    ((device, ied),) = devices_of_scl(FILES / "feeder.cid")
    _, _, reached = await shown(closing, device, ied)
    control, measuring = await browse(reached.address)
    assert (control.domain, measuring.domain) == ("FEEDER1CTRL", "FEEDER1MEAS")
    units = {(one.node, one.object, one.attribute): one.unit for one in (*control.found, *measuring.found) if one.unit}
    assert units["PTOC1", "StrVal", "setMag.f"] == "A"
    assert units["MMXU1", "PhV.phsA", "cVal.mag.f"] == "V"
    assert [block.name for block in measuring.blocks] == ["LLN0.BR.brcb01", "LLN0.BR.brcb02", "LLN0.RP.urcb01"]


@needs_library
async def test_a_map_that_names_its_scl_file_is_served_from_it(closing):
    ((device, _),) = devices_of_scl(FILES / "feeder.cid")
    one = dataclasses.replace(
        device.map, tags=device.map.tags[:1], options=dataclasses.replace(device.map.options, scl=FILES / "feeder.cid")
    )
    small = dataclasses.replace(device, map=one)
    _, _, reached = await shown(closing, small, None)
    control, _ = await browse(reached.address)
    assert {found.node for found in control.found} >= {"LLN0", "Q0CSWI1", "GGIO1", "PTOC1"}


@needs_library
async def test_orders_go_as_far_as_the_map_allows_by_the_control_model_of_the_file(closing):
    ((device, ied),) = devices_of_scl(FILES / "feeder.cid")
    device = writable(device, ctrl_q0cswi1_pos=WriteRule(1, 2), ctrl_ptoc1_strval=WriteRule(0, 400))
    _, _, reached = await shown(closing, device, ied)
    names = [tag.name for tag in device.map.tags]
    pos, limit = names.index("ctrl_q0cswi1_pos"), names.index("ctrl_ptoc1_strval")
    driver = reading(closing, reached)
    await driver.open()
    await driver.write(pos, 2.0, None)
    await driver.write(pos, 1.0, 2.0)
    await driver.write(limit, 300.5, None)
    with pytest.raises(WriteRefused):
        await driver.write(limit, 500.0, 300.5)


@needs_library
@pytest.mark.parametrize("file", ["std.xml", "scd_with_dai_test.xml", "scd_create_dataset_and_controlblocks_success.xml"])
async def test_files_of_others_are_served(closing, file):
    for device, ied in devices_of_scl(FILES / file):
        _, _, reached = await shown(closing, device, ied)
        driver = reading(closing, reached)
        await driver.open()
        assert {tag for tag, *_ in await read_until(driver, len(device.map.tags))} == set(device.ids.tolist())
