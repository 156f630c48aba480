"""The hub's counters for Prometheus, one set per hub. Names are stable: dashboards and alarms depend on them."""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.batches = Counter("qenergyz_batches", "Batches stored", registry=self.registry)
        self.replays = Counter("qenergyz_batch_replays", "Batches received again", registry=self.registry)
        self.samples = Counter("qenergyz_samples", "Samples stored", registry=self.registry)
        self.bytes = Counter("qenergyz_batch_bytes", "Bytes of stored statements", registry=self.registry)
        self.refusals = Counter("qenergyz_refusals", "Refused requests", ["slug"], registry=self.registry)
        self.equivocations = Counter(
            "qenergyz_equivocations", "Numbers for which a gateway signed two different batches", registry=self.registry
        )
        self.receipt_seconds = Histogram(
            "qenergyz_receipt_seconds",
            "From the end of the request body to the receipts",
            registry=self.registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0),
        )
        Gauge("qenergyz_tasks", "Tasks of the event loop", registry=self.registry).set_function(_tasks)
        self.log_size = Gauge("qenergyz_log_size", "Entries in the log", ["tenant"], registry=self.registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)


def _tasks() -> int:
    """0 where no loop runs."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0
