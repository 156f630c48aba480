"""Balances of the register over the hours of day rows: where somebody should look, and the text of the work order.

Never an entry of the inventory. An hour counts when every meter of the balance was measured in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from cloud.esg import EsgError, Floats
from cloud.esg.leaks import Balance, Triage, triage
from cloud.esg.register import Meter, Section
from cloud.esg.stages import DayRow
from cloud.esg.uncertainty import Z95
from cloud.esg.units import Quantity, Unit

LEAST_HOURS: Final = 24
WORK_ORDER: Final = 0.5  # probability from which a work order is proposed


def looked_at(section: Section, rows: Sequence[DayRow]) -> dict[str, Any]:
    """One balance over the days that are there. What keeps it from being judged is told as `why`."""
    head = {"section": section.name, "site": section.site}
    columns, hours = _columns(section, [row for row in rows if row.output["site"] == section.site])
    if hours < LEAST_HOURS:
        return {**head, "hours": hours, "why": f"{hours} hours in which every meter was measured, expected at least {LEAST_HOURS}"}
    inflow, outflow = (tuple((meter.name, columns[meter.name]) for meter in some) for some in (section.inflow, section.outflow))
    sd = tuple((meter.name, float(np.mean(np.abs(columns[meter.name]))) * meter.u95_pct / 100.0 / Z95) for meter in _meters(section))
    try:
        found = triage(Balance(inflow, outflow, np.zeros(hours), sd), prior=section.prior)
    except EsgError as error:
        return {**head, "hours": hours, "why": str(error)}
    return {**head, "hours": hours, "why": "", **_shown(found), "work_order": _work_order(section, found)}


def _meters(section: Section) -> tuple[Meter, ...]:
    return tuple(dict.fromkeys((*section.inflow, *section.outflow)))


def _columns(section: Section, rows: Sequence[DayRow]) -> tuple[Mapping[str, Floats], int]:
    """kg/h of each meter, in the hours in which all were measured."""
    found: dict[str, list[Floats]] = {meter.name: [] for meter in _meters(section)}
    hours = 0
    for row in sorted(rows, key=lambda row: str(row.output["day"])):
        metered = row.output["meters"]
        some = [metered.get(meter.name) for meter in _meters(section)]
        if any(one is None for one in some):
            continue
        good = np.array([all(one["bar"][hour] == "m" for one in some if one is not None) for hour in range(24)])
        hours += int(good.sum())
        for meter, one in zip(_meters(section), some, strict=True):
            if one is not None:
                per = Quantity(1.0, Unit.named(one["unit"]))
                size = per.to(Unit.KG) if per.unit.dimension is Unit.KG.dimension else per.to(Unit.SCF) * section.kg_per_scf
                found[meter.name].append(np.array(one["hourly"])[good] * size)
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in found.items()}, hours


def _shown(found: Triage) -> dict[str, Any]:
    return {
        "probability": found.probability,
        "kg_h": {"low": found.low_kg_h, "rate": found.rate_kg_h, "high": found.high_kg_h},
        "since_hour": found.since_hour,
        "suspects": list(found.suspects),
    }


def _work_order(section: Section, found: Triage) -> str | None:
    if found.probability < WORK_ORDER:
        return None
    since = "" if found.since_hour is None else f" since hour {found.since_hour} of the period"
    return (
        f"Look for gas escaping at {section.name}, {section.site}: the balance misses {found.rate_kg_h:.0f} kg/h"
        f" ({found.low_kg_h:.0f} to {found.high_kg_h:.0f}){since}, probability {found.probability:.2f}."
        f" First check the meters {', '.join(found.suspects)}. This is no entry of the inventory."
    )
