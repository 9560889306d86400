"""Predictions over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts.service import Identity
from app.core.manifest import Modality
from app.core.messages import Input
from app.dependencies import services
from app.infra.repositories.targets import Found
from app.openapi import problems
from app.predictions import schemas
from app.predictions.inputs import read_inputs
from app.predictions.options import read_options
from app.predictions.service import ClientGoneError, Question, ask

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
    "/v1/models/{model}/predictions",
    response_model=schemas.Predictions,
    responses=_PROBLEMS,
    openapi_extra=schemas.OPENAPI,
)
async def predict(request: Request, model: str) -> Response:
    """Predict one raw image, many files, or JSON inputs, with a model's id, alias or job id.

    A raw image that is bad is a 422; among many inputs it is that item's `error`.
    """
    held, identity = services(request), request.state.identity
    assert isinstance(identity, Identity)
    identity.require("predict")
    held.predictor.admit(identity.organisation_id)
    options = read_options(request.query_params, request.headers.get("x-headstart-cache"))
    body = await request.body()
    content_type = request.headers.get("content-type", "")

    def inputs(found: Found) -> tuple[tuple[Input, ...], bool]:
        most = held.settings.max_predict_items
        modality: Modality = "text" if found.modality == "text" else "image"
        return read_inputs(body, content_type, modality=modality, most=most)

    try:
        answer = await ask(
            request,
            Question(
                organisation_id=identity.organisation_id,
                name=model,
                options=options,
                inputs=inputs,
            ),
        )
    except ClientGoneError:
        return Response(status_code=499)
    return Response(
        answer.body,
        media_type="application/json",
        headers={"server-timing": answer.timing} if answer.timing else None,
    )
