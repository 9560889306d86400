"""`/v1/datasets/{id}/examples`: read, append, relabel and drop examples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from app.core import image_header
from app.core.errors import HeadstartError
from app.core.manifest import Example, Split
from app.datasets import export, service
from app.datasets.change_schemas import ExampleChange, ExampleChanges
from app.datasets.lookup import DatasetId, ExampleId, find, settled
from app.datasets.report import REPORT, DatasetReport, ValidateOnly, report_of
from app.datasets.schemas import (
    Dataset,
    ExampleItem,
    dataset_of,
    example_of,
)
from app.datasets.selection import ListOrder, Selection, Suspect, doubted_by
from app.http.answers import answer
from app.http.dependencies import Reader, Services, ServicesDep, Writer
from app.http.idempotency import mark
from app.http.openapi import files, problems
from app.http.pages import Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import WishDep
from app.infra.database import reading
from app.infra.repositories import problems as problem_rows
from app.infra.repositories.datasets import DatasetSnapshot
from app.uploads import blobs
from app.uploads.form import SETTLED, UploadForm
from app.uploads.incoming import IncomingDep
from app.uploads.lines import line_of
from app.uploads.streaming import Upload
from app.uploads.upload_docs import BAD_UPLOADS, multipart_body

router = APIRouter(route_class=StrictRoute, prefix="/{dataset_id}/examples")

_EXAMPLE_ID = re.compile("ex_[0-9a-f]{24}")
_CHANGES = (
    "not_found",
    "in_flight",
    "insufficient_classes",
    "dataset_corrupt",
    "storage_unavailable",
)

Version = Annotated[int | None, Query(ge=1, lt=2**31, description="The latest one, if left out.")]
ManyLimit = Annotated[int, Query(ge=1, le=1000, description="How many examples at most.")]


@router.get("", responses=problems("not_found", "dataset_corrupt", "storage_unavailable"))
def list_examples(
    dataset_id: DatasetId,
    caller: Reader,
    *,
    services: ServicesDep,
    version: Version = None,
    label: Annotated[str | None, Query(max_length=256)] = None,
    split: Split | None = None,
    excluded: Annotated[
        bool | None, Query(description="Only those that a problem keeps from being used, or not.")
    ] = None,
    suspect: Suspect = None,
    order: Annotated[
        ListOrder, Query(description="`stored`: as in the manifest; `classes`: each in turn.")
    ] = "stored",
    after: Annotated[str | None, cursor("ex_", rest="[0-9a-f]{24}")] = None,
    limit: ManyLimit = 100,
) -> Page[ExampleItem]:
    """The examples of a version, in the order of its manifest or one of each class in turn.

    With `suspect` those whose label looks wrong to that model, unless it was changed or confirmed.
    """
    snapshot = find(services, caller, dataset_id, version)
    doubted = doubted_by(services, caller, suspect)
    chosen = Selection(label=label, split=split, excluded=excluded, doubted=doubted, order=order)
    known = _examples(blobs.open_manifest(services, snapshot.version))
    bad = _excluded(services, snapshot, None)
    wanted = chosen.page(known, bad, after=after, limit=limit + 1)
    return page(wanted, limit, lambda one: example_of(one, excluded=one.id in bad))


def _excluded(
    services: Services, snapshot: DatasetSnapshot, among: Sequence[str] | None
) -> set[str]:
    if not snapshot.num_problems:
        return set()
    with reading(services.sessions) as session:
        return problem_rows.excluded(session, snapshot.version.id, among)


@router.post(
    "",
    status_code=201,
    response_model=Dataset,
    responses={200: REPORT, **problems("not_found"), **BAD_UPLOADS},
    openapi_extra=multipart_body(without=tuple(SETTLED.values())),
)
async def append_examples(
    dataset_id: DatasetId,
    incoming: IncomingDep,
    *,
    wish: WishDep,
    response: Response,
    validate_only: ValidateOnly = False,
) -> Response:
    """Add an upload's examples; of those that are there already, the newer label holds."""
    base = await to_thread.run_sync(find, incoming.services, incoming.identity, dataset_id)
    if validate_only:
        report = await incoming.inspect(partial(_report, incoming.services, base))
        return await answer(lambda made: made, report, response)
    make = partial(service.append, incoming.services, base=base)
    snapshot, replayed = await incoming.take(make, status=201)
    mark(response, replayed=replayed)
    response.headers["location"] = _location(snapshot)
    snapshot = await settled(incoming.services, wish, snapshot)
    return await answer(dataset_of, snapshot, response, status=201)


def _report(
    services: Services, base: DatasetSnapshot, upload: Upload, form: UploadForm
) -> DatasetReport:
    named = form.model_copy(update={"name": base.dataset.name})
    with service.inspect_append(services, upload, form, base=base) as (built, content):
        whole = replace(built, examples=list(content.examples), problems=list(content.problems))
        return report_of(whole, base.version.backbone, upload=upload, form=named)


@router.get(
    "/{example_id}", responses=problems("not_found", "dataset_corrupt", "storage_unavailable")
)
def get_example(
    dataset_id: DatasetId,
    example_id: ExampleId,
    *,
    caller: Reader,
    services: ServicesDep,
    version: Version = None,
) -> ExampleItem:
    """One example of a version."""
    snapshot = find(services, caller, dataset_id, version)
    bad = _excluded(services, snapshot, [example_id])
    return example_of(pick(services, snapshot, example_id), excluded=example_id in bad)


@router.patch(
    "/{example_id}",
    response_model=Dataset,
    responses=problems(*_CHANGES, "invalid_json", "invalid_value", "label_too_long"),
)
async def change_example(
    dataset_id: DatasetId,
    example_id: ExampleId,
    *,
    change: ExampleChange,
    caller: Writer,
    services: ServicesDep,
    wish: WishDep,
    response: Response,
) -> Response:
    """Relabel an example, or move it to another group or split; makes a new version."""
    base = await to_thread.run_sync(find, services, caller, dataset_id)
    step = partial(service.relabel, services, base, {example_id: change})
    snapshot = await services.builds.run(caller.organisation_id, step)
    response.headers["location"] = _location(snapshot)
    return await answer(dataset_of, await settled(services, wish, snapshot), response)


@router.patch(
    "",
    response_model=Dataset,
    responses=problems(*_CHANGES, "invalid_json", "invalid_value", "label_too_long"),
)
async def change_examples(
    dataset_id: DatasetId,
    *,
    body: ExampleChanges,
    caller: Writer,
    services: ServicesDep,
    wish: WishDep,
    response: Response,
) -> Response:
    """Relabel or confirm several examples; all of it makes one version, or none."""
    changes = {one.id: one for one in body.changes}
    if len(changes) < len(body.changes):
        raise HeadstartError("invalid_request", "changes: one example twice", param="changes")
    base = await to_thread.run_sync(find, services, caller, dataset_id)
    step = partial(service.relabel, services, base, changes)
    snapshot = await services.builds.run(caller.organisation_id, step)
    response.headers["location"] = _location(snapshot)
    return await answer(dataset_of, await settled(services, wish, snapshot), response)


@router.delete("/{example_id}", response_model=Dataset, responses=problems(*_CHANGES))
async def drop_example(
    dataset_id: DatasetId,
    example_id: ExampleId,
    *,
    caller: Writer,
    services: ServicesDep,
    wish: WishDep,
    response: Response,
) -> Response:
    """Leave an example out; makes a new version. Older versions keep it."""
    base = await to_thread.run_sync(find, services, caller, dataset_id)
    step = partial(service.drop, services, base, example_id)
    snapshot = await services.builds.run(caller.organisation_id, step)
    response.headers["location"] = _location(snapshot)
    return await answer(dataset_of, await settled(services, wish, snapshot), response)


@router.get(
    "/{example_id}/content",
    response_class=StreamingResponse,
    responses={
        200: files(
            "image/png", "image/jpeg", "image/webp", "image/heic", "application/dicom", "text/plain"
        ),
        **problems("not_found", "dataset_corrupt", "storage_unavailable"),
    },
)
def get_example_content(
    dataset_id: DatasetId,
    example_id: ExampleId,
    *,
    caller: Reader,
    services: ServicesDep,
    version: Version = None,
) -> Response:
    """The example's own bytes: the image as it was uploaded, or the text."""
    snapshot = find(services, caller, dataset_id, version)
    example = pick(services, snapshot, example_id)
    blobs.check(services, caller.organisation_id, [example])
    pack = blobs.open_pack(services, caller.organisation_id, example.pack)
    headers = {
        "content-length": str(example.length),
        "etag": f'"{example.sha256}"',
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    kind = _MEDIA_TYPES[snapshot.dataset.modality](pack, example)
    return StreamingResponse(export.read(pack, example), media_type=kind, headers=headers)


_HEAD = 256
"""Bytes that say what an image is."""


def _location(snapshot: DatasetSnapshot) -> str:
    return f"/v1/datasets/{snapshot.dataset.id}/versions/{snapshot.version.number}"


def pick(services: Services, snapshot: DatasetSnapshot, example_id: str) -> Example:
    """The version's example of this id. Raises not_found or storage_unavailable."""
    line = b""
    if _EXAMPLE_ID.fullmatch(example_id):
        line = line_of(blobs.open_manifest(services, snapshot.version), _start(example_id))
    if not line:
        raise HeadstartError("not_found", "the version has no such example")
    return Example.model_validate_json(line)


def _examples(path: Path) -> Iterator[Example]:
    with path.open("rb") as file:
        for line in file:
            if not line.isspace():
                yield Example.model_validate_json(line)


def _start(example_id: str) -> bytes:
    """How the example's line in a manifest begins."""
    return f'{{"id":"{example_id}"'.encode()


def _media_type(pack: Path, example: Example) -> str:
    with pack.open("rb") as file:
        file.seek(example.offset)
        head = file.read(min(_HEAD, example.length))
    return image_header.MEDIA_TYPES[image_header.sniff(head)]


_MEDIA_TYPES: Mapping[str, Callable[[Path, Example], str]] = {
    "image": _media_type,
    "text": lambda pack, example: "text/plain; charset=utf-8",  # noqa: ARG005
}
