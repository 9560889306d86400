"""Custom Vision's UUIDs, and what they stand for here."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import Depends, Path

from app.core.errors import HeadstartError
from app.core.ids import as_uuid, from_uuid
from app.http.openapi import ID_PATTERN

_PUBLISHED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_OWN = re.compile(ID_PATTERN)
_EXAMPLE = re.compile(r"ex_([0-9a-f]{24})")
ANY_PROJECT = UUID(int=0)
"""The project of all aliases and models of the organisation, whatever they were trained by."""


def _uuid(description: str) -> Any:
    return Path(description=description, examples=["01984b2c-3f4a-7c1d-9e2f-0a1b2c3d4e5f"])


ProjectUuid = Annotated[UUID, _uuid("The project.")]
IterationUuid = Annotated[UUID, _uuid("The iteration.")]
TagUuid = Annotated[UUID, _uuid("The tag.")]
VERSION = r"^v3\.[0-9](-preview)?$"


def _version(
    version: Annotated[str, Path(pattern=VERSION, description="Any of v3.", examples=["v3.3"])],
) -> str:
    return version


AnyVersion = Depends(_version)


def project_id(told: UUID) -> str:
    """The project's own id."""
    return from_uuid("cvp_", told)


def job_id(told: UUID) -> str:
    """The job that an iteration is."""
    return from_uuid("ftjob-", told)


def outside(own: str) -> str:
    """An id of ours as a UUID; of one that ends otherwise, a UUID that is always the same."""
    return str(as_uuid(own) or uuid5(NAMESPACE_URL, own))


def image_uuid(example_id: str) -> str:
    """An example's id as a UUID: its 96 bits behind zeros."""
    match = _EXAMPLE.fullmatch(example_id)
    return str(UUID(hex="0" * 8 + match[1])) if match else outside(example_id)


def example_id(told: str) -> str:
    """The example that an image is. Raises not_found for what is no UUID of one."""
    try:
        return f"ex_{UUID(told).hex[8:]}"
    except ValueError as error:
        raise HeadstartError("not_found", "there is no such image", param="image") from error


def tag_uuid(project: UUID, label: str) -> str:
    """A label as a tag of the project."""
    return str(uuid5(project, label))


def alias_of(project: UUID, published: str) -> str:
    """The alias that a published name of the project is; of `ANY_PROJECT` every alias and model id
    is one. Raises invalid_value.
    """
    if project == ANY_PROJECT:
        if not _OWN.fullmatch(published):
            why = "an alias or a model id is of letters, digits and . _ : @ -"
            raise HeadstartError("invalid_value", why, param="publishName")
        return published
    if not _PUBLISHED.fullmatch(published):
        why = (
            "a published name has up to 80 letters, digits and . _ -, and begins with none of these"
        )
        raise HeadstartError("invalid_value", why, param="publishName")
    return f"{published}@{project}"


def published_name(project: UUID, alias: str) -> str | None:
    """The published name that an alias is, if it is one of the project."""
    name, _, rest = alias.rpartition("@")
    return name if rest == str(project) and name else None
