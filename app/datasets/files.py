"""`/v1/files`: OpenAI's view of datasets; a file's id is its dataset's and a `training_file`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from app.core.times import whole
from app.datasets import export, removal, service
from app.datasets.lookup import DatasetId, find, settled, usable
from app.http.dependencies import Reader, Reading, ServicesDep, Writer
from app.http.idempotency import mark
from app.http.openapi import files, links, problems
from app.http.pages import Order, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import WishDep
from app.infra.repositories import datasets
from app.infra.repositories.datasets import DatasetSnapshot
from app.uploads import blobs
from app.uploads.incoming import IncomingDep
from app.uploads.upload_docs import BAD_UPLOADS, multipart_body

router = APIRouter(route_class=StrictRoute, prefix="/v1/files", tags=["files"])

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
    status_details: str | None = Field(description="Why it failed.")
    expires_at: int | None = Field(None, description="When it is deleted, if it ever is so.")


class DeletedFile(BaseModel):
    """The file, and the dataset that it is, is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


_ONE = "v1_files__file_id_"
_LINKS = links(
    "file_id",
    get=f"get_file_{_ONE}_get",
    content=f"get_file_content_{_ONE}_content_get",
    delete=f"delete_file_{_ONE}_delete",
)


@router.post(
    "",
    responses={200: {"links": _LINKS}, **BAD_UPLOADS},
    openapi_extra=multipart_body(required=("file", "purpose")),
)
async def create_file(incoming: IncomingDep, wish: WishDep, response: Response) -> FileObject:
    """Upload a labelled dataset, in OpenAI's words."""
    make = partial(service.create, incoming.services, organisation_id=incoming.organisation_id)
    snapshot, replayed = await incoming.take(make, status=200)
    mark(response, replayed=replayed)
    return file_of(await settled(incoming.services, wish, snapshot))


@router.get("")
def list_files(
    caller: Reader,
    session: Reading,
    *,
    after: Annotated[str | None, cursor("ds_")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
    purpose: Annotated[str | None, Query(max_length=100)] = None,
) -> Page[FileObject]:
    """The organisation's datasets as files."""
    if purpose not in (None, "fine-tune"):
        return Page(data=[], has_more=False)
    rows = datasets.listing(
        session,
        organisation_id=caller.organisation_id,
        after=after,
        limit=limit + 1,
        ascending=order == "asc",
    )
    return page(rows, limit, file_of)


@router.get("/{file_id}", responses=problems("not_found"))
def get_file(file_id: DatasetId, caller: Reader, services: ServicesDep) -> FileObject:
    """One file."""
    return file_of(find(services, caller, file_id))


@router.delete("/{file_id}", responses=problems("not_found", "in_use"))
def delete_file(file_id: DatasetId, caller: Writer, services: ServicesDep) -> DeletedFile:
    """Delete the file, which is the dataset."""
    find(services, caller, file_id)
    removal.remove(services, file_id, organisation_id=caller.organisation_id)
    return DeletedFile(id=file_id)


_CONTENT: dict[int | str, dict[str, Any]] = {200: files("application/x-tar", "application/jsonl")}


@router.get(
    "/{file_id}/content",
    response_class=StreamingResponse,
    responses={**_CONTENT, **problems("not_found", "storage_unavailable")},
)
def get_file_content(file_id: DatasetId, caller: Reader, services: ServicesDep) -> Response:
    """The latest version's usable examples: JSONL of texts, or a tar of images with a list."""
    snapshot = find(services, caller, file_id)
    examples = usable(services, snapshot)
    packs = {
        pack: blobs.open_pack(services, caller.organisation_id, pack)
        for pack in snapshot.version.packs
    }
    written, kind = _FORMS[snapshot.dataset.modality]
    return _download(written(examples, packs.__getitem__), snapshot, kind)


_FORMS = {"text": (export.jsonl, "jsonl"), "image": (export.tar, "x-tar")}


def _download(content: Iterator[bytes], snapshot: DatasetSnapshot, kind: str) -> Response:
    suffix = kind.removeprefix("x-")
    name = f"{snapshot.dataset.id}-v{snapshot.version.number}.{suffix}"
    return StreamingResponse(
        export.gathered(content),
        media_type=f"application/{kind}",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def file_of(snapshot: DatasetSnapshot) -> FileObject:
    """The dataset as a file."""
    row, error = snapshot.dataset, snapshot.version.error
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
