import numpy as np
import pytest

from cloud.assets import AssetError, trust
from cloud.assets.trust import Gate, TagState
from protocols import quality
from tests.cloud.assets.fleet import SECOND_US, START_US, rules


def gates(columns: list[list[float]], codes: list[int] | None = None) -> list[Gate]:
    """One asset; a row per second."""
    state, found = TagState.start(1, len(columns[0])), []
    for index, row in enumerate(columns):
        code = quality.GOOD if codes is None else codes[index]
        now = START_US + index * SECOND_US
        state, gate = trust.tick(
            state, rules(len(row)), np.array([row]), np.full((1, len(row)), code, np.uint32), np.full((1, len(row)), now), now
        )
        found.append(gate)
    return found


@pytest.mark.parametrize(
    ("code", "accepted"),
    [
        (quality.GOOD, True),
        (quality.GOOD_LOCAL_OVERRIDE, True),
        (quality.UNCERTAIN, False),
        (quality.UNCERTAIN_LAST_USABLE, False),
        (quality.BAD_SENSOR_FAILURE, False),
        (0xC000_0000, False),
    ],
    ids=quality.name,
)
def test_only_good_quality_is_accepted(code: int, accepted: bool) -> None:
    assert gates([[50.0]], [code])[0].accepted.item() is accepted


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 101.0], ids=str)
def test_value_that_cannot_be_is_not_accepted(value: float) -> None:
    gate = gates([[50.0], [value]])[1]
    assert not gate.accepted.item()
    assert np.isfinite(gate.trust).all()


def test_jump_is_held_back_and_the_new_level_is_believed_on_its_second_sample() -> None:
    flags = [gate.flags.item() for gate in gates([[10.0], [90.0], [90.1]])]
    assert flags == [0, trust.RATE, 0]


def test_tag_is_stuck_only_while_its_neighbour_moves() -> None:
    moving = gates([[50.0, 50.0 + second % 7] for second in range(70)])[-1]
    resting = gates([[50.0, 50.0] for _ in range(70)])[-1]
    assert moving.flags.tolist() == [[trust.STUCK, 0]]
    assert resting.flags.tolist() == [[0, 0]]
    assert moving.trust[0, 0] < 0.3 < moving.trust[0, 1]


def test_silence_of_more_than_three_polls_is_a_dropout() -> None:
    state = TagState.start(1, 1)
    zero, then = np.zeros((1, 1), np.uint32), np.full((1, 1), START_US)
    state, _ = trust.tick(state, rules(1), np.array([[50.0]]), zero, then, START_US)
    _, gate = trust.tick(state, rules(1), np.array([[50.0]]), zero, then, START_US + 4 * SECOND_US)
    assert gate.flags.item() == trust.DROPOUT
    assert not gate.accepted.item()


def test_trust_falls_with_the_share_of_bad_samples() -> None:
    row = [50.0, 51.0]
    codes = [quality.GOOD] * 5 + [quality.BAD_TIMEOUT] * 300
    shares = [gate.trust[0, 0] for gate in gates([row] * 305, codes)]
    assert shares[4] > shares[100] > shares[304]
    assert shares[304] < 0.65


def test_rules_that_cannot_be_meant_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(AssetError, match="low < high"):
        trust.TagRules(one, one, one, one, one, one < 0, one > 0).checked()
