"""`…/prediction/{project}/classify/iterations/{published}/image|url[/nostore]`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Query, Request, Response

from app.compat.asking import PREDICTS, predictions
from app.compat.custom_vision.naming import (
    AnyVersion,
    ProjectUuid,
    alias_of,
    outside,
    tag_uuid,
)
from app.compat.custom_vision.pictures import pictures
from app.compat.custom_vision.shapes import ImagePrediction, ImageUrl, VisionPrediction
from app.compat.fetching import fetch
from app.core.errors import HeadstartError
from app.http.dependencies import services as services_of
from app.http.openapi import BINARY, Responses, problems
from app.predictions.embeddings import CountedRoute

router = APIRouter(
    route_class=CountedRoute,
    prefix="/customvision/{version}/prediction/{project}/classify/iterations/{published}",
    tags=["custom vision: prediction"],
    dependencies=[AnyVersion, PREDICTS],
)
Published = Annotated[
    str, Path(description="The published name.", examples=["production"], max_length=200)
]
Application = Annotated[str | None, Query(description="Taken, and without meaning here.")]
PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["imageData"],
                    "properties": {"imageData": BINARY},
                }
            },
            "application/octet-stream": {"schema": BINARY},
            "image/*": {"schema": BINARY},
        },
    }
}
PICTURE_PROBLEMS: Responses = problems(
    "bad_request",
    "not_found",
    "not_ready",
    "unsupported_media_type",
    "modality_mismatch",
    "image_invalid",
    "image_truncated",
    "unsafe_url",
    "url_unreachable",
    "invalid_json",
    "model_corrupt",
    "backbone_unavailable",
    "overloaded",
    "predictor_unavailable",
    "deadline_exceeded",
)


@router.post("/image", responses=PICTURE_PROBLEMS, openapi_extra=PICTURE)
@router.post("/image/nostore", responses=PICTURE_PROBLEMS, openapi_extra=PICTURE)
async def custom_vision_classify_image(
    project: ProjectUuid,
    published: Published,
    request: Request,
    response: Response,
    application: Application = None,  # noqa: ARG001 - declared, so that it is not refused
) -> ImagePrediction:
    """Classify an image, raw or in a form. `…/nostore` keeps it out of the alias's log."""
    (data,) = one(pictures(await request.body(), request.headers.get("content-type", "")))
    return await classified(request, response, project, published, data)


@router.post("/url", responses=PICTURE_PROBLEMS)
@router.post("/url/nostore", responses=PICTURE_PROBLEMS)
async def custom_vision_classify_url(
    body: ImageUrl,
    project: ProjectUuid,
    published: Published,
    *,
    request: Request,
    response: Response,
    application: Application = None,  # noqa: ARG001 - declared, so that it is not refused
) -> ImagePrediction:
    """Classify an image at a public address."""
    services, caller = services_of(request), request.state.identity
    with _named(published):
        await services.resolver.resolve(caller.organisation_id, alias_of(project, published))
    data = await fetch(body.url, services.settings)
    return await classified(request, response, project, published, data)


async def classified(
    request: Request, response: Response, project: UUID, published: str, data: bytes
) -> ImagePrediction:
    """What the published name says of the image. Raises not_found, naming it."""
    with _named(published):
        answered = await predictions(request, alias_of(project, published), [data])
    response.headers.update(answered.headers)
    return prediction_of(project, answered.model, answered.items[0])


@contextmanager
def _named(published: str) -> Iterator[None]:
    """Say of what is not found that it is not published."""
    try:
        yield
    except HeadstartError as error:
        if error.code != "not_found":
            raise
        why = f"nothing is published as {published!r} in this project"
        raise HeadstartError("not_found", why, param="iteration") from error


def one(found: list[bytes]) -> list[bytes]:
    """The one picture. Raises invalid_request."""
    if len(found) != 1:
        raise HeadstartError("invalid_request", "send one image", param="imageData")
    return found


def prediction_of(project: UUID, model: str, item: dict[str, Any]) -> ImagePrediction:
    """The predictor's item in Custom Vision's words."""
    return ImagePrediction(
        id=str(uuid4()),
        project=str(project),
        iteration=outside(model),
        created=datetime.now(UTC),
        predictions=[
            VisionPrediction(
                probability=entry["probability"],
                tag_id=tag_uuid(project, entry["label"]),
                tag_name=entry["label"],
            )
            for entry in item["predictions"]
        ],
    )
