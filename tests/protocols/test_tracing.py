"""Spans only where they were asked for, in one trace from agent to hub, and never with a value or a secret in them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from protocols import tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """Keeps the bodies that are posted to it."""

    def __init__(self) -> None:
        bodies: list[tuple[str, bytes]] = []

        class Exchange(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.bodies = bodies
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_nothing_is_imported_and_nothing_happens_when_off() -> None:
    code = (
        "import sys; from protocols import tracing\n"
        "found = tracing.start('s', 'i', '')\n"
        "with found.span('x', a=1) as parent: found.past('y', found.now_ns()); found.close()\n"
        "print(found.on, repr(parent), any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False '' False"


def test_agent_loads_nothing_of_opentelemetry() -> None:
    code = "import sys; import edge.agent; print(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(tracing.TracingMissingError, match=r"pip install 'qenergyz\[otel\]'"):
        tracing.start("s", "i", "http://127.0.0.1:1")


def test_spans_reach_the_collector_with_their_names_and_counts(collector: Collector) -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    made = tracing.start("qenergyz-edge", "rig1", collector.url)
    with made.span("forward", batches=3):
        made.past("receipt", made.now_ns(), receipts=3)
    made.close()
    paths, bodies = {path for path, _ in collector.bodies}, b"".join(body for _, body in collector.bodies)
    assert paths == {"/v1/traces"}
    for told in (b"qenergyz-edge", b"rig1", b"forward", b"receipt", b"batches"):
        assert told in bodies


def test_a_trace_goes_on_at_the_other_side() -> None:
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    sides = [(exporter := memory.InMemorySpanExporter(), tracing.OpenTelemetryTracing("s", "i", exporter)) for _ in range(2)]
    with sides[0][1].span("forward") as parent, sides[1][1].span("ingest", parent):
        pass
    for _, side in sides:
        side.close()
    (forward,), (ingest,) = (exporter.get_finished_spans() for exporter, _ in sides)
    assert ingest.context.trace_id == forward.context.trace_id
    assert ingest.parent.span_id == forward.context.span_id


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (PARENT, True),
        ("", False),
        ("nonsense", False),
        (PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), False),
        (PARENT + "-more", False),
    ],
    ids=["right", "none", "nonsense", "zeros", "too long"],
)
def test_a_header_that_is_none_begins_a_new_trace(header: str, kept: bool) -> None:
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = memory.InMemorySpanExporter()
    made = tracing.OpenTelemetryTracing("s", "i", exporter)
    with made.span("ingest", header) as here:
        pass
    made.close()
    assert here.startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-") is kept
    assert (exporter.get_finished_spans()[0].parent is not None) is kept
