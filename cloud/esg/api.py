"""HTTP of ESG: the inventory of sources, emissions by day and by interval, totals, restatements, measures, intensities, the score, leaks."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from cloud import texts
from cloud.bookings import NO_NUL, Asker, answer
from cloud.db import Database
from cloud.document import EARLIEST_US, LATEST_US, TEXT_LENGTH
from cloud.errors import Problem
from cloud.esg import measures, store, triage
from cloud.esg.accounts import AS_STATED
from cloud.esg.days import Days
from cloud.esg.gases import Masses, gwp_set, gwp_sets
from cloud.esg.measures import Handed
from cloud.esg.periods import MOST_DAYS, Periods, Stored, Wanted
from cloud.esg.register import Register
from cloud.esg.register_file import parse_register
from cloud.esg.spans import DAY_US
from cloud.esg.stages import DayRow
from cloud.evidence.api import plain
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from cloud.identity.versions import IfMatch
from cloud.texts import StoredText, Text
from cloud.texts_http import keep, text_of, versioned
from protocols.clock import Clock
from protocols.tomlfile import ConfigError

EXAMPLE: Final = """title = "Emission sources of the field"

[[meter]]
name = "fuel gas"
tag = "rig1/plc1.fuel_gas"
unit = "Sm3/h"
high = 5000
u95 = 3.0

[[source]]
id = "ENGINES"
site = "field"
asset = "GENSET-1"
category = "fuel"
from = 2026-01-01
fuel = "natural_gas"
flow = "fuel gas"
u95 = { "fuel factor" = 2.0 }
"""
TEXT: Final = {"requestBody": {"required": True, "content": {"application/toml": {"schema": {"type": "string"}, "example": EXAMPLE}}}}
First = Annotated[date, Query(alias="from", description="first day, UTC")]
Last = Annotated[date, Query(alias="to", description="last day, UTC; it belongs to the period")]
Site = Annotated[str | None, Query(min_length=1, max_length=TEXT_LENGTH, pattern=NO_NUL, description="all sites where it is left out")]
Gwp = Annotated[str, Query(json_schema_extra={"enum": sorted(gwp_sets())}, description="set of global warming potentials")]
Scenario = Annotated[
    str,
    Query(json_schema_extra={"enum": ["", AS_STATED]}, description='"as-stated" takes factors that nobody confirmed as they are stated'),
]
Time = Annotated[int | None, Query(ge=EARLIEST_US, le=LATEST_US, description="microseconds since 1970 UTC")]
Known = Annotated[int | None, Query(ge=EARLIEST_US, le=LATEST_US, description="as known at that time; default now")]
LONGEST_US: Final = 3 * DAY_US


def routes(db: Database, clock: Clock, days: Days, periods: Periods, readers: tuple[Asker, Asker], record: Record) -> APIRouter:
    """readers: who reads, who writes."""
    router = APIRouter(prefix="/v1/esg", tags=["esg"])
    reader, writer = readers
    _inventory_routes(router, db, clock, reader, writer, record)
    _emission_routes(router, clock, days, periods, reader)
    _period_routes(router, periods, reader)
    _measure_routes(router, db, clock, periods, (reader, writer), record)
    return router


def _inventory_routes(router: APIRouter, db: Database, clock: Clock, reader: Asker, writer: Asker, record: Record) -> None:
    @router.put("/inventory", openapi_extra=TEXT)
    async def put_inventory(principal: Annotated[Principal, Depends(writer)], request: Request, if_match: IfMatch = None) -> Response:
        """The inventory of emission sources as TOML: the next version, unless it is the newest already. A unit that is not that of the tag
        is refused with its line. If-Match, where given, names the version it follows."""
        text = text_of(await request.body())
        try:
            register = parse_register(text)
        except ConfigError as error:
            raise Problem("invalid-request", str(error)) from error
        async with db.tenant(principal.tenant_id) as connection:
            _check_units(register, await store.tag_units(connection, principal.tenant_id))
            before = await texts.newest_digest(connection, principal.tenant_id, Text.INVENTORY)
            stored = await keep(connection, principal.tenant_id, Text.INVENTORY, text, clock.now_us(), if_match)
            if stored.digest != before:
                detail = {"version": stored.version, "sha256": stored.digest.hex()}
                await record(connection, principal.actor, "hand-in-inventory", "esg/inventory", detail)
        return versioned({"version": stored.version, "sha256": stored.digest.hex()}, stored)

    @router.get("/inventory")
    async def get_inventory(principal: Annotated[Principal, Depends(reader)]) -> Response:
        """Sites, meters and sources, and the text they come from; the ETag is the version."""
        async with db.tenant(principal.tenant_id) as connection:
            stored = await texts.newest(connection, principal.tenant_id, Text.INVENTORY)
        if stored is None:
            raise Problem("not-found", "there is no inventory of sources yet; hand one in with PUT /v1/esg/inventory")
        return versioned(_inventory_document(stored), stored)


def _check_units(register: Register, known: Mapping[str, str]) -> None:
    """Raises Problem. A tag that no gateway has told of yet is taken as it is; its batches are looked at when they come."""
    wrong = [
        f'meter "{meter.name}": reads {meter.tag} in {meter.reading.symbol}, the gateway sends it in {known[meter.tag] or "no unit"}'
        for meter in register.meters.values()
        if known.get(meter.tag, meter.reading.symbol) != meter.reading.symbol
    ]
    if wrong:
        raise Problem("invalid-request", "; ".join(wrong[:10]), faults=wrong[:100])


def _inventory_document(stored: StoredText) -> dict[str, Any]:
    register = parse_register(stored.text)
    sources = [
        {
            "id": source.id,
            "site": source.site,
            "asset": source.asset,
            "category": source.category.value[0],
            "scope": source.category.scope.value,
            "from": source.start.isoformat(),
            "until": None if source.end is None else source.end.isoformat(),
            "meters": [meter.name for meter in source.meters],
            "u95_pct": {one.name: one.u95_pct for one in source.every_input},
        }
        for source in register.sources
    ]
    meters = [
        {"name": meter.name, "tag": meter.tag, "unit": meter.reading.symbol, "reads": meter.reading.reads.value, "high": meter.high}
        for meter in register.meters.values()
    ]
    shown = {"title": register.title, "sites": list(register.sites), "meters": meters, "sources": sources}
    return {"version": stored.version, "sha256": stored.digest.hex(), "received_us": stored.received_us, **shown, "text": stored.text}


def _emission_routes(router: APIRouter, clock: Clock, days: Days, periods: Periods, reader: Asker) -> None:
    who = Annotated[Principal, Depends(reader)]

    @router.get("/emissions")
    async def get_emissions(
        principal: who,
        first: Annotated[date | None, Query(alias="from", description="first day, UTC")] = None,
        last: Annotated[date | None, Query(alias="to", description="last day, UTC; default the first")] = None,
        from_us: Time = None,
        to_us: Time = None,
        site: Site = None,
        gwp: Gwp = "AR5",
        known_at: Known = None,
    ) -> Response:
        """Either days (from, to): every source's gases with its hours (m measured, b bridged, x missing, o open, . ahead), factors and notes;
        or an interval (from_us, to_us), at most three days: the gases of exactly that stretch, what is known of each and of how much time."""
        gwps = _gwp(gwp)
        if from_us is not None and to_us is not None and first is None:
            return await _interval(days, clock, periods, principal.tenant_id, site, (from_us, to_us), gwps)
        if first is None or from_us is not None or to_us is not None:
            raise Problem("invalid-request", "expected either from and to (days) or from_us and to_us (microseconds)")
        wanted = _wanted(first, last or first, site, gwps, "", known_at)
        found, missing = await periods.rows(principal.tenant_id, wanted)
        return answer({"days": [_day(row, gwps) for row in found], "missing": list(missing)})


async def _interval(
    days: Days, clock: Clock, periods: Periods, tenant_id: int, site: str | None, window: tuple[int, int], gwp: str
) -> Response:
    now_us = clock.now_us()
    if not window[0] < window[1] <= now_us or window[1] - window[0] > LONGEST_US:
        raise Problem("invalid-request", "expected from_us before to_us, both in the past and at most three days apart")
    sites = (await periods.known(tenant_id)).register.sites
    if site is not None and site not in sites:
        raise Problem("not-found", f'the inventory has no site "{site}"; it has {", ".join(sites)}')
    found = [await days.interval(tenant_id, one, *window) for one in (sites if site is None else (site,))]
    shown = []
    for digest, row in found:
        output = plain(row.output)
        known = {scope: gwp_set(gwp).co2e_of_known(Masses(**gases)).tonnes for scope, gases in output["gases_kg"].items()}
        shown.append({"id": digest.hex(), **output, "gwp": gwp, "known_t": known})
    return answer({"intervals": shown})


def _day(row: DayRow, gwp: str) -> dict[str, Any]:
    output = plain(row.output)
    for one in (*output["records"], *output["as_stated"]):
        one["known_t"] = gwp_set(gwp).co2e_of_known(Masses(**one["gases_kg"])).tonnes
    return {"id": row.digest.hex(), "known_at_us": row.as_of_us, "gwp": gwp, **output}


def _period_routes(router: APIRouter, periods: Periods, reader: Asker) -> None:
    who = Annotated[Principal, Depends(reader)]

    @router.get("/totals")
    async def get_totals(
        principal: who, first: First, last: Last, site: Site = None, gwp: Gwp = "AR5", scenario: Scenario = "", known_at: Known = None
    ) -> Response:
        """Totals by scope under one set of potentials: masses per gas, CO2e with its interval, data quality. `figure_t` is null while there
        are doubts, which are listed; `known_t` is the part that is known. Scope 2 stands by location and by market, never summed."""
        found = await periods.totals(principal.tenant_id, _wanted(first, last, site, _gwp(gwp), scenario, known_at))
        return answer(_shown(found))

    @router.get("/restatements")
    async def get_restatements(
        principal: who,
        first: First,
        last: Last,
        before: Annotated[int, Query(ge=EARLIEST_US, le=LATEST_US)],
        after: Annotated[int, Query(ge=EARLIEST_US, le=LATEST_US)],
        site: Site = None,
        gwp: Gwp = "AR5",
    ) -> Response:
        """The same period as known at two times, with the totals of both and every record that says something else."""
        if before >= after:
            raise Problem("invalid-request", "expected before < after")
        return answer(plain(await periods.restated(principal.tenant_id, _wanted(first, last, site, _gwp(gwp), "", None), before, after)))

    @router.get("/intensity")
    async def get_intensity(principal: who, first: First, last: Last, site: Site = None, known_at: Known = None) -> Response:
        """Methane and flaring intensity and the other figures of the period, each with its unit or the reason why it is not known; OGMP 2.0
        level of each source and asset; gas flared by purpose."""
        wanted = _wanted(first, last, site, "AR5", "", known_at)
        found = await periods.totals(principal.tenant_id, wanted)
        at_us = known_at if known_at is not None else LATEST_US
        measured = [one for one, _, _ in await periods.measures(principal.tenant_id, wanted, at_us)]
        output = plain(found.row.output)
        figures = [asdict(one) for one in measures.figures(measured, output).values()]
        levels = [{"source": one["source"], "asset": one["asset"], "ogmp_level": one["ogmp_level"]} for one in output["sources"]]
        shown = {"figures": figures, "sources": levels, "assets": output["assets"], "flared": output["flared"]}
        return answer({"id": found.digest.hex(), "from": output["from"], "to": output["to"], **shown})

    @router.get("/score")
    async def get_score(principal: who, first: First, last: Last, site: Site = None, gwp: Gwp = "AR5", known_at: Known = None) -> Response:
        """The score of a period: an interval over everything, one number where at least 70 % of the weight is measured, contributions that add
        up to it less 50, legal breaches that cap a topic, and how it moves when every weight may be a fifth more or less."""
        return answer(_shown(await periods.score(principal.tenant_id, _wanted(first, last, site, _gwp(gwp), "", known_at))))

    @router.get("/leaks")
    async def get_leaks(principal: who, first: First, last: Last, site: Site = None) -> Response:
        """Where somebody should look: for each balance of the inventory the probability that more escapes than its meters explain, an interval
        in kg/h, the meters to check first, and the text of a work order. Nothing of it is an entry of the inventory."""
        wanted = _wanted(first, last, site, "AR5", "", None)
        known = await periods.known(principal.tenant_id)
        found, _ = await periods.rows(principal.tenant_id, wanted)
        return answer({"sections": [triage.looked_at(one, found) for one in known.register.sections if site in (None, one.site)]})


def _measure_routes(router: APIRouter, db: Database, clock: Clock, periods: Periods, askers: tuple[Asker, Asker], record: Record) -> None:
    reader, writer = askers

    @router.post("/measures", status_code=201)
    async def post_measures(principal: Annotated[Principal, Depends(writer)], handed: Handed) -> Response:
        """Registered numbers of a period: water, spills, safety, production, other figures. All are kept or none; a later one of the same
        kind, site, name and period replaces an earlier one from now on."""
        known_at_us = clock.now_us()
        rows = [
            {
                "kind": one.kind,
                "site": one.site,
                "name": one.name,
                "first": one.first,
                "last": one.last,
                "document": orjson.dumps(one.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS).decode(),
            }
            for one in handed.measures
        ]
        keys = [tuple(row[name] for name in ("kind", "site", "name", "first", "last")) for row in rows]
        if len(set(keys)) != len(keys):
            raise Problem("invalid-request", "two measures of one kind, site, name and period are handed in together")
        async with db.tenant(principal.tenant_id) as connection:
            await store.add_measures(connection, principal.tenant_id, rows, known_at_us, principal.actor.by)
            await record(connection, principal.actor, "register-measures", "esg/measures", {"count": len(rows)})
        return answer({"stored": len(rows), "known_at_us": known_at_us}, 201)

    @router.get("/measures")
    async def get_measures(
        principal: Annotated[Principal, Depends(reader)], first: First, last: Last, site: Site = None, known_at: Known = None
    ) -> Response:
        """What is registered for periods within these days, as known at a time."""
        wanted = _wanted(first, last, site, "AR5", "", known_at)
        found = await periods.measures(principal.tenant_id, wanted, known_at if known_at is not None else LATEST_US)
        shown = [{**one.model_dump(mode="json"), "known_at_us": at_us, "by": by} for one, at_us, by in found]
        return answer({"measures": shown})


def _wanted(first: date, last: date, site: str | None, gwp: str, scenario: str, known_at: int | None) -> Wanted:
    if not measures.EARLIEST <= first <= last <= measures.LATEST or (last - first).days >= MOST_DAYS:
        raise Problem("invalid-request", f"expected from <= to between {measures.EARLIEST} and {measures.LATEST}, at most {MOST_DAYS} days")
    if scenario not in ("", AS_STATED):
        raise Problem("invalid-request", f'scenario: expected "{AS_STATED}" or nothing, found "{scenario}"')
    return Wanted(first, last, site, gwp, scenario, known_at)


def _gwp(name: str) -> str:
    if name not in gwp_sets():
        raise Problem("invalid-request", f'gwp: expected one of {", ".join(sorted(gwp_sets()))}, found "{name}"')
    return name


def _shown(found: Stored) -> dict[str, Any]:
    return {"id": found.digest.hex(), "as_of_us": found.row.as_of_us, **plain(found.row.output)}
