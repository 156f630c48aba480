"""Which nodes are monitored, and the requests that say so. A node that the server refuses costs no other node anything.

A tag that is a whole node is monitored item number = its place in the map; a node of which tags see parts (`parts.py`) comes behind
those, once. A deadband that the server does not know is left out, not the node.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncua.ua

from protocols import quality
from protocols.devicemap import Device
from protocols.opcua.address import Address, parse
from protocols.opcua.decode import NULL
from protocols.opcua.parts import Part, Row
from protocols.opcua.plan import Options, TagOptions, Trigger
from protocols.opcua.session import Session, in_chunks

ua: Any = asyncua.ua
log = logging.getLogger("qenergyz.edge")

_TRIGGER: Final = {Trigger.VALUE: ua.DataChangeTrigger.StatusValue, Trigger.TIMESTAMP: ua.DataChangeTrigger.StatusValueTimestamp}
_FILTER_REFUSED: Final = frozenset(
    {
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadMonitoredItemFilterInvalid,
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadDeadbandFilterInvalid,
    }
)


@dataclass(frozen=True, slots=True)
class Item:
    handle: int
    address: Address
    options: TagOptions | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """parts: by handle, what tags see of a node. whole: handles below it are tags."""

    items: tuple[Item, ...]
    whole: int
    parts: dict[int, tuple[Part, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, device: Device) -> "Items":
        tags = device.map.tags
        items: list[Item] = []
        parts: dict[Any, list[Part]] = {}
        for index, tag in enumerate(tags):
            address = parse(tag.at, device.name)
            if address.path:
                parts.setdefault(address.node, []).append(Part(index, address.path))
            else:
                items.append(Item(index, address, tag.extra))
        handles = range(len(tags), len(tags) + len(parts))
        for handle, (namespace, identifier) in zip(handles, parts, strict=True):
            options = [tags[part.index].extra for part in parts[namespace, identifier]]
            fastest = min((found.sampling_us for found in options if found and found.sampling_us is not None), default=None)
            items.append(Item(handle, Address(identifier, namespace), TagOptions(fastest)))
        return cls(tuple(items), len(tags), {handle: tuple(found) for handle, found in zip(handles, parts.values(), strict=True)})


@dataclass(slots=True)
class Monitored:
    """What a session monitors: nodes by handle, refusals as rows, handles whose values the server holds back within a deadband."""

    nodes: dict[int, Any] = field(default_factory=dict)
    refused: list[Row] = field(default_factory=list)
    thinned: dict[int, TagOptions] = field(default_factory=dict)


async def monitor(session: Session, subscription: int, items: Items, options: Options) -> Monitored:
    """Create the monitored items in requests that the server allows."""
    done = Monitored()
    known: list[Item] = []
    for item in items.items:
        try:
            done.nodes[item.handle] = session.node(item.address, options.namespace)
            known.append(item)
        except KeyError:
            done.refused.append((item.handle, NULL, 0, quality.BAD_NODE_ID_UNKNOWN, 0, 0))
    results = await _create(session, subscription, [_request(item, done, options) for item in known])
    again: list[Item] = []
    for item, code in zip(known, results, strict=True):
        if code in _FILTER_REFUSED and item.options and item.options.deadband:
            again.append(Item(item.handle, item.address, TagOptions(item.options.sampling_us)))
        elif quality.is_bad(code):
            done.refused.append((item.handle, NULL, 0, code, 0, 0))
        elif item.options and item.options.deadband:
            done.thinned[item.handle] = item.options
    if again:
        log.warning("opcua_deadband_refused tags=%d action=every value is sent", len(again))
        results = await _create(session, subscription, [_request(item, done, options) for item in again])
        done.refused += [(item.handle, NULL, 0, code, 0, 0) for item, code in zip(again, results, strict=True) if quality.is_bad(code)]
    return done


async def _create(session: Session, subscription: int, requests: Sequence[Any]) -> list[int]:
    async def ask(chunk: Sequence[Any]) -> list[Any]:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.ItemsToCreate = list(chunk)
        results: list[Any] = await session.client.uaclient.create_monitored_items(parameters)
        return results

    return [result.StatusCode.value for result in await in_chunks(requests, session.limits.items, ask)]


def _request(item: Item, done: Monitored, options: Options) -> Any:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = done.nodes[item.handle]
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.MonitoringMode = ua.MonitoringMode.Reporting
    request.RequestedParameters.ClientHandle = item.handle
    sampling_us = item.options.sampling_us if item.options and item.options.sampling_us is not None else options.sampling_us
    request.RequestedParameters.SamplingInterval = sampling_us / 1000
    request.RequestedParameters.QueueSize = options.queue_size
    request.RequestedParameters.DiscardOldest = False
    request.RequestedParameters.Filter = _filter(item.options, options)
    return request


def _filter(tag: TagOptions | None, options: Options) -> Any:
    """With a deadband the trigger is the value: a new source time alone would pass it by."""
    if tag is None or not tag.deadband:
        return ua.DataChangeFilter(Trigger=_TRIGGER[options.trigger])
    kind = ua.DeadbandType.Percent if tag.percent else ua.DeadbandType.Absolute
    return ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=kind, DeadbandValue=tag.deadband)
