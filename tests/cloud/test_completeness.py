"""Completeness: "all present", or the exact gaps with cause and duration."""

import json
import random
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.telemetry.completeness import Declared, Hole, Missing, missing, reach_us
from cloud.telemetry.series import NOTHING, Samples
from protocols import quality
from protocols.batch.columns import Gap, GapReason, Group
from protocols.batch.statement import Payload
from protocols.devicemap import TagTable
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import tag_table

S = 1_000_000
HOLE = Hole("live", 1, 3, 4, 20 * S, 50 * S)


def _samples(times_s: list[int], codes: list[int] | None = None) -> Samples:
    times = S * np.array(times_s, np.int64)
    return Samples(times, np.zeros(times.size), np.array(codes or [0] * times.size, np.uint32))


def _gaps(*found: Missing) -> list[tuple[int, int, str]]:
    return [(gap.from_us, gap.to_us, gap.cause.partition(" (")[0]) for gap in found]


def test_a_window_without_holes_gaps_and_silence_is_complete() -> None:
    assert missing(0, 60 * S, (), (), _samples([1, 2, 3]), 60 * S) == []


@pytest.mark.parametrize(
    ("from_s", "to_s", "expected"),
    [
        (0, 60, [(20, 50)]),
        (30, 40, [(30, 40)]),
        (0, 30, [(20, 30)]),
        (50, 60, [(50, 50)]),
        (51, 60, []),
        (0, 20, []),
    ],
)
def test_a_hole_is_bounded_by_its_neighbours_and_by_the_window(from_s: int, to_s: int, expected: list[tuple[int, int]]) -> None:
    found = missing(from_s * S, to_s * S, (HOLE,), (), None, 60 * S)
    assert _gaps(*found) == [(low * S, high * S, "not received") for low, high in expected]


@pytest.mark.parametrize(
    ("hole", "low", "high"),
    [
        (Hole("live", 1, 1, 2, None, 50 * S), 0, 50),
        (Hole("live", 1, 1, 2, 20 * S, None), 20, 60),
        (Hole("live", 1, 1, 2, 50 * S, 20 * S), 20, 50),
    ],
    ids=["nothing before", "nothing after", "a clock that was set back"],
)
def test_a_hole_beside_unknown_times_is_as_long_as_it_may_be(hole: Hole, low: int, high: int) -> None:
    assert _gaps(*missing(0, 60 * S, (hole,), (), None, 60 * S)) == [(low * S, high * S, "not received")]


@pytest.mark.parametrize(
    ("gap", "cause"),
    [
        (Declared("live", 1, 3, 4, GapReason.SEALED_DROPPED), "sealed batches were dropped by the gateway"),
        (Declared("live", 1, 1, 9, 100), "declared by the gateway"),
        (Declared("live", 1, 4, 4, GapReason.SEALED_DROPPED), "not received"),
        (Declared("live", 2, 3, 4, GapReason.SEALED_DROPPED), "not received"),
        (Declared("backfill", 1, 3, 4, GapReason.SEALED_DROPPED), "not received"),
    ],
    ids=["its numbers", "a reason of later", "some of its numbers", "another epoch", "another stream"],
)
def test_a_hole_takes_the_cause_that_the_gateway_has_declared_for_all_its_numbers(gap: Declared, cause: str) -> None:
    assert _gaps(*missing(0, 60 * S, (HOLE,), (gap,), None, 60 * S)) == [(20 * S, 50 * S, cause)]


def test_declared_times_are_named_once_and_cut_to_the_window() -> None:
    gaps = [Declared("live", 1, 10 * S, 90 * S, GapReason.AGENT_DOWN)] * 2 + [Declared("live", 1, 70 * S, 80 * S, 77)]
    assert _gaps(*missing(0, 60 * S, (), gaps, None, 60 * S)) == [(10 * S, 60 * S, "the agent was not running: killed or without power")]
    assert len(missing(0, 100 * S, (), gaps, None, 60 * S)) == 2


def test_a_silent_device_is_missing_until_the_next_sample_of_another_kind() -> None:
    silent = quality.BAD_NO_COMMUNICATION
    found = missing(
        0, 60 * S, (), (), _samples([1, 2, 3, 4, 5, 6], [0, silent, silent, quality.BAD_SENSOR_FAILURE, 0, quality.BAD_TIMEOUT]), 60 * S
    )
    assert [(gap.from_us // S, gap.to_us // S) for gap in found] == [(2, 4), (6, 60)]
    assert "bad_no_communication" in found[0].cause


def test_no_samples_at_all_is_one_gap() -> None:
    assert _gaps(*missing(0, 60 * S, (), (), NOTHING, 60 * S)) == [(0, 60 * S, "no samples")]
    assert missing(0, 60 * S, (), (), NOTHING, 60 * S)[0].document()["duration_s"] == 60.0


async def _ask(hub: TestHub, from_s: int, to_s: int, tag: str | None = "plc1.t0") -> dict[str, Any]:
    token = await hub.token()
    path = "/v1/gateways/1/completeness"
    if tag:
        tags = {row["name"]: row["id"] for row in (await hub.client.get("/v1/tags", headers=token)).json()}
        path = f"/v1/tags/{tags[tag]}/completeness"
    reply = await hub.client.get(path, params={"from_us": from_s * S, "to_us": to_s * S}, headers=token)
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def test_a_batch_that_has_not_come_is_named_with_its_time_and_forgotten_when_it_comes(hub: TestHub) -> None:
    gateway = await hub.gateway()
    sealed = [gateway.seal() for _ in range(4)]  # at 1-3, 11-13, 21-23, 31-33 s
    await gateway.send(sealed[0], sealed[3])
    body = await _ask(hub, 1, 34)
    assert (body["complete"], body["statement"]) == (False, "not all present")
    assert [(gap["from_us"], gap["to_us"], gap["duration_s"]) for gap in body["gaps"]] == [(3 * S, 31 * S, 28.0)]
    assert body["gaps"][0]["cause"] == "not received (live batches 2-3 of epoch 1)"
    assert (await _ask(hub, 32, 34))["statement"] == "all present"
    assert (await _ask(hub, 1, 34, tag=None))["complete"] is False
    await gateway.send(sealed[1])
    assert (await _ask(hub, 1, 34))["gaps"][0]["cause"] == "not received (live batches 3 of epoch 1)"
    await gateway.send(sealed[2])
    for tag in ("plc1.t0", None):
        assert (await _ask(hub, 1, 34, tag))["statement"] == "all present"


async def test_batches_without_samples_do_not_stretch_a_hole(hub: TestHub) -> None:
    gateway = await hub.gateway()
    empty = Payload(gateway.table.digest, ())
    sealed = [gateway.seal(), gateway.seal(empty), gateway.seal(), gateway.seal(empty), gateway.seal()]
    await gateway.send(*sealed[:2], *sealed[3:])
    body = await _ask(hub, 1, 50)
    assert [(gap["from_us"], gap["to_us"]) for gap in body["gaps"]] == [(3 * S, 41 * S)]


async def test_declared_gaps_are_told_with_their_causes(hub: TestHub) -> None:
    gateway = await hub.gateway()
    first, _, _ = (gateway.seal() for _ in range(3))
    gaps = (Gap(2, 3, GapReason.SEALED_DROPPED), Gap(35 * S, 36 * S, GapReason.AGENT_DOWN))
    await gateway.send(first, gateway.seal(gateway.payload(31 * S, gaps=gaps)))
    causes = [(gap["from_us"] // S, gap["to_us"] // S, gap["cause"][:12]) for gap in (await _ask(hub, 1, 40))["gaps"]]
    assert causes == [(3, 31, "sealed batch"), (35, 36, "the agent wa")]


async def test_an_absence_ends_before_the_hub_is_told_of_it_whatever_the_gateways_clock_says(hub: TestHub) -> None:
    """Started a year ahead, the agent declares a year; and a gap in the devices' own times is left as it is."""
    gateway = await hub.gateway()
    now_us = time.time_ns() // 1000
    year_us = 365 * 86_400 * S
    gaps = (
        Gap(now_us - 9 * S, now_us + year_us, GapReason.AGENT_DOWN),
        Gap(now_us - 8 * S, now_us + 2 * year_us, GapReason.DROPPED_BY_CAP),
    )
    await gateway.send(gateway.seal(gateway.payload(now_us + 3 * year_us, gaps=gaps)))
    down, capped = (await _ask(hub, now_us // S - 60, now_us // S + 3 * 365 * 86_400, tag=None))["gaps"]
    assert down["from_us"] == now_us - 9 * S
    assert now_us <= down["to_us"] < now_us + 60 * S
    assert capped["to_us"] == now_us + 2 * year_us


async def test_a_window_in_which_nothing_was_stored_says_so(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal())
    assert [gap["cause"] for gap in (await _ask(hub, 100, 200))["gaps"]] == ["no samples"]


@pytest.mark.parametrize("tag", ["plc1.t0", None], ids=["tag", "gateway"])
async def test_a_window_far_beyond_the_newest_sample_is_not_complete(hub: TestHub, tag: str | None) -> None:
    gateway = await hub.gateway()
    if tag is None:
        assert [gap["cause"] for gap in (await _ask(hub, 1, 4, tag))["gaps"]] == ["nothing newer has come"]
    await gateway.send(gateway.seal())
    assert (await _ask(hub, 1, 60, tag))["complete"]
    gaps = [(gap["from_us"], gap["to_us"], gap["cause"]) for gap in (await _ask(hub, 1, 100, tag))["gaps"]]
    assert gaps == [(3 * S, 100 * S, "nothing newer has come")]


# -- a tag that is polled: exact


def _served(count: int, every_us: int, jitter: list[int]) -> list[int]:
    """Polls of a simulator, early or late by so many hundredths of their interval."""
    return [100 * S + number * every_us + jitter[number % len(jitter)] * every_us // 100 for number in range(count)]


@given(
    every_us=st.sampled_from([100_000, S, 10 * S]),
    jitter=st.lists(st.integers(-24, 24), min_size=1, max_size=7),
    out=st.lists(st.tuples(st.integers(0, 119), st.integers(1, 20)), max_size=6),
    window=st.tuples(st.integers(0, 118), st.integers(1, 120)),
)
def test_the_gaps_of_a_polled_tag_are_exactly_the_outages_of_its_simulator(
    every_us: int, jitter: list[int], out: list[tuple[int, int]], window: tuple[int, int]
) -> None:
    served = _served(120, every_us, jitter)
    away = {number for start, length in out for number in range(start, start + length)} & set(range(1, 119))
    kept = [number for number in range(120) if number not in away]
    from_us, to_us = served[window[0]], served[min(119, sum(window))]
    outages = [(served[low], served[high]) for low, high in pairwise(kept) if high > low + 1]
    expected = [(max(low, from_us), min(high, to_us)) for low, high in outages if low < to_us and high > from_us]
    reach = reach_us(every_us)
    read = [served[number] for number in kept if from_us - reach <= served[number] < to_us + reach]
    samples = Samples(np.array(read, np.int64), np.zeros(len(read)), np.zeros(len(read), np.uint32))
    found = missing(from_us, to_us, (), (), samples, served[-1], every_us)
    assert [(gap.from_us, gap.to_us) for gap in found] == expected
    assert {gap.cause for gap in found} <= {"no samples came, and nothing says why"}


def _polled(
    times: list[int], *, codes: list[int] | None = None, gaps: tuple[Declared, ...] = (), holes: tuple[Hole, ...] = (), **more: Any
) -> list[str]:
    """Of a tag polled every second, in the window from 10 to 60 s: "from-to cause"."""
    found = missing(10 * S, 60 * S, holes, gaps, _samples(times, codes), 60 * S, S, **more)
    return [f"{gap.from_us // S}-{gap.to_us // S} {gap.cause.partition(' (')[0]}" for gap in found]


ALL = list(range(9, 62))
DOWN = "the agent was not running: killed or without power"


@pytest.mark.parametrize(
    "claims",
    [
        {"gaps": (Declared("live", 1, 20 * S, 21 * S, GapReason.AGENT_DOWN),)},
        {"holes": (HOLE,)},
        {"holes": (Hole("event", 1, 1, 1, None, None),)},
    ],
    ids=["a gap of a second too much", "a batch without this tag", "a batch of events"],
)
def test_a_claim_in_which_no_sample_is_missing_is_no_gap_of_a_polled_tag(claims: dict[str, Any]) -> None:
    assert _polled(ALL, **claims) == []


def test_each_part_of_a_gap_has_the_cause_that_is_known_of_it() -> None:
    silent = quality.BAD_NO_COMMUNICATION
    times = [*range(9, 21), *range(41, 62)]
    codes = [silent if time == 20 else 0 for time in times]
    gap = Declared("live", 1, 25 * S, 30 * S, GapReason.AGENT_DOWN)
    assert _polled(times, codes=codes, gaps=(gap,)) == [
        "19-25 device silent: bad_no_communication",
        f"25-30 {DOWN}",
        "30-41 device silent: bad_no_communication",
    ]


def test_what_a_declared_gap_leaves_of_an_outage_is_told_as_unexplained() -> None:
    gap = Declared("live", 1, 20 * S, 30 * S, GapReason.AGENT_DOWN)
    present = [*range(9, 20), *range(50, 62)]
    assert _polled(present, gaps=(gap,)) == [f"19-30 {DOWN}", "30-50 no samples came, and nothing says why"]
    assert _polled(present, gaps=(gap,), waiting=3)[1] == "30-50 not received: 3 batches wait at the gateway"


def test_an_outage_that_reaches_over_the_window_is_cut_to_it() -> None:
    assert _polled([*range(1, 5), 62, 63]) == ["10-60 no samples came, and nothing says why"]
    assert _polled([*range(9, 31)]) == ["30-60 no samples came, and nothing says why"]


def test_a_polled_tag_that_is_silent_at_the_end_is_missing_to_the_end() -> None:
    assert _polled([9, *range(10, 31)], codes=[0] * 21 + [quality.BAD_TIMEOUT]) == ["29-60 device silent: bad_timeout"]


def test_what_is_younger_than_the_newest_batch_of_a_polled_tag_is_on_its_way() -> None:
    assert missing(10 * S, 60 * S, (), (), _samples([*range(9, 41)]), 40 * S, S) == []
    late = missing(10 * S, 160 * S, (), (), _samples([*range(9, 41)]), 40 * S, S)
    assert _gaps(*late) == [(40 * S, 160 * S, "nothing newer has come")]


def _polled_table(gateway: str, tags: int, silence_us: int) -> TagTable:
    document = json.loads(tag_table(gateway, tags).text)
    for row in document["tags"]:
        row["silence"] = silence_us
    return TagTable.parse(json.dumps(document, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize("seed", range(3))
async def test_the_hub_states_exactly_the_outages_that_the_truth_has(hub: TestHub, seed: int) -> None:
    """Random seconds in which nothing was polled, silent spells of the device, batches that never come, and one that declares its gap."""
    dice = random.Random(seed)
    gateway = await hub.gateway(table=False)
    gateway.table = _polled_table(gateway.urn, gateway.tags, S)
    assert (await gateway.put_table()).status_code == 201
    truth: dict[int, str] = {}  # second -> what became of it
    sent, declared = [], ()
    for number in range(40):
        payload = gateway.payload((1 + 10 * number) * S, rows=10, gaps=declared)
        declared = ()
        group = payload.groups[0]
        fate = dice.choice(["good", "good", "good", "not polled", "silent", "lost", "declared"]) if 0 < number < 39 else "good"
        away = dice.sample(range(10), dice.randint(1, 9)) if fate in ("not polled", "silent") else range(10)
        truth |= dict.fromkeys((int(group.times_us[row]) // S for row in away), fate)
        if fate == "not polled":
            kept = [row for row in range(10) if row not in away]
            payload = replace(payload, groups=(Group(group.tags, group.times_us[kept], group.values[kept]),))
        if fate == "silent":
            codes = np.zeros(group.values.shape, np.uint32)
            codes[list(away)] = quality.BAD_NO_COMMUNICATION
            payload = replace(payload, groups=(Group(group.tags, group.times_us, group.values, codes),))
        if fate == "declared":  # a cap: batch and time are both told
            numbers = gateway.heads["live", 1][0] + 1
            declared = (Gap(numbers, numbers, GapReason.SEALED_DROPPED), Gap(*group.times_us[[0, -1]].tolist(), GapReason.DROPPED_BY_CAP))
        sealed = gateway.seal(payload)
        sent += [sealed] if fate not in ("lost", "declared") else []
    await gateway.send(*sent)
    present = [second for second in range(1, 401) if truth.get(second, "good") == "good"]
    for tag in range(gateway.tags):
        gaps = (await _ask(hub, 1, 400, f"plc1.t{tag}"))["gaps"]
        ends = [
            edge // S for gap in gaps for edge in (gap["from_us"], gap["to_us"]) if edge // S in present
        ]  # parts of one outage meet elsewhere
        assert ends == [edge for low, high in pairwise(present) if high > low + 1 for edge in (low, high)]
    causes = {gap["cause"].partition(" (")[0].partition(":")[0] for gap in gaps}
    named = {"not polled": "no samples came, and nothing says why", "silent": "device silent", "lost": "not received"}
    assert {named[fate] for fate in truth.values() if fate in named and fate != "not polled"} <= causes
