"""How alarms have behaved over a period: rates, floods, chattering and standing alarms, and which ones there were most of.

Pure, over transitions of the journal. The figures and their names are those that ISA-18.2 and EEMUA 191 ask for: alarms per day and per
ten minutes, share of time in flood, chattering, stale (active for more than a day), the ten most frequent, the split by priority. All
alarms of a tenant count as one operator's.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cloud.assets import alarms
from cloud.assets.alarm_rules import Name, Priority, Transition
from cloud.assets.alarms import FLOOD_WINDOW_US, Event, Flood

DAY_US: Final = 86_400_000_000
CHATTER_US: Final = 60_000_000
CHATTERS: Final = 3  # changes of the condition within a minute
STALE_US: Final = DAY_US
TOP: Final = 10


@dataclass(frozen=True, slots=True)
class FloodSpan:
    """From the alarm that was one too many until fewer than five are left in ten minutes; end_us None while it lasts. first: what came first."""

    from_us: int
    end_us: int | None
    first: Name


@dataclass(frozen=True, slots=True)
class Kpis:
    """annunciations: times an operator heard something; most_per_10_min: in any ten minutes; share_in_flood: of time, 0-1; chattering: with
    the most changes within a minute; stale: active for more than a day at the end, with since when; top: most frequent first."""

    from_us: int
    to_us: int
    annunciations: int
    per_day: float
    per_10_min: float
    most_per_10_min: int
    floods: tuple[FloodSpan, ...]
    share_in_flood: float
    chattering: tuple[tuple[Name, int], ...]
    stale: tuple[tuple[Name, int], ...]
    top: tuple[tuple[Name, int], ...]
    by_priority: tuple[tuple[Priority, int], ...]


def kpis(before: Sequence[Transition], during: Sequence[Transition], from_us: int, to_us: int) -> Kpis:
    """during: all transitions in [from_us, to_us); before: those just before, of a day at least, so that a flood or a standing alarm that
    began earlier is known; the last one of every alarm belongs in it, however old. Both in order."""
    heard = [one for one in during if one.sounds]
    counts = Counter(one.name for one in heard)
    floods = [span for span in flood_spans((*before, *during), to_us) if span.end_us is None or span.end_us > from_us]
    flooded = sum((to_us if span.end_us is None else min(span.end_us, to_us)) - max(span.from_us, from_us) for span in floods)
    length = to_us - from_us
    urgency = Counter(one.after.priority for one in heard)
    return Kpis(
        from_us,
        to_us,
        len(heard),
        len(heard) * DAY_US / length,
        len(heard) * FLOOD_WINDOW_US / length,
        _most([one.at_us for one in heard], FLOOD_WINDOW_US),
        tuple(floods),
        flooded / length,
        _chattering(during),
        _stale((*before, *during), to_us),
        tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]),
        tuple((priority, urgency[priority]) for priority in Priority),
    )


def flood_spans(transitions: Iterable[Transition], to_us: int) -> tuple[FloodSpan, ...]:
    """Floods that begin before `to_us`, by the alarms that sounded before it."""
    heard = sorted((one.at_us, one.name) for one in transitions if one.sounds and one.at_us < to_us)
    numbers: dict[int, list[str]] = {at_us + FLOOD_WINDOW_US: [] for at_us, _ in heard if at_us + FLOOD_WINDOW_US < to_us}
    for number, (at_us, _) in enumerate(heard):
        numbers.setdefault(at_us, []).append(str(number))
    flood, began, first = Flood(), 0, Name("", "")
    spans: list[FloodSpan] = []
    for at_us, sounded in sorted(numbers.items()):
        was = flood.active
        flood = alarms.annunciate(flood, sounded, at_us)
        if flood.active and not was:
            began, first = at_us, heard[int(flood.first)][1]
        elif was and not flood.active:
            spans.append(FloodSpan(began, at_us, first))
    return (*spans, FloodSpan(began, None, first)) if flood.active else tuple(spans)


def _most(times_us: Sequence[int], window_us: int) -> int:
    """Most of them in any window."""
    times, start, most = sorted(times_us), 0, 0
    for end, at_us in enumerate(times):
        while times[start] <= at_us - window_us:
            start += 1
        most = max(most, end - start + 1)
    return most


def _chattering(transitions: Sequence[Transition]) -> tuple[tuple[Name, int], ...]:
    changes: dict[Name, list[int]] = {}
    for one in transitions:
        if one.event in (Event.RAISE, Event.CLEAR):
            changes.setdefault(one.name, []).append(one.at_us)
    most = {name: _most(times, CHATTER_US) for name, times in changes.items()}
    return tuple(sorted((name, count) for name, count in most.items() if count >= CHATTERS))


def _stale(transitions: Sequence[Transition], to_us: int) -> tuple[tuple[Name, int], ...]:
    last = {one.name: one.after for one in transitions}
    return tuple(
        sorted((name, after.active_us) for name, after in last.items() if after.alarm.active and to_us - after.active_us > STALE_US)
    )
