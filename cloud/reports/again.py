"""Filings computed again: the four layers run on the file itself, the due day counted again, the manifest held against the bytes."""

from collections.abc import Mapping
from typing import Any, Final

from cloud.evidence.again import Known, Stage
from cloud.reports import checks, filed
from protocols.batch.pedigree import Opened


def _filing(known: Known, opened: Opened) -> Mapping[str, Any]:
    row = opened.row
    data, signed = (known.contents[row.inputs.contents[name]] for name in ("file", "manifest"))
    return filed.output_of(data, signed, checks.check(row.parameters["kind"], data), row.parameters["event"])


STAGES: Final[Mapping[str, Stage]] = {filed.KIND: _filing}
