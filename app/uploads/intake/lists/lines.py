"""Lists of paths and labels, a line each and without a header: `.lst`, `train.txt`, import CSVs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from app.core.manifest import Split
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.lists.located import NamedPictures
from app.uploads.intake.splits import SPLITS

MOST = 1000
"""Lines that are looked at before a file is taken for a list."""
_USES = frozenset({"unassigned", "validate"})


def cells_of(line: str, *, commas: bool) -> list[str]:
    """What stands in a line: between commas, tabs, or else blanks."""
    if commas:
        try:
            return [one.strip() for one in next(csv.reader([line], skipinitialspace=True), [])]
        except csv.Error:
            return []
    if "\t" in line:
        return [one.strip() for one in line.split("\t")]
    return line.split()


def annotated(
    lines: Iterable[str], pictures: NamedPictures, folder: str, *, commas: bool
) -> Iterator[AnnotatedPicture]:
    """The pictures that lines name, with the labels that follow the path or, as in MXNet's `.lst`,
    stand between a number and it; lines that name none as such."""
    for number, line in enumerate(lines, 1):
        cells = [one for one in cells_of(line, commas=commas) if one]
        if not cells or cells[0].startswith("#"):
            continue
        at = named_at(cells, pictures, folder)
        if at is None and not commas:
            cells = [one.strip() for one in line.rsplit(None, 1)]  # a path with blanks in it
            at = named_at(cells, pictures, folder)
        yield _of(cells, at, number)


def named_at(cells: Sequence[str], pictures: NamedPictures, folder: str) -> int | None:
    """Which cell names a picture: one that is a path, if there is one."""
    paths = [at for at, cell in enumerate(cells) if re.search(r"[./]", cell)]
    return next((at for at in paths if pictures.find(cells[at], folder)), None)


def _of(cells: Sequence[str], at: int | None, number: int) -> AnnotatedPicture:
    if at is None:
        said = next((cell for cell in cells if "/" in cell or "." in cell), cells[0])
        return AnnotatedPicture(said, number, [])
    before, after = cells[:at], cells[at + 1 :]
    labels = after or before[1:]
    one = AnnotatedPicture(cells[at], number, [label for label in labels if label])
    if after and before:
        one.split = split_of(before[0])
    return one


def listed_alone(lines: Iterable[str], pictures: NamedPictures, folder: str) -> list[str] | None:
    """The pictures of a list that names one a line and says nothing else of it; None of any other.

    VOC's `ImageSets/Main/train.txt`, and Darknet's lists of paths.
    """
    said = [line.strip() for line in lines if line.strip()]
    if any(len(cells_of(one, commas="," in one)) != 1 for one in said):
        return None
    found = [pictures.find(one, folder) for one in said]
    paths = [path for path in found if path is not None]
    return paths if paths and 2 * len(paths) >= len(said) else None


def split_of(word: str) -> Split | None:
    """The split of an import file's first column."""
    plain = word.strip().lower()
    return "val" if plain == "validate" else SPLITS.get(plain)


def are_uses(cells: Sequence[str]) -> bool:
    """Whether the first cell says what the row is for, as in Vertex AI's import files."""
    return bool(cells) and (split_of(cells[0]) is not None or cells[0].lower() in _USES)
