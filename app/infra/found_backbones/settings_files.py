"""Files of settings beside weights: read whole or refused, never half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.errors import HeadstartError


class SettingsFile(BaseModel):
    """What one file says, in exactly the types that its library writes."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


OneFile = TypeVar("OneFile", bound=SettingsFile)


def told(file: Path) -> dict[str, Any]:
    """The object in a file of settings; nothing where there is no file. Raises weights_invalid."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(file, said(error)) from error
    if not isinstance(content, dict):
        raise refusal(file, f"it is no object {{…}}, but {type(content).__name__}")
    return content


def parsed(kind: type[OneFile], file: Path, content: dict[str, Any] | None = None) -> OneFile:
    """What `file` says, or `content` of it. Raises weights_invalid, with the member's name."""
    try:
        return kind.model_validate(told(file) if content is None else content)
    except ValidationError as error:
        one = error.errors()[0]
        name = str(one["loc"][0]) if one["loc"] else "it"
        raise refusal(file, f"`{name}` is not read so: {one['msg']}") from error


def refusal(file: Path, why: str) -> HeadstartError:
    """weights_invalid, by the names of folder and file alone."""
    return HeadstartError("weights_invalid", f"{file.parent.name}: {file.name}: {why}")


def said(error: BaseException, *places: Path) -> str:
    """The error's own words without the machine's folders."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = str(error)
    for place in places:
        for shown in (place, place.absolute(), place.resolve()):
            words = words.replace(str(shown), place.name)
    return words
