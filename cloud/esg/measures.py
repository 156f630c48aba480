"""Numbers that people register for a period: what the HTTP body may say, and the figures that follow from what was registered and emitted.

A figure is a number or the reason why there is none; a figure nobody can know is never zero. Not for storing (`store`) or scoring (`standing`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloud.esg import EsgError, Indeterminate, indicators
from cloud.esg.factors import factor_book
from cloud.esg.flares import Purpose
from cloud.esg.indicators import FlaredGas
from cloud.esg.inventory import Scope
from cloud.esg.units import Quantity, Unit

BARREL_OF_OIL_SCF: Final = 6000.0  # of gas for one barrel of oil equivalent, as reserves are reported in the US
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/]+$")]
Text = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f]+$")]
EARLIEST: Final = date(2000, 1, 1)
LATEST: Final = date(2200, 1, 1)


class Measure(BaseModel):
    """first, last: the days of the period, both belong to it. name: what tells two of one kind and period apart (a spill, a figure)."""

    model_config = ConfigDict(extra="forbid")
    site: Word
    first: date
    last: date
    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""

    @model_validator(mode="after")
    def _ordered(self) -> "Measure":
        if not EARLIEST <= self.first <= self.last <= LATEST:
            raise ValueError(f"expected first <= last between {EARLIEST} and {LATEST}")
        return self


class Water(Measure):
    kind: Literal["water"]
    withdrawn_m3: Amount
    returned_m3: Amount
    stressed: bool
    produced_m3: Amount
    oil_discharged_kg: Amount


class Spill(Measure):
    kind: Literal["spill"]
    volume_bbl: Amount
    recovered_bbl: Amount

    @model_validator(mode="after")
    def _possible(self) -> "Spill":
        if self.recovered_bbl > self.volume_bbl:
            raise ValueError("recovered_bbl: expected at most volume_bbl")
        return self


class Safety(Measure):
    kind: Literal["safety"]
    recordables: Count
    lost_time: Count
    near_misses: Count
    hours: Amount

    @model_validator(mode="after")
    def _possible(self) -> "Safety":
        if self.lost_time > self.recordables:
            raise ValueError("lost_time: every lost time case is recordable, expected at most `recordables`")
        return self


class Production(Measure):
    kind: Literal["production"]
    oil_bbl: Amount
    gas_marketed_sm3: Amount


class Figure(Measure):
    """Anything else that a metric of the score may name."""

    kind: Literal["figure"]
    value: Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
    unit: Text
    reference: Text


One = Annotated[Water | Spill | Safety | Production | Figure, Field(discriminator="kind")]


_EXAMPLE: Final[dict[str, Any]] = {"measures": [{"kind": "production", "site": "field", "first": "2026-10-01", "last": "2026-10-31", "oil_bbl": 2_232_000, "gas_marketed_sm3": 31_000_000}]}  # fmt: skip


class Handed(BaseModel):
    """What is handed in together is kept together or not at all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})
    measures: Annotated[list[One], Field(min_length=1, max_length=500)]


def write(every: Sequence[Water | Spill | Safety | Production | Figure]) -> bytes:
    """Canonical: the bytes that a row names."""
    documents = sorted(orjson.dumps(one.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS) for one in every)
    return b"[" + b",\n".join(documents) + b"]"


def read(data: bytes) -> tuple[Water | Spill | Safety | Production | Figure, ...]:
    """Inverse of `write`."""
    return tuple(Handed.model_validate({"measures": orjson.loads(data)}).measures) if data != b"[]" else ()


@dataclass(frozen=True, slots=True)
class Known:
    """value: None where it is not known, and `why`."""

    name: str
    value: float | None
    unit: str
    why: str = ""


Make = Callable[[Sequence[Any], Mapping[str, Any]], float]


def figures(measures: Sequence[Any], inventory: Mapping[str, Any]) -> dict[str, Known]:
    """Every figure by name; of those registered under one name the newest period. inventory: the output of a period's row."""
    found = {name: _known(name, unit, make, measures, inventory) for name, (unit, make) in _FIGURES.items()}
    for one in sorted((one for one in measures if isinstance(one, Figure)), key=lambda one: (one.last, one.site)):
        if one.name and one.name not in _FIGURES:
            found[one.name] = Known(one.name, one.value, one.unit)
    return found


def _known(name: str, unit: str, make: Make, measures: Sequence[Any], inventory: Mapping[str, Any]) -> Known:
    try:
        return Known(name, float(make(measures, inventory)), unit)
    except EsgError as error:
        return Known(name, None, unit, str(error))


def _of(measures: Sequence[Any], kind: type[Measure], name: str) -> list[Any]:
    """Raises Indeterminate when none is registered: no spill told of is not the same as none."""
    found = [one for one in measures if isinstance(one, kind)]
    if not found:
        raise Indeterminate(f"no {name} is registered for the period")
    return found


def _methane(measures: Sequence[Any], inventory: Mapping[str, Any]) -> float:
    gas = sum(one.gas_marketed_sm3 for one in _of(measures, Production, "production"))
    emitted = _scope1_ch4_kg(inventory)
    density = Quantity(1.0, Unit.SM3).to(Unit.SCF) * factor_book().at("gas.density.ch4", _last(inventory)).value
    return indicators.methane_intensity(Quantity(emitted, Unit.KG), density, Quantity(gas, Unit.SM3))


def _scope1_ch4_kg(inventory: Mapping[str, Any]) -> float:
    own = [one for one in inventory["sources"] if one["scope"] == Scope.ONE.value]
    if not own:
        raise Indeterminate("no source of scope 1 is accounted for")
    for one in own:
        if "ch4" in one["not_estimated"] or one["missing_hours"]:
            reason = "CH4 is not estimated" if "ch4" in one["not_estimated"] else f"{one['missing_hours']} hours are missing"
            raise Indeterminate(f"{one['source']}: {reason}")
    return float(sum(one["gases_kg"]["ch4_kg"] for one in own))


def _flaring(measures: Sequence[Any], inventory: Mapping[str, Any]) -> float:
    made = _of(measures, Production, "production")
    scf = sum(Quantity(one.gas_marketed_sm3, Unit.SM3).to(Unit.SCF) for one in made)
    boe = sum(one.oil_bbl for one in made) + scf / BARREL_OF_OIL_SCF
    if any(one["category"] == "flare" and one["missing_hours"] for one in inventory["sources"]):
        raise Indeterminate("hours of a flare are missing")
    gas = [FlaredGas(Quantity(one["scf"], Unit.SCF), Purpose(one["purpose"])) for one in inventory["flared"]]
    return indicators.flaring_intensity(gas, boe)


def _last(inventory: Mapping[str, Any]) -> date:
    return date.fromisoformat(inventory["to"])


def _water(measures: Sequence[Any]) -> indicators.WaterFigures:
    every = _of(measures, Water, "water")
    return indicators.water(
        [
            indicators.Water(one.site, one.withdrawn_m3, one.returned_m3, one.stressed, one.produced_m3, one.oil_discharged_kg)
            for one in every
        ]
    )


def _spills(measures: Sequence[Any]) -> indicators.SpillFigures:
    return indicators.spills([indicators.Spill(one.volume_bbl, one.recovered_bbl) for one in _of(measures, Spill, "spill")])


def _safety(measures: Sequence[Any]) -> indicators.SafetyFigures:
    every = _of(measures, Safety, "safety")
    cases, lost, missed = (sum(getattr(one, name) for one in every) for name in ("recordables", "lost_time", "near_misses"))
    return indicators.safety(cases, lost, missed, sum(one.hours for one in every))


def _quality(_: Sequence[Any], inventory: Mapping[str, Any]) -> float:
    found = inventory["scopes"].get(Scope.ONE.value)
    if found is None or found.get("quality") is None:
        raise Indeterminate("no source of scope 1 is accounted for")
    return float(found["quality"])


_FIGURES: Final[Mapping[str, tuple[str, Make]]] = {
    "methane_intensity": ("m3 of CH4 per m3 of gas marketed", _methane),
    "flaring_intensity": ("Sm3 per boe", _flaring),
    "data_quality": ("1 best, 5 worst", _quality),
    "water_consumed_m3": ("m3", lambda measures, _: _water(measures).consumed_m3),
    "water_stressed_share": ("1", lambda measures, _: _water(measures).stressed_share),
    "oil_in_water_mg_l": ("mg/l", lambda measures, _: _water(measures).oil_in_water_mg_l),
    "spills": ("spills above 1 bbl", lambda measures, _: _spills(measures).count),
    "spilled_bbl": ("bbl", lambda measures, _: _spills(measures).volume_bbl),
    "trir": ("cases per 200,000 h", lambda measures, _: _safety(measures).trir),
    "ltir": ("cases per 200,000 h", lambda measures, _: _safety(measures).ltir),
    "nmfr": ("near misses per 200,000 h", lambda measures, _: _safety(measures).nmfr),
}
