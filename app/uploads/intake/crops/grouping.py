"""Crops of one picture are one group: what is cut out of it beside one another looks alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from app.core.augmented.naming import stem_of
from app.core.manifest import Problem
from app.uploads.intake.layout.versions import original
from app.uploads.intake.pack import Draft

_CROP = re.compile(r"(.*)#[^/#]+(\.\w+)")


def is_said(path: str, group: str | None) -> bool:
    """Whether somebody has said the group of the crop at `path`: it is not called as the picture
    is, or its versions are."""
    found = _CROP.fullmatch(path)
    if group is None or found is None:
        return group is not None
    return group != original(f"{found[1]}{found[2]}") and not is_called_so(path, group)


def is_called_so(path: str, group: str | None) -> bool:
    """Whether the group of the crop at `path` is called as its picture alone is."""
    found = _CROP.fullmatch(path)
    return found is not None and group is not None and stem_of(group) == found[1]


def settled(listed: Sequence[Draft]) -> tuple[list[Draft], list[Problem]]:
    """The examples, crops of equal pictures in one group whatever those are called, and what is
    said of it."""
    first: dict[str, str] = {}
    found = []
    for one in listed:
        if one.source is not None and not is_said(one.path, one.group):
            one = replace(one, group=first.setdefault(one.source, str(one.group)))  # noqa: PLW2901
        found.append(one)
    return found, _told(found)


def _told(listed: Sequence[Draft]) -> list[Problem]:
    own = Counter(one.source for one in listed if one.source and not is_said(one.path, one.group))
    if own.total() == len(own):
        return []
    message = (
        f"{own.total()} crops are of {len(own)} pictures: those of one picture are one group, so "
        "that none is judged by a fit that has seen another; change `group` of the examples if "
        "they are of something else together"
    )
    return [Problem(code="group_assumed", message=message)]
