"""Findings computed again from the facts and the law that their row names: as `verify --recompute` runs them."""

from collections.abc import Mapping
from typing import Any, Final

from cloud.compliance import runs
from cloud.compliance.table import BY_ID
from cloud.evidence.again import Known, Stage
from protocols.batch.pedigree import Opened


def _finding(known: Known, opened: Opened) -> Mapping[str, Any]:
    row = opened.row
    terms = runs.terms_of(row, known.contents[row.inputs.contents[runs.LAW]])
    stated = known.parsed(row, runs.FACTS, runs.read_facts)
    return runs.output(runs.judge([BY_ID[one] for one in row.parameters["rules"]], stated, terms))


STAGES: Final[Mapping[str, Stage]] = {runs.KIND: _finding}
