"""`qenergyz verify FILE`: check an exported bundle offline, with public keys only. The only IO here is the file and the terminal."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from protocols.batch import bundle
from protocols.batch.checkpoint import LogKey
from protocols.batch.columns import GapReason
from protocols.batch.errors import MalformedBatch


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 proven, 1 a step failed, 2 the file or the arguments cannot be read."""
    parser = argparse.ArgumentParser(prog="qenergyz verify", description="Check an exported bundle offline, with public keys only.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", metavar="VKEY", help="the log's key, from a source you trust (name+id+base64)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args(argv)
    try:
        data = arguments.file.read_bytes()
        if arguments.key is not None:
            LogKey.parse(arguments.key)
    except (OSError, MalformedBatch) as error:
        print(f"qenergyz verify: {error}", file=sys.stderr)
        return 2
    report = bundle.verify(data, arguments.key)
    if arguments.json:
        print(json.dumps(_document(report), indent=2))
    else:
        print("\n".join(_lines(report)))
    return 0 if report.ok else 1


def _document(report: bundle.Report) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ok": report.ok,
        "failed": report.failed,
        "steps": [asdict(step) for step in report.steps],
        "gaps": [asdict(gap) for gap in report.gaps],
    }
    if report.bundle is not None:
        document["window"] = asdict(report.bundle.window)
        document["log_key"] = report.bundle.log_key
        document["samples"] = len(report.bundle.samples.times_us)
    return document


def _lines(report: bundle.Report) -> list[str]:
    lines = [f"{'ok  ' if step.ok else 'FAIL'}  {step.name:22}{step.detail}" for step in report.steps]
    lines += [f"gap   {_reason(gap.reason):22}{gap.start} to {gap.end}" for gap in report.gaps]
    if report.bundle is None or not report.ok:
        return [*lines, "NOT PROVEN: " + ", ".join(step.name for step in report.steps if not step.ok)]
    window, samples = report.bundle.window, report.bundle.samples
    first = (
        f", {samples.values[0]:g} at {_time(samples.times_us[0])} to {samples.values[-1]:g} at {_time(samples.times_us[-1])}"
        if len(samples.values)
        else ""
    )
    return [*lines, f"PROVEN: {window.tag} of {window.gateway}, {len(samples.values)} samples{first}"]


def _reason(reason: int) -> str:
    return GapReason(reason).name.lower() if reason in GapReason._value2member_map_ else f"reason {reason}"


def _time(time_us: np.int64) -> str:
    return f"{np.datetime64(int(time_us), 'us')}Z"


if __name__ == "__main__":
    sys.exit(main())
