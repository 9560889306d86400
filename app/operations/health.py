"""`/livez`, `/readyz` and `/metrics`; probes are async and bounded, and wait for no busy pool."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import text
from starlette.responses import Response

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.ids import new_id
from app.http.dependencies import Services, ServicesDep
from app.http.openapi import problems
from app.http.strict_json import StrictRoute
from app.infra.database import reading
from app.infra.storage import scratch, staging
from app.operations.metrics import CONTENT_TYPE, exposition

router = APIRouter(route_class=StrictRoute, tags=["health"])

_SECONDS = 2.0
_REMEMBERED_SECONDS = 1.0


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The service can take requests; what was checked."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]


@router.get("/livez")
async def livez() -> Live:
    """Whether the process answers; it touches nothing else."""
    return Live()


@router.get("/readyz", responses=problems("database_unavailable", "storage_unavailable"))
async def readyz(request: Request, services: ServicesDep) -> Ready:
    """Whether the database answers within two seconds and the storage takes a file."""
    checks = await _probe(request).checks(services)
    if bad := [name for name, outcome in checks.items() if outcome != "ok"]:
        raise HeadstartError(
            f"{bad[0]}_unavailable",
            "not ready: " + ", ".join(f"{name}: {checks[name]}" for name in bad),
            retry_after=_SECONDS,
            extra={"checks": checks},
        )
    return Ready(checks=checks)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, services: ServicesDep) -> Response:
    """Prometheus' text format, for a key with the scope `operator`: it counts all tenants.

    The predictor's own follow where it is one behind a Unix socket; others are scraped themselves.
    """
    identity = request.state.identity
    assert isinstance(identity, Identity)
    identity.require("operator")
    text = await to_thread.run_sync(exposition, services.sessions)
    if services.settings.predictor.startswith("unix:"):
        with suppress(HeadstartError):
            text += await services.predictor.metrics()
    return Response(text, media_type=CONTENT_TYPE)


class _Probe:
    """Runs the checks one at a time, and remembers them a second: anybody may ask, at any rate."""

    def __init__(self) -> None:
        self._turn = anyio.Lock()
        self._threads = CapacityLimiter(4)
        self._found: dict[str, str] = {}
        self._until = 0.0

    async def checks(self, services: Services) -> dict[str, str]:
        """`ok`, or what is wrong, by name."""
        async with self._turn:
            if time.monotonic() >= self._until:
                self._found = await self._look(services)
                self._until = time.monotonic() + _REMEMBERED_SECONDS
        return self._found

    async def _look(self, services: Services) -> dict[str, str]:
        outcomes: dict[str, str] = {}

        async def note(name: str, check: Callable[[Services], None]) -> None:
            outcomes[name] = await self._outcome(check, services)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note, "database", _check_database)
            tasks.start_soon(note, "storage", _check_storage)
        return dict(sorted(outcomes.items()))

    async def _outcome(self, check: Callable[[Services], None], services: Services) -> str:
        try:
            with anyio.fail_after(_SECONDS):
                await to_thread.run_sync(
                    check, services, limiter=self._threads, abandon_on_cancel=True
                )
        except TimeoutError:
            return f"no answer within {_SECONDS:g} s"
        except HeadstartError as error:
            return error.message
        except OSError as error:
            return error.strerror or "cannot be written"
        return "ok"


def _probe(request: Request) -> _Probe:
    state = request.app.state
    if not hasattr(state, "probe"):
        state.probe = _Probe()
    found = state.probe
    assert isinstance(found, _Probe)
    return found


def _check_database(services: Services) -> None:
    with reading(services.sessions) as session:
        session.execute(text("SELECT 1 FROM organisations LIMIT 1"))


def _check_storage(services: Services) -> None:
    key = f"probes/{new_id('probe_')}"
    with scratch(staging(services.settings)) as folder:
        source = folder / "probe"
        source.write_bytes(b"probe")
        services.storage.put(key, source)
    services.storage.delete(key)
