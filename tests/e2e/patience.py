"""A caller that a busy machine cannot hurry."""

from __future__ import annotations

import time
from typing import Any

import httpx

_SECONDS = 600.0
_UNDER_WAY = frozenset({"processing", "validating_files", "queued", "running"})
_UNAVAILABLE = 503
_RETRY_AFTER = "retry-after"


class PatientClient(httpx.Client):
    """Waits on for what it said it would wait for (`Prefer: wait=N`), and asks again where a
    network is still being loaded: how quickly either goes is for benchmarks.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(timeout=_SECONDS, **given)

    def send(self, request: httpx.Request, **given: Any) -> httpx.Response:
        answer = super().send(request, **given)
        deadline = time.monotonic() + _SECONDS
        while _is_loading(request, answer) and time.monotonic() < deadline:
            time.sleep(float(answer.headers[_RETRY_AFTER]))
            answer = super().send(request, **given)
        if "prefer" not in request.headers or given.get("stream"):
            return answer
        while _is_under_way(answer) and time.monotonic() < deadline:
            answer = self._later(request, answer)
        return answer

    def _later(self, request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        """The same answer with what has become meanwhile of what it tells."""
        where = answer.headers.get("location", str(request.url))
        wait = {"prefer": request.headers["prefer"]}
        later = super().send(self.build_request("GET", where, headers=wait)).raise_for_status()
        return httpx.Response(
            answer.status_code,
            headers={
                name: value
                for name, value in answer.headers.items()
                if name not in ("content-length", "content-encoding")
            },
            content=later.content,
            request=request,
        )


def _is_loading(request: httpx.Request, answer: httpx.Response) -> bool:
    asks = request.method == "POST" and request.url.path.endswith("/predictions")
    return asks and answer.status_code == _UNAVAILABLE and answer.json()["code"] == "overloaded"


def _is_under_way(answer: httpx.Response) -> bool:
    if not answer.is_success or not answer.headers.get("content-type", "").endswith("json"):
        return False
    told = answer.json()
    return isinstance(told, dict) and told.get("status") in _UNDER_WAY
