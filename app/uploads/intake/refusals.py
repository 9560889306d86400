"""All that is wrong with one upload, and not only the first of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.names import is_junk, shown

MOST = 100
"""Errors that one refusal lists."""


class Refusals:
    """Collects errors that each end the upload, in the order in which they are met."""

    def __init__(self) -> None:
        self._errors: list[HeadstartError] = []

    def __bool__(self) -> bool:
        """Whether anything was wrong so far."""
        return bool(self._errors)

    @contextmanager
    def collecting(self, codes: Collection[str]) -> Iterator[None]:
        """Keep an error of `codes` for later. Raises the refusal when it lists enough."""
        try:
            yield
        except HeadstartError as error:
            if error.code not in codes:
                raise
            self.add(error)

    def add(self, error: HeadstartError) -> None:
        """Keep the error for later. Raises the refusal when it lists enough."""
        self._errors.append(error)
        if len(self._errors) >= MOST:
            self.check()

    def extend(self, errors: Iterable[HeadstartError]) -> None:
        """Keep all of the errors for later, however many."""
        self._errors += errors

    def check(self) -> None:
        """Raise the refusal if anything was wrong."""
        if self._errors:
            raise combined(self._errors)

    def closing(self, error: HeadstartError, problems: Iterable[Problem] = ()) -> HeadstartError:
        """The refusal that `error` ends: what was collected before it, and after it the
        `problems` that left too little. Its code and sentence are those of what was met first."""
        if "errors" in error.extra:
            return error
        told = list(problems)
        return combined([*self._errors, _with_unread(error, told)], told)


def _with_unread(error: HeadstartError, problems: Iterable[Problem]) -> HeadstartError:
    """Of an upload without examples, the error with what is there and is not read."""
    kinds = (one for one in problems if one.code == "unsupported_member")
    unread = next((one.message for one in kinds if one.path and not is_junk(one.path)), None)
    if error.code != "empty_dataset" or unread is None:
        return error
    said = f"{unread}: pictures, texts called .txt and tables of texts are read; {error.message}"
    return HeadstartError(error.code, said, param=error.param, extra=error.extra)


def codes_of(error: HeadstartError) -> set[str]:
    """Its code, and those of all that it lists."""
    return {error.code} | {one["code"] for one in error.extra.get("errors", ())}


def combined(errors: list[HeadstartError], problems: Iterable[Problem] = ()) -> HeadstartError:
    """One error that lists all of them in `errors`, a member of its problem document."""
    first = errors[0]
    told = [_listed(one.code, one.message, one.param) for one in errors]
    told += [_listed(one.code, one.message, one.path) for one in problems if one.excluded]
    extra = {**first.extra, "errors": told[:MOST]}
    return HeadstartError(first.code, first.message, param=first.param, extra=extra)


def _listed(code: str, message: str, param: str | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": param}


def odd_part(error: Exception) -> str:
    """What is wrong with an object that was read as if it had the parts of others like it."""
    said = str(error)
    if isinstance(error, KeyError) and error.args:
        return f"it has no `{shown(str(error.args[0]), 60)}`"
    if isinstance(error, ValueError) and said.startswith(_CONVERSIONS):
        return f"{shown(said.rpartition(': ')[2], 60)} is no number"
    own = isinstance(error, ValueError) and said
    return shown(said, 80) if own else "a part of it is missing, or of another kind"


_CONVERSIONS = ("could not convert", "invalid literal")
"""How Python begins where a text is no number."""


def without_boxes(problems: Iterable[Problem]) -> HeadstartError:
    """The refusal of an upload without a box where those are asked for, with what lists that were
    read have in their place."""
    told = [one.message for one in problems if one.code == "unlabelled" and one.path is not None]
    why = "there is no list with boxes and their labels, beside its pictures in an archive"
    said = f"boxes=crops: no box is left to be cut out: {'; '.join(told[:3])}"
    return HeadstartError("schema_mismatch", said if told else f"boxes=crops: {why}", param="boxes")
