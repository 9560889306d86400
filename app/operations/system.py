"""`GET /v1/system`: how the service is, and what of it is the caller's."""

from __future__ import annotations

import asyncio
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import HeadstartError
from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.operations import overview
from app.operations.metrics import prediction_seconds

router = APIRouter(route_class=StrictRoute, prefix="/v1/system", tags=["health"])

_SYSTEM: dict[str, Any] = {
    "object": "system",
    "version": "0.1.0",
    "checks": {"database": "ok", "predictor": "ok", "storage": "ok", "trainer": "ok"},
    "work": [{"kind": "fine_tune", "queued": 0, "running": 1}],
    "workers": [{"name": "host:3823:71ktc8", "kind": "fine_tune", "lease_seconds": 41.2}],
    "stored_bytes": {"examples": 24200000, "embeddings": 13700000, "models": 812000},
    "disk": {"total_bytes": 64000000000, "free_bytes": 12900000000},
    "precision": {"default": "openvino-f32", "available": ["openvino-f32"]},
    "latency": {"p50_seconds": 0.012, "p95_seconds": 0.021, "p99_seconds": 0.048},
}


class WorkCount(BaseModel):
    """The organisation's work of one kind."""

    kind: str = Field(examples=["fine_tune"])
    queued: int
    running: int


class BusyWorker(BaseModel):
    """A worker that has some of the organisation's work; more than these may idle."""

    name: str
    kind: str = Field(description="What it does.")
    lease_seconds: float | None = Field(
        description="Until others may take it over; below zero, its worker has gone silent."
    )


class StoredBytes(BaseModel):
    """What the organisation's data take."""

    examples: int
    embeddings: int
    models: int


class Disk(BaseModel):
    """Of the file system that holds the data."""

    total_bytes: int
    free_bytes: int


class ServedPrecision(BaseModel):
    """The predictor's engines by name: its default, and all that it can use."""

    default: str
    available: list[str]


class Latency(BaseModel):
    """From a prediction request's first byte to the end of its answer, its network's time left out.

    Of whichever models and organisations, since this host's app began; exact to its buckets.
    """

    p50_seconds: float = Field(description="Half of the answered requests took less.")
    p95_seconds: float
    p99_seconds: float


class System(BaseModel):
    """How the service is; counts and bytes are of the caller's organisation."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SYSTEM]})

    object: Literal["system"] = "system"
    version: str
    checks: dict[str, str] = Field(description="`ok`, or what is wrong, as in `/readyz`.")
    work: list[WorkCount]
    workers: list[BusyWorker]
    stored_bytes: StoredBytes
    disk: Disk | None = Field(description="Null where the data lie in an object store.")
    precision: ServedPrecision | None = Field(
        description="What the predictor computes in; null where it does not answer."
    )
    latency: Latency | None = Field(
        None, description="How long predictions take; null before the first was answered."
    )


@router.get("", responses=problems("overloaded"))
async def get_system(caller: Reader, services: ServicesDep) -> System:
    """How the service is, what waits and runs of the organisation's, and what that takes."""
    checks = await services.probe.checks()
    own = await to_thread.run_sync(_own, services, caller.organisation_id)
    return System(
        version=_version(),
        checks=checks,
        disk=await to_thread.run_sync(_disk, services),
        precision=await _precision(services),
        latency=await to_thread.run_sync(_latency),
        **own,
    )


def _own(services: Services, organisation_id: str) -> dict[str, Any]:
    with reading(services.sessions) as session:
        counts = overview.waiting(session, organisation_id)
        held = overview.holdings(session, organisation_id)
        stored = overview.stored_bytes(session, organisation_id)
    kinds = sorted({kind for kind, _ in counts})
    return {
        "work": [
            WorkCount(
                kind=kind,
                queued=counts.get((kind, "queued"), 0),
                running=counts.get((kind, "running"), 0),
            )
            for kind in kinds
        ],
        "workers": [
            BusyWorker(name=one.worker, kind=one.kind, lease_seconds=one.lease_seconds)
            for one in held
        ],
        "stored_bytes": StoredBytes(**stored),
    }


def _disk(services: Services) -> Disk | None:
    if services.settings.storage_url:
        return None
    usage = shutil.disk_usage(services.settings.data_dir)
    return Disk(total_bytes=usage.total, free_bytes=usage.free)


def _latency() -> Latency | None:
    found = prediction_seconds(0.5, 0.95, 0.99)
    if found is None:
        return None
    p50, p95, p99 = (round(one, 4) for one in found)
    return Latency(p50_seconds=p50, p95_seconds=p95, p99_seconds=p99)


async def _precision(services: Services) -> ServedPrecision | None:
    try:
        async with asyncio.timeout(1):
            known = await services.predictor.precisions()
    except (HeadstartError, TimeoutError):
        return None
    return ServedPrecision(default=known.default, available=list(known.available))


def _version() -> str:
    try:
        return version("headstart")
    except PackageNotFoundError:
        return "unknown"
