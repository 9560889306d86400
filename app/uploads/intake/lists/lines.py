"""Lists of paths and labels, a line each and without a header: `.lst`, `train.txt`, import CSVs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from app.core.manifest import Split
from app.uploads.intake import images
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.lists.boxes import lines as boxed_lines
from app.uploads.intake.lists.located import NamedPictures
from app.uploads.intake.names import folded, plain
from app.uploads.intake.splits import SPLITS

MOST = 1000
"""Lines that are looked at before a file is taken for a list."""
ENOUGH = 10
"""Names without endings that are no accident."""
MOST_WORDS = 12
"""Of a line, one of whose words may be parts of a path."""
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
    stand between a number and it; lines that name none as such. Those that say boxes of one
    picture are one."""
    found: dict[str, AnnotatedPicture] = {}
    for number, line in enumerate(lines, 1):
        cells, at = parted(line, pictures, folder, commas=commas)
        if not cells or cells[0].startswith("#"):
            continue
        boxes = None if at is None else boxed_lines.boxes(cells[at + 1 :])
        if at is None or boxes is None:
            yield _of(cells, at, number)
            continue
        one = found.setdefault(cells[at], AnnotatedPicture(cells[at], number))
        one.split = one.split or (split_of(cells[0]) if at else None)
        boxed_lines.add(one, boxes)
    yield from found.values()


def parted(
    line: str, pictures: NamedPictures, folder: str, *, commas: bool
) -> tuple[list[str], int | None]:
    """What stands in a line, and which of it names a picture: of what blanks part, as many words
    as make one path, since a file's name may have blanks in it."""
    if (told := boxed_lines.glued(line)) is not None and pictures.find(told[0], folder):
        return told, 0
    cells = [one for one in cells_of(line, commas=commas) if one]
    if not commas and "\t" not in line and 1 < len(cells) <= MOST_WORDS:
        joined = _with_blanks(line, pictures, folder)
        if joined is not None:
            return joined
    at = named_at(cells, pictures, folder)
    if at is None and not commas:
        last = [one.strip() for one in line.rsplit(None, 1)]  # a path without the file's ending
        if (named := named_at(last, pictures, folder)) is not None:
            return last, named
    return cells, at


def behind(line: str, pictures: NamedPictures, folder: str) -> str:
    """What a line says behind the picture that it names, as one text."""
    cells, at = parted(line, pictures, folder, commas="," in line)
    return "" if at is None else " ".join(cells[at + 1 :])


def _with_blanks(
    line: str, pictures: NamedPictures, folder: str
) -> tuple[list[str], int | None] | None:
    """The cells of a line one of which is a path with blanks: the longest that a picture's path
    ends in, else the least of what leads to the picture of the longest that leads to any."""
    words = [(one.start(), one.end()) for one in re.finditer(r"\S+", line)]
    named: list[tuple[int, int, str]] = []
    for count in range(len(words), 1, -1):
        for first in range(len(words) - count + 1):
            start, end = words[first][0], words[first + count - 1][1]
            if images.extension(line[start:end]) in images.EXTENSIONS:
                found = pictures.find(line[start:end], folder)
                named += [(start, end, found)] if found else []
    whole = [one for one in named if _ends(one[2], line[one[0] : one[1]])]
    least = [one for one in reversed(named) if one[1:] == named[0][1:]]
    for start, end, _ in [*whole[:1], *least[:1]]:
        before = line[:start].split()
        return [*before, line[start:end], *line[end:].split()], len(before)
    return None


def _ends(path: str, said: str) -> bool:
    """Whether a path ends in what is said of it, folder by folder."""
    return f"/{folded(path)}".endswith("/" + folded(plain(said)).lstrip("./"))


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

    VOC's `ImageSets/Main/train.txt`, and Darknet's lists of paths. Where the archive is a part of
    what is listed few may be found, or none; so where several pictures are called alike.
    """
    said = [line.strip() for line in lines if line.strip()]
    if not said or any(not _is_alone(one, pictures, folder) for one in said):
        return None
    found = [pictures.find(one, folder) for one in said]
    paths = [path for path in found if path is not None]
    named = all(
        images.extension(one) in images.EXTENSIONS or pictures.are_called(one) for one in said
    )
    enough = 2 * len(paths) >= len(said) or len(paths) >= ENOUGH
    return paths if named or enough else None


def _is_alone(line: str, pictures: NamedPictures, folder: str) -> bool:
    """Whether a line is one cell, or the whole of it is a picture's path with blanks in it, with
    or without the file's ending."""
    if len(cells_of(line, commas="," in line)) == 1:
        return True
    cells, at = parted(line, pictures, folder, commas="," in line)
    return len(cells) == 1 or (at is None and pictures.find(line, folder) is not None)


def split_of(word: str) -> Split | None:
    """The split of an import file's first column."""
    plain = word.strip().lower()
    return "val" if plain == "validate" else SPLITS.get(plain)


def are_uses(cells: Sequence[str]) -> bool:
    """Whether the first cell says what the row is for, as in Vertex AI's import files."""
    return bool(cells) and (split_of(cells[0]) is not None or cells[0].lower() in _USES)
