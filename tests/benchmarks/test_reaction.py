"""What benchmarks.reaction serves and how it counts; the whole of it, small, among the slow tests."""

import numpy as np
import pytest

from benchmarks import reaction
from benchmarks.reaction import FLOOR, FROM_SENT, TO_VAR, Part, latencies
from benchmarks.reaction_field import AWAY_US, TURN_US, Rig, Run, S, Sent, rigs
from cloud.assets.model import Model, parse_model
from protocols.batch import statement
from simulators.desk_demo import DeskWatch, Result

START_US = 1_795_000_000_000_000


def model() -> Model:
    return parse_model(reaction.desk_story().model.read_text())


def risk(oldest_us: int | None, made_us: int) -> Result:
    return {"kind": "risk", "sensed_us": None if oldest_us is None else [oldest_us, oldest_us + 1], "made_us": made_us}


def test_every_tag_of_the_model_is_on_a_gateway_and_wells_poll_apart() -> None:
    found = rigs(model())
    names = {f"{rig.gateway.name}/{entry.name}" for rig in found for entry in rig.gateway.table.entries}
    assert names == {binding.tag for asset in model().assets for binding in asset.tags}
    assert sorted(well.phase_us for rig in found for well in rig.wells) == [0, S // 4, S // 2, 3 * S // 4]


def test_batches_of_a_rig_are_a_chain_with_each_wells_own_times() -> None:
    rig = rigs(model())[0]
    first, second = (rig.seal([(START_US + at * S, well) for well in rig.wells], Run()) for at in (0, 1))
    parsed = statement.parse(second)
    assert (parsed.header.seq, parsed.header.prev) == (2, statement.entry_hash(first))
    assert [group.times_us.tolist() for group in parsed.open().groups] == [[START_US + S]] * len(rig.wells)


def test_wells_step_away_in_turn_or_all_at_once_and_come_back() -> None:
    in_turn, together, none = Run(START_US, 4), Run(START_US, 1), Run()
    times = [START_US - 1, START_US, START_US + AWAY_US, START_US + TURN_US, START_US + 4 * TURN_US]
    assert [[in_turn.away(at, well) for at in times] for well in (0, 1)] == [
        [False, True, False, False, True],
        [False, False, False, True, False],
    ]
    assert [together.away(at, 2) for at in times] == [False, True, False, True, True]
    assert not any(none.away(at, 0) for at in times)


def test_latency_is_by_the_oldest_sample_and_leaves_out_what_rests_on_none() -> None:
    rig = Rig(rigs(model())[0].gateway, ())
    rig.sent = [Sent(START_US + at * S, START_US + at * S + 200_000, START_US + at * S + 220_000) for at in range(3)]
    watch = DeskWatch("", "")
    watch.seen = [
        (START_US + 800_000, risk(START_US, START_US + 700_000)),
        (START_US + 900_000, risk(None, START_US + 850_000)),
        (START_US + 1_900_000, risk(START_US + S, START_US + 1_600_000)),
        (START_US + 3_500_000, risk(START_US + 2 * S, START_US + 3_000_000)),  # after the part
    ]
    found = latencies([rig], watch, Part("", START_US, START_US + 2 * S, {}))
    assert found[TO_VAR] == {"p50 s": 0.8, "p95 s": 0.9, "worst s": 0.9, "count": 2}
    assert found[FROM_SENT]["worst s"] == pytest.approx(0.7)
    assert found[FLOOR]["worst s"] == pytest.approx(0.02)


def test_counts_step_by_many_deviations() -> None:
    well = rigs(model())[0].wells[0]
    still, away = (well.counts([START_US], run).mean() for run in (Run(), Run(START_US, 1)))
    assert np.isclose(away - still, 2000, atol=100)


@pytest.mark.slow
def test_a_small_run_finds_every_figure() -> None:
    found = reaction.measure(10, 13.0)
    assert all(part["latency"][TO_VAR]["count"] > 3 for part in found["parts"].values())
    assert found["stages ms"].keys() == {"assess", "foresee", "value", "read deals", "store"}
