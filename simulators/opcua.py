"""Devices served as OPC UA servers: one asyncua server per address, nodes from the device map under its namespace URI.

Each published step is one notification per tag: the source time is the step's (whole microseconds), the status its quality; a bad
status carries no value, as OPC 10000-4, 7.11 demands. The truth log holds what a subscriber was sent: a step that nobody subscribed to
was not served, and the one that stands when a subscription begins was.

Tags that are elements of one array share its node and its status: one bad element makes all of them bad, in the truth log too. Texts of the
map are String nodes. Members of structures are not served; a map that has some is refused.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import asyncua.ua
from asyncua.server.server import Server

from protocols import quality, tasks
from protocols.devicemap import Device, TagType
from protocols.opcua.address import Address, parse
from protocols.opcua.plan import Options
from simulators.face import Step, TruthLog
from simulators.faults import Disturbance, suffer
from simulators.opcua_places import Place, join_status, places
from simulators.served import Served, serve

ua: Any = asyncua.ua
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VARIANT: Final = {
    TagType.BOOL: ua.VariantType.Boolean,
    TagType.INT8: ua.VariantType.SByte,
    TagType.UINT8: ua.VariantType.Byte,
    TagType.INT16: ua.VariantType.Int16,
    TagType.UINT16: ua.VariantType.UInt16,
    TagType.INT32: ua.VariantType.Int32,
    TagType.UINT32: ua.VariantType.UInt32,
    TagType.INT64: ua.VariantType.Int64,
    TagType.UINT64: ua.VariantType.UInt64,
    TagType.FLOAT32: ua.VariantType.Float,
    TagType.FLOAT64: ua.VariantType.Double,
}


class OpcUaFace:
    def __init__(self, truth: TruthLog | None = None) -> None:
        self._truth = truth
        self._servers: dict[str, _DeviceServer] = {}

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        for device, step in zip(devices, first, strict=True):
            self._servers[device.name] = _DeviceServer(device, self._truth)
            await self._servers[device.name].start(step)

    def address_of(self, device: Device) -> str:
        """Where the device really listens (its port may have been 0)."""
        return self._servers[device.name].address

    async def publish(self, device: Device, step: Step) -> None:
        await self._servers[device.name].publish(step)

    async def fault(self, device_name: str, kind: str, duration_us: int) -> None:
        """Let the device fail in the given way for a while, then be well again."""
        await suffer(self._servers[device_name], kind, duration_us, "OPC UA")

    async def stop(self) -> None:
        for server in self._servers.values():
            await server.stop()


class _DeviceServer:
    """One device behind one asyncua server."""

    def __init__(self, device: Device, truth: TruthLog | None) -> None:
        self._device, self._truth = device, truth
        self._options: Options = device.map.options
        self._server: Any = Server()
        self._nodes: list[Any] = []
        self._places: tuple[Place, ...] = places(device)
        self._shown: Served | None = None
        self._logged = False
        self._held: list[Step] | None = None
        self.disturbance = Disturbance()
        self.address = device.address

    async def start(self, first: Step) -> None:
        await self._server.init()
        self._server.set_endpoint(self.address)
        self._server.set_server_name(f"Qenergyz simulated device {self._device.name}")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await self._server.register_namespace(self._options.namespace)
        folder = await self._server.nodes.objects.add_object(ua.NodeId(self._device.name, index), self._device.name)
        for place in self._places:
            tag = self._device.map.tags[place.tags[0]]
            node = await self._node(place.address)
            start: Any = False if tag.type is TagType.BOOL else 0
            start = [start] * place.size if place.size else start
            await folder.add_variable(node, ua.QualifiedName(tag.name, index), start, varianttype=_VARIANT[tag.type])
            self._nodes.append(node)
        for text in self._device.map.texts:
            node = await self._node(parse(text.at, self._device.name))
            await folder.add_variable(node, ua.QualifiedName(text.name, index), f"simulated {text.name}")
        await self._show(serve(self._device, self.disturbance.alter(first)))
        await self._server.start()
        link = urlsplit(self.address)
        self.address = f"opc.tcp://{link.hostname}:{self._server.bserver.port}{link.path}"

    async def _node(self, address: Address) -> Any:
        return ua.NodeId(address.identifier, await self._server.register_namespace(address.namespace or self._options.namespace))

    @property
    def subscribed(self) -> bool:
        nodes = self._server.iserver.aspace
        return any(nodes[node].attributes[ua.AttributeIds.Value].datachange_callbacks for node in self._nodes)

    async def publish(self, step: Step) -> None:
        if self._held is not None:
            self._held.append(step)
            return
        served = serve(self._device, self.disturbance.alter(step))
        await self._forget_lost()
        self.settle()
        self._logged = False
        await self._show(served)
        self.settle()

    async def _forget_lost(self) -> None:
        """asyncua keeps the subscriptions of a cut link for its session to return; here they end with the link."""
        subscriptions = self._server.iserver.subscription_service
        if subscriptions.subscriptions and not self._server.bserver.clients:
            await subscriptions.delete_subscriptions(list(subscriptions.subscriptions))

    def settle(self) -> None:
        """Log what is shown, once, when somebody sees it."""
        if not self._logged and self._shown is not None and self.subscribed:
            self._logged = True
            if self._truth is not None:
                self._truth.served(self._device, self._shown.time_us, self._shown.values, self._shown.quality)

    async def _show(self, served: Served) -> None:
        self._shown = served = join_status(served, self._places)
        moment = _EPOCH + timedelta(microseconds=served.time_us)
        now = datetime.now(UTC)
        codes = served.quality.tolist()
        for place, node in zip(self._places, self._nodes, strict=True):
            code = codes[place.tags[0]]
            kind = ua.VariantType.Null if quality.is_bad(code) else _VARIANT[self._device.map.tags[place.tags[0]].type]
            value = ua.Variant(None if quality.is_bad(code) else place.value(served.raw), kind)
            await self._server.write_attribute_value(node, ua.DataValue(value, ua.StatusCode(code), moment, now))

    async def drop_link(self, duration_us: int) -> None:
        """What was already published is sent before the cut, so that it counts as served."""
        await self.delay(2 * self._options.publishing_us, then=self._cut)
        await asyncio.sleep(duration_us / 1e6)
        await self._server.bserver.start()

    async def _cut(self) -> None:
        self.settle()
        await self._server.bserver.stop()
        await self._forget_lost()

    async def delay(self, duration_us: int, then: Callable[[], Awaitable[None]] | None = None) -> None:
        """Publish nothing for a while, then all of it in order; in between do `then`."""
        if self._held is None:
            self._held = []
        await asyncio.sleep(duration_us / 1e6)
        if then is not None:
            await then()
        held, self._held = self._held or [], None
        for step in held:
            await self.publish(step)

    async def stop(self) -> None:
        self.settle()
        with contextlib.suppress(Exception):
            await stop_server(self._server)


async def stop_server(server: Any) -> None:
    """asyncua waits up to a second for its clock to notice; nobody needs it any more."""
    clock, server.iserver.time_task = server.iserver.time_task, None
    if clock is not None:
        await tasks.end(clock)
    await server.stop()
