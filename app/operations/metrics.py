"""What Prometheus reads: requests by route, and the queue as the database has it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from app.http.gate import Application, Message, Receive, Scope, Send
from app.infra.database import Sessions, now, reading
from app.infra.orm import WorkRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = Histogram(
    "headstart_http_seconds",
    "Time from a request's first byte to the end of its answer.",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
_PREDICTIONS = frozenset({"/v1/models/{model}/predictions", "/v1/predictions"})
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Measure:
    """ASGI middleware that times every request under its route's template, never its raw path."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and observe what came out."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            _SECONDS.labels(method, route, status).observe(time.perf_counter() - started)


class _Queue(Collector):
    """Work by kind and state, and how long the oldest has waited: that workers work shows here."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def collect(self) -> Iterator[Metric]:
        """Two gauges, read from the database now."""
        rows = GaugeMetricFamily("headstart_work", "Rows of work.", labels=["kind", "state"])
        oldest = GaugeMetricFamily(
            "headstart_work_oldest_queued_seconds",
            "Age of the oldest queued work.",
            labels=["kind"],
        )
        kind, state = WorkRow.kind, WorkRow.state
        with reading(self._sessions) as session:
            at = now(session)
            statement = select(kind, state, func.count(), func.min(WorkRow.created_at))
            counts = session.execute(
                statement.where(state.in_(["queued", "running"])).group_by(kind, state)
            ).all()
        for its_kind, its_state, count, since in counts:
            rows.add_metric([its_kind, its_state], count)
            if its_state == "queued":
                oldest.add_metric([its_kind], max(0.0, at - since))
        yield rows
        yield oldest


def exposition(sessions: Sessions) -> bytes:
    """Every metric of this service's app processes, in the text format 0.0.4."""
    queue = CollectorRegistry()
    queue.register(_Queue(sessions))
    return generate_latest(_own()) + generate_latest(queue)


def _own() -> CollectorRegistry:
    """What all app processes of this service have observed."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()  # several uvicorn workers share the folder
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


def prediction_seconds(*shares: float) -> list[float] | None:
    """By when so many (0 to 1) of all answered prediction requests had their answer, in seconds.

    None where none was answered yet. Linear inside a bucket, as Prometheus's histogram_quantile.
    """
    within: defaultdict[float, float] = defaultdict(float)
    for metric in _own().collect():
        for sample in metric.samples:
            if sample.name == "headstart_http_seconds_bucket" and _answered(sample.labels):
                within[float(sample.labels["le"])] += sample.value
    counts = sorted(within.items())
    return [_by_when(share, counts) for share in shares] if counts and counts[-1][1] else None


def _answered(labels: Mapping[str, str]) -> bool:
    return labels["route"] in _PREDICTIONS and labels["status"] == "200"


def _by_when(share: float, counts: Sequence[tuple[float, float]]) -> float:
    """`counts` are cumulative, by the buckets' upper ends, of which the last has none."""
    wanted, low, before = share * counts[-1][1], 0.0, 0.0
    for end, count in counts[:-1]:
        if count >= wanted and count > before:
            return low + (end - low) * (wanted - before) / (count - before)
        low, before = end, count
    return low
