"""Versions of one picture, told by the names that exports and augmenting tools give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace

from app.core.augmented.naming import VERSION
from app.core.manifest import Problem
from app.uploads.intake.layout.augmented import Families, families
from app.uploads.intake.layout.roles import LabelledFile
from app.uploads.intake.names import shown


def otherwise(copies: int, of: int) -> str:
    """What a group means for the figures, and how to say another one."""
    return (
        "so that none is judged by a fit that has seen another; "
        f"{copies} of {of} examples are augmented copies; they train, and are not judged; "
        "a metadata.csv with the columns path and group says otherwise"
    )


def together(items: Sequence[LabelledFile]) -> tuple[list[LabelledFile], list[Problem]]:
    """The examples, versions of one picture in one group where they have none, and problems that
    say so: versions on both sides of a fold or split would be recognised, not classified.

    Names that only look as if they said so are not asked where the upload has groups of its own.
    """
    grouped, told = _exported(items)
    if any(item.group for item in items):
        return grouped, told
    grouped, further = _augmented(grouped)
    return grouped, [*told, *further]


def _exported(items: Sequence[LabelledFile]) -> tuple[list[LabelledFile], list[Problem]]:
    originals = [_original(item) for item in items]
    counts = Counter(filter(None, originals))
    several = {name for name, count in counts.items() if count > 1}
    if not several:
        return list(items), []
    grouped = [
        replace(item, group=name) if name in several else item
        for item, name in zip(items, originals, strict=True)
    ]
    return grouped, [_told(several, sum(counts[name] for name in several), len(items))]


def _augmented(items: Sequence[LabelledFile]) -> tuple[list[LabelledFile], list[Problem]]:
    found = families(items)
    if found is None:
        return list(items), []
    told: list[Problem] = []
    if apart := found.held_out_apart(items):
        told = [_told_apart(apart, found, items)]
        found = found.without(apart, items)
    if found is None:
        return list(items), told
    grouped = [replace(item, group=item.group or found.of.get(at)) for at, item in enumerate(items)]
    copy, of = (shown(name, 60) for name in found.example)
    count, pictures = len(found.of), len(set(found.of.values()))
    message = (
        f"{count} files are {pictures} pictures and copies of them by their names, such as {copy} "
        f"of {of}: those of one picture are one group, {otherwise(count - pictures, len(items))}"
    )
    return grouped, [*told, Problem(code="group_assumed", message=message)]


def _told_apart(places: Set[int], found: Families, items: Sequence[LabelledFile]) -> Problem:
    """That held-out files are taken for pictures of their own, whatever their names say."""
    first = min(places)
    both = (items[at].path.rpartition("/")[2] for at in (first, found.roots[first]))
    copy, of = (shown(name, 60) for name in both)
    message = (
        f"{len(places)} held-out files are called like copies of pictures to train on, such as "
        f"{copy} of {of}, and no file to train on is: they are taken for pictures of their own; "
        "if they are copies, a metadata.csv with the columns path and group says so"
    )
    return Problem(code="ambiguous_layout", message=message)


def original(path: str) -> str:
    """What all versions of a picture are called, or the path of one that is none."""
    folder, slash, name = path.rpartition("/")
    found = VERSION.fullmatch(name)
    return found[1] if found else folder + slash + name


def _original(item: LabelledFile) -> str | None:
    """The picture that it is a version of, where it has no group yet: of one label, as other
    pictures of that name may lie in other class folders."""
    return version_of(item) if item.group is None else None


def version_of(item: LabelledFile) -> str | None:
    """What an export's versions of its picture are called together; None where it is no version."""
    found = VERSION.fullmatch(item.path.rpartition("/")[2])
    return f"{item.label}{item.labels or ''}/{found[1]}" if found else None


def _told(originals: set[str], count: int, of: int) -> Problem:
    message = (
        f"{count} files are versions of {len(originals)} pictures by their names, such as "
        f"{shown(min(originals), 60)}.rf.…: those of one picture are one group, "
        f"{otherwise(count - len(originals), of)}"
    )
    return Problem(code="group_assumed", message=message)
