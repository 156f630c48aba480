"""OPC UA device by subscription.

asyncua opens channel, session and subscription; the publish loop is ours, so that a notification costs one struct and no task.
Everything is built anew at each open from the configuration: session, namespace index, subscription, monitored items. A node that
the server refuses gets the server's status once and costs no other node anything. A link is given up (DeviceUnreachable) when it
is cut, when the server ends session or subscription, when nothing at all is heard for `max_silence`, or when no value came for so
long and a read of the nodes shows that some should have.

A subscription begins with the values that stand: whether they are news is for the caller to know, who remembers longer than a session.
"""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any, Final

import asyncua.ua
from asyncua.client.client import Client

from protocols import quality, tasks
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup
from protocols.frame import Frame
from protocols.opcua.columns import Columns
from protocols.opcua.decode import NULL, decode_publish, general_row
from protocols.opcua.plan import Options, Settings, Trigger, identifier

ua: Any = asyncua.ua  # built by star imports, which type checkers do not follow

ITEMS_PER_REQUEST: Final = 500
REQUESTS_AHEAD: Final = 2
_PROBE_S: Final = 10.0
_TRIGGER: Final = {Trigger.VALUE: ua.DataChangeTrigger.StatusValue, Trigger.TIMESTAMP: ua.DataChangeTrigger.StatusValueTimestamp}

Row = tuple[int, int, Any, int, int, int]


class OpcUaDriver:
    def __init__(self, device: Device, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._options: Options = device.map.options
        self._settings: Settings = device.settings or Settings()
        self._columns = Columns(device)
        self._client: Client | None = None
        self._nodes: list[Any] = []
        self._publishing: asyncio.Task[None] | None = None
        self._rows: list[Row] = []
        self._news = asyncio.Event()
        self._failure: DriverError | None = None
        self._last: dict[int, Row] = {}
        self._heard_us = self._data_us = 0

    async def open(self) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it reports by exception as well, and we pass those on
        self._failure = None
        self._rows, self._news = [], asyncio.Event()
        try:
            await self._connect()
        except ua.UaStatusCodeError as error:
            raise DeviceUnreachable(f"{self._device.address}: {error}", quality.BAD_NO_COMMUNICATION) from error
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise DeviceUnreachable(f"{self._device.address}: {error or type(error).__name__}", quality.BAD_NO_COMMUNICATION) from error
        except ua.UaError as error:
            raise DeviceMisbehaves(f"{self._device.address}: {error}", quality.BAD_NO_COMMUNICATION) from error

    async def _connect(self) -> None:
        timeout_s = self._settings.timeout_us / 1e6
        self._client = client = Client(self._device.address, timeout=timeout_s, watchdog_intervall=_PROBE_S)
        client.connection_lost_callback = self._connection_lost
        await client.connect(auto_reconnect=False)
        namespaces = await client.get_namespace_array()
        if self._options.namespace not in namespaces:
            raise DriverSetup(
                f'device "{self._device.name}": the server has no namespace "{self._options.namespace}", only {", ".join(namespaces)}',
                quality.BAD_CONFIGURATION,
            )
        index = namespaces.index(self._options.namespace)
        self._nodes = [ua.NodeId(identifier(tag.at, self._device.name), index) for tag in self._device.map.tags]
        subscription = await client.uaclient.create_subscription(self._subscription(), lambda _: None)
        await self._stop_library_loop(client)
        self._heard_us = self._data_us = self._clock.monotonic_us()
        self._publishing = asyncio.create_task(self._publish(client.uaclient.protocol))
        await self._subscribe(subscription.SubscriptionId)

    def _subscription(self) -> Any:
        keep_alive = max(1, self._options.max_silence_us // 3 // self._options.publishing_us)
        return ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=self._options.publishing_us / 1000,
            RequestedLifetimeCount=10 * keep_alive,
            RequestedMaxKeepAliveCount=keep_alive,
            MaxNotificationsPerPublish=10_000,
            PublishingEnabled=True,
            Priority=0,
        )

    @staticmethod
    async def _stop_library_loop(client: Client) -> None:
        """asyncua begins to publish by itself before we can; its loop has not sent anything as long as it never ran."""
        loop = client.uaclient.session._publish_task
        if loop is not None:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    async def _subscribe(self, subscription: int) -> None:
        assert self._client is not None
        for start in range(0, len(self._nodes), ITEMS_PER_REQUEST):
            handles = range(start, min(start + ITEMS_PER_REQUEST, len(self._nodes)))
            parameters = ua.CreateMonitoredItemsParameters()
            parameters.SubscriptionId = subscription
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            parameters.ItemsToCreate = [self._item(handle) for handle in handles]
            results = await self._client.uaclient.create_monitored_items(parameters)
            refused = [
                (handle, result.StatusCode.value)
                for handle, result in zip(handles, results, strict=True)
                if not result.StatusCode.is_good()
            ]
            self._take([(handle, NULL, 0, code, 0, 0) for handle, code in refused])

    def _item(self, handle: int) -> Any:
        request = ua.MonitoredItemCreateRequest()
        request.ItemToMonitor.NodeId = self._nodes[handle]
        request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        request.MonitoringMode = ua.MonitoringMode.Reporting
        request.RequestedParameters.ClientHandle = handle
        request.RequestedParameters.SamplingInterval = self._options.sampling_us / 1000
        request.RequestedParameters.QueueSize = self._options.queue_size
        request.RequestedParameters.DiscardOldest = False
        request.RequestedParameters.Filter = ua.DataChangeFilter(Trigger=_TRIGGER[self._options.trigger])
        return request

    async def _publish(self, link: Any) -> None:
        """Keep some publish requests at the server, and take what they bring, until the link or the subscription ends."""
        waiting: deque[asyncio.Future[Any]] = deque()
        acknowledgements: list[Any] = []
        ahead = REQUESTS_AHEAD
        try:
            while True:
                while len(waiting) < ahead:
                    request = ua.PublishRequest()
                    request.Parameters.SubscriptionAcknowledgements, acknowledgements = acknowledgements, []
                    waiting.append(asyncio.ensure_future(link.send_request(request, timeout=0)))
                try:
                    answer = await waiting.popleft()
                except ua.uaerrors.BadTooManyPublishRequests:
                    ahead = 1
                    continue
                published = decode_publish(bytes(answer))
                if published.acknowledge:
                    acknowledgements.append(ua.SubscriptionAcknowledgement(published.subscription, published.sequence))
                self._heard_us = self._clock.monotonic_us()
                self._take(published.rows)
                if published.closed is not None:
                    raise ConnectionError(f"the server ended the subscription: {quality.name(published.closed)}")
        except ValueError as error:
            self._fail(DeviceMisbehaves(f"{self._device.address}: {error}", quality.BAD_NO_COMMUNICATION))
        except (OSError, TimeoutError, ua.UaError) as error:
            self._fail(DeviceUnreachable(f"{self._device.address}: {error}", quality.BAD_NO_COMMUNICATION))
        finally:
            for unanswered in waiting:
                if not unanswered.cancel() and not unanswered.cancelled():
                    unanswered.exception()  # looked at, so that asyncio does not complain

    def _take(self, rows: Any) -> None:
        if rows:
            self._rows.extend(rows)
            self._news.set()

    async def _connection_lost(self, error: Exception) -> None:
        self._fail(DeviceUnreachable(f"{self._device.address}: {error or 'connection lost'}", quality.BAD_NO_COMMUNICATION))

    def _fail(self, error: DriverError) -> None:
        if self._failure is None:
            self._failure = error
        self._news.set()

    async def read(self) -> Frame:
        while True:
            rows, self._rows = self._rows, []
            if rows:
                self._last.update(zip((row[0] for row in rows), rows, strict=True))
                self._data_us = self._clock.monotonic_us()
                now_us = self._clock.now_us()
                return Frame(self._device.name, now_us, self._columns.blocks(rows, now_us))
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            try:
                async with asyncio.timeout(self._options.max_silence_us / 2e6):
                    await self._news.wait()
            except TimeoutError:
                await self._doubt()

    async def _doubt(self) -> None:
        """Nothing arrived for a while: is that because nothing changed? Raises DeviceUnreachable if not."""
        limit_us, now_us = self._options.max_silence_us, self._clock.monotonic_us()
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
        assert self._client is not None
        handles = [handle for handle, row in self._last.items() if not quality.is_bad(row[3])][:ITEMS_PER_REQUEST]
        try:
            found = await self._client.uaclient.read_attributes([self._nodes[handle] for handle in handles], ua.AttributeIds.Value)
        except (OSError, TimeoutError, ua.UaError) as error:
            self._fail(DeviceUnreachable(f"{self._device.address}: silent, and a read failed: {error}", quality.BAD_NO_COMMUNICATION))
            return
        compared = slice(0, 5) if self._options.trigger is Trigger.TIMESTAMP else slice(0, 4)
        rows = [general_row(handle, value) for handle, value in zip(handles, found, strict=True)]
        if not self._rows and any(row[compared] != self._last[row[0]][compared] for row in rows):
            self._fail(
                DeviceUnreachable(f"{self._device.address}: values change but the subscription is silent", quality.BAD_NO_COMMUNICATION)
            )

    async def close(self) -> None:
        publishing, self._publishing = self._publishing, None
        client, self._client = self._client, None
        if publishing is not None:
            await tasks.end(publishing)
        if client is not None:
            client.connection_lost_callback = None
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._settings.timeout_us / 1e6):
                    await client.disconnect()
            with contextlib.suppress(Exception):
                client.disconnect_socket()
