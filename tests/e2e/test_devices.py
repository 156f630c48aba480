"""One site on which every device but one per protocol suffers another fault at the same time, seen from the hub.

The faults hit together, so the healthy device of each protocol has as many failing neighbours as can be. A fault may cost samples of
its own device; it may never give a wrong value, and never a sample of another device.
"""

import importlib.util
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from protocols import quality
from simulators.comparison import Comparison, Series, compare
from tests.e2e.conftest import HubProgram, Site, device_tables, now_us, wait_until

FAULTS = {
    "modbus": ("drop_link", "freeze", "bad_quality", "exception", "delay"),
    "opcua": ("drop_link", "freeze", "bad_quality", "delay"),
    "mqtt": ("drop_link", "freeze", "bad_quality", "delay"),
    "iec61850": ("drop_link", "freeze", "bad_quality", "delay"),
}
PROTOCOLS = tuple(FAULTS)
FAULT_S = 3.0
MODBUS_PERIOD_US = 200_000
CASES = [(protocol, fault) for protocol, faults in FAULTS.items() for fault in faults]
# What the agent must notice by itself: the device cannot be read. A silent publisher behind a healthy broker is not such a case.
UNREACHABLE = [("modbus", "drop_link"), ("modbus", "delay"), ("opcua", "drop_link"), ("iec61850", "drop_link")]


def device_of(protocol: str, fault: str | None) -> str:
    """Device 1 of each protocol stays well."""
    return f"{protocol}{FAULTS[protocol].index(fault) + 2 if fault else 1}"


@dataclass
class Day:
    """What happened, as the hub has it afterwards."""

    site: Site
    began_us: int
    faults_us: tuple[int, int]
    held_us: int
    truth: dict[str, Series]
    stored: dict[str, Series]
    protocols: dict[str, str]
    health_in_fault: dict[str, dict[str, Any]]

    def of(self, device: str) -> dict[str, Series]:
        return {name: found for name, found in self.stored.items() if name.startswith(f"{device}.")}

    def any_tag(self, device: str) -> str:
        """One whose sensor works in the recording."""
        truth = self.truth
        return next(name for name in sorted(self.of(device)) if (truth[name].quality[:5] < quality.UNCERTAIN).all())

    def compared(self, device: str) -> Comparison:
        truth = {name: found for name, found in self.truth.items() if name.startswith(f"{device}.")}
        return compare(truth, self.of(device), self.protocols, self.began_us)


@pytest.fixture(scope="module")
def day(hub: HubProgram) -> Iterator[Day]:
    if importlib.util.find_spec("pyiec61850") is None:
        pytest.skip("pyiec61850 is not installed")
    site = Site(hub, device_tables({protocol: len(faults) + 1 for protocol, faults in FAULTS.items()}), rate=10)
    try:
        site.start_agent()
        began_us = site.go()
        wait_until(lambda: site.agent()["collected"] > 2000, "samples are flowing")
        start_us = now_us()
        for protocol, fault in CASES:
            site.tell(f"fault {device_of(protocol, fault)} {fault} {FAULT_S}")
        sick = {device_of(*case) for case in UNREACHABLE}
        health: dict[str, dict[str, Any]] = {}
        while now_us() - start_us < FAULT_S * 1e6 - 500_000:
            states = {device["name"]: device for device in site.agent()["devices"]}
            health |= {name: state for name, state in states.items() if name not in health or (name in sick and not state["up"])}
            time.sleep(0.1)
        wait_until(lambda: now_us() - start_us > FAULT_S * 1e6, "the faults are over")
        end_us = now_us()
        wait_until(lambda: all(device["up"] for device in site.agent()["devices"]), "every device is back", 20)
        back_us = now_us()
        wait_until(lambda: now_us() - back_us > 1.5e6, "some good samples more")
        held_us = now_us()
        site.hold()
        site.drain()
        truth, protocols = site.truth()
        yield Day(site, began_us, (start_us, end_us), held_us, truth, site.stored(), protocols, health)
    finally:
        site.end()


def between(found: Series, from_us: int, to_us: int) -> Series:
    inside = (found.times_us >= from_us) & (found.times_us < to_us)
    return Series(found.times_us[inside], found.values[inside], found.quality[inside])


ids = [f"{protocol}: {fault}" for protocol, fault in CASES]


@pytest.mark.parametrize(("protocol", "fault"), CASES, ids=ids)
def test_fault_never_gives_a_wrong_value(day: Day, protocol: str, fault: str) -> None:
    found = day.compared(device_of(protocol, fault))
    assert (found.wrong, found.doubled, found.examples) == (0, 0, found.examples)
    assert found.stored > 0


@pytest.mark.parametrize(("protocol", "fault"), CASES, ids=ids)
def test_what_was_served_despite_the_fault_is_stored(day: Day, protocol: str, fault: str) -> None:
    found = day.compared(device_of(protocol, fault))
    assert not found.lost, found.examples


@pytest.mark.parametrize(("protocol", "fault"), CASES, ids=ids)
def test_good_values_come_again_after_the_fault(day: Day, protocol: str, fault: str) -> None:
    name = day.any_tag(device_of(protocol, fault))
    last = between(day.stored[name], day.faults_us[1], day.held_us + 2_000_000)
    assert len(last.times_us)
    assert last.quality[-1] == quality.GOOD


@pytest.mark.parametrize(("protocol", "fault"), UNREACHABLE, ids=[f"{protocol}: {fault}" for protocol, fault in UNREACHABLE])
def test_unreachable_device_shows_bad_quality_and_no_value(day: Day, protocol: str, fault: str) -> None:
    for name, found in day.of(device_of(protocol, fault)).items():
        inside = between(found, day.faults_us[0], day.faults_us[1])
        bad = inside.quality & quality.BAD != 0
        assert bad.any(), name
        assert np.isnan(inside.values[bad]).all(), name


def test_device_that_answers_with_exceptions_is_up_and_its_tags_are_bad(day: Day) -> None:
    device = device_of("modbus", "exception")
    assert day.health_in_fault[device]["up"]
    inside = between(day.stored[day.any_tag(device)], day.faults_us[0] + 500_000, day.faults_us[1] - 500_000)
    assert set(inside.quality.tolist()) == {quality.BAD_DEVICE_FAILURE}
    assert np.isnan(inside.values).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_frozen_device_shows_uncertain_quality(day: Day, protocol: str) -> None:
    name = day.any_tag(device_of(protocol, "freeze"))
    inside = between(day.stored[name], day.faults_us[0], day.faults_us[1])
    frozen = inside.quality >> 30 == 1
    assert frozen.sum() >= 3
    assert len(np.unique(inside.values[frozen])) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bad_quality_of_the_device_reaches_the_hub(day: Day, protocol: str) -> None:
    name = day.any_tag(device_of(protocol, "bad_quality"))
    inside = between(day.stored[name], day.faults_us[0], day.faults_us[1])
    bad = inside.quality & quality.BAD != 0
    assert bad.sum() >= 3
    assert np.isnan(inside.values[bad]).all()


@pytest.mark.parametrize(("protocol", "fault"), UNREACHABLE, ids=[f"{protocol}: {fault}" for protocol, fault in UNREACHABLE])
def test_health_names_the_unreachable_device_and_the_cause(day: Day, protocol: str, fault: str) -> None:
    state = day.health_in_fault[device_of(protocol, fault)]
    assert not state["up"]
    assert state["cause"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_neighbour_of_failing_devices_is_up_all_the_time(day: Day, protocol: str) -> None:
    assert day.health_in_fault[device_of(protocol, None)]["up"]
    series = [between(found, day.began_us, day.held_us) for found in day.of(device_of(protocol, None)).values()]
    codes = np.concatenate([found.quality for found in series])
    assert not np.isin(codes, [quality.BAD_NO_COMMUNICATION, quality.BAD_TIMEOUT, quality.BAD_NOT_CONNECTED]).any()


def test_neighbour_of_failing_modbus_devices_keeps_its_cadence(day: Day) -> None:
    found = day.stored[day.any_tag(device_of("modbus", None))]
    cycles = (day.held_us - day.faults_us[0]) // MODBUS_PERIOD_US
    assert len(between(found, day.faults_us[0], day.held_us).times_us) >= 0.99 * cycles - 1


@pytest.mark.parametrize("protocol", ["opcua", "mqtt", "iec61850"])
def test_neighbour_of_failing_pushing_devices_keeps_its_cadence(day: Day, protocol: str) -> None:
    """The simulator makes ten steps a second; what it managed to make is the measure."""
    device = device_of(protocol, None)
    name = day.any_tag(device)
    found = day.compared(device)
    assert (found.lost, found.wrong, found.doubled, found.agent_made) == (0, 0, 0, 0), found.examples
    steps = (day.held_us - day.faults_us[0]) // 100_000
    assert len(between(day.stored[name], day.faults_us[0], day.held_us).times_us) >= 0.9 * steps


@pytest.mark.parametrize(("protocol", "fault"), UNREACHABLE, ids=[f"{protocol}: {fault}" for protocol, fault in UNREACHABLE])
def test_completeness_names_the_silent_device_with_its_times(day: Day, protocol: str, fault: str) -> None:
    gaps = day.site.gaps(day.began_us + 1_000_000, day.held_us, day.any_tag(device_of(protocol, fault)))
    silent = [gap for gap in gaps if gap["cause"].startswith("device silent")]
    assert silent, gaps
    start_us, end_us = day.faults_us
    assert start_us - 100_000 <= silent[0]["from_us"] <= end_us
    until_us = silent[-1]["to_us"]
    if protocol == "iec61850":  # the device kept its reports and gave them afterwards: hardly anything is missing
        assert until_us - silent[0]["from_us"] < 1_000_000
    else:
        assert end_us - 500_000 <= until_us <= day.held_us


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_completeness_says_all_present_of_the_neighbour(day: Day, protocol: str) -> None:
    assert day.site.gaps(day.began_us + 1_000_000, day.held_us, day.any_tag(device_of(protocol, None))) == []
