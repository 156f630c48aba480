"""`qenergyz verify --recompute FILE`: every row of an evidence bundle computed again from what it names, and compared to the bit.

Offline: no hub, no database, no clock. Rows come in the order of dependency, so that a row is computed from recomputed inputs and not
from what the file claims of them. Says equal, or which row differs and in what. The only IO here is the file and the terminal.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from cloud.assets import assess
from cloud.assets.assess import AssetHealth
from cloud.assets.model import Model, parse_model
from cloud.assets.state import SiteState
from cloud.reaction import stages
from cloud.reaction.stages import Contents, Foreseen
from cloud.risk.desk import Valued
from cloud.risk.settings import DeskSettings, parse_settings
from protocols.batch import cbor, evidence, pedigree, verify
from protocols.batch.evidence import Row
from protocols.batch.pedigree import Opened, Pedigree

TOLD: Final = 5


@dataclass(frozen=True, slots=True)
class Compared:
    """One row: its name, and where its output differs from the recomputed one; none: equal."""

    digest: bytes
    name: str
    as_of_us: int
    differences: tuple[str, ...]


@dataclass(slots=True)
class _Known:
    """What has been recomputed, by the digest of its row."""

    contents: Mapping[bytes, bytes]
    models: dict[bytes, Model] = field(default_factory=dict)
    states: dict[bytes, SiteState] = field(default_factory=dict)
    healths: dict[bytes, tuple[AssetHealth, ...]] = field(default_factory=dict)
    foreseen: dict[bytes, Foreseen] = field(default_factory=dict)
    valued: dict[bytes, Valued] = field(default_factory=dict)
    rows: dict[bytes, Row] = field(default_factory=dict)

    def model(self, row: Row) -> Model:
        digest = row.inputs.contents["model"]
        if digest not in self.models:
            self.models[digest] = parse_model(self.contents[digest].decode())
        return self.models[digest]

    def settings(self, row: Row) -> DeskSettings:
        return parse_settings(self.contents[row.inputs.contents["settings"]])


def recompute(found: Pedigree) -> Iterator[Compared]:
    """Every row of a bundle that verifies, one by one."""
    known = _Known(found.contents_by_digest)
    for opened in pedigree.samples_of(found):
        row = opened.row
        output = _STAGES[row.kind](known, opened) if row.kind in _STAGES else None
        known.rows[opened.digest] = row
        if output is None:
            yield Compared(opened.digest, row.name, row.as_of_us, (f'this version does not know how "{row.kind}" is computed',))
        else:
            yield Compared(opened.digest, row.name, row.as_of_us, tuple(differences(row, output)))


def _health(known: _Known, opened: Opened) -> stages.Output:
    row, model = opened.row, known.model(opened.row)
    state = _state_before(known, row, model)
    samples = stages.site_samples(opened.samples)
    known.states[opened.digest], known.healths[opened.digest], output = stages.health(model, row.subject, state, samples, row.as_of_us)
    return output


def _state_before(known: _Known, row: Row, model: Model) -> SiteState:
    """Carried in as a content where a chain of rows begins, else what the row before left; a new model takes over what it can."""
    if "previous" in row.inputs.rows:
        return known.states[row.inputs.rows["previous"]]
    if "state" not in row.inputs.contents:
        return assess.start(model, row.subject)
    state = SiteState.from_bytes(known.contents[row.inputs.contents["state"]])
    return assess.start(model, row.subject, state) if row.parameters.get("model_changed") else state


def _forecast(known: _Known, opened: Opened) -> stages.Output:
    row = opened.row
    healths = known.healths[row.inputs.rows["health"]]
    found, output = stages.forecast(known.model(row), row.subject, healths, known.settings(row), row.as_of_us)
    known.foreseen[opened.digest] = found
    return output


def _risk(known: _Known, opened: Opened) -> stages.Output:
    row = opened.row
    contents = row.inputs.contents
    read = Contents(*(known.contents[contents[name]] for name in ("deals", "calendars", "quotes")))
    desk = stages.read_desk(read, known.settings(row))
    model = known.model(row)
    paths = [stages.stream_paths(model, known.foreseen[digest]) for _, digest in sorted(row.inputs.rows.items())]
    known.valued[opened.digest], output = stages.risk(desk, paths, row.as_of_us)
    return output


def _detail(known: _Known, opened: Opened) -> stages.Output:
    row = opened.row
    model, digest = known.model(row), row.inputs.rows["risk"]
    below = known.rows[digest].inputs.rows
    foreseen = {known.foreseen[one].now.stream: known.foreseen[one] for one in below.values()}
    healths = {known.rows[one].subject: known.rows[one].inputs.rows["health"] for one in below.values()}
    by_site = {model.stream(stream).site: known.healths[health] for stream, health in healths.items()}
    return stages.detail(known.valued[digest], model, by_site, foreseen, known.settings(row), row.as_of_us)


_STAGES: Final = {stages.HEALTH: _health, stages.FORECAST: _forecast, stages.RISK: _risk, stages.DETAIL: _detail}


def differences(row: Row, output: Mapping[str, Any]) -> Iterator[str]:
    """Where the row's output is not, to the bit, what was computed."""
    again = evidence.decode(evidence.encode(Row(row.kind, row.subject, row.as_of_us, row.inputs, {}, row.seed, row.code, output)))
    yield from _differ("", row.output, again.output)


def _differ(path: str, stored: Any, found: Any) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(found, dict):
        for key in sorted(stored.keys() | found.keys(), key=str):
            place = f"{path}.{key}" if path else str(key)
            if key not in stored or key not in found:
                yield f"{place}: {'not in the row' if key not in stored else 'not computed'}"
            else:
                yield from _differ(place, stored[key], found[key])
    elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        for at, (one, two) in enumerate(zip(stored, found, strict=True)):
            yield from _differ(f"{path}[{at}]", one, two)
    elif cbor.encode(stored) != cbor.encode(found):
        yield f"{path}: the row says {_shown(stored)}, computed {_shown(found)}{_off(stored, found)}"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()[:16]
    return f"{len(evidence.array(value))} numbers" if isinstance(value, cbor.Tag) else repr(value)[:60]


def _off(stored: Any, found: Any) -> str:
    if isinstance(stored, cbor.Tag) and isinstance(found, cbor.Tag):
        one, two = (np.asarray(evidence.array(value), np.float64).ravel() for value in (stored, found))
        if one.size != two.size:
            return ""
    elif isinstance(stored, float) and isinstance(found, float):
        one, two = np.array([stored]), np.array([found])
    else:
        return ""
    return f" (at most {float(np.max(np.abs(one - two) / np.maximum(np.abs(one), 1e-300))):.1e} off)"


def main(argv: Sequence[str]) -> int:
    """Exit code: 0 proven and equal, 1 a step failed or a row differs, 2 the file or the arguments cannot be read."""
    parser = argparse.ArgumentParser(
        prog="qenergyz verify --recompute", description="Check an evidence bundle and compute it again, offline."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", metavar="VKEY", help="the log's key, from a source you trust (name+id+base64)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(argv)
    try:
        data = options.file.read_bytes()
    except OSError as error:
        print(f"qenergyz verify --recompute: {error}", file=sys.stderr)
        return 2
    if not pedigree.is_pedigree(data):
        print(
            "qenergyz verify --recompute: expected an evidence bundle; a bundle of samples is recomputed by `qenergyz verify`",
            file=sys.stderr,
        )
        return 2
    report = pedigree.verify(data, options.key)
    stages.steady()
    compared = list(recompute(report.pedigree)) if report.ok and report.pedigree else []
    equal = report.ok and not any(one.differences for one in compared)
    if options.json:
        print(json.dumps(_document(report, compared, equal), indent=2))
    else:
        print("\n".join([*verify.report_lines(report.steps), *_lines(report, compared, equal)]))
    return 0 if equal else 1


def _document(report: pedigree.Report, compared: Sequence[Compared], equal: bool) -> dict[str, Any]:
    differing = [{"row": one.name, "id": one.digest.hex(), "differences": list(one.differences)} for one in compared if one.differences]
    counts = {kind: sum(one.name.split(" ")[0] == kind for one in compared) for kind in _STAGES}
    steps = [asdict(step) for step in report.steps]
    return {
        "ok": equal,
        "equal": equal if report.ok else None,
        "failed": report.failed,
        "steps": steps,
        "recomputed": counts,
        "differing": differing,
    }


def _lines(report: pedigree.Report, compared: Sequence[Compared], equal: bool) -> Iterator[str]:
    if not report.ok or report.target is None:
        yield "NOT RECOMPUTED: the inputs are not proven"
        return
    if equal:
        yield f"EQUAL: {len(compared)} rows computed again from their inputs, each output the same to the bit"
        return
    bad = [one for one in compared if one.differences]
    yield f"DIFFERENT: {len(bad)} of {len(compared)} rows"
    for one in bad[:TOLD]:
        yield f"  {one.name} as of {np.datetime64(one.as_of_us, 'us')}Z: {'; '.join(one.differences[:TOLD])}"
    for name, then in report.target.code.items():
        if (now := stages.code().get(name)) != then:
            yield f"  computed then with {name} {then}, now with {now}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
