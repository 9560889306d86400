"""A file as OpenAI's clients see it: a dataset, or what is kept as it is."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.times import whole
from app.infra.orm import FileRow
from app.infra.repositories.datasets import DatasetSnapshot

_STATUSES: dict[str, Literal["uploaded", "processed", "error"]] = {
    "processing": "uploaded",
    "ready": "processed",
    "failed": "error",
}


class FileObject(BaseModel):
    """A dataset as OpenAI's clients see it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "object": "file",
                    "bytes": 482133,
                    "created_at": 1764000000,
                    "filename": "castings.zip",
                    "purpose": "fine-tune",
                    "status": "processed",
                    "status_details": None,
                }
            ]
        }
    )

    id: str
    object: Literal["file"] = "file"
    bytes: int = Field(description="Of the upload.")
    created_at: int
    filename: str = Field(
        description="The upload's name. `/content` has the usable examples, as a .jsonl of texts or"
        " a .tar of images, under the name that its Content-Disposition says."
    )
    purpose: str
    status: Literal["uploaded", "processed", "error"]
    status_details: str | None = Field(description="Why it failed, or what it waits for.")
    expires_at: int | None = Field(None, description="When it is deleted, if it ever is so.")


def file_of(snapshot: DatasetSnapshot) -> FileObject:
    """The dataset as a file."""
    row, error = snapshot.dataset, snapshot.version.error or snapshot.waits_for
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=int(row.created_at),
        filename=row.filename,
        purpose=row.purpose,
        status=_STATUSES[snapshot.version.status],
        status_details=error["message"] if error else None,
        expires_at=whole(row.expires_at),
    )


def plain_file_of(row: FileRow) -> FileObject:
    """A file that is kept as it is."""
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=int(row.created_at),
        filename=row.filename,
        purpose=row.purpose,
        status="processed",
        status_details=None,
        expires_at=whole(row.expires_at),
    )
