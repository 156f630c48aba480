"""What is not green, in plain words: which component, how bad, why, and what a person does about it. Pure.

Amber: something waits or is being retried, and comes back by itself. Red: data are in danger, or only a person can end it. The same table for
people is in docs/reference/recovery.md. Not for what the figures are (`edge/health.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge.buffercap import DISK_RESERVE
from edge.reload import WRITING
from edge.supervision import MANY
from protocols.configuration import SyncState

if TYPE_CHECKING:
    from edge.health import Report

FULL_SOON_S: Final = 24 * 3600.0
WENT_BACK_US: Final = 24 * 3_600_000_000  # so long after it, health tells that the hub's log went back
NOTHING: Final = "nothing: it is tried again by itself"


@dataclass(frozen=True, slots=True)
class Cause:
    """state: "amber" or "red". component: "buffer", "configuration", "hub", "device NAME" or "task NAME"."""

    state: str
    component: str
    cause: str
    next_step: str


def causes_of(report: "Report") -> list[Cause]:
    return [*_devices(report), *_tasks(report), *_configuration(report), *_buffer(report), *_hub(report), *_upkeep(report)]


def _devices(report: "Report") -> Iterator[Cause]:
    for device in report.devices:
        if not device.up:
            step = f"{NOTHING}; to see what stands in the way: qenergyz edge test GATEWAY.toml {device.name}"
            yield Cause("amber", f"device {device.name}", f'device "{device.name}": {device.cause}', step)


def _tasks(report: "Report") -> Iterator[Cause]:
    for task in report.tasks:
        recent = len(task.recent(report.now_us))
        if recent:
            step = "report it with: qenergyz edge support-bundle GATEWAY.toml" if recent >= MANY else "nothing: it was started again"
            said = f"task {task.name} failed {recent} times in a minute: {task.cause}"
            yield Cause("red" if recent >= MANY else "amber", f"task {task.name}", said, step)


def _configuration(report: "Report") -> Iterator[Cause]:
    sync = report.sync
    if sync.state is SyncState.FAILED or (sync.state is SyncState.PENDING and sync.reason != WRITING):
        said = f"configuration {sync.state.value}: {sync.reason}"
        yield Cause("amber", "configuration", said, "the agent runs by the file as it was; mend it: qenergyz edge check GATEWAY.toml")


def _buffer(report: "Report") -> Iterator[Cause]:
    backlog = report.backlog
    if report.full_since_us is not None:
        said = f"buffer full: {backlog.total_bytes} bytes stored, {report.dropped} samples dropped so far"
        yield Cause(
            "red", "buffer", said, "bring the hub back, free disk space, or raise max_size in [buffer]; it goes on without a restart"
        )
    elif report.full_in_s is not None and report.full_in_s < FULL_SOON_S:
        said = f"the buffer will be full in {report.full_in_s / 3600:.1f} h at the present rate"
        yield Cause("amber", "buffer", said, "bring the hub back, or raise max_size in [buffer]")
    if report.disk_free is not None and report.disk_free < DISK_RESERVE:
        said = f"the disk is full: {report.disk_free / 1e6:.1f} MB free; the buffer makes room as its policies say"
        yield Cause("red", "buffer", said, "free disk space; it goes on without a restart")
    if backlog.refused_batches:
        said = f"{backlog.refused_batches} batches refused by the hub; see the log for their causes"
        yield Cause("red", "buffer", said, "they are kept as evidence; report it with: qenergyz edge support-bundle GATEWAY.toml")


def _hub(report: "Report") -> Iterator[Cause]:
    hub = report.hub
    if hub is None:
        return
    if hub.log_went_back_us and report.now_us - hub.log_went_back_us < WENT_BACK_US:
        at = datetime.fromtimestamp(hub.log_went_back_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        said = f"the hub's log went back at {at}: it was restored from a backup; what it lost is fed again, {report.backlog.sealed_batches} batches wait"
        step = "nothing at the site; whoever runs the hub compares the event with the signed checkpoint that was broken"
        yield Cause("amber", "hub", said, step)
    if hub.alarm:
        step = "nothing is freed meanwhile; ask whoever runs the hub; if it was restored: qenergyz edge accept-fork GATEWAY.toml --why TEXT"
        yield Cause("red", "hub", hub.alarm, step)
    elif not hub.connected:
        yield Cause("amber", "hub", f"hub: {hub.cause}", _way_back(hub.cause))


def _upkeep(report: "Report") -> Iterator[Cause]:
    for cause in report.upkeep:
        yield Cause("amber", "keys and configuration", cause, NOTHING if "tried again" in cause else "the cause says what to do")


def _way_back(cause: str) -> str:
    """By the words of the hub's problem documents."""
    steps = {
        "two-agents": "stop the other agent that has this gateway's key; this one keeps everything and follows 5 s later",
        "revoked-key": "enrol anew with a voucher: qenergyz edge enrol GATEWAY.toml --voucher @FILE --new-key",
        "unknown-key": "enrol anew with a voucher: qenergyz edge enrol GATEWAY.toml --voucher @FILE",
        "nothing sent yet": "nothing, right after a start",
    }
    return next((step for word, step in steps.items() if word in cause), f"{NOTHING}; to see why not: qenergyz edge doctor GATEWAY.toml")
