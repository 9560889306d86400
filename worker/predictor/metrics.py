"""What the predictor tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from worker.predictor.calls import PendingInput

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One registry a predictor; histograms are fed once a batch where that is possible."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        prefix = "headstart_predictor_"
        self.queue = Histogram(
            prefix + "queue_seconds", "Arrival to forward pass", buckets=_SECONDS, registry=registry
        )
        self.decode = Histogram(
            prefix + "decode_seconds", "Decoding one input", buckets=_SECONDS, registry=registry
        )
        self.forward = Histogram(
            prefix + "forward_seconds", "One forward pass", buckets=_SECONDS, registry=registry
        )
        self.heads_time = Histogram(
            prefix + "heads_seconds", "All heads of a batch", buckets=_SECONDS, registry=registry
        )
        self.suffix = Histogram(
            prefix + "suffix_seconds",
            "One pass of a model's own tuned part of a network",
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            prefix + "batch_size", "Inputs a forward pass", buckets=_SIZES, registry=registry
        )
        self.cache = Counter(
            prefix + "cache", "Prediction cache lookups", ["result"], registry=registry
        )
        self.calls = Counter(prefix + "calls", "Calls answered", ["code"], registry=registry)
        self.inputs = Counter(prefix + "inputs", "Inputs answered", registry=registry)
        self.precision = Counter(
            prefix + "precision_inputs",
            "Inputs of models answered, by the precision of the fit and of the answer",
            ["fitted", "served"],
            registry=registry,
        )
        self.networks = Gauge(
            prefix + "networks", "Networks loaded", ["backbone", "engine"], registry=registry
        )
        self.head_loads = Counter(prefix + "head_loads", "Heads loaded", registry=registry)
        self.head_evictions = Counter(prefix + "head_evictions", "Heads evicted", registry=registry)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when scraped."""
        Gauge("headstart_predictor_" + name, text, registry=self.registry).set_function(read)

    def batch(
        self, items: Sequence[PendingInput], *, started: float, embedded: float, done: float
    ) -> None:
        """One batch: perf_counter seconds at its start, after the forward pass, after the heads."""
        for item in items:
            self.queue.observe(started - item.queued)
        self.batch_size.observe(len(items))
        self.forward.observe(embedded - started)
        self.heads_time.observe(done - embedded)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
