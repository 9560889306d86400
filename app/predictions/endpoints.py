"""Predictions over HTTP, as the OpenAPI document shows them; `hot_path` answers most of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.http.dependencies import ServicesDep
from app.http.openapi import path_id, problems
from app.predictions import schemas
from app.predictions.embeddings import router as embeddings
from app.predictions.hot_path import PATH
from app.predictions.inference_protocol import router as inference_protocol
from app.predictions.service import Wanted
from app.predictions.service import predict as predicted

router = APIRouter()
router.include_router(embeddings)
router.include_router(inference_protocol)

Name = Annotated[
    str,
    path_id(
        "A model's id, an alias, or the id of the job that made it.",
        "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t",
    ),
]

_PROBLEMS = problems(
    "bad_request",
    "not_found",
    "not_ready",
    "unsupported_media_type",
    "invalid_json",
    "invalid_request",
    "image_invalid",
    "image_truncated",
    "model_corrupt",
    "backbone_unavailable",
    "overloaded",
    "predictor_unavailable",
    "deadline_exceeded",
)


@router.post(
    PATH,
    tags=["predictions"],
    response_model=schemas.Predictions,
    responses=_PROBLEMS,
    openapi_extra=schemas.OPENAPI,
)
async def predict(request: Request, model: Name, services: ServicesDep) -> Response:
    """Predict one raw image, many files, or JSON inputs, with a model's id, alias or job id.

    A raw image that is bad is a 422; among many inputs it is that item's `error`.
    """
    wanted = Wanted(
        model=model,
        identity=request.state.identity,
        query=request.url.query,
        content_type=request.headers.get("content-type", ""),
        cache=request.headers.get("x-headstart-cache", ""),
        length=request.headers.get("content-length", ""),
        request_id=request.state.request_id,
    )
    answer = await predicted(services, request.app.state, wanted, request.receive)
    headers = {"server-timing": answer.timing}
    return Response(answer.body, media_type="application/json", headers=headers)
