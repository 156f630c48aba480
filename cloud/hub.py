"""Every part of one hub process, put together and kept running. Not for its routes: `app` has them."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cloud.assets.alarm_board import AlarmFeed, Boards
from cloud.audit import actions
from cloud.audit.actions import Action
from cloud.audit.keys import LogKeys
from cloud.audit.log import Log
from cloud.compliance import parameters
from cloud.compliance.asking import Rules
from cloud.compliance.judging import Judging
from cloud.config import HubConfig
from cloud.configuration import api as configuration_api
from cloud.configuration.api import Configurations
from cloud.db import Connection, Database
from cloud.disclosure.ledger import Ledger
from cloud.disclosure.order_gate import OrderGate
from cloud.disclosure.watch import Watch
from cloud.esg.days import Days
from cloud.identity import store as identity_store
from cloud.identity.access import AccessTokens
from cloud.identity.actor import Actor
from cloud.identity.authority import Authority
from cloud.identity.credentials import Principal
from cloud.identity.gate import Gate
from cloud.identity.keyring import KeyRing
from cloud.identity.login import Door
from cloud.identity.passwords import Sealer
from cloud.identity.throttle import Throttle
from cloud.metrics import Metrics
from cloud.postgres import Cluster, ClusterError
from cloud.reaction import api as reaction_api
from cloud.reaction.loop import Reaction
from cloud.reaction.results import ResultFeed, Results
from cloud.reports.filed import Filings
from cloud.reports.reported import answered, reported
from cloud.telemetry import reading, rebuild
from cloud.telemetry import store as telemetry_store
from cloud.telemetry.arrivals import Arrivals
from cloud.telemetry.channels import Channels, Document, Shared
from cloud.telemetry.compactor import Compactor
from cloud.telemetry.intake import Intake
from cloud.telemetry.latest import Latest
from cloud.telemetry.live import Feed
from cloud.telemetry.tables import TagTables
from cloud.telemetry.window import Windows
from protocols import tasks
from protocols.clock import Clock
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
