"""Crops that are added to a dataset: in the groups of their pictures, and told where they meet
what is there already."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from app.core.manifest import Example, Problem
from app.core.texts import visible
from app.uploads.intake.crops.grouping import is_called_so, is_said

_CROP = re.compile(r"(?:.*/)?([^/]+)#[^/#]+\.\w+")
_SHORT = 8
"""Characters of a picture's sha256 that tell it from others of its name."""


def grouped(
    known: Sequence[Example], sent: Sequence[Example], *, splits: bool
) -> tuple[list[Example], list[Example], list[Problem]]:
    """Both, what was cut out of one picture, and the picture itself, in one group; and what is said
    of it. A group that somebody has said stays. Unless the upload itself says `splits`, what joins
    a group joins its split, too.
    """
    there = _Pictures(known)
    found = [there.placed(one, splits=splits) for one in sent]
    contents = {one.content for one in known}
    joined = [one for one in found if one.content not in contents and there.has(one)]
    renamed = [one for one in found if _is_renamed(one)]
    return there.joined_by(found), found, [*_of_joined(joined), *_of_renamed(renamed)]


class _Pictures:
    """What a dataset has of each picture, by its sha256: crops, or the whole."""

    def __init__(self, known: Sequence[Example]) -> None:
        self._known = known
        self._by_picture: dict[str, list[Example]] = defaultdict(list)
        self._names: dict[str, set[str]] = defaultdict(set)
        self._cut = {one.source for one in known} - {None}
        for one in known:
            self._by_picture[one.source or one.sha256].append(one)
            if one.source and one.group and is_called_so(one.path, one.group):
                self._names[one.group].add(one.source)

    def has(self, one: Example) -> bool:
        """Whether there are crops of its picture, or this is one of a whole that is there."""
        picture = one.source or one.sha256
        return picture in self._cut or (one.source is not None and picture in self._by_picture)

    def placed(self, one: Example, *, splits: bool) -> Example:
        """The example in the group, and the split, of what is there of its picture; under another
        group's name where another picture has that."""
        if is_said(one.path, one.group):
            return one
        if self.has(one):
            return one.model_copy(update=self._place(one, splits=splits))
        others = self._names.get(str(one.group), set()) - {one.source}
        if one.source is None or not others or not is_called_so(one.path, one.group):
            return one
        return one.model_copy(update={"group": f"{one.group} {one.source[:_SHORT]}"})

    def _place(self, one: Example, *, splits: bool) -> dict[str, object]:
        there = self._by_picture[one.source or one.sha256]
        groups = [other.group for other in there if other.group]
        parts = {other.split for other in there}
        said: dict[str, object] = {"group": groups[0] if groups else one.group}
        return said if splits or len(parts) > 1 else {**said, "split": parts.pop()}

    def joined_by(self, sent: Sequence[Example]) -> list[Example]:
        """What was there, whole pictures without a group in that of the crops of them."""
        cut: Mapping[str | None, str | None] = {
            one.source: one.group for one in reversed(sent) if one.source is not None
        }
        return [
            one.model_copy(update={"group": cut[one.sha256]})
            if one.source is None and one.group is None and one.sha256 in cut
            else one
            for one in self._known
        ]


def _is_renamed(one: Example) -> bool:
    return one.source is not None and str(one.group).endswith(f" {one.source[:_SHORT]}")


def _of_joined(joined: Sequence[Example]) -> list[Problem]:
    if not joined:
        return []
    held = sum(one.split != "train" for one in joined)
    split = f", {held} of them held out as those are" if held else ""
    message = (
        f"{len(joined)} example(s), such as {visible(joined[0].path)}, are of pictures of which the"
        f" dataset has crops or the whole: they are in one group with those{split}"
    )
    return [Problem(code="group_assumed", message=message)]


def _of_renamed(renamed: Sequence[Example]) -> list[Problem]:
    if not renamed:
        return []
    message = (
        f"{len(renamed)} crop(s), such as {visible(renamed[0].path)}, are of pictures that are "
        "called as others whose crops are there: they are groups of their own, such as "
        f"{visible(str(renamed[0].group))}"
    )
    return [Problem(code="group_assumed", message=message)]


def doubts(known: Sequence[Example], every: Sequence[Example]) -> list[Problem]:
    """Warnings of what was added beside crops: of boxes that are there already with another
    content, and of whole pictures that are called as those they were cut out of, and are others."""
    crops = {one.path for one in known if _CROP.fullmatch(one.path)}
    there = {one.id for one in known}
    fresh = [one for one in every if one.id not in there] if crops else []
    again = sorted(one.path for one in fresh if one.path in crops)
    names, sources = {_CROP.sub(r"\1", path) for path in crops}, {one.source for one in known}
    wholes = sorted(
        one.path for one in fresh if _stem(one.path) in names and one.sha256 not in sources
    )
    said = []
    if again:
        why = "are of boxes that are there already, with other pixels: both are kept; drop the "
        said.append(f"{len(again)} crop(s), such as {visible(again[0])}, {why}older ones if the "
                    "boxes were corrected")  # fmt: skip
    if wholes:
        why = "are called as those that crops of the dataset were cut out of, and are whole: what "
        said.append(f"{len(wholes)} picture(s), such as {visible(wholes[0])}, {why}is judged by "
                    "one may have been learned from the other")  # fmt: skip
    return [Problem(code="labels_doubtful", message=one) for one in said]


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name
