"""The agent's own state as JSON and as Prometheus text, on a local port.

Not a web server: it answers GET /health and GET /metrics, one request per connection. Green: everything works; amber: something waits or is
being retried; red: data is in danger or a person is needed. Every cause is a sentence.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from edge.buffer import Backlog
from edge.forwarder import ForwarderState
from edge.poller import DeviceState
from edge.reload import WRITING, Sync, SyncState
from edge.supervision import TaskState

MAX_REQUEST: Final = 8192


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that health shows. Sizes in bytes, times in microseconds, counts since the start of the agent."""

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

    def causes(self) -> list[tuple[str, str]]:
        """(colour, sentence) of everything that is not green."""
        found = [("amber", f'device "{device.name}": {device.cause}') for device in self.devices if not device.up]
        for task in self.tasks:
            recent = [at_us for at_us in task.recent_us if self.now_us - at_us < 60_000_000]
            if recent:
                found.append(
                    ("red" if len(recent) >= 3 else "amber", f"task {task.name} failed {len(recent)} times in a minute: {task.cause}")
                )
        if self.sync.state is SyncState.FAILED or (self.sync.state is SyncState.PENDING and self.sync.reason != WRITING):
            found.append(("amber", f"configuration {self.sync.state.value}: {self.sync.reason}"))
        if self.full_since_us is not None:
            found.append(("red", f"buffer full: {self.backlog.total_bytes} bytes stored, {self.dropped} samples dropped so far"))
        if self.backlog.refused_batches:
            found.append(("red", f"{self.backlog.refused_batches} batches refused by the hub; see the log for their causes"))
        if self.hub is not None and self.hub.alarm:
            found.append(("red", self.hub.alarm))
        elif self.hub is not None and not self.hub.connected:
            found.append(("amber", f"hub: {self.hub.cause}"))
        return found

    def document(self) -> dict[str, Any]:
        causes = self.causes()
        colours = {colour for colour, _ in causes}
        state = "red" if "red" in colours else "amber" if colours else "green"
        return {
            "state": state,
            "causes": [{"state": colour, "cause": cause} for colour, cause in causes],
            "gateway": self.gateway,
            "now_us": self.now_us,
            "collected": self.collected,
            "dropped": self.dropped,
            "backlog": asdict(self.backlog),
            "hub": asdict(self.hub) if self.hub else None,
            "devices": [asdict(device) for device in self.devices],
            "configuration": asdict(self.sync),
            "tasks": [{"name": task.name, "restarts": task.restarts, "cause": task.cause} for task in self.tasks],
        }

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
        if self.hub is not None:
            lines.append(f"qenergyz_edge_hub_connected {int(self.hub.connected)}")
            lines.append(f"qenergyz_edge_receipts_verified_total {self.hub.receipts_verified}")
            lines.append(f"qenergyz_edge_receipt_lag_seconds {self.hub.receipt_lag_us / 1e6:.3f}")
        for device in self.devices:
            label = f'{{device="{device.name}",protocol="{device.protocol}"}}'
            lines.append(f"qenergyz_edge_device_up{label} {int(device.up)}")
            lines.append(f"qenergyz_edge_device_last_good_seconds{label} {device.last_good_us / 1e6:.3f}")
            lines.append(f"qenergyz_edge_device_samples_total{label} {device.samples}")
        return "\n".join(lines) + "\n"


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
