"""Real recordings as a source: every row of a CSV of the 3W oil wells becomes one step, with the quality that the row deserves.

The whole recording is read into columns once. A missing value (NaN) is BAD_SENSOR_FAILURE. A sensor that shows the same value over
the whole recording is UNCERTAIN_LAST_USABLE from its first row; one that stops moving is so from its 60th unchanged row on. Values
are never altered. The label of a row (what happened in the well) is kept beside the values and is not served;
it goes to the label log.
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Tag
from simulators.face import Step

RECORDINGS: Final = Path(__file__).resolve().parent / "recordings"
FROZEN_AFTER: Final = 60
NOT_LABELLED: Final = -1

UNITS: Final[Mapping[str, str]] = {
    "P-PDG": "Pa",
    "P-TPT": "Pa",
    "T-TPT": "degC",
    "P-MON-CKP": "Pa",
    "T-JUS-CKP": "degC",
    "P-JUS-CKGL": "Pa",
    "T-JUS-CKGL": "degC",
    "QGL": "sm3/s",
}
# (recorded unit, tag's unit) -> what to divide by; whole powers, so that the result is the nearest number.
_DIVISOR: Final[Mapping[tuple[str, str], float]] = {("Pa", "kPa"): 1e3, ("Pa", "bar"): 1e5, ("Pa", "MPa"): 1e6}


class RecordingError(Exception):
    """A recording that is missing, not of this form, or does not fit the tags."""


@dataclass(frozen=True, slots=True)
class Recording:
    """times_us: rising, UTC; columns: float64 with NaN for missing; quality: uint32 per column; label: int32, -1 = not labelled."""

    times_us: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]
    quality: Mapping[str, NDArray[np.uint32]]
    label: NDArray[np.int32]

    @property
    def rows(self) -> int:
        return int(self.times_us.size)


def find_recordings(pattern: str, beside: Path = RECORDINGS) -> tuple[Path, ...]:
    """Paths of "2/WELL-00010_20171218200131" or "4/WELL-00010_*", looked for beside the scenario first, then among the shipped ones.

    Raises RecordingError when there is none.
    """
    name = pattern if pattern.endswith(".csv.gz") else f"{pattern}.csv.gz"
    for folder in (beside, RECORDINGS):
        if found := sorted(folder.glob(name)):
            return tuple(found)
    raise RecordingError(f'no recording "{pattern}" in {beside} or {RECORDINGS}')


def read_recording(paths: Sequence[Path]) -> Recording:
    """The files one after the other as one recording. Raises RecordingError."""
    parts = [_read(path) for path in paths]
    if not parts:
        raise RecordingError("a recording needs at least one file")
    times_us = np.concatenate([times for times, _, _ in parts])
    if np.any(np.diff(times_us) <= 0):
        raise RecordingError(f"the rows of {', '.join(path.name for path in paths)} are not in order of time")
    columns = {name: np.concatenate([table[name] for _, table, _ in parts]) for name in parts[0][1]}
    label = np.concatenate([labels for _, _, labels in parts])
    return Recording(times_us, columns, {name: assess_column(values) for name, values in columns.items()}, label)


def _read(path: Path) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]], NDArray[np.int32]]:
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            header, *rows = [line.rstrip("\n").split(",") for line in file]
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error
    if header[0] != "timestamp" or header[-1] != "class" or any(len(row) != len(header) for row in rows):
        raise RecordingError(f"{path}: expected the columns timestamp, ..., class in every row")
    try:
        stamps, *texts, labels = (list(column) for column in zip(*rows, strict=True))
        times = np.array(stamps, dtype="datetime64[us]").astype(np.int64)
        table = {
            name: np.array([text or "nan" for text in column], dtype=np.float64) for name, column in zip(header[1:-1], texts, strict=True)
        }
        label = np.array([int(float(text)) if text else NOT_LABELLED for text in labels], dtype=np.int32)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from error
    return times, table, label


def assess_column(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """The quality of each row of one column: good, frozen (uncertain) or missing (bad)."""
    missing = np.isnan(values)
    present = values[~missing]
    constant = bool(present.size) and bool(np.all(present == present[0]))
    found = np.where(constant | (unchanged_rows(values) >= FROZEN_AFTER), np.uint32(quality.UNCERTAIN_LAST_USABLE), np.uint32(quality.GOOD))
    return np.where(missing, np.uint32(quality.BAD_SENSOR_FAILURE), found).astype(np.uint32)


def unchanged_rows(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many rows, up to and including this one, equal the row before them without a break."""
    rows = np.arange(values.size)
    changed = np.ones(values.size, dtype=bool)
    changed[1:] = values[1:] != values[:-1]
    return rows - np.maximum.accumulate(np.where(changed, rows, 0))


def column_of(tag: Tag, names: Sequence[str]) -> str:
    """The recorded column that a tag shows: the maker's own name of the tag, else its name ("p_mon_ckp" shows "P-MON-CKP")."""
    for name in (tag.vendor, tag.name.upper().replace("_", "-")):
        if name in names:
            return name
    raise RecordingError(f'tag "{tag.name}": no recorded column for it among {", ".join(names)}; name one as "vendor"')


class ReplaySource:
    """A recording as steps for one device. times: "recorded" = the rows' own times, "wall" = the time the step is asked for."""

    def __init__(
        self,
        recording: Recording,
        tags: Sequence[Tag],
        *,
        start_row: int = 0,
        times: Literal["recorded", "wall"] = "wall",
        repeat: bool = False,
    ) -> None:
        if not 0 <= start_row < recording.rows:
            raise RecordingError(f"start_row {start_row} is outside the recording's {recording.rows} rows")
        if repeat and times == "recorded":
            raise RecordingError("a repeated recording needs wall times, recorded times would run backwards")
        names = tuple(recording.columns)
        shown = [column_of(tag, names) for tag in tags]
        divisors = [_divisor(tag, name) for tag, name in zip(tags, shown, strict=True)]
        self._values = np.column_stack([recording.columns[name] / divisor for name, divisor in zip(shown, divisors, strict=True)])
        self._quality = np.column_stack([recording.quality[name] for name in shown])
        self._times_us = recording.times_us if times == "recorded" else None
        self._label = recording.label
        self._start_row, self._repeat = start_row, repeat

    def step(self, index: int, time_us: int) -> Step | None:
        row = self._start_row + index
        if row >= len(self._values):
            if not self._repeat:
                return None
            row %= len(self._values)
        stamp = time_us if self._times_us is None else int(self._times_us[row])
        return Step(stamp, self._values[row], self._quality[row], int(self._label[row]))


def _divisor(tag: Tag, name: str) -> float:
    recorded = UNITS.get(name, tag.unit)
    if tag.unit in (recorded, ""):
        return 1.0
    if (recorded, tag.unit) not in _DIVISOR:
        raise RecordingError(f'tag "{tag.name}": recorded in {recorded}, which is not convertible to "{tag.unit}"')
    return _DIVISOR[recorded, tag.unit]
