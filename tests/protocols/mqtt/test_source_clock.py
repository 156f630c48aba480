"""Times of a device are repaired only by a gateway that can know better, and never because its own clock is wrong."""

import numpy as np
import pytest

from protocols import quality
from protocols.devicemap import SHIPPED, Device, load_device_map
from protocols.driver import ResumingDriver
from protocols.frame import Block
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.watch import SourceClock
from tests.fakes import FakeClock

SECOND = 1_000_000
YEAR = 365 * 86_400 * SECOND
NOW = 1_790_000_000 * SECOND


def block(*times_us: int) -> Block:
    return Block(np.zeros(len(times_us), np.uint32), np.array(times_us), np.zeros(len(times_us)))


@pytest.mark.parametrize("given_us", [3 * SECOND, NOW + 2 * YEAR])
def test_impossible_time_is_stamped_on_arrival_uncertain_and_told(given_us: int) -> None:
    (found,), (event,) = SourceClock("d").check([block(NOW - SECOND, given_us)], NOW)
    assert found.times_us.tolist() == [NOW - SECOND, NOW]
    assert found.quality is not None
    assert found.quality.tolist() == [quality.GOOD, quality.UNCERTAIN]
    assert (event.kind, event.detail["given_us"]) == ("clock", given_us)


def test_gateway_whose_clock_was_never_set_leaves_the_devices_time_alone() -> None:
    given = [block(NOW)]
    assert SourceClock("d").check(given, 90 * SECOND) == (given, [])


def test_gateway_whose_clock_jumps_back_leaves_the_devices_time_alone() -> None:
    clock = SourceClock("d")
    clock.check([block(NOW)], NOW)
    given = [block(NOW + SECOND)]
    assert clock.check(given, NOW - YEAR) == (given, [])


def test_device_that_jumps_ahead_of_gateway_and_itself_is_still_repaired() -> None:
    clock = SourceClock("d")
    clock.check([block(NOW)], NOW)
    (found,), _ = clock.check([block(NOW + YEAR)], NOW + SECOND)
    assert found.times_us.tolist() == [NOW + SECOND]


def test_gateway_started_with_its_clock_a_year_behind_believes_what_it_kept_before() -> None:
    clock = SourceClock("d")
    clock.known_until(NOW)
    given = [block(NOW + SECOND)]
    assert clock.check(given, NOW - YEAR) == (given, [])


def test_driver_takes_the_times_that_were_kept() -> None:
    device = Device("d", load_device_map(SHIPPED / "qenergyz_well_mqtt.toml"), "mqtt://127.0.0.1:1")
    driver = MqttDriver(device, FakeClock(NOW - YEAR))
    assert isinstance(driver, ResumingDriver)
    driver.resume({0: NOW - 5 * SECOND, 1: NOW})
    given = [block(NOW + SECOND)]
    assert driver._source_clock.check(given, NOW - YEAR) == (given, [])
