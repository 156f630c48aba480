"""`qenergyz verify --recompute FILE`: every row of an evidence bundle computed again from what it names, and compared to the bit.

Says equal, or which row differs and in what. The kinds of rows of all areas come together here; the only IO is the file and the terminal.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from cloud.compliance import again as compliance
from cloud.compliance import controls
from cloud.compliance.surveillance import again as surveillance
from cloud.disclosure import stages as disclosure
from cloud.esg import again as esg
from cloud.evidence.again import Compared, Stage, recompute
from cloud.evidence.code import code, steady
from cloud.reaction import again as reaction
from cloud.reports import again as reports
from protocols.batch import pedigree, verify

TOLD: Final = 5
REGISTRY: Final[Mapping[str, Stage]] = {
    **compliance.STAGES,
    **controls.STAGES,
    **disclosure.STAGES,
    **esg.STAGES,
    **reaction.STAGES,
    **reports.STAGES,
    **surveillance.STAGES,
}


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
    steady()
    compared = list(recompute(report.pedigree, REGISTRY)) if report.ok and report.pedigree else []
    equal = report.ok and not any(one.differences for one in compared)
    if options.json:
        print(json.dumps(_document(report, compared, equal), indent=2))
    else:
        print("\n".join([*verify.report_lines(report.steps), *_lines(report, compared, equal)]))
    return 0 if equal else 1


def _document(report: pedigree.Report, compared: Sequence[Compared], equal: bool) -> dict[str, Any]:
    differing = [{"row": one.name, "id": one.digest.hex(), "differences": list(one.differences)} for one in compared if one.differences]
    names = [one.name.split(" ")[0] for one in compared]
    counts = {kind: names.count(kind) for kind in REGISTRY if kind in names}
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
    present = code(*report.target.code.get("areas", "").split())
    for name, then in report.target.code.items():
        if (now := present.get(name)) != then:
            yield f"  computed then with {name} {then}, now with {now}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
