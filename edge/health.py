"""The agent's own state as JSON and as Prometheus text, on a local port.

Not a web server: it answers GET /health and GET /metrics, one request per connection. Green: everything works; amber: something waits or is
being retried; red: data is in danger or a person is needed. Every cause is a sentence.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from edge.buffer import Backlog
from edge.buffergaps import Drop
from edge.causes import causes_of
from edge.clockwatch import LOCAL, NTP
from edge.forwarder import ForwarderState
from edge.poller import DeviceState
from edge.reload import Sync
from edge.supervision import TaskState
from protocols.batch.columns import ClockRecord, GapReason
from protocols.configuration import SyncState

MAX_REQUEST: Final = 8192
CAUSES: Final = {
    GapReason.DROPPED_BY_CAP: "dropped_by_cap_samples",
    GapReason.THINNED_OUT: "thinned_out_samples",
    GapReason.NEVER_KEPT: "never_kept_samples",
    GapReason.BUFFER_QUARANTINED: "damaged_samples",
}
CLOCK_SOURCES: Final = {LOCAL: "not synchronised", NTP: "synchronised"}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that health shows. Sizes in bytes, times in microseconds, counts since the start of the agent.

    full_in_s: forecast for what waits, None while it does not grow. counters: of drivers that count, by device.
    dropped_by: since the buffer's file was begun, waiting gap records included. disk_free: of the folder of the buffer.
    """

    gateway: str
    now_us: int
    collected: int
    dropped: int
    full_since_us: int | None
    backlog: Backlog
    hub: ForwarderState | None
    devices: tuple[DeviceState, ...]
    tasks: tuple[TaskState, ...]
    sync: Sync
    full_in_s: float | None = None
    clock: ClockRecord | None = None
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    dropped_by: tuple[Drop, ...] = ()
    disk_free: int | None = None
    upkeep: tuple[str, ...] = ()  # what does not work of keys, certificates and remote configuration

    def causes(self) -> list[tuple[str, str]]:
        """(colour, sentence) of everything that is not green."""
        return [(one.state, one.cause) for one in causes_of(self)]

    def document(self) -> dict[str, Any]:
        causes = self.causes()
        colours = {colour for colour, _ in causes}
        state = "red" if "red" in colours else "amber" if colours else "green"
        return {
            "state": state,
            "causes": [{"state": colour, "cause": cause} for colour, cause in causes],
            "components": [asdict(one) for one in causes_of(self)],
            "gateway": self.gateway,
            "now_us": self.now_us,
            "collected": self.collected,
            "dropped": self.dropped,
            "drops": self.drops,
            "full_in_s": self.full_in_s,
            "clock": self._clock(),
            "counters": {device: dict(found) for device, found in self.counters.items()},
            "backlog": asdict(self.backlog),
            "hub": asdict(self.hub) if self.hub else None,
            "devices": [asdict(device) for device in self.devices],
            "configuration": asdict(self.sync),
            "tasks": [{"name": task.name, "restarts": task.restarts, "cause": task.cause} for task in self.tasks],
        }

    @property
    def drops(self) -> dict[str, int]:
        """By cause: samples that signed gap records tell of, batches that the hub refused for ever."""
        by_cause = {cause: sum(one.samples for one in self.dropped_by if one.reason is reason) for reason, cause in CAUSES.items()}
        return {**by_cause, "refused_batches": self.backlog.refused_batches}

    def _clock(self) -> dict[str, Any] | None:
        """offset_us: of this clock as the kernel says, to be added; error_us: its bound."""
        if self.clock is None:
            return None
        source = CLOCK_SOURCES.get(self.clock.source, "unknown")
        return {"source": source, "offset_us": self.clock.offset_us, "error_us": self.clock.error_us}

    def metrics(self) -> str:
        """Prometheus text exposition format 0.0.4."""
        lines = [
            f"qenergyz_edge_samples_collected_total {self.collected}",
            f"qenergyz_edge_samples_dropped_total {self.dropped}",
            f"qenergyz_edge_backlog_batches {self.backlog.sealed_batches}",
            f"qenergyz_edge_backlog_samples {self.backlog.sealed_samples + self.backlog.open_samples}",
            f"qenergyz_edge_backlog_bytes {self.backlog.sealed_bytes}",
            f"qenergyz_edge_buffer_bytes {self.backlog.total_bytes}",
            f"qenergyz_edge_batches_refused {self.backlog.refused_batches}",
        ]
        oldest = self.backlog.oldest_sealed_us
        lines.append(f"qenergyz_edge_backlog_oldest_seconds {(self.now_us - oldest) / 1e6 if oldest else 0:.3f}")
        lines += [f'qenergyz_edge_drops_total{{cause="{cause}"}} {count}' for cause, count in self.drops.items()]
        lines += [
            f'qenergyz_edge_dropped_samples_total{{cause="{CAUSES.get(one.reason, one.reason.name.lower())}",class="{one.priority.name.lower()}"}}'
            f" {one.samples}"
            for one in self.dropped_by
        ]
        lines.append(f"qenergyz_edge_full_in_seconds {'+Inf' if self.full_in_s is None else f'{self.full_in_s:.0f}'}")
        lines.append(f"qenergyz_edge_configuration_in_sync {int(self.sync.state is SyncState.IN_SYNC)}")
        if self.clock is not None:
            lines.append(f"qenergyz_edge_clock_offset_seconds {self.clock.offset_us / 1e6:.6f}")
            lines.append(f"qenergyz_edge_clock_error_seconds {self.clock.error_us / 1e6:.6f}")
            lines.append(f"qenergyz_edge_clock_synchronised {int(self.clock.source == NTP)}")
        if self.hub is not None:
            lines.append(f"qenergyz_edge_hub_connected {int(self.hub.connected)}")
            lines.append(f"qenergyz_edge_receipts_verified_total {self.hub.receipts_verified}")
            lines.append(f"qenergyz_edge_receipt_lag_seconds {self.hub.receipt_lag_us / 1e6:.3f}")
        for device in self.devices:
            label = f'{{device="{_escaped(device.name)}",protocol="{device.protocol}"}}'
            lines.append(f"qenergyz_edge_device_up{label} {int(device.up)}")
            lines.append(f"qenergyz_edge_device_last_good_seconds{label} {device.last_good_us / 1e6:.3f}")
            lines.append(f"qenergyz_edge_device_samples_total{label} {device.samples}")
        for name, found in self.counters.items():
            lines += [f'qenergyz_edge_driver_{key}_total{{device="{_escaped(name)}"}} {count}' for key, count in found.items()]
        return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class HealthPage:
    """`start` listens, `stop` ends; `report` is asked once per request."""

    def __init__(self, listen: tuple[str, int], report: Callable[[], Any]) -> None:
        self._listen, self._report = listen, report
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Returns the base URL."""
        self._server = await asyncio.start_server(self._answer, *self._listen)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                request = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await self._page(request[:MAX_REQUEST].split(b" "))
                head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the asker went away or did not speak HTTP: nothing of ours depends on it
        finally:
            writer.close()

    async def _page(self, words: list[bytes]) -> tuple[str, str, bytes]:
        if len(words) < 2 or words[0] != b"GET" or words[1] not in (b"/health", b"/metrics"):
            return "404 Not Found", "text/plain", b"GET /health or GET /metrics\n"
        report: Report = await self._report()
        if words[1] == b"/metrics":
            return "200 OK", "text/plain; version=0.0.4", report.metrics().encode()
        document = report.document()
        return ("503 Service Unavailable" if document["state"] == "red" else "200 OK"), "application/json", json.dumps(document).encode()
