"""Which tags an image is to have, and giving images others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter

from app.compat.custom_vision.intake import holding
from app.compat.custom_vision.naming import AnyVersion, ProjectUuid, example_id, project_id
from app.compat.custom_vision.projects import MULTILABEL, tags_of
from app.compat.custom_vision.shapes import ImageTagged, ImageTagging, ImageTaggings
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.datasets import service
from app.datasets.content import relabelled
from app.http.dependencies import Services, ServicesDep, Writer
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.repositories.compat import vision_projects

router = APIRouter(
    route_class=StrictRoute,
    prefix="/customvision/{version}/training/projects/{project}/images",
    tags=["custom vision: training"],
    dependencies=[AnyVersion],
)


@dataclass(frozen=True)
class ProjectTags:
    """A project's tags by their UUIDs, and whether an image may have several."""

    names: Mapping[str, str]
    several: bool

    def named(self, own: Sequence[str] | None, all_of: Sequence[str] | None) -> list[str]:
        """The labels that an image is to have. Raises invalid_value, not_found."""
        told = {name.lower() for name in [*(own or ()), *(all_of or ())]}
        if not told or (len(told) > 1 and not self.several):
            wanted = "at least" if self.several else "exactly"
            why = f"an image has {wanted} one tag here, from when it is sent: tagIds names it"
            more = "" if self.several else "; projects of type Multilabel take several"
            raise HeadstartError("invalid_value", why + more, param="tagIds")
        if not told <= self.names.keys():
            raise HeadstartError("not_found", "the project has no such tag", param="tag")
        return sorted(self.names[name] for name in told)


async def project_tags(services: Services, caller: Identity, project: UUID) -> ProjectTags:
    """The project's tags. Raises not_found."""

    def read() -> ProjectTags:
        with reading(services.sessions) as session:
            row = vision_projects.find(
                session, project_id(project), organisation_id=caller.organisation_id
            )
            names = {tag.id: tag.name for tag in tags_of(session, row)}
            return ProjectTags(names, row.classification_type == MULTILABEL)

    return await to_thread.run_sync(read)


@router.post(
    "/tags",
    responses=problems(
        "not_found", "invalid_json", "invalid_value", "in_flight", "storage_unavailable"
    ),
)
async def custom_vision_tag_images(
    body: ImageTaggings, project: ProjectUuid, caller: Writer, services: ServicesDep
) -> ImageTagged:
    """Give images a tag more; where each has one, in the place of that."""
    tags = await project_tags(services, caller, project)
    wanted: dict[str, list[str]] = {}
    for one in body.tags:
        wanted.setdefault(example_id(one.image_id), []).append(one.tag_id)
    labels = {name: tags.named(told, None) for name, told in wanted.items()}
    had = await services.builds.run(
        caller.organisation_id, partial(_retag, services, caller, project, labels)
    )

    def known(one: ImageTagging) -> bool:
        return tags.names[one.tag_id.lower()] in had[example_id(one.image_id)]

    return ImageTagged(
        created=[one for one in body.tags if not known(one)],
        duplicated=[one for one in body.tags if known(one)],
    )


def _retag(
    services: Services, caller: Identity, project: UUID, wanted: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Give the examples their labels; which they had. Raises not_found."""
    held = holding(services, caller, project)
    had = {one.id: one.names for one in held.examples if one.id in wanted}
    if had.keys() != wanted.keys() or held.snapshot is None:
        raise HeadstartError("not_found", "the project has no such image", param="image")
    changes: dict[str, dict[str, object]] = {}
    for name, labels in wanted.items():
        if not set(labels) <= set(had[name]):
            several: dict[str, object] = {"labels": tuple(sorted({*had[name], *labels}))}
            changes[name] = several if held.several else {"label": labels[0]}
    if changes:
        service.revise(services, held.snapshot, relabelled(changes, minimum_classes=1))
    return had
