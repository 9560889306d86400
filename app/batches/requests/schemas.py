"""What the routes of OpenAI's batches take and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.batches.schemas import NO_WAITS, WAITS
from app.core.openai.requests import Endpoint
from app.http.openapi import Id
from app.infra.orm import RequestBatchRow

_ID = "batch_req_01ke4c0f6v6z2k8m9q3w5x7y1t"
_FILE = "file-01ke4bz3r0h5d8g2j4n6p9s1v3"
_OUTPUT = "file-01ke4c2j4k6m8p0r2t4v6x8z0b"
Labels = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=512)],
    ],
    Field(max_length=16),
]


class OutputExpiry(BaseModel):
    """When the batch's files are deleted."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class NewRequestBatch(BaseModel):
    """A file of requests that are to be answered, each as its route would."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "input_file_id": _FILE,
                    "endpoint": "/v1/chat/completions",
                    "completion_window": "24h",
                }
            ]
        },
    )

    input_file_id: Id = Field(
        description="A file of purpose `batch`: a line a request, "
        '`{"custom_id": …, "method": "POST", "url": <endpoint>, "body": {…}}`.'
    )
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Labels | None = None
    output_expires_after: OutputExpiry | None = None


class RequestFault(BaseModel):
    """Why the file, or a piece of it, is not answered."""

    code: str
    message: str
    param: str | None
    line: int | None


class RequestFaults(BaseModel):
    """All that was found, up to 100."""

    object: Literal["list"] = "list"
    data: list[RequestFault]


class RequestCounts(BaseModel):
    """How many requests were answered, and how many of them by an error."""

    total: int
    completed: int
    failed: int


class RequestBatch(BaseModel):
    """OpenAI's batch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "object": "batch",
                    "endpoint": "/v1/chat/completions",
                    "errors": None,
                    "input_file_id": _FILE,
                    "completion_window": "24h",
                    "status": "completed",
                    "output_file_id": _OUTPUT,
                    "error_file_id": None,
                    "created_at": 1764000000,
                    "in_progress_at": 1764000001,
                    "expires_at": 1764086400,
                    "finalizing_at": 1764000009,
                    "completed_at": 1764000009,
                    "request_counts": {"total": 100, "completed": 100, "failed": 0},
                    "metadata": None,
                }
            ]
        }
    )

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: RequestFaults | None
    input_file_id: str
    completion_window: str
    status: Literal[
        "validating",
        "failed",
        "in_progress",
        "finalizing",
        "completed",
        "expired",
        "cancelling",
        "cancelled",
    ]
    output_file_id: str | None = Field(description="The answers, once it has ended.")
    error_file_id: str | None = Field(description="The requests that were answered by an error.")
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts
    metadata: dict[str, str] | None
    waits_for: dict[str, Any] | None = Field(None, description=WAITS)


def request_batch_of(
    row: RequestBatchRow, waits: Mapping[str, dict[str, Any]] = NO_WAITS
) -> RequestBatch:
    """The batch as its caller sees it; `waits` is what keeps batches waiting, by id."""
    told: dict[str, Any] = {
        "id": row.id,
        "endpoint": row.endpoint,
        "errors": {"data": row.errors} if row.errors else None,
        "input_file_id": row.input_file_id,
        "completion_window": "24h",
        "status": row.status,
        "output_file_id": row.output_file_id,
        "error_file_id": row.error_file_id,
        "created_at": int(row.created_at),
        "expires_at": int(row.expires_at),
        "request_counts": {"total": row.total, "completed": row.completed, "failed": row.failed},
        "metadata": row.batch_metadata,
        "waits_for": waits.get(row.id),
    }
    told |= {f"{state}_at": int(at) for state, at in row.moments.items()}
    return RequestBatch.model_validate(told)
