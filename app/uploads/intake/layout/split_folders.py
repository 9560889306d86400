"""The splits that folders say of files whose rows say none: `train/a/x.png`, `bottle/test/x.png`.

Rows decide what a file is; what they leave out holds as its folders have it, so that no held-out
file is trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from app.core.manifest import Problem, Split
from app.uploads.intake.layout import doubts, folders
from app.uploads.intake.layout.roles import FileInTree, LabelledFile
from app.uploads.intake.names import folded
from app.uploads.intake.splits import of_folders

Level = Mapping[str, Split]
"""The folders of one depth that are splits."""


def given(items: Sequence[LabelledFile], tell: Callable[[Problem], None]) -> list[LabelledFile]:
    """The files, those without a split with that of their folder, which is told; as they are
    where folders hold nothing out.

    A folder all of whose files have its name as their label is that class. Below the folders on
    top a word of splits is one where others are trained on: `bottle/train` beside `bottle/test`.
    """
    levels = _levels(items)
    found = [None if one.split else _folder_of(one.path, levels) for one in items]
    counts = Counter(one for one in found if one is not None)
    splits = {name: levels[depth][name] for depth, name in counts}
    if not set(splits.values()) - {"train"}:
        return list(items)
    both = zip(items, found, strict=True)
    kept = [
        replace(one, split=levels[said[0]][said[1]]) if said is not None else one
        for one, said in both
    ]
    rest = sum(one.split is None for one in kept)
    tell(doubts.splits_of_folders(splits, counts.total(), rest))
    return kept


def _levels(items: Sequence[LabelledFile]) -> list[Level]:
    """The splits among the folders of each depth, from the top."""
    inside: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in items:
        for depth, name in enumerate(one.path.split("/")[:-1]):
            inside[depth][name] |= set(one.labels or [one.label])
    levels: list[Level] = []
    for depth in sorted(inside):
        names = [name for name, labels in inside[depth].items() if not _is_class(name, labels)]
        read = _on_top(items, names) if depth == 0 else of_folders(names)
        trained = any("train" in one.values() for one in (*levels, read))
        levels.append(read if depth == 0 or trained else {})
    return levels


def _on_top(items: Sequence[LabelledFile], names: Iterable[str]) -> Level:
    kept = set(names)
    chosen = [FileInTree(one.index, one.path, "other") for one in items]
    return folders.splits_on_top([one for one in chosen if one.parts[0] in kept])


def _is_class(folder: str, labels: set[str]) -> bool:
    return {folded(one) for one in labels} == {folded(folder)}


def _folder_of(path: str, levels: Sequence[Level]) -> tuple[int, str] | None:
    """The first folder of a path that is a split, and how deep it lies."""
    some = enumerate(path.split("/")[:-1])
    return next(((depth, name) for depth, name in some if name in levels[depth]), None)
