"""Whose doing this is: a request's id and its trace, from HTTP through work to the tensor process.

They are in every log line and go on with work, whether traces are collected or not: a caller's
`traceparent` (W3C Trace Context) is kept. With OTLP_ENDPOINT there are spans, too, named by routes
and kinds of work; of errors they have the kind or the code, and nothing has what callers sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from structlog.contextvars import bind_contextvars, bound_contextvars

from app.core.errors import HeadstartError

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

Origin = dict[str, str]
"""`request_id` and `traceparent`, as far as they are known."""
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_EXPORT_SECONDS = 5
_BATCH_MS = 1000
_origin: ContextVar[Mapping[str, str]] = ContextVar("origin", default={})  # noqa: B039 - it is read
_tracer: Tracer | None = None


class TraceSpan:
    """What goes on between two moments; where no traces are collected it is nothing."""

    def __init__(self, span: OtelSpan | None = None) -> None:
        self._span = span

    def name(self, name: str, **attributes: str | int) -> None:
        """Call it otherwise, and say more of it."""
        if self._span is not None:
            self._span.update_name(name)
            self._span.set_attributes(dict(attributes))

    def fail(self, error: BaseException | str) -> None:
        """It has failed: of an error its code or its class."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            kind = error.code if isinstance(error, HeadstartError) else type(error).__name__
            told = error if isinstance(error, str) else kind
            self._span.set_attribute("error.type", told)
            self._span.set_status(StatusCode.ERROR, told)


def begin(request_id: str, traceparent: str) -> None:
    """From now on, in this context, all is done for this request."""
    origin = {"request_id": request_id}
    bind_contextvars(request_id=request_id)
    if traceparent and (found := _TRACEPARENT.fullmatch(traceparent)):
        origin["traceparent"] = traceparent
        bind_contextvars(trace_id=found[1])
    _origin.set(origin)


def origin() -> Origin | None:
    """Whose doing it is, to be kept with work or sent along; None where nobody asked."""
    return dict(_origin.get()) or None


@contextmanager
def following(told: Mapping[str, str] | None, **bound: Any) -> Iterator[None]:
    """Do something for whoever it is `told` that it comes of; log lines have `bound`, too."""
    given = told or {}
    found = _TRACEPARENT.fullmatch(given.get("traceparent", ""))
    known = {"request_id": given.get("request_id"), "trace_id": found[1] if found else None}
    token = _origin.set(given)
    try:
        with bound_contextvars(**bound, **{name: one for name, one in known.items() if one}):
            yield
    finally:
        _origin.reset(token)


@contextmanager
def span(
    name: str, *, kind: Literal["server", "consumer", "internal"] = "internal", **told: str | int
) -> Iterator[TraceSpan]:
    """A span of the current trace, or of a new one; what is begun within comes below it."""
    if _tracer is None:
        yield TraceSpan()
        return
    from opentelemetry.trace import SpanKind

    made = _tracer.start_span(
        name, context=_parent(), kind=SpanKind[kind.upper()], attributes=dict(told)
    )
    context = made.get_span_context()
    flags = int(context.trace_flags)
    trace = f"{context.trace_id:032x}"
    here = f"00-{trace}-{context.span_id:016x}-{flags:02x}"
    token = _origin.set({**_origin.get(), "traceparent": here})
    current = TraceSpan(made)
    try:
        with bound_contextvars(trace_id=trace):
            yield current
    except BaseException as error:
        current.fail(error)
        raise
    finally:
        _origin.reset(token)
        made.end()


def _parent() -> Any:
    """The context of OpenTelemetry that the current `traceparent` stands for."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    found = _TRACEPARENT.fullmatch(_origin.get().get("traceparent", ""))
    if found is None:
        return Context()
    flags = trace.TraceFlags(int(found[3], 16))
    above = trace.SpanContext(
        int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(above), Context())


def collect(endpoint: str, process: str) -> None:
    """Send this process's spans to an OTLP collector from now on; without an endpoint, none.

    Sampling and headers are OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`,
    `OTEL_EXPORTER_OTLP_HEADERS`).
    """
    global _tracer  # noqa: PLW0603 - a process has one
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.namespace": "headstart", "service.name": process})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_BATCH_MS))
    _tracer = provider.get_tracer("headstart")
