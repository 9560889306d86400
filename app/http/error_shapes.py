"""A problem in the words of the service whose path was asked: members beside our own.

The document stays a problem document; each entry says what that service's clients read of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from app.core.errors import HeadstartError
from app.core.openai.problems import as_openai

Shape = Callable[[HeadstartError, int], dict[str, Any]]
_TEI_TYPES = {401: "unauthorized", 503: "overloaded", 504: "overloaded"}
_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "TEMPORARILY_UNAVAILABLE",
}


_VISION_CODES = {
    "unauthenticated": "Unauthorized",
    "forbidden": "ForbiddenUserInsufficientCapability",
    "not_found": "NotFound",
    "not_ready": "BadRequestIterationIsNotTrained",
    "in_use": "BadRequestIterationIsPublished",
    "invalid_transition": "BadRequestIterationNotPublished",
    "unsupported_media_type": "UnsupportedMediaType",
    "insufficient_classes": "BadRequestTrainingValidationFailed",
    "export_unsupported": "BadRequestProjectUnsupportedExportPlatform",
    "image_invalid": "BadRequestImageFormat",
    "image_truncated": "BadRequestImageFormat",
    "unsupported_image_format": "BadRequestImageFormat",
    "image_too_large": "BadRequestImageDimensions",
    "image_dimensions": "BadRequestImageAspectRatio",
    "payload_too_large": "BadRequestImageSizeBytes",
    "unsafe_url": "BadRequestImageUrl",
    "url_unreachable": "BadRequestImageUrl",
    "overloaded": "ErrorPredictionServiceUnavailable",
    "predictor_unavailable": "ErrorPredictionServiceUnavailable",
    "deadline_exceeded": "ErrorServerTimeOut",
}


def openai(error: HeadstartError, _status: int) -> dict[str, Any]:
    """The object that OpenAI's SDKs of Node, Go and Java read, and nothing beside it."""
    return {"error": as_openai(error)}


def open_inference(error: HeadstartError, _status: int) -> dict[str, Any]:
    """The text that Triton's and KServe's clients show."""
    return {"error": f"{error.code}: {error.message}"}


def text_embeddings_inference(error: HeadstartError, status: int) -> dict[str, Any]:
    """Its `error` and `error_type`."""
    kind = _TEI_TYPES.get(status, "backend" if status >= 500 else "validation")
    return {"error": error.message, "error_type": kind}


def hugging_face(error: HeadstartError, _status: int) -> dict[str, Any]:
    """The text that Hugging Face's clients show."""
    return {"error": error.message}


def mlflow(_error: HeadstartError, status: int) -> dict[str, Any]:
    """Its `error_code`; `message` is there already."""
    default = "INTERNAL_ERROR" if status >= 500 else "INVALID_PARAMETER_VALUE"
    return {"error_code": _MLFLOW_CODES.get(status, default)}


def custom_vision(error: HeadstartError, status: int) -> dict[str, Any]:
    """Its `code`; ours stays the end of `type`."""
    default = "ErrorUnknown" if status >= 500 else "BadRequest"
    told = _VISION_CODES.get(error.code, default)
    if error.code == "not_found":
        told += (error.param or "").capitalize()
    return {"code": told}


_SHAPES: tuple[tuple[re.Pattern[str], Shape], ...] = (
    (re.compile(r"/v1/models/[^/]+:predict"), open_inference),
    (re.compile(r"/v1(/.*)?"), openai),
    (re.compile(r"/v2(/.*)?"), open_inference),
    (re.compile(r"(/tei/[^/]+)?/(predict|embed|info)"), text_embeddings_inference),
    (re.compile(r"/customvision/.*"), custom_vision),
    (re.compile(r"/models/[^/]+"), hugging_face),
    (re.compile(r"(/mlflow/[^/]+)?/(invocations|ping|health|version)"), mlflow),
)


def told(error: HeadstartError, status: int, path: str) -> Mapping[str, Any]:
    """The members that the clients of `path` read."""
    for pattern, shape in _SHAPES:
        if pattern.fullmatch(path):
            return shape(error, status)
    return {}
