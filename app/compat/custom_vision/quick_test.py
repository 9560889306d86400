"""Trying an iteration before it is published."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from app.compat.asking import PREDICTS, predictions
from app.compat.custom_vision.naming import AnyVersion, ProjectUuid
from app.compat.custom_vision.pictures import pictures
from app.compat.custom_vision.prediction import PICTURE, PICTURE_PROBLEMS, one, prediction_of
from app.compat.custom_vision.shapes import ImagePrediction, ImageUrl
from app.compat.custom_vision.training import model_of, newest_model
from app.compat.fetching import fetch
from app.core.identity import Identity
from app.http.dependencies import Services, ServicesDep
from app.predictions.embeddings import CountedRoute

router = APIRouter(
    route_class=CountedRoute,
    prefix="/customvision/{version}/training/projects/{project}",
    tags=["custom vision: training"],
    dependencies=[AnyVersion],
)


IterationQuery = Annotated[UUID | None, Query(alias="iterationId")]


@router.post(
    "/quicktest/image",
    responses=PICTURE_PROBLEMS,
    openapi_extra=PICTURE,
    dependencies=[PREDICTS],
)
async def custom_vision_quick_test_image(
    project: ProjectUuid,
    request: Request,
    response: Response,
    *,
    services: ServicesDep,
    iteration: IterationQuery = None,
    store: bool = True,
) -> ImagePrediction:
    """Classify an image with an iteration, or the newest that is completed. It is not kept."""
    _ = store
    (data,) = one(pictures(await request.body(), request.headers.get("content-type", "")))
    model = await _model(services, request, project, iteration)
    return await _tested(request, response, project, model, data)


@router.post("/quicktest/url", responses=PICTURE_PROBLEMS, dependencies=[PREDICTS])
async def custom_vision_quick_test_url(
    body: ImageUrl,
    project: ProjectUuid,
    request: Request,
    response: Response,
    *,
    services: ServicesDep,
    iteration: IterationQuery = None,
    store: bool = True,
) -> ImagePrediction:
    """Classify an image at a public address with an iteration, or the newest."""
    _ = store
    model = await _model(services, request, project, iteration)
    data = await fetch(body.url, services.settings)
    return await _tested(request, response, project, model, data)


async def _model(
    services: Services, request: Request, project: UUID, iteration: UUID | None
) -> str:
    """The model that is to be tried. Raises not_found, before anything is fetched for it."""
    caller: Identity = request.state.identity
    look = partial(newest_model, services, caller, project)
    if iteration is not None:
        look = partial(model_of, services, caller, project, iteration)
    return await to_thread.run_sync(look)


async def _tested(
    request: Request, response: Response, project: UUID, model: str, data: bytes
) -> ImagePrediction:
    answered = await predictions(request, model, [data])
    response.headers.update(answered.headers)
    return prediction_of(project, answered.model, answered.items[0])
