"""Replay: every value equals the CSV read independently; defects of the recording come out as quality."""

import csv
import gzip
import hashlib
import math
import re
from datetime import UTC, datetime

import numpy as np
import pytest

from protocols import quality
from protocols.devicemap import SHIPPED, load_device_map
from simulators.replay import (
    RECORDINGS,
    RecordingError,
    ReplaySource,
    assess_column,
    find_recordings,
    read_recording,
    unchanged_rows,
)

NAN = float("nan")


def csv_rows(name: str) -> list[dict[str, str]]:
    with gzip.open(RECORDINGS / f"{name}.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["2/WELL-00010_20171218200131", "6/WELL-00004_20171031181509"])
def test_every_step_equals_the_row_of_the_csv(name):
    tags = load_device_map(SHIPPED / "qenergyz_well_opcua.toml").tags
    source = ReplaySource(read_recording(find_recordings(name)), tags, times="recorded")
    for index, row in enumerate(csv_rows(name)):
        step = source.step(index, 0)
        moment = datetime.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        assert step is not None
        assert step.time_us == int(moment.timestamp()) * 1_000_000 + moment.microsecond
        for tag, value, code in zip(tags, step.values.tolist(), step.quality.tolist(), strict=True):
            text = row[tag.vendor]
            assert (
                (math.isnan(value) and code == quality.BAD_SENSOR_FAILURE)
                if text == ""
                else (value == float(text) and not quality.is_bad(code))
            )
    assert source.step(index + 1, 0) is None


def test_twelve_files_make_one_recording_of_a_day():
    paths = find_recordings("4/WELL-00010_*")
    recording = read_recording(paths)
    assert len(paths) == 12
    assert recording.rows == 85_685
    assert recording.times_us[-1] - recording.times_us[0] == 86_290_000_000
    assert set(recording.label.tolist()) == {4}


def test_labels_are_kept_beside_the_values():
    label = read_recording(find_recordings("2/WELL-00010_20171218200131")).label
    assert {value: int(np.count_nonzero(label == value)) for value in (0, 102, 2, -1)} == {0: 2305, 102: 2135, 2: 830, -1: 40}


def test_a_sensor_that_never_moves_is_uncertain_from_the_start():
    recording = read_recording(find_recordings("2/WELL-00009_20170313160804"))
    assert set(recording.quality["P-PDG"].tolist()) == {quality.UNCERTAIN_LAST_USABLE}
    assert set(recording.quality["T-JUS-CKGL"].tolist()) == {quality.BAD_SENSOR_FAILURE}


def test_a_sensor_that_stops_is_uncertain_from_its_sixtieth_unchanged_row():
    values = np.array([1.0] + [2.0] * 70 + [3.0, NAN, 3.0])
    codes = assess_column(values)
    assert codes[1:61].tolist() == [quality.GOOD] * 60
    assert codes[61:71].tolist() == [quality.UNCERTAIN_LAST_USABLE] * 10
    assert codes[71:].tolist() == [quality.GOOD, quality.BAD_SENSOR_FAILURE, quality.GOOD]


def test_unchanged_rows_counts_from_the_last_change():
    assert unchanged_rows(np.array([5.0, 5, 5, 6, 6, 5])).tolist() == [0, 1, 2, 0, 1, 0]


def test_wall_times_are_those_asked_for_and_a_repeated_recording_starts_again():
    tags = load_device_map(SHIPPED / "qenergyz_well_opcua.toml").tags
    recording = read_recording(find_recordings("6/WELL-00004_20171031181509"))
    source = ReplaySource(recording, tags, start_row=recording.rows - 1, repeat=True)
    again, first = source.step(1, 77), ReplaySource(recording, tags).step(0, 77)
    assert again is not None and first is not None
    assert again.time_us == 77
    np.testing.assert_array_equal(again.values, first.values)


@pytest.mark.parametrize("name", ["9/WELL-1", "2/none"])
def test_an_unknown_recording_is_refused(name):
    with pytest.raises(RecordingError, match="no recording"):
        find_recordings(name)


def test_every_shipped_recording_has_the_digest_its_readme_states():
    stated = dict(re.findall(r"\| `(\S+\.csv\.gz)` \| \d+ \| `([0-9a-f]{64})` \|", (RECORDINGS / "README.md").read_text()))
    shipped = {
        str(path.relative_to(RECORDINGS)): hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        for path in RECORDINGS.glob("*/*.csv.gz")
    }
    assert shipped == stated
    assert (RECORDINGS / "LICENSE-3w.txt").read_text().startswith("MIT License")
