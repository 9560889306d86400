"""The pictures of an archive by what lists call them: paths and addresses of their own making."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from app.core.manifest import Split
from app.uploads.intake.layout import Drawn, FileInTree
from app.uploads.intake.names import folded, own_name, plain
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import read_name

_KINDS = (
    "images image imgs img jpegimages pictures photos labels label annotations annotation ann "
    "xmls xml jsons json data default"
)
_NEUTRAL = frozenset(_KINDS.split())
"""Folders that say which kind of file lies in them, and not of which set it is."""


MOST_ALIKE = 1000
"""Pictures of one name that are told apart by their folders, one by one."""


class NamedPictures:
    """Finds pictures by paths, by addresses, and by the names of files that lie beside them."""

    def __init__(self, found: Sequence[FileInTree], drawn: Drawn | None = None) -> None:
        self._drawn = Drawn() if drawn is None else drawn
        self._paths = {folded(one.path): one.path for one in found}
        self._named: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        self._tails: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in found:
            name = folded(one.parts[-1])
            self._named[name].append(one.path)
            if len(one.parts) > 1:
                self._tails[folded(one.parts[-2]), name].append(one.path)
            self._stems[name.rpartition(".")[0] or name].append(one.path)

    def find(self, said: str, folder: str = "") -> str | None:
        """The path of the picture that a list in `folder` means by `said`; None where there is
        none, or may be several."""
        path = folded(plain(said))
        whole = self._paths.get(f"{folded(folder)}/{path}".strip("/"))
        if whole is not None:
            return whole
        parts = [one for one in path.split("/") if one not in ("", ".")]
        if not parts:
            return None
        named = self._tails.get((parts[-2], parts[-1]), []) if len(parts) > 1 else []
        named = named or self._called(parts[-1])
        if len(named) > MOST_ALIKE:
            return None
        best = max((_shared(parts[:-1], one) for one in named), default=0)
        named = [one for one in named if _shared(parts[:-1], one) == best]
        if not best:
            named = [one for one in named if not self._is_drawn(one)]
        if len(named) > 1 and folder:
            named = _in_the_place_of_others(named, folder)
        return named[0] if len(named) == 1 else None

    def _is_drawn(self, path: str) -> bool:
        """Whether it was drawn on another of its name, which a name without its folder never
        means."""
        name = folded(path).rpartition("/")[2]
        return len(self._stems[name.rpartition(".")[0] or name]) > 1 and path in self._drawn

    def several(self, said: str, folder: str = "") -> list[str]:
        """The pictures that are called so, where they are several and none of them is meant."""
        named = self._called(folded(plain(said)).rpartition("/")[2])
        return named if len(named) > 1 and self.find(said, folder) is None else []

    def are_called(self, said: str) -> bool:
        """Whether pictures are called so, one or several."""
        return bool(self._called(folded(plain(said)).rpartition("/")[2]))

    def _called(self, name: str) -> list[str]:
        names = [name, own_name(name)]
        for known in (self._named, self._stems):
            for one in names:
                if known.get(one):
                    return known[one]
        return []

    def beside(self, path: str) -> str | None:
        """The picture that the file `path` tells of, by its name: in the same folder, or in one
        like it (`labels/train/x.txt` of `images/train/x.jpg`)."""
        *folders, name = folded(path).split("/")
        stem = name.rpartition(".")[0]
        named = self._stems.get(stem, []) or self._named.get(stem, [])
        if 1 < len(named) <= MOST_ALIKE:
            alike = [
                one for one in named if _neutral(folded(one).split("/")[:-1]) == _neutral(folders)
            ]
            same = [one for one in named if folded(one).split("/")[:-1] == folders]
            named = same or alike
        return named[0] if len(named) == 1 else None


def _in_the_place_of_others(paths: Sequence[str], folder: str) -> list[str]:
    """Those in the folder of a list, where the others lie elsewhere as they do there, as sets that
    have a list each do (`part1/x.jpg`, `part2/x.jpg`): what lies beside a list of another folder's
    pictures may be anything (`annotations/maps/x.png`)."""
    inside = [one for one in paths if one.startswith(folder + "/")]
    deep = len(folder.split("/"))
    places = {tuple(_neutral(folded(one).split("/")[deep:-1])) for one in paths}
    return inside if len(places) == 1 else []


def _shared(folders: Sequence[str], path: str) -> int:
    """How many folders two paths share, from the file up."""
    theirs = folded(path).split("/")[:-1]
    count = 0
    for one, other in zip(reversed(folders), reversed(theirs), strict=False):
        if one != other:
            break
        count += 1
    return count


def _neutral(folders: Sequence[str]) -> list[str]:
    return [one for one in folders if one not in _NEUTRAL]


def located(pictures: NamedPictures, table: FileInTree, row: Row) -> tuple[FileInTree, Row]:
    """The row with a path that leads to its picture, and the table that it is relative to.

    Of a picture that is not found the bare name is left, which says what is missing.
    """
    said = row.values.get("path")
    if not isinstance(said, str):
        return table, row
    folder = table.path.rpartition("/")[0]
    found = pictures.find(said, folder)
    path = found or plain(said).rstrip("/").rpartition("/")[2]
    values = {"split": split_of_list(table), **row.values, "path": path}
    top = FileInTree(table.index, table.parts[-1], table.role)
    return top, Row(row.table, row.number, values)


def split_of_list(table: FileInTree) -> Split | None:
    """What the folder of a list says, or else its name (`instances_train2017.json`)."""
    told = (read_name(part) for part in (*table.parts[:-1], table.parts[-1]))
    return next((said.split for said in told if said is not None), None)
