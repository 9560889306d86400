"""One trace from a request through its job to the tensor process, at a collector that is real."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.archives import zipped
from tests.factories import make_key
from tests.faults.app_process import app_process
from tests.servers import serving, wait_for
from tests.worker_kit import open_kit, picture
from tests.workers import workers

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRET = "canary-of-a-file"


class Collector(ThreadingHTTPServer):
    """Takes spans as OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[tuple[str, Span]]:
        """Each with the name of the process that it is of."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = {one.key: one.value.string_value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    found += [(told["service.name"], span) for span in scope.spans]
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    with serving(server):
        yield server


def below(spans: list[tuple[str, Span]], parent: Span, process: str, name: str) -> list[Span]:
    """A process's spans of a name right below another."""
    found = [span for of, span in spans if (of, span.name) == (process, name)]
    return [span for span in found if span.parent_span_id == parent.span_id]


def test_one_trace_leads_from_the_request_to_the_tensor_process(
    collector: Collector, tmp_path: Path
) -> None:
    kit = open_kit(tmp_path, otlp_endpoint=collector.url)
    key = make_key(kit.sessions)
    members = {f"c{i % 2}/{SECRET}{i}.png": picture(i, i % 2) for i in range(8)}
    with app_process(kit.settings) as app, app.client(key) as client, workers(kit):
        made = client.post(
            "/v1/datasets",
            files={"file": ("x.zip", zipped(members))},
            headers={"traceparent": PARENT, "Prefer": "wait=60", "x-request-id": "mine"},
        )
        assert made.json()["status"] == "ready", made.text
        wait_for(lambda: {"app", "trainer", "tensors"} <= {name for name, _ in collector.spans()})
    kit.engine.dispose()
    mine = [one for one in collector.spans() if one[1].trace_id.hex() == TRACE]
    (request,) = [span for _, span in mine if span.name == "POST /v1/datasets"]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    works = below(mine, request, "trainer", "work embed")
    assert len(works) == 1
    assert len(below(mine, works[0], "tensors", "tensors embed")) >= 1
    assert SECRET.encode() not in b"".join(collector.bodies)
    logs = (tmp_path / "app.log").read_text() + (tmp_path / "workers.log").read_text()
    assert SECRET not in logs
