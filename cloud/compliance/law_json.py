"""A set of dated parameters as one JSON content of an evidence row, and back: so that a finding is judged again by the law it was judged by."""

from datetime import date
from decimal import Decimal
from typing import Any

from cloud import document
from cloud.compliance.parameters import DatedValue, Parameter, ParameterSet, Status, Value


def write(law: ParameterSet) -> bytes:
    """Sorted by name, so that the same law has the same bytes."""
    return document.encode({name: _parameter(one) for name, one in law.parameters.items()})


def read(data: bytes) -> ParameterSet:
    """Inverse of `write`; what it cannot read was not written by it."""
    return ParameterSet({name: _read(name, one) for name, one in document.parse(data).items()})


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "description": one.description,
        "unit": one.unit,
        "last_reviewed": one.last_reviewed.isoformat(),
        "reviewer": one.reviewer,
        "values": [
            [value.start.isoformat(), _value(value.value), value.reference, value.status.value, value.ended, value.scenario]
            for value in one.values
        ],
    }


def _value(value: Value | None) -> dict[str, Any] | None:
    """By kind: the number 3 is not the text 3."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return {"number": str(value)}
    return {"text": value} if isinstance(value, str) else {"texts": list(value)}


def _read(name: str, one: dict[str, Any]) -> Parameter:
    values = tuple(
        DatedValue(date.fromisoformat(start), _read_value(value), reference, Status(status), ended, scenario)
        for start, value, reference, status, ended, scenario in one["values"]
    )
    return Parameter(name, one["description"], one["unit"], date.fromisoformat(one["last_reviewed"]), one["reviewer"], values)


def _read_value(value: dict[str, Any] | None) -> Value | None:
    if value is None:
        return None
    if "number" in value:
        return Decimal(value["number"])
    return str(value["text"]) if "text" in value else tuple(value["texts"])
