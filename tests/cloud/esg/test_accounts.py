"""From samples to gases: gaps, frozen meters, pilots, counters, dates of factors; and what must not change the answer."""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.esg.accounts import AS_STATED, Account, Span, of_an_interval, of_the_day, records, start_of
from cloud.esg.gases import gwp_set
from cloud.esg.inventory import Category, Scope, totals
from cloud.esg.metered import Period
from cloud.esg.register import Register
from cloud.esg.register_file import parse_register
from cloud.esg.spans import DAY_US, HOUR_US
from protocols import quality
from protocols.batch.bundle import Samples
from tests.cloud.esg.test_register import EVERY, FLARE, GAS, HEAD, RATE, SOURCE, U95

DAY = date(2026, 11, 20)
START = start_of(DAY)
WHOLE = Period(START, START + DAY_US)
FLOW, PILOT, POWER = "rig1/plc1.t0", "rig1/plc1.t1", "rig1/plc1.t2"
STEP_US = 30_000_000


def samples(values, every_us: int = STEP_US, start_us: int = START) -> Samples:  # type: ignore[no-untyped-def]
    """A day's worth of a number, or these."""
    column = np.full(DAY_US // every_us, float(values)) if np.isscalar(values) else np.asarray(values, dtype=np.float64)
    times = start_us + every_us * np.arange(column.size, dtype=np.int64)
    return Samples(times, column, np.zeros(column.size, np.uint32))


def wavy(level: float = 2.4, every_us: int = STEP_US) -> Samples:
    size = DAY_US // every_us
    return samples(level + 0.1 * np.sin(np.arange(size) / 97.0), every_us)


def register(*texts: str, head: str = HEAD) -> Register:
    return parse_register(head + "".join(texts))


def day(found: Register, columns: Mapping[str, Samples], period: Period = WHOLE, scenario: str = "") -> tuple[Account, ...]:
    return of_the_day(found.sources, columns, period, scenario)


LIT = {FLOW: wavy(), PILOT: samples(600.0)}


def test_a_flare_of_a_whole_day_is_the_formula_of_its_volume() -> None:
    (found,) = day(register(FLARE), LIT)
    assert found.metered is not None
    scf = found.estimate.activity.value
    assert scf == pytest.approx(2.4e6, rel=0.02)
    assert found.estimate.masses.ch4_kg == pytest.approx(scf * 0.9 * 0.02 * 0.0192)
    assert found.estimate.masses.co2_kg == pytest.approx(scf * (0.1 + 0.98 * 0.9) * 0.0526)
    assert found.metered.bar == "m" * 24


def test_nitrous_oxide_of_a_flare_is_a_doubt_until_it_is_asked_for_as_stated() -> None:
    (found,), (stated,) = day(register(FLARE), LIT), day(register(FLARE), LIT, scenario=AS_STATED)
    assert found.estimate.masses.n2o_kg is None
    assert any("unconfirmed" in note for note in found.estimate.notes)
    assert stated.estimate.masses.n2o_kg == pytest.approx(stated.estimate.activity.value * 1e-3 * 1e-4)
    (record,) = records((stated,), DAY, ("b",), 1)
    assert record.doubts == ("S: flare.n2o is unconfirmed",)


def test_gas_that_passes_a_pilot_that_is_out_leaves_unburnt() -> None:
    cold = samples(np.where(np.arange(DAY_US // STEP_US) < DAY_US // STEP_US // 4, 30.0, 600.0))
    steady = samples(2.4 + 1e-6 * np.arange(DAY_US // STEP_US))
    (found,) = day(register(FLARE), {FLOW: steady, PILOT: cold})
    scf = found.estimate.activity.value
    assert found.estimate.masses.ch4_kg == pytest.approx(scf * 0.9 * 0.0192 * (0.25 + 0.75 * 0.02), rel=1e-3)
    assert "pilot out" in found.estimate.notes[-1]


def test_an_hour_without_enough_samples_is_bridged_or_missing_and_never_zero() -> None:
    size = HOUR_US // STEP_US
    gone = np.ones(24 * size, dtype=bool)
    gone[3 * size : 4 * size] = gone[10 * size : 15 * size] = False
    full = wavy()
    part = Samples(full.times_us[gone], full.values[gone], full.quality[gone])
    (found,) = day(register(FLARE), {**LIT, FLOW: part})
    assert found.metered is not None
    assert found.metered.bar == "mmm" + "b" + "m" * 6 + "x" * 5 + "m" * 9
    assert (found.filled_hours, found.missing_hours, found.metered.excluded) == (1, 5, {"absent": 6})
    whole = day(register(FLARE), LIT)[0].estimate.activity.value
    assert found.estimate.activity.value == pytest.approx(whole * 19 / 24, rel=0.02)


def test_bad_samples_are_no_samples() -> None:
    full = wavy()
    codes = full.quality.copy()
    codes[: codes.size // 2] = quality.BAD_SENSOR_FAILURE
    (found,) = day(register(FLARE), {**LIT, FLOW: Samples(full.times_us, full.values, codes)})
    assert found.missing_hours == 12


def test_a_meter_that_stands_still_is_excluded_with_the_reason_and_one_at_zero_is_not() -> None:
    (frozen,), (idle,) = (day(register(FLARE), {**LIT, FLOW: samples(value)}) for value in (2.4, 0.0))
    assert frozen.metered is not None
    assert frozen.metered.excluded == {"frozen": 24}
    assert frozen.missing_hours == 24
    assert (idle.missing_hours, idle.estimate.masses.ch4_kg) == (0, 0.0)


@pytest.mark.parametrize(("value", "reason"), [(-1.0, "negative"), (51.0, "above range")])
def test_an_hour_that_cannot_be_is_excluded_with_the_reason(value: float, reason: str) -> None:
    full = wavy()
    values = full.values.copy()
    values[5 * 120 : 6 * 120] = value
    (found,) = day(register(FLARE), {**LIT, FLOW: Samples(full.times_us, values, full.quality)})
    assert found.metered is not None
    assert found.metered.excluded == {reason: 1}


def test_a_flare_whose_pilot_is_not_known_is_missing() -> None:
    (found,) = day(register(FLARE), {FLOW: wavy()})
    assert found.missing_hours == 24


@pytest.mark.parametrize(("unit", "times"), [("Mscf/d", 1e3), ("scf/h", 1e6 / 24), ("scf/min", 1e6 / 1440)])
def test_the_unit_of_a_meter_does_not_change_the_gases(unit: str, times: float) -> None:
    head = HEAD.replace("MMscf/d", unit).replace("high = 50\n", f"high = {50 * times}\n")
    told = {**LIT, FLOW: Samples(LIT[FLOW].times_us, LIT[FLOW].values * times, LIT[FLOW].quality)}
    (one,), (two,) = day(register(FLARE), LIT), day(register(FLARE, head=head), told)
    assert two.estimate.masses.ch4_kg == pytest.approx(one.estimate.masses.ch4_kg, rel=1e-9)


def test_the_hour_that_is_not_over_counts_what_is_known_and_later_hours_are_ahead() -> None:
    period = Period(START, START + 2 * HOUR_US + HOUR_US // 2)
    (found,) = day(register(FLARE), LIT, period)
    assert found.metered is not None
    assert found.metered.bar == "mmo" + "." * 21
    assert found.missing_hours == 0
    assert found.estimate.activity.value == pytest.approx(2.4e6 * 2.5 / 24, rel=0.05)


def test_a_counter_loses_nothing_between_its_samples() -> None:
    power = SOURCE + EVERY["power"].replace('grid = "us.camx"', f"grid = {RATE}")
    times = START + HOUR_US * np.array([0, 2, 3, 9, 24])
    ran = Samples(times, np.array([100.0, 102.0, 103.0, 109.0, 124.0]), np.zeros(5, np.uint32))
    found = day(register(power), {POWER: ran})
    assert [each.category for each in found] == [Category.POWER_LOCATION, Category.POWER_MARKET]
    assert found[0].estimate.activity.value == pytest.approx(24.0)
    assert found[0].estimate.masses.ch4_kg is None  # the rate says nothing of it


def test_certificates_count_up_to_what_was_bought() -> None:
    text = SOURCE + EVERY["power"].replace('grid = "us.camx"', f"grid = {RATE}")
    text += "[[source.certificate]]\nfrom = 2026-11-01\nuntil = 2026-12-01\nmwh = 300.0\nrate = { co2 = 0.0, reference = 'GO' }\n"
    ran = Samples(START + DAY_US * np.array([0, 1]), np.array([0.0, 24.0]), np.zeros(2, np.uint32))
    location, market = day(register(text), {POWER: ran})
    assert (location.estimate.masses.co2_kg, market.estimate.masses.co2_kg) == (pytest.approx(24.0), pytest.approx(14.0))


def test_certificates_beyond_what_was_bought_reduce_nothing_and_are_told() -> None:
    text = SOURCE + EVERY["power"].replace('grid = "us.camx"', f"grid = {RATE}")
    text += "[[source.certificate]]\nfrom = 2026-11-01\nuntil = 2026-12-01\nmwh = 900.0\nrate = { co2 = 0.0, reference = 'GO' }\n"
    ran = Samples(START + DAY_US * np.array([0, 1]), np.array([0.0, 24.0]), np.zeros(2, np.uint32))
    _, market = day(register(text), {POWER: ran})
    assert market.estimate.masses.co2_kg == 0.0
    assert "6.000 MWh more than was bought" in market.estimate.notes[-1]


def test_a_grid_without_a_confirmed_factor_says_nothing_of_the_other_figure() -> None:
    ran = Samples(START + DAY_US * np.array([0, 1]), np.array([0.0, 24.0]), np.zeros(2, np.uint32))
    location, market = day(register(SOURCE + EVERY["power"]), {POWER: ran})
    assert location.estimate.masses.missing == ("co2", "ch4", "n2o")
    assert "unconfirmed" in location.estimate.notes[0]
    assert market.estimate.masses.co2_kg == pytest.approx(24.0)


def test_a_factor_out_of_its_dates_leaves_the_gas_unknown_with_the_reason() -> None:
    text = SOURCE + 'category = "fugitive"\ncounts = { "component.east.valve" = 5 }\n' + GAS + U95
    (found,) = day(register(text), {})
    assert found.estimate.masses.missing == ("co2", "ch4", "n2o")
    assert "ended 2025-01-01" in found.estimate.notes[0]


def test_registered_sources_need_no_samples_and_run_by_their_dates() -> None:
    text = SOURCE + "until = 2026-11-21\n" + EVERY["pneumatics"]
    (found,) = day(register(text), {})
    assert found.estimate.masses.ch4_kg == pytest.approx(3 * 6.8 * 24 * 0.8 * 0.0192)
    assert day(register(text), {}, Period(START + DAY_US, START + 2 * DAY_US)) == ()


def test_a_blowdown_counts_on_its_day_alone() -> None:
    text = (SOURCE + EVERY["vents of the register"]).replace("2026-02-01", "2026-11-20")
    (found,) = day(register(text), {})
    (other,) = day(register(text), {}, Period(START + DAY_US, START + 2 * DAY_US))
    assert found.estimate.activity.value > 5_000 + 40 / 0.0283 * 55
    assert other.estimate.masses.ch4_kg == 0.0


def test_a_leak_counts_until_it_is_repaired() -> None:
    text = SOURCE + EVERY["leaks of a survey"].replace("2026-01-02T00:00:00Z", "2026-11-20T06:00:00Z\nrepaired = 2026-11-20T12:00:00Z")
    (found,) = day(register(text), {})
    assert found.estimate.activity.value == pytest.approx(24.0)


@pytest.mark.parametrize("name", EVERY)
def test_every_kind_of_source_makes_a_record_or_says_why_not(name: str) -> None:
    columns = {**LIT, POWER: samples(np.linspace(0, 24, DAY_US // STEP_US)), "rig1/plc1.t3": wavy(5000.0)}
    found = records(day(register(SOURCE + EVERY[name]), columns), DAY, ("b",), 1)
    assert found
    assert all(not one.estimate.masses.missing or one.estimate.notes or one.estimate.method == "cems-c6" for one in found)


def test_an_interval_has_exactly_its_gas() -> None:
    low, high = samples(1.0), samples(3.0)
    at = START + HOUR_US + 15 * 60_000_000
    values = np.where(low.times_us < at, low.values, high.values)
    columns = {FLOW: Samples(low.times_us, values, low.quality), PILOT: samples(600.0)}
    (found,) = of_an_interval(register(FLARE).sources, columns, Span(at - 60_000_000, at + 120_000_000))
    assert found.estimate.activity.value == pytest.approx((1.0 * 60 + 3.0 * 120) * 1e6 / 86_400)
    assert found.metered is not None
    assert found.metered.known_s == 180.0


def test_a_spike_in_an_interval_is_not_known_and_the_rest_of_it_is() -> None:
    full = samples(2.0)
    values = full.values.copy()
    values[10:12] = 60.0
    columns = {FLOW: Samples(full.times_us, values, full.quality), PILOT: samples(600.0)}
    (found,) = of_an_interval(register(FLARE).sources, columns, Span(START, START + HOUR_US))
    assert found.metered is not None
    assert (found.metered.known_s, found.metered.excluded) == (3540.0, {"above range": 2})
    assert found.estimate.activity.value == pytest.approx(2e6 * 3540 / 86_400)


@pytest.mark.parametrize(("mwh", "known"), [(150.0, True), (250.0, False)], ids=["within its range an hour", "beyond it"])
def test_a_counter_over_two_hours_is_held_to_its_range_in_an_hour(mwh: float, known: bool) -> None:
    power = SOURCE + EVERY["power"].replace('grid = "us.camx"', f"grid = {RATE}")
    ran = Samples(START + HOUR_US * np.array([0, 2]), np.array([0.0, mwh]), np.zeros(2, np.uint32))
    found = of_an_interval(register(power).sources, {POWER: ran}, Span(START, START + 2 * HOUR_US))[0]
    assert found.estimate.activity.value == (mwh if known else 0.0)
    assert found.metered is not None
    assert found.metered.known_s == (7200.0 if known else 0.0)


def test_the_open_hour_says_why_it_counts_nothing() -> None:
    (found,) = day(register(FLARE), {**LIT, FLOW: samples(60.0)}, Period(START, START + HOUR_US // 2))
    assert found.metered is not None
    assert (found.metered.bar[0], found.metered.excluded, found.estimate.activity.value) == ("o", {"above range": 1}, 0.0)


@given(st.permutations(range(8)))
def test_the_order_of_batches_changes_nothing(order: list[int]) -> None:
    full = wavy(every_us=10 * STEP_US)
    pieces = np.array_split(np.arange(full.times_us.size), 8)
    mixed = np.concatenate([pieces[at] for at in order])
    shuffled = Samples(full.times_us[mixed], full.values[mixed], full.quality[mixed])
    text = register(FLARE, head=HEAD.replace('unit = "MMscf/d"', 'unit = "MMscf/d"\nhold = "10min"'))
    pilot = samples(600.0, 10 * STEP_US)
    held = {PILOT: pilot, FLOW: full}
    assert day(text, {**held, FLOW: shuffled}) == day(text, held)


@given(st.lists(st.integers(1, 1439), unique=True, max_size=5))
def test_intervals_of_a_day_add_up_to_the_whole_of_it(cuts: list[int]) -> None:
    edges = [START, *(START + 60_000_000 * minute for minute in sorted(cuts)), START + DAY_US]
    found = [
        of_an_interval(register(FLARE).sources, LIT, Span(first, last))[0].estimate.masses.ch4_kg or 0.0 for first, last in pairwise(edges)
    ]
    (whole,) = of_an_interval(register(FLARE).sources, LIT, Span(START, START + DAY_US))
    assert sum(found) == pytest.approx(whole.estimate.masses.ch4_kg, rel=1e-9)


def test_days_and_sources_add_up_and_two_sets_of_potentials_do_not_mix() -> None:
    texts = register(SOURCE + EVERY["pneumatics"], SOURCE.replace('"S"', '"T"') + EVERY["fugitives by count"])
    every = [
        one
        for number in range(3)
        for one in records(
            day(texts, {}, Period(START + number * DAY_US, START + (number + 1) * DAY_US)),
            date.fromordinal(DAY.toordinal() + number),
            ("b",),
            1,
        )
    ]
    sets = {name: totals(every, Scope.ONE, gwp_set(name), known_at_us=1, seed=1) for name in ("AR5", "AR6")}
    single = [totals([one], Scope.ONE, gwp_set("AR5"), known_at_us=1, seed=1).co2e.kg for one in every]
    assert sets["AR5"].figure().kg == pytest.approx(sum(single))
    assert sets["AR6"].figure().kg > sets["AR5"].figure().kg
    assert sets["AR5"].masses == sets["AR6"].masses
    with pytest.raises(ValueError, match="in one sum"):
        _ = sets["AR5"].co2e + sets["AR6"].co2e
