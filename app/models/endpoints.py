"""`/v1/models`: what has been trained, how good it is, its files, and its end."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response

from app.core.exports import FORMATS
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.http.openapi import DeletedObject, path_id, problems
from app.http.pages import Page
from app.http.routes import StrictRoute
from app.http.schemas import Deletion
from app.http.waiting import WishDep
from app.infra import storage_keys
from app.infra.database import reading
from app.infra.orm import ModelRow
from app.infra.precision import Precisions
from app.infra.repositories import aliases, deletions, models
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import forgetting
from app.models import evaluations, exports, service
from app.models.schemas import Evaluation, Export, Model, ModelArtifact, ModelDetail
from app.uploads import deleting

router = APIRouter(route_class=StrictRoute, prefix="/v1/models", tags=["models"])
router.include_router(evaluations.router)

_EXAMPLE = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
Name = Annotated[str, path_id("The model's id, or an alias.", _EXAMPLE)]
Unread = Annotated[
    int | None, Query(alias="limit", description="Taken from who pages; one page has them all.")
]
ModelId = Annotated[str, path_id("The model's id; no alias.", _EXAMPLE)]


@router.get("")
def list_models(caller: Reader, session: Reading, *, _limit: Unread = None) -> Page[Model]:
    """All models of the organisation, newest first, on one page."""
    rows = models.listing(session, organisation_id=caller.organisation_id)
    names = aliases.names_of(
        session, [row.id for row in rows], organisation_id=caller.organisation_id
    )
    made_of = models.origins(session, rows, organisation_id=caller.organisation_id)
    data = [service.model_of(row, names[row.id], made_of.get(row.version_id)) for row in rows]
    return Page(data=data, has_more=False)


@router.get("/{model}", responses=problems("not_found"))
async def get_model(model: Name, caller: Reader, services: ServicesDep) -> ModelDetail:
    """One model with its card, and the precision that it is answered in."""
    served = await service.precisions_of(services.predictor)
    return await to_thread.run_sync(_detail, services, caller.organisation_id, model, served)


def _detail(
    services: Services, organisation_id: str, model: str, served: Precisions | None
) -> ModelDetail:
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=organisation_id, name=model)
        names = aliases.names_of(session, [row.id], organisation_id=organisation_id)
        made_of = models.origins(session, [row], organisation_id=organisation_id)
        told = service.model_of(row, names[row.id], made_of.get(row.version_id))
        return service.detail_of(told, row, served)


@router.delete("/{model}", responses=problems("not_found", "in_use"))
async def delete_model(model: ModelId, caller: Writer, services: ServicesDep) -> DeletedObject:
    """Delete a model and its files. An alias that points to it has to go or move first."""
    deletion = await to_thread.run_sync(_delete, services, caller.organisation_id, model)
    services.resolver.forget()
    return DeletedObject(id=model, object="model", deletion=deletion)


def _delete(services: Services, organisation_id: str, model_id: str) -> Deletion:
    with writing(services) as session:
        prefix = models.delete(session, organisation_id=organisation_id, model_id=model_id)
        live = forgetting.forget_model(session, organisation_id=organisation_id, model_id=model_id)
        doomed = Doomed(
            object=deletions.MODEL,
            id=model_id,
            removed={"models": 1, **live.rows},
            files=[storage_keys.all_of_model(prefix), *live.files],
        )
        deletion_id = deletions.begin(session, doomed, organisation_id=organisation_id)
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)


@router.get("/{model}/evaluation", responses=problems("not_found"))
def get_evaluation(model: Name, caller: Reader, session: Reading) -> Evaluation:
    """How good the model is, every figure with its 95% interval and how it was obtained."""
    row = models.find(session, organisation_id=caller.organisation_id, name=model)
    return service.evaluation_of(row)


@router.get("/{model}/artifacts", responses=problems("not_found"))
def list_artifacts(model: Name, caller: Reader, session: Reading) -> Page[ModelArtifact]:
    """The files of the model, those included that are made on request."""
    row = models.find(session, organisation_id=caller.organisation_id, name=model)
    return Page(data=service.artifacts(row), has_more=False)


_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/{model}/artifacts/{name}",
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {
                "application/octet-stream": _FILE,
                "application/zip": _FILE,
                "application/json": {"schema": {}},
            },
        },
        202: {"model": Export, "description": "It is being made; ask again."},
        **problems(
            "not_found", "model_corrupt", "storage_unavailable", "export_unsupported",
            "export_failed", "worker_lost", "backbone_unavailable",
        ),
    },
)  # fmt: skip
async def get_artifact(
    model: Name,
    name: Annotated[str, path_id("The artifact's id.", "head", max_length=60)],
    caller: Reader,
    services: ServicesDep,
    wish: WishDep,
) -> Response:
    """One file: `head` (safetensors), `model.json`, or the whole network as a bundle to run.

    `onnx`, `openvino` and `torch` (zip) are made on request, which waits ten seconds for it, or
    as long as `Prefer: wait=N` says. To have one made takes the scope `write`; to fetch what is
    made, or is being made, `read`.
    """
    if name in FORMATS:
        return await exports.answer(services, caller, model, export_format=name, wish=wish)
    organisation_id = caller.organisation_id
    return await to_thread.run_sync(_stored, services, organisation_id, model, name)


def _stored(services: Services, organisation_id: str, model: str, name: str) -> Response:
    stored = service.artifact_of(name)
    row = _find(services, organisation_id, model)
    data = service.read_artifact(services.storage, row, stored)
    headers = {"content-disposition": f'attachment; filename="{stored.file}"'}
    return Response(data, media_type=stored.media_type, headers=headers)


def _find(services: Services, organisation_id: str, name: str) -> ModelRow:
    with reading(services.sessions) as session:
        return models.find(session, organisation_id=organisation_id, name=name)
