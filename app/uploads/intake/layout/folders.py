"""Labels and splits by folders: `<label>/x`, `<split>/<label>/x` or `<label>/<split>/x`.

Where it cannot be told which folders are classes and which are splits, the upload is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from app.core.manifest import Problem, Split
from app.uploads.intake.layout import depths, doubts
from app.uploads.intake.layout import drawn as drawings
from app.uploads.intake.layout.roles import FileInTree, LabelledFile, Role
from app.uploads.intake.layout.wrappers import ASIDE
from app.uploads.intake.names import folded
from app.uploads.intake.splits import SPLITS, of_folders, of_tables, read_name, words


@dataclass(slots=True)
class Placed:
    """What the folders say: the examples, what is wrong, and in words how they were read.

    `parents` are the folders, each with a slash at its end, that class folders lie in.
    """

    items: list[LabelledFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parents: set[str] = field(default_factory=lambda: {""})


def by_folder(
    found: Sequence[FileInTree],
    role: Role,
    masks: drawings.Masks = drawings.all_of,
    known: Callable[[], Collection[str]] = tuple,
    alike: drawings.Masks = drawings.none_of,
    *,
    elsewhere: Collection[int] = (),
    above: str = "",
) -> Placed:
    """Every member of `role` labelled by its folder; those in none are problems. Of the pictures
    that are called as masks of others, here or with `known` paths, those that `masks` says are none
    of the examples; nor are those that `alike` says were drawn on one of their name. Those
    whose class is said `elsewhere`, by their indices, only say which folders there are;
    `above` are the folders around all.

    Raises ambiguous_layout.
    """
    others = [one for one in found if one.index in elsewhere]
    chosen = [one for one in found if one.role == role and one.index not in elsewhere]
    called = drawings.called_so(chosen, known, above)
    sure = masks(called) if called else frozenset()
    drawn = [one for one in called if one.index in sure]
    chosen = [one for one in chosen if one.index not in sure]
    twins = alike(chosen)
    drawn += [one for one in chosen if one.index in twins]
    chosen = [one for one in chosen if one.index not in twins]
    splits = splits_on_top([*chosen, *others])
    second = {} if splits else _class_first(chosen)
    if splits:
        _check_alone(chosen, splits)
        placed = _split_first(chosen, splits)
    else:
        placed = _labels_first(chosen, second)
    named = sorted({one.label for one in placed.items if _reads_as_split(one.label)})
    if named:
        raise doubts.classes_named_after_splits(named)
    _check_masks({one.label for one in placed.items})
    placed.problems += doubts.drawn_on_others(drawn)
    placed.problems += doubts.not_drawn([one for one in called if one.index not in sure])
    return placed


_OF_SETS = frozenset(SPLITS) | {"tr", "ts"}
"""Words that say which set a folder is of, as in `imagesTr` and `labelsTr` of the Decathlon's."""


def _check_masks(labels: Set[str]) -> None:
    """Raise ambiguous_layout where the folders are pictures and what was drawn on them."""
    names = {_kind(label) for label in labels}
    pictures, masks = drawings.PICTURES, drawings.MASKS
    if names & pictures and names & masks and names <= pictures | masks:
        raise doubts.pictures_and_masks(sorted(labels))


def _kind(label: str) -> str:
    """A folder's name without the words that say of which set it is."""
    rest = [word for word in words(label) if word not in _OF_SETS]
    return rest[0] if len(rest) == 1 else label.lower()


def tables(found: Sequence[FileInTree]) -> list[tuple[FileInTree, Split | None]]:
    """Tables of texts on top or in a folder there, and the split that their name or folder says:
    those to train on before others, which are read by the same columns."""
    chosen = [one for one in found if one.role == "table" and len(one.parts) <= 2]
    both = zip(chosen, of_tables([one.path for one in chosen]), strict=True)
    return sorted(both, key=lambda one: one[1] not in ("train", None))


def tops_of(members: Iterable[FileInTree]) -> set[str]:
    """The folders on top that the members lie in."""
    return {one.parts[0] for one in members if len(one.parts) > 1}


def splits_on_top(chosen: Sequence[FileInTree]) -> dict[str, Split]:
    """The folders on top that are splits, by their names or by what lies in all of them."""
    return of_folders(tops_of(chosen)) or _by_content(chosen)


def _by_content(chosen: Sequence[FileInTree]) -> dict[str, Split]:
    """The folders on top as splits where each has a split's word, not all the same, and all hold
    folders, of which one's are found in the others: `train-clean/cat` and `test-other/cat`."""
    inside: dict[str, set[str]] = {top: set() for top in tops_of(chosen)}
    for one in chosen:
        if len(one.parts) > 2:
            inside[one.parts[0]].add(one.parts[1])
    told = {top: said.split for top in inside if (said := read_name(top))}
    alike = bool(inside) and bool(set.intersection(*inside.values()))
    return told if alike and told.keys() == inside.keys() and len(set(told.values())) > 1 else {}


def _reads_as_split(label: str) -> bool:
    said = read_name(label)
    return said is not None and (said.exact or said.certain)


def _check_alone(chosen: Sequence[FileInTree], splits: Mapping[str, Split]) -> None:
    """A single split beside folders of classes may be a class itself: raise ambiguous_layout."""
    others = [one for one in chosen if len(one.parts) > 1 and one.parts[0] not in splits]
    others = [one for one in others if one.parts[0].lower() not in ASIDE]
    deep = any(len(one.parts) > 2 for one in others)
    if len(set(splits.values())) == 1 and (deep or len(tops_of(others)) > 1):
        raise doubts.one_split_among_others(sorted(splits), sorted(tops_of(others)))


def _split_first(chosen: Sequence[FileInTree], splits: Mapping[str, Split]) -> Placed:
    """`<split>/<label>/x`; what lies beside the splits' folders is left out and named."""
    inside = [one for one in chosen if len(one.parts) > 1 and one.parts[0] in splits]
    inner = _inner(inside, splits)
    placed = Placed(notes=[doubts.splits_said(splits)])
    placed.parents = {f"{top}/" + (f"{inner[top]}/" if top in inner else "") for top in splits}
    loose: list[FileInTree] = []
    places: list[tuple[str, Sequence[str]]] = []
    for one in inside:
        top, *rest = one.parts
        rest = rest[1:] if rest[0] == inner.get(top) else rest
        if len(rest) > 1:
            label = _label(rest[0])
            placed.items.append(LabelledFile(one.index, one.path, label, split=splits[top]))
            places.append((label, rest[1:-1]))
        else:
            loose.append(one)
    if not placed.items:
        _check_masks(tops_of(chosen))
        raise doubts.splits_without_classes(sorted(splits))
    strange = _without_classes(placed.items, splits)
    placed.problems += [doubts.no_class_held_out(top, some) for top, some in strange.items()]
    left = {one.index for some in strange.values() for one in some}
    both = zip(placed.items, places, strict=True)
    places = [place for one, place in both if one.index not in left]
    placed.items = [one for one in placed.items if one.index not in left]
    placed.problems += doubts.never_held_out(placed.items)
    placed.problems += depths.check(places)
    placed.problems += doubts.unlabelled([*(one for one in chosen if len(one.parts) == 1), *loose])
    beside = [one for one in chosen if len(one.parts) > 1 and one.parts[0] not in splits]
    placed.problems += doubts.left_beside(beside, sorted(splits))
    return placed


def _label(folder: str) -> str:
    """What a class folder says; blanks around a label are no part of it."""
    return folder.strip() or folder


def _without_classes(
    items: Sequence[LabelledFile], splits: Mapping[str, Split]
) -> dict[str, list[LabelledFile]]:
    """The held-out files by the split's folder, none of whose folders is a class that is trained
    on: `test/images/x` beside `train/cat/x`."""
    trained = {folded(one.label) for one in items if one.split == "train"}
    by_top: dict[str, list[LabelledFile]] = defaultdict(list)
    for one in items:
        by_top[one.path.partition("/")[0]].append(one)
    return {
        top: some
        for top, some in by_top.items()
        if trained and splits[top] != "train" and not trained & {folded(one.label) for one in some}
    }


_HOLDERS = drawings.PICTURES
"""Folders that are looked through though pictures lie in them."""


def _inner(inside: Sequence[FileInTree], splits: Mapping[str, Split]) -> dict[str, str]:
    """The folder to look through in each split's folder, where there is one: it names the split
    again (`seg_train/seg_train`), or is the only one in all of them and holds several, if it is
    called as a folder of pictures also where what is held out lies in it without classes."""
    seconds: dict[str, set[str]] = defaultdict(set)
    for one in inside:
        if len(one.parts) > 2:
            seconds[one.parts[0]].add(one.parts[1])
    deep = {one.parts[2] for one in inside if len(one.parts) > 3}
    every = set[str]().union(*seconds.values())
    flat = {one.parts[0] for one in inside if len(one.parts) == 3}
    held_out = all(splits[top] != "train" for top in flat) and {*map(folded, every)} <= _HOLDERS
    shared = len(every) == 1 and (not flat or held_out) and len(deep) > 1
    single = {top: next(iter(names)) for top, names in seconds.items() if len(names) == 1}
    return {
        top: name for top, name in single.items() if shared or _same_split(name, top, splits[top])
    }


def _same_split(name: str, top: str, split: Split) -> bool:
    said = read_name(name)
    return said is not None and said.split == split and (said.exact or name == top)


def _labels_first(chosen: Sequence[FileInTree], second: Mapping[str, Split]) -> Placed:
    """`<label>/x`, or `<label>/<split>/x` where the folders below are splits."""
    inside = [one for one in chosen if len(one.parts) > 1]
    placed = Placed()
    again = _doubling(inside)
    placed.problems += doubts.doubled([one for one in inside if one.parts[0] in again])
    inside = [one for one in inside if one.parts[0] not in again]
    placed.items = [
        LabelledFile(
            one.index,
            one.path,
            label=_label(one.parts[0]),
            split=second.get(one.parts[1]) if len(one.parts) > 2 else None,
        )
        for one in inside
    ]
    placed.problems += doubts.unlabelled([one for one in chosen if len(one.parts) == 1])
    if second:
        placed.notes.append(doubts.splits_said(second, where="in each class folder"))
    else:
        placed.problems += depths.check((_label(one.parts[0]), one.parts[1:-1]) for one in inside)
    return placed


def _doubling(inside: Sequence[FileInTree]) -> set[str]:
    """The folders in which all lies again that lies beside them: `cell_images/cat/x.png` beside
    `cat/x.png`."""
    paths = {one.path for one in inside}
    again: dict[str, list[bool]] = defaultdict(list)
    for one in inside:
        top, _, rest = one.path.partition("/")
        again[top].append(rest in paths)
    return {top for top, some in again.items() if all(some)}


def _class_first(chosen: Sequence[FileInTree]) -> dict[str, Split]:
    """The splits in the class folders, if all folders in them are splits. Raises ambiguous_layout
    where they are splits beside others, or have folders in them."""
    deep = [one.parts for one in chosen if len(one.parts) > 2]
    names = {parts[1] for parts in deep}
    second = of_folders(names)
    if not second:
        return {}
    several = len(set(second.values())) > 1
    all_splits = second.keys() == names
    if all_splits and all(len(parts) == 3 for parts in deep):
        flat = {one.parts[0] for one in chosen if len(one.parts) == 2}
        trained = "train" in second.values()
        return second if several or trained or flat >= {parts[0] for parts in deep} else {}
    if all_splits or several:
        raise doubts.splits_among_folders(sorted(tops_of(chosen)), sorted(second))
    return {}
