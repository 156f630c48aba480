"""Browsing the simulated device, and reading it with the map that came out of it."""

import dataclasses
import importlib.util

import pytest

from protocols.devicemap import Tag, TagType, Text, load_device_map
from protocols.driver import DeviceUnreachable
from protocols.iec61850.browse import browse, browsed_map
from protocols.iec61850.plan import Options
from tests.protocols.iec61850.field import FIRST, TAGS, device_of, read_until, reading, served, step_at

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")


async def test_all_that_the_device_shows_is_listed(closing):
    device = device_of(TAGS, texts=[Text("serial", "LPHD1.PhyNam.serNum[DC]")], reports=("LLN0.BR.brcb01", "LLN0.RP.urcb01"))
    _, reached = await served(closing, device, step_at(0, FIRST))
    (found,) = await browse(reached.address)
    assert found.domain == "QZLD0"
    kinds = {(one.node, one.object, one.attribute, one.constraint): one.kind for one in found.found}
    assert kinds["MMXU1", "PhV.phsA", "cVal.mag.f", "MX"] == "FLOAT32"
    assert kinds["MMXU1", "Hz", "mag.f", "MX"] == "FLOAT64"
    assert kinds["XCBR1", "Pos", "stVal", "ST"] == "Dbpos"
    assert kinds["XCBR1", "OpCnt", "stVal", "ST"] == "INT32"
    assert kinds["GGIO1", "IntIn1", "stVal", "ST"] == "INT32U"
    assert kinds["LPHD1", "PhyNam", "serNum", "DC"] == "VisString255"
    assert found.data_sets["QZLD0/LLN0.ds01"][0] == "QZLD0/MMXU1.TotW[MX]"
    assert [(block.name, block.data_set, block.taken) for block in found.blocks] == [
        ("LLN0.BR.brcb01", "QZLD0/LLN0.ds01", False),
        ("LLN0.RP.urcb01", "QZLD0/LLN0.ds01", False),
    ]


async def test_the_map_of_a_browsed_device_reads_it(closing, tmp_path):
    far = Tag("far", "LD7/MMTR1.TotWh.actVal[ST]", TagType.INT64)
    _, reached = await served(closing, device_of([*TAGS, far]), step_at(0, [*FIRST, 5]))
    text = browsed_map("found", reached.address, await browse(reached.address))
    path = tmp_path / "found.toml"
    path.write_text(text)
    device_map = load_device_map(path)
    assert device_map.options == Options("QZLD", "0", reports=("LLN0.BR.brcb01",))
    driver = reading(closing, dataclasses.replace(reached, map=device_map))
    await driver.open()
    values = {device_map.tags[tag - 50].at: value for tag, _, value, _ in await read_until(driver, len(device_map.tags))}
    assert values["MMXU1.TotW.mag.f[MX]"] == 1.5
    assert values["7/MMTR1.TotWh.actVal[ST]"] == 5
    assert len(values) == len(TAGS) + 1


async def test_nobody_there_is_unreachable():
    with pytest.raises(DeviceUnreachable, match="association"):
        await browse("127.0.0.1:1")
