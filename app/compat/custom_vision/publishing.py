"""Publishing an iteration under a name, and taking its network away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from app.compat.custom_vision.naming import AnyVersion, IterationUuid, ProjectUuid, alias_of
from app.compat.custom_vision.projects import published_in
from app.compat.custom_vision.shapes import VisionExport
from app.compat.custom_vision.training import model_of
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.http.dependencies import Reader, Services, ServicesDep, Writer
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.repositories import exports as export_rows
from app.infra.repositories import models
from app.models import exports
from app.models.alias_schemas import NewAlias
from app.models.aliases import delete_alias, put_alias

_FORMATS = {"onnx": "ONNX", "openvino": "OpenVino"}
router = APIRouter(
    route_class=StrictRoute,
    prefix="/customvision/{version}/training/projects/{project}",
    tags=["custom vision: training"],
    dependencies=[AnyVersion],
)


@router.post(
    "/iterations/{iteration}/publish",
    responses=problems("not_found", "not_ready", "in_use", "invalid_value", "model_corrupt"),
)
async def custom_vision_publish(
    project: ProjectUuid,
    iteration: IterationUuid,
    caller: Writer,
    services: ServicesDep,
    *,
    publish_name: Annotated[str, Query(alias="publishName", max_length=200)],
    prediction_id: Annotated[
        str | None, Query(alias="predictionId", max_length=1000, description="Taken.")
    ] = None,
    overwrite: bool = False,
) -> bool:
    """Let predictions by this name be this iteration's, from the next request on."""
    _ = prediction_id
    alias = alias_of(project, publish_name)
    model = await to_thread.run_sync(model_of, services, caller, project, iteration)
    taken = (await to_thread.run_sync(_published, services, caller, project)).get(publish_name)
    if taken not in (None, model) and not overwrite:
        why = f"{publish_name!r} is published already: overwrite=true lets it be another"
        raise HeadstartError("in_use", why, param="publishName")
    await put_alias(alias, NewAlias(model=model), caller, services)
    return True


@router.delete(
    "/iterations/{iteration}/publish",
    status_code=204,
    responses=problems("not_found", "not_ready", "invalid_transition"),
)
async def custom_vision_unpublish(
    project: ProjectUuid, iteration: IterationUuid, caller: Writer, services: ServicesDep
) -> Response:
    """Let go of the names that the iteration is published by."""
    model = await to_thread.run_sync(model_of, services, caller, project, iteration)
    found = await to_thread.run_sync(_published, services, caller, project)
    names = [name for name, target in found.items() if target == model]
    if not names:
        raise HeadstartError("invalid_transition", "it is not published", param="iteration")
    for name in names:
        await delete_alias(alias_of(project, name), caller, services)
    return Response(status_code=204)


def _published(services: Services, caller: Identity, project: UUID) -> dict[str, str]:
    with reading(services.sessions) as session:
        return published_in(session, project, organisation_id=caller.organisation_id)


_EXPORTS = problems("not_found", "not_ready", "export_unsupported", "export_failed", "worker_lost")


@router.post("/iterations/{iteration}/export", responses=_EXPORTS)
def custom_vision_export(
    project: ProjectUuid,
    iteration: IterationUuid,
    caller: Writer,
    services: ServicesDep,
    *,
    request: Request,
    platform: Annotated[str, Query(max_length=40, examples=["ONNX"])],
    flavor: Annotated[str | None, Query(max_length=40, description="Taken.")] = None,
) -> VisionExport:
    """Begin to make the network's files for `ONNX` or `OpenVino`."""
    model = model_of(services, caller, project, iteration)
    chosen = next((name for name in _FORMATS if name == platform.lower()), None)
    if chosen is None:
        why = f"platform is one of {', '.join(_FORMATS.values())}"
        raise HeadstartError("export_unsupported", why, param="platform")
    found = exports.standing(services, caller, model, chosen)
    return _export(request, model, chosen, found.state, flavor)


@router.get("/iterations/{iteration}/export", responses=_EXPORTS)
def custom_vision_exports(
    project: ProjectUuid,
    iteration: IterationUuid,
    caller: Reader,
    services: ServicesDep,
    request: Request,
) -> list[VisionExport]:
    """The exports that were asked for, and how they stand."""
    model = model_of(services, caller, project, iteration)
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=caller.organisation_id, name=model)
        states = {name: export_rows.find(session, row, name) for name in _FORMATS}
    return [
        _export(request, model, name, work.state, None)
        for name, work in states.items()
        if work is not None
    ]


_STATES: Mapping[str, Literal["Exporting", "Done", "Failed"]] = {"done": "Done", "failed": "Failed"}


def _export(
    request: Request, model: str, name: str, state: str, flavor: str | None
) -> VisionExport:
    status = _STATES.get(state, "Exporting")
    address = f"{request.base_url}v1/models/{model}/artifacts/{name}"
    return VisionExport(
        platform=_FORMATS[name],
        status=status,
        download_uri=address if status == "Done" else None,
        flavor=flavor,
    )
