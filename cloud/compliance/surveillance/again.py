"""The evidence rows of surveillance: a hand-in of order events, and an alert; what they hold, made and computed again by the same functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from cloud.compliance import parameters
from cloud.compliance.surveillance import finding, orders
from cloud.compliance.surveillance.definitions import definitions
from cloud.compliance.surveillance.finding import Found, key_of
from cloud.compliance.surveillance.orders import ACTIONS, Events
from cloud.evidence.again import Known, Stage
from cloud.evidence.code import code
from protocols.batch import evidence
from protocols.batch.evidence import Inputs, Row
from protocols.batch.pedigree import Opened

ORDERS: Final = "orders"
ALERT: Final = "alert"


@dataclass(frozen=True, slots=True)
class Run:
    """All that a run depends on. hand_ins: the rows of the order events, by name. patterns: the text of the file of figures."""

    from_us: int
    to_us: int
    hand_ins: Mapping[str, bytes]
    patterns: bytes
    asked: bytes


def hand_in_row(data: bytes, events: Events) -> Row:
    inputs = Inputs(contents={"events": evidence.digest(data)})
    return Row(ORDERS, str(events.source[0]), int(events.time_us[-1]), inputs, {}, 0, code("compliance"), summary(events))


def summary(events: Events) -> dict[str, Any]:
    counts = {action: int((events.action == action).sum()) for action in ACTIONS}
    return {
        "first": int(events.sequence[0]),
        "last": int(events.sequence[-1]),
        "first_us": int(events.time_us[0]),
        "last_us": int(events.time_us[-1]),
        "actions": counts,
    }


def found_in(parts: Sequence[bytes], run: Run) -> Found:
    """parts: the hand-ins in the order of `run.hand_ins`. Raises parameters' Undetermined where a figure is not in force."""
    events = orders.joined([orders.read(part) for part in parts])
    chosen = events.chosen((events.time_us >= run.from_us) & (events.time_us <= run.to_us))
    wanted = definitions(parameters.parse(Path("patterns.toml"), run.patterns.decode()), day_of(run.to_us))
    return finding.run(chosen, wanted, *finding.decode(run.asked))


def alert_row(run: Run, alert: Mapping[str, Any]) -> Row:
    contents = {"patterns": evidence.digest(run.patterns), "asked": evidence.digest(run.asked)}
    told = {"from_us": run.from_us, "to_us": run.to_us, "key": key_of(alert)}
    subject = f"{alert['pattern']} {key_of(alert).hex()[:16]}"
    return Row(ALERT, subject, int(alert["last_us"]), Inputs(run.hand_ins, contents), told, 0, code("compliance"), alert)


def day_of(at_us: int) -> date:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date()


def _hand_in(known: Known, opened: Opened) -> Mapping[str, Any]:
    return summary(known.parsed(opened.row, "events", orders.read))


def _alert(known: Known, opened: Opened) -> Mapping[str, Any]:
    row = opened.row
    contents = {name: known.contents[digest] for name, digest in row.inputs.contents.items()}
    run = Run(row.parameters["from_us"], row.parameters["to_us"], row.inputs.rows, contents["patterns"], contents["asked"])
    names = sorted(run.hand_ins, key=lambda name: (known.rows[run.hand_ins[name]].subject, known.rows[run.hand_ins[name]].output["first"]))
    parts = [known.contents[known.rows[run.hand_ins[name]].inputs.contents["events"]] for name in names]
    return next((one for one in found_in(parts, run).alerts if key_of(one) == row.parameters["key"]), {})


STAGES: Final[Mapping[str, Stage]] = {ORDERS: _hand_in, ALERT: _alert}
