"""What a server kept while nobody listened: raw history of some nodes, each for its own window of time (OPC 10000-11, 6.4.3).

A window is open at both ends: the value before it was delivered, the value after it is coming by subscription. Rows of a node are in the
order of their source time; the caller delivers them before anything newer of that node. A node without history is told once, in the log.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncua.ua

from protocols import quality
from protocols.opcua.columns import EPOCH_TICKS
from protocols.opcua.decode import general_row
from protocols.opcua.parts import Row
from protocols.opcua.session import Session

ua: Any = asyncua.ua
log = logging.getLogger("qenergyz.edge")

VALUES_PER_REQUEST: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """After `since_us`, before `until_us`: microseconds of source time."""

    since_us: int
    until_us: int


def row_us(row: Row) -> int:
    """Source time of a row, or its server time, in microseconds."""
    ticks = row[4] or row[5]
    return (ticks - EPOCH_TICKS) // 10 if ticks > 0 else 0


async def read_windows(session: Session, nodes: Mapping[int, Any], windows: Mapping[int, Window]) -> AsyncIterator[list[Row]]:
    """Rows by handle, some nodes at a time. Raises what asyncua raises when the link fails."""
    wanted = [(handle, window) for handle, window in windows.items() if handle in nodes and window.until_us - window.since_us > 1]
    refused: dict[str, int] = {}
    for start in range(0, len(wanted), session.limits.history):
        left = dict(wanted[start : start + session.limits.history])
        while left:
            full: dict[int, Window] = {}
            async for rows in _chunk(session, nodes, left, refused, full):
                yield rows
            left = full
    for status, count in refused.items():
        log.warning("opcua_history_refused nodes=%d status=%s", count, status)


async def _chunk(
    session: Session, nodes: Mapping[int, Any], windows: Mapping[int, Window], refused: dict[str, int], full: dict[int, Window]
) -> AsyncIterator[list[Row]]:
    """One read with its continuations. full: gets the rest of windows whose server stopped at the number that was asked for, which it
    should not do without a continuation point.
    """
    details = ua.ReadRawModifiedDetails(
        IsReadModified=False,
        StartTime=_moment(min(window.since_us for window in windows.values())),
        EndTime=_moment(max(window.until_us for window in windows.values())),
        NumValuesPerNode=VALUES_PER_REQUEST,
        ReturnBounds=False,
    )
    reached = {handle: window.since_us for handle, window in windows.items()}
    marks: dict[int, bytes | None] = dict.fromkeys(windows)
    while marks:
        handles = list(marks)
        results = await _request(session, details, [(nodes[handle], marks[handle]) for handle in handles])
        rows: list[Row] = []
        for handle, result in zip(handles, results, strict=True):
            mark, window = marks.pop(handle), windows[handle]
            if quality.is_bad(result.StatusCode.value):
                refused[quality.name(result.StatusCode.value)] = refused.get(quality.name(result.StatusCode.value), 0) + 1
                continue
            values = getattr(result.HistoryData, "DataValues", None) or []
            rows += _inside(handle, values, window, reached)
            if result.ContinuationPoint and result.ContinuationPoint != mark:
                marks[handle] = result.ContinuationPoint
            elif len(values) >= VALUES_PER_REQUEST and reached[handle] > window.since_us:
                full[handle] = Window(reached[handle], window.until_us)
        if rows:
            yield rows


def _inside(handle: int, values: Sequence[Any], window: Window, reached: dict[int, int]) -> list[Row]:
    """The rows of the window that come after what was read of it before, in the order of time."""
    rows = sorted((general_row(handle, value) for value in values), key=row_us)
    after = reached[handle]
    chosen = [row for row in rows if after < row_us(row) < window.until_us]
    if chosen:
        reached[handle] = row_us(chosen[-1])
    return chosen


async def _request(session: Session, details: Any, nodes: Sequence[tuple[Any, bytes | None]]) -> list[Any]:
    parameters = ua.HistoryReadParameters(HistoryReadDetails=details, TimestampsToReturn=ua.TimestampsToReturn.Both)
    for node, mark in nodes:
        parameters.NodesToRead.append(ua.HistoryReadValueId(NodeId=node, IndexRange="", ContinuationPoint=mark))
    results: list[Any] = await session.client.uaclient.session.history_read(parameters)
    return results


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
