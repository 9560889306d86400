"""Puts together what several lists of columns say of the same pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake import images
from app.uploads.intake.layout import FileInTree, NamingTable
from app.uploads.intake.lists.columned import class_names
from app.uploads.intake.lists.columned.meaning import Meaning, as_asked, called_so, meaning
from app.uploads.intake.lists.columned.parsing import ColumnedLines, Key, parsed
from app.uploads.intake.lists.lines import cells_of, split_of
from app.uploads.intake.lists.named_rows import NamedRows
from app.uploads.intake.lists.reading import HEAD, ListReading, lines_of, split_lines
from app.uploads.intake.lists.split_lists import list_name
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row

SUFFIXES = (".txt", ".lst")
DEEPEST = 4
MOST = 50
"""Lists that are looked at, those near the top first."""
_ALONE = 10
"""Pictures that may all have other labels."""
Label = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class ColumnedList:
    """A list of columns, and what they say."""

    member: FileInTree
    told: ColumnedLines
    joined: bool
    """Whether its keys are numbers that another list gives the pictures."""
    meaning: Meaning = field(default_factory=Meaning)


class RelatedLists:
    """The lists of columns in an archive that are about its pictures."""

    def __init__(self, tree: Sequence[FileInTree], reading: ListReading, rows: NamedRows) -> None:
        self._tree = tree
        self._reading = reading
        self._rows = rows
        self._index: Mapping[str, str] = {}
        """Pictures by the numbers or names that a list gives them."""
        self._files: set[int] = set()

    def every(self) -> Iterator[NamingTable]:
        """One table of all that say labels or splits, and one of each that says neither."""
        members = self._members()
        indexing = self._find_index(members)
        lists = [one for one in map(self._list, members) if one and one.member not in indexing]
        found = [self._understood(one, lists) for one in lists]
        found = [one for one in found if self._is_ours(one)]
        for one in found:
            if one.meaning.why is not None:
                yield self._unread(one)
        splits = _splits(found)
        if any(one.meaning.asked for one in found):
            found = [_without_labels(one) for one in found]
        said = [one for one in found if one.meaning.labels or one.meaning.splits]
        if said or splits:
            self._files |= {one.index for one in indexing}
            yield self._together(said or found, splits)

    def _members(self) -> list[FileInTree]:
        near = [
            one
            for one in self._tree
            if one.role != "image"
            and len(one.parts) <= DEEPEST
            and images.extension(one.path) in SUFFIXES
            and self._rows.pictures.beside(one.path) is None
        ]
        return sorted(near, key=lambda one: (len(one.parts), one.path))[:MOST]

    def _find_index(self, members: Sequence[FileInTree]) -> list[FileInTree]:
        """The lists that number pictures, or name them otherwise: `1 images/a.jpg`."""
        found = []
        for member in members:
            if self._indexed(member, self._head(member)):
                index = self._indexed(member, self._lines(member))
                if index and len(index) > len(self._index):
                    self._index = index
                    found.append(member)
        return found

    def _indexed(self, member: FileInTree, lines: Sequence[str]) -> dict[str, str]:
        folder = member.path.rpartition("/")[0]
        cells = [cells_of(one, commas=False) for one in lines if one.strip()]
        first = [one[0] for one in cells if len(one) == 2]
        if len(first) < len(cells) or len(set(first)) < len(first) or any(map(split_of, first)):
            return {}
        if any(images.extension(one) in images.EXTENSIONS for one in first):
            return {}
        said = {one[0]: one[1] for one in cells if images.extension(one[1]) in images.EXTENSIONS}
        found = {key: self._rows.pictures.find(path, folder) for key, path in said.items()}
        count = sum(path is not None for path in found.values())
        enough = min(self._half, (len(cells) + 1) // 2)
        return {key: path or "" for key, path in found.items()} if count >= max(2, enough) else {}

    def _list(self, member: FileInTree) -> ColumnedList | None:
        """The list, if its first lines are one of columns, and all are."""
        if self._index and (told := self._parsed(member, self._index.get, 1)):
            whole = 2 * (len(told.rows) + told.missing) >= len(self._index)
            return ColumnedList(member, told, joined=True) if whole else None
        told = self._parsed(member, self._key(member), self._half)
        return ColumnedList(member, told, joined=False) if told and self._are_many(told) else None

    def _parsed(self, member: FileInTree, key: Key, enough: int) -> ColumnedLines | None:
        """The list by its key, if it is one; its first lines are looked at first."""
        if parsed(self._head(member), key, 1) is None:
            return None
        return parsed(self._lines(member), key, enough)

    def _key(self, member: FileInTree) -> Key:
        folder = member.path.rpartition("/")[0]

        def found(cell: str) -> str | None:
            path = self._rows.pictures.find(cell, folder)
            is_path = images.extension(cell) in images.EXTENSIONS
            return path if path is not None or not is_path else ""

        return found

    @property
    def _half(self) -> int:
        """How many of the pictures a list has to name, at least, where most are not there."""
        return (len(self._rows.nearby.files) + 1) // 2

    def _are_many(self, told: ColumnedLines) -> bool:
        """Whether the keys are no accident, as a few numbers would be that pictures are called."""
        plain = all(len(path.rpartition("/")[2].partition(".")[0]) < 4 for path in told.paths)
        return not plain or len(told.rows) >= self._half

    def _understood(self, one: ColumnedList, lists: Sequence[ColumnedList]) -> ColumnedList:
        others = [other.told for other in lists if other is not one]
        with self._reading.table(one.member) as table:
            asked = as_asked(one.told, table.columns.get("label"), table.marks)
        return replace(one, meaning=asked or meaning(one.member.path, one.told, others))

    def _is_ours(self, one: ColumnedList) -> bool:
        """Whether no other reader does: a line with a file's whole name and its labels is read
        as it stands."""
        said = one.meaning
        plain = not one.joined and not one.told.names and len(one.told.columns) == 1
        if plain and said.labels and self._with_endings(one):
            return False
        return bool(said.labels or said.splits or said.why)

    def _with_endings(self, one: ColumnedList) -> bool:
        lines = self._head(one.member)
        return any(images.extension(line.split()[0]) in images.EXTENSIONS
                   for line in lines if line.strip())  # fmt: skip

    def _unread(self, one: ColumnedList) -> NamingTable:
        return NamingTable(
            one.member, [], [], self._rows.nearby, one.meaning.why, hint="", vague=one.meaning.quiet
        )

    def _together(self, lists: Sequence[ColumnedList], splits: Mapping[str, Split]) -> NamingTable:
        """One table of what the lists say; why there is none where they say different things."""
        labels, other = _labels(lists)
        first = next((one for one in lists if one.meaning.labels), lists[0])
        labels, told = self._with_names(first.member, labels)
        files = frozenset({*self._files, *(one.member.index for one in lists)})
        made = NamingTable(first.member, [], _notes(lists), self._rows.nearby, files=files, hint="")
        made = replace(made, asked=frozenset(filter(None, [first.meaning.asked])))
        if other is not None:
            return replace(made, why=other)
        table = first.member.path
        rows = [
            Row(table, number, _values(path, labels.get(path), splits.get(path)))
            for number, path in enumerate({**labels, **splits}, 1)
        ]
        if not labels:
            why = "it says splits of the pictures, and no labels"
            return replace(made, facts=rows, why=why, vague=True)
        named = [row for row in rows if "label" in row.values]
        return replace(made, rows=named, told=[*made.told, *told])

    def _with_names(
        self, member: FileInTree, labels: Mapping[str, Label]
    ) -> tuple[Mapping[str, Label], list[Problem]]:
        """The labels with names in the place of numbers, and what is to be told of it."""
        numbers = {one for one in labels.values() if isinstance(one, str)}
        if not numbers or not all(map(str.isdecimal, numbers)):
            return labels, []
        files = [one for one in self._tree if class_names.may_be(one) and one != member]
        found = class_names.named(numbers, ((one, self._lines(one)) for one in files))
        if found.member is not None:
            self._files.add(found.member.index)
            said = f"{shown(found.member.path)} names the numbers that are the labels"
            return _renamed(labels, found.names), [_told("column_assumed", member, said)]
        names = called_so(list(labels), [str(one) for one in labels.values()])
        if names:
            number, name = min(names.items())
            said = "the labels are numbers, each of pictures that are called alike, which names "
            said += f"them: {number} is {shown(name, 40)}"
            return _renamed(labels, names), [_told("column_assumed", member, said)]
        said = "the labels are numbers, and no list names all of them"
        return labels, [_told("labels_doubtful", member, said)]

    def _head(self, member: FileInTree) -> list[str]:
        """Its first whole lines."""
        head = self._reading.head(member, HEAD)
        text = head.decode("utf-8", "replace")
        return split_lines(text if len(head) < HEAD else text.rpartition("\n")[0])

    def _lines(self, member: FileInTree) -> list[str]:
        """All its lines; none of a file that is too large for a list."""
        try:
            with self._reading.table(member) as table:
                return lines_of(table)
        except HeadstartError as error:
            if error.code != "too_many_entries":
                raise
            return []


def _without_labels(one: ColumnedList) -> ColumnedList:
    """The list without its labels, where another has the column that the caller says."""
    said = one.meaning
    return one if said.asked else replace(one, meaning=replace(said, labels={}))


def _values(path: str, label: Label | None, split: Split | None) -> dict[str, object]:
    told = {"path": path, "label": label, "split": split}
    return {name: value for name, value in told.items() if value is not None}


def _renamed(labels: Mapping[str, Label], names: Mapping[str, str]) -> Mapping[str, Label]:
    return {path: names[str(label)] for path, label in labels.items()}


def _told(code: str, member: FileInTree, said: str) -> Problem:
    return Problem(code=code, message=f"{shown(member.path)}: {said}", path=member.path)


def _notes(lists: Sequence[ColumnedList]) -> list[Problem]:
    notes = {one.meaning.note: one.member for one in reversed(lists)}
    return [_told("column_assumed", member, note) for note, member in notes.items() if note]


def _labels(lists: Sequence[ColumnedList]) -> tuple[Mapping[str, Label], str | None]:
    """The labels by picture; why there are none where lists say several of one."""
    found: dict[str, Label] = {}
    source: dict[str, str] = {}
    for one in lists:
        for path, label in one.meaning.labels.items():
            if found.setdefault(path, label) != label:
                other, mine = shown(source[path], 80), shown(one.member.path, 80)
                why = f"{other} and {mine} say other labels of {shown(path, 60)}: leave in the "
                return {}, f"{why}archive the lists of what is to be learned"
            source.setdefault(path, one.member.path)
    texts = {one for one in found.values() if isinstance(one, str)}
    if len(texts) == len(found) > _ALONE:
        return {}, "each picture has a label of its own, as captions and names are"
    return found, None


def _splits(lists: Sequence[ColumnedList]) -> Mapping[str, Split]:
    """The splits that lists say, or that those of labels are called by, where they differ; what is
    trained on and validated with together is trained on but for what another says."""
    said: dict[str, set[Split]] = defaultdict(set)
    for one in lists:
        for path, split in one.meaning.splits.items():
            said[path].add(split)
    named = [(one, list_name(one.member.path)) for one in lists if not one.meaning.splits]
    known = [(one, name) for one, name in named if name is not None]
    if len({name.split for _, name in known}) > 1:
        for one, name in sorted(known, key=lambda both: both[1].weak):
            for path in one.told.paths:
                if not (name.weak and said[path]):
                    said[path].add(name.split)
    return {path: next(iter(some)) for path, some in said.items() if len(some) == 1}
