"""A project's images: sent, fetched, listed, given other tags, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from app.compat.custom_vision.intake import (
    ProjectImages,
    ReceivedImage,
    SentImage,
    holding,
    take_in,
)
from app.compat.custom_vision.naming import (
    AnyVersion,
    ProjectUuid,
    example_id,
    image_uuid,
    outside,
    tag_uuid,
)
from app.compat.custom_vision.pictures import pictures
from app.compat.custom_vision.prediction import PICTURE
from app.compat.custom_vision.projects import remove_dataset
from app.compat.custom_vision.shapes import (
    ImageAddresses,
    ImageCreated,
    ImageFiles,
    ImagesCreated,
    ImageTag,
    VisionImage,
    moment,
)
from app.compat.custom_vision.tagging import project_tags
from app.compat.fetching import fetch
from app.core import image_header
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.manifest import Example
from app.core.openai.inputs import image_bytes
from app.datasets import service
from app.datasets.content import dropped
from app.http.dependencies import Reader, Services, ServicesDep, Writer
from app.http.openapi import problems
from app.predictions.embeddings import CountedRoute
from app.uploads import blobs

router = APIRouter(
    route_class=CountedRoute,
    prefix="/customvision/{version}/training/projects/{project}/images",
    tags=["custom vision: training"],
    dependencies=[AnyVersion],
)
_PROBLEMS = problems(
    "bad_request",
    "not_found",
    "unsupported_media_type",
    "invalid_json",
    "invalid_value",
    "image_invalid",
    "backbone_unavailable",
    "in_flight",
    "storage_unavailable",
    "storage_full",
)
_CREATED = {**_PROBLEMS, 207: {"model": ImagesCreated, "description": "Some were not taken."}}
Names = Annotated[str | None, Query(max_length=20_000, description="UUIDs, by commas.")]
TagIds = Annotated[
    str | None, Query(alias="tagIds", max_length=5_000, description="UUIDs, by commas.")
]
Status = Annotated[Literal["All", "Tagged", "Untagged"] | None, Query(alias="taggingStatus")]
Iteration = Annotated[
    UUID | None, Query(alias="iterationId", description="Taken; images are those of today.")
]
Take = Annotated[int, Query(ge=0, le=256)]
Skip = Annotated[int, Query(ge=0, le=10_000_000)]
OrderBy = Annotated[Literal["Newest", "Oldest"] | None, Query(alias="orderBy")]


@router.post("", responses=_CREATED, openapi_extra=PICTURE)
async def custom_vision_create_images_from_data(
    project: ProjectUuid,
    caller: Writer,
    *,
    services: ServicesDep,
    request: Request,
    response: Response,
    tag_ids: TagIds = None,
) -> ImagesCreated:
    """Add images, raw or in a form, under one tag."""
    sent = pictures(await request.body(), request.headers.get("content-type", ""))
    tags = await project_tags(services, caller, project)
    labels = tags.named(_split(tag_ids), None)
    taken = [
        SentImage(source=str(place), labels=labels, data=data) for place, data in enumerate(sent)
    ]
    return await _create(request, response, project, taken)


@router.post("/files", responses=_CREATED)
async def custom_vision_create_images_from_files(
    body: ImageFiles,
    project: ProjectUuid,
    caller: Writer,
    *,
    services: ServicesDep,
    request: Request,
    response: Response,
) -> ImagesCreated:
    """Add up to 64 images, as base64, each under one tag."""
    tags = await project_tags(services, caller, project)
    taken = [
        SentImage(
            source=one.name or str(place),
            labels=tags.named(one.tag_ids, body.tag_ids),
            data=bytes(image_bytes(one.contents).data),
        )
        for place, one in enumerate(body.images)
    ]
    return await _create(request, response, project, taken)


@router.post("/urls", responses=_CREATED)
async def custom_vision_create_images_from_urls(
    body: ImageAddresses,
    project: ProjectUuid,
    caller: Writer,
    *,
    services: ServicesDep,
    request: Request,
    response: Response,
) -> ImagesCreated:
    """Add up to 64 images from public addresses, each under one tag."""
    tags = await project_tags(services, caller, project)
    told = [(one.url, tags.named(one.tag_ids, body.tag_ids)) for one in body.images]
    taken = [
        SentImage(source=url, labels=labels, data=await _fetched(services, url))
        for url, labels in told
    ]
    return await _create(request, response, project, taken)


async def _fetched(services: Services, url: str) -> bytes | HeadstartError:
    try:
        return await fetch(url, services.settings)
    except HeadstartError as error:
        return error


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]


async def _create(
    request: Request, response: Response, project: UUID, sent: Sequence[SentImage]
) -> ImagesCreated:
    services: Services = request.app.state.services
    caller: Identity = request.state.identity
    work = partial(take_in, services, caller, project, sent)
    taken, held = await services.builds.run(caller.organisation_id, work)
    shown = await to_thread.run_sync(_created, request, held, taken)
    good = all(one.status in ("OK", "OKDuplicate") for one in shown)
    if not good:
        response.status_code = 207
    return ImagesCreated(is_batch_successful=good, images=shown)


def _created(
    request: Request, held: ProjectImages, taken: Sequence[ReceivedImage]
) -> list[ImageCreated]:
    return [
        ImageCreated(
            source_url=one.sent.source,
            status=one.status,
            image=None if one.example is None else _image(request, held, one.example),
        )
        for one in taken
    ]


@router.get("", responses=_PROBLEMS)
@router.get("/tagged", responses=_PROBLEMS)
def custom_vision_images(
    project: ProjectUuid,
    caller: Reader,
    *,
    services: ServicesDep,
    request: Request,
    tag_ids: TagIds = None,
    tagging_status: Status = None,
    iteration: Iteration = None,
    order_by: OrderBy = None,
    take: Take = 50,
    skip: Skip = 0,
) -> list[VisionImage]:
    """The project's images, a page of `take`."""
    _ = iteration
    held = holding(services, caller, project)
    chosen = _chosen(held, tag_ids, tagging_status)
    if order_by == "Oldest":
        chosen.reverse()
    return [_image(request, held, one) for one in chosen[skip : skip + take]]


@router.get("/id", responses=_PROBLEMS)
def custom_vision_images_by_id(
    project: ProjectUuid,
    caller: Reader,
    *,
    services: ServicesDep,
    request: Request,
    image_ids: Annotated[Names, Query(alias="imageIds")] = None,
    iteration: Iteration = None,
) -> list[VisionImage]:
    """The images with these ids, as far as there are any."""
    _ = iteration
    held = holding(services, caller, project)
    wanted = {example_id(name) for name in _split(image_ids)}
    return [_image(request, held, one) for one in held.examples if one.id in wanted]


@router.get("/untagged", responses=_PROBLEMS)
def custom_vision_untagged_images(
    project: ProjectUuid,
    caller: Reader,
    *,
    services: ServicesDep,
    iteration: Iteration = None,
    order_by: OrderBy = None,
    take: Take = 50,
    skip: Skip = 0,
) -> list[VisionImage]:
    """None: an image has its tag from when it is sent."""
    _ = (iteration, order_by, take, skip)
    holding(services, caller, project)
    return []


@router.get("/untagged/count", responses=_PROBLEMS)
def custom_vision_untagged_image_count(
    project: ProjectUuid,
    caller: Reader,
    *,
    services: ServicesDep,
    iteration: Iteration = None,
) -> int:
    """None: an image has its tag from when it is sent."""
    _ = iteration
    holding(services, caller, project)
    return 0


@router.get("/count", responses=_PROBLEMS)
@router.get("/tagged/count", responses=_PROBLEMS)
def custom_vision_image_count(
    project: ProjectUuid,
    caller: Reader,
    *,
    services: ServicesDep,
    tag_ids: TagIds = None,
    tagging_status: Status = None,
    iteration: Iteration = None,
) -> int:
    """How many images there are."""
    _ = iteration
    return len(_chosen(holding(services, caller, project), tag_ids, tagging_status))


@router.delete("", status_code=204, responses=_PROBLEMS | problems("in_use"))
async def custom_vision_delete_images(
    project: ProjectUuid,
    caller: Writer,
    *,
    services: ServicesDep,
    image_ids: Annotated[Names, Query(alias="imageIds")] = None,
    all_images: Annotated[bool, Query(alias="allImages")] = False,
    all_iterations: Annotated[
        bool | None, Query(alias="allIterations", description="Taken; what was trained stays.")
    ] = None,
) -> Response:
    """Delete images; what was trained on them stays."""
    _ = all_iterations
    names = _split(image_ids)
    if bool(names) == all_images:
        raise HeadstartError("invalid_request", "send imageIds, or allImages", param="imageIds")
    await services.builds.run(
        caller.organisation_id, partial(_delete, services, caller, project, names)
    )
    return Response(status_code=204)


def _delete(services: Services, caller: Identity, project: UUID, names: Sequence[str]) -> None:
    """Delete the images with these ids; all, if there are none. Raises not_found."""
    held = holding(services, caller, project)
    wanted = {example_id(name) for name in names} or {one.id for one in held.examples}
    if not wanted <= {one.id for one in held.examples}:
        raise HeadstartError("not_found", "the project has no such image", param="image")
    if held.snapshot is None:
        return
    if len(wanted) == len(held.examples):
        remove_dataset(services, held.snapshot.dataset.id, caller.organisation_id)
    else:
        service.revise(services, held.snapshot, dropped(*sorted(wanted), minimum_classes=1))


def _chosen(held: ProjectImages, tag_ids: str | None, status: str | None) -> list[Example]:
    """Newest first; with any of the tags."""
    if status == "Untagged":
        return []
    wanted = {name.lower() for name in _split(tag_ids)}
    if not wanted:
        return [*held.examples][::-1]
    project, every = UUID(outside(held.project.id)), {x for one in held.examples for x in one.names}
    asked = {name for name in every if tag_uuid(project, name) in wanted}
    return [one for one in held.examples if not asked.isdisjoint(one.names)][::-1]


def _image(request: Request, held: ProjectImages, example: Example) -> VisionImage:
    services: Services = request.app.state.services
    assert held.snapshot is not None
    dataset, created = held.snapshot.dataset, moment(held.snapshot.version.created_at)
    width, height = _size(blobs.open_pack(services, dataset.organisation_id, example.pack), example)
    path = f"v1/datasets/{dataset.id}/examples/{example.id}/content"
    address = f"{request.base_url}{path}"
    project = UUID(outside(held.project.id))
    tags = [
        ImageTag(tag_id=tag_uuid(project, label), tag_name=label, created=created)
        for label in example.names
    ]
    return VisionImage(
        id=image_uuid(example.id),
        created=created,
        width=width,
        height=height,
        resized_image_uri=address,
        thumbnail_uri=address,
        original_image_uri=address,
        tags=tags,
    )


def _size(pack: Path, example: Example) -> tuple[int, int]:
    """Pixels across and down, by the header."""
    with pack.open("rb") as file:
        file.seek(example.offset)
        data = file.read(example.length)
    header = image_header.inspect(data)
    return header.width, header.height
