"""Lists that only say which pictures are to be trained on, and which are held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.core.manifest import Problem, Split
from app.uploads.intake import images
from app.uploads.intake.layout import FileInTree, NamingTable
from app.uploads.intake.lists.lines import listed_alone
from app.uploads.intake.lists.located import NamedPictures
from app.uploads.intake.lists.reading import ListReading, lines_of
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import read_name

SUFFIXES = (".txt", ".lst")
DEEPEST = 4
MOST_FILES = 50
Told = TypeVar("Told")


def is_named(member: FileInTree) -> bool:
    """Whether it is called by a split, and nothing else."""
    said = read_name(member.parts[-1].rpartition(".")[0])
    return said is not None and said.exact


@dataclass
class SplitLists:
    """The splits of pictures by their paths, and the files that say so."""

    splits: dict[str, Split] = field(default_factory=dict)
    members: list[FileInTree] = field(default_factory=list)
    twice: set[str] = field(default_factory=set)
    """Pictures that lists of several splits name."""

    def add(self, member: FileInTree, paths: Iterable[str]) -> bool:
        """Take in a list, if it is called by a split (`val.txt`)."""
        said = read_name(member.parts[-1].rpartition(".")[0])
        if said is None or not said.exact:
            return False
        self.members.append(member)
        for path in paths:
            if self.splits.setdefault(path, said.split) != said.split:
                self.twice.add(path)
        return True

    @classmethod
    def of(
        cls, tree: Sequence[FileInTree], reading: ListReading, pictures: NamedPictures
    ) -> SplitLists:
        """Those in an archive that lie near the top."""
        found = cls()
        near = [one for one in tree if len(one.parts) <= DEEPEST and is_named(one)]
        for member in [one for one in near if images.extension(one.path) in SUFFIXES][:MOST_FILES]:
            with reading.table(member) as table:
                text = lines_of(table)
            named = listed_alone(text, pictures, member.path.rpartition("/")[0])
            if named is not None:
                found.add(member, named)
        return found

    @property
    def hold_out(self) -> bool:
        """Whether they say of any picture that it is held out."""
        return bool(set(self.splits.values()) - {"train"})

    def located(
        self, rows: Iterable[tuple[Told, Row]], tell: Callable[[Problem], None]
    ) -> Iterator[tuple[Told, Row]]:
        """Rows that name pictures by their whole paths, with the splits that they do not say."""
        rest = 0
        for told, row in rows:
            said = self._said(row) if self.hold_out else row
            rest += not said.values.get("split")
            yield told, said
        if self.hold_out:
            tell(self._told(rest))

    def on(self, tables: Sequence[NamingTable]) -> Iterator[NamingTable]:
        """The tables, their rows with the splits that they do not say themselves; a list of what
        is trained on alone holds nothing out."""
        for table in tables:
            yield self._on(table) if self.hold_out and table.why is None else table

    def _on(self, table: NamingTable) -> NamingTable:
        rows = [self._said(row) for row in table.rows]
        rest = sum(not row.values.get("split") for row in rows)
        files = table.files | {one.index for one in self.members}
        return replace(table, rows=rows, told=[*table.told, self._told(rest)], files=files)

    def _said(self, row: Row) -> Row:
        path = str(row.values.get("path"))
        split = None if path in self.twice else self.splits.get(path)
        known: Mapping[str, Split] = {"split": split} if split else {}
        kept = {name: value for name, value in row.values.items() if name != "split" or value}
        return Row(row.table, row.number, {**known, **kept})

    def _told(self, rest: int) -> Problem:
        """What the lists say, where they name all but so many rows."""
        some = ", ".join(shown(one.path, 60) for one in self.members[:5])
        said = f"{some} say which pictures are in which split"
        said += f"; {rest} that they do not name are trained on" if rest else ""
        if self.twice:
            first = shown(min(self.twice), 60)
            said += f"; {len(self.twice)} are named by lists of several splits, such as {first}"
        return Problem(code="ambiguous_layout", message=said, path=self.members[0].path)
