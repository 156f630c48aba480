"""The IEC 61850 driver and its child process against the IEC 61850 face and its child process."""

import asyncio
import dataclasses
import importlib.util

import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, Tag, TagType, load_device_map
from protocols.driver import DeviceUnreachable, DriverSetup
from protocols.iec61850.driver import Iec61850Driver
from protocols.iec61850.pipe import start_child
from protocols.iec61850.plan import Mode, Settings
from tests.protocols.iec61850.field import FIRST, START_US, TAGS, device_of, linked, read_until, samples, served, step_at

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")


async def test_the_first_step_arrives_with_exact_values_times_and_types(closing):
    _, driver = await linked(closing, device_of(), step_at(0, FIRST))
    found = await read_until(driver, len(TAGS))
    expected = [*FIRST[:7], 4_000_000_000 - 2**32]
    assert sorted(found) == [(50 + index, START_US, value, 0) for index, value in enumerate(expected)]


async def test_every_step_arrives_once_in_order_even_when_nothing_changes(closing):
    device = device_of(TAGS[:2])
    face, driver = await linked(closing, device, step_at(0, [0, 0]))
    await read_until(driver, 2)
    codes = [quality.GOOD, quality.UNCERTAIN_LAST_USABLE, quality.BAD_SENSOR_FAILURE]
    steps = [step_at(number, [number // 4, -number], [codes[number % 3], 0]) for number in range(1, 60)]
    reading = asyncio.create_task(read_until(driver, 2 * len(steps)))
    for step in steps:
        await face.publish(device, step)
    found = await reading
    for index in range(2):
        wanted = [(s.time_us, 0.0 if quality.is_bad(int(s.quality[index])) else s.values[index], s.quality[index]) for s in steps]
        assert [(at, value, code) for tag, at, value, code in found if tag == 50 + index] == wanted


async def test_a_killed_worker_is_unreachable_and_the_buffer_fills_the_gap(closing):
    device = device_of(TAGS[:1])
    face, driver = await linked(closing, device, step_at(0, [0]))
    await read_until(driver, 1)
    await face.publish(device, step_at(1, [1]))
    await read_until(driver, 1)
    driver._worker.kill()
    with pytest.raises(DeviceUnreachable, match="ended"):
        await driver.read()
    await driver.close()
    for number in (2, 3):
        await face.publish(device, step_at(number, [number]))
    await driver.open()
    await face.publish(device, step_at(4, [4]))
    assert [value for _, _, value, _ in await read_until(driver, 3)] == [2, 3, 4]


async def test_a_new_session_goes_on_after_the_last_durable_frame(closing):
    device = device_of(TAGS[:1])
    face, driver = await linked(closing, device, step_at(0, [0]))
    durable = []
    for number in range(1, 6):
        frame = await driver.read()
        durable += frame.messages if number < 3 else []
        await face.publish(device, step_at(number, [number]))
    await driver.close()
    again = Iec61850Driver(dataclasses.replace(device, address=face.address_of(device)), SystemClock(), frozenset(durable))
    closing(again)
    await again.open()
    assert [value for _, _, value, _ in await read_until(again, 4)] == [2, 3, 4, 5]


async def test_an_entry_the_device_no_longer_has_means_a_fresh_start(closing):
    device = device_of(TAGS[:1])
    _, reached = await served(closing, device, step_at(0, [7]))
    driver = Iec61850Driver(reached, SystemClock(), [bytes(7) + b"\x01" + b"\xfe" * 8])
    closing(driver)
    await driver.open()
    assert [value for _, _, value, _ in await read_until(driver, 1)] == [7]


async def test_a_cut_link_is_noticed_and_reports_go_on_after_it(closing):
    device = device_of(TAGS[:1])
    face, driver = await linked(closing, device, step_at(0, [0]))
    await read_until(driver, 1)
    await face.publish(device, step_at(1, [1]))
    await read_until(driver, 1)
    cut = asyncio.create_task(face.fault("feeder", "drop_link", 300_000))
    async with asyncio.timeout(10):
        with pytest.raises(DeviceUnreachable):
            await driver.read()
    await driver.close()
    await face.publish(device, step_at(2, [2]))
    await cut
    await driver.open()
    assert [value for _, _, value, _ in await read_until(driver, 1)] == [2]


async def test_one_unknown_object_costs_only_itself(closing):
    ghost = Tag("ghost", "MMXU1.TotVAr.mag.f[MX]", TagType.FLOAT32)
    _, reached = await served(closing, device_of(TAGS[:2]), step_at(0, [1, 2]))
    wanted = dataclasses.replace(reached, map=device_of([TAGS[0], ghost, TAGS[1]]).map)
    driver = Iec61850Driver(wanted, SystemClock())
    closing(driver)
    await driver.open()
    found = sorted((tag, value, code) for tag, _, value, code in await read_until(driver, 3))
    assert found == [(50, 1, 0), (51, 0.0, quality.BAD_NODE_ID_UNKNOWN), (52, 2, 0)]


async def test_polling_reads_values_quality_and_time(closing):
    device = device_of(TAGS[:2], mode=Mode.POLL, every_us=20_000)
    face, driver = await linked(closing, device, step_at(0, [1, 2]))
    await read_until(driver, 2)
    await face.publish(device, step_at(1, [3, 4], [quality.UNCERTAIN_LAST_USABLE, 0]))
    async with asyncio.timeout(5):
        while (found := samples([await driver.read()]))[0][1] == START_US:
            pass
    assert found[:2] == [(50, START_US + 1_000_001, 3, quality.UNCERTAIN_LAST_USABLE), (51, START_US + 1_000_001, 4, 0)]


async def test_a_device_of_a_thousand_objects_opens_at_once(closing):
    tags = [
        Tag(f"t{node}_{number}", f"GGIO{node}.AnIn{number}.mag.f[MX]", TagType.FLOAT32) for node in range(1, 21) for number in range(1, 51)
    ]
    _, driver = await linked(closing, device_of(tags), step_at(0, list(range(1000))))
    found = await read_until(driver, 1000)
    assert sorted((tag - 50, value) for tag, _, value, _ in found) == [(number, number) for number in range(1000)]


@pytest.mark.parametrize("chosen", [1, 2, 5, 6], ids=["one of six", "two of six", "most", "all"])
async def test_polling_reads_a_node_as_a_whole_or_its_objects(closing, chosen):
    tags = [Tag(f"t{number}", f"MMXU1.A{number}.phsA.cVal.mag.f[MX]", TagType.FLOAT32) for number in range(6)]
    ghosts = [Tag("ghost", "MMXU1.Zz.mag.f[MX]", TagType.FLOAT32), Tag("nobody", "GGIO9.AnIn1.mag.f[MX]", TagType.FLOAT32)]
    _, reached = await served(closing, device_of(tags), step_at(0, list(range(6))))
    wanted = device_of([*tags[:chosen], *ghosts, TAGS[0]], mode=Mode.POLL, every_us=20_000)
    driver = Iec61850Driver(dataclasses.replace(reached, map=wanted.map), SystemClock())
    closing(driver)
    await driver.open()
    found = await read_until(driver, 3 * chosen + 3)
    assert {(tag - 50, value) for tag, _, value, code in found if code == quality.GOOD} == {(number, number) for number in range(chosen)}
    assert {tag - 50 for tag, _, _, code in found if code == quality.BAD_NODE_ID_UNKNOWN} == {chosen, chosen + 1, chosen + 2}


async def test_without_the_library_the_error_names_its_package(monkeypatch, tmp_path):
    (tmp_path / "pyiec61850").mkdir()
    (tmp_path / "pyiec61850" / "__init__.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    driver = Iec61850Driver(dataclasses.replace(device_of(), address="127.0.0.1:1"), SystemClock())
    with pytest.raises(DriverSetup, match=r"pyiec61850-ng .*install qenergyz\[iec61850\]"):
        await driver.open()
    await driver.close()


async def test_nobody_listening_is_unreachable():
    driver = Iec61850Driver(dataclasses.replace(device_of(), address="127.0.0.1:1"), SystemClock())
    with pytest.raises(DeviceUnreachable, match="association"):
        await driver.open()
    await driver.close()


async def test_an_unknown_report_control_block_is_a_setup_error(closing):
    _, reached = await served(closing, device_of(TAGS[:1]), step_at(0, [1]))
    other = dataclasses.replace(reached, map=device_of(TAGS[:1], reports=("LLN0.BR.other01",)).map)
    driver = Iec61850Driver(other, SystemClock())
    closing(driver)
    await driver.open()
    async with asyncio.timeout(5):
        with pytest.raises(DriverSetup, match="other01"):
            await driver.read()


async def test_closing_leaves_no_child_process(closing):
    _, driver = await linked(closing, device_of(TAGS[:1]), step_at(0, [1]))
    worker = driver._worker
    await driver.close()
    assert worker.returncode is not None


async def test_the_shipped_substation_map_is_read_from_its_simulator(closing):
    from simulators.plant.signals import Plant, PlantSource

    device_map = load_device_map(SHIPPED / "qenergyz_substation_iec61850.toml")
    device = Device("feeder1", device_map, "127.0.0.1:0", Settings())
    step = PlantSource(Plant(1), "genset", device_map.tags).step(0, START_US)
    _, driver = await linked(closing, device, step)
    found = {tag: value for tag, _, value, _ in await read_until(driver, len(device_map.tags))}
    assert [found[index] for index in range(len(device_map.tags))] == pytest.approx(step.values.tolist(), rel=1e-6)


async def test_requests_and_reports_at_the_same_time_never_wait_for_each_other(closing, monkeypatch):
    """The binding holds the interpreter's lock during a request: a report that came first stopped the worker for good."""

    async def hasty(module):
        return await start_child(f"tests.{module.replace('.worker', '.hasty_worker')}")

    monkeypatch.setattr("protocols.iec61850.driver.start_child", hasty)
    device = device_of()
    face, driver = await linked(closing, device, step_at(0, FIRST))
    for number in range(1, 301):
        await face.publish(device, step_at(number, [number, *FIRST[1:]]))
        await asyncio.sleep(0.005)
    found = await read_until(driver, 301 * len(TAGS))
    assert [value for tag, _, value, _ in found if tag == 50][-1] == 300
