"""`/v1/models/{model}/calibrate`: what is unknown at a new source, from unlabelled inputs."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic_core import from_json

from app.core.ids import new_id
from app.core.messages import Input, Options
from app.core.modalities import MODALITIES
from app.http.dependencies import ServicesDep, Writer
from app.http.openapi import path_id, problems
from app.http.routes import StrictRoute
from app.http.schemas import Calibration
from app.infra.repositories.targets import ResolvedModel
from app.predictions import recalibrating, schemas
from app.predictions.inputs import read_inputs
from app.predictions.service import PREDICTION, Question, ask, counted_body, while_connected

router = APIRouter(route_class=StrictRoute, tags=["models"])

_PATH = "/v1/models/{model}/calibrate"
_EXAMPLE = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
Name = Annotated[str, path_id("The model's id, or an alias.", _EXAMPLE)]
_PROBLEMS = problems(
    "bad_request", "not_found", "not_ready", "unsupported_media_type", "invalid_json",
    "invalid_request", "model_corrupt", "backbone_unavailable", "overloaded",
    "predictor_unavailable", "deadline_exceeded", "storage_unavailable",
)  # fmt: skip
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: content
            for kind, content in schemas.OPENAPI["requestBody"]["content"].items()
            if not kind.startswith("image/") and kind != "application/octet-stream"
        },
    }
}


@router.post(_PATH, responses=_PROBLEMS, openapi_extra=_BODY)
async def calibrate_model(
    model: Name,
    caller: Writer,
    services: ServicesDep,
    request: Request,
    *,
    known: Annotated[
        bool, Query(description="Say that all inputs are of the model's classes, however strange.")
    ] = False,
) -> Calibration:
    """Set the thresholds of `unknown` by unlabelled inputs of a new source, thirty or more.

    The model keeps its id, its weights and its probabilities; what it calls unknown changes for
    all who ask it, its exports too, until this is undone. Inputs are taken to be of its classes:
    where most of them look like nothing it has learned, nothing is set unless `known=true` is said.
    The accuracy on them is estimated from how sure the model is, beside the evaluation's own.
    """
    body = await counted_body(services, caller.organisation_id, request.receive)
    kind = request.headers.get("content-type", "")

    def inputs(resolved: ResolvedModel) -> tuple[tuple[Input, ...], bool]:
        modality = MODALITIES[resolved.modality].name
        most = services.settings.max_predict_items
        return read_inputs(body, kind, modality=modality, most=most)[0], False

    question = Question(
        id=new_id(PREDICTION),
        tenant=caller.organisation_id,
        model=model,
        options=Options(top_k=1, score=True),
        inputs=inputs,
        long=True,
    )
    answer = await while_connected(request.receive, ask(services, question))
    told = await to_thread.run_sync(from_json, answer.body)
    made = await to_thread.run_sync(
        lambda: recalibrating.calibrate(services, caller.organisation_id, told, known=known)
    )
    services.resolver.forget()
    return made


@router.delete(_PATH, responses=problems("not_found", "model_corrupt", "storage_unavailable"))
async def undo_calibration(model: Name, caller: Writer, services: ServicesDep) -> Calibration:
    """Put back the thresholds that the model was made with; answers what is undone."""
    undone = await to_thread.run_sync(recalibrating.undo, services, caller.organisation_id, model)
    services.resolver.forget()
    return undone
