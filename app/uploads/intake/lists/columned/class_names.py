"""What the numbers of classes mean: by a list that numbers their names, or has them in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from app.uploads.intake import images
from app.uploads.intake.layout import FileInTree

MOST_NAMES = 100_000
_BEFORE = re.compile(r"(\d+)[\s,:]+(\S.*)")
_BEHIND = re.compile(r"(\S.*?)[\s,:]+(\d+)")
_CALLED = re.compile(r"class|categor|label|name|species|breed|synset|meta", re.I)


@dataclass(frozen=True, slots=True)
class NumberedNames:
    """Names by number, and the member that says them; none where no file names all."""

    names: Mapping[str, str] = field(default_factory=dict)
    member: FileInTree | None = None


def may_be(member: FileInTree) -> bool:
    """Whether a member may name classes, by what it is called."""
    return images.extension(member.path) in (".txt", ".names", ".lst") and bool(
        _CALLED.search(member.parts[-1])
    )


def are_numbered(lines: Sequence[str]) -> bool:
    """Whether all lines have a number before or behind the name."""
    plain = [one.strip() for one in lines]
    return all(map(_BEFORE.fullmatch, plain)) or all(map(_BEHIND.fullmatch, plain))


def named(numbers: Set[str], told: Iterable[tuple[FileInTree, Sequence[str]]]) -> NumberedNames:
    """The names of all the numbers, each another, by the first file that has them."""
    for member, lines in told:
        known = _names([one.strip() for one in lines if one.strip()], {int(one) for one in numbers})
        found = {one: known.get(int(one), "") for one in numbers}
        if all(found.values()) and len(set(found.values())) == len(found):
            return NumberedNames(found, member)
    return NumberedNames()


def _names(lines: Sequence[str], numbers: Set[int]) -> Mapping[int, str]:
    """The names as lines number them, or in their order, where it is sure from which number on."""
    if not 0 < len(lines) <= MOST_NAMES:
        return {}
    before = [_BEFORE.fullmatch(one) for one in lines]
    behind = [_BEHIND.fullmatch(one) for one in lines]
    if all(before):
        return {int(one[1]): one[2].strip() for one in before if one}
    if all(behind):
        return {int(one[2]): one[1].strip() for one in behind if one}
    if 0 in numbers:
        return dict(enumerate(lines))
    return dict(enumerate(lines, 1)) if max(numbers) == len(lines) else {}
