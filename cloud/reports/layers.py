"""Validation in four layers that are told apart: schema, checksum, cross-field, reference data.

For running the checks of a kind of file and keeping, per layer, whether it ran and what it found. Not for the checks themselves.
Rules: a layer that could not run is INDETERMINATE with its reason, never PASS; every fault has a stable check id and names its
place; a layer is run even when another found faults, so that a wrong check digit is not hidden by a wrong enumeration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Layer(StrEnum):
    SCHEMA = "schema"
    CHECKSUM = "checksum"
    CROSS_FIELD = "cross-field"
    REFERENCE_DATA = "reference data"


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    INDETERMINATE = "INDETERMINATE"


@dataclass(frozen=True, slots=True)
class Fault:
    """check: stable id, such as ID-LEI-CHECK. place: path of the element or field. line: 0 where the format has no lines."""

    layer: Layer
    check: str
    place: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one layer said; reason: why it is INDETERMINATE, else what it was judged by where that has to be told."""

    layer: Layer
    outcome: Outcome
    faults: tuple[Fault, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    results: tuple[Result, ...]

    @property
    def outcome(self) -> Outcome:
        """FAIL when any layer failed, PASS only when all four ran and passed."""
        found = {result.outcome for result in self.results}
        if Outcome.FAIL in found:
            return Outcome.FAIL
        whole = found == {Outcome.PASS} and {result.layer for result in self.results} == set(Layer)
        return Outcome.PASS if whole else Outcome.INDETERMINATE

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(fault for result in self.results for fault in result.faults)

    def of(self, layer: Layer) -> Result:
        return next(result for result in self.results if result.layer is layer)


def judged_by(validation: Validation, layer: Layer, named: str) -> Validation:
    """The same, where the layer ran, with what it was judged by."""
    ran = (one.layer is layer and one.outcome is not Outcome.INDETERMINATE for one in validation.results)
    return Validation(tuple(replace(one, reason=named) if said else one for one, said in zip(validation.results, ran, strict=True)))


class CannotRun(Exception):
    """Raised by a layer's check that lacks what it needs: schema or reference data."""


Check = Callable[[], tuple[Fault, ...]]


def validate(checks: Mapping[Layer, Check]) -> Validation:
    """Every layer in its order; a layer without a check is INDETERMINATE."""
    return Validation(tuple(_run(layer, checks.get(layer)) for layer in Layer))


def _run(layer: Layer, check: Check | None) -> Result:
    if check is None:
        return Result(layer, Outcome.INDETERMINATE, reason="no check of this layer for this kind of file")
    try:
        faults = check()
    except CannotRun as error:
        return Result(layer, Outcome.INDETERMINATE, reason=str(error))
    wrong = [fault.check for fault in faults if fault.layer is not layer]
    if wrong:
        raise ValueError(f"checks {', '.join(wrong)} reported to the layer {layer} but belong to another")
    return Result(layer, Outcome.FAIL if faults else Outcome.PASS, faults)
