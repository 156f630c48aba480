"""Urgent market messages: what an outage message says, its versions, and what remains available when outages overlap.

For the message itself and its feed (Atom, RFC 3339 times, UTC). Not for deciding whether an outage must be published (rules of
compliance). Rules (REMIT transparency, ACER answers 4.1.9 and 5.1.9): one event on three units is three messages; the id is
`<event>_<version in three digits>`; a message says the capacity that its own event takes away and what remains in total; power whose
capacity varies is one message with intervals; gas that is planned to vary is one message per level. The XML elements of the feed are
ours, named after the fields, and so is their schema: none of the platforms lies in the project.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

from cloud.reports import columns, xmlfile
from cloud.reports.columns import Column, How, column
from cloud.reports.errors import ReportError

ATOM: Final = "http://www.w3.org/2005/Atom"
MOST_VERSIONS: Final = 999
SCHEMA: Final = "qenergyz_umm.xsd"


class Status(StrEnum):
    ACTIVE = "Active"
    DISMISSED = "Dismissed"
    INACTIVE = "Inactive"


class Unavailability(StrEnum):
    PLANNED = "Planned"
    UNPLANNED = "Unplanned"


@dataclass(frozen=True, slots=True)
class Outage:
    """[start, stop) and the capacity taken away in it, in the unit of the message."""

    start: datetime
    stop: datetime
    unavailable: Decimal


@dataclass(frozen=True, slots=True)
class Interval:
    start: datetime
    stop: datetime
    available: Decimal
    unavailable: Decimal


@dataclass(frozen=True, slots=True)
class Umm:
    event: str
    version: int
    status: Status
    unavailability: Unavailability
    event_type: str
    start: datetime
    stop: datetime
    unit: str
    installed: Decimal
    available: Decimal
    unavailable: Decimal
    reason: str
    asset: str
    asset_eic: str
    bidding_zone: str
    participant: str
    acer_code: str
    decided: datetime
    published: datetime | None = None  # None: a draft
    fuel: str = ""
    remarks: str = ""
    intervals: tuple[Interval, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.event}_{self.version:03}"


def faults(message: Umm) -> tuple[str, ...]:
    """What cannot be meant, each by its field."""
    found = []
    if not message.event or not 1 <= message.version <= MOST_VERSIONS:
        found.append(f"version: expected an event and 1 to {MOST_VERSIONS}, found {message.event!r} version {message.version}")
    times = [message.start, message.stop, message.decided, *([message.published] if message.published else [])]
    if any(time.tzinfo is None for time in times):
        return (*found, "times: expected a time zone on each")
    if message.stop <= message.start:
        found.append(f"stop: {message.stop.isoformat()} is not after start {message.start.isoformat()}")
    if message.published is not None and message.published < message.decided:
        found.append("published: before it was decided")
    for name in ("installed", "available", "unavailable"):
        value: Decimal = getattr(message, name)
        if not value.is_finite() or value < 0:
            found.append(f"{name}: expected zero or more, found {value}")
    if not found and message.available + message.unavailable > message.installed:
        found.append(f"available: {message.available} and {message.unavailable} unavailable exceed {message.installed} installed")
    return tuple(found) + _interval_faults(message)


def _interval_faults(message: Umm) -> tuple[str, ...]:
    """Intervals, where there are any, cover the event without gap or overlap."""
    if not message.intervals:
        return ()
    edges = [message.start, *(one.stop for one in message.intervals)]
    right = [one.start for one in message.intervals] == edges[:-1] and edges[-1] == message.stop
    return () if right else ("intervals: do not cover the event without gap or overlap",)


def intervals(installed: Decimal, own: Outage, others: Iterable[Outage]) -> tuple[Interval, ...]:
    """What remains during the own outage, cut where another one begins or ends; equal neighbours are joined."""
    touching = [other for other in others if other.start < own.stop and other.stop > own.start]
    edges = {own.start, own.stop}
    edges |= {time for other in touching for time in (other.start, other.stop) if own.start < time < own.stop}
    found: list[Interval] = []
    for start, stop in pairwise(sorted(edges)):
        taken = sum((other.unavailable for other in touching if other.start <= start and other.stop >= stop), own.unavailable)
        left = max(Decimal(0), installed - taken)
        if found and found[-1].available == left:
            found[-1] = replace(found[-1], stop=stop)
        else:
            found.append(Interval(start, stop, left, own.unavailable))
    return tuple(found)


def with_capacity(draft: Umm, others: Iterable[Outage]) -> Umm:
    """The draft with what remains in total beside the outages published before it: the least that remains at any time of the event,
    and intervals where it varies. A later outage does not change a message that is out."""
    found = intervals(draft.installed, Outage(draft.start, draft.stop, draft.unavailable), others)
    return replace(draft, available=min(one.available for one in found), intervals=found if len(found) > 1 else ())


def updated(message: Umm, decided: datetime, **changes: object) -> Umm:
    """The next version, unpublished. Raises ReportError for a dismissed event, another event or an earlier decision."""
    if message.status is Status.DISMISSED:
        raise ReportError(message.id, "the event is dismissed; what happens now is a new event")
    if changes.keys() & {"event", "version", "asset_eic", "published"}:
        raise ReportError(message.id, "a version keeps event and asset; it counts and publishes itself")
    if decided < message.decided:
        raise ReportError(message.id, "decided before the version it follows")
    if message.version >= MOST_VERSIONS:
        raise ReportError(message.id, f"has {MOST_VERSIONS} versions already")
    return replace(message, version=message.version + 1, decided=decided, published=None, **changes)  # type: ignore[arg-type]


def dismissed(message: Umm, decided: datetime, remarks: str) -> Umm:
    """The version that takes the event back. Raises ReportError without a reason."""
    if not remarks:
        raise ReportError(message.id, "a dismissal says why")
    return updated(message, decided, status=Status.DISMISSED, remarks=remarks)


def per_unit(message: Umm, units: Sequence[tuple[str, str, Outage, Decimal]]) -> tuple[Umm, ...]:
    """One event on several units: a message each. units: (event, EIC, own outage, installed)."""
    return tuple(
        replace(message, event=event, asset=eic, asset_eic=eic, start=own.start, stop=own.stop, unavailable=own.unavailable,
                installed=installed, available=installed - own.unavailable)
        for event, eic, own, installed in units
    )  # fmt: skip


def gas_levels(message: Umm, levels: Sequence[Outage]) -> tuple[Umm, ...]:
    """Planned gas whose capacity varies: one message per level, with the same times of decision. Raises ReportError for unplanned gas:
    that is one message and then its updates."""
    if message.unavailability is not Unavailability.PLANNED:
        raise ReportError(message.id, "unplanned gas outages are one message, then updates of it")
    return tuple(
        replace(message, event=f"{message.event}-{number}", start=level.start, stop=level.stop, unavailable=level.unavailable,
                available=message.installed - level.unavailable)
        for number, level in enumerate(levels, 1)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Texts:
    """A message as it stands in the feed."""

    message_id: str
    event_status: str
    unavailability: str
    event_type: str
    start: str
    stop: str
    unit: str
    available: Decimal
    unavailable: Decimal
    installed: Decimal
    reason: str
    zone: str
    asset: str
    asset_eic: str
    participant: str
    acer: str
    decided: str
    published: str
    remarks: str | None = None
    fuel: str | None = None
    intervals: tuple[columns.Group, ...] = ()


_TABLE: Final[tuple[Column, ...]] = (
    column("messageId", "message_id"),
    column("eventStatus", "event_status"),
    column("unavailabilityType", "unavailability"),
    column("eventType", "event_type"),
    column("eventStart", "start"),
    column("eventStop", "stop"),
    column("unitOfMeasurement", "unit"),
    column("availableCapacity", "available", How.NUMBER),
    column("unavailableCapacity", "unavailable", How.NUMBER),
    column("installedCapacity", "installed", How.NUMBER),
    column("unavailabilityReason", "reason"),
    column("remarks", "remarks"),
    column("fuelType", "fuel"),
    column("biddingZone", "zone"),
    column("affectedAsset", "asset"),
    column("affectedAssetEic", "asset_eic"),
    column("marketParticipant", "participant"),
    column("acerCode", "acer"),
    column("decisionTime", "decided"),
    column("publicationTime", "published"),
    column("interval", "intervals", How.GROUPS),
)


def write_feed(title: str, updated_at: datetime, messages: Iterable[Umm]) -> bytes:
    """An Atom feed. Raises ReportError for a draft and for a message with faults: nothing is half published."""
    feed = xmlfile.root("feed", ATOM)
    xmlfile.add(feed, "title", title)
    xmlfile.add(feed, "id", f"urn:umm:{title}")
    xmlfile.add(feed, "updated", _written(updated_at))
    for message in messages:
        wrong = faults(message)
        if wrong or message.published is None:
            raise ReportError(message.id, "; ".join(wrong) or "a draft is not published")
        entry = xmlfile.add(feed, "entry")
        xmlfile.add(entry, "id", message.id)
        xmlfile.add(entry, "updated", _written(message.published))
        columns.write(xmlfile.add(entry, "content"), "umm", _texts(message, message.published), _TABLE)
    return xmlfile.write(feed)


def read_feed(data: bytes) -> tuple[Umm, ...]:
    root = xmlfile.read(data)
    if root.tag != f"{{{ATOM}}}feed":
        raise ReportError(xmlfile.place(root), f"expected an Atom feed, found {root.tag}")
    return tuple(_message(xmlfile.required(entry, "content", "umm")) for entry in xmlfile.children(root, "entry"))


def _texts(message: Umm, published: datetime) -> _Texts:
    cut = tuple(
        (("intervalStart", _written(one.start)), ("intervalStop", _written(one.stop)),
         ("availableCapacity", xmlfile.plain(one.available)), ("unavailableCapacity", xmlfile.plain(one.unavailable)))
        for one in message.intervals
    )  # fmt: skip
    return _Texts(
        message.id, message.status, message.unavailability, message.event_type, _written(message.start), _written(message.stop),
        message.unit, message.available, message.unavailable, message.installed, message.reason, message.bidding_zone, message.asset,
        message.asset_eic, message.participant, message.acer_code, _written(message.decided), _written(published),
        message.remarks or None, message.fuel or None, cut,
    )  # fmt: skip


def _message(node: xmlfile.Node) -> Umm:
    told = columns.read(node, _Texts, _TABLE)
    event, _, version = told.message_id.rpartition("_")
    try:
        cut = tuple(
            Interval(_time(one["intervalStart"]), _time(one["intervalStop"]), Decimal(one["availableCapacity"]), Decimal(one["unavailableCapacity"]))
            for one in map(dict, told.intervals)
        )  # fmt: skip
        if len(version) != 3 or not version.isdigit():
            raise ValueError(f"message id {told.message_id!r} does not end with _ and three digits")
        return Umm(
            event, int(version), Status(told.event_status), Unavailability(told.unavailability), told.event_type, _time(told.start),
            _time(told.stop), told.unit, told.installed, told.available, told.unavailable, told.reason, told.asset, told.asset_eic,
            told.zone, told.participant, told.acer, _time(told.decided), _time(told.published), told.fuel or "", told.remarks or "", cut,
        )  # fmt: skip
    except (ValueError, KeyError, ArithmeticError) as error:
        raise ReportError(xmlfile.place(node), str(error)) from error


def _written(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"expected a time with its zone, found {text!r}")
    return found
