"""`/v1/datasets/{id}/erasures`: erase examples from all versions, and see how far that is."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from app.datasets.erasing import service
from app.datasets.erasing.schemas import Erasure, NewErasure
from app.datasets.lookup import DatasetId, find
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer
from app.http.idempotency import IdempotencyDep, mark, once, replay
from app.http.openapi import path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.repositories import erasing
from app.infra.repositories.idempotency import IdempotencyKey, Reply

router = APIRouter(route_class=StrictRoute, prefix="/{dataset_id}/erasures")

ErasureId = Annotated[str, path_id("The erasure's id.", "era_01jd3v6s0q8m4f2k9x7c5b1n3a")]
_CODES = (
    "not_found",
    "in_use",
    "model_holds_example",
    "model_corrupt",
    "in_flight",
    "idempotency_mismatch",
    "invalid_json",
    "dataset_corrupt",
    "storage_unavailable",
    "storage_full",
    "secret_unreadable",
    "secrets_key_missing",
)


@router.post("", status_code=201, responses=problems(*_CODES))
async def erase_examples(
    dataset_id: DatasetId,
    *,
    body: NewErasure,
    caller: Writer,
    services: ServicesDep,
    key: IdempotencyDep,
    response: Response,
) -> Erasure:
    """Erase examples from all versions, and from what was made of them, models but for their
    weights. Nothing brings them back: uploads to this dataset leave the same contents out.

    Refused while a job, a batch or a promotion reads a version, and while one is in the making for
    longer than this waits: new ones wait for it meanwhile, and for a while after.
    """
    find(services, caller, dataset_id)
    work = partial(_once, services, dataset_id, body, caller.organisation_id, key)
    told, replayed = await services.builds.run(caller.organisation_id, work)
    mark(response, replayed=replayed)
    response.headers["location"] = f"/v1/datasets/{dataset_id}/erasures/{told.id}"
    return told


class _ReplayedError(Exception):
    """The request's key has had its effect: roll this one back."""


def _once(
    services: Services,
    dataset_id: str,
    body: NewErasure,
    organisation_id: str,
    key: IdempotencyKey | None,
) -> tuple[Erasure, bool]:
    """Erase once for the request's key, if it has one; the answer tells how far it is now."""

    def done(session: Session, erasure_id: str) -> str:
        effect = partial(Reply, status=201, body={"erasure": erasure_id})
        _, replayed = once(session, key, effect)
        if replayed:
            raise _ReplayedError
        return erasure_id

    kept = replay(services.sessions, key)
    if kept is None:
        try:
            name = service.erase(
                services, dataset_id, body, organisation_id=organisation_id, done=done
            )
        except _ReplayedError:
            kept = replay(services.sessions, key)
    if kept is not None:
        name = str(kept.body["erasure"])
    with reading(services.sessions) as session:
        told = service.get(session, name, dataset_id=dataset_id, organisation_id=organisation_id)
    return told, kept is not None


@router.get("", responses=problems("not_found"))
def list_erasures(
    dataset_id: DatasetId,
    caller: Reader,
    *,
    services: ServicesDep,
    session: Reading,
    after: Annotated[str | None, cursor(erasing.PREFIX)] = None,
    limit: Limit = 20,
) -> Page[Erasure]:
    """The dataset's erasures, newest first."""
    find(services, caller, dataset_id)
    rows = erasing.listing(
        session,
        dataset_id,
        organisation_id=caller.organisation_id,
        after=after,
        limit=limit + 1,
    )
    return page(rows, limit, partial(service.told_of, session))


@router.get("/{erasure_id}", responses=problems("not_found"))
def get_erasure(
    dataset_id: DatasetId, erasure_id: ErasureId, caller: Reader, session: Reading
) -> Erasure:
    """One erasure: what was erased, and what of it is left."""
    return service.get(
        session, erasure_id, dataset_id=dataset_id, organisation_id=caller.organisation_id
    )
