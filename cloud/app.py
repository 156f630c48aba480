"""The hub over HTTP: the application, its middleware and every route, given the parts that `hub` puts together. No other module builds a route's parts.

    app = create_app(config, database_url)        an ASGI application; its lifespan opens the pool and starts the sequencers

`/health` names what is wrong per component; `/metrics` is for Prometheus. Both are open: they name no tenant's data.
"""

import contextlib
from collections.abc import AsyncIterator

import orjson
from fastapi import FastAPI, Response

from cloud import openapi, problems
from cloud.assets import api as alarm_api
from cloud.audit import api as audit_api
from cloud.audit import journal_api
from cloud.body import BodyLimit, BodyRules
from cloud.compliance import api as compliance_api
from cloud.compliance import controls_api, facts_api, privacy_register_api, profile_api
from cloud.compliance.surveillance import cases_api, orders_api
from cloud.compliance.surveillance.desk import Surveillance
from cloud.config import HubConfig
from cloud.configuration import api as configuration_api
from cloud.disclosure import api as outages_api
from cloud.disclosure.inside import inside
from cloud.disclosure.outages import COVER, PUBLISH, Outages
from cloud.esg import api as esg_api
from cloud.esg.periods import Periods
from cloud.evidence import api as evidence_api
from cloud.http.conditional import Conditional
from cloud.http.correlation import Correlation
from cloud.http.idempotency import Idempotency
from cloud.http.sniffing import Sniffing
from cloud.hub import Hub
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
from cloud.identity.approvals import Approvals, Decisions
from cloud.identity.me_api import Myself
from cloud.identity.oidc import Providers
from cloud.identity.oidc_api import CompanySignIn
from cloud.identity.passkeys_api import Passkeys
from cloud.identity.peer import PeerNeeded
from cloud.identity.people import GRANT_ADMIN, People
from cloud.identity.privacy import ERASE, Privacy
from cloud.identity.session_api import Sessions
from cloud.identity.tenants import SHORTEN, Tenants
from cloud.identity.throttle import Throttle
from cloud.market import api as market_api
from cloud.postgres import Cluster
from cloud.reaction import api as reaction_api
from cloud.reaction import snapshot
from cloud.reaction.production import Production
from cloud.reports import api as reports_api
from cloud.reports import drafts_api, imports_api, stor_api
from cloud.reports.drafts import FILE, FILE_STOR, Drafts
from cloud.telemetry import api as telemetry_api
from cloud.telemetry import bundles, events, reading, several, stream_api
from cloud.trading import api as trading_api
from cloud.trading.booking import Desk
from cloud.web import pages
from protocols import configuration
from protocols.clock import Clock, SystemClock
from protocols.tracing import OFF, Tracing


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
