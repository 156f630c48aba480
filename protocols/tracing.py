"""Spans for OpenTelemetry, and nothing at all when nobody asked for them.

`OFF` is what every part has by default: its spans do nothing and nothing of OpenTelemetry is imported. `start` gives the real one, which needs the
extra `otel` and sends to an OTLP/HTTP collector from a thread of its own; a collector that is away costs spans, never samples. Attributes are counts
and names of devices, streams and tenants: no value, key, token or payload ever goes into one. Not for metrics (`/metrics`) nor for logs.
"""

import importlib
import logging
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

HEADER: Final = "traceparent"  # W3C Trace Context, 3.2
ENVIRONMENT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NONE: Final = nullcontext("")
Attribute = str | int | float | bool


class TracingMissingError(Exception):
    """Spans were asked for and cannot be made; the message says what to install."""


class Tracing:
    """Off. `on` lets a caller leave out what only spans need."""

    on = False

    def span(self, name: str, parent: str = "", **attributes: Attribute) -> AbstractContextManager[str]:  # noqa: ARG002
        """Gives the value of the header `traceparent` for what is asked of others inside; "" when off. parent: such a value from somebody else."""
        return _NONE

    def past(self, name: str, began_ns: int, **attributes: Attribute) -> None:
        """Something that has just ended, and turned out to be worth a span. began_ns: of `now_ns`."""

    def now_ns(self) -> int:
        return 0

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""


OFF: Final = Tracing()


class OpenTelemetryTracing(Tracing):
    """See `start`. exporter: what gets the spans."""

    on = True

    def __init__(self, service: str, instance: str, exporter: Any) -> None:
        sdk, export = _part("sdk.trace"), _part("sdk.trace.export")
        resource = _part("sdk.resources").Resource({"service.name": service, "service.instance.id": instance})
        self._provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("qenergyz")

    def span(self, name: str, parent: str = "", **attributes: Attribute) -> AbstractContextManager[str]:
        return self._span(name, parent, attributes)

    @contextmanager
    def _span(self, name: str, parent: str, attributes: dict[str, Attribute]) -> Iterator[str]:
        with self._tracer.start_as_current_span(name, _context(parent), attributes=attributes, record_exception=False) as span:
            found = span.get_span_context()
            yield f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

    def past(self, name: str, began_ns: int, **attributes: Attribute) -> None:
        self._tracer.start_span(name, attributes=attributes, start_time=began_ns).end()

    def now_ns(self) -> int:
        return time.time_ns()

    def close(self) -> None:
        self._provider.force_flush(3000)
        self._provider.shutdown()


def start(service: str, instance: str, endpoint: str) -> Tracing:
    """endpoint: base URL of a collector, to which /v1/traces is added; "" = off. Raises TracingMissingError."""
    if not endpoint:
        return OFF
    try:
        exporter = _part("exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter
        url = endpoint.rstrip("/")
        for noisy in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk.trace.export"):
            logging.getLogger(noisy).setLevel(
                logging.CRITICAL
            )  # a collector that is away is no event of ours, and would be told every second
        url = url if url.endswith("/v1/traces") else f"{url}/v1/traces"
        return OpenTelemetryTracing(service, instance, exporter(url, timeout=5))
    except ImportError as error:
        raise TracingMissingError(f"spans need the extra otel ({error}): pip install 'qenergyz[otel]'") from error


def _part(name: str) -> Any:
    """Of OpenTelemetry, which only the extra brings."""
    return importlib.import_module(f"opentelemetry.{name}")


def _context(parent: str) -> Any:
    """Of a header; a wrong one is as none (W3C Trace Context, 4.3: a receiver that cannot parse it begins a new trace)."""
    trace = _part("trace")
    found = _PARENT.fullmatch(parent)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    remote = trace.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=trace.TraceFlags(int(found[3], 16)))
    return trace.set_span_in_context(trace.NonRecordingSpan(remote))
