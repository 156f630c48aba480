"""OPC UA device by subscription.

asyncua opens channel, session and subscription; the publish loop is ours, so that a notification costs one struct and no task.
Everything is built anew at each open from the configuration: session, namespace index, subscription, monitored items. A node that
the server refuses gets the server's status once and costs no other node anything. A link is given up (DeviceUnreachable) when it
is cut, when the server ends session or subscription, when nothing at all is heard for `max_silence`, or when no value came for so
long and a read of the nodes shows that some should have. A notification that got lost on its way is asked for again; one that the server no
longer has ends the session where the map says `history`, so that the next one reads it, and is told as an event where it does not.

A subscription begins with the values that stand: whether they are news is for the caller to know, who remembers longer than a session.
With `history`, what happened between the last sample that the caller has (`resume`) and those values comes before them.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import asyncua.ua

from protocols import quality, tasks
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import DeviceUnreachable, DriverError, DriverSetup
from protocols.event import Event
from protocols.frame import Frame
from protocols.opcua import conditions, history, writing
from protocols.opcua.address import parse
from protocols.opcua.columns import Columns
from protocols.opcua.decode import NULL, Published, general_row
from protocols.opcua.definitions import read_structures
from protocols.opcua.endpoints import Peer
from protocols.opcua.items import Items, Monitored, monitor
from protocols.opcua.parts import Row, Structure, expand
from protocols.opcua.plan import Options, Settings, Trigger
from protocols.opcua.publishing import PublishLoop
from protocols.opcua.session import Session, connect, plain_errors
from protocols.opcua.texts import Texts

ua: Any = asyncua.ua  # built by star imports, which type checkers do not follow
log = logging.getLogger("qenergyz.edge")

CLOCK_TOLERANCE_US: Final = 10_000_000


class OpcUaDriver:
    def __init__(self, device: Device, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._options: Options = device.map.options
        self._settings: Settings = device.settings or Settings()
        self._columns = Columns(device)
        self._items = Items.of(device)
        self._structures: Mapping[str, Structure] = {}
        self._session: Session | None = None
        self._monitored = Monitored()
        self._background: list[asyncio.Task[None]] = []
        self._rows: list[Row] = []
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self._failure: DriverError | None = None
        self._last: dict[int, Row] = {}
        self._since_us: dict[int, int] = {}
        self._past: AsyncIterator[list[Row]] | None = None
        self._heard_us = self._data_us = 0
        self._silence_us = self._options.max_silence_us
        self._writing = asyncio.Lock()

    def resume(self, last_us: Mapping[int, int]) -> None:
        """Before `open`: source time of the newest sample that is kept, by the tag's number in the map. Only used with `history`."""
        if self._options.history:
            self._since_us.update(last_us)

    async def open(self) -> None:
        self._failure, self._past = None, None
        self._rows, self._events, self._news = [], [], asyncio.Event()
        self._session = session = await connect(Peer(self._device.name, self._device.address, self._settings), self._clock)
        with plain_errors(self._device.address):
            await self._begin(session)

    async def _begin(self, session: Session) -> None:
        session.client.connection_lost_callback = self._connection_lost
        if self._options.namespace not in session.namespaces and any(not item.address.namespace for item in self._items.items):
            raise DriverSetup(
                f'device "{self._device.name}": the server has no namespace "{self._options.namespace}", only {", ".join(session.namespaces)}',
                quality.BAD_CONFIGURATION,
            )
        if session.ahead_us is not None and abs(session.ahead_us) >= CLOCK_TOLERANCE_US:
            message = f"the server's clock is {session.ahead_us / 1e6:+.0f} s from the gateway's"
            self._tell([self._said("clock", message, kind="clock", ahead_us=session.ahead_us)])
        subscription = await session.client.uaclient.create_subscription(self._subscription(), lambda _: None)
        await self._stop_library_loop(session.client)
        await self._agree(session, subscription)
        self._heard_us = self._data_us = self._clock.monotonic_us()
        loop = PublishLoop(session, self._device.address, self._take_all, self._take_lost)
        self._background = [asyncio.create_task(self._publish(loop))]
        self._last = {}
        self._monitored = await monitor(session, subscription.SubscriptionId, self._items, self._options)
        if self._items.parts:
            nodes = [self._monitored.nodes[handle] for handle in self._items.parts if handle in self._monitored.nodes]
            self._structures = await read_structures(session, nodes)
        self._take(self._monitored.refused)
        if self._options.events:
            await self._listen(session, subscription.SubscriptionId)
        if self._device.map.texts:
            texts = Texts(self._device, self._options.namespace, self._clock)
            self._tell(await texts.read(session))
            self._background.append(asyncio.create_task(self._repeat(texts.shortest_us, lambda: self._reread(texts))))
        if self._monitored.thinned:
            shortest_us = min(tag.heartbeat_us for tag in self._monitored.thinned.values())
            self._background.append(asyncio.create_task(self._repeat(shortest_us // 2, self._heartbeat)))
        if self._options.history and self._since_us:
            self._past = self._catch_up(session)

    def _subscription(self) -> Any:
        keep_alive = self._keep_alives(self._options.publishing_us)
        return ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=self._options.publishing_us / 1000,
            RequestedLifetimeCount=10 * keep_alive,
            RequestedMaxKeepAliveCount=keep_alive,
            MaxNotificationsPerPublish=10_000,
            PublishingEnabled=True,
            Priority=0,
        )

    def _keep_alives(self, publishing_us: float) -> int:
        """Publishing intervals after which a quiet server says that it is there: a third of the silence that we bear."""
        return max(1, int(self._options.max_silence_us / 3 / publishing_us))

    async def _agree(self, session: Session, made: Any) -> None:
        """A server that publishes less often than asked keeps alive less often, too: ask again by its own interval, and bear what it says then."""
        self._silence_us = self._options.max_silence_us
        interval_us = made.RevisedPublishingInterval * 1000
        if interval_us * made.RevisedMaxKeepAliveCount <= self._silence_us / 2:
            return
        keep_alive = self._keep_alives(interval_us)
        wanted = ua.ModifySubscriptionParameters(
            made.SubscriptionId, made.RevisedPublishingInterval, 10 * keep_alive, keep_alive, MaxNotificationsPerPublish=10_000
        )
        agreed = made
        with contextlib.suppress(ua.UaStatusCodeError):
            agreed = await session.client.uaclient.session.update_subscription(wanted)
        self._silence_us = max(self._silence_us, round(2 * agreed.RevisedPublishingInterval * 1000 * agreed.RevisedMaxKeepAliveCount))

    @staticmethod
    async def _stop_library_loop(client: Any) -> None:
        """asyncua begins to publish by itself before we can; its loop has not sent anything as long as it never ran."""
        loop = client.uaclient.session._publish_task
        if loop is not None:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    async def _listen(self, session: Session, subscription: int) -> None:
        """Events of the notifiers, and the conditions that stand. A notifier that the server refuses is told, and costs nothing else."""
        first = self._items.whole + len(self._items.parts)
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        asked: list[str] = []
        for number, at in enumerate(self._options.events):
            address = parse(at, self._device.name)
            try:
                plain = isinstance(address.identifier, int) and address.identifier < 65536 and not address.namespace
                node = ua.NodeId(address.identifier, 0) if plain else session.node(address, self._options.namespace)
            except KeyError:
                self._tell([self._said(at, f"the server has no namespace of {at}; no events from there")])
                continue
            asked.append(at)
            parameters.ItemsToCreate.append(conditions.monitored(node, first + number, self._options.queue_size))
        results = await session.client.uaclient.create_monitored_items(parameters) if asked else []
        for at, result in zip(asked, results, strict=True):
            if quality.is_bad(result.StatusCode.value):
                self._tell([self._said(at, f"the server refuses events of {at}: {result.StatusCode.name}")])
        call = ua.CallMethodRequest(ua.NodeId(conditions.CONDITION_TYPE, 0), ua.NodeId(conditions.REFRESH, 0))
        call.InputArguments = [ua.Variant(subscription, ua.VariantType.UInt32)]
        with contextlib.suppress(ua.UaStatusCodeError):  # a server without conditions has nothing to refresh
            await session.client.uaclient.session.call([call])

    def _said(self, source: str, message: str, kind: str = "device", **detail: str | int) -> Event:
        now_us = self._clock.now_us()
        return Event(kind, self._device.name, source, now_us, now_us, message, detail=detail)

    async def _publish(self, loop: PublishLoop) -> None:
        try:
            await loop.run()
        except DriverError as error:
            self._fail(error)

    def _take_lost(self, lost: int) -> None:
        """Raises DeviceUnreachable where the next session can read from history what this one has lost."""
        if self._options.history:
            raise DeviceUnreachable(
                f"{self._device.address}: {lost} notifications lost; reading them from history", quality.BAD_NO_COMMUNICATION
            )
        self._tell([self._said("subscription", f"{lost} notifications were lost on their way", lost=lost)])

    def _take_all(self, published: Published) -> None:
        self._heard_us = self._clock.monotonic_us()
        if published.events:
            self._take_events(published.events)
        self._take(published.rows)

    def _take(self, rows: Any) -> None:
        if rows:
            self._rows.extend(rows)
            self._news.set()

    def _take_events(self, found: Any) -> None:
        assert self._session is not None
        now_us = self._clock.now_us()
        made = [conditions.to_event(fields, self._device.name, self._session.namespaces, now_us) for _, fields in found]
        self._tell([event for event in made if event is not None])

    def _tell(self, events: list[Event]) -> None:
        if events:
            self._events.extend(events)
            self._news.set()

    async def _connection_lost(self, error: Exception) -> None:
        self._fail(DeviceUnreachable(f"{self._device.address}: {error or 'connection lost'}", quality.BAD_NO_COMMUNICATION))

    def _fail(self, error: DriverError) -> None:
        if self._failure is None:
            self._failure = error
        self._news.set()

    async def read(self) -> Frame:
        rows: list[Row] = []
        while True:
            if self._past is not None and not (rows := await self._next_of_past(self._past)):
                continue
            if self._past is None:
                rows, self._rows = self._rows, []
            events, self._events = self._events, []
            if rows or events:
                return self._frame(rows, events)
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            try:
                async with asyncio.timeout(self._silence_us / 2e6):
                    await self._news.wait()
            except TimeoutError:
                await self._doubt()

    def _frame(self, rows: list[Row], events: list[Event]) -> Frame:
        now_us = self._clock.now_us()
        if not rows:
            return Frame(self._device.name, now_us, (), events=events)
        self._last.update(zip((row[0] for row in rows), rows, strict=True))
        self._data_us = self._clock.monotonic_us()
        if self._items.parts:
            rows = self._parted(rows)
        return Frame(self._device.name, now_us, self._columns.blocks(rows, now_us), events=events)

    def _parted(self, rows: list[Row]) -> list[Row]:
        """Rows of whole nodes to rows of tags."""
        parts, found = self._items.parts, []
        for row in rows:
            if row[0] < self._items.whole:
                found.append(row)
            else:
                found += expand(row, parts[row[0]], self._structures)
        return found

    async def _catch_up(self, session: Session) -> AsyncIterator[list[Row]]:
        """What happened since the last sample that is kept, up to the first one of this subscription."""
        windows: dict[int, history.Window] = {}
        tags: dict[int, tuple[int, ...]] = {handle: (handle,) for handle in range(self._items.whole)}
        tags |= {handle: tuple(part.index for part in parts) for handle, parts in self._items.parts.items()}
        since = {
            handle: max(self._since_us[index] for index in indexes if index in self._since_us)
            for handle, indexes in tags.items()
            if handle in self._monitored.nodes and any(index in self._since_us for index in indexes)
        }
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.timeout_us / 1e6):
                while self._failure is None and since.keys() - {row[0] for row in self._rows}:
                    self._news.clear()
                    await self._news.wait()
        for row in reversed(self._rows):
            if row[0] in since:
                windows[row[0]] = history.Window(since[row[0]], history.row_us(row))
        async for rows in history.read_windows(session, self._monitored.nodes, windows):
            yield rows

    async def _next_of_past(self, past: AsyncIterator[list[Row]]) -> list[Row]:
        with plain_errors(self._device.address):
            try:
                return await anext(past)
            except StopAsyncIteration:
                self._past = None
                return []
            except BaseException:  # cancelled in between: the rest of the past must not be passed over
                self._fail(DeviceUnreachable(f"{self._device.address}: history was not read to its end", quality.BAD_NO_COMMUNICATION))
                raise

    async def _repeat(self, period_us: int, action: Any) -> None:
        """`action` every `period_us` until the session ends."""
        try:
            while True:
                await self._clock.sleep_us(period_us)
                with plain_errors(self._device.address):
                    await action()
        except DriverError as error:
            self._fail(error)

    async def _reread(self, texts: Texts) -> None:
        assert self._session is not None
        self._tell(await texts.read(self._session))

    async def _heartbeat(self) -> None:
        """Nodes whose small changes the server holds back are read when nothing came of them for long."""
        assert self._session is not None
        now_us = self._clock.now_us()
        quiet = [
            handle
            for handle, tag in self._monitored.thinned.items()
            if handle in self._last and now_us - history.row_us(self._last[handle]) >= tag.heartbeat_us
        ]
        found = await self._session.read([self._monitored.nodes[handle] for handle in quiet])
        rows = [general_row(handle, value) for handle, value in zip(quiet, found, strict=True)]
        self._take([row for row in rows if row[4] > self._last[row[0]][4]])

    async def _doubt(self) -> None:
        """Nothing arrived for a while: is that because nothing changed? Raises DeviceUnreachable if not."""
        limit_us, now_us = self._silence_us, self._clock.monotonic_us()
        if now_us - self._heard_us >= limit_us:
            self._fail(
                DeviceUnreachable(
                    f"{self._device.address}: no answer to a publish request for {limit_us / 1e6:g} s", quality.BAD_NO_COMMUNICATION
                )
            )
        elif now_us - self._data_us >= limit_us:
            self._data_us = now_us
            await self._compare()

    async def _compare(self) -> None:
        """A read of the nodes must show what the subscription showed last."""
        assert self._session is not None
        handles = [handle for handle, row in self._last.items() if self._comparable(handle, row)][: self._session.limits.read]
        try:
            found = await self._session.read([self._monitored.nodes[handle] for handle in handles])
        except (OSError, TimeoutError, ua.UaError) as error:
            self._fail(DeviceUnreachable(f"{self._device.address}: silent, and a read failed: {error}", quality.BAD_NO_COMMUNICATION))
            return
        compared = slice(0, 5) if self._options.trigger is Trigger.TIMESTAMP else slice(0, 4)
        rows = [general_row(handle, value) for handle, value in zip(handles, found, strict=True)]
        if not self._rows and any(row[compared] != self._last[row[0]][compared] for row in rows):
            self._fail(
                DeviceUnreachable(f"{self._device.address}: values change but the subscription is silent", quality.BAD_NO_COMMUNICATION)
            )

    def _comparable(self, handle: int, row: Row) -> bool:
        return handle < self._items.whole and handle not in self._monitored.thinned and not quality.is_bad(row[3]) and row[1] != NULL

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        """See `WritingDriver`. OPC UA has no compare-and-set: between the look and the write lies one round trip to the server."""
        node = self._monitored.nodes.get(index)
        if self._session is None or self._failure is not None:
            raise self._failure or DeviceUnreachable(f"{self._device.address}: not connected", quality.BAD_NOT_CONNECTED)
        async with self._writing:
            with plain_errors(self._device.address):
                await writing.write(self._session, node, self._device.map.tags[index], raw, expected)

    async def close(self) -> None:
        background, self._background = self._background, []
        session, self._session = self._session, None
        past, self._past = self._past, None
        await tasks.end(*background)
        if self._options.history:
            self._keep_since()
        if past is not None:
            await past.aclose()  # type: ignore[attr-defined]
        if session is not None:
            await session.close(self._settings.timeout_us / 1e6)

    def _keep_since(self) -> None:
        """Where the next session's history begins, should the same driver be opened again."""
        for handle, row in self._last.items():
            at_us = history.row_us(row)
            for index in (handle,) if handle < self._items.whole else [part.index for part in self._items.parts[handle]]:
                if at_us:
                    self._since_us[index] = at_us
