"""Looks for all that says of an archive's pictures what is in them, beside their folders.

What is recognised and not read is found as well: beside it no folders pass for classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake import foreign, images
from app.uploads.intake.layout import (
    Drawn,
    FileInTree,
    NamingTable,
    Nearby,
    candidates,
    doubts,
)
from app.uploads.intake.layout.beside import naming_column
from app.uploads.intake.lists import annotated as found_in
from app.uploads.intake.lists import captions, lines, yolo
from app.uploads.intake.lists.boxes import tables as boxes_of_tables
from app.uploads.intake.lists.columned import RelatedLists, class_names
from app.uploads.intake.lists.files_of_pictures import FilesOfPictures
from app.uploads.intake.lists.known import KnownList, known_columns, known_list
from app.uploads.intake.lists.mentions import Mentions
from app.uploads.intake.lists.named_rows import NamedRows
from app.uploads.intake.lists.reading import HEAD, ListReading, lines_of, split_lines
from app.uploads.intake.lists.split_lists import SplitLists, is_named, list_name
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import delimited, encodings, naming, objects
from app.uploads.intake.tables.sample import sample
from app.uploads.intake.tables.source import TableFile

MOST_LISTS = 50
DEEPEST = 4
PACKED = (".parquet", ".xlsx")
LISTS = (".json", ".xml", ".jsonl", ".ndjson", ".manifest", ".lst", ".txt", ".yaml", ".yml", ".csv")
_ARRAYS = re.compile(
    r"(?i)(label|anno|class|split|setid|list|target|truth|meta)[^/]*"
    r"\.(mat|npy|npz|pkl|pickle|h5|hdf5)$"
)
VAGUE = (
    "it names pictures in a form that is not read: export COCO, or a CSV with path and label, or "
    "leave it out"
)


class Sources:
    """The tables and lists in an archive that name its pictures."""

    def __init__(
        self, tree: Sequence[FileInTree], reading: ListReading, drawn: Drawn | None = None
    ) -> None:
        self._tree = tree
        self._reading = reading
        self._found = [one for one in tree if one.role == "image"]
        self._drawn = drawn
        self._rows = NamedRows(self._found, drawn)
        self._pictures, self._nearby = self._rows.pictures, self._rows.nearby
        self._ways = self._nearby, Nearby(self._found, loose=True, drawn=drawn)
        self._mentions = Mentions(self._found)
        self._splits = SplitLists()

    def every(self) -> Iterator[NamingTable]:
        """All of them, with the splits that lists say which say nothing else."""
        found = [_without_captions(one) for one in self._every()]
        yield from self._splits.on(found)

    @property
    def splits(self) -> Mapping[str, Split | None]:
        """By path the splits that lists say which say nothing else, None where they say several."""
        return self._splits.splits

    @property
    def unread(self) -> list[Problem]:
        """What is told of lists that are called by a split, and do not count."""
        return self._splits.unread

    @property
    def said_splits(self) -> frozenset[int]:
        """The members that are those lists, if they hold anything out."""
        members = self._splits.members if self._splits.hold_out else ()
        return frozenset(one.index for one in members)

    def _every(self) -> Iterator[NamingTable]:
        done: set[int] = set()
        for member in candidates(self._tree):
            one = self._table(member)
            if one is not None:
                done.add(member.index)
                yield one
        yield from FilesOfPictures(self._tree, self._reading, self._rows).every()
        for one in RelatedLists(self._tree, self._reading, self._rows).every():
            done |= {one.member.index, *one.files}
            yield one
        yield from self._arrays()
        for member in self._singles():
            one = self._list(member) if member.index not in done else None
            if one is not None:
                yield one

    def _arrays(self) -> Iterator[NamingTable]:
        """What is called as labels are, in a form of arrays, which is not read."""
        near = (one for one in self._tree if one.role != "image" and len(one.parts) <= DEEPEST)
        first = next((one for one in near if _ARRAYS.search(one.path)), None)
        if first is not None:
            why = f"it is a file of arrays ({images.extension(first.path)}), which is not read: "
            why += "write its labels into a CSV with the columns path and label, and split"
            yield NamingTable(first, [], [], self._nearby, why, hint="", vague=True)

    def _table(self, member: FileInTree) -> NamingTable | None:
        with self._reading.table(member) as table:
            told: list[Problem] = []
            quiet = replace(table, tell=told.append)
            unread = known_columns(_names(quiet))
            if unread is not None:
                return NamingTable(member, [], [], self._nearby, unread.why, hint="")
            boxes = _boxes(quiet) or self._boxes_with_sides(quiet)
            rows = boxes or self._headerless(member, quiet)
            if rows is not None:
                asked = frozenset({"label_column"} if boxes is not None else ())
                named = self._rows.named(member, rows, told)
                return replace(named, boxed=boxes is not None, asked=asked)
            return self._naming_table(table, member)

    def _boxes_with_sides(self, table: TableFile) -> Iterator[Row] | None:
        """The rows of a CSV that has a corner and sides a row, where boxes are asked for; which
        corner is not said, and told."""
        if not table.crops or table.kind != "csv" or not (names := _names(table)):
            return None
        column = naming_column(sample(table)[1], self._nearby, several=True)
        places = boxes_of_tables.sides_of(names, column, table.columns.get("label"))
        if places is None:
            return None
        some = ", ".join(f"`{shown(names[places[one]], 40)}`" for one in "xywh")
        table.warn("column_assumed", f"{some} are taken for boxes: left, top, width and height")
        return _read_boxes(table, places)

    def _headerless(self, member: FileInTree, table: TableFile) -> Iterator[Row] | None:
        """The rows of a CSV whose first line names a picture already."""
        if table.kind != "csv":
            return None
        with table.path.open("rb") as file:
            start = encodings.as_utf8(file.read(HEAD)).decode("utf-8", "replace")
        first = lines.cells_of(next(iter(start.splitlines()), ""), commas=True)
        folder = member.path.rpartition("/")[0]
        if len(first) < 2 or lines.named_at(first, self._pictures, folder) is None:
            return None
        text = lines_of(table)
        return found_in.rows(lines.annotated(text, self._pictures, folder, commas=True), table)

    def _naming_table(self, table: TableFile, member: FileInTree) -> NamingTable | None:
        mentioned = partial(self._is_list, member)
        ways = (*self._own_way(member), *self._ways)
        return naming.naming_table(table, member, ways, mentioned=mentioned)

    def _own_way(self, member: FileInTree) -> list[Nearby]:
        """The pictures that lie in the very folder of a table, which it may name before others."""
        folder = member.path.rpartition("/")[0]
        own = [one for one in self._found if one.path.rpartition("/")[0] == folder]
        return [Nearby(own, drawn=self._drawn)] if folder and own else []

    def _singles(self) -> list[FileInTree]:
        """Files near the top that may be lists, and tell of no single picture: first those that
        are called as lists are."""
        near = [one for one in self._tree if one.role != "image" and len(one.parts) <= DEEPEST]
        alone = [one for one in near if self._pictures.beside(one.path) is None]
        alone.sort(
            key=lambda one: (
                images.extension(one.path) not in LISTS,
                not is_named(one),
                len(one.parts),
            )
        )
        return alone[:MOST_LISTS]

    def _list(self, member: FileInTree) -> NamingTable | None:
        """The list, if most of what it names are pictures of the archive."""
        suffix = images.extension(member.path)
        head = self._reading.head(member, HEAD)
        kind = known_list(suffix, head)
        if kind is None and suffix in (".lst", ".txt"):
            read = self._lines(member)
            splits = self._splits.has(member)
            return read or (None if splits else self._alike(member) or self._vague(member, head))
        if suffix == ".manifest":
            with self._reading.table(member) as table:
                read = self._naming_table(replace(table, kind="jsonl"), member)
            return read or self._vague(member, head)
        if kind is None:
            return self._vague(member, head)
        if kind.read is None and not kind.rows:
            return NamingTable(member, [], [], self._nearby, kind.why, hint="")
        told: list[Problem] = []
        with self._reading.table(member) as table:
            quiet = replace(table, tell=told.append)
            if kind.rows:
                return self._objects(member, quiet, told)
            return replace(self._rows.named(member, _rows_of(kind, quiet), told), boxed=True)

    def _objects(
        self, member: FileInTree, table: TableFile, told: list[Problem]
    ) -> NamingTable | None:
        """A list of JSON objects: tasks, or rows as a table has them."""
        json = replace(table, kind="json")
        with encodings.opened(json) as file:
            if objects.has_tasks(file):
                named = self._rows.named(member, objects.document(file, json), told)
                said = {f"{role}_column" for row in named.rows for role in row.values}
                asked = {"label_column"} | (said & {"group_column", "split_column"})
                return replace(named, asked=frozenset(asked))
        return self._naming_table(json, member)

    def _lines(self, member: FileInTree) -> NamingTable | None:
        folder = member.path.rpartition("/")[0]
        head = (self._names(one, folder) for one in self._text(member))
        if list_name(member.path) is None and not any(head):
            return None  # whatever its size
        with self._reading.table(member) as table:
            text = lines_of(table)
            if self._splits.add(member, text, self._pictures):
                return None
            some = [one for one in text[: lines.MOST] if one.strip()]
            named = [one for one in some if self._names(one, folder)]
            if not named or 2 * len(named) < len(some):
                return None
            said = [lines.behind(one, self._pictures, folder) for one in named]
            if captions.are_captions(member.parts[-1], said):
                return NamingTable(member, [], [], self._nearby, captions.WHY, hint="")
            commas = "," in named[0]
            every = lines.annotated(text, self._pictures, folder, commas=commas)
            told: list[Problem] = []
            quiet = replace(table, tell=told.append)
            return self._with_names(self._rows.named(member, found_in.rows(every, quiet), told))

    def _alike(self, member: FileInTree) -> NamingTable | None:
        """Why a list is not read whose lines each have a name that several pictures have, and say
        something of it; None of any other."""
        folder = member.path.rpartition("/")[0]
        told = [lines.cells_of(one, commas="," in one) for one in self._text(member)]
        told = [one for one in told if one and not one[0].startswith("#")]
        both = [self._pictures.several(one[0], folder) if one[1:] else [] for one in told]
        alike = [(one[0], some) for one, some in zip(told, both, strict=True) if some]
        keys = {key for key, _ in alike}
        if not alike or 2 * len(alike) < len(told) or len(keys) < len(alike):
            return None
        error = doubts.called_alike(member.path, *alike[0])
        return NamingTable(
            member, [], [], self._nearby, error.message, hint="", error=error, clashes=True
        )

    def _names(self, line: str, folder: str) -> bool:
        """Whether a line names a picture and says something of it."""
        cells, at = lines.parted(line, self._pictures, folder, commas="," in line)
        return len(cells) > 1 and at is not None

    def _with_names(self, table: NamingTable) -> NamingTable:
        """The list with names for its numbers, where a file says them and one is 0: others may be
        counted from 1."""
        labels = {one for row in table.rows for one in _labels(row)}
        if "0" not in labels or not all(one.isdecimal() for one in labels):
            return table
        told = (
            (one, self._reading.head(one, HEAD)) for one in self._tree if yolo.may_name_classes(one)
        )
        try:
            classes = yolo.class_names(told)
        except HeadstartError as error:
            return replace(table, rows=[], why=error.message)
        names = {one: classes.names.get(int(one)) for one in labels}
        if None in names.values():
            files = [one for one in self._tree if class_names.may_be(one) and one != table.member]
            numbered = class_names.named(labels, ((one, self._text(one)) for one in files))
            if numbered.member is not None:
                rows = [_renamed(row, numbered.names) for row in table.rows]
                return replace(table, rows=rows, files=table.files | {numbered.member.index})
            said = "the labels are numbers, and no data.yaml or classes.txt names all of them"
            doubt = Problem(code="labels_doubtful", message=said, path=table.member.path)
            return replace(table, told=[*table.told, doubt])
        rows = [_renamed(row, names) for row in table.rows]
        return replace(table, rows=rows, files=table.files | classes.files)

    def _text(self, member: FileInTree) -> list[str]:
        return split_lines(self._reading.head(member, HEAD).decode("utf-8", "replace"))

    def _vague(self, member: FileInTree, head: bytes) -> NamingTable | None:
        """A file that mentions pictures, whatever it is."""
        if not self._is_list(member, head):
            return None
        known = foreign.what(head, member.path)
        why = f"it is {known}" if known else VAGUE
        return NamingTable(member, [], [], self._nearby, why, hint="", vague=True)

    def _is_list(self, member: FileInTree, head: bytes | None = None) -> bool:
        """Whether a file is about the pictures; of one that is packed, which does not show, it is
        taken for granted."""
        suffix = images.extension(member.path)
        if suffix in PACKED and head is None:
            return True
        read = self._reading.head(member, HEAD) if head is None else head
        return self._mentions.are_in(member, read, suffix=suffix)


def _labels(row: Row) -> Sequence[str]:
    told = row.values.get("label")
    if isinstance(told, list | tuple):
        return [str(one) for one in told]
    return [] if told is None else [str(told)]


def _without_captions(table: NamingTable) -> NamingTable:
    """The table, without rows where they say sentences."""
    said = [" ".join(_labels(row)) for row in table.rows]
    if table.boxed or not captions.are_captions(table.member.parts[-1], said):
        return table
    return replace(table, rows=[], told=[], why=captions.WHY, hint="")


def _renamed(row: Row, names: Mapping[str, str | None]) -> Row:
    told = [names[one] for one in _labels(row)]
    label = told[0] if isinstance(row.values["label"], str) else told
    return Row(row.table, row.number, {**row.values, "label": label})


def _boxes(table: TableFile) -> Iterator[Row] | None:
    """The rows of a CSV with a box a row; None of any other."""
    names, asked = _names(table), table.columns.get("label")
    return _read_boxes(table) if boxes_of_tables.columns_of(names, asked) is not None else None


def _names(table: TableFile) -> list[str]:
    """What the columns of a CSV are called; nothing of what is none."""
    if table.kind != "csv":
        return []
    try:
        with encodings.opened(table) as file:
            return delimited.plain(file, table)[0]
    except HeadstartError:
        return []


def _read_boxes(table: TableFile, places: Mapping[str, int] | None = None) -> Iterator[Row]:
    with encodings.opened(table) as file:
        yield from found_in.rows(boxes_of_tables.annotated(file, table, places), table)


def _rows_of(kind: KnownList, table: TableFile) -> Iterator[Row]:
    assert kind.read is not None
    with encodings.opened(table) as file:
        yield from found_in.rows(kind.read(file, table), table)
