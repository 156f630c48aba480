"""The simulated flare: purge, relief of a shut well, a pilot that goes out, meters that add up."""

import math

import numpy as np
import pytest

from protocols.devicemap import SHIPPED, load_device_map
from protocols.tomlfile import ConfigError
from simulators.plant.flare import (
    NORMAL,
    PILOT_OUT,
    RELIEVING,
    FlareCourse,
    FlareParameters,
    FlareSource,
    flare_signals,
    pilot_c,
    power_mwh,
    relief_mmscfd,
)
from simulators.scenario import FromFlare, find_scenario, load_scenario

P = FlareParameters()
TAGS = load_device_map(SHIPPED / "qenergyz_flare_modbus.toml").tags
QUIET = [0.0] * 4


def shown(course: FlareCourse, second: float) -> dict[str, float]:
    return flare_signals(P, course, second, QUIET)


def test_a_flare_without_an_event_burns_its_purge_alone() -> None:
    assert [shown(FlareCourse(), second)["flare_gas_flow"] for second in (0.0, 1e5)] == [P.purge_mmscfd] * 2


def test_the_gas_of_a_shut_well_goes_to_the_flare_and_ends() -> None:
    course = FlareCourse(relief_s=100)
    flows = [shown(course, second)["flare_gas_flow"] for second in range(0, 20_000, 10)]
    assert max(flows[:10]) == P.purge_mmscfd
    assert 9.0 < max(flows) <= P.purge_mmscfd + P.associated_mmscfd
    assert flows[-1] == pytest.approx(P.purge_mmscfd, rel=1e-6)


def test_what_is_relieved_is_what_the_flow_line_gives_up() -> None:
    """The integral of (1 - exp(-t/a)) exp(-t/b) is b - 1 / (1/a + 1/b)."""
    seconds = np.arange(0, 20_000)
    found = sum(relief_mmscfd(P, float(second)) for second in seconds) / 86_400
    a, b = P.opening_s, P.emptying_s
    assert found == pytest.approx(P.associated_mmscfd * (b - 1 / (1 / a + 1 / b)) / 86_400, rel=1e-3)


def test_a_pilot_that_goes_out_cools_and_is_lit_again() -> None:
    out = ((100, 200), (400, 500))
    assert pilot_c(P, out, 99) == pytest.approx(P.pilot_lit_c)
    assert pilot_c(P, out, 120) == pytest.approx(P.ambient_c + (P.pilot_lit_c - P.ambient_c) / math.e)
    assert pilot_c(P, out, 200) < 35
    assert pilot_c(P, out, 399) > 615
    assert pilot_c(P, out, 500) < 35
    assert pilot_c(P, out, 900) == pytest.approx(P.pilot_lit_c)


def test_the_import_meter_never_runs_backwards_and_runs_faster_while_the_well_is_shut() -> None:
    before, shut = power_mwh(P, 0, 50), power_mwh(P, 50, 50)
    assert shut - before == pytest.approx(50 * P.import_mw / 3600)
    assert power_mwh(P, 100, 50) - shut == pytest.approx(50 * (P.import_mw + P.import_more_mw) / 3600)


def test_the_source_shows_every_tag_of_the_map_and_says_what_truly_happens() -> None:
    source = FlareSource(3, FlareCourse(relief_s=10, out=((20, 30),)), TAGS)
    labels = [source.step(index, 0).label for index in range(40)]
    assert (labels[5], labels[15], labels[25], labels[35]) == (NORMAL, RELIEVING, PILOT_OUT, RELIEVING)
    again = FlareSource(3, FlareCourse(relief_s=10, out=((20, 30),)), TAGS)
    np.testing.assert_array_equal(source.step(7, 0).values, again.step(7, 0).values)
    ranges = [tag.range for tag in TAGS]
    assert all(low <= value <= high for value, (low, high) in zip(source.step(15, 0).values, ranges, strict=True))


def test_the_flare_of_the_demonstration_follows_the_label_of_its_well() -> None:
    scenario = load_scenario(find_scenario("dhsv_rig1"))
    assert scenario.shows[-1] == FromFlare(FlareCourse(relief_s=275))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ('{ flare = { relieve_at = "1s" } }', "unknown key"),
        ('{ flare = { step = "2h" } }', "1s to 1h"),
        ('{ flare = { pilot_out = [{ at = "9s", for = "9s" }, { at = "10s", for = "1s" }] } }', "one after the other"),
        ('{ flare = {}, plant = "genset" }', "expected one of"),
    ],
    ids=["unknown key", "step too long", "flame-outs that overlap", "two sources"],
)
def test_a_flare_that_cannot_be_meant_is_refused(tmp_path, source: str, complaint: str) -> None:  # type: ignore[no-untyped-def]
    text = f'scenario = "s"\n[[device]]\nname = "f"\nmap = "qenergyz_flare_modbus"\naddress = "127.0.0.1:0"\nsource = {source}\n'
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_scenario(path)


def test_a_flare_cannot_show_a_well(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "s.toml"
    path.write_text(
        'scenario = "s"\n[[device]]\nname = "f"\nmap = "qenergyz_well_modbus"\naddress = "127.0.0.1:0"\nsource = { flare = {} }\n'
    )
    with pytest.raises(ConfigError, match="a flare has no such signal"):
        load_scenario(path)
