"""How long each stage of the reaction takes by itself, on the inputs that a run's last VaR names: benchmarks.reaction prints it.

Inputs come out of the evidence bundle of that VaR, so they are the ones the hub had: model, states, samples, deals, quotes. The stages are
those the hub runs, in this process; storing goes to the run's own PostgreSQL, with its fsync, through the hub's own functions.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median

from cloud.assets import assess
from cloud.assets.assess import AssetHealth
from cloud.assets.model import Model, parse_model
from cloud.assets.state import SiteState
from cloud.config import Limits
from cloud.db import Database
from cloud.evidence import store as evidence_store
from cloud.reaction import stages
from cloud.reaction.stages import Contents, Foreseen
from cloud.risk.settings import DeskSettings, parse_settings
from protocols.batch import pedigree
from protocols.batch.evidence import Row
from protocols.batch.pedigree import Opened

REPEATS = 5


@dataclass(slots=True)
class Recorded:
    """What a bundle brings, with what has been computed from it. assess_s: of every health row of the chain."""

    contents: dict[bytes, bytes]
    rows: dict[bytes, Row] = field(default_factory=dict)
    states: dict[bytes, SiteState] = field(default_factory=dict)
    healths: dict[bytes, tuple[AssetHealth, ...]] = field(default_factory=dict)
    assess_s: list[float] = field(default_factory=list)

    def model(self, row: Row) -> Model:
        return parse_model(self.contents[row.inputs.contents["model"]].decode())

    def settings(self, row: Row) -> DeskSettings:
        return parse_settings(self.contents[row.inputs.contents["settings"]])

    def assess(self, opened: Opened) -> None:
        row, model = opened.row, self.model(opened.row)
        if "previous" in row.inputs.rows:
            state = self.states[row.inputs.rows["previous"]]
        elif "state" in row.inputs.contents:
            state = SiteState.from_bytes(self.contents[row.inputs.contents["state"]])
        else:
            state = assess.start(model, row.subject)
        samples = stages.site_samples(opened.samples)
        began = time.perf_counter()
        self.states[opened.digest], self.healths[opened.digest], _ = stages.health(model, row.subject, state, samples, row.as_of_us)
        self.assess_s.append(time.perf_counter() - began)


def recorded(data: bytes) -> Recorded:
    """Every row of the bundle, with health computed along its chain."""
    stages.steady()
    found = pedigree.read(data)
    made = Recorded(found.contents_by_digest)
    for opened in pedigree.samples_of(found):
        made.rows[opened.digest] = opened.row
        if opened.row.kind == stages.HEALTH:
            made.assess(opened)
    return made


def median_s(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def computed_s(found: Recorded) -> dict[str, float]:
    """Median seconds of each stage. Reading the deals is apart: the hub does it when they have changed."""
    risk = _newest(found, stages.RISK)
    model, settings = found.model(risk), found.settings(risk)
    below = {name: found.rows[digest] for name, digest in risk.inputs.rows.items()}

    def foresee() -> dict[str, Foreseen]:
        return {
            name: stages.forecast(model, name, found.healths[row.inputs.rows["health"]], settings, row.as_of_us)[0]
            for name, row in below.items()
        }

    foreseen = foresee()
    read = Contents(*(found.contents[risk.inputs.contents[name]] for name in ("deals", "calendars", "quotes")))
    desk = stages.read_desk(read, settings)

    def value() -> object:
        return stages.risk(desk, [stages.stream_paths(model, one) for _, one in sorted(foreseen.items())], risk.as_of_us)

    def read_again() -> object:
        stages._deals.cache_clear()
        return stages.read_desk(read, settings)

    return {"assess": median(found.assess_s), "foresee": median_s(foresee), "value": median_s(value), "read deals": median_s(read_again)}


async def stored_s(found: Recorded, database_url: str, tenant_id: int = 1) -> float:
    """Median seconds of the transaction with the three rows of one pass, as-of moved on a little so that they are new."""
    risk = _newest(found, stages.RISK)
    forecasts = [found.rows[digest] for digest in risk.inputs.rows.values()]
    health = found.rows[forecasts[0].inputs.rows["health"]]
    taken = []
    async with Database(database_url, Limits()) as db:
        for at in range(REPEATS + 1):
            rows = [replace(row, as_of_us=row.as_of_us + at + 1) for row in (health, *forecasts, risk)]
            began = time.perf_counter()
            async with db.tenant(tenant_id) as connection:
                for row in rows:
                    await evidence_store.append(connection, tenant_id, row, {}, row.as_of_us)
            taken.append(time.perf_counter() - began)
    return median(taken[1:])  # the first opens the connection


def _newest(found: Recorded, kind: str) -> Row:
    return max((row for row in found.rows.values() if row.kind == kind), key=lambda row: row.as_of_us)
