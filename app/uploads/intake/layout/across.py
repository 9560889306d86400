"""Versions and copies of one picture that came in several uploads: one group in what they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from app.core.augmented.judging import ROW, copies_among
from app.core.manifest import Example, Problem
from app.uploads.intake.layout.augmented import families
from app.uploads.intake.layout.roles import LabelledFile
from app.uploads.intake.layout.versions import otherwise, version_of
from app.uploads.intake.names import folded, shown


@dataclass(slots=True)
class _Family:
    """The examples of one picture, by their places, and what it is called."""

    name: str
    places: set[int]


def across(examples: Sequence[Example], fresh: int) -> tuple[list[Example], list[Problem]]:
    """The examples of a version whose last `fresh` were just appended, each of these in one group
    with what is its picture by its name and was there; a problem says so.

    A group that somebody has said stays, and what is of the same picture joins it; what came in
    one upload was grouped as that was read.
    """
    first, found = len(examples) - fresh, list(examples)
    moved: list[int] = []
    seen: dict[str, str] = {}
    for family in _families(examples):
        places = sorted(family.places)
        if places[-1] < first or len({examples[at].pack for at in places}) == 1:
            continue
        group = _group_of(family.name, [examples[at] for at in places])
        joined = [at for at in places if _is_assumed(examples[at].group, family.name)]
        changed = [at for at in joined if examples[at].group != group]
        for at in changed:
            found[at] = found[at].model_copy(update={"group": group})
        moved += changed
        seen.update({examples[places[-1]].path: family.name} if changed else {})
    return found, [_told(len(moved), seen, found)] if moved else []


def _families(examples: Sequence[Example]) -> list[_Family]:
    files = [at for at, one in enumerate(examples) if not ROW.fullmatch(one.path)]
    items = [_item(at, examples[at]) for at in files]
    found: dict[Hashable, _Family] = {}
    for item in items:
        if name := version_of(item):
            found.setdefault(("version", name), _Family(name, set())).places.add(item.index)
    uploads = [examples[at].pack for at in files]
    made = families(items, uploads)
    made = made and made.without(made.held_out_apart(items), items)
    called = _called(items) if made else {}
    for place, name in made.of.items() if made else ():
        item, root = items[place], made.roots.get(place) if made else None
        key = ("picture", root) if root is not None else ("name", item.label, item.labels, name)
        family = found.setdefault(key, _Family(name, set()))
        family.places.add(item.index)
        if root is not None and uploads[root] != uploads[place]:
            family.places.update(called[_call(items[root])])
    return list(found.values())


def _called(items: Sequence[LabelledFile]) -> Mapping[Hashable, list[int]]:
    """The examples of each name and label: of several uploads' nobody knows whose a copy is."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for item in items:
        found[_call(item)].append(item.index)
    return found


def _call(item: LabelledFile) -> Hashable:
    return item.label, item.labels, folded(item.path)


def _item(at: int, one: Example) -> LabelledFile:
    return LabelledFile(at, one.path, one.label, None, one.split, one.labels)


def _group_of(name: str, examples: Sequence[Example]) -> str:
    """The group that somebody has said of one of them, else the one that the first has."""
    groups = [one.group for one in examples if one.group]
    own = [one for one in groups if not _is_assumed(one, name)]
    return (own or groups or [name])[0]


def _is_assumed(group: str | None, name: str) -> bool:
    """Whether nobody has said the group: there is none, or it is called as the picture is."""
    return group is None or _bare(group) == _bare(name)


def _bare(name: str) -> str:
    return folded(name.rpartition("/")[2])


def _told(count: int, seen: Mapping[str, str], found: Sequence[Example]) -> Problem:
    copy, of = next(iter(seen.items()))
    copy, of = (shown(one.rpartition("/")[2], 60) for one in (copy, of))
    message = (
        f"{count} examples are copies or versions of pictures that came in another upload, or "
        f"those pictures, by their names, such as {copy} of {of}: those of one picture are one "
        f"group, {otherwise(len(copies_among(found)), len(found))}"
    )
    return Problem(code="group_assumed", message=message)
