"""Lists that only say which pictures are to be trained on, and which are held out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.manifest import Problem, Split
from app.uploads.intake import images
from app.uploads.intake.layout import FileInTree, NamingTable
from app.uploads.intake.layout.naming import said_path
from app.uploads.intake.lists.lines import listed_alone
from app.uploads.intake.lists.located import NamedPictures
from app.uploads.intake.lists.reading import ListReading, lines_of
from app.uploads.intake.names import shown
from app.uploads.intake.rows import PATHS, Row
from app.uploads.intake.splits import PLAIN, SPLITS

SUFFIXES = (".txt", ".lst")
DEEPEST = 4
MOST_FILES = 50
_OF_LISTS = "and list lists name names filename filenames id ids index indices path paths"
_WORDS = sorted({*SPLITS, *PLAIN, *_OF_LISTS.split()}, key=len, reverse=True)
_WORD = re.compile("|".join(_WORDS))
_JOINED = re.compile(f"({'|'.join(_WORDS)})+")
"""What says nothing else of a list, written together or not: `trainlist`, `train_val_list`."""
_UNCLEAR = (
    "not read: call the lists of one partition train.txt, val.txt and test.txt, with a picture "
    "a line as the archive calls it, or say it in a column split"
)
_SINGLY = 4
"""Lists that are told of one by one."""
Find = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class ListName:
    """What a list's name says: its split, the words beside it, and which partition it is of.

    `weak` is one of what is trained on and validated with together, as VOC's `trainval.txt`.
    """

    split: Split
    rest: tuple[str, ...] = ()
    edition: str = ""
    weak: bool = False


def list_name(path: str) -> ListName | None:
    """What a list's name says; None where no split, or those of training and of tests."""
    stem = path.rpartition("/")[2].rpartition(".")[0].lower()
    runs = re.findall(r"[^\W\d_]+", stem)
    parted = [_WORD.findall(run) if _JOINED.fullmatch(run) else [run] for run in runs]
    words = [word for some in parted for word in some]
    splits = {SPLITS[word] for word in words if word in SPLITS}
    if not splits or (len(splits) > 1 and splits != {"train", "val"}):
        return None
    rest = tuple(word for word in words if word not in _WORDS)
    weak = len(splits) > 1
    split: Split = "train" if weak else next(iter(splits))
    return ListName(split, rest, "-".join(re.findall(r"\d+", stem)), weak)


def is_named(member: FileInTree) -> bool:
    """Whether it is called by a split, and nothing else."""
    said = list_name(member.path)
    return said is not None and not said.rest


@dataclass
class SplitLists:
    """The splits of pictures by their paths, and the files that say so."""

    _lists: list[tuple[FileInTree, ListName, Sequence[str]]] = field(default_factory=list)
    _strange: list[FileInTree] = field(default_factory=list)
    """Lists whose pictures are not in the archive."""

    def add(self, member: FileInTree, lines: Sequence[str], pictures: NamedPictures) -> bool:
        """Take in a list, if it is called by a split (`val.txt`) and names a picture a line."""
        said = list_name(member.path)
        if said is None:
            return False
        paths = listed_alone(lines, pictures, member.path.rpartition("/")[0])
        if paths is None:
            return False
        if paths:
            self._lists.append((member, said, paths))
        else:
            self._strange.append(member)
        return True

    def has(self, member: FileInTree) -> bool:
        """Whether it is a list that was taken in."""
        return member in self._strange or any(member == one for one, *_ in self._lists)

    @classmethod
    def of(
        cls, tree: Sequence[FileInTree], reading: ListReading, pictures: NamedPictures
    ) -> SplitLists:
        """Those in an archive of pictures that lie near the top."""
        found = cls()
        near = [one for one in tree if len(one.parts) <= DEEPEST and list_name(one.path)]
        near = near if any(one.role == "image" for one in tree) else []
        for member in [one for one in near if images.extension(one.path) in SUFFIXES][:MOST_FILES]:
            with reading.table(member) as table:
                found.add(member, lines_of(table), pictures)
        return found

    @property
    def members(self) -> list[FileInTree]:
        """The lists that count."""
        return [member for member, *_ in self._counted()]

    @property
    def splits(self) -> Mapping[str, Split | None]:
        """The splits by the pictures' paths, None of those that lists of several splits name."""
        return _splits(self._counted())

    def _counted(self) -> list[tuple[FileInTree, ListName, Sequence[str]]]:
        """The lists whose names say a split alone, or differ in it only (`ucf_train.txt` beside
        `ucf_test.txt`); none of several partitions of the same pictures."""
        families: dict[tuple[str, ...], set[Split]] = defaultdict(set)
        for _, said, _ in self._lists:
            families[said.rest].add(said.split)
        known = [one for one in self._lists if not one[1].rest or len(families[one[1].rest]) > 1]
        if len({said.edition for _, said, _ in known if said.edition}) < 2:
            return known
        whole = [one for one in known if not one[1].edition]
        return known if None not in _splits(known).values() else whole

    @property
    def hold_out(self) -> bool:
        """Whether they say of any picture that it is held out."""
        return bool(set(self.splits.values()) - {"train", None})

    @property
    def unread(self) -> list[Problem]:
        """What is told of lists that are called by a split and do not count."""
        counted = self.members
        left = [member for member, *_ in self._lists if member not in counted]
        return [
            *_unread(left, ", and which split they are in is not clear"),
            *_unread(self._strange, " that are not in the archive, or that several are called"),
        ]

    def located(
        self,
        rows: Iterable[tuple[FileInTree, Row]],
        pictures: NamedPictures,
        tell: Callable[[Problem], None],
    ) -> Iterator[tuple[FileInTree, Row]]:
        """Rows that name pictures, with the splits that they do not say."""
        splits = self.splits if self.hold_out else {}
        rest = 0
        for table, row in rows:
            folder = table.path.rpartition("/")[0]
            path = pictures.find(_path(row), folder) if splits else None
            said = _said(row, splits.get(path or ""))
            rest += not said.values.get("split")
            yield table, said
        for problem in [self._told(rest), *self.unread] if splits else self.unread:
            tell(problem)

    def on(self, tables: Sequence[NamingTable]) -> Iterator[NamingTable]:
        """The tables, their rows with the splits that they do not say themselves; a list of what
        is trained on alone holds nothing out."""
        hold_out = self.hold_out
        for table in tables:
            yield self._on(table) if hold_out and table.why is None else table

    def _on(self, table: NamingTable) -> NamingTable:
        splits = self.splits
        found = [table.nearby.find(_path(row)) for row in table.rows]
        both = zip(table.rows, found, strict=True)
        rows = [_said(row, splits.get(one.path) if one else None) for row, one in both]
        rest = sum(not row.values.get("split") for row in rows)
        files = table.files | {one.index for one in self.members}
        return replace(table, rows=rows, told=[*table.told, self._told(rest)], files=files)

    def _told(self, rest: int) -> Problem:
        """What the lists say, where they name all but so many rows."""
        members, splits = self.members, self.splits
        some = ", ".join(shown(one.path, 60) for one in members[:5])
        said = f"{some} say which pictures are in which split"
        if rest:
            said += f"; {rest} that they do not name are trained on, but where a folder is a split"
        twice = [path for path, split in splits.items() if split is None]
        if twice:
            first = shown(min(twice), 60)
            said += f"; {len(twice)} are named by lists of several splits, such as {first}"
        return Problem(code="ambiguous_layout", message=said, path=members[0].path)


def _splits(
    lists: Sequence[tuple[FileInTree, ListName, Sequence[str]]],
) -> dict[str, Split | None]:
    """The splits that lists say, None where several; what is trained on and validated with
    together is trained on, but for what a list of its own says to validate with."""
    found: dict[str, Split | None] = {}
    for _, said, paths in sorted(lists, key=lambda one: one[1].weak):
        for path in paths:
            before = found.setdefault(path, said.split)
            if before != said.split and not (said.weak and before == "val"):
                found[path] = None
    return found


def _path(row: Row) -> str:
    return next((said_path(row.values[name]) for name in PATHS if name in row.values), "")


def _said(row: Row, split: Split | None) -> Row:
    """The row with a split, unless it says one itself."""
    known: Mapping[str, Split] = {"split": split} if split else {}
    kept = {name: value for name, value in row.values.items() if name != "split" or value}
    return Row(row.table, row.number, {**known, **kept})


def _unread(lists: Sequence[FileInTree], why: str) -> list[Problem]:
    """What is said of each list, or of many in one."""
    if len(lists) <= _SINGLY:
        said = [(one.path, f"{shown(one.path)} names pictures{why}: it is") for one in lists]
    else:
        some = ", ".join(shown(one.path, 60) for one in lists[:_SINGLY])
        more = f"{some} and {len(lists) - _SINGLY} more lists name pictures{why}: they are"
        said = [(lists[0].path, more)]
    return [
        Problem(code="ambiguous_layout", message=f"{told} {_UNCLEAR}", path=path)
        for path, told in said
    ]
