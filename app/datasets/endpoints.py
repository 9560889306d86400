"""`/v1/datasets`: upload, list, read and delete datasets and their versions."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Response

from app.datasets import examples, exports, removal, service
from app.datasets.change_schemas import DatasetChange
from app.datasets.erasing import endpoints as erasing
from app.datasets.looks import endpoints as looks
from app.datasets.looks import thumbnails
from app.datasets.lookup import DatasetId, find, settled
from app.datasets.report import REPORT, DatasetReport, ValidateOnly, report_of
from app.datasets.schemas import (
    PROBLEM,
    Dataset,
    DatasetBrief,
    DatasetProblem,
    DeletedDataset,
    VersionBrief,
    VersionDetail,
    dataset_brief_of,
    dataset_of,
    problem_of,
    version_brief_of,
    version_of,
)
from app.http.answers import answer
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer
from app.http.idempotency import mark
from app.http.openapi import links, problems
from app.http.pages import Limit, Order, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import WishDep
from app.infra.repositories import datasets
from app.infra.repositories.problems import SHOWN, some
from app.uploads.form import UploadForm
from app.uploads.incoming import IncomingDep
from app.uploads.streaming import Upload
from app.uploads.upload_docs import BAD_UPLOADS, multipart_body

router = APIRouter(route_class=StrictRoute, prefix="/v1/datasets", tags=["datasets"])
router.include_router(examples.router)
router.include_router(erasing.router)
router.include_router(exports.router)
router.include_router(looks.router)
router.include_router(thumbnails.router)

_ONE = "v1_datasets__dataset_id_"
_LINKS = links(
    "dataset_id",
    get=f"get_dataset_{_ONE}_get",
    delete=f"delete_dataset_{_ONE}_delete",
    examples=f"list_examples_{_ONE}_examples_get",
    append=f"append_examples_{_ONE}_examples_post",
    versions=f"list_versions_{_ONE}_versions_get",
)


@router.post(
    "",
    status_code=201,
    response_model=Dataset,
    responses={200: REPORT, 201: {"links": _LINKS}, **BAD_UPLOADS},
    openapi_extra=multipart_body(required=()),
)
async def create_dataset(
    incoming: IncomingDep, wish: WishDep, response: Response, *, validate_only: ValidateOnly = False
) -> Response:
    """Upload a labelled dataset; it is `processing` until all of it is decoded and embedded."""
    if validate_only:
        report = await incoming.inspect(partial(_report, incoming.services))
        return await answer(lambda made: made, report, response)
    make = partial(service.create, incoming.services, organisation_id=incoming.organisation_id)
    snapshot, replayed = await incoming.take(make, status=201, instead="classes")
    mark(response, replayed=replayed)
    response.headers["location"] = f"/v1/datasets/{snapshot.dataset.id}"
    snapshot = await settled(incoming.services, wish, snapshot)
    return await answer(dataset_of, snapshot, response, status=201)


def _report(services: Services, upload: Upload, form: UploadForm) -> DatasetReport:
    with service.inspect(services, upload, form) as (built, backbone):
        return report_of(built, backbone, upload=upload, form=form)


@router.get("")
def list_datasets(
    caller: Reader,
    session: Reading,
    *,
    after: Annotated[str | None, cursor("ds_")] = None,
    limit: Limit = 20,
    order: Order = "desc",
) -> Page[DatasetBrief]:
    """The organisation's datasets at their latest versions, newest first."""
    rows = datasets.listing(
        session,
        organisation_id=caller.organisation_id,
        after=after,
        limit=limit + 1,
        ascending=order == "asc",
    )
    return page(rows, limit, dataset_brief_of)


@router.get("/{dataset_id}", response_model=Dataset, responses=problems("not_found"))
async def get_dataset(
    dataset_id: DatasetId,
    caller: Reader,
    *,
    services: ServicesDep,
    wish: WishDep,
    response: Response,
) -> Response:
    """The dataset at its latest version, with the first of its problems."""
    look = partial(find, services, caller, dataset_id, shown=SHOWN)
    turn = services.turns.of(caller.organisation_id)
    snapshot = await settled(services, wish, await to_thread.run_sync(look, limiter=turn))
    return await answer(dataset_of, snapshot, response)


@router.patch(
    "/{dataset_id}", response_model=Dataset, responses=problems("not_found", "invalid_json")
)
async def change_dataset(
    dataset_id: DatasetId,
    *,
    body: DatasetChange,
    caller: Writer,
    services: ServicesDep,
    response: Response,
) -> Response:
    """Give the dataset another name, or say how accurate a model of it is to be; no new version."""
    base = await to_thread.run_sync(find, services, caller, dataset_id)
    snapshot = await to_thread.run_sync(service.change_dataset, services, base, body)
    return await answer(dataset_of, snapshot, response)


@router.get("/{dataset_id}/problems", responses=problems("not_found"))
def list_problems(
    dataset_id: DatasetId,
    caller: Reader,
    *,
    services: ServicesDep,
    session: Reading,
    version: examples.Version = None,
    after: Annotated[str | None, cursor(PROBLEM, rest="[0-9]{9}")] = None,
    limit: examples.ManyLimit = 100,
) -> Page[DatasetProblem]:
    """Everything that was rejected in a version, or is doubtful."""
    snapshot = find(services, caller, dataset_id, version)
    start = int(after.removeprefix(PROBLEM)) + 1 if after else 0
    rows = some(session, snapshot.version.id, start=start, limit=limit + 1)
    return page(rows, limit, problem_of)


@router.delete("/{dataset_id}", responses=problems("not_found", "in_use"))
def delete_dataset(dataset_id: DatasetId, caller: Writer, services: ServicesDep) -> DeletedDataset:
    """Delete the dataset, its examples and their cached embeddings; models made of it stay."""
    find(services, caller, dataset_id)
    deletion = removal.remove(services, dataset_id, organisation_id=caller.organisation_id)
    return DeletedDataset(id=dataset_id, deletion=deletion)


@router.get("/{dataset_id}/versions", responses=problems("not_found"))
def list_versions(
    dataset_id: DatasetId,
    caller: Reader,
    *,
    services: ServicesDep,
    session: Reading,
    after: Annotated[str | None, cursor("dsv_")] = None,
    limit: Limit = 20,
) -> Page[VersionBrief]:
    """The dataset's versions, newest first."""
    find(services, caller, dataset_id)
    rows = datasets.versions(
        session,
        dataset_id,
        organisation_id=caller.organisation_id,
        after=after,
        limit=limit + 1,
    )
    return page(rows, limit, version_brief_of)


@router.get(
    "/{dataset_id}/versions/{number}", response_model=VersionDetail, responses=problems("not_found")
)
async def get_version(
    dataset_id: DatasetId,
    number: Annotated[int, Path(examples=[1])],
    *,
    caller: Reader,
    services: ServicesDep,
    wish: WishDep,
    response: Response,
) -> Response:
    """One version, with the first of its problems."""
    look = partial(find, services, caller, dataset_id, number, shown=SHOWN)
    turn = services.turns.of(caller.organisation_id)
    snapshot = await settled(services, wish, await to_thread.run_sync(look, limiter=turn))
    return await answer(version_of, snapshot, response)
