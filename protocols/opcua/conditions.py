"""Events of notifier nodes, with what is known of alarms and conditions, as `Event`s. The choice of fields and their meaning; no IO.

OPC 10000-5, 6.4.2 (BaseEventType) and OPC 10000-9, 5.5 to 5.8 (conditions, acknowledgement, alarms). A server that does not know a field
sends nothing in its place. Every event that arrives is told: nothing here is thinned or joined.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncua.ua

from protocols.event import Event
from protocols.opcua.address import written
from protocols.opcua.columns import EPOCH_TICKS

ua: Any = asyncua.ua

_BASE: Final = 2041
_CONDITION: Final = 2782
_ACKNOWLEDGEABLE: Final = 2881
_ALARM: Final = 2915
REFRESH: Final = 3875  # the method ConditionRefresh of ConditionType
CONDITION_TYPE: Final = _CONDITION
_REFRESH_EVENTS: Final = frozenset({2787, 2788, 2789})  # start, end, required: about the subscription, not the plant
# type that has it, path of browse names, key in `detail` ("" = a member of the event itself)
FIELDS: Final[tuple[tuple[int, str, str], ...]] = (
    (_BASE, "EventId", "event_id"),
    (_BASE, "EventType", "event_type"),
    (_BASE, "SourceNode", "node"),
    (_BASE, "SourceName", ""),
    (_BASE, "Time", ""),
    (_BASE, "Message", ""),
    (_BASE, "Severity", ""),
    (_CONDITION, "", "condition_node"),
    (_CONDITION, "ConditionName", "condition"),
    (_CONDITION, "BranchId", "branch"),
    (_CONDITION, "Retain", "retain"),
    (_CONDITION, "EnabledState/Id", "enabled"),
    (_CONDITION, "Comment", "comment"),
    (_ACKNOWLEDGEABLE, "AckedState/Id", "acked"),
    (_ACKNOWLEDGEABLE, "ConfirmedState/Id", "confirmed"),
    (_ALARM, "ActiveState/Id", "active"),
    (_ALARM, "SuppressedOrShelved", "suppressed"),
)
_AT: Final = {path or "ConditionId": place for place, (_, path, _) in enumerate(FIELDS)}


def event_filter() -> Any:
    clauses = []
    for kind, path, _ in FIELDS:
        clause = ua.SimpleAttributeOperand()
        clause.TypeDefinitionId = ua.NodeId(kind, 0)
        clause.BrowsePath = [ua.QualifiedName(name, 0) for name in path.split("/")] if path else []
        clause.AttributeId = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
        clauses.append(clause)
    return ua.EventFilter(SelectClauses=clauses)


def monitored(node: Any, handle: int, queue_size: int) -> Any:
    """The request that asks for the events of a notifier."""
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = node
    request.ItemToMonitor.AttributeId = ua.AttributeIds.EventNotifier
    request.MonitoringMode = ua.MonitoringMode.Reporting
    request.RequestedParameters.ClientHandle = handle
    request.RequestedParameters.SamplingInterval = 0
    request.RequestedParameters.QueueSize = queue_size
    request.RequestedParameters.DiscardOldest = True
    request.RequestedParameters.Filter = event_filter()
    return request


def to_event(fields: Sequence[Any], device: str, namespaces: Sequence[str], gateway_us: int) -> Event | None:
    """None for what is only about the subscription itself."""
    values = [field.Value for field in fields] + [None] * (len(FIELDS) - len(fields))
    kind = values[_AT["EventType"]]
    if isinstance(kind, ua.NodeId) and not kind.NamespaceIndex and kind.Identifier in _REFRESH_EVENTS:
        return None
    detail: dict[str, str | int | float | bool] = {}
    for (_, _, key), value in zip(FIELDS, values, strict=False):
        found = _plain(value, namespaces)
        if key and found is not None and found != "":
            detail[key] = found
    time = values[_AT["Time"]]
    severity = values[_AT["Severity"]]
    return Event(
        kind="alarm",
        device=device,
        source=str(_plain(values[_AT["SourceName"]], namespaces) or detail.get("node", "")),
        source_us=(ua.datetime_to_win_epoch(time) - EPOCH_TICKS) // 10 if time is not None else gateway_us,
        gateway_us=gateway_us,
        message=str(_plain(values[_AT["Message"]], namespaces) or ""),
        severity=min(1000, max(0, severity)) if isinstance(severity, int) else 0,
        detail=detail,
    )


def _plain(value: Any, namespaces: Sequence[str]) -> str | int | float | bool | None:
    match value:
        case None:
            return None
        case bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case ua.LocalizedText():
            return str(value.Text or "")
        case ua.NodeId():
            if value.is_null():
                return None
            index = value.NamespaceIndex
            return written(value.Identifier, namespaces[index] if 0 < index < len(namespaces) else "")
    return str(value)


def text_of(value: Any) -> str | None:
    """The text of a String or LocalizedText value, None for what is none."""
    if isinstance(value, ua.LocalizedText):
        return str(value.Text or "")
    return value if isinstance(value, str) else None
