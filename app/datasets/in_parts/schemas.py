"""What the routes of uploads in parts take and answer: OpenAI's shapes, and members of our own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.datasets.file_schemas import FileObject
from app.http.openapi import Id
from app.infra.orm import UploadPartRow, UploadRow
from app.uploads.form import IntakeForm, Lifetime, Purpose
from app.uploads.forms import file_name

MOST_PARTS = 20_000
_UPLOAD = "upload_01ke4c0f6v6z2k8m9q3w5x7y1t"
_PART = "part_01ke4c0g1d3f5h7k9m2p4r6t8v"


class Expiry(BaseModel):
    """When the file that is made is deleted."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: Lifetime


class NewUpload(IntakeForm):
    """A file that is announced; the fields of `POST /v1/files` may come with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "filename": "castings.zip",
                    "bytes": 734003200,
                    "mime_type": "application/zip",
                    "purpose": "fine-tune",
                }
            ]
        }
    )

    filename: str = Field(min_length=1, max_length=1000)
    bytes: int = Field(ge=1, lt=2**53, description="Of all parts together.")
    mime_type: str = Field("application/octet-stream", max_length=200)
    purpose: Purpose
    expires_after: Expiry | None = None

    @model_validator(mode="after")
    def _fits(self) -> NewUpload:
        wishes = self.model_fields_set & set(IntakeForm.model_fields)
        if self.purpose != "fine-tune" and wishes:
            raise ValueError(f"{sorted(wishes)[0]}: it is for purpose fine-tune")
        return self

    @property
    def shown(self) -> str:
        """The file's name, short and printable."""
        return file_name(self.filename)

    def form(self) -> dict[str, Any]:
        """The fields that would come with the file."""
        told = self.model_dump(
            mode="json", exclude_unset=True, include=set(IntakeForm.model_fields)
        )
        told["purpose"] = self.purpose
        if self.expires_after is not None:
            told["expires_after[anchor]"] = self.expires_after.anchor
            told["expires_after[seconds]"] = self.expires_after.seconds
        return told


class Completion(BaseModel):
    """The order of the parts, which makes them a file."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"part_ids": [_PART]}]}
    )

    part_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_PARTS)]
    md5: Annotated[str, Field(pattern="^[0-9A-Fa-f]{32}$")] | None = Field(
        None, description="Of the whole file, in hexadecimal; checked."
    )


class UploadObject(BaseModel):
    """A file that comes in parts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _UPLOAD,
                    "object": "upload",
                    "bytes": 734003200,
                    "created_at": 1764000000,
                    "expires_at": 1764086400,
                    "filename": "castings.zip",
                    "purpose": "fine-tune",
                    "status": "pending",
                    "file": None,
                }
            ]
        }
    )

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int = Field(description="When its parts are deleted, unless it is complete.")
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None = Field(None, description="Once it is complete.")


class UploadPart(BaseModel):
    """A part that is stored for good, until its upload ends."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _PART,
                    "object": "upload.part",
                    "created_at": 1764000001,
                    "upload_id": _UPLOAD,
                    "bytes": 67108864,
                    "sha256": "9f" * 32,
                }
            ]
        }
    )

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str
    bytes: int
    sha256: str = Field(description="Of the part; to find what came before a break.")


def upload_of(row: UploadRow, status: str, file: FileObject | None = None) -> UploadObject:
    """The upload as its caller sees it."""
    return UploadObject.model_validate(
        {
            "id": row.id,
            "bytes": row.bytes,
            "created_at": int(row.created_at),
            "expires_at": int(row.expires_at),
            "filename": row.filename,
            "purpose": row.purpose,
            "status": status,
            "file": file,
        }
    )


def part_of(row: UploadPartRow) -> UploadPart:
    """The part as its caller sees it."""
    return UploadPart(
        id=row.id,
        created_at=int(row.created_at),
        upload_id=row.upload_id,
        bytes=row.bytes,
        sha256=row.sha256,
    )
