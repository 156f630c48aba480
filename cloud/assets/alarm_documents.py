"""Alarms as JSON documents. The words are those of the journal's columns; what does not apply is null."""

from typing import Any

from cloud.assets.alarm_rules import Name, Standing
from cloud.assets.alarm_store import Stored


def standing_json(name: Name, standing: Standing) -> dict[str, Any]:
    """since_us: of the state; active_us: since when the condition holds; evidence: id of the health row it was seen in."""
    alarm = standing.alarm
    return {
        "asset": name.asset,
        "alarm": name.alarm,
        "state": alarm.state.value,
        "active": alarm.active,
        "priority": standing.priority.value,
        "since_us": alarm.since_us,
        "active_us": standing.active_us or None,
        "until_us": alarm.until_us or None,
        "once": alarm.once,
        "cause": standing.cause,
        "evidence": standing.evidence.hex() or None,
    }


def transition_json(stored: Stored) -> dict[str, Any]:
    """The transition, and how the alarm stands after it."""
    one = stored.transition
    what = {"id": stored.id, "at_us": one.at_us, "event": one.event.value, "by": one.by, "reason": one.reason}
    return what | standing_json(one.name, one.after)
