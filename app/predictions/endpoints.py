"""Predictions over HTTP, as the OpenAPI document shows them; `hot_path` answers most of them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.dependencies import ServicesDep
from app.openapi import problems
from app.predictions import schemas
from app.predictions.hot_path import PATH
from app.predictions.service import Wanted
from app.predictions.service import predict as predicted

router = APIRouter(tags=["predictions"])

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
    "overloaded",
    "predictor_unavailable",
    "deadline_exceeded",
)


@router.post(
    PATH,
    response_model=schemas.Predictions,
    responses=_PROBLEMS,
    openapi_extra=schemas.OPENAPI,
)
async def predict(request: Request, model: str, services: ServicesDep) -> Response:
    """Predict one raw image, many files, or JSON inputs, with a model's id, alias or job id.

    A raw image that is bad is a 422; among many inputs it is that item's `error`.
    """
    wanted = Wanted(
        model=model,
        identity=request.state.identity,
        query=request.url.query,
        content_type=request.headers.get("content-type", ""),
        cache=request.headers.get("x-headstart-cache", ""),
        request_id=request.state.request_id,
    )
    answer = await predicted(services, request.app.state, wanted, request.receive)
    headers = {"server-timing": answer.timing}
    return Response(answer.body, media_type="application/json", headers=headers)
