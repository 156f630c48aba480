"""`qenergyz verify FILE`: check an exported file offline, with public keys only. The only IO here is the file and the terminal.

The file may prove the samples of a tag (bundle.py) or a computed result (pedigree.py); its first member says which.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from protocols.batch import bundle, pedigree
from protocols.batch.checkpoint import LogKey
from protocols.batch.columns import GapReason
from protocols.batch.errors import MalformedBatch
from protocols.batch.proofs import Step


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 proven, 1 a step failed, 2 the file or the arguments cannot be read."""
    parser = argparse.ArgumentParser(prog="qenergyz verify", description="Check an exported file offline, with public keys only.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", metavar="VKEY", help="the log's key, from a source you trust (name+id+base64)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--recompute", action="store_true", help="repeat the calculation as well (needs the hub extra)")
    arguments = parser.parse_args(argv)
    if arguments.recompute:
        print('qenergyz verify: only the command "qenergyz verify --recompute" repeats a calculation', file=sys.stderr)
        return 2
    try:
        data = arguments.file.read_bytes()
        if arguments.key is not None:
            LogKey.parse(arguments.key)
    except (OSError, MalformedBatch) as error:
        print(f"qenergyz verify: {error}", file=sys.stderr)
        return 2
    if pedigree.is_pedigree(data):
        return _print(*_told_of_result(pedigree.verify(data, arguments.key)), as_json=arguments.json)
    return _print(*_told_of_samples(bundle.verify(data, arguments.key)), as_json=arguments.json)


def report_lines(steps: Sequence[Step]) -> list[str]:
    return [f"{'ok  ' if step.ok else 'FAIL'}  {step.name:22}{step.detail}" for step in steps]


def report_members(steps: Sequence[Step]) -> dict[str, Any]:
    failed = next((step.name for step in steps if not step.ok), None)
    return {"ok": failed is None, "failed": failed, "steps": [asdict(step) for step in steps]}


def verdict(steps: Sequence[Step], proven: str) -> str:
    failed = [step.name for step in steps if not step.ok]
    return f"NOT PROVEN: {', '.join(failed)}" if failed else f"PROVEN: {proven}"


def told(found: pedigree.Report) -> str:
    """What a verified file proves, in a sentence."""
    if found.pedigree is None or found.target is None:
        return "nothing"
    row, parts = found.target, found.pedigree
    counts = f"{len(parts.rows)} rows, {len(parts.contents)} contents, {len(parts.batches)} batches"
    return f"{row.kind} of {row.subject} as of {_time(row.as_of_us)}, from {counts}"


def _print(document: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> int:
    print(json.dumps(document, indent=2) if as_json else "\n".join(lines))
    return 0 if document["ok"] else 1


def _told_of_result(report: pedigree.Report) -> tuple[dict[str, Any], list[str]]:
    document = report_members(report.steps)
    if report.pedigree is not None:
        document["log_key"] = report.pedigree.log_key
        document["target"] = report.pedigree.target.hex()
        document |= {name: len(getattr(report.pedigree, name)) for name in ("rows", "contents", "batches")}
    if report.target is not None:
        document |= {name: getattr(report.target, name) for name in ("kind", "subject", "as_of_us")}
    return document, [*report_lines(report.steps), verdict(report.steps, told(report))]


def _told_of_samples(report: bundle.Report) -> tuple[dict[str, Any], list[str]]:
    document = report_members(report.steps) | {"gaps": [asdict(gap) for gap in report.gaps]}
    lines = report_lines(report.steps) + [f"gap   {_reason(gap.reason):22}{gap.start} to {gap.end}" for gap in report.gaps]
    if report.bundle is None:
        return document, [*lines, verdict(report.steps, "")]
    window, samples = report.bundle.window, report.bundle.samples
    document |= {"window": asdict(window), "log_key": report.bundle.log_key, "samples": len(samples.times_us)}
    ends = [f"{samples.values[at]:g} at {_time(int(samples.times_us[at]))}" for at in (0, -1)] if len(samples.values) else []
    proven = f"{window.tag} of {window.gateway}, {len(samples.values)} samples{', ' + ' to '.join(ends) if ends else ''}"
    return document, [*lines, verdict(report.steps, proven)]


def _reason(reason: int) -> str:
    return GapReason(reason).name.lower() if reason in GapReason._value2member_map_ else f"reason {reason}"


def _time(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"


if __name__ == "__main__":
    sys.exit(main())
