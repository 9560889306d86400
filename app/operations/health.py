"""`/livez`, `/readyz` and `/metrics`; what they check is asked by `app.infra.probe`."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.http.dependencies import ServicesDep
from app.http.openapi import files, problems
from app.http.routes import StrictRoute
from app.infra.probe import SECONDS
from app.operations.metrics import CONTENT_TYPE, exposition

router = APIRouter(route_class=StrictRoute, tags=["health"])


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
async def readyz(services: ServicesDep) -> Ready:
    """How each part is; ready if the database answers within two seconds and the storage works.

    Without predictor or trainer the app still takes uploads and jobs: a balancer that sends it
    nothing then would make a part's outage the whole's. `/v2/health/ready` asks the predictor.
    """
    checks = await services.probe.checks()
    if bad := [name for name in ("database", "storage") if checks[name] != "ok"]:
        raise HeadstartError(
            f"{bad[0]}_unavailable",
            "not ready: " + ", ".join(f"{name}: {checks[name]}" for name in bad),
            retry_after=SECONDS,
            extra={"checks": checks},
        )
    return Ready(checks=checks)


@router.get("/metrics", response_class=Response, responses={200: files("text/plain")})
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
