"""The reaction at work: one task per tenant that this process leads, woken by every growth of its log and every booking.

With several hub processes one leads each tenant; the others show the results that its rows bring them. Nothing queues: a wake-up while a
pass runs makes one more pass. The slower detail follows a result when nothing else is waiting.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import orjson

from cloud.assets.alarm_board import Boards
from cloud.assets.alarm_watch import AlarmWatch
from cloud.db import Database, Unavailable
from cloud.evidence import store as evidence_store
from cloud.evidence.code import steady
from cloud.reaction import stages
from cloud.reaction.notices import ALL, Notices
from cloud.reaction.results import Results, document
from cloud.reaction.tenant import Made, Overtaken, Risk, TenantReaction
from cloud.risk.errors import RiskError
from protocols import tasks
from protocols.batch import evidence
from protocols.clock import Clock
from protocols.tracing import OFF, Tracing

TICK_S: Final = 1.0  # without news, how often it is looked for what became stale, and for bookings of other processes
REST_S: Final = (
    0.2  # between the beginnings of two passes: what arrives together is taken together, and no more than five rows a second are kept
)
IDLE_S: Final = 1.0  # a tenant without a model or settings is not looked at more often
RETRY_S: Final = 2.0
DETAIL_EVERY_S: Final = 15.0
KINDS: Final = (stages.HEALTH, stages.FORECAST, stages.RISK, stages.DETAIL)
_logger = logging.getLogger("qenergyz.hub.reaction")


class Reaction:
    """`async with Reaction(...)`. results, alarms: where readers find the newest; wake_log: called after rows were committed."""

    def __init__(
        self,
        db: Database,
        url: str,
        clock: Clock,
        results: Results,
        tenants: Callable[[], Awaitable[Sequence[int]]],
        wake_log: Callable[[int], None],
        alarms: Boards,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._db, self._clock, self._results, self._tenants, self._wake_log = db, clock, results, tenants, wake_log
        self._alarms = alarms
        self._threads = ThreadPoolExecutor(1, "reaction")
        self._slow = ThreadPoolExecutor(1, "reaction-detail")
        self._notices = Notices(url, self.wake)
        self._awake: dict[int, asyncio.Event] = {}
        self._shown: dict[int, int] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._details: set[asyncio.Task[None]] = set()
        self._problems: dict[int, str] = {}
        self._told: dict[int, str] = {}
        self._led: set[int] = set()
        self._detail_due: dict[int, float] = {}
        self._followers: list[Callable[[int], None]] = []

    async def __aenter__(self) -> "Reaction":
        steady()
        await self._notices.__aenter__()
        self._finder = asyncio.create_task(self._find(), name="reaction")
        return self

    async def __aexit__(self, *_: object) -> None:
        await tasks.end(self._finder)
        await tasks.end(*self._tasks.values())
        await tasks.end(*self._details)
        await self._notices.__aexit__()
        for threads in (self._threads, self._slow):
            threads.shutdown(wait=False, cancel_futures=True)

    def followed_by(self, call: Callable[[int], None]) -> None:
        """call(tenant_id), which must not block: after every pass of the leading process that made rows, and when its leadership begins."""
        self._followers.append(call)

    def wake(self, tenant_id: int) -> None:
        """Never blocks; ALL wakes everybody."""
        for event in self._awake.values() if tenant_id == ALL else filter(None, [self._awake.get(tenant_id)]):
            event.set()

    def leads(self, tenant_id: int) -> bool:
        """Whether this process leads the tenant, as its last pass found."""
        return tenant_id in self._led

    @property
    def problem(self) -> str:
        return "; ".join(f"tenant {tenant_id}: {reason}" for tenant_id, reason in sorted(self._problems.items()))

    async def _find(self) -> None:
        """A task for every tenant there is."""
        while True:
            try:
                for tenant_id in await self._tenants():
                    if tenant_id not in self._tasks:
                        self._awake[tenant_id] = asyncio.Event()
                        self._tasks[tenant_id] = asyncio.create_task(self._follow(tenant_id), name=f"reaction {tenant_id}")
                await self._notices.check()
            except Unavailable as error:
                _logger.debug("reaction_tenants_failed reason=%s", error)
            await asyncio.sleep(TICK_S)

    async def _follow(self, tenant_id: int) -> None:
        """Passes begin at most every REST_S: one that takes longer is followed at once when something waits."""
        tenant = TenantReaction(self._db, self._clock, self._threads, self._slow, tenant_id, AlarmWatch(self._alarms, tenant_id))
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):  # not wait_for, which in Python 3.11 can swallow a cancellation
                    await self._awake[tenant_id].wait()
            self._awake[tenant_id].clear()
            began = loop.time()
            try:
                await self._pass(tenant_id, tenant)
                self._better(tenant_id)
            except Overtaken as error:
                _logger.info("reaction_overtaken tenant=%s site=%s", tenant_id, error)
                tenant.forget()
            except Unavailable as error:
                _logger.debug("reaction_unavailable reason=%s", error)
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # the supervising loop of a task
                await self._worse(tenant_id, error)
                tenant.forget()
            await asyncio.sleep(max(0.0, began + (IDLE_S if tenant.idle else REST_S) - loop.time()))

    async def _pass(self, tenant_id: int, tenant: TenantReaction) -> None:
        if not await self._notices.leads(tenant_id):
            self._led.discard(tenant_id)
            await self._show_stored(tenant_id)
            return
        if tenant_id not in self._led:
            await self._show_stored(tenant_id)
            tenant.forget()
            self._led.add(tenant_id)
            self._call_followers(tenant_id)
        before = tenant.risk
        began_ns = self._tracing.now_ns()
        made = await tenant.react()
        if made:
            self._tracing.past("reaction", began_ns, tenant=tenant_id, results=len(made))
        self._show(tenant_id, made)
        if tenant.behind:
            self._awake[tenant_id].set()
        now = asyncio.get_running_loop().time()
        if tenant.risk is not None and tenant.risk is not before and now >= self._detail_due.get(tenant_id, 0.0) and not self._details:
            self._detail_due[tenant_id] = now + DETAIL_EVERY_S
            self._later(self._detail(tenant_id, tenant, tenant.risk))
        self._tell(tenant_id, tenant)

    def _tell(self, tenant_id: int, tenant: TenantReaction) -> None:
        """Why there is no risk figure, as a result of its own that is no evidence."""
        if tenant.problem != self._told.get(tenant_id, ""):
            self._told[tenant_id] = tenant.problem
            members = {"kind": "problem", "subject": "risk", "made_us": self._clock.now_us(), "output": {"reason": tenant.problem}}
            self._results.publish(tenant_id, "problem", "risk", orjson.dumps(members))

    async def _worse(self, tenant_id: int, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if self._problems.get(tenant_id) != reason:
            _logger.exception("reaction_down tenant=%s", tenant_id)
        self._problems[tenant_id] = reason
        await asyncio.sleep(RETRY_S)

    def _better(self, tenant_id: int) -> None:
        if self._problems.pop(tenant_id, None):
            _logger.warning("reaction_up tenant=%s", tenant_id)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._details.add(task)
        task.add_done_callback(self._details.discard)

    async def _detail(self, tenant_id: int, tenant: TenantReaction, risk: Risk) -> None:
        try:
            self._show(tenant_id, [await tenant.detail(risk)])
        except (RiskError, Unavailable) as error:
            _logger.warning("detail_not_valued tenant=%s reason=%s", tenant_id, error)
        except Exception:  # the supervising place of a task
            _logger.exception("detail_failed tenant=%s", tenant_id)

    def _show(self, tenant_id: int, made: Sequence[Made]) -> None:
        if not made:
            return
        windows = [one.row.inputs.window for one in made if one.row.inputs.window is not None]
        sensed = (min(first for first, _ in windows), max(last for _, last in windows)) if windows else None
        for one in made:
            row = evidence.decode(evidence.encode(one.row))
            self._results.publish(tenant_id, row.kind, row.subject, document(one.digest, row, one.made_us, sensed))
        self._wake_log(tenant_id)
        self._call_followers(tenant_id)

    def _call_followers(self, tenant_id: int) -> None:
        for call in self._followers:
            call(tenant_id)

    async def _show_stored(self, tenant_id: int) -> None:
        """What another process made, or this one before it was started anew."""
        async with self._db.tenant(tenant_id) as connection:
            found = await evidence_store.newest_of_each(connection, tenant_id, self._shown.get(tenant_id, 0))
            await self._alarms.refresh(connection, tenant_id)
        for row in found:
            self._shown[tenant_id] = max(self._shown.get(tenant_id, 0), row.id)
            decoded = row.row
            if decoded.kind in KINDS:
                self._results.publish(
                    tenant_id, decoded.kind, decoded.subject, document(row.digest, decoded, row.made_us, decoded.inputs.window)
                )
