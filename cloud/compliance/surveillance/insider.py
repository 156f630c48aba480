"""Trading on an outage that is known inside and not published: orders of restricted owners between knowledge and publication.

REMIT art. 3, MAR art. 14. Guard: orders of a hedge plan that is older than the knowledge (`planned`). Not the notification of cover
trades: that is rule R-04.
"""

from dataclasses import dataclass

import numpy as np

from cloud.compliance.surveillance.columns import UNKNOWN, Alert, Bools, Ints, Pattern, SurveillanceError, checked, joined, ordered


@dataclass(frozen=True, slots=True)
class Knowledge:
    """An outage and an instrument whose price it moves; one row for each. published_us: UNKNOWN while it is not."""

    instrument: Ints
    known_us: Ints
    published_us: Ints

    def __post_init__(self) -> None:
        checked(self, positive=(), codes=("instrument",), sides=("published_us",))
        if ((self.published_us != UNKNOWN) & (self.published_us < self.known_us)).any():
            raise SurveillanceError("published_us: expected no publication before it was known")


@dataclass(frozen=True, slots=True)
class Placed:
    time_us: Ints
    owner: Ints
    instrument: Ints
    planned: Bools

    def __post_init__(self) -> None:
        checked(self, positive=(), codes=("owner", "instrument"), sides=())


def inside_information(orders: Placed, knowledge: Knowledge, restricted: frozenset[int], until_us: int) -> tuple[Alert, ...]:
    """`until_us`: up to where the orders are known, for outages not yet published. known <= order < published."""
    rows = np.flatnonzero(np.isin(orders.owner, list(restricted)) & ~orders.planned)
    ends = np.where(knowledge.published_us == UNKNOWN, until_us + 1, knowledge.published_us)
    open_rows = np.flatnonzero(ends > knowledge.known_us)
    windows = (ends - knowledge.known_us - 1)[open_rows]
    left, right = joined(
        (knowledge.instrument[open_rows], knowledge.known_us[open_rows]), (orders.instrument[rows], orders.time_us[rows]), windows
    )
    return ordered(
        Alert(
            Pattern.INSIDE_INFORMATION,
            int(orders.owner[order]),
            int(orders.instrument[order]),
            int(knowledge.known_us[outage]),
            int(orders.time_us[order]),
            (order,),
            (("outage", float(outage)), ("seconds known", float(orders.time_us[order] - knowledge.known_us[outage]) / 1e6)),
        )
        for outage, order in zip(open_rows[left].tolist(), rows[right].tolist(), strict=True)
    )
