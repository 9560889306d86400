"""What tables and lists say of pictures whose folders are their classes: their groups and splits.

What folders and columns say holds; the names of tables and lists (`test.csv`, `val.txt`) say the
splits of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.manifest import Problem, Split
from app.uploads.intake.layout import doubts
from app.uploads.intake.layout.asked import check_folders
from app.uploads.intake.layout.naming import NamingTable, said_path
from app.uploads.intake.layout.roles import LabelledFile
from app.uploads.intake.limits import Limits
from app.uploads.intake.rows import Row, group_of, split_of
from app.uploads.intake.splits import of_folders, of_tables


@dataclass(slots=True)
class Facts:
    """What is said beside the folders: tables with rows, and the splits that lists are called by,
    by the pictures' paths."""

    tables: Sequence[NamingTable] = ()
    lists: Mapping[str, Split | None] = field(default_factory=dict)
    """None of those that lists of several splits name."""
    found: Sequence[NamingTable] = ()
    """All tables that name pictures, those that are not read as well."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """What the caller says of columns, by the form's field."""

    def take(
        self,
        tables: Sequence[NamingTable],
        found: Sequence[NamingTable],
        lists: Mapping[str, Split | None],
    ) -> None:
        """Those that are read beside the folders, of all that name pictures, and the lists."""
        self.tables, self.found, self.lists = tables, found, lists

    @property
    def members(self) -> frozenset[int]:
        """The members that the tables are."""
        return frozenset().union(*(one.files | {one.member.index} for one in self.tables))

    @property
    def completed(self) -> frozenset[int]:
        """The pictures that lie in no folder of a class, and whose class a table says."""
        return frozenset(one.index for table in self.tables for one in table.completes)

    def given(
        self, items: Sequence[LabelledFile], limits: Limits
    ) -> tuple[list[LabelledFile], list[Problem]]:
        """The pictures with what is said of them, and what is to be told of it.

        Raises ambiguous_layout where two say different things of one picture, invalid_value, and
        schema_mismatch for what was asked of columns and is of no use.
        """
        if not items:
            return [], []
        kept = {one.index: one for one in (*items, *self._completing(items))}
        told: list[Problem] = []
        for table in self.tables:
            told += _from_columns(table, kept, limits)
        check_folders(self.asked, self.tables, self.found)
        told += self._from_names(kept)
        return list(kept.values()), told

    def _completing(self, items: Sequence[LabelledFile]) -> Iterator[LabelledFile]:
        """The pictures whose class a table says, each in the split of its folder on top."""
        found = {one: label for table in self.tables for one, label in table.completes.items()}
        paths = (*(one.path for one in items), *(one.path for one in found))
        splits = of_folders({path.partition("/")[0] for path in paths if "/" in path})
        for one, label in found.items():
            yield LabelledFile(one.index, one.path, label, split=splits.get(one.parts[0]))

    def _from_names(self, kept: dict[int, LabelledFile]) -> list[Problem]:
        """Take in the splits that tables and lists are called by, where some are trained on and
        some are not."""
        splits, twice = self._named(kept)
        free = {at: split for at, split in splits.items() if kept[at].split is None}
        left = any(one.split in (None, "train") for at, one in kept.items() if at not in free)
        held_out = set(free.values()) - {"train"} and (left or "train" in free.values())
        other = [
            kept[at].path for at, split in splits.items() if kept[at].split not in (None, split)
        ]
        if not held_out and not twice and not other:
            return []
        free = free if held_out else {}
        for at, split in free.items():
            kept[at] = replace(kept[at], split=split)
        rest = sum(one.split is None for one in kept.values())
        several = sorted(kept[at].path for at in twice)
        return [doubts.splits_by_names(len(free), rest, several, sorted(other))]

    def _named(self, kept: Mapping[int, LabelledFile]) -> tuple[dict[int, Split], set[int]]:
        """The splits by picture, and those of several, which are in none."""
        splits: dict[int, Split] = {}
        twice = set()
        for at, split in self._every_name(kept):
            if split is None or splits.setdefault(at, split) != split:
                twice.add(at)
        return {at: split for at, split in splits.items() if at not in twice}, twice

    def _every_name(self, kept: Mapping[int, LabelledFile]) -> Iterator[tuple[int, Split | None]]:
        named = of_tables([one.member.path for one in self.tables])
        for table, split in zip(self.tables, named, strict=True):
            several = (
                table.boxed and len(table.files) > 1
            )  # of a file a picture the first has a name
            for at, _ in _located(table) if split and not several else ():
                if split and at in kept:
                    yield at, split
        by_path = {one.path: at for at, one in kept.items()}
        for path, said in self.lists.items():
            if path in by_path:
                yield by_path[path], said


def _from_columns(
    table: NamingTable, kept: dict[int, LabelledFile], limits: Limits
) -> list[Problem]:
    """Take in the groups and splits of a table's rows, and tell how many."""
    groups, splits = set(), set()
    for at, row in _located(table):
        group = group_of(row, row.values.get("group"), limits)
        split = split_of(row, row.values.get("split"))
        one = kept.get(at)
        if one is None:
            continue
        for role, said, before in (("split", split, one.split), ("group", group, one.group)):
            if said and before and said != before:
                raise doubts.said_otherwise(table.member.path, one.path, role, said, before)
        kept[at] = replace(one, group=one.group or group, split=one.split or split)
        groups |= {at} if group else set()
        splits |= {at} if split else set()
    read = [one for one in table.told if one.code in ("column_unread", "column_assumed")]
    read = read if groups or splits else [one for one in read if one.code == "column_unread"]
    if groups or splits:
        read.append(doubts.facts_read(table.title, table.member.path, len(splits), len(groups)))
    return read


def _located(table: NamingTable) -> Iterator[tuple[int, Row]]:
    for row in (*table.rows, *table.facts):
        found = table.nearby.find(said_path(row.values.get("path")))
        if found is not None:
            yield found.index, row
