"""`/v1/datasets/{id}/examples/{id}/thumbnail`: a small picture, which a predictor makes."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Response

from app.core.errors import HeadstartError
from app.core.image_formats.small_pictures import MEDIA_TYPE, SmallPictureCall
from app.core.manifest import Example
from app.core.modalities import MODALITIES
from app.datasets import examples, export
from app.datasets.lookup import DatasetId, ExampleId, find
from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import files, problems
from app.http.routes import StrictRoute
from app.infra.orm import DatasetVersionRow
from app.infra.repositories.datasets import DatasetSnapshot
from app.uploads import blobs

router = APIRouter(route_class=StrictRoute, prefix="/{dataset_id}/examples/{example_id}")

_CODES = (
    "not_found",
    "modality_mismatch",
    "dataset_corrupt",
    "storage_unavailable",
    "predictor_unavailable",
)
Size = Annotated[int, Query(ge=16, le=1024, description="No side of it is above this.")]


@router.get(
    "/thumbnail",
    response_class=Response,
    responses={
        200: files(MEDIA_TYPE),
        304: {"description": "The one that is named by `If-None-Match` is the same."},
        **problems(*_CODES, "image_invalid", "image_truncated", "overloaded"),
    },
)
async def get_example_thumbnail(
    dataset_id: DatasetId,
    example_id: ExampleId,
    *,
    caller: Reader,
    services: ServicesDep,
    size: Size = 256,
    version: examples.Version = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The example's picture, upright and small, in the greys that a model of the version sees."""

    def look() -> tuple[DatasetSnapshot, Example]:
        snapshot = find(services, caller, dataset_id, version)
        if why := MODALITIES[snapshot.dataset.modality].thumbnail:
            raise HeadstartError("modality_mismatch", why)
        return snapshot, examples.pick(services, snapshot, example_id)

    turn = services.turns.of(caller.organisation_id)
    snapshot, example = await to_thread.run_sync(look, limiter=turn)
    headers = _headers(example, snapshot.version, size)
    if if_none_match is not None and _names(if_none_match, headers["etag"]):
        return Response(status_code=304, headers=headers)
    data = await picture(services, snapshot, example, size=size)
    return Response(data, headers=headers, media_type=MEDIA_TYPE)


async def picture(
    services: Services, snapshot: DatasetSnapshot, example: Example, *, size: int
) -> bytes:
    """The small picture, made or remembered. Raises the codes of bad images."""
    organisation_id = snapshot.dataset.organisation_id
    key = f"{organisation_id} {_tag(example, snapshot.version, size)}"
    known = services.looks.get(key)
    if known is None:
        data = await content(services, organisation_id, example)
        _, known = await services.predictor.small_picture(call_of(snapshot.version, size), data)
        services.looks.put(key, known)
    return known


async def content(services: Services, organisation_id: str, example: Example) -> bytes:
    """The example's own bytes, read off the event loop.

    Raises storage_unavailable, dataset_corrupt.
    """

    def read() -> bytes:
        blobs.check(services, organisation_id, [example])
        pack = blobs.open_pack(services, organisation_id, example.pack)
        return b"".join(export.read(pack, example))

    return await to_thread.run_sync(read, limiter=services.turns.of(organisation_id))


def call_of(version: DatasetVersionRow, size: int) -> SmallPictureCall:
    """What is asked of the predictor, with the version's black and white."""
    scale = version.pixel_scale or {}
    return SmallPictureCall(size, low=scale.get("low"), high=scale.get("high"))


def _headers(example: Example, version: DatasetVersionRow, size: int) -> dict[str, str]:
    settled = version.status != "processing"
    return {
        "etag": f'"{_tag(example, version, size)}"',
        "cache-control": "private, max-age=31536000, immutable" if settled else "no-cache",
        "x-content-type-options": "nosniff",
    }


def _tag(example: Example, version: DatasetVersionRow, size: int) -> str:
    call = call_of(version, size)
    ends = "" if call.ends is None else f"-{call.low:g}-{call.high:g}"
    return f"{example.sha256[:32]}-{size}{ends}"


def _names(told: str, etag: str) -> bool:
    """Whether an If-None-Match names the tag."""
    tags = {one.strip().removeprefix("W/") for one in told.split(",")}
    return "*" in tags or etag in tags
