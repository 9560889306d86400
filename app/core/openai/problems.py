"""Each code as HTTP and OpenAI's SDKs are told it: a status, and an object `error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.errors import TITLES, HeadstartError

_STATUS: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "in_flight invalid_transition in_use model_holds_example not_ready replayed",
    413: "payload_too_large archive_bomb too_many_entries row_too_large",
    415: "unsupported_media_type",
    429: "quota_exceeded rate_limited",
    431: "head_too_large",
    500: "internal training_failed worker_lost export_failed",
    503: "dataset_corrupt model_corrupt overloaded predictor_unavailable database_unavailable"
    " database_busy"
    " storage_unavailable content_corrupt secret_unreadable secrets_key_missing"
    " backbone_unavailable precision_unavailable",
    504: "deadline_exceeded",
    507: "storage_full",
}
STATUSES: Mapping[str, int] = dict.fromkeys(TITLES, 422) | {
    code: status for status, codes in _STATUS.items() for code in codes.split()
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def as_openai(error: HeadstartError) -> dict[str, Any]:
    """The object that OpenAI's SDKs of Node, Go and Java read, and nothing beside it."""
    status = STATUSES[error.code]
    kind = "server_error" if status >= 500 else "invalid_request_error"
    told = {"type": _TYPES.get(status, kind), "code": error.code, "param": error.param}
    return {**error.extra, "message": error.message, **told}
