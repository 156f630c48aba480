"""`python -m tests.reference FILE.json [--family PREFIX]`: published and own cases against the product's public functions.

Prints a line per id and a count. Exit: 0 when nothing failed, 1 when something did, 2 for a file that cannot be read.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.reference.cases import Case, check


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--family", default="", help="only cases whose id begins so")
    arguments = parser.parse_args(argv)
    try:
        cases = read(arguments.file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{arguments.file}: not a file of cases: {error!r}", file=sys.stderr)
        return 2
    counts: Counter[str] = Counter()
    for case in cases:
        if case.id.startswith(arguments.family):
            verdict, detail = check(case)
            counts[verdict] += 1
            print(f"{verdict} {case.id}{detail}")
    print(f"{counts['PASS']} PASS, {counts['FAIL']} FAIL, {counts['UNSUPPORTED']} UNSUPPORTED")
    return 1 if counts["FAIL"] else 0


def read(file: Path) -> list[Case]:
    """A list of cases, or an object that has it under `cases` beside what holds for all of them."""
    document = json.loads(file.read_text(encoding="utf-8"))
    return [Case.of(item) for item in (document["cases"] if isinstance(document, dict) else document)]


if __name__ == "__main__":
    sys.exit(main())
