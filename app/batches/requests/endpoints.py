"""`/v1/batches`: create, follow, list and cancel; what is asked, workers ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from app.batches.requests.schemas import NewRequestBatch, RequestBatch, request_batch_of
from app.http.dependencies import (
    Reader,
    Reading,
    Services,
    ServicesDep,
    Writer,
    caller,
    written,
)
from app.http.idempotency import IdempotencyDep, mark, once
from app.http.openapi import CANCEL_PROBLEMS, Responses, links, path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import REQUESTS, WishDep
from app.infra.database import reading
from app.infra.orm import RequestBatchRow
from app.infra.repositories import quotas
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.infra.repositories.openai import request_batches
from app.infra.repositories.openai.request_batches import ENDED, PlannedRequests

router = APIRouter(route_class=StrictRoute, prefix="/v1/batches", tags=["batch predictions"])

BatchId = Annotated[str, path_id("The batch's id.", "batch_req_01ke4c0f6v6z2k8m9q3w5x7y1t")]
_ONE = "v1_batches__batch_id_"
_LINKS: Responses = {
    200: {
        "links": links(
            "batch_id",
            get=f"get_request_batch_{_ONE}_get",
            cancel=f"cancel_request_batch_{_ONE}_cancel_post",
        )
    }
}


@router.post(
    "",
    responses=_LINKS
    | problems(
        "not_found", "idempotency_mismatch", "invalid_json", "bad_request", "quota_exceeded"
    ),
    dependencies=[Depends(caller("predict"))],
)
def create_request_batch(
    *,
    body: NewRequestBatch,
    caller: Writer,
    services: ServicesDep,
    key: IdempotencyDep,
    response: Response,
) -> RequestBatch:
    """Answer a file of requests within a day: its lines are checked, then asked piece by piece."""
    expiry = body.output_expires_after
    new = PlannedRequests(
        endpoint=body.endpoint,
        input_file_id=body.input_file_id,
        metadata=body.metadata,
        output_seconds=expiry.seconds if expiry else None,
    )
    organisation = caller.organisation_id
    return _once(
        services,
        key,
        response,
        lambda session: _created(session, services, new, organisation),
    )


def _created(
    session: Session, services: Services, new: PlannedRequests, organisation_id: str
) -> RequestBatchRow:
    row = request_batches.create(session, new, organisation_id=organisation_id)
    quotas.check(session, services.settings, organisation_id, "jobs")
    return row


def _once(
    services: Services,
    key: IdempotencyKey | None,
    response: Response,
    change: Callable[[Session], RequestBatchRow],
) -> RequestBatch:
    """The batch after a change that is made once for its key."""

    def step(session: Session) -> tuple[Reply, bool]:
        def effect() -> Reply:
            return Reply(status=200, body=request_batch_of(change(session)).model_dump(mode="json"))

        return once(session, key, effect)

    reply, replayed = written(services, step)
    mark(response, replayed=replayed)
    return RequestBatch.model_validate(reply.body)


@router.get("")
def list_request_batches(
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor(request_batches.PREFIX)] = None,
    limit: Limit = 20,
) -> Page[RequestBatch]:
    """The organisation's batches of requests, newest first."""
    rows = request_batches.listing(
        session, organisation_id=caller.organisation_id, after=after, limit=limit + 1
    )
    waits = request_batches.waits(session, rows, organisation_id=caller.organisation_id)
    return page(rows, limit, partial(request_batch_of, waits=waits))


@router.get("/{batch_id}", responses=problems("not_found"))
async def get_request_batch(
    batch_id: BatchId, caller: Reader, services: ServicesDep, wish: WishDep
) -> RequestBatch:
    """One batch; with `Prefer: wait=N`, as soon as it has ended."""
    organisation = caller.organisation_id
    found = await to_thread.run_sync(_get, services, batch_id, organisation)
    if found.status not in ENDED and await wish.grant(
        services.waiting, REQUESTS, batch_id, done=_ended
    ):
        found = await to_thread.run_sync(_get, services, batch_id, organisation)
    return found


def _ended(status: object) -> bool:
    return status is None or status in ENDED


def _get(services: Services, batch_id: str, organisation_id: str) -> RequestBatch:
    with reading(services.sessions) as session:
        row = request_batches.get(session, batch_id, organisation_id=organisation_id)
        waits = request_batches.waits(session, [row], organisation_id=organisation_id)
        return request_batch_of(row, waits)


@router.post("/{batch_id}/cancel", responses=CANCEL_PROBLEMS)
def cancel_request_batch(
    *,
    batch_id: BatchId,
    caller: Writer,
    services: ServicesDep,
    key: IdempotencyDep,
    response: Response,
) -> RequestBatch:
    """Ask no more: it is `cancelling` until what was answered by then is written to its files."""
    organisation = caller.organisation_id
    return _once(
        services,
        key,
        response,
        lambda session: request_batches.cancel(session, batch_id, organisation_id=organisation),
    )
