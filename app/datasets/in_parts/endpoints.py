"""`/v1/uploads`: OpenAI's routes for a file in parts, and two more to see what came."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Response

from app.datasets import files_service
from app.datasets.in_parts import service
from app.datasets.in_parts.schemas import (
    MOST_PARTS,
    Completion,
    NewUpload,
    UploadObject,
    UploadPart,
    part_of,
    upload_of,
)
from app.http.dependencies import (
    Reader,
    Reading,
    Services,
    ServicesDep,
    Writer,
    caller,
    writing,
)
from app.http.idempotency import IdempotencyDep, mark, once
from app.http.openapi import BINARY, CANCEL_PROBLEMS, Responses, links, path_id, problems
from app.http.pages import Page, cursor, page
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.repositories.idempotency import Reply
from app.infra.repositories.openai import uploads
from app.uploads.incoming import IncomingDep
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload
from app.uploads.upload_docs import BAD_UPLOADS

router = APIRouter(route_class=StrictRoute, prefix="/v1/uploads", tags=["files"])

UploadId = Annotated[str, path_id("The upload's id.", "upload_01ke4c0f6v6z2k8m9q3w5x7y1t")]
_ONE = "v1_uploads__upload_id_"
_LINKS: Responses = {
    200: {
        "links": links(
            "upload_id",
            get=f"get_upload_{_ONE}_get",
            parts=f"list_parts_{_ONE}_parts_get",
            complete=f"complete_upload_{_ONE}_complete_post",
            cancel=f"cancel_upload_{_ONE}_cancel_post",
        )
    }
}
_PART: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {"data": BINARY},
                }
            },
            "application/octet-stream": {"schema": BINARY},
        },
    }
}
_PART_PROBLEMS = problems(
    "not_found",
    "invalid_transition",
    "bad_request",
    "request_timeout",
    "in_flight",
    "idempotency_mismatch",
    "payload_too_large",
    "unsupported_media_type",
    "storage_full",
    "dataset_corrupt",
    "storage_unavailable",
    "quota_exceeded",
)


@router.post(
    "", responses=_LINKS | problems("idempotency_mismatch", "payload_too_large", "invalid_json")
)
def create_upload(
    *, body: NewUpload, caller: Writer, services: ServicesDep, key: IdempotencyDep, reply: Response
) -> UploadObject:
    """Announce a file that comes in parts of up to 64 MiB; it is kept for a day."""
    most = services.settings.max_upload_bytes
    with writing(services) as session:

        def effect() -> Reply:
            organisation = caller.organisation_id
            row = service.create(session, body, organisation_id=organisation, most=most)
            return Reply(status=200, body=upload_of(row, row.status).model_dump(mode="json"))

        answered, replayed = once(session, key, effect)
    mark(reply, replayed=replayed)
    return UploadObject.model_validate(answered.body)


@router.get("/{upload_id}", responses=problems("not_found"))
def get_upload(upload_id: UploadId, caller: Reader, services: ServicesDep) -> UploadObject:
    """One upload; with its file, once it is complete."""
    return _shown(services, upload_id, caller.organisation_id)


@router.get("/{upload_id}/parts", responses=problems("not_found"))
def list_parts(
    upload_id: UploadId,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor(uploads.PART_PREFIX)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_PARTS)] = 1000,
) -> Page[UploadPart]:
    """The parts that have come, in the order of their coming, so that a broken upload goes on."""
    organisation = caller.organisation_id
    uploads.get(session, upload_id, organisation_id=organisation)
    rows = uploads.parts(
        session, upload_id, organisation_id=organisation, after=after, limit=limit + 1
    )
    return page(rows, limit, part_of)


@router.post(
    "/{upload_id}/parts",
    responses=_PART_PROBLEMS,
    openapi_extra=_PART,
    dependencies=[Depends(caller("write"))],
)
async def add_part(upload_id: UploadId, incoming: IncomingDep, reply: Response) -> UploadPart:
    """Send a part; parts may come in any order, at once, and again.

    It is stored for good when the answer comes; of a part that breaks off nothing is kept.
    """
    services, organisation = incoming.services, incoming.organisation_id
    check = partial(service.require_pending, services, upload_id, organisation_id=organisation)
    await to_thread.run_sync(check)

    def make(upload: Upload, receipt: Receipt) -> UploadPart:
        row = service.add_part(
            services, upload, upload_id, organisation_id=organisation, receipt=receipt
        )
        return part_of(row)

    def recall(made: dict[str, Any]) -> UploadPart:
        with reading(services.sessions) as session:
            return part_of(uploads.get_part(session, made["part"], organisation_id=organisation))

    part, replayed = await incoming.once(
        make, recall, status=200, most=service.MOST_PART_BYTES, field="data"
    )
    mark(reply, replayed=replayed)
    return part


@router.post("/{upload_id}/complete", responses=BAD_UPLOADS | CANCEL_PROBLEMS)
async def complete_upload(
    upload_id: UploadId, body: Completion, caller: Writer, services: ServicesDep
) -> UploadObject:
    """Make a file of the parts in this order, as `POST /v1/files` does.

    Completing it once more with the same parts answers the same; what is refused leaves it pending.
    """
    work = partial(
        service.complete, services, upload_id, body, organisation_id=caller.organisation_id
    )
    await services.builds.run(caller.organisation_id, work)
    return await to_thread.run_sync(_shown, services, upload_id, caller.organisation_id)


@router.post("/{upload_id}/cancel", responses=CANCEL_PROBLEMS)
def cancel_upload(upload_id: UploadId, caller: Writer, services: ServicesDep) -> UploadObject:
    """Give the upload up: its parts are deleted."""
    row = service.cancel(services, upload_id, organisation_id=caller.organisation_id)
    return upload_of(row, row.status)


def _shown(services: Services, upload_id: str, organisation_id: str) -> UploadObject:
    row, status = service.find(services, upload_id, organisation_id=organisation_id)
    file = row.file_id and files_service.found(
        services, row.file_id, organisation_id=organisation_id
    )
    return upload_of(row, status, file or None)
