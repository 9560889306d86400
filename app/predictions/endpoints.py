"""Predictions over HTTP, as the OpenAPI document shows them.

`hot_path` answers every request whose path has the form of a name; what comes here has not.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.core.errors import HeadstartError
from app.core.messages import PRECISION_HEADER
from app.http.openapi import path_id, problems
from app.predictions import schemas
from app.predictions.calibration import router as calibration
from app.predictions.completions import router as completions
from app.predictions.embeddings import router as embeddings
from app.predictions.hot_path import PATH
from app.predictions.inference_protocol import router as inference_protocol
from app.predictions.joint import router as joint
from app.predictions.triton import router as triton

router = APIRouter()
router.include_router(calibration)
router.include_router(embeddings)
router.include_router(completions)
router.include_router(triton)
router.include_router(inference_protocol)
router.include_router(joint)

Name = Annotated[
    str,
    path_id(
        "A model's id, an alias, or the id of the job that made it.",
        "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t",
    ),
]

_HEADERS = {
    PRECISION_HEADER: {
        "description": "The engine that answered, such as `openvino-bf16`, and `; fitted=…` where "
        "the model was fitted in another precision, for which the machine has no units.",
        "schema": {"type": "string"},
    }
}
_PROBLEMS = problems(
    "bad_request",
    "not_found",
    "not_ready",
    "unsupported_media_type",
    "invalid_json",
    "invalid_request",
    "image_invalid",
    "image_truncated",
    "not_finite",
    "weights_invalid",
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
    responses={200: {"headers": _HEADERS}, **_PROBLEMS},
    openapi_extra=schemas.OPENAPI,
)
async def predict(model: Name) -> Response:
    """Predict one raw image, many files, or JSON inputs, with a model's id, alias or job id.

    A raw image that is bad is a 422; among many inputs it is that item's `error`.
    """
    raise HeadstartError("not_found", f"nothing is called {model!r}", param="model")
