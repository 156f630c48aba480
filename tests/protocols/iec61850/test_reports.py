"""Report control blocks: several of them, unbuffered ones, taken ones, data sets of our own, overflow, silence; what only polling brings."""

import asyncio
import dataclasses
import importlib.util
import os
import signal

import pytest

from protocols import quality
from protocols.devicemap import Tag, TagType, Text
from protocols.driver import DeviceUnreachable, DriverSetup
from protocols.iec61850.browse import browse
from protocols.iec61850.driver import clock_event
from protocols.iec61850.plan import Look, Mode
from simulators.iec61850_model import Model
from tests.protocols.iec61850.field import START_US, TAGS, device_of, linked, next_event, read_until, reading, samples, served, step_at

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")

W, V = TAGS[:2]
BUFFERED, OTHER, UNBUFFERED = "LLN0.BR.brcb01", "LLN0.BR.brcb02", "LLN0.RP.urcb01"


def with_reports(reached, *reports, **options):
    """The same device, read by other report control blocks than it was served for."""
    found = dataclasses.replace(reached.map.options, reports=reports, **options)
    return dataclasses.replace(reached, map=dataclasses.replace(reached.map, options=found))


@pytest.fixture
def without_data_sets(monkeypatch):
    """The simulated device's report control blocks have no data set."""
    whole = Model.message

    def message(self, device_map):
        blocks = tuple(dataclasses.replace(block, data_set="") for block in self.blocks)
        return whole(dataclasses.replace(self, blocks=blocks, data_sets=()), device_map)

    monkeypatch.setattr(Model, "message", message)


@pytest.fixture
def attribute_data_set(monkeypatch):
    """The members of the simulated device's data set are attributes; those of the angle lack a quality."""
    entries = ("MMXU1$MX$TotW$mag$f", "MMXU1$MX$TotW$q", "MMXU1$MX$TotW$t", "XCBR1$ST$Pos$q", "XCBR1$ST$Pos$stVal", "MMXU1$MX$Hz$mag")
    whole = Model.message

    def message(self, device_map):
        sets = tuple(dataclasses.replace(one, entries=entries) for one in self.data_sets)
        return whole(dataclasses.replace(self, data_sets=sets), device_map)

    monkeypatch.setattr(Model, "message", message)


async def test_a_data_set_of_attributes_gives_whole_samples(closing, attribute_data_set):
    power, frequency, position = TAGS[0], dataclasses.replace(TAGS[3], extra=Look(every_us=20_000)), TAGS[6]
    device = device_of([power, position, frequency], every_us=3_600_000_000)
    face, driver = await linked(closing, device, step_at(0, [1, 2, 50]))
    first = await read_until(driver, 3)
    assert (50, START_US, 1.0, 0) in first
    later = step_at(1, [2, 1, 51], [quality.GOOD, quality.UNCERTAIN_LAST_USABLE, quality.GOOD])
    await face.publish(device, later)
    last = {}
    async with asyncio.timeout(10):
        while len(last) < 3 or last[50][0] != 2 or last[51] != (1, quality.UNCERTAIN_LAST_USABLE) or last[52][0] != 51:
            for tag, time_us, value, code in samples([await driver.read()]):
                last[tag] = (value, code)
                assert tag != 50 or value == 1 or time_us != START_US  # never the time of an older value
    assert last[50] == (2, quality.GOOD)
    assert last[52] == (51, quality.GOOD)  # read, since the data set has no quality of it


async def test_an_unbuffered_block_reports_every_step(closing):
    device = device_of([W], reports=(UNBUFFERED,))
    face, driver = await linked(closing, device, step_at(0, [0]))
    await read_until(driver, 1)
    for number in range(1, 300):  # its numbers have eight bits
        await face.publish(device, step_at(number, [number]))
    assert [value for _, _, value, _ in await read_until(driver, 299)] == list(range(1, 300))


async def test_two_blocks_both_report_and_both_go_on_after_a_cut(closing):
    device = device_of([W], reports=(BUFFERED, OTHER))
    face, reached = await served(closing, device, step_at(0, [0]))
    driver = reading(closing, reached)
    await driver.open()
    number = 0
    async with asyncio.timeout(10):
        while len(delivered := (await driver.read()).messages) < 2:
            number += 1
            await face.publish(device, step_at(number, [-number]))
    assert all(len(identity) == 16 for identity in delivered)
    await driver.close()
    for number in (2, 3):
        await face.publish(device, step_at(number, [number]))
    again = reading(closing, reached, delivered)
    await again.open()
    frames = []
    async with asyncio.timeout(10):
        while (found := [value for _, _, value, _ in samples(frames)]).count(2) + found.count(3) < 4:
            frames.append(await again.read())
    assert found.count(2) == found.count(3) == 2


async def test_a_block_in_use_is_left_for_its_next_instance(closing):
    device = device_of([W], reports=(BUFFERED, OTHER))
    _, reached = await served(closing, device, step_at(0, [7]))
    first = reading(closing, with_reports(reached, BUFFERED))
    await first.open()
    await read_until(first, 1)
    second = reading(closing, with_reports(reached, BUFFERED))
    await second.open()
    event = await next_event(second, "device")
    assert "brcb01" in event.message
    assert 'brcb02" is taken instead' in event.message
    assert [value for _, _, value, _ in await read_until(second, 1)] == [7]


async def test_no_free_instance_is_an_error_that_names_the_block(closing):
    device = device_of([W])
    _, reached = await served(closing, device, step_at(0, [7]))
    first, second = reading(closing, reached), reading(closing, reached)
    await first.open()
    await read_until(first, 1)
    await second.open()
    with pytest.raises(DeviceUnreachable, match=r"brcb01.* is in use by another client"):
        await read_until(second, 1)


async def test_the_block_that_holds_our_entry_is_waited_for(closing):
    device = device_of([W], reports=(BUFFERED, OTHER))
    face, reached = await served(closing, device, step_at(0, [0]))
    reached = with_reports(reached, BUFFERED)
    first = reading(closing, reached)
    await first.open()
    delivered = (await first.read()).messages
    again = reading(closing, reached, delivered)
    await again.open()  # while the device still holds the block for the first session
    await first.close()
    await face.publish(device, step_at(1, [1]))
    frames = []
    async with asyncio.timeout(10):
        while not samples(frames):
            frames.append(await again.read())
    assert [value for _, _, value, _ in samples(frames)] == [1]
    assert not any(frame.events for frame in frames)


@pytest.mark.parametrize("report", [BUFFERED, UNBUFFERED])
async def test_a_block_without_data_set_gets_one_of_ours_where_we_may(closing, without_data_sets, report):
    device = device_of([W, V], reports=(report,))
    face, reached = await served(closing, device, step_at(0, [1, 2]))
    refused = reading(closing, reached)
    await refused.open()
    with pytest.raises(DriverSetup, match="dynamic = true"):
        await read_until(refused, 1)
    await refused.close()
    for number in range(1, 4):  # each time it is made, or found as it was left
        driver = reading(closing, with_reports(reached, report, dynamic=True, every_us=3_600_000_000))
        await driver.open()
        await read_until(driver, 2)
        await face.publish(device, step_at(number, [number, 2]))
        assert number in [value for _, _, value, _ in await read_until(driver, 2)]
        await driver.close()
    (left,) = await browse(reached.address)
    assert bool(left.data_sets) is (report == BUFFERED)  # into which the device goes on buffering


async def test_an_overflowed_buffer_is_told_and_asked_again(closing):
    device = device_of(TAGS)
    first = [1.5, 6350.25, -30.0, 50.0, 1, -7, 2, 4]
    face, reached = await served(closing, device, step_at(0, first))
    driver = reading(closing, reached)
    await driver.open()
    durable = (await driver.read()).messages
    await driver.close()
    for number in range(1, 1500):  # more than the simulated device keeps
        await face.publish(device, step_at(number, [number, *first[1:]]))
    again = reading(closing, reached, durable)
    await again.open()
    event = await next_event(again, "device")
    assert event.detail["overflow"] is True
    await face.publish(device, step_at(1500, [1500, *first[1:]]))
    async with asyncio.timeout(10):
        while 1500 not in [value for tag, _, value, _ in samples([await again.read()]) if tag == 50]:
            pass


async def test_a_block_silent_for_three_integrity_periods_is_unreachable(closing):
    device = device_of([W], integrity_us=200_000)
    face, driver = await linked(closing, device, step_at(0, [1]))
    await read_until(driver, 1)
    pid = face._servers["feeder"]._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeviceUnreachable, match=r"integrity report|no answer"):
            async with asyncio.timeout(10):
                while True:
                    await driver.read()
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_tags_are_polled_at_their_own_intervals(closing):
    slow = dataclasses.replace(V, extra=Look(every_us=3_600_000_000))
    fast = dataclasses.replace(W, extra=Look(every_us=20_000))
    _, driver = await linked(closing, device_of([slow, fast], mode=Mode.POLL), step_at(0, [1, 2]))
    found = [tag for tag, *_ in await read_until(driver, 20)]
    assert found.count(50) == 1
    assert found.count(51) == len(found) - 1


async def test_tags_of_another_logical_device_are_read(closing):
    far = Tag("far", "LD7/MMXU1.TotW.mag.f[MX]", TagType.FLOAT32)
    _, driver = await linked(closing, device_of([W, far]), step_at(0, [1, 2]))
    assert sorted((tag, value) for tag, _, value, _ in await read_until(driver, 2)) == [(50, 1), (51, 2)]


async def test_counters_of_64_bits_are_exact(closing):
    energy = Tag("energy", "MMTR1.TotWh.actVal[ST]", TagType.INT64, counter=True)
    device = device_of([energy, W])
    face, driver = await linked(closing, device, step_at(0, [2**53, 1]))
    await read_until(driver, 2)
    server = face._servers["feeder"]
    await server.ask("show", START_US + 1, [2**62 + 1, 2.0], [0, 0])
    found = {tag: value for tag, _, value, _ in await read_until(driver, 2)}
    assert found == {50: 2**62 + 1, 51: 2.0}


async def test_texts_come_as_events_at_connect_and_when_they_change(closing):
    plate = Text("serial", "LPHD1.PhyNam.serNum[DC]", every_us=50_000)
    ghost, nonsense = Text("ghost", "LPHD1.PhyNam.hwRev[DC]"), Text("nonsense", "no address")
    device = device_of([W], texts=[plate])
    face, reached = await served(closing, device, step_at(0, [1]))
    driver = reading(closing, dataclasses.replace(reached, map=dataclasses.replace(reached.map, texts=(ghost, nonsense, plate))))
    await driver.open()
    event = await next_event(driver, "text")
    assert (event.source, event.message, event.detail) == ("serial", "simulated serial", {"at": plate.at})
    await face.set_plate("feeder", "QZLD0/LPHD1.PhyNam.serNum", "SN 2")
    assert (await next_event(driver, "text")).message == "SN 2"


async def test_what_the_device_says_of_its_clock_is_told_when_it_changes(closing):
    device = device_of([W])
    face, driver = await linked(closing, device, step_at(0, [1]))
    await read_until(driver, 1)
    for number, (flags, text) in enumerate([(0x20, "not synchronised"), (0x60, "failed"), (0x80, "well")], 1):
        await face.set_clock("feeder", flags)
        await face.publish(device, step_at(number, [number]))
        event = await next_event(driver, "clock")
        assert text in event.message
        assert event.source_us == START_US + number * 1_000_001


def test_clock_flags_become_an_event_with_their_meaning():
    event = clock_event("d", 0xA0 | 10, 5, 6)
    assert event.detail == {"leap_seconds_known": True, "clock_failure": False, "clock_not_synchronised": True, "accuracy_bits": 10}
    assert "accuracy_bits" not in clock_event("d", 0x1F, 5, 6).detail


async def test_clock_flags_change_no_quality(closing):
    device = device_of([W])
    face, driver = await linked(closing, device, step_at(0, [1]))
    await read_until(driver, 1)
    await face.set_clock("feeder", 0x60)
    await face.publish(device, step_at(1, [2]))
    assert [code for *_, code in await read_until(driver, 1)] == [quality.GOOD]
