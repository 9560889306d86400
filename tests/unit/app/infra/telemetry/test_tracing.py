"""Whose doing something is, with and without traces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars

from app.core.errors import HeadstartError
from app.infra.telemetry import tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Nobody's, and of no request."""
    with tracing.following(None):
        yield


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def test_nobodys_doing_has_no_origin() -> None:
    assert tracing.origin() is None


def test_what_comes_of_a_request_names_it_and_its_trace() -> None:
    with tracing.following({"request_id": "req_1", "traceparent": PARENT}, job="ftjob-1"):
        assert tracing.origin() == {"request_id": "req_1", "traceparent": PARENT}
        assert get_contextvars() == {"request_id": "req_1", "trace_id": TRACE, "job": "ftjob-1"}
    assert tracing.origin() is None
    assert get_contextvars() == {}


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01",
     PARENT.upper(), PARENT + "-x", PARENT + "\n", f"ff{PARENT[2:]}"],
)  # fmt: skip
def test_what_is_no_traceparent_is_not_believed(given: str) -> None:
    with tracing.following({"request_id": "req_1", "traceparent": given}):
        assert get_contextvars() == {"request_id": "req_1"}


def test_without_traces_a_span_is_nothing() -> None:
    with tracing.following({"traceparent": PARENT}), tracing.span("step") as current:
        current.name("another", one=1)
        current.fail("no")
        assert tracing.origin() == {"traceparent": PARENT}


def test_spans_lie_within_each_other_and_in_the_callers_trace(spans: InMemorySpanExporter) -> None:
    with (
        tracing.following({"traceparent": PARENT}),
        tracing.span("GET", kind="server") as request,
        tracing.span("step"),
    ):
        inner = tracing.origin()
        request.name("GET /v1/models", **{"http.route": "/v1/models"})
    step, outer = spans.get_finished_spans()
    assert outer.name == "GET /v1/models"
    assert dict(outer.attributes or {}) == {"http.route": "/v1/models"}
    assert outer.parent is not None
    assert step.parent is not None
    assert f"{outer.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert step.parent.span_id == outer.context.span_id
    assert inner == {"traceparent": f"00-{TRACE}-{step.context.span_id:016x}-01"}


def test_what_its_caller_does_not_sample_is_not_sampled(spans: InMemorySpanExporter) -> None:
    with tracing.following({"traceparent": PARENT[:-1] + "0"}), tracing.span("step"):
        inner = tracing.origin()
    assert spans.get_finished_spans() == ()
    assert inner is not None
    assert inner["traceparent"].endswith("-00")


@pytest.mark.parametrize(
    ("error", "said"),
    [(HeadstartError("not_found", "no canary"), "not_found"), (KeyError("canary"), "KeyError")],
)
def test_an_error_is_told_by_its_kind(
    spans: InMemorySpanExporter, error: Exception, said: str
) -> None:
    with pytest.raises(type(error)), tracing.span("step"):
        raise error
    (span,) = spans.get_finished_spans()
    assert span.status.description == said
    assert "canary" not in span.to_json()
