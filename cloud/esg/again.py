"""Emissions, inventory and score computed again from what their rows name: the stages as `verify --recompute` runs them."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from cloud.esg import measures, stages
from cloud.esg.register import Register
from cloud.esg.register_file import parse_register
from cloud.esg.stages import EMISSIONS, INVENTORY, Asked, DayRow
from cloud.esg.standing import SCORE, failed_rules, standing
from cloud.evidence.again import Known, Stage
from protocols.batch.bundle import Samples
from protocols.batch.pedigree import Opened


def _register(text: bytes) -> Register:
    return parse_register(text.decode())


def _emissions(known: Known, opened: Opened) -> stages.Output:
    """A day follows from its own batches and those of the rows before it; an interval from its own."""
    row = opened.row
    register = known.parsed(row, "inventory", _register)
    refused: Mapping[str, str] = row.parameters["refused"]
    if "log_size" not in row.parameters:
        site, told = row.subject.partition("/")[0], row.parameters
        return stages.interval(register, site, told["from_us"], told["to_us"], opened.samples, refused)
    before: Mapping[str, Samples] = known.made[row.inputs.rows["previous"]][0] if "previous" in row.inputs.rows else {}
    samples = stages.joined([before, opened.samples])
    site, _, day = row.subject.partition("/")
    output = stages.emissions(register, site, date.fromisoformat(day), samples, row.as_of_us, refused)
    known.made[opened.digest] = samples, output
    return output


def _inventory(known: Known, opened: Opened) -> stages.Output:
    row, told = opened.row, opened.row.parameters
    days = [
        DayRow(subject, digest, known.rows[digest].as_of_us, known.made[digest][1]) for subject, digest in sorted(row.inputs.rows.items())
    ]
    output = stages.inventory(days, asked_of(told), frozenset(told["reconciled"]))
    known.made[opened.digest] = output
    return output


def asked_of(told: Mapping[str, Any]) -> Asked:
    """What an inventory row was asked for, from its parameters."""
    first, last = (date.fromisoformat(told[name]) for name in ("from", "to"))
    return Asked(first, last, told["gwp"], told["scenario"], tuple(told["missing"]))


def _score(known: Known, opened: Opened) -> stages.Output:
    inputs = opened.row.inputs
    broken = [
        rule
        for _, digest in sorted(inputs.rows.items())
        if known.rows[digest].kind == "finding"
        for rule in failed_rules(known.rows[digest].output)
    ]
    register, measured = known.parsed(opened.row, "inventory", _register), known.parsed(opened.row, "measures", measures.read)
    return standing(register, measured, known.made[inputs.rows["inventory"]], sorted(set(broken)))


STAGES: Final[Mapping[str, Stage]] = {EMISSIONS: _emissions, INVENTORY: _inventory, SCORE: _score}
