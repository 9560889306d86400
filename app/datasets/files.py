"""`/v1/files`: OpenAI's view of datasets, whose ids are files' too, and of the files of batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, StreamingResponse

from app.core.errors import HeadstartError
from app.datasets import export, files_service, plain, removal
from app.datasets.file_schemas import FileObject
from app.datasets.files_service import Taken
from app.datasets.lookup import settled, usable
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer
from app.http.idempotency import mark
from app.http.openapi import files, links, problems
from app.http.pages import Order, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.schemas import Deletion
from app.http.waiting import WishDep
from app.infra.orm import FileRow
from app.infra.repositories import datasets
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.openai import files as plain_files
from app.infra.storage import is_intact
from app.uploads import blobs
from app.uploads.form import UploadForm
from app.uploads.incoming import IncomingDep, parse_form
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload
from app.uploads.upload_docs import BAD_UPLOADS, multipart_body

router = APIRouter(route_class=StrictRoute, prefix="/v1/files", tags=["files"])

FileId = Annotated[str, Path(examples=["ds_01jd3v6s0q8m4f2k9x7c5b1n3a"])]


class DeletedFile(BaseModel):
    """The file, and the dataset that it is, is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
    deletion: Deletion = Field(description="How far its removal from storage is.")


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
    """Upload a labelled dataset, or with purpose `batch` the requests of a batch."""
    services, organisation = incoming.services, incoming.organisation_id

    def make(upload: Upload, receipt: Receipt) -> Taken:
        form = parse_form(UploadForm, upload.fields)
        return files_service.take(
            services, upload, form, organisation_id=organisation, receipt=receipt
        )

    def recall(made: dict[str, Any]) -> Taken:
        file_id = made["file"] if "file" in made else made["dataset"]
        return files_service.find(services, file_id, organisation_id=organisation)

    taken, replayed = await incoming.once(make, recall, status=200)
    mark(response, replayed=replayed)
    if isinstance(taken, DatasetSnapshot):
        taken = await settled(services, wish, taken)
    return files_service.shown(taken)


@router.get("")
def list_files(
    caller: Reader,
    session: Reading,
    *,
    after: Annotated[str | None, cursor(f"(ds_|{plain_files.PREFIX})")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
    purpose: Annotated[str | None, Query(max_length=100, pattern="^[ -~]*$")] = None,
) -> Page[FileObject]:
    """The organisation's files of every kind, by the time of their making."""
    wanted: dict[str, Any] = {
        "organisation_id": caller.organisation_id,
        "limit": limit + 1,
        "ascending": order == "asc",
    }
    behind = after and re.split("[_-]", after)[1]
    rows: list[Taken] = []
    if purpose in (None, "fine-tune"):
        rows += datasets.listing(session, after=behind and f"ds_{behind}", **wanted)
    if purpose != "fine-tune":
        rows += plain_files.listing(session, after=behind, purpose=purpose, **wanted)
    shown = sorted(map(files_service.shown, rows), key=_made, reverse=order == "desc")
    return page(shown, limit, lambda file: file)


def _made(file: FileObject) -> str:
    """The part of its id that ascends with time, whatever kind of file it is."""
    return re.split("[_-]", file.id)[1]


@router.get("/{file_id}", responses=problems("not_found"))
def get_file(file_id: FileId, caller: Reader, services: ServicesDep) -> FileObject:
    """One file."""
    organisation = caller.organisation_id
    return files_service.shown(files_service.find(services, file_id, organisation_id=organisation))


@router.delete("/{file_id}", responses=problems("not_found", "in_use"))
def delete_file(file_id: FileId, caller: Writer, services: ServicesDep) -> DeletedFile:
    """Delete the file; a labelled one is its dataset."""
    organisation = caller.organisation_id
    found = files_service.find(services, file_id, organisation_id=organisation)
    remove = plain.remove if isinstance(found, FileRow) else removal.remove
    deletion = remove(services, file_id, organisation_id=organisation)
    return DeletedFile(id=file_id, deletion=deletion)


_CONTENT: dict[int | str, dict[str, Any]] = {200: files("application/x-tar", "application/jsonl")}


@router.get(
    "/{file_id}/content",
    response_class=StreamingResponse,
    responses={**_CONTENT, **problems("not_found", "storage_unavailable")},
)
def get_file_content(file_id: FileId, caller: Reader, services: ServicesDep) -> Response:
    """A batch's file as it is; of a dataset the latest version's usable examples.

    Those are a JSONL of texts, or a tar of images with a list.
    """
    organisation = caller.organisation_id
    snapshot = files_service.find(services, file_id, organisation_id=organisation)
    if isinstance(snapshot, FileRow):
        return _kept(services, snapshot)
    examples = usable(services, snapshot)
    packs = {
        pack: blobs.open_pack(services, caller.organisation_id, pack)
        for pack in snapshot.version.packs
    }
    blobs.check(services, caller.organisation_id, examples)
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


def _kept(services: Services, row: FileRow) -> Response:
    """The bytes as they came. Raises storage_unavailable, content_corrupt."""
    try:
        path = services.storage.fetch(row.key)
        intact = is_intact(path, row.sha256)
    except FileNotFoundError as error:
        why = "the file's content cannot be read"
        raise HeadstartError("storage_unavailable", why, retry_after=5) from error
    if not intact:
        why = "the file's content is not what was stored: restore a backup, or upload it again"
        raise HeadstartError("content_corrupt", why, retry_after=60)
    headers = {"x-content-type-options": "nosniff"}
    return FileResponse(
        path, media_type="application/jsonl", filename=row.filename, headers=headers
    )
