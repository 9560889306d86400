"""Looks for all that says of an archive's pictures what is in them, beside their folders.

What is recognised and not read is found as well: beside it no folders pass for classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake import images
from app.uploads.intake.archive import too_many
from app.uploads.intake.layout import FileInTree, NamingTable, Nearby, candidates
from app.uploads.intake.lists import annotated as found_in
from app.uploads.intake.lists import boxes_csv, lines, per_picture
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.lists.known import KnownList, known_list
from app.uploads.intake.lists.located import NamedPictures
from app.uploads.intake.names import plain, shown
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import read_name
from app.uploads.intake.tables import delimited, encodings, naming, objects
from app.uploads.intake.tables.source import TableFile

MOST_LISTS = 50
DEEPEST = 4
LISTS = (".json", ".xml", ".jsonl", ".ndjson", ".manifest", ".lst", ".txt", ".yaml", ".yml", ".csv")
HEAD = 64 * 1024
MOST_BYTES = 32 * 1024 * 1024
"""Of a file that tells of one picture: LabelMe's has the picture itself in it."""
MOST_SIDECAR = 1024 * 1024
UNREAD = frozenset({"encoding", "archive_corrupt", "invalid_json", "schema_mismatch"})
VAGUE = "it names pictures in a form that is not read: export COCO, or a CSV with path and label"


@dataclass(frozen=True)
class ListReading:
    """How the members of an archive are read."""

    head: Callable[[FileInTree, int], bytes]
    """The first bytes of a member, at most so many."""
    table: Callable[[FileInTree], AbstractContextManager[TableFile]]
    """A member as a file whose rows name pictures."""


class Sources:
    """The tables and lists in an archive that name its pictures."""

    def __init__(self, tree: Sequence[FileInTree], reading: ListReading) -> None:
        self._tree = tree
        self._reading = reading
        self._found = [one for one in tree if one.role == "image"]
        self._pictures = NamedPictures(self._found)
        self._nearby = Nearby(self._found)
        self._ways = self._nearby, Nearby(self._found, loose=True)

    def every(self) -> Iterator[NamingTable]:
        """All of them."""
        done: set[int] = set()
        for member in candidates(self._tree):
            one = self._table(member)
            if one is not None:
                done.add(member.index)
                yield one
        yield from self._per_picture()
        for member in self._singles():
            one = self._list(member) if member.index not in done else None
            if one is not None:
                yield one

    def _table(self, member: FileInTree) -> NamingTable | None:
        with self._reading.table(member) as table:
            told: list[Problem] = []
            quiet = replace(table, tell=told.append)
            boxes = _boxes(quiet)
            rows = boxes or self._headerless(member, quiet)
            if rows is not None:
                return replace(self._named(member, rows, told), boxed=boxes is not None)
            return naming.naming_table(table, member, self._ways)

    def _headerless(self, member: FileInTree, table: TableFile) -> Iterator[Row] | None:
        """The rows of a CSV whose first line names a picture already."""
        if table.kind != "csv":
            return None
        with table.path.open("rb") as file:
            start = file.readline(HEAD).decode("utf-8-sig", "replace")
        first = lines.cells_of(next(iter(start.splitlines()), ""), commas=True)
        folder = member.path.rpartition("/")[0]
        if len(first) < 2 or lines.named_at(first, self._pictures, folder) is None:
            return None
        text = self._text(table)
        return found_in.rows(lines.annotated(text, self._pictures, folder, commas=True), table)

    def _text(self, table: TableFile) -> list[str]:
        try:
            with encodings.opened(table) as file:
                data = file.read(MOST_BYTES + 1)
                if len(data) > MOST_BYTES:
                    raise too_many(table.limits)
                return data.decode().splitlines()
        except UnicodeDecodeError:
            return []

    def _singles(self) -> list[FileInTree]:
        """Files near the top that may be lists, and tell of no single picture."""
        near = [one for one in self._tree if one.role != "image" and len(one.parts) <= DEEPEST]
        named = [one for one in near if images.extension(one.path) in LISTS]
        alone = [one for one in named if self._pictures.beside(one.path) is None]
        return alone[:MOST_LISTS]

    def _list(self, member: FileInTree) -> NamingTable | None:
        """The list, if most of what it names are pictures of the archive."""
        suffix = images.extension(member.path)
        head = self._reading.head(member, HEAD)
        kind = known_list(suffix, head)
        if kind is None and suffix in (".lst", ".txt"):
            return self._lines(member)
        if suffix == ".manifest":
            with self._reading.table(member) as table:
                return naming.naming_table(replace(table, kind="jsonl"), member, self._ways)
        if kind is None:
            return self._vague(member, head)
        if kind.read is None and not kind.rows:
            return NamingTable(member, [], [], self._nearby, kind.why, hint="")
        told: list[Problem] = []
        with self._reading.table(member) as table:
            quiet = replace(table, tell=told.append)
            if kind.rows:
                return self._objects(member, quiet, told)
            return replace(self._named(member, _rows_of(kind, quiet), told), boxed=True)

    def _objects(
        self, member: FileInTree, table: TableFile, told: list[Problem]
    ) -> NamingTable | None:
        """A list of JSON objects: tasks, or rows as a table has them."""
        json = replace(table, kind="json")
        with encodings.opened(json) as file:
            if objects.has_tasks(file):
                return self._named(member, objects.document(file, json), told)
        return naming.naming_table(json, member, self._ways)

    def _lines(self, member: FileInTree) -> NamingTable | None:
        folder = member.path.rpartition("/")[0]
        with self._reading.table(member) as table:
            text = self._text(table)
            some = [one for one in text[: lines.MOST] if one.strip()]
            named = [
                one
                for one in some
                if len(cells := lines.cells_of(one, commas="," in one)) > 1
                and lines.named_at(cells, self._pictures, folder) is not None
            ]
            if not named or 2 * len(named) < len(some):
                return None
            commas = "," in named[0]
            every = lines.annotated(text, self._pictures, folder, commas=commas)
            told: list[Problem] = []
            return self._named(member, found_in.rows(every, replace(table, tell=told.append)), told)

    def _named(self, member: FileInTree, rows: Iterable[Row], told: list[Problem]) -> NamingTable:
        """The rows with the paths of their pictures; why there are none, where they are wrong."""
        empty = NamingTable(member, [], told, self._nearby, hint="")
        try:
            listed = list(rows)
        except HeadstartError as error:
            if error.code not in UNREAD:
                return replace(empty, why=error.message, error=error)
            return replace(empty, why=error.message)
        paths = [self._path(member, row) for row in listed]
        missing = [row for row, path in zip(listed, paths, strict=True) if path is None]
        if listed and 2 * len(missing) > len(listed):
            path = str(missing[0].values.get("path", "one without a path"))
            why = f"{len(missing)} of {len(listed)} pictures that it names, such as {shown(path)}, "
            return replace(
                empty, why=why + "are not in the archive: put them in it as it names them"
            )
        if not listed:
            why = "; ".join(one.message for one in told) or "it has no picture with a label"
            return replace(empty, told=[], why=why, vague=True)
        found = [
            Row(row.table, row.number, {**row.values, "path": path or _last(row)})
            for row, path in zip(listed, paths, strict=True)
        ]
        sure = any("box" in row.values for row in found)
        return replace(empty, rows=self._with_splits(found), sure=sure)

    def _path(self, member: FileInTree, row: Row) -> str | None:
        folder = member.path.rpartition("/")[0]
        return self._pictures.find(str(row.values.get("path")), folder)

    def _with_splits(self, rows: list[Row]) -> list[Row]:
        """The rows with the splits that folders of their pictures are called by, where some are
        trained on: `images/train/x.jpg`."""
        told = [_split_of(str(row.values["path"])) for row in rows]
        if "train" not in told:
            return rows
        return [
            Row(row.table, row.number, {"split": split, **row.values}) if split else row
            for row, split in zip(rows, told, strict=True)
        ]

    def _vague(self, member: FileInTree, head: bytes) -> NamingTable | None:
        """A file that mentions pictures, whatever it is."""
        if member.role == "table" or images.extension(member.path) not in (
            ".json",
            ".xml",
            ".yaml",
        ):
            return None
        text = head.decode("utf-8", "replace")
        names = [one.parts[-1] for one in self._found[:200]]
        if sum(name in text for name in names) < min(3, len(names)):
            return None
        return NamingTable(member, [], [], self._nearby, VAGUE, hint="", vague=True)

    def _per_picture(self) -> Iterator[NamingTable]:
        """Files of one kind that tell of one picture each."""
        beside: dict[str, list[tuple[FileInTree, str]]] = {}
        for one in self._tree:
            suffix = images.extension(one.path)
            picture = self._pictures.beside(one.path) if one.role != "image" else None
            if picture is not None and suffix in (".json", ".xml", ".txt", ".cls"):
                beside.setdefault(suffix, []).append((one, picture))
        for suffix, members in beside.items():
            told = self._kind_of(suffix, members)
            if told is not None:
                yield told

    def _kind_of(
        self, suffix: str, members: Sequence[tuple[FileInTree, str]]
    ) -> NamingTable | None:
        some = [self._reading.head(member, MOST_BYTES) for member, _ in members[:3]]
        if suffix == ".txt":
            return self._yolo(members)
        if suffix == ".xml" and all(b"<annotation" in head[:HEAD] for head in some):
            return self._read_each(members, per_picture.voc)
        if suffix == ".json" and all(b'"shapes"' in h and b'"imagePath"' in h for h in some):
            return self._read_each(members, per_picture.labelme)
        unread = known_list(suffix, some[0][:HEAD])
        if unread is not None and unread.read is None and not unread.rows:
            return NamingTable(members[0][0], [], [], self._nearby, unread.why, hint="")
        return naming.sidecars(
            self._nearby,
            ((one, path, self._reading.head(one, MOST_SIDECAR)) for one, path in members),
        )

    def _read_each(
        self,
        members: Sequence[tuple[FileInTree, str]],
        reader: Callable[[bytes, AnnotatedPicture], None],
    ) -> NamingTable:
        """The rows of files that `reader` reads, each its picture's."""
        first = members[0][0]
        told: list[Problem] = []
        with self._reading.table(first) as table:
            named = replace(table, tell=told.append, name=_together(first, len(members)))
        each = (
            per_picture.told(
                reader,
                self._reading.head(one, MOST_BYTES),
                AnnotatedPicture(path, number),
                one.path,
            )
            for number, (one, path) in enumerate(members, 1)
        )
        made = self._named(first, found_in.rows(each, named), told)
        return replace(made, boxed=True, files=frozenset(one.index for one, _ in members))

    def _yolo(self, members: Sequence[tuple[FileInTree, str]]) -> NamingTable | None:
        """YOLO's lines, if that is what all that is looked at has."""
        some = [self._reading.head(one, MOST_BYTES) for one, _ in members[:100]]
        full = [data for data in some if data.strip()]
        if not full or not all(map(per_picture.is_yolo, full)):
            return None
        names, keypoints, at = self._yolo_names()
        made = self._read_each(members, partial(per_picture.yolo, names=names, keypoints=keypoints))
        if not names and made.why is None:
            said = "no data.yaml or classes.txt names the classes: their numbers are the labels"
            path = members[0][0].path
            made = replace(
                made, told=[*made.told, Problem(code="labels_doubtful", message=said, path=path)]
            )
        return replace(made, files=made.files | at)

    def _yolo_names(self) -> tuple[list[str], bool, frozenset[int]]:
        """The classes' names, whether there are keypoints, and the file that says so."""
        wanted = (
            "classes.txt",
            "obj.names",
            "_darknet.labels",
            "labels.txt",
            "predefined_classes.txt",
        )
        for one in self._tree:
            name = one.parts[-1].lower()
            if name.endswith((".yaml", ".yml")) or name in wanted:
                names, keypoints = per_picture.yolo_names(name, self._reading.head(one, HEAD))
                if names:
                    return names, keypoints, frozenset({one.index})
        return [], False, frozenset()


def _last(row: Row) -> str:
    """The bare name of a picture that is not there."""
    return plain(str(row.values.get("path"))).rstrip("/").rpartition("/")[2]


def _split_of(path: str) -> Split | None:
    told = (read_name(folder) for folder in path.split("/")[:-1])
    return next((said.split for said in told if said is not None and said.exact), None)


def _boxes(table: TableFile) -> Iterator[Row] | None:
    """The rows of a CSV with a box a row; None of any other."""
    if table.kind != "csv":
        return None
    try:
        with encodings.opened(table) as file:
            names, _ = delimited.plain(file, table)
    except HeadstartError:
        return None
    return _read_boxes(table) if boxes_csv.columns_of(names) is not None else None


def _read_boxes(table: TableFile) -> Iterator[Row]:
    with encodings.opened(table) as file:
        yield from found_in.rows(boxes_csv.annotated(file, table), table)


def _rows_of(kind: KnownList, table: TableFile) -> Iterator[Row]:
    assert kind.read is not None
    with encodings.opened(table) as file:
        yield from found_in.rows(kind.read(file, table), table)


def _together(first: FileInTree, count: int) -> str:
    """What many files are called in messages."""
    return first.path if count == 1 else f"{first.path} and {count - 1} more"
