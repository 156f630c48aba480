"""The hub put together: parts, their lifetimes, routes. No other module builds a part.

    app = create_app(config, database_url)        an ASGI application; its lifespan opens the pool and starts the sequencers

`/health` names what is wrong per component; `/metrics` is for Prometheus. Both are open: they name no tenant's data.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from fastapi import FastAPI, Response

from cloud import openapi, problems
from cloud.assets import api as alarm_api
from cloud.assets.alarm_board import AlarmFeed, Boards
from cloud.audit import actions, journal_api
from cloud.audit import api as audit_api
from cloud.audit.actions import Action
from cloud.audit.keys import LogKeys
from cloud.audit.log import Log
from cloud.body import BodyLimit, BodyRules
from cloud.compliance import api as compliance_api
from cloud.compliance import controls_api, facts_api, parameters, privacy_register_api, profile_api
from cloud.compliance.asking import Rules
from cloud.compliance.judging import Judging
from cloud.compliance.surveillance import cases_api, orders_api
from cloud.compliance.surveillance.desk import Surveillance
from cloud.config import HubConfig
from cloud.configuration import api as configuration_api
from cloud.configuration.api import Configurations
from cloud.db import Connection, Database
from cloud.disclosure import api as outages_api
from cloud.disclosure.inside import inside
from cloud.disclosure.ledger import Ledger
from cloud.disclosure.order_gate import OrderGate
from cloud.disclosure.outages import COVER, PUBLISH, Outages
from cloud.disclosure.watch import Watch
from cloud.esg import api as esg_api
from cloud.esg.days import Days
from cloud.esg.periods import Periods
from cloud.evidence import api as evidence_api
from cloud.http.conditional import Conditional
from cloud.http.correlation import Correlation
from cloud.http.idempotency import Idempotency
from cloud.http.sniffing import Sniffing
from cloud.identity import api as identity_api
from cloud.identity import (
    approvals_api,
    certificates_api,
    factors_api,
    me_api,
    oidc_api,
    passkeys_api,
    people_api,
    people_store,
    privacy_api,
    session_api,
    tenant_api,
    tokens_api,
)
from cloud.identity import store as identity_store
from cloud.identity.access import AccessTokens
from cloud.identity.actor import Actor
from cloud.identity.approvals import Approvals, Decisions
from cloud.identity.authority import Authority
from cloud.identity.credentials import Principal
from cloud.identity.gate import Gate
from cloud.identity.keyring import KeyRing
from cloud.identity.login import Door
from cloud.identity.me_api import Myself
from cloud.identity.oidc import Providers
from cloud.identity.oidc_api import CompanySignIn
from cloud.identity.passkeys_api import Passkeys
from cloud.identity.passwords import Sealer
from cloud.identity.peer import PeerNeeded
from cloud.identity.people import GRANT_ADMIN, People
from cloud.identity.privacy import ERASE, Privacy
from cloud.identity.session_api import Sessions
from cloud.identity.tenants import SHORTEN, Tenants
from cloud.identity.throttle import Throttle
from cloud.market import api as market_api
from cloud.metrics import Metrics
from cloud.postgres import Cluster, ClusterError
from cloud.reaction import api as reaction_api
from cloud.reaction import snapshot
from cloud.reaction.loop import Reaction
from cloud.reaction.production import Production
from cloud.reaction.results import ResultFeed, Results
from cloud.reports import api as reports_api
from cloud.reports import drafts_api, imports_api, stor_api
from cloud.reports.drafts import FILE, FILE_STOR, Drafts
from cloud.reports.filed import Filings
from cloud.reports.reported import answered, reported
from cloud.telemetry import api as telemetry_api
from cloud.telemetry import bundles, events, reading, rebuild, several, stream_api
from cloud.telemetry import store as telemetry_store
from cloud.telemetry.arrivals import Arrivals
from cloud.telemetry.channels import Channels, Document, Shared
from cloud.telemetry.compactor import Compactor
from cloud.telemetry.intake import Intake
from cloud.telemetry.latest import Latest
from cloud.telemetry.live import Feed
from cloud.telemetry.tables import TagTables
from cloud.telemetry.window import Windows
from cloud.trading import api as trading_api
from cloud.trading.booking import Desk
from cloud.web import pages
from protocols import configuration, tasks
from protocols.clock import Clock, SystemClock
from protocols.tracing import OFF, Tracing

DEFAULT_TENANT = "default"
GUARD_INTERVAL_S = 1.0
_logger = logging.getLogger("qenergyz.hub")


class Hub:
    """Every part of one hub process, for the routes and for tests. `async with hub` runs the background work."""

    def __init__(self, config: HubConfig, database_url: str, clock: Clock, cluster: Cluster | None = None, tracing: Tracing = OFF) -> None:
        limits = config.limits
        self.tracing = tracing
        self.config, self.clock, self.cluster = config, clock, cluster
        self.metrics = Metrics()
        self.db = Database(database_url, limits)
        self.threads = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="verify")
        self.log_keys = log_keys = LogKeys(config.keys)
        self.log = Log(self.db, log_keys, clock, limits, self._logs, tracing)
        self.log.on_integrated(lambda tenant_id, size: self.metrics.log_size.labels(str(tenant_id)).set(size))
        self.authority = Authority.load_or_make(config.keys, config.name) if config.tls and config.tls.issue else None
        self.keys = KeyRing(self.db, clock, limits.key_validity_s, limits.known_keys)
        self.configurations = Configurations(self.db, self.keys, clock, log_keys.signer, self._origin, self.log.wake, self.record)
        self.filings = Filings(clock, self.record, log_keys.signer)
        self.tables = TagTables(self.db, limits.known_tag_tables)
        self.latest = Latest()
        self.arrivals = Arrivals()
        self.windows = Windows(self.db, self.tables, self.threads)
        self.compactor = Compactor(self.db, self.tables, self._tenant_ids, self.threads, lambda: self.intake.busy)
        self.closing = asyncio.Event()
        self.listeners: list[Callable[[int], None]] = []
        self.results = Results()
        self.alarms = Boards()
        self.reaction = Reaction(self.db, database_url, clock, self.results, self._tenant_ids, self.log.wake, self.alarms, tracing)
        self.listeners.append(self.reaction.wake)
        self.emission_days = Days(self.db, clock, self.log.wake)
        self.reaction.followed_by(self.emission_days.follow)
        self.ledger = Ledger(clock, self.record)
        self.outages = Watch(self.db, clock, self.ledger, self.results.publish, self.log.wake, self._tenant_ids, config.data / "umm")
        self.reaction.followed_by(self.outages.wake)
        self.listeners.append(self.outages.wake)
        self.rules = Rules(self.db, clock, self.threads, parameters.shipped(), self.record, self.log.wake, reported)
        lead, show, every_s = self.reaction.leads, self.results.publish, limits.judge_interval_s
        self.judging = Judging(self.rules, self._tenant_ids, lead, answered, show, every_s)
        self.restriction = OrderGate(self.db, clock, self.record)  # of deals
        self.access = AccessTokens(config.keys / "access.pem", config.name)
        rate = Throttle(clock, limits.requests_per_minute, limits.requests_burst)
        self.gate = Gate(self.db, clock, self.access, limits.session_idle_s, rate)
        self.door = Door(self.db, clock, self.threads, Sealer(config.keys / "people.key"), self.record)
        self.intake = Intake(
            self.db, self.log, self.keys, self.tables, self.latest, self.arrivals, self.metrics, clock, limits, self.threads
        )
        self.documents = self._documents()
        self.channels = Channels(Shared(self.db, self.latest, (self.results, self.alarms), self.documents, self.closing))

    def _documents(self) -> Sequence[Document]:
        """What the live stream carries whole."""

        return (
            Document("gateways", "read:field", self.gateways),
            Document("tags", "read:field", reading.tags_json, telemetry_store.tags_mark),
            Document("model", "read:assets", reaction_api.model_json, reaction_api.model_mark),
        )

    async def gateways(self, connection: Connection, tenant_id: int) -> bytes:
        """The document of all gateways of a tenant, with what only other parts of the hub know of them."""

        async def keys(connection: Connection, tenant_id: int) -> Mapping[int, Mapping[str, Any]]:
            found = await identity_store.key_ends(connection, tenant_id, self.clock.now_us())
            return {gateway_id: {"key": key} for gateway_id, key in found.items()}

        return await reading.gateways_json(connection, tenant_id, self.intake.receipted, (keys, configuration_api.members))

    async def __aenter__(self) -> "Hub":
        self._stack = contextlib.AsyncExitStack()
        self._stack.callback(self.threads.shutdown, wait=False, cancel_futures=True)
        await self._stack.enter_async_context(self.db)
        await identity_store.ensure_tenant(self.db, DEFAULT_TENANT, self.config.name, self.clock.now_us())
        for tenant_id, _ in await self._logs():
            await rebuild.rebuild_latest(self.db, self.tables, self.latest, tenant_id)
        await self._stack.enter_async_context(self.log)
        self._stack.push_async_callback(tasks.end, asyncio.create_task(self.compactor.run(), name="compactor"))
        await self._stack.enter_async_context(self.outages)
        await self._stack.enter_async_context(self.reaction)
        await self._stack.enter_async_context(self.emission_days)
        await self._stack.enter_async_context(self.judging)
        if self.cluster:
            guard = asyncio.create_task(self._guard(self.cluster), name="database guard")
            self._stack.push_async_callback(tasks.end, guard)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _logs(self) -> Sequence[tuple[int, str]]:
        return [(tenant.tenant_id, tenant.origin) for tenant in await identity_store.tenants(self.db)]

    async def _origin(self, tenant_id: int) -> str:
        return (await identity_store.tenant_by_id(self.db, tenant_id)).origin

    async def _tenant_ids(self) -> Sequence[int]:
        return [tenant_id for tenant_id, _ in await self._logs()]

    async def _guard(self, cluster: Cluster) -> None:
        """Start the embedded database again when it is gone."""
        while True:
            await asyncio.sleep(GUARD_INTERVAL_S)
            if cluster.pid() is not None:
                continue
            _logger.error("database_down cluster=%s", cluster.folder)
            try:
                await asyncio.to_thread(cluster.start)
                _logger.warning("database_up cluster=%s", cluster.folder)
            except (ClusterError, OSError) as error:
                _logger.error("database_start_failed reason=%s", error)  # the reason is the whole story

    def feeds(self, principal: Principal, after: int | None = None) -> Sequence[Feed]:
        """What the live stream carries for this reader beside latest values. after: the last alarm they were told."""
        found: list[Feed] = [ResultFeed(self.results, principal.tenant_id, principal.sees)]
        return [*found, AlarmFeed(self.alarms, self.db, principal.tenant_id, after)] if principal.may("read:assets") else found

    def changed(self, tenant_id: int) -> None:
        """Quotes, deals or calendars of the tenant were committed: tell whoever listens."""
        for listener in self.listeners:
            listener(tenant_id)

    async def record(self, connection: Connection, actor: Actor, name: str, subject: str, detail: dict[str, Any]) -> None:
        """An action in the journal and the log, in the transaction that does it."""
        await actions.record(connection, actor.tenant_id, self.clock.now_us(), Action(actor.by, name, subject, detail))
        self.log.wake(actor.tenant_id)

    async def health(self) -> dict[str, dict[str, str]]:
        """Cause per component; an empty cause means it works."""
        database = await self.db.alive()
        causes = {"database": database or "", "sequencer": "; ".join(self.log.problems), "compactor": self.compactor.problem}
        causes |= {"reaction": self.reaction.problem, "outages": self.outages.problem, "judging": self.judging.problem}
        return {name: {"state": "down" if cause else "up", "cause": cause} for name, cause in causes.items()}


def create_app(
    config: HubConfig, database_url: str, clock: Clock | None = None, cluster: Cluster | None = None, tracing: Tracing = OFF
) -> FastAPI:
    """tracing: closed by whoever made it."""
    hub = Hub(config, database_url, clock or SystemClock(), cluster, tracing)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with hub:
            yield

    app = FastAPI(title="Qenergyz hub", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.hub = hub
    problems.install(app, config.limits.retry_after_s)
    limits = config.limits
    sizes = {"/v1/batches": limits.body_bytes, "/v1/tag-tables": limits.tag_table_bytes}
    sizes["/v1/gateways"] = configuration.LONGEST
    sizes["/v1/esg/inventory"] = limits.document_bytes
    sizes |= dict.fromkeys(
        ("/v1/quotes", "/v1/deals", "/v1/calendars", "/v1/history", "/v1/assets", "/v1/orders", "/v1/statements"), limits.document_bytes
    )
    rules = BodyRules(sizes, limits.small_body_bytes, limits.body_s, limits.bodies_per_address, limits.push_back_s)
    app.add_middleware(Idempotency, db=hub.db, clock=hub.clock, known=hub.gate.known)
    app.add_middleware(Sniffing)
    app.add_middleware(Conditional)
    app.add_middleware(BodyLimit, rules=rules)
    if config.tls and config.tls.asks:
        app.add_middleware(PeerNeeded)
    _include(app, hub)
    _include_gateways(app, hub)

    @app.get("/health", tags=["operation"])
    async def get_health() -> Response:
        """200 when everything works, 503 with the cause otherwise."""
        components = await hub.health()
        down = any(component["state"] == "down" for component in components.values())
        document = {"state": "down" if down else "up", "components": components}
        return Response(orjson.dumps(document), 503 if down else 200, media_type="application/json")

    @app.get("/metrics", tags=["operation"])
    async def get_metrics() -> Response:
        return Response(hub.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    pages.install(app)
    app.add_middleware(Correlation)
    app.openapi = openapi.describer(app)  # type: ignore[method-assign]
    return app


def _include(app: FastAPI, hub: Hub) -> None:
    async def watch_log(tenant_id: int) -> None:
        tenant = await identity_store.tenant_by_id(hub.db, tenant_id)
        hub.log.watch(tenant_id, tenant.origin)

    needs = hub.gate.needs
    app.include_router(
        identity_api.routes(
            hub.db,
            hub.clock,
            needs("write:gateways"),
            lambda tenant: hub.log.log_key(tenant.tenant_id, tenant.origin),
            watch_log,
            hub.record,
        )
    )
    app.include_router(telemetry_api.gateway_routes(hub.intake, hub.tracing))
    field, proof, assets = needs("read:field"), needs("read:evidence"), needs("read:assets")
    app.include_router(reading.routes(hub.windows, hub.latest, hub.gateways, field))
    app.include_router(several.routes(hub.windows, field))
    app.include_router(stream_api.routes(hub.channels, hub.documents, field, hub.feeds))
    app.include_router(events.routes(hub.db, field))
    app.include_router(bundles.routes(hub.windows, hub.log, proof))
    app.include_router(audit_api.routes(hub.log, proof))
    app.include_router(evidence_api.routes(hub.windows, hub.log, proof))
    parts = (hub.db, hub.clock, hub.threads)
    app.include_router(market_api.routes(*parts, needs("read:market"), needs("write:market"), hub.changed))
    app.include_router(
        trading_api.routes(*parts, needs("read:deals"), needs("write:deals"), hub.changed, Production(hub.db), hub.restriction)
    )
    app.include_router(alarm_api.routes(hub.db, hub.clock, hub.alarms, snapshot.asset_names, assets, needs("write:alarms"), hub.changed))
    desk = (needs("read:risk"), needs("write:risk"))
    app.include_router(reaction_api.routes(hub.db, hub.clock, hub.results, assets, needs("write:assets"), *desk, hub.changed))
    _include_esg(app, hub)
    _include_people(app, hub)
    _include_compliance(app, hub)


def _include_compliance(app: FastAPI, hub: Hub) -> None:
    rules = hub.rules
    reader, writer = hub.gate.needs("read:compliance"), hub.gate.needs("write:compliance")
    app.include_router(compliance_api.routes(rules, reader, writer))
    app.include_router(facts_api.routes(rules, reader, writer))


def _include_esg(app: FastAPI, hub: Hub) -> None:
    periods = Periods(hub.db, hub.clock, hub.emission_days, hub.log.wake)
    askers = (hub.gate.needs("read:esg"), hub.gate.needs("write:esg"))
    app.include_router(esg_api.routes(hub.db, hub.clock, hub.emission_days, periods, askers, hub.record))


def _include_gateways(app: FastAPI, hub: Hub) -> None:
    app.include_router(certificates_api.routes(hub.db, hub.clock, hub.authority))
    app.include_router(configuration_api.routes(hub.configurations, hub.gate.needs("read:field"), hub.gate.needs("write:gateways")))


def _include_controls(app: FastAPI, hub: Hub) -> None:
    journal, officer = hub.gate.needs("read:journal"), hub.gate.needs("write:compliance")
    parts = controls_api.Parts(hub.db, hub.clock, hub.record, hub.log.log_key, hub.log.wake)
    app.include_router(controls_api.routes(parts, journal, officer))
    app.include_router(privacy_register_api.routes(hub.db, journal))


def _include_conduct(app: FastAPI, hub: Hub) -> None:
    needs = hub.gate.needs
    reader, officer = needs("read:conduct"), needs("write:compliance")
    surveillance = Surveillance(hub.db, hub.clock, hub.threads, hub.record, inside, hub.log.wake)
    app.include_router(orders_api.routes(hub.db, surveillance, needs("write:deals"), reader, officer))
    app.include_router(cases_api.routes(hub.db, hub.clock, hub.record, reader, officer))


def _include_reports(app: FastAPI, hub: Hub, drafts: Drafts) -> None:
    _include_conduct(app, hub)
    _include_controls(app, hub)
    desk = Desk(hub.db, hub.clock, hub.changed, hub.restriction)
    app.include_router(imports_api.routes(hub.db, hub.clock, hub.threads, desk, hub.gate.needs("write:deals")))
    reader, writer = hub.gate.needs("read:compliance"), hub.gate.needs("write:compliance")
    app.include_router(reports_api.routes(hub.db, hub.clock, hub.filings, reader, writer))
    app.include_router(drafts_api.routes(hub.db, hub.clock, hub.threads, drafts, reader, writer))
    app.include_router(stor_api.routes(hub.db, hub.clock, hub.filings, drafts, writer))


def _include_outages(app: FastAPI, hub: Hub, outages: Outages) -> None:
    needs = hub.gate.needs
    reader = needs("read:compliance")
    app.include_router(profile_api.routes(hub.db, hub.clock, reader, needs("write:compliance"), hub.changed, hub.record))
    app.include_router(outages_api.routes(hub.db, hub.clock, outages, reader, needs("write:outages"), needs("read:deals")))


def _include_people(app: FastAPI, hub: Hub) -> None:
    limits, gate, door, record = hub.config.limits, hub.gate, hub.door, hub.record
    throttle = Throttle(hub.clock, limits.sign_ins_per_minute, limits.sign_ins_burst)
    sessions, myself = Sessions(door, limits.session_s), Myself(door, gate)
    approvals = Approvals(hub.clock, record)
    tenants = Tenants(hub.clock, approvals, record)
    people, privacy = People(door, approvals, tenants), Privacy(hub.clock, approvals, record)
    drafts = Drafts(hub.db, hub.clock, hub.threads, hub.filings, approvals)
    _include_reports(app, hub, drafts)
    outages = Outages(hub.db, hub.clock, hub.ledger, approvals, record, hub.filings.keep)
    _include_outages(app, hub, outages)
    effects = {GRANT_ADMIN: people.grant_admin, SHORTEN: tenants.shorten, ERASE: privacy.erase, FILE: drafts.file, FILE_STOR: drafts.file}
    effects |= {PUBLISH: outages.publish, COVER: outages.cover}
    decisions = Decisions(hub.db, hub.clock, record, effects)
    app.include_router(session_api.routes(sessions, gate, hub.access, throttle))
    app.include_router(me_api.routes(door, myself, limits.session_idle_s))
    app.include_router(factors_api.routes(door, myself, hub.threads, record))
    app.include_router(passkeys_api.routes(Passkeys(door, hub.config.origin), gate, myself, sessions, throttle))
    company = CompanySignIn(door, Providers(hub.clock), tenants, hub.config.keys, hub.config.origin)
    app.include_router(oidc_api.routes(company, sessions, throttle))
    app.include_router(people_api.routes(people, door, gate, sessions, throttle, hub.threads))
    app.include_router(approvals_api.routes(hub.db, hub.clock, decisions, gate))
    app.include_router(tokens_api.routes(hub.db, hub.clock, gate, myself, record))
    app.include_router(tenant_api.routes(hub.db, tenants, gate))
    app.include_router(privacy_api.routes(hub.db, people, privacy, gate, myself))
    app.include_router(journal_api.routes(hub.db, gate.needs("read:journal"), people_store.called))
