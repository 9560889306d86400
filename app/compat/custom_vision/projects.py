"""Projects, their tags, and the domains that they may say."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.compat.custom_vision.naming import (
    AnyVersion,
    ProjectUuid,
    TagUuid,
    outside,
    project_id,
    published_name,
    tag_uuid,
)
from app.compat.custom_vision.shapes import (
    ProjectChange,
    VisionDomain,
    VisionProject,
    VisionSettings,
    VisionTag,
    moment,
)
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.texts import PRINTABLE
from app.datasets import removal
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, Writing
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.database import now, reading, transaction
from app.infra.orm import VisionProjectRow
from app.infra.repositories import aliases, datasets
from app.infra.repositories.compat import vision_projects
from app.uploads.form import Stripped

router = APIRouter(
    route_class=StrictRoute,
    prefix="/customvision/{version}/training",
    tags=["custom vision: training"],
    dependencies=[AnyVersion],
)
MULTILABEL = "Multilabel"
_DOMAINS = {
    "ee85a74c-405e-4adc-bb47-ffa8ca0c9f31": "General",
    "a8e3c40f-fb4a-466f-832a-5e457ae4a344": "General [A1]",
    "2e37d7fb-3a54-486a-b4d6-cfc369af0018": "General [A2]",
    "0732100f-1a38-4e49-a514-c9b44c697ab5": "General (compact)",
    "a1db07ca-a19a-4830-bae8-e004a42dc863": "General (compact) [S1]",
}
_GENERAL = UUID(next(iter(_DOMAINS)))
_FOUND = problems("not_found")
ProjectName = Annotated[str, Query(min_length=1, max_length=200, pattern=PRINTABLE)]
TagName = Annotated[Stripped, Query(max_length=200)]
Note = Annotated[str, Query(max_length=1000, pattern=r"^[^\x00]*$")]


@router.get("/domains")
async def custom_vision_domains(caller: Reader) -> list[VisionDomain]:
    """The domains that a project may say; nothing here depends on which."""
    _ = caller
    return [_domain(name) for name in _DOMAINS]


@router.get("/domains/{domain}", responses=_FOUND)
async def custom_vision_domain(domain: UUID, caller: Reader) -> VisionDomain:
    """One domain."""
    _ = caller
    if str(domain) not in _DOMAINS:
        raise HeadstartError("not_found", "there is no such domain", param="domain")
    return _domain(str(domain))


def _domain(name: str) -> VisionDomain:
    return VisionDomain(id=name, name=_DOMAINS[name])


@router.get("/projects")
def custom_vision_projects(caller: Reader, session: Reading) -> list[VisionProject]:
    """The organisation's projects, newest first."""
    rows = vision_projects.listing(session, organisation_id=caller.organisation_id)
    return [project_of(row) for row in rows]


@router.post("/projects")
def custom_vision_create_project(
    caller: Writer,
    session: Writing,
    *,
    name: ProjectName,
    description: Note = "",
    domain_id: Annotated[UUID, Query(alias="domainId")] = _GENERAL,
    classification_type: Annotated[str, Query(alias="classificationType")] = "Multiclass",
    target_export_platforms: Annotated[
        str | None, Query(alias="targetExportPlatforms", description="Taken; any can be asked for.")
    ] = None,
) -> VisionProject:
    """A project without images, each of which will have one tag, or several (`Multilabel`)."""
    _ = target_export_platforms
    if classification_type not in ("Multiclass", MULTILABEL):
        why = "classificationType is Multiclass or Multilabel"
        raise HeadstartError("invalid_value", why, param="classificationType")
    if str(domain_id) not in _DOMAINS:
        why = "no such domain of classification; GET …/domains lists them"
        raise HeadstartError("invalid_value", why, param="domainId")
    row = vision_projects.create(
        session,
        organisation_id=caller.organisation_id,
        name=name,
        description=description,
        domain_id=str(domain_id),
        classification_type=classification_type,
    )
    return project_of(row)


@router.get("/projects/{project}", responses=_FOUND)
def custom_vision_project(project: ProjectUuid, caller: Reader, session: Reading) -> VisionProject:
    """One project."""
    return project_of(_find(session, caller, project))


@router.patch("/projects/{project}", responses=_FOUND)
def custom_vision_change_project(
    project: ProjectUuid, body: ProjectChange, caller: Writer, session: Writing
) -> VisionProject:
    """Give a project another name or description."""
    row = _find(session, caller, project)
    row.name = body.name or row.name
    row.description = row.description if body.description is None else body.description
    row.updated_at = now(session)
    return project_of(row)


@router.delete("/projects/{project}", status_code=204, responses=problems("not_found", "in_use"))
async def custom_vision_delete_project(
    project: ProjectUuid, caller: Writer, services: ServicesDep
) -> Response:
    """Delete a project and its images; its models stay until they are deleted by their ids.

    What is published has to be unpublished first.
    """
    await to_thread.run_sync(_delete, services, caller, project)
    return Response(status_code=204)


def _delete(services: Services, caller: Identity, project: UUID) -> None:
    organisation_id = caller.organisation_id
    with reading(services.sessions) as session:
        row = _find(session, caller, project)
        published = published_in(session, project, organisation_id=organisation_id)
        dataset_id = row.dataset_id
    if published:
        why = f"{sorted(published)[0]!r} is published: unpublish it first"
        raise HeadstartError("in_use", why, param="project")
    if dataset_id is not None:
        remove_dataset(services, dataset_id, organisation_id)
    with transaction(services.sessions) as session:
        vision_projects.delete(session, project_id(project), organisation_id=organisation_id)


def remove_dataset(services: Services, dataset_id: str, organisation_id: str) -> None:
    """Delete a project's dataset, which may be gone by its own name. Raises in_use."""
    try:
        removal.remove(services, dataset_id, organisation_id=organisation_id)
    except HeadstartError as error:
        if error.code != "not_found":
            raise


def published_in(session: Session, project: UUID, *, organisation_id: str) -> dict[str, str]:
    """The published names of a project, each with its model."""
    rows = aliases.ending(session, f"@{project}", organisation_id=organisation_id)
    named = {published_name(project, row.name): row.model_id for row in rows}
    return {name: model for name, model in named.items() if name is not None}


@router.get("/projects/{project}/tags", responses=_FOUND)
def custom_vision_tags(
    project: ProjectUuid,
    caller: Reader,
    session: Reading,
    iteration: Annotated[
        UUID | None, Query(alias="iterationId", description="Taken; tags are those of today.")
    ] = None,
) -> list[VisionTag]:
    """The tags of a project in the order of their names."""
    _ = iteration
    return tags_of(session, _find(session, caller, project))


@router.post("/projects/{project}/tags", responses=_FOUND)
def custom_vision_create_tag(
    project: ProjectUuid,
    caller: Writer,
    session: Writing,
    *,
    name: TagName,
    description: Note = "",
    kind: Annotated[str, Query(alias="type")] = "Regular",
) -> VisionTag:
    """A tag without images."""
    if kind != "Regular":
        why = "a tag is Regular; what is like no tag is told by `unknown` of /v1 predictions"
        raise HeadstartError("invalid_value", why, param="type")
    row = _find(session, caller, project, lock=True)
    if any(tag.name == name for tag in tags_of(session, row)):
        raise HeadstartError("invalid_value", f"there is a tag {name!r} already", param="name")
    row.tags = [*row.tags, {"name": name, "description": description}]
    row.updated_at = now(session)
    return _tag(project, name, description, 0)


@router.get("/projects/{project}/tags/{tag}", responses=_FOUND)
def custom_vision_tag(
    project: ProjectUuid, tag: TagUuid, caller: Reader, session: Reading
) -> VisionTag:
    """One tag."""
    return tag_of(session, _find(session, caller, project), str(tag))


@router.delete(
    "/projects/{project}/tags/{tag}", status_code=204, responses=problems("not_found", "in_use")
)
def custom_vision_delete_tag(
    project: ProjectUuid, tag: TagUuid, caller: Writer, session: Writing
) -> Response:
    """Delete a tag that no image has."""
    row = _find(session, caller, project, lock=True)
    told = tag_of(session, row, str(tag))
    if told.image_count:
        why = f"{told.image_count} image(s) have this tag: delete them or give them another first"
        raise HeadstartError("in_use", why, param="tag")
    row.tags = [one for one in row.tags if one["name"] != told.name]
    return Response(status_code=204)


def _find(
    session: Session, caller: Identity, project: UUID, *, lock: bool = False
) -> VisionProjectRow:
    return vision_projects.find(
        session, project_id(project), organisation_id=caller.organisation_id, lock=lock
    )


def project_of(row: VisionProjectRow) -> VisionProject:
    """The project as its caller sees it."""
    return VisionProject(
        id=outside(row.id),
        name=row.name,
        description=row.description,
        settings=VisionSettings(
            domain_id=row.domain_id, classification_type=row.classification_type
        ),
        created=moment(row.created_at),
        last_modified=moment(row.updated_at),
    )


def tags_of(session: Session, row: VisionProjectRow) -> list[VisionTag]:
    """Tags that were made, and labels of the dataset."""
    project = UUID(outside(row.id))
    counts: Counter[str] = Counter()
    for one in _classes(session, row):
        counts[one["label"]] = one["count"]
    noted = {tag["name"]: tag["description"] for tag in row.tags}
    names = sorted({*noted, *counts})
    return [_tag(project, name, noted.get(name, ""), counts[name]) for name in names]


def tag_of(session: Session, row: VisionProjectRow, tag: str) -> VisionTag:
    """One tag. Raises not_found."""
    for one in tags_of(session, row):
        if one.id == tag:
            return one
    raise HeadstartError("not_found", "the project has no such tag", param="tag")


def _classes(session: Session, row: VisionProjectRow) -> list[dict[str, Any]]:
    if row.dataset_id is None:
        return []
    try:
        found = datasets.get(session, row.dataset_id, organisation_id=row.organisation_id)
    except HeadstartError as error:
        if error.code != "not_found":
            raise
        return []
    return found.version.classes


def _tag(project: UUID, name: str, description: str, count: int) -> VisionTag:
    return VisionTag(
        id=tag_uuid(project, name), name=name, description=description, image_count=count
    )
