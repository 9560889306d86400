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


_SHAPES: tuple[tuple[re.Pattern[str], Shape], ...] = (
    (re.compile(r"/v1/models/[^/]+:[a-z]+"), open_inference),
    (re.compile(r"/v1(/.*)?"), openai),
    (re.compile(r"/v2(/.*)?"), open_inference),
    (re.compile(r"(/tei/[^/]+)?/(predict|embed|info)"), text_embeddings_inference),
    (re.compile(r"/models/[^/]+"), hugging_face),
    (re.compile(r"(/mlflow/[^/]+)?/(invocations|ping|health|version)"), mlflow),
)


def told(error: HeadstartError, status: int, path: str) -> Mapping[str, Any]:
    """The members that the clients of `path` read."""
    for pattern, shape in _SHAPES:
        if pattern.fullmatch(path):
            return shape(error, status)
    return {}
