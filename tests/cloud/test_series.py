"""Hourly series: exact to the bit, rollups as plain Python counts them, decimation that hides no extreme."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.telemetry import series
from cloud.telemetry.series import HOUR_US, MINUTE_US, Samples
from protocols import quality
from protocols.batch.errors import BatchError

INT64 = (1 << 63) - 1
TIMES = st.one_of(st.integers(-5 * MINUTE_US, 5 * MINUTE_US), st.integers(-3 * HOUR_US, 3 * HOUR_US), st.integers(-INT64 - 1, INT64))
CODES = st.sampled_from([0, 0, 0, quality.UNCERTAIN, quality.BAD_SENSOR_FAILURE, quality.BAD_NO_COMMUNICATION, 0xFFFF_FFFF])
VALUES = st.one_of(st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 0.1, 5e-324]), st.floats(), st.integers(-100, 100).map(float))


def _samples(rows: list[tuple[int, float, int]]) -> Samples:
    return Samples(
        np.array([row[0] for row in rows], np.int64),
        np.array([math.nan if row[2] >> 31 else row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.uint32),
    )


def _bits(samples: Samples) -> tuple[bytes, bytes, bytes]:
    return samples.times_us.tobytes(), samples.values.tobytes(), samples.quality.tobytes()


ROWS = st.lists(st.tuples(TIMES, VALUES, CODES), min_size=1, max_size=60)
IN_ORDER = ROWS.map(lambda rows: _samples(sorted(rows, key=lambda row: row[0])))


@settings(max_examples=150, deadline=None)
@given(IN_ORDER)
def test_a_row_of_series_gives_back_what_it_was_made_of_to_the_bit(samples: Samples) -> None:
    assert _bits(series.decode(series.encode(samples))) == _bits(samples)


def test_a_nan_keeps_its_payload_and_zero_its_sign() -> None:
    odd = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_1234))[0]
    samples = Samples(np.array([1, 1, 2], np.int64), np.array([odd, -0.0, 0.0]), np.zeros(3, np.uint32))
    assert _bits(series.decode(series.encode(samples))) == _bits(samples)


def test_an_hour_of_very_fast_samples_is_kept_in_several_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "PART_SAMPLES", 10)
    values = np.random.default_rng(1).random(35)
    samples = Samples(np.sort(np.arange(35, dtype=np.int64) % 7), values, np.arange(35, dtype=np.uint32) // 20)
    assert _bits(series.decode(series.encode(samples))) == _bits(samples)


@pytest.mark.parametrize("damage", [b"", b"\x80", b"\x81\x00", b"\x81\x40", b"\x81\x44abcd"], ids=str)
def test_a_damaged_row_is_an_error_of_ours(damage: bytes) -> None:
    with pytest.raises(BatchError):
        series.decode(damage)


@settings(max_examples=80, deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_merge_orders_by_time_and_keeps_every_sample_in_the_order_of_storing(parts: list[list[tuple[int, float, int]]]) -> None:
    expected = sorted((row for part in parts for row in part), key=lambda row: row[0])
    merged = series.merge([_samples(part) for part in parts])
    assert _bits(merged) == _bits(_samples(expected))


@settings(max_examples=80, deadline=None)
@given(IN_ORDER)
def test_hours_hold_every_sample_once_in_its_hour(samples: Samples) -> None:
    cuts = series.hour_cuts(samples.times_us)
    assert [start for _, start, _ in cuts] + [samples.times_us.size] == [0] + [end for _, _, end in cuts]
    for hour, start, end in cuts:
        assert -INT64 - 1 <= hour <= INT64
        assert set(map(series.hour_of, samples.times_us[start:end].tolist())) == {hour}


@pytest.mark.parametrize(
    ("time_us", "hour_us"),
    [
        (0, 0),
        (HOUR_US - 1, 0),
        (HOUR_US, HOUR_US),
        (-1, -HOUR_US),
        (-HOUR_US, -HOUR_US),
        (-HOUR_US - 1, -2 * HOUR_US),
        (INT64, INT64 // HOUR_US * HOUR_US),
        (-INT64 - 1, -(INT64 // HOUR_US) * HOUR_US),
    ],
)
def test_an_hour_begins_with_its_first_microsecond_also_before_1970(time_us: int, hour_us: int) -> None:
    assert series.hour_of(time_us) == hour_us


@settings(max_examples=100, deadline=None)
@given(IN_ORDER)
def test_minutes_are_those_that_plain_python_counts(samples: Samples) -> None:
    earliest = -(INT64 // MINUTE_US)
    groups: dict[int, list[tuple[float, int]]] = {}
    for time_us, value, code in zip(samples.times_us.tolist(), samples.values.tolist(), samples.quality.tolist(), strict=True):
        groups.setdefault(max(time_us // MINUTE_US, earliest) * MINUTE_US, []).append((value, code))
    found = series.minutes(samples)
    assert found.minute_us.tolist() == list(groups)
    for at, rows in enumerate(groups.values()):
        there = [value for value, _ in rows if not math.isnan(value)]
        assert (found.count[at], found.good[at]) == (len(rows), sum(code >> 30 == 0 for _, code in rows))
        if not there:
            assert all(math.isnan(column[at]) for column in (found.low, found.high, found.total, found.last))
            continue
        assert (found.low[at], found.high[at], found.last[at]) == (min(there), max(there), there[-1])
        if all(abs(value) < 1e6 for value in there):
            assert found.total[at] == pytest.approx(math.fsum(there), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8), st.integers(4, 60))
def test_a_row_that_grew_is_the_row_written_at_once(pieces: list[list[tuple[int, float, int]]], part_samples: int) -> None:
    fresh = [series.merge([_samples(rows)]) for rows in pieces]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "PART_SAMPLES", part_samples)
        data, table = series.encode(fresh[0]), dict(_by_minute(series.minutes(fresh[0])))
        for at, samples in enumerate(fresh[1:], 2):
            data, size, touched = series.append(data, samples)
            table |= _by_minute(series.minutes(touched))
            assert size == sum(one.times_us.size for one in fresh[:at])
        grown = series.decode(data)
    assert _bits(grown) == _bits(series.merge(fresh))
    assert str(sorted(table.items())) == str(sorted(_by_minute(series.minutes(grown)).items()))


def test_a_row_that_grows_by_little_is_written_anew_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    encode = series._encode
    monkeypatch.setattr(series, "_encode", lambda samples, start, end: (written.append(end - start), encode(samples, start, end))[1])
    passes, each = 64, 10
    data = series.encode(_second(0, each))
    for at in range(1, passes):
        data, _, _ = series.append(data, _second(at, each))
    assert sum(written) <= 8 * passes * each  # all of them anew in every pass: 32 times
    assert series.decode(data).times_us.size == passes * each


def test_a_row_of_before_frames_told_their_times_can_be_read_and_grown() -> None:
    before = series.cbor.encode([part.frame for part in series._split(series.encode(_second(0, 10)))])
    data, size, _ = series.append(before, _second(1, 10))
    assert size == 20
    assert _bits(series.decode(data)) == _bits(series.merge([series.decode(before), _second(1, 10)]))


def _second(at: int, each: int) -> Samples:
    times_us = at * 1_000_000 + np.arange(each, dtype=np.int64) * (1_000_000 // each)
    return Samples(times_us, np.sin(times_us / 1e6), np.zeros(each, np.uint32))


def _by_minute(minutes: series.Minutes) -> dict[float, list[float]]:
    return {minute: row for minute, *row in _table(minutes)}


def _table(minutes: series.Minutes) -> list[tuple[float, ...]]:
    return list(
        zip(
            *(getattr(minutes, name).tolist() for name in ("minute_us", "low", "high", "last", "count", "good")),
            strict=True,
        )
    )


def _shown(samples: Samples) -> set[tuple[int, bytes, int]]:
    return set(zip(samples.times_us.tolist(), (value.tobytes() for value in samples.values), samples.quality.tolist(), strict=True))


@settings(max_examples=150, deadline=None)
@given(IN_ORDER, st.integers(5, 40))
def test_decimation_shows_no_more_than_asked_and_nothing_that_was_not_there(samples: Samples, points: int) -> None:
    shown = series.decimate(samples, points)
    assert shown.times_us.size <= points
    assert _shown(shown) <= _shown(samples)
    assert bool(np.all(shown.times_us[1:] >= shown.times_us[:-1]))
    assert shown.times_us[[0, -1]].tolist() == samples.times_us[[0, -1]].tolist()


def _noise(rows: int) -> Samples:
    values = np.random.default_rng(7).normal(size=rows).cumsum()
    return Samples(1_000_000 * np.arange(rows, dtype=np.int64), values, np.zeros(rows, np.uint32))


@pytest.mark.parametrize("points", [5, 64, 800, 5000])
def test_decimation_keeps_the_extremes_of_every_stretch(points: int) -> None:
    samples = _noise(20_000)
    shown = series.decimate(samples, points)
    stretches = points // 5
    step = (int(samples.times_us[-1])) // stretches + 1
    for at in range(stretches):
        part, kept = samples.between(at * step, (at + 1) * step), shown.between(at * step, (at + 1) * step)
        assert (kept.values.min(), kept.values.max()) == (part.values.min(), part.values.max())
        assert (kept.times_us[0], kept.times_us[-1]) == (part.times_us[0], part.times_us[-1])


def test_decimation_breaks_where_a_single_sample_has_no_value() -> None:
    samples = _noise(20_000)
    samples.values[[777, 12_345]] = np.nan
    samples.quality[[777, 12_345]] = quality.BAD_SENSOR_FAILURE
    shown = series.decimate(samples, 100)
    assert shown.times_us[np.isnan(shown.values)].tolist() == [777_000_000, 12_345_000_000]


def test_decimation_of_a_few_samples_and_of_none_changes_nothing() -> None:
    samples = _noise(8)
    assert series.decimate(samples, 8) is samples
    assert series.decimate(series.NOTHING, 8) is series.NOTHING
