"""What the columns of a list say of its pictures: a label, several, a split, or boxes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.core.manifest import Split
from app.uploads.intake.lists.columned.parsing import ColumnedLines
from app.uploads.intake.names import shown
from app.uploads.intake.splits import SPLITS, words
from app.uploads.intake.tables.columns import FURTHER, USUAL, folded
from app.uploads.intake.tables.roles.codes import coded, codes
from app.uploads.intake.tables.roles.coordinates import is_number

_LABELS = frozenset((*USUAL["label"], *FURTHER["label"], "classid", "classes", "variant", "breed"))
_BOX = 4
"""Numbers that are a box: left, top, and right and bottom or width and height."""
_FEW = 10
"""Numbers that may be of one class each by accident."""
_SIGNS = (frozenset({"0", "1"}), frozenset({"-1", "1"}))
_SPLIT_WORDS = frozenset({"partition", "partitions", "split", "splits"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """By picture the labels and the splits that a list says; `why` it says neither."""

    labels: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    splits: Mapping[str, Split] = field(default_factory=dict)
    why: str | None = None
    quiet: bool = False
    """Whether what it says is of no use beside other labels: boxes."""
    note: str | None = None
    """How it was read, where that is not plain."""
    asked: str | None = None
    """The form's field that says a column, or columns, which it has."""


def meaning(path: str, told: ColumnedLines, siblings: Sequence[ColumnedLines]) -> Meaning:
    """What a list says that is called so; `siblings` are the others, of which one may have names
    for the same columns."""
    columns = told.columns
    if len(columns) == 1:
        return _of_one(path, told, columns[0])
    names = told.names or _names_of(told, siblings)
    if names:
        return _of_named(told, columns, names)
    return _of_nameless(told, columns)


def as_asked(told: ColumnedLines, label: str | None, marks: Sequence[str]) -> Meaning | None:
    """What the column says that the caller calls the `label`, or those of a class each; None where
    the list has no such column, or one of a class has more than yes and no."""
    places = {folded(name): at for at, name in enumerate(told.names)}
    wanted = [places.get(folded(one)) for one in ([label] if label else marks)]
    if not wanted or None in wanted:
        return None
    columns = [told.columns[at] for at in wanted if at is not None]
    if label:
        return Meaning(labels=_column(told, columns[0]), asked="label_column")
    if not _are_marks(columns):
        return None
    rows = zip(told.paths, zip(*columns, strict=True), strict=True)
    labels = {
        path: [name for name, mark in zip(marks, values, strict=True) if mark == "1"]
        for path, values in rows
    }
    return Meaning(labels=labels, asked="label_columns")


def _of_one(path: str, told: ColumnedLines, column: Sequence[str]) -> Meaning:
    name = words(path.rpartition("/")[2].rpartition(".")[0])
    if _SPLIT_WORDS & set(name):
        both = {"train", "test"} <= {SPLITS[one] for one in name if one in SPLITS}
        known = codes(Counter(column), of_training=both)
        if known is None:
            some = ", ".join(shown(one, 20) for one in sorted(set(column))[:5])
            return Meaning(why=f"which split its values ({some}) mean is not clear: {_SPLIT_HINT}")
        said = dict(zip(told.paths, (known[one] for one in column), strict=True))
        return Meaning(splits=said, note=coded(known))
    own = len(set(column)) == len(column) > _FEW and all(map(is_number, column))
    if own or any(map(_is_fraction, column)):
        return Meaning(why="what it says of each picture is no label", quiet=True)
    return Meaning(labels=dict(zip(told.paths, column, strict=True)))


_SPLIT_HINT = "say train, val or test in a column split of a metadata.csv with path and label"


def _names_of(told: ColumnedLines, siblings: Sequence[ColumnedLines]) -> Sequence[str]:
    """The names that another list has for as many columns that say the same of a picture."""
    mine = {path: tuple(values) for _, path, values in told.rows}
    for other in siblings:
        both = [tuple(values) == mine[path] for _, path, values in other.rows if path in mine]
        if other.names and both and all(both):
            return other.names
    return ()


def _of_named(
    told: ColumnedLines, columns: Sequence[Sequence[str]], names: Sequence[str]
) -> Meaning:
    if len(names) == len(columns) and len(set(names)) == len(names) and _are_marks(columns):
        labels = {
            path: [name for name, mark in zip(names, values, strict=True) if mark == "1"]
            for _, path, values in told.rows
        }
        return Meaning(labels=labels)
    at = next((at for at, name in enumerate(names) if folded(name) in _LABELS), None)
    if at is None:
        some = ", ".join(shown(one, 30) for one in names[:8])
        return Meaning(why=f"none of its columns ({some}) is called label: {_LABEL_HINT}")
    note = f"`{shown(names[at], 40)}` is taken for the label, and the other columns are not read"
    return Meaning(labels=_column(told, columns[at]), note=note)


_LABEL_HINT = "write the labels into a CSV with the columns path and label, or leave it out"


def _of_nameless(told: ColumnedLines, columns: Sequence[Sequence[str]]) -> Meaning:
    texts = [one for one in columns if not all(map(is_number, one))]
    if len(texts) == 1:
        note = "the column that has words is taken for the label, and those of numbers are not read"
        return Meaning(labels=_column(told, texts[0]), note=note)
    if texts:
        return Meaning(quiet=True)
    if len(columns) == _BOX and not _are_marks(columns):
        return Meaning(why="it has a box of each picture and no label", quiet=True)
    if _are_marks(columns):
        why = "its columns of 0 and 1 have no names: put a line with the classes' names on top, or "
        return Meaning(why=why + _LABEL_HINT)
    own = [one for one in columns if called_so(told.paths, one)]
    if own and all(one == own[0] for one in own):
        note = "the column whose numbers are one to one with the pictures' names is taken for the "
        return Meaning(labels=_column(told, own[0]), note=f"{note}label")
    return Meaning(
        why=f"which of its {len(columns)} columns is the label is not said: {_LABEL_HINT}"
    )


def _column(told: ColumnedLines, column: Sequence[str]) -> dict[str, str]:
    return dict(zip(told.paths, column, strict=True))


def called_so(paths: Sequence[str], numbers: Sequence[str]) -> Mapping[str, str]:
    """What pictures of each number are called but for their own (`Abyssinian_12.jpg`), where names
    and numbers are one to one; else nothing."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, number in zip(paths, numbers, strict=True):
        stem = path.rpartition("/")[2].rpartition(".")[0]
        found[number].add(re.sub(r"[\W_]*\d+$", "", stem))
    names = {number: next(iter(some)) for number, some in found.items() if len(some) == 1}
    sure = len(names) == len(found) == len(set(names.values())) > 1 and all(names.values())
    return names if sure else {}


def _are_marks(columns: Sequence[Sequence[str]]) -> bool:
    """Whether all columns say yes or no in one way, and one of them both."""
    every = {one for column in columns for one in column}
    return len(every) == 2 and any(every == signs for signs in _SIGNS)


def _is_fraction(cell: str) -> bool:
    """As a list writes it: sides of boxes have `60.0`, too."""
    return is_number(cell) and not re.fullmatch(r"[+-]?\d+", cell)
