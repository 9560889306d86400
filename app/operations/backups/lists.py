"""The list of a backup's files, `backup.json`: its form, and what its files may be called.

What is written is held against it as what is read is, so that no backup is made that this release
would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.core.errors import HeadstartError
from app.infra.repositories import references
from app.operations.backups import DATABASE, FILES, KEYS, MANIFEST

_DEEPEST = 8
_OF_A_NAME = "[key]"
"""Where an error of a name lies, by its library."""
_LONGEST, _LONGEST_PART = 1000, 255
"""Bytes: an S3 store's keys have 1024 at most, a file system's names 255."""


class ListedFile(BaseModel):
    """A file of a backup, as it was when the backup was made."""

    model_config = ConfigDict(strict=True, frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def key_of(name: str) -> str:
    """The storage key of a file of a backup. Raises ValueError for what can be none."""
    top, _, key = name.partition("/")
    parts = key.split("/")
    if top != FILES or parts[0] not in references.FOLDERS or not 1 < len(parts) <= _DEEPEST:
        raise ValueError("a backup has no such file")
    if not all(map(_is_plain, parts)) or len(key.encode()) > _LONGEST:
        raise ValueError("no file of a backup has such a name")
    return key


def _is_plain(part: str) -> bool:
    """Whether it is a name on every file system; one with a dot in front is hidden."""
    shown = part.isprintable() and "\\" not in part and part[:1] not in ("", ".")
    return shown and len(part.encode()) <= _LONGEST_PART


def _known(name: str) -> str:
    if name not in (DATABASE, KEYS):
        key_of(name)
    return name


def _shown(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it cannot be shown")
    return text


class BackupList(BaseModel):
    """What a restore reads of the list; what else is in it is for people."""

    model_config = ConfigDict(strict=True, frozen=True)

    format: Literal[1]
    made: Annotated[str, Field(max_length=_LONGEST), AfterValidator(_shown)] = "an unknown time"
    """When, in UTC (ISO 8601)."""
    files: dict[Annotated[str, AfterValidator(_known)], ListedFile]
    missing: list[Annotated[str, Field(max_length=_LONGEST), AfterValidator(_shown)]]

    @model_validator(mode="after")
    def _whole(self) -> BackupList:
        if DATABASE not in self.files:
            raise ValueError(f"it has no {DATABASE}, so that there is nothing to restore")
        for name in self.files:
            if any(folder in self.files for folder in _folders(name)):
                raise ValueError("a file of it is another's folder")
        return self


def _folders(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def parsed(document: bytes) -> BackupList:
    """The list that a document is. Raises invalid_value."""
    try:
        return BackupList.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        at = ", ".join(str(one)[:200] for one in first["loc"] if one != _OF_A_NAME)
        where = f" in {at!r}" if at else ""
        told = first["msg"].removeprefix("Value error, ")
        why = f"{MANIFEST} is not a list that this release reads{where}: {told}"
        raise HeadstartError("invalid_value", why) from None
