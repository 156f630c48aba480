"""Topic names and filters of MQTT (3.1.1, chapter 4.7), and which of them a device uses. Pure."""

from collections.abc import Iterable
from typing import Final

LONGEST: Final = 65_535


def name_problem(topic: str) -> str | None:
    """Why this is no topic to publish to, or None."""
    if not topic or "\0" in topic or len(topic.encode()) > LONGEST:
        return f'expected a topic, found "{topic[:80]}"'
    return f'expected one topic without wildcards, found "{topic}"' if "+" in topic or "#" in topic else None


def filter_problem(text: str) -> str | None:
    """Why this is no topic filter, or None."""
    levels = text.split("/")
    if not text or "\0" in text or len(text.encode()) > LONGEST:
        return f'expected a topic, found "{text[:80]}"'
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels) or "#" in levels[:-1]:
        return f'wildcards stand alone in their level, # in the last one only; found "{text}"'
    return f'name the group in "share" of the gateway\'s file instead of "{levels[0]}"' if levels[0] == "$share" else None


def matches(pattern: str, topic: str) -> bool:
    """Whether a message on the topic is one for the filter."""
    if topic.startswith("$") and pattern[:1] in ("+", "#"):
        return False
    wanted, found = pattern.split("/"), topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(found) or level not in ("+", found[at]):
            return False
    return len(wanted) == len(found)


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic of the filter `narrow` is one of `wide` too."""
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    if narrow.startswith("$") and wide[:1] in ("+", "#"):
        return False
    for at, level in enumerate(wide_levels):
        if level == "#":
            return True
        if at >= len(narrow_levels) or narrow_levels[at] == "#" or level not in ("+", narrow_levels[at]):
            return False
    return len(wide_levels) == len(narrow_levels)


def widest(filters: Iterable[str]) -> tuple[str, ...]:
    """The filters without those that another one covers, because a broker may deliver a message once for each (MQTT 3.1.1, 3.3.5)."""
    distinct = tuple(dict.fromkeys(filters))
    wild = [one for one in distinct if "+" in one or "#" in one]
    return tuple(one for one in distinct if not any(other != one and covers(other, one) for other in wild))


def sparkplug_topics(group: str, node: str) -> tuple[str, ...]:
    """A node is followed whole, because its sequence number runs over all its devices."""
    return f"spBv1.0/{group}/+/{node}", f"spBv1.0/{group}/+/{node}/+"


def state_topic(host: str) -> str:
    """Where a Sparkplug host application says whether it is there (Sparkplug 3.0, 4.3)."""
    return f"spBv1.0/STATE/{host}"
