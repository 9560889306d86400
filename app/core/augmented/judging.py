"""Which examples are copies that are trained on and never judged, nor counted as examples.

Folds keep the copies of one picture together, and yet what is said of copies is not said of what
will come: nobody asks a model for a picture that somebody turned upside down to have more of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from app.core.augmented.naming import (
    ANY_MONTH,
    SURE,
    VERSION,
    WORDS,
    are_dated,
    base_of,
    form_of,
    name_of,
    originals,
    stem_of,
)
from app.core.manifest import Example
from app.core.texts import composed

ROW = re.compile(r".*:\d+", re.DOTALL)
"""A row of a table, which has no name of its own."""


def copies_among(examples: Sequence[Example]) -> frozenset[str]:
    """The ids of those that are copies of another by group and name, of labels that are the same.

    Of a group without the original, or of an export's versions, the first by path stands for it and
    is no copy. In a group that is not called as a picture of it is, somebody has said what belongs
    together, and names count there where they say nothing else.
    """
    together: dict[tuple[str, tuple[str, ...]], list[Example]] = defaultdict(list)
    for one in examples:
        if one.group is not None and not ROW.fullmatch(one.path):
            together[one.group, one.names].append(one)
    several = {told: some for told, some in together.items() if len(some) > 1}
    words = WORDS
    if several and are_dated([one.path for some in several.values() for one in some]):
        words = ANY_MONTH
    return frozenset(
        one.id for (group, _), some in several.items() for one in _copies(group, some, words)
    )


def _copies(group: str, some: Sequence[Example], words: frozenset[str]) -> Iterator[Example]:
    ordered = sorted(some, key=lambda one: one.path)
    made_of = {one.id: list(_made_of(one, words)) for one in ordered}
    there, called = {_bare(stem_of(one.path)) for one in ordered}, _bare(group)
    named = there.union(name for made in made_of.values() for name, _ in made)
    assumed = called in named
    if assumed:
        there.add(called)
    copies = [
        one
        for one in ordered
        if any(name in there and (plain or assumed) for name, plain in made_of[one.id])
    ]
    yield from copies if len(copies) < len(ordered) else copies[1:]
    yield from _further_versions(ordered)


def _made_of(one: Example, words: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """What the original of a copy of this name may be called, and whether the name says of no
    picture what it is of."""
    stem = stem_of(one.path)
    sure = SURE & words
    for made, rest in originals(name_of(stem), words):
        yield _bare(made), form_of(rest, sure) is None
    if base := base_of(stem, sure):
        yield _bare(base), True


def _further_versions(ordered: Sequence[Example]) -> Iterator[Example]:
    """An export's versions of a picture but for the first: none of them is the picture itself."""
    seen: set[str] = set()
    for one in ordered:
        if found := VERSION.fullmatch(name_of(one.path)):
            if found[1] in seen:
                yield one
            seen.add(found[1])


def _bare(name: str) -> str:
    """The same for names that differ only in case or in how their accents are composed."""
    return composed(composed(name_of(name)).casefold())
