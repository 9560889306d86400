"""The two bodies of one route: a short JSON document, or an upload. And their OpenAPI."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

from app.batches.schemas import BatchForm, NewBatch
from app.core.errors import HeadstartError
from app.http.strict_json import parse
from app.uploads.upload_docs import upload_body, without_null

MOST_JSON_BYTES = 64 * 1024
_FILE = (
    "A zip or tar of images in any folders, or of texts; a CSV, JSONL or Parquet file with a "
    "column `text`. Labels are not needed and not read."
)


def is_json(request: Request) -> bool:
    """Whether the body says that it is JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


async def read_json(request: Request) -> Any:
    """The document. Raises payload_too_large or invalid_json: this route's cap is an upload's."""
    body = bytearray()
    async for data in request.stream():
        body += data
        if len(body) > MOST_JSON_BYTES:
            why = f"a JSON body may have {MOST_JSON_BYTES:,} bytes here"
            raise HeadstartError("payload_too_large", why)
    try:
        return parse(bytes(body))
    except (json.JSONDecodeError, RecursionError) as error:
        raise HeadstartError("invalid_json", str(error)) from error


def documented() -> dict[str, Any]:
    """`openapi_extra=` of the route."""
    told = BatchForm.model_json_schema()["properties"]
    fields = {name: without_null(schema) for name, schema in told.items()}
    others = {"application/json": {"schema": NewBatch.model_json_schema()}}
    return upload_body(fields, file=_FILE, required=("file", "model"), others=others)
