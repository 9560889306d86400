"""Augmented versions of one picture, told by the names that Roboflow's exports give them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from app.core.manifest import Problem
from app.uploads.intake.layout.roles import LabelledFile
from app.uploads.intake.names import shown

_VERSION = re.compile(r"(.+)\.rf\.[0-9a-zA-Z]{16,64}\.\w+")
"""`<original>_jpg.rf.<hash>.jpg`."""


def together(items: Sequence[LabelledFile]) -> tuple[list[LabelledFile], list[Problem]]:
    """The examples, versions of one picture in one group where they have none, and a problem that
    says so: versions on both sides of a fold or split would be recognised, not classified."""
    originals = [_original(item) for item in items]
    counts = Counter(filter(None, originals))
    several = {name for name, count in counts.items() if count > 1}
    if not several:
        return list(items), []
    grouped = [
        replace(item, group=name) if name in several else item
        for item, name in zip(items, originals, strict=True)
    ]
    return grouped, [_told(several, sum(counts[name] for name in several))]


def original(path: str) -> str:
    """What all versions of a picture are called, or the path of one that is none."""
    folder, slash, name = path.rpartition("/")
    found = _VERSION.fullmatch(name)
    return found[1] if found else folder + slash + name


def _original(item: LabelledFile) -> str | None:
    """The picture that it is a version of, where it has no group yet: of one label, as other
    pictures of that name may lie in other class folders."""
    found = _VERSION.fullmatch(item.path.rpartition("/")[2])
    return f"{item.label}{item.labels or ''}/{found[1]}" if found and item.group is None else None


def _told(originals: set[str], count: int) -> Problem:
    message = (
        f"{count} files are versions of {len(originals)} pictures by their names, such as "
        f"{shown(min(originals), 60)}.rf.…: those of one picture are one group, and count as one "
        "where accuracy is estimated; a metadata.csv with the column group says otherwise"
    )
    return Problem(code="group_assumed", message=message)
