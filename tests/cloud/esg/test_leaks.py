import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cloud.esg
from cloud.esg import EsgError, Floats
from cloud.esg.gapfill import fill
from cloud.esg.leaks import Balance, alarm_start, metec_detection, ogi_detection, reconcile, triage

SD = (("FT-1", 3.0), ("FT-2", 1.0))


def balance(leak_kg_h: float, hours: int = 400, since: int = 200) -> Balance:
    draws = np.random.default_rng(5)
    flow = np.full(hours, 500.0)
    lost = np.where(np.arange(hours) >= since, leak_kg_h, 0.0)
    inflow, outflow = flow + draws.normal(0, 3.0, hours), flow - lost + draws.normal(0, 1.0, hours)
    return Balance((("FT-1", inflow),), (("FT-2", outflow),), np.zeros(hours), SD)


def test_a_leak_is_found_with_its_rate_its_hour_and_the_meter_to_check_first() -> None:
    found = triage(balance(6.0), prior=0.05)
    assert found.probability > 0.95
    assert found.low_kg_h < 6.0 < found.high_kg_h
    assert found.since_hour is not None
    assert abs(found.since_hour - 200) < 15
    assert found.suspects[0] == "FT-1"


def test_a_tight_section_is_left_alone() -> None:
    found = triage(balance(0.0), prior=0.05)
    assert found.since_hour is None
    assert found.probability < 0.05


def test_more_coming_out_than_going_in_is_no_leak() -> None:
    found = triage(balance(-6.0), prior=0.05)
    assert (found.since_hour, found.rate_kg_h) == (None, 0.0)
    assert found.probability < 0.05


def test_cusum_names_the_hour_the_excursion_began() -> None:
    steps = np.concatenate([np.zeros(10), np.full(5, 2.0)])
    assert alarm_start(steps, 0.5, 5.0) == 10
    assert alarm_start(np.full(3, 2.0), 0.5, 5.0) is None
    assert alarm_start(np.full(8, 2.0), 0.5, 5.0) == 0


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_a_certain_prior_and_meters_without_uncertainty_are_refused(prior: float) -> None:
    with pytest.raises(EsgError, match="prior"):
        triage(balance(0.0), prior=prior)
    tight = balance(0.0)
    with pytest.raises(EsgError, match="every meter is zero"):
        triage(Balance(tight.inflow, tight.outflow, tight.held_change, (("FT-1", 0.0), ("FT-2", 0.0))), prior=0.1)


def test_a_meter_whose_uncertainty_nobody_told_and_a_stock_that_is_no_number_are_refused() -> None:
    tight = balance(0.0)
    with pytest.raises(EsgError, match="uncertainty of FT-2 is missing"):
        triage(Balance(tight.inflow, tight.outflow, tight.held_change, SD[:1]), prior=0.1)
    with pytest.raises(EsgError, match="held_change"):
        Balance(tight.inflow, tight.outflow, np.full(400, np.nan), SD).residual()


def test_columns_of_different_length_are_refused_by_the_name_of_their_meter() -> None:
    tight = balance(0.0)
    with pytest.raises(EsgError, match="FT-9"):
        Balance((("FT-9", np.zeros(3)),), tight.outflow, tight.held_change, SD).residual()


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_a_larger_leak_is_never_less_likely_to_be_seen(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for seen in (ogi_detection([low, high]), metec_detection([low, high], 4.0, 2.0)):
        assert 0.0 <= seen[0] <= seen[1] <= 1.0


def test_a_camera_sees_half_of_the_leaks_at_its_threshold() -> None:
    assert ogi_detection([0.01275 * 3.6])[0] == pytest.approx(0.5)
    with pytest.raises(EsgError, match="not negative"):
        ogi_detection([-1.0])


def test_a_site_measurement_moves_the_inventory_and_both_are_shown() -> None:
    found = reconcile(10.0, 60.0, ((20.0, 2.0),), 0, 4.0, 2.0)
    assert found.inventory_kg_h == 10.0
    assert 10.0 < found.posterior_kg_h < 21.0
    assert found.low_kg_h < found.posterior_kg_h < found.high_kg_h


def test_visits_that_saw_nothing_lower_it_and_more_of_them_lower_it_more() -> None:
    posteriors = [reconcile(3.0, 100.0, (), misses, 4.0, 2.0).posterior_kg_h for misses in (0, 1, 5)]
    assert posteriors[0] == pytest.approx(3.0, rel=0.02)
    assert posteriors[0] > posteriors[1] > posteriors[2]


def tags(hours: int = 2400) -> tuple[Floats, Floats, Floats]:
    draws = np.random.default_rng(11)
    companions = draws.uniform(10, 20, (2, hours))
    truth = 5 + 2 * companions[0] + companions[1]
    return truth + draws.normal(0, 1.0, hours), companions, truth


def test_filled_gaps_lie_in_an_interval_whose_coverage_was_measured() -> None:
    target, companions, truth = tags()
    good = np.ones(target.size, dtype=np.bool_)
    good[500:600] = False
    found = fill(target, good, companions)
    assert found.fit
    assert found.filled_share == pytest.approx(100 / 2400)
    assert np.abs(found.values[500:600] - truth[500:600]).max() < 0.5
    assert found.half_width == pytest.approx(1.645, rel=0.15)


def test_a_meter_that_changed_its_behaviour_is_unfit_to_be_filled() -> None:
    target, companions, _ = tags()
    target[(np.arange(target.size) // 24) % 3 == 2] += 10.0
    assert not fill(target, np.ones(target.size, dtype=np.bool_), companions).fit


def test_too_few_good_hours_and_columns_that_do_not_fit_are_refused() -> None:
    target, companions, _ = tags()
    good = np.arange(target.size) < 199
    with pytest.raises(EsgError, match="at least 200"):
        fill(target, good, companions)
    with pytest.raises(EsgError, match="one length"):
        fill(target, good, companions[:, :-1])
    with pytest.raises(EsgError, match="unevenly"):
        fill(target, np.arange(target.size) < 250, companions, gap_hours=240)


@pytest.mark.parametrize("helper", ["leaks", "gapfill"])
def test_helpers_that_guess_do_not_know_the_inventory(helper: str) -> None:
    tree = ast.parse((Path(cloud.esg.__file__).parent / f"{helper}.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "cloud.esg.inventory" not in imported
