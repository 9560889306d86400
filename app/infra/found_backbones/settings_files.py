"""Files of settings beside weights: read whole or refused, never half, and once per change."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.errors import HeadstartError


class SettingsFile(BaseModel):
    """What one file says, in exactly the types that its library writes."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


OneFile = TypeVar("OneFile", bound=SettingsFile)


MOST = 8 * 2**20
"""Bytes of a file of settings. The largest that are published, of 21,841 classes, have a third."""
MOST_TOKENS = 64 * 2**20
"""Of `tokenizer.json`, which names every piece: the largest vocabularies take half of it."""
_TOKENS = "tokenizer.json"
_BUDGET = 2 * MOST
_OVERHEAD = 1000
"""Bytes that an entry takes beside its text."""
_CLASSES = ("id2label", "label2id")
"""Members of the last layer alone, which is not read: thousands of names, twice."""


class _Kept:
    """What files say, or why that cannot be read, within `budget` bytes of their text.

    One thread reads at a time: those that ask for the same file find it read.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self._lock = Lock()
        self._size = 0

    def read(self, file: Path) -> Any:
        """The JSON in `file`, or the error of it. Raises OSError."""
        state = file.stat()
        key = (str(file), state.st_mtime_ns, state.st_ctime_ns, state.st_size)
        with self._lock:
            if (found := self._entries.get(key)) is not None:
                self._entries.move_to_end(key)
                return found[0]
            content, size = _read(file, state.st_size)
            if size <= MOST:
                self._keep(key, content, size + _OVERHEAD)
            return content

    def _keep(self, key: tuple[Any, ...], content: Any, size: int) -> None:
        self._entries[key] = content, size
        self._size += size
        while self._size > self._budget:
            _, (_, oldest) = self._entries.popitem(last=False)
            self._size -= oldest


_KEPT = _Kept(_BUDGET)


def _read(file: Path, size: int) -> tuple[Any, int]:
    """The content or the error, and the bytes that what is kept of it takes as text."""
    try:
        check_size(file, size)
        content = json.loads(file.read_text("utf-8"))
    except HeadstartError as error:
        return error, 0
    except RecursionError:
        return refusal(file, "it nests deeper than any settings: copy the file again"), 0
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return refusal(file, f"it is no JSON: {said(error)}"), 0
    except ValueError:  # of an integer
        return refusal(file, "it has a number of thousands of digits: copy the file again"), 0
    if isinstance(content, dict) and not content.keys().isdisjoint(_CLASSES):
        content = {key: value for key, value in content.items() if key not in _CLASSES}
        size = len(json.dumps(content))
    return content, size


def check_size(file: Path, size: int) -> None:
    """Raises weights_invalid for more bytes than any settings have, before they are read."""
    most = MOST_TOKENS if file.name == _TOKENS else MOST
    if size > most:
        why = f"it has {size:,} bytes, and settings of at most {most:,} are read"
        raise refusal(file, f"{why}: copy the file again, or leave out what is no setting")


def content(file: Path) -> Any:
    """What the JSON in `file` says, for who does not change it. Raises weights_invalid."""
    try:
        found = _KEPT.read(file)
    except OSError as error:
        raise refusal(file, said(error)) from error
    if isinstance(found, HeadstartError):
        raise HeadstartError(found.code, found.message)
    return found


def told(file: Path) -> dict[str, Any]:
    """The object in a file of settings; nothing where there is no file. Raises weights_invalid.

    The classes that a `config.json` names are left out.
    """
    if not file.is_file():
        return {}
    found = content(file)
    if not isinstance(found, dict):
        raise refusal(file, f"it is no object {{…}}, but {type(found).__name__}")
    return dict(found)


def parsed(kind: type[OneFile], file: Path, part: dict[str, Any] | None = None) -> OneFile:
    """What `file` says, or `part` of it. Raises weights_invalid, with the member's name."""
    try:
        return kind.model_validate(told(file) if part is None else part)
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
