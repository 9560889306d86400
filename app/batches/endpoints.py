"""`/v1/batch_predictions`: predict a whole dataset or archive, and download what came of it."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse

from app.batches import results, service
from app.batches.bodies import documented, is_json, read_json
from app.batches.results import MEDIA_TYPES, Format
from app.batches.schemas import ID, PATH, Batch, BatchForm, NewBatch, batch_of
from app.core.errors import HeadstartError
from app.core.job_state import ended
from app.http.dependencies import Reader, Reading, ServicesDep, Writer, caller, written
from app.http.idempotency import IdempotencyDep, key_of, mark, once, replay
from app.http.openapi import (
    CANCEL_PROBLEMS,
    DeletedObject,
    Responses,
    files,
    links,
    path_id,
    problems,
)
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import BATCH, WishDep
from app.infra.repositories import batches
from app.infra.repositories.idempotency import Reply
from app.uploads.incoming import Incoming, IncomingDep, parse_fields, parse_form
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload
from app.uploads.upload_docs import BAD_UPLOAD_CODES

router = APIRouter(route_class=StrictRoute, prefix=PATH, tags=["batch predictions"])

BatchId = Annotated[str, path_id("The batch's id.", ID)]
_ONE = "v1_batch_predictions__batch_id_"
_LINKS = links(
    "batch_id",
    get=f"get_batch_{_ONE}_get",
    cancel=f"cancel_batch_{_ONE}_cancel_post",
    delete=f"delete_batch_{_ONE}_delete",
    results=f"get_results_{_ONE}_results_get",
)
_WAITED: Responses = {
    200: {
        "model": Batch,
        "description": "It has ended within the time of `Prefer: wait`.",
        "links": _LINKS,
    },
    202: {"links": _LINKS},
}
_BAD = problems(*BAD_UPLOAD_CODES, "quota_exceeded", "not_found", "not_ready", "dataset_failed")


@router.post(
    "",
    status_code=202,
    responses=_WAITED | _BAD,
    openapi_extra=documented(),
    dependencies=[Depends(caller("predict"))],
)
async def create_batch(incoming: IncomingDep, wish: WishDep, response: Response) -> Batch:
    """Predict all examples of a dataset (JSON), or all inputs of an uploaded archive.

    The model and the inputs are pinned now, and the batch outlives this process.
    """
    make = _of_dataset if is_json(incoming.request) else _of_upload
    made, replayed = await make(incoming)
    mark(response, replayed=replayed)
    services = incoming.services
    if not ended(made.status) and await wish.grant(services.waiting, BATCH, made.id, done=ended):
        made = await to_thread.run_sync(service.look, services, made.id, incoming.organisation_id)
    response.headers["location"] = f"{PATH}/{made.id}"
    response.status_code = 200 if ended(made.status) else 202
    return made


async def _of_dataset(incoming: Incoming) -> tuple[Batch, bool]:
    body = await read_json(incoming.request)
    return await to_thread.run_sync(_once, incoming, body)


def _once(incoming: Incoming, body: Any) -> tuple[Batch, bool]:
    """Create the batch once for its key, if it has one."""
    services, organisation_id = incoming.services, incoming.organisation_id
    content = json.dumps(body, sort_keys=True).encode()
    key = key_of(incoming.request, incoming.key_header, content=content)
    stored = replay(services.sessions, key)
    if stored is not None:
        return Batch.model_validate(stored.body), True
    wanted = parse_fields(NewBatch, body)
    dataset, total = service.find(services, wanted, organisation_id)

    def step(session: Session) -> tuple[Reply, bool]:
        def effect() -> Reply:
            row = service.over_dataset(session, services, wanted, dataset, total=total)
            return Reply(status=202, body=batch_of(row).model_dump(mode="json"))

        return once(session, key, effect)

    reply, replayed = written(services, step)
    return Batch.model_validate(reply.body), replayed


async def _of_upload(incoming: Incoming) -> tuple[Batch, bool]:
    services, organisation_id = incoming.services, incoming.organisation_id

    def make(upload: Upload, receipt: Receipt) -> Batch:
        form = parse_form(BatchForm, upload.fields)
        row = service.over_upload(
            services, upload, form, organisation_id=organisation_id, receipt=receipt
        )
        return batch_of(row)

    def recall(made: dict[str, Any]) -> Batch:
        return service.look(services, made["batch"], organisation_id)

    return await incoming.once(make, recall, status=202)


@router.get("")
def list_batches(
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor(batches.PREFIX)] = None,
    limit: Limit = 20,
) -> Page[Batch]:
    """The organisation's batches, newest first."""
    rows = batches.listing(
        session, organisation_id=caller.organisation_id, after=after, limit=limit + 1
    )
    waits = batches.waits(session, rows, organisation_id=caller.organisation_id)
    return page(rows, limit, partial(batch_of, waits=waits))


@router.get("/{batch_id}", responses=problems("not_found"))
async def get_batch(
    batch_id: BatchId, caller: Reader, services: ServicesDep, wish: WishDep
) -> Batch:
    """One batch; with `Prefer: wait=N`, as soon as it has ended."""
    look = partial(service.look, services, batch_id, caller.organisation_id)
    seen = await to_thread.run_sync(look)
    if not ended(seen.status) and await wish.grant(services.waiting, BATCH, batch_id, done=ended):
        seen = await to_thread.run_sync(look)
    return seen


@router.post(
    "/{batch_id}/cancel",
    responses=CANCEL_PROBLEMS,
)
def cancel_batch(
    *,
    batch_id: BatchId,
    caller: Writer,
    services: ServicesDep,
    key: IdempotencyDep,
    response: Response,
) -> Batch:
    """Cancel: what is done by then stays and can be downloaded, and nothing is added to it."""

    def step(session: Session) -> tuple[Reply, bool]:
        def effect() -> Reply:
            row = service.cancel(session, batch_id, organisation_id=caller.organisation_id)
            return Reply(status=200, body=batch_of(row).model_dump(mode="json"))

        return once(session, key, effect)

    reply, replayed = written(services, step)
    mark(response, replayed=replayed)
    return Batch.model_validate(reply.body)


@router.delete("/{batch_id}", responses=problems("not_found", "in_use"))
def delete_batch(batch_id: BatchId, caller: Writer, services: ServicesDep) -> DeletedObject:
    """Delete a batch that has ended: its results, and what was uploaded and embedded for it."""
    deletion = service.remove(services, batch_id, organisation_id=caller.organisation_id)
    return DeletedObject(id=batch_id, object="batch_prediction", deletion=deletion)


@router.get(
    "/{batch_id}/results",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One line an input, in the inputs' order: a prediction or an error."
            " In CSV an apostrophe stands before a text that a spreadsheet would take for a"
            " formula (it begins with `=`, `+`, `-`, `@`, tab or CR); JSONL is exact.",
            **files("application/jsonl", "text/csv"),
        },
        **problems("not_found", "not_ready", "storage_unavailable"),
    },
)
def get_results(
    request: Request,
    batch_id: BatchId,
    caller: Reader,
    services: ServicesDep,
    session: Reading,
    *,
    kind: Annotated[
        Format | None,
        Query(alias="format", description="`jsonl` or `csv`; else as `Accept` says, else JSONL."),
    ] = None,
) -> Response:
    """The results, once the batch has ended; streamed, however large they are."""
    row = batches.get(session, batch_id, organisation_id=caller.organisation_id)
    if not ended(row.status):
        raise HeadstartError("not_ready", f"the batch is {row.status}: it has no results yet")
    parts = batches.parts(session, batch_id)
    kind = kind or results.wanted(request.headers.get("accept", ""))
    headers = {
        "content-disposition": f'attachment; filename="{batch_id}.{kind}"',
        "vary": "Accept",
        "x-content-type-options": "nosniff",
    }
    if kind == "jsonl":
        headers["content-length"] = str(sum(part.bytes for part in parts))
    body = results.stream(services.storage, parts, kind, columns=service.columns_of(row))
    return StreamingResponse(body, media_type=MEDIA_TYPES[kind], headers=headers)
