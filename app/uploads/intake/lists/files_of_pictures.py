"""Files of one kind that lie beside pictures, under their names, and tell of one each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake import images
from app.uploads.intake.layout import FileInTree, NamingTable
from app.uploads.intake.lists import annotated as found_in
from app.uploads.intake.lists import per_picture, yolo
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.lists.known import known_list
from app.uploads.intake.lists.named_rows import NamedRows
from app.uploads.intake.lists.reading import HEAD, MOST_BYTES, ListReading
from app.uploads.intake.names import shown
from app.uploads.intake.tables import naming

MOST_SIDECAR = 1024 * 1024
LOOKED_AT = 20
"""Files of which one that is of a known kind tells what the others are, or should be."""
SUFFIXES = (".json", ".xml", ".txt", ".cls")
Beside = tuple[FileInTree, str]
"""A file, and the path of its picture."""
_WHAT = "export COCO, say the labels in a CSV with path and label, or leave them out"


class FilesOfPictures:
    """The kinds of files that tell of one picture each."""

    def __init__(self, tree: Sequence[FileInTree], reading: ListReading, rows: NamedRows) -> None:
        self._tree = tree
        self._reading = reading
        self._rows = rows

    def every(self) -> Iterator[NamingTable]:
        """All of them, each kind as one table."""
        beside: dict[str, list[Beside]] = {}
        for one in self._tree:
            suffix = images.extension(one.path)
            picture = self._rows.pictures.beside(one.path) if one.role != "image" else None
            if picture is not None and suffix in SUFFIXES:
                beside.setdefault(suffix, []).append((one, picture))
        for suffix, members in beside.items():
            yield self._kind_of(suffix, members)

    def _kind_of(self, suffix: str, members: Sequence[Beside]) -> NamingTable:
        some = [self._reading.head(member, MOST_BYTES) for member, _ in members[:LOOKED_AT]]
        if suffix == ".txt" and _many(map(yolo.looks_like_it, some), some):
            return self._yolo(members)
        if suffix == ".xml" and any(b"<annotation" in head[:HEAD] for head in some):
            return self._read_each(members, per_picture.voc)
        if suffix == ".json" and any(b'"shapes"' in h and b'"imagePath"' in h for h in some):
            return self._read_each(members, per_picture.labelme)
        unread = known_list(suffix, some[0][:HEAD])
        if unread is not None and unread.read is None and not unread.rows:
            return self._unread(members, unread.why)
        told = None if suffix in (".xml", ".txt") else self._sidecars(members)
        if told is not None:
            return told
        why = f"the {suffix} file beside each picture has no label that is read: {_WHAT}"
        return replace(self._unread(members, why), vague=True)

    def _unread(self, members: Sequence[Beside], why: str) -> NamingTable:
        return NamingTable(members[0][0], [], [], self._rows.nearby, why, hint="")

    def _sidecars(self, members: Sequence[Beside]) -> NamingTable | None:
        try:
            return naming.sidecars(
                self._rows.nearby,
                ((one, path, self._reading.head(one, MOST_SIDECAR)) for one, path in members),
            )
        except HeadstartError as error:
            return self._unread(members, error.message)

    def _read_each(self, members: Sequence[Beside], reader: per_picture.Reader) -> NamingTable:
        """The rows of files that `reader` reads, each its picture's."""
        first = members[0][0]
        told: list[Problem] = []
        with self._reading.table(first) as table:
            named = replace(table, tell=told.append, name=_together(first, len(members)))
        each = (
            per_picture.told(
                reader,
                self._reading.head(one, MOST_BYTES),
                AnnotatedPicture(path, number, source=one.path),
            )
            for number, (one, path) in enumerate(members, 1)
        )
        made = self._rows.named(first, found_in.rows(each, named), told)
        return replace(made, boxed=True, files=frozenset(one.index for one, _ in members))

    def _yolo(self, members: Sequence[Beside]) -> NamingTable:
        told = (
            (one, self._reading.head(one, HEAD)) for one in self._tree if yolo.may_name_classes(one)
        )
        try:
            classes = yolo.class_names(told)
        except HeadstartError as error:
            return replace(self._unread(members, error.message), boxed=True)
        made = self._read_each(members, partial(yolo.read, classes=classes))
        if not classes.names and made.why is None:
            said = "no data.yaml or classes.txt names the classes: their numbers are the labels"
            doubt = Problem(code="labels_doubtful", message=said, path=members[0][0].path)
            made = replace(made, told=[*made.told, doubt])
        return replace(made, files=made.files | classes.files)


def _many(known: Iterator[bool], some: Sequence[bytes]) -> bool:
    """Whether at least half of what is not empty is known."""
    full = sum(bool(data.strip()) for data in some)
    return 0 < full <= 2 * sum(known)


def _together(first: FileInTree, count: int) -> str:
    """What many files are called in messages."""
    return shown(first.path) if count == 1 else f"{shown(first.path)} and {count - 1} more"
