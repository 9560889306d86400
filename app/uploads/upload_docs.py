"""The OpenAPI of an upload, which FastAPI does not parse and so does not know."""

from __future__ import annotations

from typing import Any

from app.http.openapi import BINARY, problems
from app.uploads.form import UploadForm
from app.uploads.streaming import RAW_TYPES

BAD_UPLOAD_CODES = (
    "bad_request",
    "request_timeout",
    "in_flight",
    "payload_too_large",
    "archive_bomb",
    "too_many_entries",
    "row_too_large",
    "unsupported_media_type",
    "invalid_request",
    "unsafe_path",
    "unsafe_member",
    "unsafe_name",
    "duplicate_name",
    "unsupported_member",
    "archive_corrupt",
    "archive_encrypted",
    "not_an_archive",
    "empty_dataset",
    "ambiguous_layout",
    "image_too_large",
    "image_dimensions",
    "too_many_frames",
    "image_truncated",
    "image_invalid",
    "unsupported_image_format",
    "schema_mismatch",
    "encoding",
    "several_labels",
    "invalid_json",
    "invalid_value",
    "insufficient_classes",
    "label_too_long",
    "unknown_backbone",
    "modality_mismatch",
    "idempotency_mismatch",
    "database_unavailable",
    "storage_unavailable",
    "storage_full",
)
BAD_UPLOADS = problems(*BAD_UPLOAD_CODES, "quota_exceeded")
"""What an upload can be answered with beside its success."""

_FILE = (
    "A zip or tar of class folders, or with a metadata.csv or .jsonl (path, label, group, split);"
    " for texts a CSV, JSON, JSONL, Parquet or xlsx file with the columns text and label, or with"
    " such as text_column and label_column name; or an export of a labelling tool: Label"
    " Studio, CVAT, COCO, VOC, YOLO, Roboflow, doccano, Prodigy and others."
)
_FILENAME = {"filename": {"type": "string", "description": "The file's name."}}
_ENCODING = {"file": {"contentType": "application/zip, application/x-tar, text/csv, */*"}}


def multipart_body(
    *, required: tuple[str, ...] = ("file",), without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`openapi_extra=` of a route that takes an upload, `without` some of its fields."""
    fields = {
        name: without_null(told)
        for name, told in UploadForm.model_json_schema()["properties"].items()
        if name not in without
    }
    return upload_body(fields, file=_FILE, required=required)


def upload_body(
    fields: dict[str, Any],
    *,
    file: str,
    required: tuple[str, ...],
    others: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of an upload: a form, or the bare file with the fields in the query; or `others`."""
    schema = {
        "type": "object",
        "required": list(required),
        "properties": {"file": BINARY | {"description": file}, **fields},
    }
    content = {
        **(others or {}),
        "multipart/form-data": {"schema": schema, "encoding": _ENCODING},
        **{kind: {"schema": BINARY} for kind in sorted(RAW_TYPES)},
    }
    parameters = [_in_query(name, told) for name, told in (_FILENAME | fields).items()]
    return {"parameters": parameters, "requestBody": {"required": True, "content": content}}


def _in_query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A field of a bare file, without its default: generated clients would send it with forms."""
    schema = {key: told for key, told in schema.items() if key != "default"}
    said = f"With a bare file as the body. {schema.get('description', '')}".strip()
    return {"name": name, "in": "query", "description": said, "schema": schema}


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A form has no null: a field is there or is left out."""
    if "anyOf" not in schema:
        return schema
    kept = next(choice for choice in schema["anyOf"] if choice.get("type") != "null")
    return {"title": schema["title"], **kept}
