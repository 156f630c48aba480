"""Orders: direct and select-before-operate, normal and enhanced security, settings; and everything that is refused."""

import dataclasses
import importlib.util

import pytest

from protocols.devicemap import Tag, TagType, WriteRule
from protocols.driver import DeviceUnreachable, WriteRefused, WritingDriver
from protocols.iec61850.plan import Settings
from tests.protocols.iec61850.field import device_of, linked, read_until, reading, served, step_at

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")

SWITCH = Tag("switch", "GGIO1.SPCSO1.stVal[ST]", TagType.BOOL, write=WriteRule(0, 1))
BREAKER = Tag("breaker", "CSWI1.Pos.stVal[ST]", TagType.UINT8, write=WriteRule(1, 2))
STEP = Tag("step", "ATCC1.TapChg.stVal[ST]", TagType.INT32, write=WriteRule(-5, 5))
POWER = Tag("power", "DRCC1.OutWSet.mxVal.f[MX]", TagType.FLOAT32, write=WriteRule(0, 500))
LIMIT = Tag("limit", "PTOC1.StrVal.setMag.f[SP]", TagType.FLOAT32, write=WriteRule(0, 2000))
COUNT = Tag("count", "PTOC1.Tms.setVal[SP]", TagType.INT32, write=WriteRule(0, 100))
FIXED = Tag("fixed", "MMXU1.TotW.mag.f[MX]", TagType.FLOAT32)
TAGS = (SWITCH, BREAKER, STEP, POWER, LIMIT, COUNT, FIXED)
FIRST = [0, 1, 0, 100, 50, 7, 3]
MODELS = {"direct": 1, "select": 2, "direct_enhanced": 3, "select_enhanced": 4}


async def value_of(driver, index):
    """The next value that the device reports of a tag."""
    while True:
        for tag, _, value, _ in await read_until(driver, 1):
            if tag == 50 + index:
                return value


async def controlled(closing, model, **settings):
    models = {tag.name: MODELS[model] for tag in TAGS}
    device = device_of(TAGS, settings=Settings(timeout_us=2_000_000, **settings))
    face, driver = await linked(closing, device, step_at(0, FIRST), control_models=models)
    await read_until(driver, len(TAGS))
    return face, driver


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("index", "raw"), [(0, 1.0), (1, 2.0), (2, -3.0), (3, 250.5)], ids=["bool", "double point", "integer", "analogue"])
async def test_a_value_is_set_by_control_and_reported_back(closing, model, index, raw):
    _, driver = await controlled(closing, model)
    assert isinstance(driver, WritingDriver)
    await driver.write(index, raw, FIRST[index])
    assert await value_of(driver, index) == raw


@pytest.mark.parametrize(("index", "raw"), [(4, 1250.5), (5, 42.0)], ids=["analogue", "integer"])
async def test_a_setting_is_written(closing, index, raw):
    _, driver = await controlled(closing, "direct")
    await driver.write(index, raw, FIRST[index])
    assert await value_of(driver, index) == raw


async def test_what_is_expected_of_a_float_is_compared_as_the_device_has_it(closing):
    _, driver = await controlled(closing, "direct")
    await driver.write(4, 0.1, 50.0)
    assert await value_of(driver, 4) == pytest.approx(0.1)
    await driver.write(4, 0.3, 0.1)
    with pytest.raises(WriteRefused, match="as expected"):
        await driver.write(4, 0.4, 0.1)


@pytest.mark.parametrize("model", MODELS)
async def test_the_devices_reason_stands_in_the_refusal(closing, model):
    _, driver = await controlled(closing, model)
    with pytest.raises(WriteRefused, match="blocked by process"):
        await driver.write(2, 9.0, None)
    await driver.write(2, 4.0, None)
    assert await value_of(driver, 2) == 4


@pytest.mark.parametrize("model", MODELS)
async def test_a_control_that_fails_after_it_was_accepted_is_refused_with_its_reason(closing, model):
    face, driver = await controlled(closing, model, synchro_check=True)
    with pytest.raises(WriteRefused, match="blocked by synchrocheck"):
        await driver.write(1, 2.0, None)
    await face.publish(driver._device, step_at(1, FIRST))
    assert await value_of(driver, 1) == 1


async def test_another_value_than_expected_writes_nothing(closing):
    face, driver = await controlled(closing, "direct")
    with pytest.raises(WriteRefused, match="the value is 1, not 2 as expected"):
        await driver.write(1, 2.0, 2.0)
    await face.publish(driver._device, step_at(1, FIRST))
    assert await value_of(driver, 1) == 1


@pytest.mark.parametrize(
    ("index", "raw", "reason"),
    [(4, 5000.0, "access denied|object access"), (1, 3.0, "1 .off. or 2 .on."), (6, 1.0, 'no "write"')],
    ids=["setting out of range", "no state of a double point", "not writable"],
)
async def test_what_cannot_be_set_is_refused_and_the_link_stands(closing, index, raw, reason):
    face, driver = await controlled(closing, "direct")
    with pytest.raises(WriteRefused, match=reason):
        await driver.write(index, raw, None)
    await face.publish(driver._device, step_at(1, FIRST))
    assert len(await read_until(driver, len(TAGS))) == len(TAGS)


async def test_an_object_without_control_is_refused(closing):
    _, reached = await served(closing, device_of([dataclasses.replace(SWITCH, write=None)]), step_at(0, [0]))
    driver = reading(closing, dataclasses.replace(reached, map=device_of([SWITCH]).map))
    await driver.open()
    with pytest.raises(WriteRefused, match="cannot be controlled"):
        await driver.write(0, 1.0, None)


async def test_a_status_only_object_is_refused(closing):
    _, driver = await linked(closing, device_of([SWITCH]), step_at(0, [0]), control_models={"switch": 0})
    with pytest.raises(WriteRefused, match="status-only"):
        await driver.write(0, 1.0, None)


async def test_orders_while_reports_stream_are_all_carried_out(closing):
    face, driver = await controlled(closing, "select_enhanced")
    for number in range(1, 31):
        await face.publish(driver._device, step_at(number, FIRST))
        await driver.write(2, float(number % 5), None)
        assert (await value_of(driver, 2)) is not None


async def test_an_order_without_a_link_is_no_refusal(closing):
    _, driver = await controlled(closing, "direct")
    await driver.close()
    with pytest.raises(DeviceUnreachable, match="not connected"):
        await driver.write(0, 1.0, None)


async def test_an_order_to_a_process_that_dies_ends_at_once(closing):
    _, driver = await controlled(closing, "direct")
    driver._worker.kill()
    with pytest.raises(DeviceUnreachable):
        await driver.write(0, 1.0, None)
