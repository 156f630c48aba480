from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.esg import EsgError
from cloud.esg.gases import DATA
from cloud.esg.score import Breach, Metric, default_weights, score, stability
from cloud.esg.temperature import Budget, implied
from protocols.tomlfile import ConfigError

WEIGHTS = default_weights()


def metric(topic: str, value: float | None, u95_pct: float = 0.0) -> Metric:
    return Metric(
        f"figure of {topic}", topic, value, u95_pct, best=0.0, worst=10.0, since=date(2025, 1, 1), reference="limit of the permit"
    )


def company(*values: float | None) -> list[Metric]:
    return [metric(topic, value) for topic, value in zip(WEIGHTS, values, strict=True)]


GOOD = company(*[1.0] * 8)


@given(st.lists(st.none() | st.floats(-5, 15), min_size=8, max_size=8))
def test_contributions_add_up_exactly(values: list[float | None]) -> None:
    found = score(company(*values), WEIGHTS)
    points = sum((each.points for each in found.contributions if each.points is not None), Fraction(0))
    assert found.value is None or found.value - 50 == points
    assert found.low - 50 == sum((each.low for each in found.contributions), Fraction(0))
    assert 0 <= found.low <= found.high <= 100


@given(st.lists(st.none() | st.floats(-5, 15), min_size=8, max_size=8), st.sets(st.sampled_from(sorted(WEIGHTS))))
def test_the_number_lies_in_its_interval_whatever_is_missing_or_broken(values: list[float | None], broken: set[str]) -> None:
    found = score(company(*values), WEIGHTS, [Breach("a rule", topic) for topic in broken])
    assert found.value is None or found.low <= found.value <= found.high


def test_a_breach_counts_although_nobody_measured_its_topic() -> None:
    found = score([metric("air", 0.0)], {"air": 80, "safety": 20}, [Breach("a rule", "safety")])
    assert (found.value, found.high, found.coverage) == (88, 88, Fraction(4, 5))


@given(st.lists(st.floats(0, 10), min_size=8, max_size=8), st.integers(0, 7), st.floats(0, 5))
def test_a_better_figure_never_lowers_the_score(values: list[float], which: int, by: float) -> None:
    better = [max(value - by, 0.0) if index == which else value for index, value in enumerate(values)]
    assert (score(company(*better), WEIGHTS).value or 0) >= (score(company(*values), WEIGHTS).value or 0)


@pytest.mark.parametrize(("value", "points"), [(-1.0, 100), (0.0, 100), (2.5, 75), (10.0, 0), (11.0, 0)])
def test_a_metric_is_clipped_between_best_and_worst(value: float, points: int) -> None:
    assert score([metric("air", value)], {"air": 1}).value == points


def test_a_missing_metric_is_an_interval_and_never_fifty() -> None:
    found = score([metric("air", 0.0), metric("water", None)], {"air": 80, "water": 20})
    assert (found.value, found.low, found.high, found.coverage) == (100, 80, 100, Fraction(4, 5))
    assert found.contributions[1].points is None


@pytest.mark.parametrize(("covered", "number"), [(69, False), (70, True), (71, True)])
def test_below_seventy_per_cent_coverage_there_is_no_single_number(covered: int, number: bool) -> None:
    found = score([metric("air", 0.0)], {"air": covered, "water": 100 - covered})
    assert (found.value is not None) is number


def test_a_breach_caps_its_topic_and_says_which_rule() -> None:
    found = score([metric("air", 0.0)], {"air": 1}, [Breach("US-P-02", "air")])
    assert (found.value, found.high, found.contributions[0].capped_by) == (40, 40, ("US-P-02",))
    assert score([metric("air", 9.0)], {"air": 1}, [Breach("US-P-02", "air")]).value == 10
    assert score([], {"air": 1}, [Breach("US-P-02", "air")]).high == 40


def test_uncertainty_of_a_metric_widens_the_interval() -> None:
    found = score([metric("air", 5.0, 20.0)], {"air": 1})
    assert (float(found.low), found.value, float(found.high)) == (40.0, 50, 60.0)


@pytest.mark.parametrize(
    ("metrics", "weights", "message"),
    [
        ([metric("noise", 1.0)], {"air": 1}, "noise: has no weight"),
        ([metric("air", 1.0)] * 2, {"air": 1}, "twice"),
        ([], {"air": 0}, "all positive"),
        ([], {}, "at least one"),
    ],
)
def test_metrics_and_weights_that_do_not_fit_are_refused(metrics: list[Metric], weights: dict[str, int], message: str) -> None:
    with pytest.raises(EsgError, match=message):
        score(metrics, weights)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"worst": 0.0}, "best and worst are both"), ({"value": float("nan")}, "finite"), ({"reference": " "}, "need a reference")],
)
def test_a_metric_that_cannot_be_scored_is_refused(changed: dict[str, float | str], message: str) -> None:
    with pytest.raises(EsgError, match=message):
        replace(metric("air", 1.0), **changed)  # type: ignore[arg-type]


def test_shipped_weights_sum_to_a_hundred_and_others_are_refused(tmp_path: Path) -> None:
    assert sum(WEIGHTS.values()) == 100
    file = tmp_path / "score.toml"
    file.write_text((DATA / "score.toml").read_text().replace("air = 8", "air = 9"))
    with pytest.raises(ConfigError, match="found 101"):
        default_weights(file)


def test_a_company_better_in_everything_keeps_its_rank_under_other_weights() -> None:
    mixed = company(0.0, *[6.0] * 7)
    found = stability({"good": GOOD, "bad": company(*[9.0] * 8), "mixed": mixed}, WEIGHTS, {})
    assert found.ranks["good"] == (1, 1)
    assert found.ranks["bad"] == (3, 3)
    assert found.scores["good"] == (90, 90)
    low, high = found.scores["mixed"]
    assert low < (score(mixed, WEIGHTS).value or 0) < high


def test_a_trajectory_far_over_budget_is_left_out_of_the_temperature() -> None:
    budget = Budget(10.0, 396.0, 1.5)
    assert implied(10.0, 10.0, 0.4, budget).mixed_c == pytest.approx(1.5)
    assert implied(10.0, 100.0, 0.4, budget).trajectory_c is not None
    over = implied(10.0, 100.1, 0.4, budget)
    assert (over.trajectory_c, over.mixed_c) == (None, pytest.approx(1.5))
    with pytest.raises(EsgError, match="target_probability"):
        implied(1.0, 1.0, 1.1, budget)
