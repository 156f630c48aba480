"""Filings computed again: the file written again from its source, the four layers run on it, the due day counted, the manifest held against it."""

from collections.abc import Mapping
from typing import Any, Final

from cloud.evidence.again import Known, Stage
from cloud.reports import checks, filed, profile_codes
from cloud.reports.written import written
from protocols.batch import evidence
from protocols.batch.pedigree import Opened


def _filing(known: Known, opened: Opened) -> Mapping[str, Any]:
    row = opened.row
    data, signed = (known.contents[row.inputs.contents[name]] for name in ("file", "manifest"))
    kind = row.parameters["kind"]
    profile = known.contents[row.inputs.contents["profile"]] if "profile" in row.inputs.contents else b""
    references = profile_codes.of_text(kind, profile)
    output = filed.output_of(data, signed, checks.check(kind, data, references), row.parameters["event"])
    if "source" in row.inputs.contents:
        built = written(kind, known.contents[row.inputs.contents["source"]])
        output["built"] = evidence.digest(built.data).hex()
    return output


STAGES: Final[Mapping[str, Stage]] = {filed.KIND: _filing, filed.CONDUCT: _filing}
