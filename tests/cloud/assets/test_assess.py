import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError
from cloud.assets.assess import AssetHealth, Samples, Wear, advance, start
from cloud.assets.model import Model
from cloud.assets.state import SiteState
from protocols import quality
from tests.cloud.assets.wells import HEAD, ROLES, SECOND_US, START_US, noise, samples, wells, window

RIG = wells()
HOUR_US = 3600 * SECOND_US


def ended(found: dict[str, Samples], model: Model = RIG) -> tuple[SiteState, tuple[AssetHealth, ...]]:
    return advance(model, "rig", start(model, "rig"), found, max(int(one.times_us[-1]) for one in found.values()))


def test_a_drifting_tag_is_told_with_its_name_role_and_share() -> None:
    values = noise(1, 120)
    values[80:, 1, 1] += 5
    _, found = ended(samples(values))
    assert [one.asset for one in found] == ["well0", "well1", "well2"]
    assert [one.state for one in found] == ["good", "critical", "good"]
    assert (found[1].reasons[0].role, found[1].reasons[0].tag) == ("downhole_pressure", "rig1/well1.downhole_pressure")
    assert found[1].reasons[0].share > 0.8
    assert found[1].level == pytest.approx(1 - found[1].index)


def test_nothing_is_claimed_before_any_sample() -> None:
    _, found = advance(RIG, "rig", start(RIG, "rig"), {}, START_US)
    assert {one.state for one in found} == {"not evaluated"}
    assert {(one.low, one.high, one.level_sd) for one in found} == {(0.0, 1.0, 0.25)}
    assert len(found[0].stale) == len(ROLES)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 399), max_size=12), st.integers(0, 9), st.sampled_from([SECOND_US // 5, SECOND_US // 3, SECOND_US]))
def test_state_and_answer_do_not_depend_on_how_samples_were_split(cuts: list[int], seed: int, every_us: int) -> None:
    values = noise(seed, 400)
    values[200:, 0, 2] += 3
    found = samples(values, every_us=every_us)
    whole, answer = ended(found)
    state, parts = start(RIG, "rig"), sorted({0, *cuts, 400})
    for begin, end in itertools.pairwise(parts):
        state, again = advance(RIG, "rig", state, window(found, begin, end), START_US + end * every_us)
    assert state.to_bytes() == whole.to_bytes()
    assert advance(RIG, "rig", state, {}, START_US + 399 * every_us)[1] == answer
    assert len(again) == 3


def test_assets_may_arrive_one_after_the_other() -> None:
    found = samples(noise(5, 90))
    whole, answer = ended(found)
    state = start(RIG, "rig")
    for well in ("well2", "well0", "well1"):
        state, again = advance(
            RIG, "rig", state, {name: one for name, one in found.items() if f"/{well}." in name}, START_US + 89 * SECOND_US
        )
    assert (state.to_bytes(), again) == (whole.to_bytes(), answer)


def test_samples_that_came_before_change_nothing() -> None:
    found = samples(noise(2, 100))
    state, answer = ended(found)
    again, same = advance(RIG, "rig", state, window(found, 20, 100), START_US + 99 * SECOND_US)
    assert again.to_bytes() == state.to_bytes()
    assert same == answer


def test_looking_at_the_state_does_not_change_it() -> None:
    state, _ = ended(samples(noise(2, 100)))
    later, found = advance(RIG, "rig", state, {}, START_US + 3600 * SECOND_US)
    assert later.to_bytes() == state.to_bytes()
    assert {one.state for one in found} == {"not evaluated"}


def test_silent_tags_are_stale_and_widen_the_interval() -> None:
    values = samples(noise(3, 100))
    silent = "rig1/well0.temperature"
    values[silent] = window(values, 0, 60)[silent]
    _, found = ended(values)
    assert found[0].stale == (silent,)
    assert found[0].trust < 0.9 < found[1].trust
    assert found[0].high - found[0].low > 0.2 > found[1].high - found[1].low
    assert found[0].index == pytest.approx(1.0)


def test_unsorted_and_doubled_samples_count_once_in_order_of_time() -> None:
    found = samples(noise(4, 80))
    turned = {name: one.at(np.concatenate([np.arange(79, -1, -1), np.arange(10)])) for name, one in found.items()}
    assert ended(turned)[0].to_bytes() == ended(found)[0].to_bytes()


def test_values_that_are_no_numbers_never_leave() -> None:
    found = samples(noise(6, 80))
    for name in list(found)[:4]:
        found[name] = found[name]._replace(values=np.full(80, np.nan))
    state, answer = ended(found)
    assert answer[0].state == "not evaluated"
    assert SiteState.from_bytes(state.to_bytes()).to_bytes() == state.to_bytes()


def test_tags_of_nobody_are_left_alone() -> None:
    found = samples(noise(6, 40))
    stranger = {"rig9/other.tag": found["rig1/well0.temperature"]}
    assert ended(found | stranger)[0].to_bytes() == ended(found)[0].to_bytes()


def test_columns_of_different_length_are_refused() -> None:
    broken = {"rig1/well0.temperature": Samples(np.arange(3), np.zeros(2), np.zeros(3, np.uint32))}
    with pytest.raises(AssetError, match=r"rig1/well0\.temperature: .* different lengths"):
        advance(RIG, "rig", start(RIG, "rig"), broken, START_US)


def test_state_of_another_model_is_refused_and_what_is_the_same_is_taken_over() -> None:
    state, _ = ended(samples(noise(7, 60)))
    with pytest.raises(AssetError, match='does not fit class "well"'):
        advance(wells(4), "rig", state, {}, START_US)
    assert start(RIG, "rig", former=state).to_bytes() == state.to_bytes()
    assert start(wells(4), "rig", former=state).to_bytes() == start(wells(4), "rig").to_bytes()


def test_bytes_of_a_state_that_were_changed_are_refused() -> None:
    data = start(RIG, "rig").to_bytes()
    for broken in (data[:-1], b"", data.replace(b"evidence", b"evidencf"), data.replace(b"version", b"versiom")):
        with pytest.raises(AssetError, match="state of a site"):
            SiteState.from_bytes(broken)


def test_wear_is_learned_once_an_hour_and_not_from_an_event() -> None:
    steady = wells(head=HEAD.replace("learn = 20", "learn = 20\nadapt = 0.0"))

    def worn(shift: float) -> Wear:
        values = noise(8, 600)
        values[150:, :, 0] += np.linspace(0, shift, 450)[:, None] if abs(shift) < 5 else shift
        return ended(samples(values, every_us=60 * SECOND_US), steady)[1][0].wear

    prior = ended(samples(noise(8, 2)))[1][0].wear
    quiet, rising, event = worn(0.0), worn(4.5), worn(50.0)
    assert 90 < quiet.time < 90.5
    assert prior.mean > quiet.mean
    assert rising.mean > prior.mean
    assert event.spread < prior.spread + 0.05


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, len(ROLES) - 1)), st.floats(-4, 4), st.integers(0, len(ROLES) - 1), st.integers(0, 30))
def test_replacing_tags_by_bad_data_never_lowers_health(bad: set[int], shift: float, tag: int, seed: int) -> None:
    values = noise(seed, 160)
    values[60:, :, tag] += shift
    found = samples(values)
    state, before = advance(RIG, "rig", start(RIG, "rig"), window(found, 0, 140), START_US + 139 * SECOND_US)
    for role in bad:
        name = f"rig1/well0.{ROLES[role]}"
        found[name] = found[name]._replace(quality=np.full(160, quality.BAD_SENSOR_FAILURE, np.uint32))
    _, after = advance(RIG, "rig", state, window(found, 140, 160), START_US + 159 * SECOND_US)
    whole = advance(RIG, "rig", state, window(samples(values), 140, 160), START_US + 159 * SECOND_US)[1]
    kept = min(before[0].index, whole[0].index)  # what the other tags go on saying may lower it with and without bad data
    assert after[0].state == "not evaluated" or after[0].index >= kept - 0.05
    assert after[0].high - after[0].low >= whole[0].high - whole[0].low - 1e-9


def test_a_fault_that_was_seen_is_not_forgotten_when_its_sensor_dies() -> None:
    values = noise(9, 200)
    values[100:, :, 1] += 6
    found = samples(values)
    name = "rig1/well0.downhole_pressure"
    codes = np.where(np.arange(200) < 150, quality.GOOD, quality.BAD_NO_COMMUNICATION).astype(np.uint32)
    _, answer = ended(found | {name: found[name]._replace(quality=codes)})
    assert answer[0].state == "critical"
    assert answer[0].high - answer[0].low > answer[1].high - answer[1].low
