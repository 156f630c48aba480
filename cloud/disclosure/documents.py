"""Events and messages as documents: one form for evidence rows, for the database and for answers, and back.

Numbers are text, times RFC 3339 in UTC; nothing is lost on the way. Not for the feed: cloud/reports/umm writes that.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloud.disclosure.detector import Judgement
from cloud.disclosure.event import Event, State
from cloud.reports.umm import Interval, Status, Umm, Unavailability
from cloud.reports.xmlfile import plain

_TIMES = ("start", "stop", "decided", "published")
_NUMBERS = ("installed", "available", "unavailable")
_TEXTS = ("event", "event_type", "unit", "reason", "asset", "asset_eic", "bidding_zone", "participant", "acer_code", "fuel", "remarks")


def message_document(message: Umm) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(message, name) for name in (*_TEXTS, "version")}
    told |= {name: plain(getattr(message, name)) for name in _NUMBERS}
    told |= {name: None if (time := getattr(message, name)) is None else time.isoformat() for name in _TIMES}
    told |= {"id": message.id, "status": message.status.value, "unavailability": message.unavailability.value}
    cut = [[one.start.isoformat(), one.stop.isoformat(), plain(one.available), plain(one.unavailable)] for one in message.intervals]
    return told | {"intervals": cut}


def read_message(told: Mapping[str, Any]) -> Umm:
    """Inverse of `message_document`."""
    members: dict[str, Any] = {name: told[name] for name in (*_TEXTS, "version")}
    members |= {name: Decimal(told[name]) for name in _NUMBERS}
    members |= {name: None if told[name] is None else datetime.fromisoformat(told[name]) for name in _TIMES}
    members["status"], members["unavailability"] = Status(told["status"]), Unavailability(told["unavailability"])
    return Umm(**members, intervals=tuple(_interval(*one) for one in told["intervals"]))


def _interval(start: str, stop: str, available: str, unavailable: str) -> Interval:
    return Interval(datetime.fromisoformat(start), datetime.fromisoformat(stop), Decimal(available), Decimal(unavailable))


def event_document(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(event, name) for name in _EVENT}
    told |= {"state": event.state.value, "judgement": event.judgement.value}
    told |= {name: None if (one := getattr(event, name)) is None else message_document(one) for name in ("draft", "published")}
    return told


def read_event(told: Mapping[str, Any]) -> Event:
    """Inverse of `event_document`."""
    members: dict[str, Any] = {name: told[name] for name in _EVENT}
    members |= {name: None if told[name] is None else read_message(told[name]) for name in ("draft", "published")}
    return Event(**members, state=State(told["state"]), judgement=Judgement(told["judgement"]))


_EVENT = ("id", "number", "unit", "asset", "known_us", "why", "confirmed_us", "recovered_us", "approval", "confirmed_by")
